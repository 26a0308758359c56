//! How a runner gets a place to run a task.
//!
//! An [`Executor`] makes a [`Sandbox`] for one task; the job's stages run in it one after the other; then it is
//! torn down. `runner::job` knows only these two traits, so a new executor is one folder here and one line below,
//! and the conformance suite (`tests/executor/conformance.rs`) runs on it unchanged.
//!
//! | Folder | Sandbox |
//! |---|---|
//! | [`shell`] | a fresh folder and a supervised process tree on this machine |
//! | [`docker`] | containers of an engine |
//! | [`kubernetes`] | one pod of a cluster |
//! | [`custom`] | what somebody else's programs make |
//! | [`scripted`] | nothing: answers as a test tells it |
//!
//! What belongs here: getting the place, running one [`Command`] in it, files in and out, leaving nothing behind.
//! What does not: the order of stages, the script's text, masking, trace upload (`runner::job`, `runner::trace`),
//! and the work itself of checkout, caches and artifacts ([`crate::guest`], which runs *inside* the sandbox).

mod access;
mod command;
pub mod custom;
pub mod docker;
mod error;
pub mod helper_image;
pub mod kubernetes;
mod reference;
mod sandbox;
pub mod scripted;
pub mod shell;
mod unique;

pub(crate) use crate::process::PullOnDrop;
pub use crate::process::{Collected, Discard, Exit, Keyboard, Output, Stop, Stream, Typed, Typist, Window};
pub use command::{Command, Ended, Interactive, Program, Shell, ShellKind};
pub use error::{Error, Result};
pub use sandbox::{
    BUILDS, Contained, ContainerFacts, Containers, Executor, Held, Origin, Paths, PushedFile, RegistryLogin, Sandbox,
    Swept, Task,
};
pub(crate) use unique::unique;
