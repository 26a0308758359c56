//! What a configuration file asks of whoever starts it by hand: the inputs of its header, and the variables that it
//! describes.

use super::SCHEMA;
use super::header::{self, Input, Kind};
use super::read::read;
use crate::Session;
use crate::form::{Field, FieldKind, Form};
use crate::yaml::{Node, Value};

pub(crate) fn form(session: &Session<'_>) -> Option<Form> {
    let (name, text) = (session.input.file, session.input.text);
    let file = read(session, name, text);
    let first = file.documents.first()?;
    let (inputs, body) = match (first.get("spec"), file.documents.get(1)) {
        (Some(_), Some(body)) => (header::parse(session, first).inputs, body),
        _ => (Vec::new(), first),
    };
    let variables = body.get("variables").and_then(Node::as_map);
    let described = variables.into_iter().flat_map(|map| map.iter());
    (session.errors() == 0).then(|| Form {
        language: session.input.lang,
        file: name.to_owned(),
        workflow: None,
        inputs: inputs.iter().map(field).collect(),
        variables: described.filter_map(|(key, node)| variable(key, node)).collect(),
    })
}

fn field(input: &Input) -> Field {
    let shown = |node: &Node| written(node).unwrap_or_default();
    Field {
        name: input.name.to_string(),
        kind: match (&input.options, input.kind) {
            (Some(options), Kind::String | Kind::Number) => FieldKind::Choice(options.iter().map(shown).collect()),
            (_, Kind::String) => FieldKind::Text,
            (_, Kind::Number) => FieldKind::Number,
            (_, Kind::Boolean) => FieldKind::Boolean,
            (_, Kind::Array) => FieldKind::List,
        },
        description: input.description.as_ref().map(ToString::to_string),
        default: input.default.as_ref().and_then(written),
        // What rules give may be a default.
        required: input.default.is_none() && input.rules.is_empty(),
    }
}

/// A value as somebody would write it into a field.
fn written(node: &Node) -> Option<String> {
    match node.value(SCHEMA) {
        Value::Null => Some(String::new()),
        Value::Seq(items) => {
            let items: Option<Vec<serde_json::Value>> =
                items.iter().map(|item| written(item).map(Into::into)).collect();
            items.map(|items| serde_json::Value::Array(items).to_string())
        }
        value => value.to_text().map(|text| text.to_string()),
    }
}

/// A variable with a description: those without are no matter of a person.
fn variable(key: &Node, node: &Node) -> Option<Field> {
    let map = node.as_map()?;
    let description = map.get("description")?.text()?.to_string();
    let options = map.get("options").and_then(Node::as_seq);
    Some(Field {
        name: key.text()?.to_string(),
        kind: options.map_or(FieldKind::Text, |options| {
            FieldKind::Choice(options.iter().filter_map(written).collect())
        }),
        description: Some(description),
        default: map.get("value").and_then(written),
        required: false,
    })
}
