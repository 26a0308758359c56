//! Elements: executors, steps, jobs.

mod executor;
mod image;
mod job;
mod machine;
mod place;
mod run;
mod step;
mod storage;

pub(super) use executor::Setting;
pub(super) use job::{Use, approval};
pub(super) use step::Expanded;
