//! The functions.

use super::ast::Expr;
use super::compare;
use super::evaluate::{Error, Evaluation, within_limit};
use super::json;
use super::value::{Value, fold};

/// Calls a function by its name, whose case does not matter.
pub(super) fn call(evaluation: &Evaluation<'_>, name: &str, arguments: &[Expr], depth: usize) -> Result<Value, Error> {
    let known = name.to_ascii_lowercase();
    let (least, most) = match known.as_str() {
        "contains" | "startswith" | "endswith" => (2, 2),
        "format" => (1, 255),
        "join" => (1, 2),
        "tojson" | "fromjson" => (1, 1),
        "case" => (3, 255),
        "success" | "failure" | "always" | "cancelled" => (0, 255),
        _ => (0, 255),
    };
    let given = arguments.len();
    if given < least || given > most || (known == "case" && given.is_multiple_of(2)) {
        return Err(Error::Arguments {
            function: name.to_owned(),
            given,
        });
    }
    let argument = |i: usize| evaluation.value(&arguments[i], depth);
    match known.as_str() {
        "contains" => Ok(Value::Bool(contains(&argument(0)?, &argument(1)?))),
        "startswith" => Ok(Value::Bool(with_texts(&argument(0)?, &argument(1)?, |a, b| {
            a.starts_with(b)
        }))),
        "endswith" => Ok(Value::Bool(with_texts(&argument(0)?, &argument(1)?, |a, b| {
            a.ends_with(b)
        }))),
        "format" => format(evaluation, arguments, depth),
        "join" => join(evaluation, arguments, depth),
        "tojson" => {
            let value = argument(0)?;
            let mut text = String::new();
            json::write(&value, 0, &mut text);
            evaluation.made(text)
        }
        "fromjson" => json::read(&argument(0)?.to_text()).map_err(|problem| Error::Function {
            function: name.to_owned(),
            problem,
        }),
        "case" => case(evaluation, name, arguments, depth),
        _ => {
            let values = (0..given).map(argument).collect::<Result<Vec<_>, _>>()?;
            match evaluation.context.call(&known, &values) {
                Some(result) => result.map_err(|problem| Error::Function {
                    function: name.to_owned(),
                    problem,
                }),
                None => Err(Error::UnknownFunction(name.to_owned())),
            }
        }
    }
}

fn contains(all: &Value, one: &Value) -> bool {
    match all {
        Value::Array(array) => array.items.iter().any(|item| compare::loose_equal(item, one)),
        Value::Object(_) => false,
        _ => with_texts(all, one, |all, one| all.contains(one)),
    }
}

/// Compares two primitives as texts without case; others never fit.
fn with_texts(a: &Value, b: &Value, test: impl Fn(&str, &str) -> bool) -> bool {
    a.is_primitive() && b.is_primitive() && test(&fold(&a.to_text()), &fold(&b.to_text()))
}

fn join(evaluation: &Evaluation<'_>, arguments: &[Expr], depth: usize) -> Result<Value, Error> {
    let items = evaluation.value(&arguments[0], depth)?;
    let Value::Array(array) = &items else {
        return Ok(if items.is_primitive() {
            Value::Text(items.to_text())
        } else {
            Value::text("")
        });
    };
    let separator = match arguments.get(1) {
        Some(argument) => Some(evaluation.value(argument, depth)?).filter(Value::is_primitive),
        None => None,
    };
    let separator = separator.map_or_else(|| ",".into(), |value| value.to_text());
    let mut text = String::new();
    for (i, item) in array.items.iter().enumerate() {
        if i > 0 {
            text.push_str(&separator);
        }
        text.push_str(&item.to_text());
        within_limit(text.len())?;
    }
    evaluation.made(text)
}

fn case(evaluation: &Evaluation<'_>, name: &str, arguments: &[Expr], depth: usize) -> Result<Value, Error> {
    let (pairs, default) = arguments.split_at(arguments.len() - 1);
    for pair in pairs.chunks(2) {
        match evaluation.value(&pair[0], depth)? {
            Value::Bool(true) => return evaluation.value(&pair[1], depth),
            Value::Bool(false) => {}
            other => {
                return Err(Error::Function {
                    function: name.to_owned(),
                    problem: format!("its conditions must be true or false, not `{}`", other.to_text()),
                });
            }
        }
    }
    evaluation.value(&default[0], depth)
}

/// `{0}` is the first argument; `{{` and `}}` are braces; any other brace is an error.
fn format(evaluation: &Evaluation<'_>, arguments: &[Expr], depth: usize) -> Result<Value, Error> {
    let template = evaluation.value(&arguments[0], depth)?.to_text();
    let bad = |problem: &str| Error::Function {
        function: "format".to_owned(),
        problem: format!("{problem} in `{template}`"),
    };
    let mut out = String::new();
    let mut rest: &str = &template;
    while let Some(at) = rest.find(['{', '}']) {
        out.push_str(&rest[..at]);
        let brace = rest.as_bytes()[at];
        rest = &rest[at + 1..];
        if rest.as_bytes().first() == Some(&brace) {
            out.push(char::from(brace));
            rest = &rest[1..];
        } else if brace == b'}' {
            return Err(bad("a `}` that closes nothing"));
        } else {
            let Some((inner, after)) = rest.split_once('}') else {
                return Err(bad("a `{` that is not closed"));
            };
            let digits = !inner.is_empty() && inner.bytes().all(|b| b.is_ascii_digit());
            let index: u8 = inner
                .parse()
                .ok()
                .filter(|_| digits)
                .ok_or_else(|| bad("what stands between braces is no number"))?;
            let argument = arguments
                .get(usize::from(index) + 1)
                .ok_or_else(|| bad("more arguments are used than given"))?;
            out.push_str(&evaluation.value(argument, depth)?.to_text());
            rest = after;
        }
        within_limit(out.len())?;
    }
    out.push_str(rest);
    evaluation.made(out)
}
