//! Any GitLab configuration compiles or gives diagnostics, whatever it includes.
#![no_main]

#[path = "../../crates/pipeline/tests/support/harness.rs"]
mod harness;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| harness::run("gitlab", text));
