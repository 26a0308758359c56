//! How one map is laid over another.

use crate::yaml::{Map, MapBuilder, Node};

/// `over` laid over `base`: maps are merged key by key, everything else is replaced, null included.
pub(super) fn deep(base: &Map, over: &Map) -> Map {
    if base.is_empty() {
        return over.clone();
    }
    if over.is_empty() {
        return base.clone();
    }
    let mut merged = MapBuilder::from_map(base, over.len());
    lay_over(&mut merged, over);
    merged.finish()
}

pub(super) fn lay_over(merged: &mut MapBuilder, over: &Map) {
    for (key, value) in over.iter() {
        merged.update(key, |below| match below.and_then(Node::as_map).zip(value.as_map()) {
            Some((below, above)) => Node::map_of(deep(below, above), value.span),
            None => value.clone(),
        });
    }
}
