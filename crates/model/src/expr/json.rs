//! `toJSON` and `fromJSON`.

use super::number;
use super::value::Value;

/// Pretty JSON with two spaces; empty arrays and objects stay on one line.
pub(super) fn write(value: &Value, depth: usize, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(value) => out.push_str(if *value { "true" } else { "false" }),
        Value::Number(value) => out.push_str(&number::show(*value)),
        Value::Text(text) => quote(text, out),
        Value::Array(array) => {
            let items = array.items.iter().map(|item| (None, item));
            list(('[', ']'), items, depth, out);
        }
        Value::Object(object) => {
            let items = object.iter().map(|(key, item)| (Some(key), item));
            list(('{', '}'), items, depth, out);
        }
    }
}

fn list<'a>(
    (open, close): (char, char),
    items: impl Iterator<Item = (Option<&'a str>, &'a Value)>,
    depth: usize,
    out: &mut String,
) {
    out.push(open);
    let mut any = false;
    for (key, item) in items {
        out.push_str(if any { ",\n" } else { "\n" });
        any = true;
        indent(depth + 1, out);
        if let Some(key) = key {
            quote(key, out);
            out.push_str(": ");
        }
        write(item, depth + 1, out);
    }
    if any {
        out.push('\n');
        indent(depth, out);
    }
    out.push(close);
}

fn indent(depth: usize, out: &mut String) {
    for _ in 0..depth {
        out.push_str("  ");
    }
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\u{1f}' | '\u{85}' | '\u{2028}' | '\u{2029}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
}

/// The value of a JSON text.
pub(super) fn read(text: &str) -> Result<Value, String> {
    if text.trim().is_empty() {
        return Err("there is no text to read".to_owned());
    }
    serde_json::from_str::<serde_json::Value>(text)
        .map(|json| Value::from(&json))
        .map_err(|error| error.to_string())
}
