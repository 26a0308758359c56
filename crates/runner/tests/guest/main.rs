//! The guest's work, in-process, against real repositories, archives and servers.

mod archive;
mod artifacts;
mod checkout;
mod setting;
mod snapshot;
