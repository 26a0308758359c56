//! Any GitHub workflow compiles or gives diagnostics, whatever it calls and uses.
#![no_main]

#[path = "../../crates/pipeline/tests/support/harness.rs"]
mod harness;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| harness::run("github", text));
