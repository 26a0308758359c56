//! Interactive terminals in running jobs: brings the connection of a person and the one that the job's runner dials for it
//! together, and passes frames from one to the other ([`tasuki_proto::terminal`]).
//!
//! A runner is never dialled. A wish for a terminal gets a one-time id; the answer to the next sign of life of the task's
//! runner carries it; the runner fetches the terminal under that id with the task's token. All of it lives in this
//! process: what is open ends with it, and with several server processes both connections must reach the same one.

mod open;
mod relay;

pub use open::{Error, Line, Seat, Terminals, Wish};
pub use relay::{Ended, relay};
