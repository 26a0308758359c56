//! Where our own binary is.

use std::path::{Path, PathBuf};

/// The binary that is started as supervisor and guest: a program that hands its arguments after `guest` to
/// [`crate::guest::main`]. Either `tasuki` or the small `tasuki-guest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
}

impl Binary {
    /// The running program itself. Stays right when the file is replaced while it runs (an upgrade).
    #[must_use]
    pub fn current() -> Self {
        let itself = PathBuf::from("/proc/self/exe");
        match std::env::current_exe() {
            Ok(path) if path.exists() => Self { path },
            _ => Self { path: itself },
        }
    }

    /// Another file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into() }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
