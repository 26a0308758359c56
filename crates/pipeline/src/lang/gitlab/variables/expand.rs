//! `$name`, `${name}` and `%name%` in texts and in the values of variables.

use std::collections::HashMap;

use tasuki_model::plan::Variable;

/// Bytes that an expanded text may have; references that would make it longer stay as written. A few variables that
/// double one another would otherwise fill the memory.
pub(super) const MAX_EXPANDED: usize = 1 << 20;

/// Variables that refer to one another in a circle.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("circular variable reference detected: [{}]", names.join(", "))]
pub struct Circular {
    pub names: Vec<String>,
}

/// A piece of a text.
enum Part<'a> {
    Text(&'a str),
    /// The name and the reference as written.
    Reference(&'a str, &'a str),
}

/// What `$$` and `%%` mean.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Doubled {
    /// Kept as they are, and nothing after them is a reference: the runner undoes them.
    Escape,
    /// Nothing special: `$$X` is `$` and a reference.
    Plain,
}

/// Replaces every reference; what is not defined becomes nothing. For names (environment, resource group, …).
pub fn expand<'v>(text: &str, mut lookup: impl FnMut(&str) -> Option<std::borrow::Cow<'v, str>>) -> String {
    replace(text, Doubled::Plain, |name, _| {
        lookup(name).unwrap_or_default().into_owned()
    })
}

/// Replaces every reference to something defined; others stay as written. For tags and `rules:changes`.
pub fn expand_existing<'v>(text: &str, mut lookup: impl FnMut(&str) -> Option<std::borrow::Cow<'v, str>>) -> String {
    replace(text, Doubled::Plain, |name, written| {
        lookup(name).map_or_else(|| written.to_owned(), std::borrow::Cow::into_owned)
    })
}

/// The names that a variable's value refers to.
#[must_use]
pub fn references(value: &str) -> Vec<&str> {
    parts(value, Doubled::Escape)
        .into_iter()
        .filter_map(|part| match part {
            Part::Reference(name, _) => Some(name),
            Part::Text(_) => None,
        })
        .collect()
}

/// Expands the values of variables in one another, as the payload of a task needs them: in order of
/// reference, recursively. Undefined references and `$$` stay; references to file and raw variables stay, for
/// the runner. The order of the list (the last of a name wins) does not change.
///
/// A variable that refers to itself gets the value of the same name before it in the list.
///
/// # Errors
/// [`Circular`] where two or more variables refer to one another.
pub fn expand_values(mut variables: Vec<Variable>) -> Result<Vec<Variable>, Circular> {
    let order = order(&variables)?;
    let mut seen: HashMap<String, usize> = HashMap::with_capacity(variables.len());
    for at in order {
        if !variables[at].raw && variables[at].value.contains(['$', '%']) {
            let value = replace(&variables[at].value, Doubled::Escape, |name, written| {
                match seen.get(name).map(|known| &variables[*known]) {
                    Some(known) if !known.file && !known.raw => known.value.clone(),
                    _ => written.to_owned(),
                }
            });
            variables[at].value = value;
        }
        // Visits follow references, so a later visit may be of an earlier, overridden variable.
        let place = seen.entry(variables[at].key.clone()).or_insert(at);
        *place = at.max(*place);
    }
    Ok(variables)
}

/// Indices so that every variable comes after those it refers to.
fn order(variables: &[Variable]) -> Result<Vec<usize>, Circular> {
    let last: HashMap<&str, usize> = variables
        .iter()
        .enumerate()
        .map(|(at, v)| (v.key.as_str(), at))
        .collect();
    let children: Vec<Vec<usize>> = variables
        .iter()
        .map(|v| {
            if v.raw {
                return Vec::new();
            }
            references(&v.value)
                .into_iter()
                .filter_map(|name| last.get(name).copied())
                .collect()
        })
        .collect();
    let mut state = vec![Visit::New; variables.len()];
    let mut order = Vec::with_capacity(variables.len());
    for start in 0..variables.len() {
        visit(start, &children, &mut state, &mut order).map_err(|circle| Circular {
            names: circle.into_iter().map(|at| variables[at].key.clone()).collect(),
        })?;
    }
    Ok(order)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    Open,
    Done,
}

/// Depth first without recursion: a chain of references may be as long as the list.
fn visit(start: usize, children: &[Vec<usize>], state: &mut [Visit], order: &mut Vec<usize>) -> Result<(), Vec<usize>> {
    if state[start] != Visit::New {
        return Ok(());
    }
    state[start] = Visit::Open;
    let mut path = vec![(start, 0)];
    while let Some((node, next)) = path.last_mut() {
        let node = *node;
        let Some(child) = children[node].get(*next).copied() else {
            state[node] = Visit::Done;
            order.push(node);
            path.pop();
            continue;
        };
        *next += 1;
        match state[child] {
            Visit::Done => {}
            Visit::Open if child == node => {}
            Visit::Open => {
                let from = path.iter().position(|(at, _)| *at == child).unwrap_or(0);
                return Err(path[from..].iter().map(|(at, _)| *at).collect());
            }
            Visit::New => {
                state[child] = Visit::Open;
                path.push((child, 0));
            }
        }
    }
    Ok(())
}

fn replace(text: &str, doubled: Doubled, mut with: impl FnMut(&str, &str) -> String) -> String {
    if !text.contains(['$', '%']) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    for part in parts(text, doubled) {
        match part {
            Part::Text(text) => out.push_str(text),
            Part::Reference(name, written) => {
                let value = with(name, written);
                let fits = out.len() + value.len() <= MAX_EXPANDED;
                out.push_str(if fits { &value } else { written });
            }
        }
    }
    out
}

fn parts(text: &str, doubled: Doubled) -> Vec<Part<'_>> {
    let mut all = Vec::new();
    let (mut start, mut at) = (0, 0);
    let bytes = text.as_bytes();
    while at < bytes.len() {
        let sign = bytes[at];
        if sign != b'$' && sign != b'%' {
            at += 1;
            continue;
        }
        if doubled == Doubled::Escape && bytes.get(at + 1) == Some(&sign) {
            at += 2;
            continue;
        }
        match reference(&text[at..]) {
            Some((name, length)) => {
                all.push(Part::Text(&text[start..at]));
                all.push(Part::Reference(name, &text[at..at + length]));
                at += length;
                start = at;
            }
            None => at += 1,
        }
    }
    all.push(Part::Text(&text[start..]));
    all
}

/// A reference at the start of the text: its name and its length.
fn reference(text: &str) -> Option<(&str, usize)> {
    let after = &text[1..];
    if text.starts_with('%') {
        let name = name(after)?;
        return after[name.len()..].starts_with('%').then_some((name, name.len() + 2));
    }
    if let Some(inner) = after.strip_prefix('{') {
        let name = name(inner).unwrap_or("");
        return inner[name.len()..].starts_with('}').then_some((name, name.len() + 3));
    }
    let name = name(after)?;
    Some((name, name.len() + 1))
}

/// `[a-zA-Z_][a-zA-Z0-9_]*`
fn name(text: &str) -> Option<&str> {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    let name = &text[..end];
    name.starts_with(|c: char| !c.is_ascii_digit()).then_some(name)
}
