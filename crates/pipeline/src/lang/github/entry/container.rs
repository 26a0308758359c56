//! `container` and `services`.

use tasuki_model::expr::syntax::has_expression;

use super::super::fields::{self, Entry, Field, Wanted};
use super::super::names;
use super::super::read::value;
use crate::Session;
use crate::diag::code;
use crate::yaml::{Map, Node, Value};

const KEYS: &[&str] = &["image", "credentials", "env", "ports", "volumes", "options"];
const SERVICE_KEYS: &[&str] = &[
    "image",
    "credentials",
    "env",
    "ports",
    "volumes",
    "options",
    "command",
    "entrypoint",
];

/// A container that steps run in, or that runs beside them.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    pub(crate) image: Field,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) env: Vec<Entry>,
    pub(crate) ports: Vec<Field>,
    pub(crate) volumes: Vec<Field>,
    pub(crate) options: Option<Field>,
    pub(crate) command: Option<Field>,
    pub(crate) entrypoint: Option<Field>,
}

/// A log-in of a registry.
#[derive(Debug, Clone)]
pub(crate) enum Credentials {
    /// User and password.
    Written(Field, Field),
    /// One expression that gives both.
    Computed(Field),
}

#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) id: String,
    pub(crate) container: Container,
}

/// Reads `container`.
pub(super) fn parse(session: &Session<'_>, node: &Node) -> Option<Container> {
    match value(node) {
        Value::Null => None,
        Value::Map(_) => {
            let map = fields::keyed(session, node, &"`container`", KEYS)?;
            of_map(session, node, map, "`container`")
        }
        _ => plain(session, node, "`container`"),
    }
}

/// Reads `services` that an expression gives as a whole.
pub(super) fn computed(session: &Session<'_>, node: &Node) -> Option<Field> {
    let is_expression = node.text().is_some_and(|text| has_expression(text));
    is_expression.then(|| fields::field(session, node, &"`services`", Wanted::Any, &names::JOB))?
}

/// Reads `services`.
pub(super) fn services(session: &Session<'_>, node: &Node) -> Vec<Service> {
    if node.text().is_some_and(|text| has_expression(text)) {
        return Vec::new();
    }
    let Some(map) = fields::map(session, node, &"`services`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`services`");
    let one = |(key, node): &(Node, Node)| {
        let id = key.text().map_or("", |text| text);
        fields::check_id(session, id, key.span, "a service");
        let what = format!("service `{id}`");
        let container = match value(node) {
            Value::Map(_) => {
                let map = fields::keyed(session, node, &what, SERVICE_KEYS)?;
                of_map(session, node, map, &what)?
            }
            _ => plain(session, node, &what)?,
        };
        Some(Service {
            id: id.to_owned(),
            container,
        })
    };
    map.iter().filter_map(one).collect()
}

fn plain(session: &Session<'_>, node: &Node, what: &str) -> Option<Container> {
    Some(Container {
        image: fields::field(session, node, &what, Wanted::Text, &names::JOB)?,
        credentials: None,
        env: Vec::new(),
        ports: Vec::new(),
        volumes: Vec::new(),
        options: None,
        command: None,
        entrypoint: None,
    })
}

fn of_map(session: &Session<'_>, node: &Node, map: &Map, what: &str) -> Option<Container> {
    let Some(image) = map.get("image") else {
        session.error(&code::GITHUB_FORMAT, node.span, format!("{what} has no `image`"));
        return None;
    };
    let text = |key: &str| {
        fields::field(
            session,
            map.get(key)?,
            &format_args!("`{key}`"),
            Wanted::Text,
            &names::JOB,
        )
    };
    let list = |key: &str| -> Vec<Field> {
        let Some(node) = map.get(key) else { return Vec::new() };
        let Some(items) = node.as_seq() else {
            fields::wrong(session, node, &format_args!("`{key}`"), "a list");
            return Vec::new();
        };
        let one = |item| {
            fields::field(
                session,
                item,
                &format_args!("an entry of `{key}`"),
                Wanted::Text,
                &names::JOB,
            )
        };
        items.iter().filter_map(one).collect()
    };
    Some(Container {
        image: fields::field(session, image, &"`image`", Wanted::Any, &names::JOB)?,
        credentials: map.get("credentials").and_then(|node| credentials(session, node)),
        env: map
            .get("env")
            .map(|node| fields::entries(session, node, &"`env`", &names::CONTAINER_ENV))
            .unwrap_or_default(),
        ports: list("ports"),
        volumes: list("volumes"),
        options: text("options"),
        command: text("command"),
        entrypoint: text("entrypoint"),
    })
}

fn credentials(session: &Session<'_>, node: &Node) -> Option<Credentials> {
    if node.text().is_some_and(|text| has_expression(text)) {
        let field = fields::field(session, node, &"`credentials`", Wanted::Any, &names::CREDENTIALS)?;
        return Some(Credentials::Computed(field));
    }
    let map = fields::keyed(session, node, &"`credentials`", &["username", "password"])?;
    let text = |key: &str| {
        let found = map.get(key);
        if found.is_none() {
            session.error(&code::GITHUB_FORMAT, node.span, format!("`credentials` has no `{key}`"));
        }
        fields::field(
            session,
            found?,
            &format_args!("`{key}`"),
            Wanted::Text,
            &names::CREDENTIALS,
        )
    };
    let (username, password) = (text("username"), text("password"));
    Some(Credentials::Written(username?, password?))
}
