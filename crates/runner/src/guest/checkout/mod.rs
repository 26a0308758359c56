//! Stage `get_sources`: a commit of a repository becomes the project folder.
//!
//! The order is GitLab's: repository and remote, stale locks, fetch, checkout, clean, LFS, submodules. No template,
//! hook or configuration of an earlier job is used. A log-in is in no URL, argument or file: git gets it as an HTTP
//! header for the repository's host through its environment. Scripts that talk to the remote themselves are
//! answered by a credential helper that reads `CI_JOB_TOKEN`.

mod git;
mod source;
mod submodules;
mod url;

pub(super) use source::{checkout, clear};
