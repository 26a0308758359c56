//! Pods that hold room in the cluster for jobs to come (`[runners.kubernetes.autoscaler]`).
//!
//! They are as large as a job's pod and do nothing, and their priority is below every job's: the scheduler puts a job in the place
//! of one of them, and the cluster's own autoscaler makes a node for the one that was put out.
//!
//! | File | Holds |
//! |---|---|
//! | `decide` | how many there should be: pure |
//! | `objects` | the Deployment and the priority class: pure |
//! | `keeper` | the loop that keeps the number |

mod decide;
mod keeper;
mod objects;

pub(super) use decide::Policies;
pub(super) use keeper::{Active, Keeper, One, Shown, Work};
pub use objects::deployment;
