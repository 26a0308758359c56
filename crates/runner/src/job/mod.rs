//! The life of one job: stages in GitLab's order, limits, cancel, result.
//!
//! ```text
//! acknowledge → banner → prepare_executor → prepare_script → get_sources → restore_cache → download_artifacts
//!   → step_* → after_script → archive_cache[_on_failure] → upload_artifacts_on_{success,failure}
//!   → cleanup_file_variables → teardown → rest of the log → final state
//! ```
//! This module knows the order and the rules; *where* it happens is the executor's business, *how* a checkout, a cache
//! or an artifact is done is the guest's.

mod build;
mod cache_key;
mod cache_store;
mod command;
mod console;
mod control;
mod expand;
mod failure;
mod host;
mod image;
mod options;
mod requests;
mod run;
mod scripts;
mod stage;
mod stages;
mod steps;
mod task;
mod terminal;
mod variables;

pub(crate) use cache_store::cache_problem;
pub use cache_store::{AwsSurroundings, Keyring};
pub use control::Shutdown;
pub use expand::expand;
pub use failure::Failure;
pub use host::{Host, Pauses, Progress, Slot, runner_info};
pub use run::{Report, run};
pub use stage::Stage;
pub use task::task_of;
pub use variables::Variables;
pub(crate) use variables::truth;

/// Whether a variable's text is a truth.
pub(crate) fn is_true(text: &str) -> bool {
    variables::truth(text).unwrap_or(false)
}
