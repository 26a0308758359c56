//! The scheduler and the store under a simulated clock with seeded faults.
//!
//! Real code: `tasuki_server::scheduler` over `tasuki_store` on a real SQLite, in memory. Simulated: the clock, the
//! runners, the people, and the network between them, which loses, doubles and delays messages; runners die,
//! freeze and come back; servers restart at any step, and sometimes two of them share the database. After each
//! event [`check`] looks at the database as an outsider would.
//!
//! Everything follows from the seed: `cargo test -p tasuki-testkit --test simulation -- --seed N` repeats it.

mod check;
mod environments;
mod ledger;
mod network;
mod people;
mod random;
mod runner;
mod world;

pub use world::{Broken, Report, run};
