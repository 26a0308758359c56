//! The pods that `[runners.kubernetes]` and a job's payload come to, and what a cluster is asked: none is needed.
//!
//! A case is a piece of `config.toml` and a piece of a payload. It goes the way of a real job (configuration, settings,
//! task, plan), and its snapshot shows in what the outcome differs from that of an empty section: `+` and `-` lines, or
//! why the job is refused. The snapshot `plain` has the whole of the latter.

mod api;
mod attacks;
mod containers;
mod entrypoint;
mod golden;
mod helper_image;
mod ignored_labels;
mod images;
mod metadata;
mod network;
mod overwrites;
mod patches;
mod pause;
mod pulls;
mod rbac;
mod resources;
mod scheduling;
mod section;
mod security;
mod services;
mod users;
mod volumes;
