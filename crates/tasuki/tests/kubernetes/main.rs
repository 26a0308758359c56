//! The program with a real cluster. `KUBECONFIG` names it; `cargo xtask test kubernetes` says what else it needs.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod cluster;
mod local;
mod serving;
mod whole;
#[expect(dead_code, reason = "made for more commands than these tests use")]
#[path = "../cli/world.rs"]
mod world;
