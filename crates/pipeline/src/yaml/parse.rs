//! Events of the parser library → [`Node`]s. The only place that knows the library.

use foldhash::{HashMap, HashMapExt as _, HashSet, HashSetExt as _};
use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as EventSpan, StrInput};

use super::anchors;
use super::fault;
use super::node::MapBuilder;
use super::text::Interner;
use super::{Document, FileId, Kind, Map, Node, Schema, Seq, Span, Style, Tag, Text, Value};
use crate::diag::{Problem, code};

/// Bounds of one file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of the text. GitLab allows 2 MiB.
    pub bytes: usize,
    /// Values in the tree when every alias is followed.
    pub nodes: u32,
    /// Levels of nesting, aliases followed.
    pub depth: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            bytes: 8 << 20,
            nodes: 2_000_000,
            depth: 100,
        }
    }
}

/// What `<<` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MergeKeys {
    /// Merges where it stands: keys written before it are overwritten, keys after it win (Psych, GitLab).
    InPlace,
    /// Keys written in the map always win, wherever `<<` stands (YAML 1.1; CircleCI).
    Below,
    /// `<<` is an ordinary key (YAML 1.2; GitHub).
    Off,
}

/// How a document is read.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub file: FileId,
    pub schema: Schema,
    pub merge: MergeKeys,
    pub limits: Limits,
}

/// Reads the first YAML document of a text.
///
/// `Ok(None)` is an empty document. What is odd but can be read is added to `problems`.
///
/// # Errors
/// The first thing that cannot be read: the syntax beyond it has no reliable meaning. (Boxed: it is large and rare.)
pub fn parse(
    document: Document<'_>,
    options: Options,
    problems: &mut Vec<Problem>,
) -> Result<Option<Node>, Box<Problem>> {
    if document.text.len() > options.limits.bytes {
        let message = format!(
            "the file has {} bytes, the limit is {}",
            document.text.len(),
            options.limits.bytes
        );
        return Err(Box::new(Problem::new(
            &code::YAML_TOO_BIG,
            Span::start_of(options.file),
            message,
        )));
    }
    let text = document.text.strip_prefix('\u{feff}').unwrap_or(document.text);
    let mut builder = Builder {
        options,
        line_offset: document.line,
        text,
        parser: Parser::new_from_str(text),
        interner: Interner::default(),
        anchors: HashMap::new(),
        last_anchor: 0,
        pending: Vec::new(),
        levels: Vec::new(),
        nodes: 0,
        problems,
    };
    builder.document()
}

struct Builder<'t, 'p> {
    options: Options,
    line_offset: u32,
    text: &'t str,
    parser: Parser<'t, StrInput<'t>>,
    interner: Interner,
    anchors: HashMap<usize, Node>,
    /// Anchors are numbered from 1.
    last_anchor: usize,
    /// Finished children of all open containers: each container takes its own from the end when it is closed.
    pending: Vec<Node>,
    levels: Vec<Level>,
    nodes: u32,
    problems: &'p mut Vec<Problem>,
}

/// A container that is being filled.
struct Level {
    is_map: bool,
    /// Where its children start among the pending ones.
    start: usize,
    weight: u32,
    span: Span,
    tag: Tag,
    anchor: usize,
}

type Result1<T> = Result<T, Box<Problem>>;

impl Builder<'_, '_> {
    fn document(&mut self) -> Result1<Option<Node>> {
        while let Some(event) = self.parser.next_event() {
            let (event, at) = event.map_err(|error| self.syntax(&error))?;
            let (node, anchor) = match event {
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
                Event::Alias(id) => (self.alias(id, at)?, 0),
                Event::Scalar(text, style, anchor, tag) => (self.scalar(&text, style, tag.as_deref(), at), anchor),
                Event::SequenceStart(anchor, tag) => {
                    self.open(false, anchor, tag.as_deref(), at)?;
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    self.open(true, anchor, tag.as_deref(), at)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(level) = self.levels.pop() else {
                        return Ok(None);
                    };
                    (self.close(&level), level.anchor)
                }
            };
            if anchor != 0 {
                self.last_anchor = self.last_anchor.max(anchor);
                self.anchors.insert(anchor, node.clone());
            }
            if self.levels.is_empty() {
                self.end()?;
                self.repeated_anchors();
                return Ok(Some(node));
            }
            self.add(node)?;
        }
        Ok(None)
    }

    /// What is left behind the root is not read by anybody: it belongs to another document, or the text is no YAML.
    fn end(&mut self) -> Result1<()> {
        // The end of the document, then the start of the next one or the end of the text.
        for _ in 0..2 {
            if let Some(Err(error)) = self.parser.next_event() {
                return Err(self.syntax(&error));
            }
        }
        Ok(())
    }

    fn repeated_anchors(&mut self) {
        for (anchor, before) in anchors::repeated(self.text, self.last_anchor) {
            let length = anchor.name.chars().count() + 1;
            let span = self.place(anchor.line, anchor.column, length);
            let message = format!(
                "the anchor `&{}` was already written on line {}; aliases below mean this one",
                anchor.name,
                number(before.line).saturating_add(self.line_offset)
            );
            self.problems
                .push(Problem::new(&code::YAML_DUPLICATE_ANCHOR, span, message).hint("give one of them another name"));
        }
    }

    /// A place that counts from 0.
    fn place(&self, line: usize, column: usize, length: usize) -> Span {
        Span {
            file: self.options.file,
            length: u16::try_from(length).unwrap_or(u16::MAX),
            line: number(line).saturating_add(self.line_offset),
            column: number(column),
        }
    }

    fn open(&mut self, is_map: bool, anchor: usize, tag: Option<&saphyr_parser::Tag>, at: EventSpan) -> Result1<()> {
        let span = self.span(at);
        if self.levels.len() >= usize::from(self.options.limits.depth) {
            return Err(self.too_deep(span));
        }
        if anchor != 0 {
            self.anchors.remove(&anchor);
        }
        let tag = self.tag(tag, span);
        self.levels.push(Level {
            is_map,
            start: self.pending.len(),
            weight: 1,
            span,
            tag,
            anchor,
        });
        Ok(())
    }

    fn close(&mut self, level: &Level) -> Node {
        let kind = if level.is_map {
            Kind::Map(self.map(level.start))
        } else {
            Kind::Seq(Seq::new(self.pending.drain(level.start..).collect()))
        };
        Node {
            kind,
            span: level.span,
            tag: level.tag,
        }
    }

    /// Adds a finished node to the innermost container.
    fn add(&mut self, node: Node) -> Result1<()> {
        let depth = self.levels.len() + usize::from(node.depth());
        if depth > usize::from(self.options.limits.depth) {
            return Err(self.too_deep(node.span));
        }
        let limit = self.options.limits.nodes;
        self.nodes = self.nodes.saturating_add(1);
        if let Some(level) = self.levels.last_mut() {
            level.weight = level.weight.saturating_add(node.weight());
            if level.weight > limit || self.nodes > limit {
                let message = format!("the file has more than {limit} values once its aliases are followed");
                return Err(Box::new(
                    Problem::new(&code::YAML_TOO_BIG, node.span, message)
                        .hint("an alias inside an anchor that is itself repeated grows without bound; write the values out or split the file"),
                ));
            }
        }
        self.pending.push(node);
        Ok(())
    }

    /// The map of the pending keys and values from `start` on.
    fn map(&mut self, start: usize) -> Map {
        let simple = is_simple(&self.pending[start..], self.options.merge);
        let mut nodes = self.pending.drain(start..);
        if simple {
            let mut entries = Vec::with_capacity(nodes.len() / 2);
            while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
                entries.push((key, value));
            }
            return Map::from_unique(entries);
        }
        let mut merging = Merging {
            entries: MapBuilder::default(),
            merged: HashSet::new(),
            below: Vec::new(),
            problems: self.problems,
        };
        while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
            merging.add(key, value, self.options.merge);
        }
        merging.finish()
    }

    fn alias(&mut self, id: usize, at: EventSpan) -> Result1<Node> {
        let span = self.span(at);
        self.anchors.get(&id).cloned().ok_or_else(|| {
            Box::new(Problem::new(
                &code::YAML_SYNTAX,
                span,
                "this alias stands inside its own anchor",
            ))
        })
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<&saphyr_parser::Tag>, at: EventSpan) -> Node {
        let span = self.span(at);
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
            ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
        };
        let tag = self.tag(tag, span);
        let node = Node {
            kind: Kind::Scalar(self.interner.text(text), style),
            span,
            tag,
        };
        if tag != Tag::None && self.options.schema == Schema::Core {
            self.tagged(&node, text);
        }
        let date_like = style == Style::Plain
            && self.options.schema == Schema::Yaml11
            && text.len() >= 8
            && text.starts_with(|c: char| c.is_ascii_digit() || c == '-');
        if date_like && matches!(node.value(Schema::Yaml11), Value::Date(_)) {
            let message = format!("`{text}` is a date in YAML; dates are not allowed");
            let hint = format!("put it in quotes: \"{text}\"");
            self.problems
                .push(Problem::new(&code::YAML_DATE, span, message).hint(hint));
        }
        node
    }

    /// A text that is not what its tag says is refused by readers of YAML 1.2.
    fn tagged(&mut self, node: &Node, text: &str) {
        let (good, kind) = match (node.tag, node.value(Schema::Core)) {
            (Tag::Bool, value) => (matches!(value, Value::Bool(_)), "boolean"),
            (Tag::Int, value) => (matches!(value, Value::Int(_)), "whole number"),
            (Tag::Float, value) => (matches!(value, Value::Float(_)), "number"),
            (Tag::None | Tag::Null | Tag::Str | Tag::Reference, _) => return,
        };
        let plain = matches!(node.kind, Kind::Scalar(_, Style::Plain));
        if !good || !plain {
            let why = if plain {
                "is none"
            } else {
                "stands in quotes or as a block"
            };
            let message = format!("`{text}` is tagged as a {kind} and {why}");
            self.problems.push(Problem::new(&code::YAML_SYNTAX, node.span, message));
        }
    }

    fn tag(&mut self, tag: Option<&saphyr_parser::Tag>, span: Span) -> Tag {
        let Some(tag) = tag else { return Tag::None };
        if tag.is_yaml_core_schema() {
            return match tag.suffix.as_str() {
                "str" | "binary" => Tag::Str,
                "int" => Tag::Int,
                "float" => Tag::Float,
                "bool" => Tag::Bool,
                "null" => Tag::Null,
                _ => Tag::None,
            };
        }
        if tag.handle == "!" && tag.suffix == "reference" {
            return Tag::Reference;
        }
        if tag.handle.is_empty() && tag.suffix == "!" {
            return Tag::Str;
        }
        let message = format!("the tag `{tag}` is not known and has no effect");
        self.problems.push(Problem::new(&code::YAML_UNKNOWN_TAG, span, message));
        Tag::None
    }

    fn span(&self, at: EventSpan) -> Span {
        let line = u32::try_from(at.start.line()).unwrap_or(u32::MAX);
        let length = if at.start.line() == at.end.line() { at.len() } else { 1 };
        Span {
            file: self.options.file,
            length: u16::try_from(length.max(1)).unwrap_or(u16::MAX),
            line: line.saturating_add(self.line_offset),
            column: u32::try_from(at.start.col()).unwrap_or(u32::MAX).saturating_add(1),
        }
    }

    fn too_deep(&self, span: Span) -> Box<Problem> {
        let message = format!("the file is nested deeper than {} levels", self.options.limits.depth);
        Box::new(Problem::new(&code::YAML_TOO_BIG, span, message))
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let (mark, info) = (*error.marker(), error.info());
        if info.contains("recursion limit") {
            // The parser has a limit of its own, which a flow of brackets reaches before the first node is built.
            return self.too_deep(self.span(EventSpan::new(mark, mark)));
        }
        let found = fault::find(self.text, info, mark.line().saturating_sub(1), mark.col());
        let span = self.place(found.line, found.column, found.length);
        let mut problem = Problem::new(&code::YAML_SYNTAX, span, found.message);
        problem.hint = found.hint;
        Box::new(problem)
    }
}

/// What counts from 0, as people count.
fn number(from_zero: usize) -> u32 {
    u32::try_from(from_zero).unwrap_or(u32::MAX).saturating_add(1)
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.kind, Kind::Scalar(text, _) if &**text == "<<") && key.tag != Tag::Str
}

/// Whether keys and values (in turn) can be taken as they are: nothing is merged, no key comes twice.
fn is_simple(nodes: &[Node], merge: MergeKeys) -> bool {
    const FEW: usize = 32;
    let mut keys = nodes.iter().step_by(2);
    if merge != MergeKeys::Off && keys.clone().any(is_merge) {
        return false;
    }
    if nodes.len() > FEW {
        let mut seen = HashSet::with_capacity(nodes.len());
        return keys.filter_map(Node::text).all(|text| seen.insert(text));
    }
    while let Some(key) = keys.next() {
        let Some(text) = key.text() else { continue };
        if keys.clone().any(|other| other.text() == Some(text)) {
            return false;
        }
    }
    true
}

/// A map with `<<` or repeated keys.
struct Merging<'p> {
    entries: MapBuilder,
    /// Keys whose present value came with a merge: writing them again is no mistake.
    merged: HashSet<Text>,
    /// What is merged below the written keys.
    below: Vec<(Node, Node)>,
    problems: &'p mut Vec<Problem>,
}

impl Merging<'_> {
    fn add(&mut self, key: Node, value: Node, merge: MergeKeys) {
        if is_merge(&key) {
            match merge {
                MergeKeys::InPlace => return self.merge(&key, &value),
                MergeKeys::Below => return self.below.push((key, value)),
                MergeKeys::Off => {}
            }
        }
        let (text, span) = (key.text().cloned(), key.span);
        let earlier = self.entries.insert(key, value);
        if let (Some(text), Some(earlier)) = (text, earlier)
            && !self.merged.remove(&text)
        {
            let message = format!(
                "the key `{text}` was already written on line {}; this one replaces it",
                earlier.span.line
            );
            self.problems
                .push(Problem::new(&code::YAML_DUPLICATE_KEY, span, message));
        }
    }

    /// Psych's `<<`: the entries of the map overwrite what is there; in a list the earlier map wins.
    fn merge(&mut self, key: &Node, value: &Node) {
        let mut merge = |map: &Map| {
            for (key, value) in map.iter() {
                self.merged.extend(key.text().cloned());
                self.entries.insert(key.clone(), value.clone());
            }
        };
        match &value.kind {
            Kind::Map(map) => merge(map),
            Kind::Seq(seq) if value.tag != Tag::Reference && seq.iter().all(|item| item.as_map().is_some()) => {
                seq.iter().rev().filter_map(Node::as_map).for_each(merge);
            }
            Kind::Seq(_) | Kind::Scalar(..) => {
                let message = "`<<` takes a map or a list of maps".to_owned();
                self.problems.push(Problem::new(&code::YAML_MERGE, key.span, message));
            }
        }
    }

    fn finish(mut self) -> Map {
        let written = std::mem::take(&mut self.entries).finish();
        if self.below.is_empty() {
            return written;
        }
        for (key, value) in std::mem::take(&mut self.below).iter().rev() {
            self.merge(key, value);
        }
        for (key, value) in written.iter() {
            self.entries.insert(key.clone(), value.clone());
        }
        self.entries.finish()
    }
}
