//! Events of the parser library → [`Node`]s. The only place that knows the library.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, ScanError, Span as EventSpan, StrInput};

use super::node::MapBuilder;
use super::text::Interner;
use super::{Document, FileId, Kind, Map, Node, Schema, Seq, Span, Style, Tag, Value};
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
    nodes: u32,
    problems: &'p mut Vec<Problem>,
}

/// A container that is being filled.
enum Open {
    Seq {
        items: Vec<Node>,
        weight: u32,
    },
    Map {
        entries: MapBuilder,
        key: Option<Node>,
        /// Written keys, where `<<` must not overwrite them.
        merges: Vec<Node>,
        weight: u32,
    },
}

struct Level {
    open: Open,
    span: Span,
    tag: Tag,
    anchor: usize,
}

type Result1<T> = Result<T, Box<Problem>>;

impl Builder<'_, '_> {
    fn document(&mut self) -> Result1<Option<Node>> {
        let mut stack: Vec<Level> = Vec::new();
        while let Some(event) = self.parser.next_event() {
            let (event, at) = event.map_err(|error| self.syntax(&error))?;
            let (node, anchor) = match event {
                Event::StreamEnd | Event::DocumentEnd => return Ok(None),
                Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => continue,
                Event::Alias(id) => (self.alias(id, at)?, 0),
                Event::Scalar(text, style, anchor, tag) => (self.scalar(&text, style, tag.as_deref(), at), anchor),
                Event::SequenceStart(anchor, tag) => {
                    let open = Open::Seq {
                        items: Vec::new(),
                        weight: 1,
                    };
                    self.open(&mut stack, open, anchor, tag.as_deref(), at)?;
                    continue;
                }
                Event::MappingStart(anchor, tag) => {
                    let open = Open::Map {
                        entries: MapBuilder::default(),
                        key: None,
                        merges: Vec::new(),
                        weight: 1,
                    };
                    self.open(&mut stack, open, anchor, tag.as_deref(), at)?;
                    continue;
                }
                Event::SequenceEnd | Event::MappingEnd => {
                    let Some(level) = stack.pop() else { return Ok(None) };
                    let anchor = level.anchor;
                    (self.close(level), anchor)
                }
            };
            if anchor != 0 {
                self.anchors.insert(anchor, node.clone());
            }
            match stack.last_mut() {
                None => return Ok(Some(node)),
                Some(_) => self.add(&mut stack, node)?,
            }
        }
        Ok(None)
    }

    fn open(
        &mut self,
        stack: &mut Vec<Level>,
        open: Open,
        anchor: usize,
        tag: Option<&saphyr_parser::Tag>,
        at: EventSpan,
    ) -> Result1<()> {
        let span = self.span(at);
        if stack.len() >= usize::from(self.options.limits.depth) {
            return Err(self.too_deep(span));
        }
        if anchor != 0 {
            self.anchors.remove(&anchor);
        }
        let tag = self.tag(tag, span);
        stack.push(Level {
            open,
            span,
            tag,
            anchor,
        });
        Ok(())
    }

    fn close(&mut self, level: Level) -> Node {
        let kind = match level.open {
            Open::Seq { items, .. } => Kind::Seq(Seq::new(items)),
            Open::Map { entries, merges, .. } => Kind::Map(self.below(entries, merges)),
        };
        Node {
            kind,
            span: level.span,
            tag: level.tag,
        }
    }

    /// Adds a finished node to the innermost container.
    fn add(&mut self, stack: &mut [Level], node: Node) -> Result1<()> {
        let depth = stack.len() + usize::from(node.depth());
        if depth > usize::from(self.options.limits.depth) {
            return Err(self.too_deep(node.span));
        }
        let limit = self.options.limits.nodes;
        self.nodes = self.nodes.saturating_add(1);
        let Some(level) = stack.last_mut() else { return Ok(()) };
        let weight = match &mut level.open {
            Open::Seq { weight, .. } | Open::Map { weight, .. } => weight,
        };
        *weight = weight.saturating_add(node.weight());
        if *weight > limit || self.nodes > limit {
            let message = format!("the file has more than {limit} values once its aliases are followed");
            return Err(Box::new(
                Problem::new(&code::YAML_TOO_BIG, node.span, message)
                    .hint("an alias inside an anchor that is itself repeated grows without bound; write the values out or split the file"),
            ));
        }
        match &mut level.open {
            Open::Seq { items, .. } => items.push(node),
            Open::Map {
                entries, key, merges, ..
            } => match key.take() {
                None => *key = Some(node),
                Some(name) if is_merge(&name) && self.options.merge != MergeKeys::Off => {
                    let problems = &mut *self.problems;
                    match self.options.merge {
                        MergeKeys::InPlace => merge_in_place(entries, &name, &node, problems),
                        MergeKeys::Below => merges.push(node),
                        MergeKeys::Off => {}
                    }
                }
                Some(name) => {
                    let again = name.clone();
                    let merged = entries.is_merged(&name);
                    if let Some(earlier) = entries.insert(name, node)
                        && !merged
                        && let Some(text) = again.text()
                    {
                        let message = format!(
                            "the key `{text}` was already written on line {}; this one replaces it",
                            earlier.span.line
                        );
                        self.problems
                            .push(Problem::new(&code::YAML_DUPLICATE_KEY, again.span, message));
                    }
                }
            },
        }
        Ok(())
    }

    fn below(&mut self, entries: MapBuilder, merges: Vec<Node>) -> Map {
        if merges.is_empty() {
            return entries.finish();
        }
        let written = entries.finish();
        let mut all = MapBuilder::with_capacity(written.len() + 8);
        for merged in merges.iter().rev() {
            merge_in_place(&mut all, merged, merged, self.problems);
        }
        for (key, value) in written.iter() {
            all.insert(key.clone(), value.clone());
        }
        all.finish()
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

    /// At the end of the text the parser counts lines that are not there: the end of the last written line is meant.
    fn in_text(&self, span: Span) -> Span {
        let written = self.text.trim_end();
        let last = u32::try_from(written.matches('\n').count())
            .unwrap_or(u32::MAX)
            .saturating_add(1);
        let last = last.saturating_add(self.line_offset);
        if span.line <= last {
            return span;
        }
        let line = written.rsplit('\n').next().unwrap_or_default();
        Span {
            line: last,
            column: u32::try_from(line.chars().count()).unwrap_or(u32::MAX).max(1),
            ..span
        }
    }

    fn too_deep(&self, span: Span) -> Box<Problem> {
        let message = format!("the file is nested deeper than {} levels", self.options.limits.depth);
        Box::new(Problem::new(&code::YAML_TOO_BIG, span, message))
    }

    fn syntax(&self, error: &ScanError) -> Box<Problem> {
        let mark = *error.marker();
        let span = self.in_text(self.span(EventSpan::new(mark, mark)));
        let info = error.info();
        let hint = if info.contains("tab") || info.contains("cannot start any token") {
            Some("YAML is indented with spaces; a value that starts with a special character needs quotes")
        } else if info.contains("mapping values are not allowed") {
            Some("a text with `: ` in it needs quotes around all of it")
        } else if info.contains("unknown anchor") {
            Some("anchors (`&name`) must stand before their aliases (`*name`), in the same file")
        } else if info.contains("quoted scalar") {
            Some("the quote that opens here is not closed, or its text goes on at the wrong indentation")
        } else if info.contains("flow mapping") || info.contains("flow sequence") {
            Some("a `{` or `[` is not closed, or a value inside has one of `{ } [ ] ,` and needs quotes")
        } else if info.contains("simple key") || info.contains("expected ':'") {
            Some("a line of a map is `key: value`; check the line above and the indentation")
        } else {
            None
        };
        let mut problem = Problem::new(&code::YAML_SYNTAX, span, info.to_owned());
        problem.hint = hint.map(str::to_owned);
        Box::new(problem)
    }
}

fn is_merge(key: &Node) -> bool {
    matches!(&key.kind, Kind::Scalar(text, _) if &**text == "<<") && key.tag != Tag::Str
}

/// Psych's `<<`: the entries of the map overwrite what is there; in a list the earlier map wins.
fn merge_in_place(entries: &mut MapBuilder, key: &Node, value: &Node, problems: &mut Vec<Problem>) {
    let mut merge = |map: &Map| {
        for (key, value) in map.iter() {
            entries.insert_merged(key.clone(), value.clone());
        }
    };
    match &value.kind {
        Kind::Map(map) => merge(map),
        Kind::Seq(seq) if value.tag != Tag::Reference && seq.iter().all(|item| item.as_map().is_some()) => {
            seq.iter().rev().filter_map(Node::as_map).for_each(merge);
        }
        Kind::Seq(_) | Kind::Scalar(..) => {
            let message = "`<<` takes a map or a list of maps".to_owned();
            problems.push(Problem::new(&code::YAML_MERGE, key.span, message));
        }
    }
}
