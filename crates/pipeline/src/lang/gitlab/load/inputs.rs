//! Values for the inputs that a file declares.

use std::collections::HashMap;

use super::SCHEMA;
use super::header::{Input, Kind};
use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::expr;
use crate::yaml::{Kind as NodeKind, Map, Node, Span, Text, Value};

/// Most inputs that a pipeline may be started with.
const MOST_GIVEN: usize = 20;

/// Values that somebody gives to a file.
#[derive(Debug)]
pub(super) struct Given {
    pub(super) values: Vec<(Node, Node)>,
    /// Where a missing value is reported: the `include`, or the file.
    at: Span,
}

impl Given {
    /// The inputs that the pipeline was started with.
    pub(super) fn from_trigger(session: &Session<'_>, at: Span) -> Self {
        let inputs = &session.input.context.trigger.inputs;
        if inputs.len() > MOST_GIVEN {
            let message = format!(
                "a pipeline can be started with at most {MOST_GIVEN} inputs, not {}",
                inputs.len()
            );
            session.error(&code::GITLAB_INPUT, at, message);
        }
        let values = inputs
            .iter()
            .map(|(name, value)| (Node::string(name.as_str(), at), from_json(value, at, 0)));
        Self {
            values: values.collect(),
            at,
        }
    }

    /// `include:inputs`.
    pub(super) fn from_include(inputs: Option<&Map>, at: Span) -> Self {
        Self {
            values: inputs.map(|inputs| inputs.to_vec()).unwrap_or_default(),
            at,
        }
    }

    fn get(&self, name: &str) -> Option<&Node> {
        let (_, value) = self
            .values
            .iter()
            .find(|(key, _)| key.text().is_some_and(|text| &**text == name))?;
        Some(value)
    }
}

/// A value of JSON as a node.
fn from_json(value: &serde_json::Value, at: Span, depth: usize) -> Node {
    match value {
        serde_json::Value::Null => Node::plain("null", at),
        serde_json::Value::Bool(flag) => Node::plain(if *flag { "true" } else { "false" }, at),
        serde_json::Value::Number(number) => Node::plain(number.to_string(), at),
        serde_json::Value::String(text) => Node::string(text.as_str(), at),
        _ if depth > 50 => Node::plain("null", at),
        serde_json::Value::Array(items) => {
            Node::seq(items.iter().map(|item| from_json(item, at, depth + 1)).collect(), at)
        }
        serde_json::Value::Object(map) => {
            let entries = map
                .iter()
                .map(|(key, value)| (Node::string(key.as_str(), at), from_json(value, at, depth + 1)));
            Node::map(entries.collect(), at)
        }
    }
}

/// The value of each declared input. What is missing, unknown or wrong is reported.
pub(super) fn resolve(session: &Session<'_>, declared: &[Input], given: &Given) -> HashMap<Text, Node> {
    for (key, _) in &given.values {
        let Some(name) = key
            .text()
            .filter(|name| !declared.iter().any(|input| input.name == **name))
        else {
            continue;
        };
        let message = format!("unknown input arguments: {name}");
        let known = declared.iter().map(|input| &*input.name);
        session.report(Problem::new(&code::GITLAB_INPUT, key.span, message).suggest(name, known));
    }
    let mut resolver = Resolver {
        session,
        given,
        declared,
        resolved: HashMap::new(),
    };
    for input in declared {
        if let Some(value) = resolver.value(input) {
            resolver.resolved.insert(input.name.clone(), value);
        }
    }
    resolver.resolved
}

struct Resolver<'r, 's, 'a> {
    session: &'s Session<'a>,
    given: &'r Given,
    declared: &'r [Input],
    resolved: HashMap<Text, Node>,
}

impl Resolver<'_, '_, '_> {
    fn error(&self, input: &Input, at: Span, what: &str) {
        let message = format!("`{}` input: {what}", input.name);
        let mut problem = Problem::new(&code::GITLAB_INPUT, at, message);
        if at != input.span {
            problem = problem.via(format!("declared at {}", self.session.place(input.span)));
        }
        self.session.report(problem);
    }

    fn value(&self, input: &Input) -> Option<Node> {
        let (options, default) = self.by_rules(input)?;
        let (value, at) = match (self.given.get(&input.name), default) {
            (Some(given), _) => (given.clone(), given.span),
            (None, Some(default)) => {
                if matches!(default.value(SCHEMA), Value::Null) {
                    return Some(default.clone());
                }
                (default.clone(), default.span)
            }
            (None, None) => {
                self.error(input, self.given.at, "required value has not been provided");
                return None;
            }
        };
        let from_text = self.given.get(&input.name).is_some();
        let value = self.cast(input, value, from_text, at)?;
        self.check(input, options, &value, at).then_some(value)
    }

    /// Options and default of an input: its own, or those of its first rule that holds.
    fn by_rules<'i>(&self, input: &'i Input) -> Option<(Option<&'i [Node]>, Option<&'i Node>)> {
        if input.rules.is_empty() {
            return Some((input.options.as_deref(), input.default.as_ref()));
        }
        for rule in &input.rules {
            let holds = match &rule.condition {
                None => true,
                Some(condition) => self.holds(input, condition)?,
            };
            if holds {
                return Some((rule.options.as_deref(), rule.default.as_ref()));
            }
        }
        Some((None, None))
    }

    /// Whether a condition over other inputs holds.
    fn holds(&self, input: &Input, condition: &Node) -> Option<bool> {
        let Value::Text(text) = condition.value(SCHEMA) else {
            self.error(input, condition.span, "rule if should be a string");
            return None;
        };
        // `$[[ inputs.x ]]` becomes a variable, which the expression language knows.
        let mut values: HashMap<String, String> = HashMap::new();
        let mut rewritten = String::new();
        let mut rest = text;
        while let Some(at) = rest.find("$[[") {
            rewritten.push_str(&rest[..at]);
            let block = &rest[at + 3..];
            let Some(end) = block.find("]]") else { break };
            let name = block[..end]
                .trim()
                .strip_prefix("inputs.")
                .map(str::trim)
                .unwrap_or_default();
            let Some(other) = self.declared.iter().find(|other| &*other.name == name) else {
                self.error(
                    input,
                    condition.span,
                    &format!("rule if refers to an undefined input `{name}`"),
                );
                return None;
            };
            let known = self.given.get(name).or_else(|| self.resolved.get(&other.name));
            let Some(known) = known else {
                let what = format!("rule if refers to the input `{name}`, which has no value yet; declare it above");
                self.error(input, condition.span, &what);
                return None;
            };
            let variable = format!("INPUT_{}", values.len());
            rewritten.push('$');
            rewritten.push_str(&variable);
            let value = known.value(SCHEMA);
            if !matches!(value, Value::Null) {
                values.insert(variable, value.to_text().unwrap_or_default().into_owned());
            }
            rest = &block[end + 2..];
        }
        rewritten.push_str(rest);
        match expr::parse(&rewritten) {
            Ok(expr) => Some(expr::holds(&expr, &values)),
            Err(error) => {
                self.error(
                    input,
                    condition.span,
                    &format!("rule if invalid expression syntax: {error}"),
                );
                None
            }
        }
    }

    /// The value as the type of the input wants it. Text is read as JSON where that helps.
    fn cast(&self, input: &Input, value: Node, from_text: bool, at: Span) -> Option<Node> {
        let value = match (&value.kind, input.kind) {
            (NodeKind::Scalar(text, _), Kind::Number | Kind::Boolean | Kind::Array)
                if from_text && matches!(value.value(SCHEMA), Value::Text(_)) =>
            {
                serde_json::from_str(text).map_or_else(|_| value.clone(), |json| from_json(&json, at, 0))
            }
            _ => value,
        };
        let good = match (input.kind, value.value(SCHEMA)) {
            (Kind::String, Value::Text(_)) => true,
            (Kind::String, scalar) => match scalar.to_text() {
                Some(text) if scalar != Value::Null => return Some(Node::string(text.as_ref(), value.span)),
                Some(_) | None => false,
            },
            (Kind::Number, Value::Int(_) | Value::Float(_)) => true,
            (Kind::Boolean, Value::Bool(_)) => true,
            (Kind::Array, Value::Seq(_)) => true,
            (Kind::Number | Kind::Boolean | Kind::Array, _) => false,
        };
        if !good {
            let article = if input.kind == Kind::Array { "an" } else { "a" };
            let source = if from_text { "provided" } else { "default" };
            self.error(
                input,
                at,
                &format!("{source} value is not {article} {}", input.kind.name()),
            );
        }
        good.then_some(value)
    }

    fn check(&self, input: &Input, options: Option<&[Node]>, value: &Node, at: Span) -> bool {
        if let Some(options) = options {
            let allowed = |value: &Node| {
                let text = value.value(SCHEMA).to_text();
                options.iter().any(|option| option.value(SCHEMA).to_text() == text)
            };
            let wrong = match value.as_seq() {
                Some(items) => items.iter().find(|item| !allowed(item)),
                None => Some(value).filter(|value| !allowed(value)),
            };
            if let Some(wrong) = wrong {
                let shown = wrong.value(SCHEMA).to_text().unwrap_or_default();
                let list: Vec<_> = options
                    .iter()
                    .filter_map(|option| option.value(SCHEMA).to_text())
                    .collect();
                let what = format!(
                    "`{shown}` cannot be used because it is not in the list of allowed options: {}",
                    list.join(", ")
                );
                self.error(input, at, &what);
                return false;
            }
        }
        if let (Some(regex), Some(text)) = (&input.regex, value.text())
            && !regex.is_match(text)
        {
            let what = format!("`{text}` does not match the required RE2 pattern `{}`", regex.as_str());
            self.error(input, at, &what);
            return false;
        }
        true
    }
}
