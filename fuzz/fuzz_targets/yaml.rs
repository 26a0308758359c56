//! Any text is read or refused.
#![no_main]

#[path = "../../crates/pipeline/tests/support/harness.rs"]
mod harness;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| harness::run("yaml", text));
