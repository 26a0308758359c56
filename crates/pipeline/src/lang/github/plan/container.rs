//! Containers that an expression gives: `${{ matrix.container }}`, `${{ fromJSON(inputs.services) }}`.

use tasuki_model::expr::Value;
use tasuki_model::plan::{self, Variable};

use super::ports;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::Span;

const KEYS: [&str; 7] = ["image", "env", "ports", "volumes", "options", "command", "entrypoint"];

/// The services of an object, by their ids; those without an image are none.
pub(super) fn services(session: &Session<'_>, span: Span, value: &Value) -> Vec<plan::Service> {
    let Value::Object(object) = value else {
        if !matches!(value, Value::Null) {
            session.error(&code::GITHUB_VALUE, span, "`services` must be an object");
        }
        return Vec::new();
    };
    let one = |(id, value): (&str, &Value)| {
        Some(plan::Service {
            image: image(session, span, value, &format!("service `{id}`"))?,
            aliases: vec![id.to_owned()],
        })
    };
    object.iter().filter_map(one).collect()
}

/// An image by its name, or as an object; none where the name is empty.
pub(super) fn image(session: &Session<'_>, span: Span, value: &Value, what: &str) -> Option<plan::Image> {
    let object = match value {
        Value::Object(object) => object,
        Value::Array(_) => {
            session.error(
                &code::GITHUB_VALUE,
                span,
                format!("{what} must be the name of an image, or an object"),
            );
            return None;
        }
        name => {
            let name = name.to_text().to_string();
            return (!name.is_empty()).then(|| plan::Image {
                name,
                ..plan::Image::default()
            });
        }
    };
    let mut made = plan::Image::default();
    for (key, value) in object.iter() {
        let words = || value.to_text().split_whitespace().map(str::to_owned).collect();
        match key {
            "image" => made.name = value.to_text().to_string(),
            "options" => made.options = Some(value.to_text().to_string()),
            "command" => made.command = Some(words()),
            "entrypoint" => made.entrypoint = Some(words()),
            "volumes" => made.volumes = texts(session, span, value, key),
            "ports" => {
                let all = texts(session, span, value, key);
                made.ports = all
                    .iter()
                    .flat_map(|text| ports::of_text(session, span, text))
                    .collect();
            }
            "env" => match value {
                Value::Object(env) => {
                    let raw = |(key, value): (&str, &Value)| Variable {
                        raw: true,
                        ..Variable::plain(key, value.to_text().to_string())
                    };
                    made.variables = env.iter().map(raw).collect();
                }
                _ => session.error(&code::GITHUB_VALUE, span, format!("`env` of {what} must be an object")),
            },
            other => {
                let problem = Problem::new(&code::GITHUB_UNKNOWN_KEY, span, format!("{what} has no `{other}`"));
                session.report(problem.suggest(other, KEYS));
            }
        }
    }
    (!made.name.is_empty()).then_some(made)
}

fn texts(session: &Session<'_>, span: Span, value: &Value, key: &str) -> Vec<String> {
    let Value::Array(array) = value else {
        session.error(&code::GITHUB_VALUE, span, format!("`{key}` must be a list"));
        return Vec::new();
    };
    array.items.iter().map(|item| item.to_text().to_string()).collect()
}
