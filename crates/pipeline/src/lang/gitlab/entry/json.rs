//! Parts of a configuration that are passed on as data.

use crate::yaml::{Node, Value};

use super::check::value;

/// The node as JSON, typed by YAML 1.1.
pub(crate) fn of(node: &Node) -> serde_json::Value {
    use serde_json::Value as Json;
    match value(node) {
        Value::Null => Json::Null,
        Value::Bool(flag) => Json::Bool(flag),
        Value::Int(n) => Json::from(n),
        Value::Float(n) => serde_json::Number::from_f64(n).map_or(Json::Null, Json::Number),
        Value::Text(text) | Value::Symbol(text) | Value::Date(text) => Json::from(text),
        Value::Seq(items) | Value::Reference(items) => items.iter().map(of).collect(),
        Value::Map(map) => map
            .iter()
            .filter_map(|(key, inner)| Some((key.text()?.to_string(), of(inner))))
            .collect::<serde_json::Map<_, _>>()
            .into(),
    }
}
