//! A job's log as HTML: colours, sections that fold, a link for every line.
//!
//! The text comes from programs that anybody may have written. Everything is escaped here, in one place, and
//! browsers get nothing but what [`Renderer`] makes: the live tail carries the same pieces as the page.

mod ansi;
mod line;
mod render;

pub(super) use ansi::escape;
pub use ansi::stylesheet;
pub use render::{Page, Piece, Renderer, page};
