//! The server's only door to the git program.
//!
//! Every project has a bare mirror in the data folder. Pipelines read their configuration from it, runners fetch
//! from it with the job's token over read-only smart HTTP, so that a runner never needs to reach the forge.
//!
//! What holds for every call: an environment from scratch (no system or user configuration, no hooks, no prompts, an
//! allow list of transports), arguments that cannot be taken for options, secrets never in an argument list, an
//! upper bound on time and on output, and a process group of its own that dies with the call.

mod command;
mod error;
mod loose;
mod mirror;
mod object;
mod read;
mod remote;
mod serve;
mod worktree;

pub use command::Git;
pub use error::Error;
pub use mirror::{Mirror, Mirrors};
pub use object::Oid;
pub use read::{AtPath, Ref, TreeEntry};
pub use remote::{Credential, Remote};
pub use serve::{info_refs, upload_pack};
pub(crate) use worktree::hash_blob;
pub use worktree::{Worktree, branch, common_dir, init, top_level};

#[cfg(test)]
mod tests;
