//! What the tests of the languages share: cases in files (see [`cases`]).

mod cases;

pub(crate) use cases::{World, check};
