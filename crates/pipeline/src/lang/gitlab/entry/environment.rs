//! `environment`.

use tasuki_model::plan::EnvironmentAction;

use super::check::{Check, Located, value};
use crate::diag::code;
use crate::yaml::{Node, Value};

/// As written: names are expanded when the pipeline is made.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EnvironmentEntry {
    pub(crate) name: Located,
    pub(crate) url: Option<String>,
    pub(crate) action: EnvironmentAction,
    pub(crate) on_stop: Option<Located>,
    pub(crate) auto_stop_in: Option<Located>,
    pub(crate) tier: Option<Located>,
}

const KEYS: &[&str] = &[
    "name",
    "url",
    "action",
    "on_stop",
    "auto_stop_in",
    "deployment_tier",
    "kubernetes",
];
const ACTIONS: &[(&str, EnvironmentAction)] = &[
    ("start", EnvironmentAction::Start),
    ("stop", EnvironmentAction::Stop),
    ("prepare", EnvironmentAction::Prepare),
    ("verify", EnvironmentAction::Verify),
    ("access", EnvironmentAction::Access),
];
pub(crate) const TIERS: &[&str] = &["production", "staging", "testing", "development", "other"];
const MAX_LENGTH: usize = 255;

/// What an environment's (and a resource group's) name may look like.
pub(crate) fn is_good_name(name: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "_/${}. -".contains(c);
    !name.is_empty()
        && name.len() <= MAX_LENGTH
        && name.chars().all(good)
        && !name.starts_with('/')
        && !name.ends_with('/')
}

pub(crate) const GOOD_NAME: &str = "can contain only letters, digits, '-', '_', '/', '$', '{', '}', '.', and spaces, but it cannot start or end with '/'";

pub(super) fn environment(check: &mut Check<'_>, node: &Node) -> Option<EnvironmentEntry> {
    match value(node) {
        Value::Text(_) | Value::Symbol(_) => Some(EnvironmentEntry {
            name: name(check, node)?,
            url: None,
            action: EnvironmentAction::Start,
            on_stop: None,
            auto_stop_in: None,
            tier: None,
        }),
        Value::Map(_) => full(check, node),
        _ => {
            check.wrong_type(node, "a hash or a string");
            None
        }
    }
}

fn name(check: &mut Check<'_>, node: &Node) -> Option<Located> {
    let name = check.located(node)?;
    if !is_good_name(&name.text) {
        check.bad_value(node.span, &format!("name {GOOD_NAME}"));
        return None;
    }
    Some(name)
}

fn full(check: &mut Check<'_>, node: &Node) -> Option<EnvironmentEntry> {
    let map = check.map(node, KEYS)?;
    let name_node = check.required(map, node.span, "name")?;
    let entry = EnvironmentEntry {
        name: check.within("name", |check| name(check, name_node))?,
        url: check.key(map, "url", |check, node| {
            let url = check.text(node)?;
            if url.len() > MAX_LENGTH {
                check.bad_value(node.span, "is too long (maximum is 255 characters)");
            }
            Some(url)
        }),
        action: check
            .key(map, "action", |check, node| check.one_of(node, ACTIONS))
            .unwrap_or_default(),
        on_stop: check.key(map, "on_stop", Check::located),
        auto_stop_in: check.key(map, "auto_stop_in", auto_stop_in),
        tier: check.key(map, "deployment_tier", tier),
    };
    check.key(map, "kubernetes", kubernetes);
    Some(entry)
}

/// A duration, or a text with variables that becomes one.
fn auto_stop_in(check: &mut Check<'_>, node: &Node) -> Option<Located> {
    match value(node) {
        Value::Text(text) if text.contains('$') || text.eq_ignore_ascii_case("never") => check.located(node),
        _ => {
            check.duration(node, None)?;
            check.located(node)
        }
    }
}

fn tier(check: &mut Check<'_>, node: &Node) -> Option<Located> {
    let tier = check.located(node)?;
    if !tier.text.contains('$') && !TIERS.contains(&tier.text.as_str()) {
        let text = format!("config must be one of {}, not `{}`", TIERS.join(", "), tier.text);
        let problem = check.problem(&code::GITLAB_VALUE, node.span, &text);
        check.report(problem.suggest(&tier.text, TIERS.iter().copied()));
        return None;
    }
    Some(tier)
}

/// Checked, and said to have no effect: there is no agent that could give access to a cluster.
fn kubernetes(check: &mut Check<'_>, node: &Node) -> Option<()> {
    let keys = &[
        "agent",
        "namespace",
        "flux_resource_path",
        "dashboard",
        "managed_resources",
    ];
    let map = check.map(node, keys)?;
    let texts = ["agent", "namespace", "flux_resource_path"];
    for key in texts {
        check.key(map, key, Check::filled_text);
    }
    if let Some((key, _)) = map.entry("flux_resource_path") {
        check.required(map, key.span, "agent");
        check.required(map, key.span, "namespace");
    }
    check.key(map, "dashboard", |check, node| {
        let dashboard = check.map(node, &["namespace", "flux_resource_path"])?;
        check.required(dashboard, node.span, "namespace");
        check.key(dashboard, "namespace", Check::filled_text);
        check.key(dashboard, "flux_resource_path", Check::filled_text)
    });
    check.key(map, "managed_resources", |check, node| {
        let managed = check.map(node, &["enabled"])?;
        check.key(managed, "enabled", Check::boolean)
    });
    let text = "config has no effect: tasuki has no Kubernetes agent; give the job its access by variables";
    check.report(check.problem(&code::GITLAB_NO_EFFECT, node.span, text));
    Some(())
}
