//! Anchors as they are written: the parser gives numbers for them, not names.

/// An anchor in a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Anchor<'t> {
    /// From 0.
    pub(super) line: usize,
    /// Characters before its `&`.
    pub(super) column: usize,
    pub(super) name: &'t str,
}

/// What looks like an anchor, in the order of the text. In scripts and quotes it may be something else.
pub(super) fn written(text: &str) -> impl Iterator<Item = Anchor<'_>> {
    let lines = text.lines().enumerate().filter(|(_, line)| line.contains('&'));
    lines.flat_map(|(at, line)| {
        let signs = line.match_indices('&').filter(|(byte, _)| {
            let before = line[..*byte].chars().next_back();
            before.is_none_or(|c| matches!(c, ' ' | '\t' | '[' | '{' | ','))
        });
        let anchors = signs.map(move |(byte, _)| Anchor {
            line: at,
            column: line[..byte].chars().count(),
            name: name(&line[byte + 1..]),
        });
        anchors.filter(|anchor| !anchor.name.is_empty())
    })
}

/// The name of an anchor or alias, of what stands behind its sign.
pub(super) fn name(rest: &str) -> &str {
    let end = rest.find(|c: char| c.is_whitespace() || "[]{},".contains(c));
    &rest[..end.unwrap_or(rest.len())]
}

/// Anchors whose name was used before, each with the one before. `count` is how many the parser found: where other
/// things look like anchors too, it cannot be told which are, and there are none.
pub(super) fn repeated(text: &str, count: usize) -> Vec<(Anchor<'_>, Anchor<'_>)> {
    let all: Vec<Anchor<'_>> = if count < 2 { Vec::new() } else { written(text).collect() };
    if all.len() != count {
        return Vec::new();
    }
    let mut last: foldhash::HashMap<&str, Anchor<'_>> = foldhash::HashMap::default();
    let again = all
        .into_iter()
        .filter_map(|anchor| Some((anchor, last.insert(anchor.name, anchor)?)));
    again.collect()
}
