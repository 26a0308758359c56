//! Figures of a runner process in Prometheus' text form, under gitlab-runner's names.

mod histogram;
mod process;
mod registry;
mod text;

pub use registry::{Metrics, RunningJob};
