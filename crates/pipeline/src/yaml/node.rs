//! The tree.

use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use foldhash::{HashMap, HashMapExt as _};

/// A shared text.
pub type Text = Arc<str>;

/// Maps larger than this keep an index; smaller ones are searched.
const INDEX_FROM: usize = 16;

/// A file of one compilation; index into its sources.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct FileId(pub u16);

/// Where something was written. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Span {
    pub file: FileId,
    /// Characters from the start, as far as they are on the first line.
    pub length: u16,
    pub line: u32,
    pub column: u32,
}

impl Span {
    /// The first character of a file: where things are reported that are about the whole file.
    #[must_use]
    pub fn start_of(file: FileId) -> Self {
        Self {
            file,
            length: 1,
            line: 1,
            column: 1,
        }
    }
}

/// How a scalar was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Style {
    /// Without quotes: the schema decides its type.
    Plain,
    /// In single or double quotes: always a string.
    Quoted,
    /// `|` or `>`: always a string.
    Block,
}

/// The tags that mean something to somebody. Others are dropped with a diagnostic while parsing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Tag {
    #[default]
    None,
    /// GitLab's `!reference [job, key, …]`.
    Reference,
    Str,
    Int,
    Float,
    Bool,
    Null,
}

/// A value with the place where it was written.
#[derive(Debug, Clone)]
pub struct Node {
    pub kind: Kind,
    pub span: Span,
    pub tag: Tag,
}

/// Equal where text, style, tag and structure are; the place does not count.
impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.tag == other.tag && self.kind == other.kind
    }
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Scalar(Text, Style),
    Map(Map),
    Seq(Seq),
}

impl Node {
    /// A scalar that is a string whatever it says.
    pub fn string(text: impl Into<Text>, span: Span) -> Self {
        Self::new(Kind::Scalar(text.into(), Style::Quoted), span)
    }

    /// A scalar that the schema types: `true`, `5`, `null`, …
    pub fn plain(text: impl Into<Text>, span: Span) -> Self {
        Self::new(Kind::Scalar(text.into(), Style::Plain), span)
    }

    /// A node without a tag.
    #[must_use]
    pub fn new(kind: Kind, span: Span) -> Self {
        Self {
            kind,
            span,
            tag: Tag::None,
        }
    }

    /// A map of these entries; a later key replaces an earlier one of the same text.
    #[must_use]
    pub fn map(entries: Vec<(Node, Node)>, span: Span) -> Self {
        Self::new(Kind::Map(Map::new(entries)), span)
    }

    /// A map that exists already, as written at `span`.
    #[must_use]
    pub fn map_of(map: Map, span: Span) -> Self {
        Self::new(Kind::Map(map), span)
    }

    /// A list.
    #[must_use]
    pub fn seq(items: Vec<Node>, span: Span) -> Self {
        Self::new(Kind::Seq(Seq::new(items)), span)
    }

    /// The map, if it is one.
    #[must_use]
    pub fn as_map(&self) -> Option<&Map> {
        match &self.kind {
            Kind::Map(map) => Some(map),
            Kind::Scalar(..) | Kind::Seq(_) => None,
        }
    }

    /// The list, if it is one (a `!reference` is not).
    #[must_use]
    pub fn as_seq(&self) -> Option<&Seq> {
        match &self.kind {
            Kind::Seq(seq) if self.tag != Tag::Reference => Some(seq),
            Kind::Seq(_) | Kind::Scalar(..) | Kind::Map(_) => None,
        }
    }

    /// The text of a scalar as written, whatever its type.
    #[must_use]
    pub fn text(&self) -> Option<&Text> {
        match &self.kind {
            Kind::Scalar(text, _) => Some(text),
            Kind::Map(_) | Kind::Seq(_) => None,
        }
    }

    /// The value of a key, if this is a map that has it.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.as_map()?.get(key)
    }

    /// Nodes below and including this one, aliases followed.
    #[must_use]
    pub fn weight(&self) -> u32 {
        match &self.kind {
            Kind::Scalar(..) => 1,
            Kind::Map(map) => map.0.weight,
            Kind::Seq(seq) => seq.0.weight,
        }
    }

    /// Whether a `!reference` is in it.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        self.tag == Tag::Reference
            || match &self.kind {
                Kind::Scalar(..) => false,
                Kind::Map(map) => map.0.has_reference,
                Kind::Seq(seq) => seq.0.has_reference,
            }
    }

    /// Whether a text in it has a `<`: without one it has no `<< … >>` either, and need not be looked through.
    #[must_use]
    pub(crate) fn has_angle(&self) -> bool {
        match &self.kind {
            Kind::Scalar(text, _) => text.as_bytes().contains(&b'<'),
            Kind::Map(map) => map.0.has_angle,
            Kind::Seq(seq) => seq.0.has_angle,
        }
    }

    /// Levels of nesting: 0 for a scalar, 1 for a list of scalars.
    #[must_use]
    pub fn depth(&self) -> u16 {
        match &self.kind {
            Kind::Scalar(..) => 0,
            Kind::Map(map) => map.0.depth,
            Kind::Seq(seq) => seq.0.depth,
        }
    }
}

/// A map in the order in which its keys were first written. Keys are unique by text.
#[derive(Debug, Clone)]
pub struct Map(Arc<MapData>);

#[derive(Debug)]
struct MapData {
    entries: Vec<(Node, Node)>,
    index: OnceLock<HashMap<Text, usize>>,
    weight: u32,
    depth: u16,
    has_reference: bool,
    has_angle: bool,
}

impl Map {
    /// A map of these entries. A key that comes again keeps its first place and takes its last value.
    #[must_use]
    pub fn new(entries: Vec<(Node, Node)>) -> Self {
        let mut builder = MapBuilder::with_capacity(entries.len());
        for (key, value) in entries {
            builder.insert(key, value);
        }
        builder.finish()
    }

    /// A map of entries that are known to have different keys.
    pub(crate) fn from_unique(entries: Vec<(Node, Node)>) -> Self {
        let mut weight = 1_u32;
        let mut depth = 0_u16;
        let mut has_reference = false;
        let mut has_angle = false;
        for (key, value) in &entries {
            weight = weight.saturating_add(key.weight()).saturating_add(value.weight());
            depth = depth.max(key.depth()).max(value.depth());
            has_reference |= value.has_reference();
            has_angle = has_angle || key.has_angle() || value.has_angle();
        }
        Self(Arc::new(MapData {
            entries,
            index: OnceLock::new(),
            weight,
            depth: depth.saturating_add(1),
            has_reference,
            has_angle,
        }))
    }

    /// Whether a `!reference` is in a value of it.
    #[must_use]
    pub fn has_reference(&self) -> bool {
        self.0.has_reference
    }

    /// Nodes in it, aliases followed.
    #[must_use]
    pub fn weight(&self) -> u32 {
        self.0.weight
    }

    /// The value of a key.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    /// Key and value of a key: the key knows where it was written.
    #[must_use]
    pub fn entry(&self, key: &str) -> Option<&(Node, Node)> {
        if self.0.entries.len() > INDEX_FROM {
            let index = self.0.index.get_or_init(|| index(&self.0.entries));
            return self.0.entries.get(*index.get(key)?);
        }
        self.0
            .entries
            .iter()
            .find(|(k, _)| k.text().is_some_and(|text| &**text == key))
    }
}

impl PartialEq for Map {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.entries == other.0.entries
    }
}

/// The entries in order.
impl Deref for Map {
    type Target = [(Node, Node)];

    fn deref(&self) -> &Self::Target {
        &self.0.entries
    }
}

/// A list.
#[derive(Debug, Clone)]
pub struct Seq(Arc<SeqData>);

#[derive(Debug)]
struct SeqData {
    items: Vec<Node>,
    weight: u32,
    depth: u16,
    has_reference: bool,
    has_angle: bool,
}

impl Seq {
    /// A list of these items.
    #[must_use]
    pub fn new(items: Vec<Node>) -> Self {
        let weight = items.iter().fold(1_u32, |sum, item| sum.saturating_add(item.weight()));
        let depth = items.iter().map(Node::depth).max().unwrap_or(0).saturating_add(1);
        let has_reference = items.iter().any(Node::has_reference);
        let has_angle = items.iter().any(Node::has_angle);
        Self(Arc::new(SeqData {
            items,
            weight,
            depth,
            has_reference,
            has_angle,
        }))
    }
}

impl PartialEq for Seq {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0) || self.0.items == other.0.items
    }
}

/// The items in order.
impl Deref for Seq {
    type Target = [Node];

    fn deref(&self) -> &Self::Target {
        &self.0.items
    }
}

/// Collects the entries of a [`Map`].
#[derive(Debug, Default)]
pub(crate) struct MapBuilder {
    entries: Vec<(Node, Node)>,
    /// Filled once there are more than a few.
    index: Option<HashMap<Text, usize>>,
}

impl MapBuilder {
    pub(crate) fn with_capacity(capacity: usize) -> Self {
        Self {
            entries: Vec::with_capacity(capacity),
            index: None,
        }
    }

    /// Starts from a copy of a map, with room for `more` keys.
    pub(crate) fn from_map(map: &Map, more: usize) -> Self {
        let mut builder = Self::with_capacity(map.len() + more);
        builder.entries.extend(map.iter().cloned());
        builder.index = (builder.entries.len() > INDEX_FROM).then(|| index(&builder.entries));
        builder
    }

    fn position(&self, key: &str) -> Option<usize> {
        match &self.index {
            Some(index) => index.get(key).copied(),
            None => self
                .entries
                .iter()
                .position(|(k, _)| k.text().is_some_and(|text| &**text == key)),
        }
    }

    /// Sets a key to what `value` makes of its value so far.
    pub(crate) fn update(&mut self, key: &Node, value: impl FnOnce(Option<&Node>) -> Node) {
        match key.text().and_then(|text| self.position(text)) {
            Some(at) => {
                let new = value(Some(&self.entries[at].1));
                self.entries[at] = (key.clone(), new);
            }
            None => self.push(key.clone(), value(None)),
        }
    }

    /// Sets a key. Returns the key's earlier node where it was set before.
    pub(crate) fn insert(&mut self, key: Node, value: Node) -> Option<Node> {
        if let Some(at) = key.text().and_then(|text| self.position(text)) {
            self.entries[at].1 = value;
            return Some(std::mem::replace(&mut self.entries[at].0, key));
        }
        self.push(key, value);
        None
    }

    fn push(&mut self, key: Node, value: Node) {
        let at = self.entries.len();
        if let (Some(index), Some(text)) = (&mut self.index, key.text()) {
            index.insert(text.clone(), at);
        }
        self.entries.push((key, value));
        if at == INDEX_FROM {
            self.index = Some(index(&self.entries));
        }
    }

    pub(crate) fn finish(self) -> Map {
        Map::from_unique(self.entries)
    }
}

fn index(entries: &[(Node, Node)]) -> HashMap<Text, usize> {
    let mut index = HashMap::with_capacity(entries.len() * 2);
    for (at, (key, _)) in entries.iter().enumerate() {
        if let Some(text) = key.text() {
            index.insert(text.clone(), at);
        }
    }
    index
}
