//! The docker executor: containers of an engine that speaks Docker's API.
//!
//! ```text
//! <base>-build       the job's image: scripts, as the image's user, behind its entrypoint
//! <base>-predefined  the helper image: sources, caches, artifacts, file variables; as the same user, without privileges
//! <base>-<image>-<n> services
//! <base>-network     what they meet in
//! <base>-together    has the network interfaces of all, where they are at `localhost` of one another
//! <base>-ports       passes ports of services on to steps that have no container of their own
//! <base>-action-<n>  containers of actions, one at a time
//! <base>-volume-<x>  volumes that a job names; they go with it
//! <base>-builds      volume of the sources; goes with the job
//! runner-…-cache-…   volumes of caches; stay
//! tasuki-guest-…     volume with this very program, read-only in every container; stays
//! ```
//!
//! **The guest.** The helper image and the guest's volume are made of this machine's files ([`helper_image`]): nothing is
//! pulled for them. A program that is linked dynamically brings its loader and libraries along, and is started through
//! them, so that it runs in an image of any C library, or of none. It holds the containers open, and starts what is asked
//! for over their own input and output ([`line`]): a process that the engine brings in (`exec`) takes a tenth of a second,
//! and is left for what runs beside, and for images whose entrypoint keeps those channels. The protocol is
//! [`crate::guest::inside`]'s.
//!
//! **Users.** Scripts run as the image's user (or `user`), and the predefined container works as the same one: files
//! that it makes belong to the job.
//!
//! **Nothing outlives the task.** Everything carries the sandbox's label; teardown removes what the engine lists under it.
//! A prepare that fails or is dropped removes what it made. After a crash [`Executor::sweep`] removes what belongs to
//! processes of this machine whose lock file nobody holds any more.
//!
//! **Secrets.** Scripts, environments and requests go over the guest's standard input: neither a process list nor an
//! inspected container shows a variable that is not public. Registry passwords travel in a header.
//!
//! [`Executor::sweep`]: super::Executor::sweep

mod action;
mod auth;
mod build;
mod console;
mod engine;
mod executor;
mod facts;
mod health;
mod host_config;
mod images;
mod line;
mod names;
mod network;
mod owner;
mod ports;
mod predefined;
mod prepare;
mod provision;
mod remote;
mod sandbox;
mod services;
mod sweep;
mod together;
mod volumes;
mod wishes;

pub use executor::{Docker, GuestNetwork, Settings, Surroundings};
pub(super) use names::hex;
