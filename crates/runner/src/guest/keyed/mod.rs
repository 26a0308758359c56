//! Caches of typed steps: found by key or prefix, with paths anywhere in the sandbox.
//!
//! Folders differ from sandbox to sandbox, so that a cache is kept in up to three parts, by what its paths lie in: the
//! project folder, the home folder, anything else. The part of the project folder is always there and written last: a
//! cache that has it is whole.

mod part;
mod restore;
mod save;
mod store;
mod template;

pub(super) use restore::restore;
pub(super) use save::save;
