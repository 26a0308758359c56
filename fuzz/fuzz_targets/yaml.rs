//! Any text is read or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tasuki_pipeline::yaml::{FileId, Limits, MergeKeys, Options, Schema, parse, split};

fuzz_target!(|text: &str| {
    for document in split(text) {
        for (schema, merge) in [
            (Schema::Yaml11, MergeKeys::InPlace),
            (Schema::Yaml11, MergeKeys::Below),
            (Schema::Core, MergeKeys::Off),
        ] {
            let options = Options {
                file: FileId(0),
                schema,
                merge,
                limits: Limits::default(),
            };
            if let Ok(Some(node)) = parse(document, options, &mut Vec::new()) {
                let _ = node.weight();
            }
        }
    }
});
