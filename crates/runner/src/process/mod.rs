//! The only door through which the runner starts programs.
//!
//! A program of a job never is a child of the runner. Between the two stands a **supervisor**: our own binary,
//! `tasuki guest supervise`, one for each program. It is the leader of a new session without a terminal and the
//! *subreaper* of all that the program starts, so that a double fork or a `setsid` ends up as its child and not as
//! init's, without privileges and without a daemon. Runner and supervisor talk over a socket pair:
//!
//! - the program's end comes as a message, apart from the ends of its children;
//! - "terminate" signals every descendant, "kill" kills until none is left;
//! - when the socket breaks, because the runner let go of it *or was killed*, the supervisor kills everything and ends.
//!
//! Two more nets lie below, for a supervisor that a job of the same user killed: a cgroup for each sandbox where the
//! kernel and our rights allow ([`Cgroup`]), and a marker in every environment ([`MARKER`]) by which [`sweep_marked`]
//! finds what is left, also in the next life of the runner.
//!
//! A program on a terminal ([`OnTerminal`]) stands under the same supervisor. Between the two our binary makes the program
//! the leader of a session on a pty, and becomes the program.
//!
//! The environment of a program is what was given and nothing else. [`tool`] runs the guest's own programs (git),
//! which stand inside a sandbox already.

mod binary;
mod cgroup;
mod error;
mod exit;
mod fork;
mod marker;
mod output;
mod running;
mod spec;
mod stop;
mod supervise;
mod terminal;
pub mod tool;
mod tree;
mod user;

pub use binary::Binary;
pub use cgroup::Cgroup;
pub use error::{Error, Result};
pub use exit::Exit;
pub use marker::{MARKER, sweep_marked};
pub use output::{Collected, Discard, Output, Stream};
pub use running::{DRAIN_GRACE, Finished, Limits, Lingering, Nets, Running, Waiting};
pub use spec::{Spec, Stdin};
pub(crate) use spec::{encode, frame_length};
pub(crate) use stop::PullOnDrop;
pub use stop::Stop;
pub(crate) use supervise::become_user;
pub use supervise::main as supervise;
pub use terminal::{Keyboard, OnTerminal, Typed, Typist, Window, lead};
pub use user::User;
