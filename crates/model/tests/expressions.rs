//! The public conformance cases of GitHub's expression language, read where `TASUKI_CONFORMANCE` names the folder
//! that has them.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(
    clippy::disallowed_methods,
    reason = "where the cases lie is said by the environment"
)]

use std::path::Path;

use serde_json::Value as Json;
use tasuki_model::expr::syntax::{Names, Problem, parse};
use tasuki_model::expr::{self, Context, Value, evaluate};

/// Cases that are answered otherwise on purpose: file, expression, why.
const EXCEPTIONS: &[(&str, &str, &str)] = &[
    (
        "basic",
        "",
        "an empty `${{ }}` is refused; an empty `if` is `success()` and never read as an expression",
    ),
    (
        "syntax-errors",
        "false && nonExistentFunction()",
        "the case counts the position from 1 for every function",
    ),
];

struct World(Vec<(String, Value)>);

impl Context for World {
    fn root(&self, name: &str) -> Option<Value> {
        let found = self.0.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.clone())
    }

    fn call(&self, name: &str, _: &[Value]) -> Option<Result<Value, String>> {
        matches!(name, "success" | "always").then_some(Ok(Value::Bool(true)))
    }
}

/// The case whose text stays far below 10 MiB, the bound of an expanded file, and is meant to be refused.
fn is_about_memory(case: &Json) -> bool {
    case["err"]["value"] == "The maximum allowed memory size was exceeded"
}

/// Kind and value, as the cases write them.
fn outcome(case: &Json) -> (String, Json) {
    let contexts = case
        .get("contexts")
        .cloned()
        .unwrap_or(Json::Object(serde_json::Map::new()));
    let names: Vec<&str> = contexts.as_object().unwrap().keys().map(String::as_str).collect();
    let names = Names {
        contexts: &names,
        functions: &[],
    };
    let tree = match parse(case["expr"].as_str().unwrap(), &names) {
        Ok(tree) => tree,
        Err(error) => {
            let kind = match error.problem {
                Problem::Symbol(_) => "lexing",
                _ => "parsing",
            };
            return (kind.to_owned(), Json::from(error.at));
        }
    };
    let world = contexts
        .as_object()
        .unwrap()
        .iter()
        .map(|(key, value)| (key.clone(), Value::from(value)));
    match evaluate(&tree, &World(world.collect())) {
        Ok(value) => kind_and_value(&value),
        Err(error) => ("evaluation".to_owned(), error.to_string().into()),
    }
}

fn kind_and_value(value: &Value) -> (String, Json) {
    let kind = match value {
        Value::Null => "Null",
        Value::Bool(_) => "Boolean",
        Value::Number(_) => "Number",
        Value::Text(_) => "String",
        Value::Array(_) => "Array",
        Value::Object(_) => "Object",
    };
    (kind.to_owned(), json(value))
}

fn json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(value) => Json::Bool(*value),
        Value::Number(value) => match serde_json::Number::from_f64(*value) {
            Some(number) => Json::Number(number),
            None => Json::String(value.to_string()),
        },
        Value::Text(text) => Json::String(text.to_string()),
        Value::Array(array) => array.items.iter().map(json).collect(),
        Value::Object(object) => Json::Object(
            object
                .iter()
                .map(|(key, value)| (key.to_owned(), json(value)))
                .collect(),
        ),
    }
}

fn same(a: &Json, b: &Json) -> bool {
    match (a, b) {
        (Json::Number(a), Json::Number(b)) => a.as_f64() == b.as_f64(),
        (Json::Number(a), Json::String(b)) | (Json::String(b), Json::Number(a)) => {
            a.as_f64().map(|a| a.to_string()).as_deref() == Some(number_word(b))
        }
        (Json::String(a), Json::String(b)) => a == b || number_word(a) == number_word(b),
        (Json::Array(a), Json::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Json::Object(a), Json::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// JSON has no infinity: the cases write `Infinity`.
fn number_word(text: &str) -> &str {
    match text {
        "Infinity" => "inf",
        "-Infinity" => "-inf",
        other => other,
    }
}

fn check(file: &str, case: &Json) -> Result<(), String> {
    let (kind, value) = outcome(case);
    let good = match (case.get("result"), case.get("err")) {
        (Some(wanted), _) => {
            let number_as_text = wanted["kind"] == "Number";
            wanted["kind"] == kind.as_str()
                && (same(&value, &wanted["value"])
                    || (number_as_text && wanted["value"].is_null() && value == Json::String("NaN".into())))
        }
        (None, Some(wanted)) => wanted["kind"] == kind.as_str() && same_place(&value, case, &wanted["value"]),
        (None, None) => false,
    };
    let expr = case["expr"].as_str().unwrap();
    let excepted = is_about_memory(case) || EXCEPTIONS.iter().any(|(f, e, _)| *f == file && *e == expr);
    match (good, excepted) {
        (true, false) | (false, true) => Ok(()),
        (true, true) => Err(format!("{file}: {expr}: is listed as an exception, but passes")),
        (false, false) => Err(format!("{file}: {expr}: {kind} {value}, not {case}")),
    }
}

/// Whether the fault is found where the message of the case says, if it says where.
fn same_place(at: &Json, case: &Json, message: &Json) -> bool {
    let message = message.as_str().unwrap_or_default();
    let Some((_, rest)) = message.split_once("Located at position ") else {
        return true;
    };
    let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
    // The last word is blamed where more should follow; arguments are counted at the name of the function.
    let expr = case["expr"].as_str().unwrap();
    let at = usize::try_from(at.as_u64().unwrap()).unwrap();
    digits.parse::<usize>().unwrap() == expr[..at].chars().count() + 1
}

#[test]
fn conformance() {
    let Ok(folder) = std::env::var("TASUKI_CONFORMANCE") else {
        println!("SKIPPED: TASUKI_CONFORMANCE does not name the folder with the cases");
        return;
    };
    let mut count = 0;
    let mut faults = Vec::new();
    let folder = Path::new(&folder).join("github/expressions");
    for entry in std::fs::read_dir(&folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let groups: Json = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        for cases in groups.as_object().unwrap().values() {
            for case in cases.as_array().unwrap() {
                count += 1;
                faults.extend(check(&name, case).err());
            }
        }
    }
    println!("{count} cases");
    assert!(count >= 1_000, "{count} cases in {folder:?}");
    assert!(faults.is_empty(), "{} of {count}:\n{}", faults.len(), faults.join("\n"));
}

/// What is evaluated later means the same after it was stored.
#[test]
fn trees_survive_their_stored_form() {
    let names = Names {
        contexts: &["needs"],
        functions: &["success"],
    };
    let tree = parse("success() && needs.*.result[0] == 'x' || -Infinity < 0x10", &names).unwrap();
    let stored = serde_json::to_string(&tree).unwrap();
    let back: expr::Expr = serde_json::from_str(&stored).unwrap();
    assert_eq!(format!("{back:?}"), format!("{tree:?}"));
}
