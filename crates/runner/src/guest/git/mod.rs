//! What the guest knows of git repositories without asking git.

pub(crate) mod index;
pub(crate) mod repository;
