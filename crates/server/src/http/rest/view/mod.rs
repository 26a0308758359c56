//! From rows of the store to the types of the API. The web UI shows the same.

mod environment;
mod job;
mod pipeline;
mod project;
mod release;
mod runner;
mod status;

pub use environment::{deployment, environment};
pub use job::{JobPage, artifact, job, job_page, task};
pub use pipeline::{counts, detail, pipeline, trigger};
pub use project::{project, variable};
pub use release::release;
pub use runner::{resource_class, runner, token};
pub use status::{of_job, of_outcome, of_pipeline, of_task};

/// Rows are damaged in a way that only a bug or a hand in the database can cause.
pub(super) fn damaged(what: &'static str) -> tasuki_store::Error {
    tasuki_store::Error::Schema(format!("the stored {what} cannot be read"))
}

/// A stored JSON text.
pub(super) fn read<T: serde::de::DeserializeOwned>(what: &'static str, json: &str) -> tasuki_store::Result<T> {
    serde_json::from_str(json).map_err(|_| damaged(what))
}
