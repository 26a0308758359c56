//! YAML text → a tree of [`Node`]s that know where they were written.
//!
//! Scalars keep their text; what a text *means* depends on the language ([`Schema`]): GitLab and CircleCI read
//! YAML 1.1 (`yes` is true, `012` is ten), GitHub reads YAML 1.2. Nodes are cheap to clone: maps, lists and
//! texts are shared, so that anchors, `extends` and includes over ten thousand jobs copy pointers only.
//!
//! Every cost is bounded by [`Limits`]: bytes, nodes written, nodes after aliases are followed, depth. A file
//! that exceeds one is refused at the place where it does, before the memory is spent.

mod anchors;
mod documents;
mod fault;
mod node;
mod parse;
mod schema;
mod text;

pub use documents::{Document, split};
pub(crate) use node::MapBuilder;
pub use node::{FileId, Kind, Map, Node, Seq, Span, Style, Tag, Text};
pub use parse::{Limits, MergeKeys, Options, parse};
pub use schema::{Schema, Value};
