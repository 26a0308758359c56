//! `guest install DIR`: puts the guest into a volume.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::process::Binary;

/// Copies the folder that this program was started from to the folder that is named. Whoever finds the program there
/// finds everything: it comes last, by renaming.
pub(crate) fn install(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(to) = arguments.next().map(PathBuf::from) else {
        return ExitCode::from(2);
    };
    match copy(&to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(io::stderr(), "cannot install the guest in {}: {error}", to.display());
            ExitCode::from(3)
        }
    }
}

fn copy(to: &Path) -> io::Result<()> {
    let program = to.join(Binary::PROGRAM);
    if program.exists() {
        return Ok(());
    }
    let binary = Binary::inside();
    let from = binary.path().parent().unwrap_or(Path::new("/")).to_owned();
    let libraries = from.join(Binary::LIBRARIES);
    if libraries.is_dir() {
        fs::create_dir_all(to.join(Binary::LIBRARIES))?;
        for library in fs::read_dir(libraries)? {
            let library = library?;
            put(&library.path(), &to.join(Binary::LIBRARIES).join(library.file_name()))?;
        }
        put(&from.join(Binary::LOADER), &to.join(Binary::LOADER))?;
    }
    put(binary.path(), &program)
}

fn put(from: &Path, to: &Path) -> io::Result<()> {
    let mut draft = to.as_os_str().to_owned();
    draft.push(format!(".{}", std::process::id()));
    fs::copy(from, &draft)?;
    fs::File::open(&draft)?.sync_all()?;
    fs::rename(&draft, to)
}
