//! Where our own binary is.

use std::path::{Path, PathBuf};

/// The binary that is started as supervisor and guest: a program that hands its arguments after `guest` to
/// [`crate::guest::main`]. Either `tasuki` or the small `tasuki-guest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binary {
    path: PathBuf,
    loader: Option<Loader>,
}

/// The dynamic loader that starts a binary where the system has no such loader: in containers of another C library.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Loader {
    path: PathBuf,
    libraries: PathBuf,
}

impl Binary {
    /// The running program itself. Stays right when the file is replaced while it runs (an upgrade).
    #[must_use]
    pub fn current() -> Self {
        let itself = PathBuf::from("/proc/self/exe");
        match std::env::current_exe() {
            Ok(path) if path.exists() => Self::at(path),
            _ => Self::at(itself),
        }
    }

    /// The running program inside a container, where it may have been started by the loader that it brought along
    /// (see [`crate::executor::docker`]).
    #[must_use]
    pub fn inside() -> Self {
        let exe = std::env::current_exe().unwrap_or_default();
        match exe.parent() {
            Some(folder) if exe.file_name().is_some_and(|name| name == Self::LOADER) => Self {
                path: folder.join(Self::PROGRAM),
                loader: Some(Loader {
                    libraries: folder.join(Self::LIBRARIES),
                    path: exe.clone(),
                }),
            },
            _ => Self::current(),
        }
    }

    /// Name of the program in the folder that is put into containers.
    pub const PROGRAM: &'static str = "tasuki";
    /// Name of the loader beside it, where it needs one.
    pub const LOADER: &'static str = "ld.so";
    /// Name of the folder of its libraries.
    pub const LIBRARIES: &'static str = "lib";

    /// Another file.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            loader: None,
        }
    }

    /// What is started, and the arguments that stand before the program's own.
    #[must_use]
    pub fn command(&self) -> (&Path, Vec<&std::ffi::OsStr>) {
        match &self.loader {
            None => (&self.path, Vec::new()),
            Some(loader) => (
                &loader.path,
                vec!["--library-path".as_ref(), loader.libraries.as_ref(), self.path.as_ref()],
            ),
        }
    }

    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}
