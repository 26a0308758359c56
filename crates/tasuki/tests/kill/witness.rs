//! What jobs say about themselves in a file that neither server nor runner knows.

use std::path::PathBuf;

use serde_json::Value;

/// A file to which every job appends `started ID` and `ended ID`.
pub(crate) struct Witness(pub(crate) PathBuf);

/// How often a task's script began and came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) started: usize,
    pub(crate) ended: usize,
}

impl Witness {
    pub(crate) fn of(&self, task: &Value) -> Seen {
        let text = std::fs::read_to_string(&self.0).unwrap_or_default();
        let count = |word: &str| {
            let line = format!("{word} {task}");
            text.lines().filter(|found| **found == line).count()
        };
        Seen {
            started: count("started"),
            ended: count("ended"),
        }
    }
}
