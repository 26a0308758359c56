//! What the writer of a text did wrong where the parser could not go on, and what to do about it.
//!
//! The parser tells where it stopped, which is often behind the mistake: a missing space, a quote or a bracket shows one
//! line later. So the lines around that place are read once more, by eye as it were.
//!
//! | Room | What it knows |
//! |---|---|
//! | `page` | the lines of the text |
//! | `layout` | indentation, keys, lists |
//! | `flow` | brackets |
//! | `value` | quotes, aliases, characters that no value starts with |

mod flow;
mod layout;
mod page;
mod value;

use page::Page;

/// A mistake in a text.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// From 0.
    pub(super) line: usize,
    /// Characters before it on its line.
    pub(super) column: usize,
    /// Characters that are meant.
    pub(super) length: usize,
    pub(super) message: String,
    pub(super) hint: Option<String>,
}

impl Fault {
    fn new(line: usize, column: usize, length: usize, message: impl Into<String>) -> Self {
        Self {
            line,
            column,
            length: length.max(1),
            message: message.into(),
            hint: None,
        }
    }

    fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// Where the parser stopped, and what it said.
#[derive(Debug, Clone, Copy)]
struct Stop<'t> {
    info: &'t str,
    /// From 0; may lie behind the last line.
    line: usize,
    column: usize,
}

/// Finds the mistake behind the parser's words. `line` and `column` count from 0.
pub(super) fn find(text: &str, info: &str, line: usize, column: usize) -> Fault {
    let page = Page::new(text);
    let stop = Stop { info, line, column };
    known(text, &page, stop).unwrap_or_else(|| {
        let (line, column) = page.within(line, column);
        Fault::new(line, column, 1, info)
    })
}

fn known(text: &str, page: &Page<'_>, stop: Stop<'_>) -> Option<Fault> {
    let says = |words: &[&str]| words.iter().any(|word| stop.info.contains(word));
    if says(&["tab"]) && !says(&["tag", "TAG"]) {
        return layout::tab(page, stop);
    }
    if says(&["unexpected character"]) {
        return value::start(page, stop);
    }
    if says(&["unknown anchor", "anchor or alias"]) {
        return value::alias(text, page, stop);
    }
    if says(&["quoted scalar"]) {
        return value::quoted(page, stop);
    }
    if says(&["block scalar"]) {
        return layout::block(page, stop);
    }
    if says(&["mapping values are not allowed"]) {
        return layout::second_colon(page, stop);
    }
    if says(&["simple key"]) {
        return layout::no_colon(page, stop);
    }
    if says(&["block mapping", "block collection", "block sequence entries"]) {
        return flow::behind(page, stop).or_else(|| layout::stranger(page, stop));
    }
    if says(&["document start", "document-start"]) {
        return layout::outside(page, stop);
    }
    let in_flow = [
        "flow",
        "bracket",
        "':' indicator",
        "unexpected eof",
        "node content",
        "':' may not",
        "plain scalar",
    ];
    if says(&in_flow) {
        return flow::brackets(page, stop);
    }
    None
}
