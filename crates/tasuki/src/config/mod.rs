//! Where data lies, how the server is found, what the environment says.

mod connection;
mod data;

pub(crate) use connection::{Connection, client};
pub(crate) use data::{DataDir, Served, lock, orbs};
