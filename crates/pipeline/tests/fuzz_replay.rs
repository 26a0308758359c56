//! The corpus of the fuzz targets, on a stable toolchain and on the stack of a server's worker.

#[path = "support/harness.rs"]
mod harness;

use std::path::Path;
use std::time::{Duration, Instant};

/// Far above what any input takes on a busy machine, far below a loop without end.
const LONG: Duration = Duration::from_secs(120);

#[test]
fn the_corpus_of_every_target_does_no_harm() {
    for (name, _) in harness::TARGETS {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../fuzz/corpus")
            .join(name);
        let entries = std::fs::read_dir(&folder).unwrap_or_else(|err| panic!("{}: {err}", folder.display()));
        let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
        paths.sort();
        assert!(!paths.is_empty(), "{} is empty", folder.display());
        for path in paths {
            let bytes = std::fs::read(&path).expect("an input");
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let started = Instant::now();
            let thread = std::thread::Builder::new()
                .name(path.display().to_string())
                .stack_size(2 << 20)
                .spawn(move || harness::run(name, &text));
            assert!(thread.expect("a thread").join().is_ok(), "{} fails", path.display());
            assert!(
                started.elapsed() < LONG,
                "{} takes {:?}",
                path.display(),
                started.elapsed()
            );
        }
    }
}
