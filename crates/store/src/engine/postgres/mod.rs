//! PostgreSQL: one connection that writes with group commit, a pool that reads, and two more that carry hints.
//!
//! One writer for each process and not a pool of them: operations of one pipeline all change its row, so two of
//! them at a time only wait for one another, and then the second one's compare-and-swap fails and it has to read
//! the whole pipeline again. One after the other in a shared transaction they cost one commit, and no conflict.

mod hints;
mod link;
mod open;
mod read;
mod write;

pub(crate) use open::open;
pub(crate) use read::read_alone;
