//! The text of a configuration as a tree that knows its places.

use std::ops::Range;

use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use toml::de::{DeTable, DeValue, Deserializer};
use toml::{Spanned, Table};

use super::schema::{Unknown, normalise};
use super::{Config, Place, Problem};

/// A parsed text. Its keys are those of the schema, whatever their case was.
#[derive(Debug, Clone)]
pub(super) struct Document<'t> {
    text: &'t str,
    tree: Spanned<DeTable<'t>>,
    unknown: Vec<Unknown>,
}

impl<'t> Document<'t> {
    pub(super) fn parse(text: &'t str) -> Result<Self, toml::de::Error> {
        let tree = DeTable::parse(text)?;
        Ok(Self::of(text, tree))
    }

    /// As [`parse`](Self::parse), but with all faults of the syntax.
    pub(super) fn parse_or_problems(text: &'t str) -> Result<Self, Vec<Problem>> {
        let (tree, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            return Ok(Self::of(text, tree));
        }
        let problem = |error: &toml::de::Error| Problem {
            place: Place::of(text, error.span().map_or(0, |span| span.start)),
            message: error.message().to_owned(),
            hint: None,
        };
        Err(errors.iter().map(problem).collect())
    }

    fn of(text: &'t str, mut tree: Spanned<DeTable<'t>>) -> Self {
        let unknown = normalise(tree.get_mut(), text);
        Self { text, tree, unknown }
    }

    pub(super) fn unknown(&self) -> &[Unknown] {
        &self.unknown
    }

    /// The tree without its places.
    pub(super) fn table(&self) -> Result<Table, toml::de::Error> {
        Table::deserialize(Deserializer::from(self.tree.clone()))
    }

    /// The typed view. Keys with a value of the wrong type are left out of it and given as problems.
    pub(super) fn typed(&self) -> (Config, Vec<Problem>) {
        let mut tree = self.tree.clone();
        let mut problems = Vec::new();
        loop {
            let error = match Config::deserialize(Deserializer::from(tree.clone())) {
                Ok(config) => return (config, problems),
                Err(error) => error,
            };
            let at = error.span().map_or(0, |span| span.start);
            let cut = cut(tree.get_mut(), at, "");
            problems.push(Problem {
                place: Place::of(self.text, at),
                message: wrong_value(cut.as_deref(), error.message()),
                hint: None,
            });
            if cut.is_none() {
                // What cannot be found cannot be left out: the rest stays unchecked.
                return (Config::default(), problems);
            }
        }
    }

    /// Where the value of `key` stands in the `[[runners]]` section of that index, or at the top; where it is missing,
    /// the section.
    pub(super) fn place(&self, runner: Option<usize>, key: &str) -> Place {
        let root = self.tree.get_ref();
        let section = runner.and_then(|index| {
            let item = root.get("runners")?.get_ref().as_array()?.get(index)?;
            Some((item.get_ref().as_table()?, item.span().start))
        });
        let (section, begin) = section.unwrap_or((root, 0));
        let at = section.get(key).map_or(begin, |value| value.span().start);
        Place::of(self.text, at)
    }
}

/// A section as its type.
///
/// # Errors
/// A key has a value of the wrong type: its path, and what is wrong.
pub(crate) fn decoded<T: DeserializeOwned>(section: &Table) -> Result<T, String> {
    // Through its text: the types are read from one format alone, since each costs half a megabyte of program.
    let text = section.to_string();
    let mut tree = DeTable::parse(&text).map_err(|error| error.message().to_owned())?;
    T::deserialize(Deserializer::from(tree.clone())).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong_value(cut(tree.get_mut(), at, "").as_deref(), error.message())
    })
}

/// Removes the innermost key whose name or value stands at `at`; gives its path.
fn cut(table: &mut DeTable<'_>, at: usize, path: &str) -> Option<String> {
    let within = |span: Range<usize>| span.contains(&at) || span.start == at;
    let names: Vec<String> = table.keys().map(|key| key.get_ref().to_string()).collect();
    for name in names {
        let here = format!("{path}{name}");
        let (key, value) = (
            table.get_key_value(name.as_str())?.0.span(),
            table.get_mut(name.as_str())?,
        );
        let mine = within(key) || within(value.span());
        let below = match value.get_mut() {
            DeValue::Table(below) => cut(below, at, &format!("{here}.")),
            DeValue::Array(items) => items
                .iter_mut()
                .enumerate()
                .find_map(|(index, item)| match item.get_mut() {
                    DeValue::Table(below) => cut(below, at, &format!("{here}[{index}].")),
                    _ => None,
                }),
            _ => None,
        };
        if below.is_some() {
            return below;
        }
        if mine {
            table.remove(name.as_str());
            return Some(here);
        }
    }
    None
}

/// The decoder's message in words for people, without the value: it may be a secret.
fn wrong_value(key: Option<&str>, message: &str) -> String {
    let words = match message
        .strip_prefix("invalid type: ")
        .and_then(|rest| rest.rsplit_once(", expected "))
    {
        Some((found, expected)) => {
            let found = found.split([' ', '`', '"']).next().unwrap_or(found);
            format!("expected {}, found {}", kind(expected), kind(found))
        }
        None => match message
            .strip_prefix("invalid value: ")
            .and_then(|rest| rest.rsplit_once(", expected "))
        {
            Some((_, expected)) => format!("out of range: expected {}", kind(expected)),
            None => message.trim().to_owned(),
        },
    };
    match key {
        Some(key) => format!("{key}: {words}"),
        None => words,
    }
}

/// Names of types as people know them.
fn kind(word: &str) -> &str {
    match word {
        "u32" | "u64" | "usize" => "a whole number from 0",
        "i32" | "i64" => "a whole number",
        "f64" => "a number with a point",
        "integer" => "a whole number",
        "floating" => "a number with a point",
        "boolean" | "a boolean" => "true or false",
        "sequence" | "a sequence" => "a list",
        "map" | "a map" => "a section",
        "string" | "a string" => "a text",
        other => other,
    }
}
