//! Inputs of `workflow_dispatch` and `workflow_call`.

use tasuki_model::expr::{Expr, Literal, Value as ExprValue};

use super::super::fields::{self, Field, Wanted};
use super::super::names;
use super::super::read::value;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Span, Value};

/// Inputs that one event may declare.
const MOST_INPUTS: usize = 25;
/// Characters of all values of a dispatch together.
const MOST_CHARS: usize = 65_535;

/// A declared input.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) name: String,
    pub(crate) span: Span,
    pub(crate) kind: InputKind,
    pub(crate) required: bool,
    pub(crate) default: Option<Field>,
    pub(crate) description: Option<String>,
}

/// What an input takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum InputKind {
    Text,
    Bool,
    Number,
    Choice(Vec<String>),
    Environment,
}

/// Who gives the inputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Giver {
    Person,
    Caller,
}

impl Input {
    /// What it is where nobody gives it and it has no default.
    pub(crate) fn nothing(&self) -> ExprValue {
        match self.kind {
            InputKind::Bool => ExprValue::Bool(false),
            InputKind::Number => ExprValue::Number(0.0),
            InputKind::Text | InputKind::Choice(_) | InputKind::Environment => ExprValue::text(""),
        }
    }

    /// A value as this input takes it, or what it must be.
    pub(crate) fn cast(&self, given: &ExprValue) -> Result<ExprValue, String> {
        match (&self.kind, given) {
            (InputKind::Bool, ExprValue::Bool(_)) | (InputKind::Number, ExprValue::Number(_)) => Ok(given.clone()),
            (InputKind::Bool, ExprValue::Text(text)) if matches!(&**text, "true" | "false") => {
                Ok(ExprValue::Bool(&**text == "true"))
            }
            (InputKind::Number, ExprValue::Text(text)) if !text.trim().is_empty() && !given.to_number().is_nan() => {
                Ok(ExprValue::Number(given.to_number()))
            }
            (InputKind::Choice(options), _) if !options.iter().any(|option| **option == *given.to_text()) => {
                Err(format!("one of {}", options.join(", ")))
            }
            (InputKind::Text | InputKind::Choice(_) | InputKind::Environment, _) if given.is_primitive() => {
                Ok(ExprValue::Text(given.to_text()))
            }
            (InputKind::Bool, _) => Err("true or false".to_owned()),
            (InputKind::Number, _) => Err("a number".to_owned()),
            (InputKind::Text | InputKind::Choice(_) | InputKind::Environment, _) => Err("a text".to_owned()),
        }
    }
}

/// Reads `inputs`.
pub(super) fn parse(session: &Session<'_>, node: &Node, giver: Giver) -> Vec<Input> {
    if value(node) == Value::Null {
        return Vec::new();
    }
    let Some(map) = fields::map(session, node, &"`inputs`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`inputs`");
    if giver == Giver::Person && map.len() > MOST_INPUTS {
        let message = format!("{} inputs: there may be {MOST_INPUTS}", map.len());
        session.error(&code::GITHUB_INPUT, node.span, message);
    }
    let one = |(key, node): &(Node, Node)| {
        let name = key.text().map_or("", |text| text);
        fields::check_id(session, name, key.span, "an input");
        input(session, name, key.span, node, giver)
    };
    map.iter().filter_map(one).collect()
}

fn input(session: &Session<'_>, name: &str, span: Span, node: &Node, giver: Giver) -> Option<Input> {
    let what = format!("input `{name}`");
    let mut input = Input {
        name: name.to_owned(),
        span,
        kind: InputKind::Text,
        required: false,
        default: None,
        description: None,
    };
    if value(node) == Value::Null && giver == Giver::Person {
        return Some(input);
    }
    let known: &[&str] = match giver {
        Giver::Person => &[
            "description",
            "required",
            "default",
            "type",
            "options",
            "deprecationMessage",
        ],
        Giver::Caller => &["description", "required", "default", "type"],
    };
    let map = fields::keyed(session, node, &what, known)?;
    if let Some(text) = map.get("description") {
        input.description = fields::plain(session, text, &"`description`").map(str::to_owned);
    }
    if let Some(required) = map.get("required") {
        input.required = fields::flag(session, required, &"`required`")?;
    }
    input.kind = kind(session, &what, span, map.get("type"), map.get("options"), giver)?;
    if let Some(default) = map.get("default") {
        input.default = default_of(session, &input, default, map.get("type").is_some());
    }
    Some(input)
}

fn kind(
    session: &Session<'_>,
    what: &str,
    span: Span,
    node: Option<&Node>,
    options: Option<&Node>,
    giver: Giver,
) -> Option<InputKind> {
    let known: &[&str] = match giver {
        Giver::Person => &["string", "boolean", "number", "choice", "environment"],
        Giver::Caller => &["string", "boolean", "number"],
    };
    let Some(node) = node else {
        if giver == Giver::Caller {
            session.report(
                Problem::new(&code::GITHUB_INPUT, span, format!("{what} has no `type`"))
                    .hint(format!("add one of {}", known.join(", "))),
            );
        }
        return Some(InputKind::Text);
    };
    let name = fields::plain(session, node, &"`type`")?;
    if name == "choice" && giver == Giver::Person {
        let Some(options) = options else {
            session.error(
                &code::GITHUB_INPUT,
                node.span,
                format!("{what} is a choice without `options`"),
            );
            return None;
        };
        let options = options.as_seq().map(|items| {
            items
                .iter()
                .filter_map(|item| fields::plain(session, item, &"an option").map(str::to_owned))
                .collect::<Vec<_>>()
        });
        return match options.filter(|options| !options.is_empty()) {
            Some(options) => Some(InputKind::Choice(options)),
            None => {
                session.error(
                    &code::GITHUB_INPUT,
                    node.span,
                    format!("`options` of {what} is no list of texts"),
                );
                None
            }
        };
    }
    match name {
        "string" => Some(InputKind::Text),
        "boolean" => Some(InputKind::Bool),
        "number" => Some(InputKind::Number),
        "environment" if giver == Giver::Person => Some(InputKind::Environment),
        _ => {
            let message = format!("`{name}` is no type of an input");
            session.report(
                Problem::new(&code::GITHUB_INPUT, node.span, message)
                    .hint(format!("it is one of {}", known.join(", "))),
            );
            None
        }
    }
}

/// The default, which must have the type that is declared. An input without a type takes any scalar as a text.
fn default_of(session: &Session<'_>, input: &Input, node: &Node, typed: bool) -> Option<Field> {
    let field = fields::field(session, node, &"`default`", Wanted::Any, &names::WORKFLOW)?;
    let Expr::Literal(literal) = &field.expr else {
        return Some(field);
    };
    let fits = match (&input.kind, literal) {
        (InputKind::Bool, Literal::Bool(_)) | (InputKind::Number, Literal::Number(_)) => true,
        (InputKind::Bool | InputKind::Number, _) => false,
        (InputKind::Choice(options), _) => node.text().is_some_and(|text| options.iter().any(|o| **o == **text)),
        (InputKind::Text | InputKind::Environment, Literal::Bool(_)) => !typed,
        (InputKind::Text | InputKind::Environment, _) => true,
    };
    if !fits {
        let wanted = match &input.kind {
            InputKind::Bool => "true or false".to_owned(),
            InputKind::Number => "a number".to_owned(),
            InputKind::Choice(options) => format!("one of {}", options.join(", ")),
            InputKind::Text | InputKind::Environment => "a text: put it in quotes".to_owned(),
        };
        let message = format!("the default of input `{}` must be {wanted}", input.name);
        session.error(&code::GITHUB_INPUT, node.span, message);
        return None;
    }
    let is_text = matches!(
        input.kind,
        InputKind::Text | InputKind::Environment | InputKind::Choice(_)
    );
    match (is_text, node.text()) {
        (true, Some(text)) if !text.contains("${{") => Some(Field::text(text, node.span)),
        _ => Some(field),
    }
}

/// The values of a dispatch: what was given, else the default, else nothing of its type.
pub(crate) fn given(session: &Session<'_>, inputs: &[Input]) -> Vec<(String, ExprValue)> {
    let trigger = &session.input.context.trigger;
    for (name, _) in &trigger.inputs {
        if !inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
            let span = inputs.first().map_or_else(Span::default, |input| input.span);
            let message = format!("there is no input `{name}`");
            session.report(
                Problem::new(&code::GITHUB_INPUT, span, message)
                    .suggest(name, inputs.iter().map(|input| input.name.as_str())),
            );
        }
    }
    let mut chars = 0;
    let values = inputs
        .iter()
        .map(|input| {
            let given = trigger
                .inputs
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
            let value = match given {
                Some((_, json)) => {
                    let json = ExprValue::from(json);
                    chars += json.to_text().chars().count();
                    input.cast(&json).unwrap_or_else(|wanted| {
                        let message = format!("input `{}` must be {wanted}", input.name);
                        session.error(&code::GITHUB_INPUT, input.span, message);
                        input.nothing()
                    })
                }
                None => {
                    let default = input.default.as_ref();
                    if default.is_none() && input.required {
                        let message = format!("input `{}` must be given", input.name);
                        session.error(&code::GITHUB_INPUT, input.span, message);
                    }
                    default_value(input)
                }
            };
            (input.name.clone(), value)
        })
        .collect();
    if chars > MOST_CHARS {
        let span = inputs.first().map_or_else(Span::default, |input| input.span);
        session.error(
            &code::GITHUB_INPUT,
            span,
            format!("the inputs have more than {MOST_CHARS} characters"),
        );
    }
    values
}

/// The default as it is written; one with an expression is evaluated by who calls the workflow.
pub(crate) fn default_value(input: &Input) -> ExprValue {
    match &input.default {
        Some(Field {
            expr: tasuki_model::expr::Expr::Literal(literal),
            ..
        }) => fields::literal_value(literal),
        Some(_) | None => input.nothing(),
    }
}
