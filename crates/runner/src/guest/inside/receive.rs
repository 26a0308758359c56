//! `guest receive WHO DIR`: takes a folder over standard input.

use std::fs;
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use super::session::assume;

/// Unpacks the archive (tar) that comes on standard input into the folder that is named, as `WHO` (see [`super::session`]). An archive that
/// breaks off before its end is an error, for the connection may have.
pub(crate) fn receive(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(who), Some(to)) = (arguments.next(), arguments.next().map(PathBuf::from)) else {
        return ExitCode::from(2);
    };
    assume(&who);
    match unpack(io::stdin().lock(), &to) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "cannot unpack the folder into {}: {error}", to.display());
            ExitCode::from(3)
        }
    }
}

fn unpack(from: impl Read, to: &Path) -> io::Result<()> {
    fs::create_dir_all(to)?;
    let mut archive = tar::Archive::new(from);
    archive.set_preserve_permissions(true);
    archive.set_preserve_ownerships(false);
    let mut whole = false;
    for entry in archive.entries()? {
        let mut entry = entry?;
        // The last one: what follows it is padding.
        if *entry.path_bytes() == *END.as_bytes() {
            whole = true;
            break;
        }
        entry.unpack_in(to)?;
    }
    if whole {
        Ok(())
    } else {
        Err(io::ErrorKind::UnexpectedEof.into())
    }
}

/// Name of the entry that says that all came.
pub(crate) const END: &str = ".tasuki-end";

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(names: &[&str]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for name in names {
            let mut header = tar::Header::new_gnu();
            header.set_size(3);
            header.set_mode(0o640);
            header.set_mtime(1_000_000_000);
            // Past the check of the builder: a sender need not be honest.
            header.as_gnu_mut().expect("is one").name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, &b"abc"[..]).expect("is written");
        }
        builder.into_inner().expect("is written")
    }

    #[test]
    fn only_a_whole_archive_is_taken_and_nothing_outside_is_written() {
        let whole = archive(&["a", "b/c", END]);
        let cut = whole[..1024].to_vec();
        for (archive, wanted, there) in [
            (whole, true, vec!["a", "b/c"]),
            (cut, false, vec!["a"]),
            (archive(&["a"]), false, vec!["a"]),
            (archive(&["../out", END]), true, Vec::new()),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let to = folder.path().join("in");
            assert_eq!(unpack(&archive[..], &to).is_ok(), wanted, "{there:?}");
            for name in there {
                assert_eq!(fs::read(to.join(name)).expect("is there"), b"abc");
            }
            assert!(!folder.path().join("out").exists());
            assert!(!to.join(END).exists());
        }
    }
}
