//! The kubernetes executor: one pod of a cluster for one task.
//!
//! ```text
//! helper             the helper image: sources, caches, artifacts, file variables, held open by the guest, which its first hook
//!                    copies into a volume that build mounts
//! build              the job's image: scripts, held open by the guest
//! svc-<n>, <alias>   services
//! ```
//!
//! **Decide, then do.** [`plan`] is pure: from the [`Settings`] of a `[runners.kubernetes]` section and a task it makes
//! everything that will exist, as the cluster's own types, or says why the job cannot have it. It knows no cluster.
//!
//! | File or folder | Holds |
//! |---|---|
//! | `settings` | the section, checked and with its defaults; what is wrong with it is said before the first job |
//! | `flags` | the feature flags that change a pod |
//! | `overwrite` | what jobs change by variables, and the guards that stand before it |
//! | `pod` | the pod and what goes with it |
//! | `patch` | `pod_spec`: changes of the finished pod |
//! | `plan` | all of it in order |
//! | `pause` | pods that hold room for jobs to come |
//! | `rbac`, `rights` | the rights that all of it needs; whether the account has them |
//!
//! The other half does it:
//!
//! | File | Does |
//! |---|---|
//! | `connect`, `kubeconfig`, `cluster`, `fault` | which cluster and as whom; calls and their repetition; what a refusal means |
//! | `executor`, `prepare`, `sandbox`, `files` | the executor and its sandbox |
//! | `record`, `make`, `names`, `there` | what is written down, made, looked for and removed |
//! | `watch`, `sight`, `report` | following a pod; what its state means for the job; what the job's log is told of it |
//! | `wire`, `link`, `talk` | a program's connection; programs in containers; talking to the guest over connections that may break |
//! | `reach` | by which address pods reach this machine |
//! | `source` | a folder of this machine as the job's source |
//!
//! **Secrets.** Only variables that everybody may see stand in the pod; registry log-ins are a Secret of their own, and
//! scripts go over the guest's standard input.

mod cluster;
mod connect;
mod executor;
mod fault;
mod flags;
mod kubeconfig;
mod link;
mod make;
mod names;
mod overwrite;
mod patch;
mod pause;
#[cfg(test)]
mod peers;
mod plan;
mod pod;
mod prepare;
mod rbac;
mod reach;
mod record;
mod report;
mod rights;
mod sandbox;
mod settings;
mod sight;
mod source;
mod talk;
mod there;
mod watch;
mod wire;

pub use executor::Kubernetes;
pub use flags::Flags;
pub use pause::deployment as pause_deployment;
pub use plan::{Context, Planned, plan};
pub use pod::own_helper_image;
pub use rbac::{Account, Purpose, manifest as rbac_manifest};
pub use reach::address_for_pods;
pub use rights::{Permissions, Right, permissions};
pub use settings::{GuestStart, Retry, Settings};
