//! What the text of a scalar means.

use std::borrow::Cow;

use super::{Kind, Map, Node, Seq, Style, Tag};

/// Which rules type a plain scalar.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Schema {
    /// YAML 1.1 as Ruby's Psych reads it (GitLab).
    Yaml11,
    /// The core schema of YAML 1.2 (GitHub).
    Core,
}

/// A node with its type decided.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value<'a> {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(&'a str),
    /// `:name`: GitLab takes it as a string.
    Symbol(&'a str),
    /// A date or time of YAML 1.1, which GitLab refuses.
    Date(&'a str),
    Map(&'a Map),
    Seq(&'a Seq),
    /// `!reference [...]` that has not been resolved.
    Reference(&'a Seq),
}

impl Node {
    /// The value under a schema.
    #[must_use]
    pub fn value(&self, schema: Schema) -> Value<'_> {
        match &self.kind {
            Kind::Map(map) => Value::Map(map),
            Kind::Seq(seq) if self.tag == Tag::Reference => Value::Reference(seq),
            Kind::Seq(seq) => Value::Seq(seq),
            Kind::Scalar(text, Style::Plain) => match self.tag {
                Tag::None | Tag::Reference | Tag::Int | Tag::Bool => schema.scalar(text),
                Tag::Float => match schema.scalar(text) {
                    #[expect(clippy::cast_precision_loss, reason = "the tag asks for it")]
                    Value::Int(n) => Value::Float(n as f64),
                    other => other,
                },
                Tag::Null => Value::Null,
                Tag::Str => Value::Text(text),
            },
            Kind::Scalar(text, Style::Quoted | Style::Block) => match self.tag {
                Tag::Int | Tag::Float | Tag::Bool => schema.scalar(text),
                Tag::Null => Value::Null,
                Tag::None | Tag::Reference | Tag::Str => Value::Text(text),
            },
        }
    }
}

impl Node {
    /// The tree as JSON. A `!reference` that is left becomes a list; of several keys of one text the last counts.
    #[must_use]
    pub fn to_json(&self, schema: Schema) -> serde_json::Value {
        match self.value(schema) {
            Value::Null => serde_json::Value::Null,
            Value::Bool(flag) => flag.into(),
            Value::Int(n) => n.into(),
            Value::Float(n) => serde_json::Number::from_f64(n).map_or(serde_json::Value::Null, Into::into),
            Value::Text(text) | Value::Symbol(text) | Value::Date(text) => text.into(),
            Value::Seq(items) | Value::Reference(items) => items.iter().map(|item| item.to_json(schema)).collect(),
            Value::Map(map) => {
                let entry = |(key, value): &(Node, Node)| {
                    let key = key
                        .text()
                        .map_or_else(|| key.to_json(schema).to_string(), |text| text.to_string());
                    (key, value.to_json(schema))
                };
                serde_json::Value::Object(map.iter().map(entry).collect())
            }
        }
    }
}

impl<'a> Value<'a> {
    /// What this is, for messages: "a list", "a number", …
    #[must_use]
    pub fn describe(&self) -> &'static str {
        match self {
            Value::Null => "nothing (null)",
            Value::Bool(_) => "a boolean",
            Value::Int(_) | Value::Float(_) => "a number",
            Value::Text(_) | Value::Symbol(_) => "a string",
            Value::Date(_) => "a date",
            Value::Map(_) => "a map",
            Value::Seq(_) => "a list",
            Value::Reference(_) => "a !reference",
        }
    }

    /// The text of a scalar as GitLab casts it (Ruby's `to_s`): `012` is `10`, `yes` is `true`, null is empty.
    /// `None` for maps and lists.
    #[must_use]
    pub fn to_text(&self) -> Option<Cow<'a, str>> {
        Some(match self {
            Value::Null => Cow::Borrowed(""),
            Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
            Value::Int(n) => Cow::Owned(n.to_string()),
            Value::Float(n) => Cow::Owned(ruby_float(*n)),
            Value::Text(text) | Value::Symbol(text) | Value::Date(text) => Cow::Borrowed(text),
            Value::Map(_) | Value::Seq(_) | Value::Reference(_) => return None,
        })
    }
}

/// A float as Ruby prints it.
fn ruby_float(n: f64) -> String {
    if n.is_nan() {
        return "NaN".to_owned();
    }
    if n.is_infinite() {
        return if n > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    let size = n.abs();
    if size != 0.0 && !(1e-4..1e16).contains(&size) {
        let text = format!("{n:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let digits = if digits.contains('.') {
            digits.to_owned()
        } else {
            format!("{digits}.0")
        };
        let (sign, exponent) = exponent.strip_prefix('-').map_or(('+', exponent), |e| ('-', e));
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    let text = n.to_string();
    if text.contains('.') { text } else { format!("{text}.0") }
}

impl Schema {
    /// The value of a plain scalar.
    #[must_use]
    pub fn scalar(self, text: &str) -> Value<'_> {
        match self {
            Self::Yaml11 => yaml11(text),
            Self::Core => core(text),
        }
    }
}

/// Psych's `ScalarScanner#tokenize`.
fn yaml11(text: &str) -> Value<'_> {
    const LONGEST_WORD: usize = "false".len();
    let Some(first) = text.chars().next() else {
        return Value::Null;
    };
    if first.is_ascii_alphabetic() && text.len() > LONGEST_WORD {
        return Value::Text(text);
    }
    if text == "~" {
        return Value::Null;
    }
    if let Some(word) = word11(text) {
        return word;
    }
    match first {
        '0'..='9' | '+' | '-' | '.' => number11(text),
        ':' if text.len() > 1 => {
            let name = &text[1..];
            let inner = ['"', '\''].iter().find_map(|q| name.strip_prefix(*q)?.strip_suffix(*q));
            Value::Symbol(inner.unwrap_or(name))
        }
        _ => Value::Text(text),
    }
}

/// The words that are not strings, in any case.
fn word11(text: &str) -> Option<Value<'static>> {
    let is = |word: &str| text.eq_ignore_ascii_case(word);
    match (text.len(), text.as_bytes().first()?.to_ascii_lowercase()) {
        (2, b'n') if is("no") => Some(Value::Bool(false)),
        (2, b'o') if is("on") => Some(Value::Bool(true)),
        (3, b'o') if is("off") => Some(Value::Bool(false)),
        (3, b'y') if is("yes") => Some(Value::Bool(true)),
        (4, b'n') if is("null") => Some(Value::Null),
        (4, b't') if is("true") => Some(Value::Bool(true)),
        (5, b'f') if is("false") => Some(Value::Bool(false)),
        _ => None,
    }
}

fn number11(text: &str) -> Value<'_> {
    if is_date(text) || is_time(text) {
        return Value::Date(text);
    }
    if text.len() <= 5 {
        let is = |word: &str| text.eq_ignore_ascii_case(word);
        if is(".inf") || is("+.inf") {
            return Value::Float(f64::INFINITY);
        }
        if is("-.inf") {
            return Value::Float(f64::NEG_INFINITY);
        }
        if is(".nan") {
            return Value::Float(f64::NAN);
        }
    }
    if let Some(value) = sexagesimal(text) {
        return value;
    }
    let (negative, digits) = sign(text);
    if let Some(n) = float11(text, digits) {
        return Value::Float(n);
    }
    integer11(digits, negative).unwrap_or(Value::Text(text))
}

fn sign(text: &str) -> (bool, &str) {
    match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    }
}

/// `[-+]?([0-9][0-9_,]*)?\.[0-9]*([eE][+-][0-9]+)?`, but not a lone point.
fn float11(text: &str, digits: &str) -> Option<f64> {
    let (whole, rest) = digits.split_once('.')?;
    let good_whole = whole.is_empty()
        || (whole.starts_with(|c: char| c.is_ascii_digit())
            && whole.bytes().all(|b| b.is_ascii_digit() || b == b'_' || b == b','));
    let (fraction, exponent) = match rest.find(['e', 'E']) {
        Some(at) => (&rest[..at], Some(&rest[at + 1..])),
        None => (rest, None),
    };
    let good_exponent = exponent.is_none_or(|e| {
        let digits = e.strip_prefix(['+', '-']);
        digits.is_some_and(|d| !d.is_empty() && d.bytes().all(|b| b.is_ascii_digit()))
    });
    let good_fraction = fraction.bytes().all(|b| b.is_ascii_digit());
    if !(good_whole && good_fraction && good_exponent) || (whole.is_empty() && fraction.is_empty()) {
        return None;
    }
    let clean: String = text.chars().filter(|c| *c != '_' && *c != ',').collect();
    clean.parse().ok()
}

fn integer11(digits: &str, negative: bool) -> Option<Value<'_>> {
    let all = |text: &str, good: fn(u8) -> bool| !text.is_empty() && text.bytes().all(good);
    let (radix, body) = if let Some(body) = digits.strip_prefix("0b") {
        (all(body, |b| matches!(b, b'0' | b'1' | b'_')).then_some(2)?, body)
    } else if let Some(body) = digits.strip_prefix("0x") {
        (all(body, |b| b.is_ascii_hexdigit() || b == b'_').then_some(16)?, body)
    } else if digits.len() > 1 && digits.starts_with('0') {
        (
            all(digits, |b| matches!(b, b'0'..=b'7' | b'_' | b',')).then_some(8)?,
            digits,
        )
    } else if digits.starts_with(|c: char| c.is_ascii_digit()) {
        (
            all(digits, |b| b.is_ascii_digit() || matches!(b, b'_' | b',')).then_some(10)?,
            digits,
        )
    } else {
        return None;
    };
    let clean: String = body.chars().filter(|c| *c != '_' && *c != ',').collect();
    let Ok(n) = i128::from_str_radix(&clean, radix) else {
        return (radix == 10).then(|| clean.parse().ok()).flatten().map(Value::Float);
    };
    let n = if negative { -n } else { n };
    #[expect(clippy::cast_precision_loss, reason = "beyond 64 bits only the size counts")]
    Some(i64::try_from(n).map_or(Value::Float(n as f64), Value::Int))
}

/// `1:30` and `1:20:30`. Psych counts the first part as hours even where there are only two: `1:30` is 5400.
fn sexagesimal(text: &str) -> Option<Value<'static>> {
    let (_, digits) = sign(text);
    if !digits.contains(':') {
        return None;
    }
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(w, f)| (w, Some(f)));
    if fraction.is_some_and(|f| !f.bytes().all(|b| b.is_ascii_digit() || b == b'_')) {
        return None;
    }
    let parts: Vec<&str> = whole.split(':').collect();
    let first_good =
        parts[0].starts_with(|c: char| c.is_ascii_digit()) && parts[0].bytes().all(|b| b.is_ascii_digit() || b == b'_');
    let rest_good = parts[1..]
        .iter()
        .all(|part| matches!(part.as_bytes(), [b'0'..=b'9'] | [b'0'..=b'5', b'0'..=b'9']));
    if !(first_good && rest_good && (2..=3).contains(&parts.len())) {
        return None;
    }
    let mut sum = 0_i64;
    for (part, unit) in parts.iter().zip([3600_i64, 60, 1]) {
        let n: i64 = part.replace('_', "").parse().ok()?;
        sum = sum.checked_add(n.checked_mul(unit)?)?;
    }
    let sum = if text.starts_with('-') { -sum } else { sum };
    Some(match fraction {
        None => Value::Int(sum),
        #[expect(clippy::cast_precision_loss, reason = "a time of day")]
        Some(f) => Value::Float(sum as f64 + format!("0.{}", f.replace('_', "")).parse().unwrap_or(0.0)),
    })
}

/// `2024-01-31`, a day that exists in some year.
fn is_date(text: &str) -> bool {
    let mut parts = text.split('-');
    let (Some(year), Some(month), Some(day), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return false;
    };
    let number = |part: &str, longest: usize| {
        let digits = !part.is_empty() && part.len() <= longest && part.bytes().all(|b| b.is_ascii_digit());
        digits.then(|| part.parse::<u32>().ok()).flatten()
    };
    let (Some(year), Some(month), Some(day)) = (
        number(year, 4).filter(|_| year.len() == 4),
        number(month, 2),
        number(day, 2),
    ) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => 0,
    };
    (1..=days).contains(&day)
}

/// `2024-01-31 10:00:00`, `2024-01-31T10:00:00.5Z`, …
fn is_time(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let Some(at) = text.find(|c: char| c == 'T' || c == 't' || c.is_whitespace()) else {
        return false;
    };
    let (date, rest) = text.split_at(at);
    let rest = rest.trim_start_matches(['T', 't']).trim_start();
    let mut numbers = date.split('-');
    let lengths: Vec<usize> = numbers.by_ref().map(str::len).collect();
    let date_good =
        matches!(lengths.as_slice(), [4, 1..=2, 1..=2]) && date.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    let clock_end = rest
        .find(|c: char| !(c.is_ascii_digit() || c == ':'))
        .unwrap_or(rest.len());
    let clock: Vec<usize> = rest[..clock_end].split(':').map(str::len).collect();
    let zone = rest[clock_end..]
        .trim_start_matches(|c: char| c == '.' || c.is_ascii_digit())
        .trim_start();
    let zone_good = zone.is_empty()
        || zone == "Z"
        || (zone.starts_with(['+', '-']) && zone[1..].bytes().all(|b| b.is_ascii_digit() || b == b':'));
    date_good && matches!(clock.as_slice(), [1..=2, 2, 2]) && zone_good
}

/// The core schema of YAML 1.2.
fn core(text: &str) -> Value<'_> {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        _ => {}
    }
    let (negative, digits) = sign(text);
    if matches!(digits, ".inf" | ".Inf" | ".INF") {
        return Value::Float(if negative { f64::NEG_INFINITY } else { f64::INFINITY });
    }
    let radix = |prefix: &str, radix: u32| {
        let body = text.strip_prefix(prefix)?;
        i64::from_str_radix(body, radix)
            .ok()
            .filter(|_| !body.starts_with(['+', '-']))
    };
    if let Some(n) = radix("0o", 8).or_else(|| radix("0x", 16)) {
        return Value::Int(n);
    }
    if !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()) {
        return text
            .parse()
            .map_or_else(|_| text.parse().map_or(Value::Text(text), Value::Float), Value::Int);
    }
    let numeric = digits.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && digits.bytes().any(|b| b.is_ascii_digit())
        && digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    match text.parse() {
        Ok(n) if numeric => Value::Float(n),
        Ok(_) | Err(_) => Value::Text(text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: Schema, text: &str, expected: &str) {
        let value = schema.scalar(text);
        let found = match value {
            Value::Text(t) => format!("'{t}'"),
            Value::Symbol(t) => format!(":{t}"),
            Value::Date(_) => "date".to_owned(),
            Value::Null => "null".to_owned(),
            other => other.to_text().unwrap_or_default().into_owned(),
        };
        assert_eq!(found, expected, "{schema:?} {text:?}");
    }

    #[test]
    fn yaml_1_1_as_psych() {
        for (text, expected) in [
            ("", "null"),
            ("~", "null"),
            ("null", "null"),
            ("NULL", "null"),
            ("nUll", "null"),
            ("yes", "true"),
            ("On", "true"),
            ("TRUE", "true"),
            ("no", "false"),
            ("off", "false"),
            ("y", "'y'"),
            ("n", "'n'"),
            ("yes please", "'yes please'"),
            ("012", "10"),
            ("08", "'08'"),
            ("0o12", "'0o12'"),
            ("0b101", "5"),
            ("0x1F", "31"),
            ("1_000", "1000"),
            ("1,000", "1000"),
            ("-7", "-7"),
            ("+7", "7"),
            ("0", "0"),
            ("1:30", "5400"),
            ("1:20:30", "4830"),
            ("12:60", "'12:60'"),
            ("1:30.5", "5400.5"),
            (".5", "0.5"),
            ("1.", "1.0"),
            ("1.10", "1.1"),
            ("1e3", "'1e3'"),
            ("1.0e+3", "1000.0"),
            ("1.0e+20", "1.0e+20"),
            ("1.5e-7", "1.5e-07"),
            (".", "'.'"),
            ("-", "'-'"),
            ("+", "'+'"),
            ("1.2.3", "'1.2.3'"),
            (".inf", "Infinity"),
            ("-.INF", "-Infinity"),
            (".NaN", "NaN"),
            ("2024-01-31", "date"),
            ("2024-02-30", "'2024-02-30'"),
            ("2024-1-1", "date"),
            ("2024-01-31 10:00:00", "date"),
            ("2024-01-31T10:00:00Z", "date"),
            ("2024-01-31T10:00:00.5+02:00", "date"),
            (":sym", ":sym"),
            (":\"a b\"", ":a b"),
            (":", "':'"),
            ("1.2.3-4", "'1.2.3-4'"),
            ("99999999999999999999", "1.0e+20"),
            ("$CI", "'$CI'"),
            ("é", "'é'"),
        ] {
            check(Schema::Yaml11, text, expected);
        }
    }

    #[test]
    fn core_schema() {
        for (text, expected) in [
            ("yes", "'yes'"),
            ("True", "true"),
            ("", "null"),
            ("012", "12"),
            ("0o12", "10"),
            ("0x1f", "31"),
            ("1:30", "'1:30'"),
            ("1e3", "1000.0"),
            ("1_000", "'1_000'"),
            ("2024-01-31", "'2024-01-31'"),
            ("-.5", "-0.5"),
            ("e3", "'e3'"),
            ("+", "'+'"),
            ("infinity", "'infinity'"),
            ("0x-1", "'0x-1'"),
            ("nan", "'nan'"),
        ] {
            check(Schema::Core, text, expected);
        }
    }
}
