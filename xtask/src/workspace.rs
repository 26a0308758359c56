//! Where things are, and which files belong to the repository.

use std::path::{Path, PathBuf};

use anyhow::Context as _;

/// The repository's root folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .map_or_else(|| PathBuf::from("."), Path::to_path_buf)
}

/// One text file of the repository.
pub(crate) struct File {
    /// Path from the root, with `/`.
    pub(crate) path: String,
    pub(crate) text: String,
}

/// All text files that git tracks or would add, below the folders named (all when empty).
pub(crate) fn files(below: &[&str]) -> anyhow::Result<Vec<File>> {
    let mut args = vec!["ls-files", "-co", "--exclude-standard", "--"];
    args.extend_from_slice(below);
    let names = crate::program::output("git", &args)?;
    let mut files = Vec::new();
    for path in names.lines() {
        let whole = root().join(path);
        if !whole.is_file() {
            continue;
        }
        let bytes = std::fs::read(&whole).with_context(|| format!("cannot read {path}"))?;
        if let Ok(text) = String::from_utf8(bytes) {
            files.push(File {
                path: path.to_owned(),
                text,
            });
        }
    }
    Ok(files)
}
