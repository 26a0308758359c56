//! Doors to the runtime: the clock, supervised tasks with an ordered shutdown, back-off. Nothing of CI.
//!
//! Everything that spawns, waits or asks for the time goes through here, so that a panic is reported,
//! a shutdown joins what it started, and tests turn the clock by hand.

mod backoff;
mod clock;
mod tasks;

pub use backoff::Backoff;
pub use clock::Clock;
pub use tasks::Tasks;
pub use tokio_util::sync::CancellationToken;
