//! `image`, `services`.

use tasuki_model::plan::{Image, PullPolicy, Service};

use super::check::{Check, every, value};
use super::{script, variables};
use crate::yaml::{Map, Node, Value};

const IMAGE_KEYS: &[&str] = &["name", "entrypoint", "pull_policy", "docker", "kubernetes"];
const SERVICE_KEYS: &[&str] = &[
    "name",
    "entrypoint",
    "pull_policy",
    "docker",
    "kubernetes",
    "command",
    "alias",
    "variables",
];

pub(super) fn image(check: &mut Check<'_>, node: &Node) -> Option<Image> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => named(check, node),
        Value::Map(_) => {
            let map = check.map(node, IMAGE_KEYS)?;
            full(check, node, map)
        }
        _ => {
            check.wrong_type(node, "a string or a map");
            None
        }
    }
}

fn named(check: &mut Check<'_>, node: &Node) -> Option<Image> {
    Some(Image {
        name: check.filled_text(node)?,
        ..Image::default()
    })
}

fn full(check: &mut Check<'_>, node: &Node, map: &Map) -> Option<Image> {
    let name = check.required(map, node.span, "name")?;
    let mut image = check.within("name", |check| named(check, name))?;
    image.entrypoint = check.key(map, "entrypoint", Check::plain_strings);
    image.pull_policy = check.key(map, "pull_policy", pull_policy).unwrap_or_default();
    check.key(map, "docker", |check, node| {
        let docker = check.map(node, &["platform", "user"])?;
        image.platform = check.key(docker, "platform", |check, node| short_text(check, node, 64));
        image.user = check.key(docker, "user", |check, node| short_text(check, node, 255));
        Some(())
    });
    check.key(map, "kubernetes", |check, node| {
        let kubernetes = check.map(node, &["user"])?;
        image.kubernetes_user = check.key(kubernetes, "user", |check, node| match value(node) {
            Value::Int(n) => Some(n.to_string()),
            _ => short_text(check, node, 255),
        });
        Some(())
    });
    Some(image)
}

fn short_text(check: &mut Check<'_>, node: &Node, max: usize) -> Option<String> {
    let text = check.text(node)?;
    if text.is_empty() {
        check.bad_value(node.span, "is too short (minimum is 1 character)");
        return None;
    }
    if text.chars().count() > max {
        check.bad_value(node.span, &format!("is too long (maximum is {max} characters)"));
        return None;
    }
    Some(text)
}

fn pull_policy(check: &mut Check<'_>, node: &Node) -> Option<Vec<PullPolicy>> {
    const KNOWN: &[(&str, PullPolicy)] = &[
        ("always", PullPolicy::Always),
        ("if-not-present", PullPolicy::IfNotPresent),
        ("never", PullPolicy::Never),
    ];
    match value(node) {
        Value::Seq(items) if items.is_empty() => {
            check.bad_value(node.span, "can't be blank");
            None
        }
        Value::Seq(items) => every(items.iter().map(|item| check.one_of(item, KNOWN))),
        _ => Some(vec![check.one_of(node, KNOWN)?]),
    }
}

pub(super) fn services(check: &mut Check<'_>, node: &Node) -> Option<Vec<Service>> {
    let items = check.flat(node)?;
    let services = items
        .into_iter()
        .map(|item| check.within("service", |check| service(check, item)));
    every(services)
}

fn service(check: &mut Check<'_>, node: &Node) -> Option<Service> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => Some(Service {
            image: named(check, node)?,
            aliases: Vec::new(),
        }),
        Value::Map(_) => {
            let map = check.map(node, SERVICE_KEYS)?;
            let mut image = full(check, node, map)?;
            image.command = check.key(map, "command", script::script).map(|lines| lines.to_vec());
            image.variables = check.key(map, "variables", variables::plain).unwrap_or_default();
            let alias = check.key(map, "alias", Check::text).unwrap_or_default();
            let aliases = alias
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect();
            Some(Service { image, aliases })
        }
        _ => {
            check.wrong_type(node, "a string or a map");
            None
        }
    }
}
