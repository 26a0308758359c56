//! `$[[ inputs.name | function ]]`.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use super::{SCHEMA, functions};
use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::variables::Scope;
use crate::yaml::{Kind, Map, MapBuilder, Node, Seq, Tag, Text, Value};

const OPEN: &str = "$[[";
/// Bounds as documented by GitLab.
const MOST_NODES: usize = 500_000;
const LONGEST_TEXT: usize = 1 << 20;
/// Of all texts of a file that inputs were filled into. Ours: the bound of one text alone does not bound a file.
const LONGEST_TEXTS: usize = 32 << 20;
const LONGEST_BLOCK: usize = 1 << 10;
const MOST_BLOCKS: usize = 10_000;
const MOST_FUNCTIONS: usize = 3;
const MOST_SEGMENTS: usize = 5;

/// What is known of the component that a file belongs to.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) reference: String,
    pub(super) sha: Option<String>,
}

/// Fills the blocks of one file.
pub(super) struct Interpolation<'i, 's, 'a> {
    session: &'s Session<'a>,
    inputs: &'i HashMap<Text, Node>,
    component: Option<(&'i Component, &'i [Text])>,
    scope: &'i Scope<'i>,
    nodes: Cell<usize>,
    bytes: Cell<usize>,
    blocks: RefCell<HashSet<String>>,
    stopped: Cell<bool>,
}

/// A part of a text.
enum Part<'t> {
    Text(&'t str),
    Value(Node),
}

impl<'i, 's, 'a> Interpolation<'i, 's, 'a> {
    pub(super) fn new(
        session: &'s Session<'a>,
        inputs: &'i HashMap<Text, Node>,
        component: Option<(&'i Component, &'i [Text])>,
        scope: &'i Scope<'i>,
    ) -> Self {
        Self {
            session,
            inputs,
            component,
            scope,
            nodes: Cell::new(0),
            bytes: Cell::new(0),
            blocks: RefCell::default(),
            stopped: Cell::new(false),
        }
    }

    /// The document with every block replaced. What cannot be is reported and left as it is.
    pub(super) fn document(&self, document: &Node) -> Node {
        let filled = self.node(document).unwrap_or_else(|| document.clone());
        let limits = self.session.input.context.limits.yaml;
        if filled.depth() > limits.depth || filled.weight() > limits.nodes {
            self.stop(
                document,
                "the file is too deep or too big once its inputs are filled in",
            );
        }
        filled
    }

    /// `None`: nothing in it changes.
    fn node(&self, node: &Node) -> Option<Node> {
        if !self.visit(node, 1) {
            return None;
        }
        let mut changed = match &node.kind {
            Kind::Scalar(text, _) => return text.contains(OPEN).then(|| self.scalar(node, text)).flatten(),
            Kind::Map(map) => Node::map_of(self.map(map)?, node.span),
            Kind::Seq(items) => Node::seq(self.seq(items)?, node.span),
        };
        if node.tag == Tag::Reference {
            changed.tag = Tag::Reference;
        }
        Some(changed)
    }

    /// Counts nodes; false where it is enough.
    fn visit(&self, node: &Node, count: usize) -> bool {
        self.nodes.set(self.nodes.get().saturating_add(count));
        if self.nodes.get() > MOST_NODES {
            let message = format!("the file has more than {MOST_NODES} values; inputs cannot be used in it");
            self.stop(node, &message);
        }
        !self.stopped.get()
    }

    fn map(&self, map: &Map) -> Option<Map> {
        let mut changed = false;
        let mut entries = MapBuilder::with_capacity(map.len());
        for (key, value) in map.iter() {
            let new_key = self.node(key).map(|key| match key.value(SCHEMA).to_text() {
                Some(text) => Node::string(text.as_ref(), key.span),
                None => key,
            });
            let new_value = self.node(value);
            changed |= new_key.is_some() || new_value.is_some();
            entries.insert(
                new_key.unwrap_or_else(|| key.clone()),
                new_value.unwrap_or_else(|| value.clone()),
            );
        }
        changed.then(|| entries.finish())
    }

    /// A block that stands alone as an item and gives a list is spliced.
    fn seq(&self, items: &Seq) -> Option<Vec<Node>> {
        let mut changed = false;
        let mut all = Vec::with_capacity(items.len());
        for item in items.iter() {
            match self.node(item) {
                None => all.push(item.clone()),
                Some(new) => {
                    changed = true;
                    match new.as_seq().filter(|_| item.text().is_some()) {
                        Some(spliced) => {
                            if !self.visit(item, spliced.len()) {
                                return None;
                            }
                            all.extend(spliced.iter().cloned());
                        }
                        None => all.push(new),
                    }
                }
            }
        }
        changed.then_some(all)
    }

    fn stop(&self, node: &Node, message: &str) {
        if !self.stopped.replace(true) {
            self.session.error(&code::GITLAB_INTERPOLATION, node.span, message);
        }
    }

    fn scalar(&self, node: &Node, text: &str) -> Option<Node> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(at) = rest.find(OPEN) {
            let Some(length) = block_length(&rest[at..]) else { break };
            if at > 0 {
                parts.push(Part::Text(&rest[..at]));
            }
            let whole = &rest[at..at + length];
            parts.push(self.block(node, whole)?);
            rest = &rest[at + length..];
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest));
        }
        if let [Part::Value(value)] = parts.as_slice() {
            return Some(Node {
                span: node.span,
                ..value.clone()
            });
        }
        let mut filled = String::with_capacity(text.len());
        for part in parts {
            match part {
                Part::Text(text) => filled.push_str(text),
                Part::Value(value) => write_text(&value, &mut filled),
            }
            if filled.len() > LONGEST_TEXT || filled.len() + self.bytes.get() > LONGEST_TEXTS {
                self.stop(
                    node,
                    &format!("the text is longer than {LONGEST_TEXT} bytes once its inputs are filled in"),
                );
                return None;
            }
        }
        self.bytes.set(self.bytes.get() + filled.len());
        (filled != text).then(|| Node::string(filled, node.span))
    }

    /// One block, brackets included. `None`: reported.
    fn block<'t>(&self, node: &Node, whole: &'t str) -> Option<Part<'t>> {
        let inner = whole[OPEN.len()..whole.len() - 2].trim();
        let mut steps = inner.split('|').map(str::trim);
        let path = steps.next().unwrap_or_default();
        let root = path.split(['.', '[']).next().unwrap_or_default();
        if root == "matrix" {
            return Some(Part::Text(whole));
        }
        if inner.len() > LONGEST_BLOCK {
            return self.wrong(
                node,
                &format!("interpolation block is longer than {LONGEST_BLOCK} bytes"),
            );
        }
        let mut blocks = self.blocks.borrow_mut();
        if !blocks.contains(inner) {
            blocks.insert(inner.to_owned());
        }
        if blocks.len() > MOST_BLOCKS {
            self.stop(node, "too many interpolation blocks");
            return None;
        }
        drop(blocks);
        let functions: Vec<&str> = steps.collect();
        if functions.len() > MOST_FUNCTIONS {
            return self.wrong(
                node,
                &format!("too many functions in interpolation block: at most {MOST_FUNCTIONS}"),
            );
        }
        let mut value = self.access(node, path)?;
        for function in functions {
            let Value::Text(text) = value.value(SCHEMA) else {
                let what = value.value(SCHEMA).describe();
                return self.wrong(
                    node,
                    &format!("`{function}` can only be used with string inputs, not {what}"),
                );
            };
            match functions::apply(function, text, self.scope) {
                Ok(text) => value = Node::string(text, node.span),
                Err(error) => return self.wrong(node, &error),
            }
        }
        Some(Part::Value(value))
    }

    fn wrong<T>(&self, node: &Node, message: &str) -> Option<T> {
        self.session.error(&code::GITLAB_INTERPOLATION, node.span, message);
        None
    }

    /// `inputs.name`, `inputs.name[0].key`, `component.sha`.
    fn access(&self, node: &Node, path: &str) -> Option<Node> {
        let mut segments = path.split('.').map(str::trim);
        let root = segments.next().unwrap_or_default();
        let rest: Vec<&str> = segments.collect();
        if rest.len() >= MOST_SEGMENTS {
            return self.wrong(
                node,
                &format!("`{path}` has too many segments: at most {MOST_SEGMENTS}"),
            );
        }
        let Some((first, rest)) = rest.split_first() else {
            return self.wrong(
                node,
                &format!("unknown interpolation key: `{path}`; write `inputs.name`"),
            );
        };
        let (name, indexes) = first
            .split_once('[')
            .map_or((*first, ""), |(name, _)| (name, &first[name.len()..]));
        let value = match root {
            "inputs" => match self.inputs.get(name) {
                Some(value) => value.clone(),
                None => {
                    let known = self.inputs.keys().map(|name| &**name);
                    let message =
                        format!("unknown interpolation key: `{name}`: the header of this file declares no such input");
                    let problem = Problem::new(&code::GITLAB_INTERPOLATION, node.span, message);
                    self.session.report(problem.suggest(name, known));
                    return None;
                }
            },
            "component" => self.component(node, name)?,
            _ => {
                let message = format!(
                    "unknown interpolation provided: `{root}` in `{path}`; known are inputs, component and matrix"
                );
                return self.wrong(node, &message);
            }
        };
        let mut value = self.index(node, value, indexes, path)?;
        for segment in rest {
            let (name, indexes) = segment
                .split_once('[')
                .map_or((*segment, ""), |(name, _)| (name, &segment[name.len()..]));
            let Some(inner) = value.get(name).cloned() else {
                return self.wrong(node, &format!("unknown interpolation key: `{name}` in `{path}`"));
            };
            value = self.index(node, inner, indexes, path)?;
        }
        Some(value)
    }

    /// `[0][1]`
    fn index(&self, node: &Node, mut value: Node, indexes: &str, path: &str) -> Option<Node> {
        let mut rest = indexes;
        for _ in 0..MOST_SEGMENTS {
            let Some(inner) = rest.strip_prefix('[') else { break };
            let item = inner.split_once(']').and_then(|(index, after)| {
                rest = after;
                value.as_seq()?.get(index.trim().parse::<usize>().ok()?).cloned()
            });
            let Some(item) = item else {
                return self.wrong(node, &format!("`{path}`: there is no item at that index"));
            };
            value = item;
        }
        if rest.is_empty() {
            Some(value)
        } else {
            self.wrong(node, &format!("`{path}` has too many or wrong indexes"))
        }
    }

    fn component(&self, node: &Node, name: &str) -> Option<Node> {
        let Some((component, allowed)) = self.component else {
            return self.wrong(
                node,
                "`component` can only be used in a component whose header lists it under spec:component",
            );
        };
        if !allowed.iter().any(|known| &**known == name) {
            return self.wrong(
                node,
                &format!("`component.{name}` is not listed in the header under spec:component"),
            );
        }
        let text = match name {
            "name" => Some(component.name.as_str()),
            "reference" => Some(component.reference.as_str()),
            "sha" => component.sha.as_deref(),
            // Only releases of a catalogue have a version.
            _ => None,
        };
        Some(text.map_or_else(|| Node::plain("null", node.span), |text| Node::string(text, node.span)))
    }
}

/// Length of the block at the start of a text, both brackets included.
fn block_length(text: &str) -> Option<usize> {
    let mut end = text.find("]]")? + 2;
    // `$[[ inputs.list[0]]]`: the last two close the block.
    while text[end..].starts_with(']')
        && text[..end - 2].matches('[').count() > text[..end - 2].matches(']').count() + 2
    {
        end += 1;
    }
    Some(end)
}

/// A value inside a text, as Ruby prints it.
fn write_text(value: &Node, out: &mut String) {
    match value.value(SCHEMA).to_text() {
        Some(text) => out.push_str(&text),
        None => inspect(value, out),
    }
}

fn inspect(value: &Node, out: &mut String) {
    match value.value(SCHEMA) {
        Value::Null => out.push_str("nil"),
        Value::Text(text) | Value::Symbol(text) | Value::Date(text) => {
            let _ = write!(out, "{text:?}");
        }
        Value::Seq(items) | Value::Reference(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                out.push_str(if at > 0 { ", " } else { "" });
                inspect(item, out);
            }
            out.push(']');
        }
        Value::Map(map) => {
            out.push('{');
            for (at, (key, item)) in map.iter().enumerate() {
                let _ = write!(
                    out,
                    "{}:{}=>",
                    if at > 0 { ", " } else { "" },
                    key.text().map_or("", |text| text)
                );
                inspect(item, out);
            }
            out.push('}');
        }
        scalar @ (Value::Bool(_) | Value::Int(_) | Value::Float(_)) => {
            out.push_str(&scalar.to_text().unwrap_or_default());
        }
    }
}
