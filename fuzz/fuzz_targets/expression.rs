//! Any line is an expression of each language or is refused.
#![no_main]

#[path = "../../crates/pipeline/tests/support/harness.rs"]
mod harness;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| harness::run("expression", text));
