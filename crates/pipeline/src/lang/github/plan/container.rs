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
            image: image(session, span, value, &format!("service `{id}`"), Whose::Service)?,
            aliases: vec![id.to_owned()],
        })
    };
    object.iter().filter_map(one).collect()
}

/// An image by its name, or as an object; none where the name is empty.
pub(super) fn image(session: &Session<'_>, span: Span, value: &Value, what: &str, whose: Whose) -> Option<plan::Image> {
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
        let words = || words(session, span, &value.to_text(), &format!("`{key}` of {what}"));
        match key {
            "image" => made.name = value.to_text().to_string(),
            "options" => {
                let text = value.to_text().to_string();
                check_options(session, span, &text, whose);
                made.options = Some(text);
            }
            "command" => made.command = words(),
            "entrypoint" => made.entrypoint = words(),
            "volumes" => {
                made.volumes = texts(session, span, value, key);
                made.volumes.iter().for_each(|text| check_volume(session, span, text));
            }
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

/// Whose container it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whose {
    Job,
    Service,
}

/// Tells what of `options` cannot be used.
pub(super) fn check_options(session: &Session<'_>, span: Span, text: &str, whose: Whose) {
    let refused = |message: String, remedy: &str| {
        session.report(Problem::new(&code::GITHUB_VALUE, span, format!("`options`: {message}")).hint(remedy));
    };
    match plan::Options::parse(text) {
        Ok(options) if whose == Whose::Job && options.entrypoint.is_some() => refused(
            "the container that the steps run in has no entrypoint, so `--entrypoint` cannot be given".to_owned(),
            "run what it starts in a step",
        ),
        Ok(_) => {}
        Err(plan::Refused { message, remedy }) => refused(message, &remedy),
    }
}

/// Tells what of a volume cannot be used.
pub(super) fn check_volume(session: &Session<'_>, span: Span, text: &str) {
    if let Err(plan::Refused { message, remedy }) = plan::Volume::parse(text) {
        session.report(Problem::new(&code::GITHUB_VALUE, span, message).hint(remedy));
    }
}

/// A command line's words.
pub(super) fn words(session: &Session<'_>, span: Span, text: &str, what: &str) -> Option<Vec<String>> {
    let found = plan::words(text);
    if found.is_none() {
        let message = format!("{what} has a quotation mark or a backslash without its other half");
        session.error(&code::GITHUB_VALUE, span, message);
    }
    found
}

fn texts(session: &Session<'_>, span: Span, value: &Value, key: &str) -> Vec<String> {
    let Value::Array(array) = value else {
        session.error(&code::GITHUB_VALUE, span, format!("`{key}` must be a list"));
        return Vec::new();
    };
    array.items.iter().map(|item| item.to_text().to_string()).collect()
}
