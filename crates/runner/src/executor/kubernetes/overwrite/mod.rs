//! What a job changes by its variables, as far as the runner's configuration allows.
//!
//! A guard that is empty lets nothing through, silently. One that is set and does not match ends the job: a job that runs
//! elsewhere, or as somebody else, than its author wrote would be worse. Patterns match anywhere in a text, as GitLab's do:
//! `ci-.*` also allows `xci-`; who means the whole text writes `^ci-.*$`.

mod guard;
mod pairs;
mod resources;
mod tolerations;

pub(super) use guard::Guards;
pub(super) use pairs::{annotations, labels, node_selector};
pub(super) use resources::{Part, resources, service_resources};
pub(super) use tolerations::tolerations;
