//! The pod of a task, and what goes with it.
//!
//! | File | Decides |
//! |---|---|
//! | `names` | how everything is called, labels, annotations |
//! | `platform` | operating system and architecture, and so the helper image |
//! | `services` | which services there are, what their containers are called, under which host names they are reached |
//! | `guest` | how the guest gets in and holds the containers open |
//! | `container` | one container |
//! | `users`, `security`, `volumes`, `hooks`, `affinity`, `network` | parts of containers and of the pod |
//! | `spec` | the pod of them all |
//! | `companions` | namespace, registry log-ins, ports, disruption budget |

mod affinity;
mod companions;
mod container;
mod guest;
mod hooks;
mod names;
mod network;
mod platform;
mod security;
mod services;
mod spec;
mod users;
mod volumes;

pub(super) use companions::{disruption_budget, namespace, port_services, pull_secret};
pub(super) use guest::{FOLDER as GUEST, command as guest_command, order};
pub(super) use names::{BUILD, HELPER, INIT, Names};
pub use platform::own_helper_image;
pub(super) use services::HEALTH;
pub(super) use spec::{make, set_pull_policy};
pub(super) use volumes::logs_dir;
