//! Values, and GitHub's casts between them.

use std::collections::HashMap;
use std::sync::Arc;

use super::number;

/// A value. Cheap to clone; two clones of one array or object are the same one, which loose equality asks.
#[derive(Debug, Clone, Default)]
pub enum Value {
    #[default]
    Null,
    Bool(bool),
    Number(f64),
    Text(Arc<str>),
    Array(Arc<Array>),
    Object(Arc<Object>),
}

/// A list.
#[derive(Debug, Clone, Default)]
pub struct Array {
    pub items: Vec<Value>,
    /// It came of `.*`: what follows is asked of each item.
    pub(super) is_filtered: bool,
}

/// A map, in the order in which it was made.
#[derive(Debug, Clone)]
pub struct Object {
    entries: Vec<(Arc<str>, Value)>,
    /// Place of each key, in the form in which keys are compared; of few keys there is none, they are searched.
    places: HashMap<String, usize>,
    keys: Keys,
}

/// Objects with more entries than this keep the places of their keys.
const FEW: usize = 8;

/// Whether `Name` and `name` are the same key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    #[default]
    IgnoreCase,
    /// Environment variables of a Unix machine.
    Exact,
}

impl Object {
    /// A map of these entries; of a key given twice the last value stays, in the first one's place.
    pub fn new(keys: Keys, entries: impl IntoIterator<Item = (Arc<str>, Value)>) -> Self {
        let mut object = Self {
            entries: Vec::new(),
            places: HashMap::new(),
            keys,
        };
        for (key, value) in entries {
            match object.place(&key) {
                Some(place) => object.entries[place] = (key, value),
                None => object.push(key, value),
            }
        }
        object
    }

    fn push(&mut self, key: Arc<str>, value: Value) {
        if self.entries.len() == FEW {
            let known = self.entries.iter().enumerate();
            self.places = known.map(|(place, (key, _))| (form(self.keys, key), place)).collect();
        }
        if self.entries.len() >= FEW {
            self.places.insert(form(self.keys, &key), self.entries.len());
        }
        self.entries.push((key, value));
    }

    fn place(&self, key: &str) -> Option<usize> {
        if self.entries.len() > FEW {
            return self.places.get(&form(self.keys, key)).copied();
        }
        self.entries
            .iter()
            .position(|(known, _)| is_same(self.keys, known, key))
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.place(key).map(|place| &self.entries[place].1)
    }

    /// Every entry, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.entries.iter().map(|(key, value)| (key.as_ref(), value))
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

fn form(keys: Keys, key: &str) -> String {
    match keys {
        Keys::IgnoreCase => fold(key),
        Keys::Exact => key.to_owned(),
    }
}

fn is_same(keys: Keys, a: &str, b: &str) -> bool {
    match keys {
        Keys::Exact => a == b,
        Keys::IgnoreCase if a.is_ascii() && b.is_ascii() => a.eq_ignore_ascii_case(b),
        Keys::IgnoreCase => fold(a) == fold(b),
    }
}

/// Text without its case: each letter's own capital, as an ordinal comparison has it.
pub(super) fn fold(text: &str) -> String {
    if text.is_ascii() {
        return text.to_ascii_uppercase();
    }
    text.chars().map(capital).collect()
}

pub(super) fn capital(c: char) -> char {
    let mut upper = c.to_uppercase();
    match (upper.next(), upper.next()) {
        // A dotless i is no i, and a long s no s.
        (Some(one), None) if !one.is_ascii() || c.is_ascii() => one,
        _ => c,
    }
}

impl Value {
    /// A text.
    pub fn text(text: impl Into<Arc<str>>) -> Self {
        Self::Text(text.into())
    }

    /// A list.
    #[must_use]
    pub fn array(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(Array {
            items,
            is_filtered: false,
        }))
    }

    pub(super) fn filtered(items: Vec<Self>) -> Self {
        Self::Array(Arc::new(Array {
            items,
            is_filtered: true,
        }))
    }

    /// A map whose keys ignore case.
    pub fn object<K: Into<Arc<str>>>(entries: impl IntoIterator<Item = (K, Self)>) -> Self {
        let entries = entries.into_iter().map(|(key, value)| (key.into(), value));
        Self::Object(Arc::new(Object::new(Keys::IgnoreCase, entries)))
    }

    /// Null, false, 0, NaN and the empty text are not; all else is.
    #[must_use]
    pub fn is_truthy(&self) -> bool {
        match self {
            Self::Null => false,
            Self::Bool(value) => *value,
            Self::Number(value) => *value != 0.0 && !value.is_nan(),
            Self::Text(text) => !text.is_empty(),
            Self::Array(_) | Self::Object(_) => true,
        }
    }

    /// Whether it is neither array nor object.
    #[must_use]
    pub fn is_primitive(&self) -> bool {
        !matches!(self, Self::Array(_) | Self::Object(_))
    }

    /// Cast to a number: null and false 0, true 1, text as it reads (empty 0), else NaN.
    #[must_use]
    pub fn to_number(&self) -> f64 {
        match self {
            Self::Null | Self::Bool(false) => 0.0,
            Self::Bool(true) => 1.0,
            Self::Number(value) => *value,
            Self::Text(text) => number::parse(text),
            Self::Array(_) | Self::Object(_) => f64::NAN,
        }
    }

    /// Cast to text: null is empty, numbers have up to 15 digits, arrays are `Array`, objects `Object`.
    #[must_use]
    pub fn to_text(&self) -> Arc<str> {
        match self {
            Self::Null => "".into(),
            Self::Bool(true) => "true".into(),
            Self::Bool(false) => "false".into(),
            Self::Number(value) => number::show(*value).into(),
            Self::Text(text) => Arc::clone(text),
            Self::Array(_) => "Array".into(),
            Self::Object(_) => "Object".into(),
        }
    }

    /// Writes it as a text behind another.
    pub(super) fn push_to(&self, text: &mut String) {
        match self {
            Self::Text(own) => text.push_str(own),
            other => text.push_str(&other.to_text()),
        }
    }
}

impl From<&serde_json::Value> for Value {
    fn from(json: &serde_json::Value) -> Self {
        match json {
            serde_json::Value::Null => Self::Null,
            serde_json::Value::Bool(value) => Self::Bool(*value),
            serde_json::Value::Number(value) => Self::Number(value.as_f64().unwrap_or(f64::NAN)),
            serde_json::Value::String(text) => Self::text(text.as_str()),
            serde_json::Value::Array(items) => Self::array(items.iter().map(Self::from).collect()),
            serde_json::Value::Object(map) => Self::object(map.iter().map(|(key, value)| (key.as_str(), value.into()))),
        }
    }
}
