//! A folder that nothing done through it can leave, whatever symbolic links, `..` or races say.
//!
//! The kernel resolves each path below the folder's descriptor (`openat2`, `RESOLVE_BENEATH`): a link that stays inside
//! is followed, one that leaves is refused. Where that system call is missing (kernels before 5.6, some container
//! profiles) paths are walked one component at a time and every link on the way is refused.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, fchmod, mkdirat, openat, openat2, symlinkat, unlinkat};
use rustix::io::Errno;

/// The folder.
#[derive(Debug)]
pub(crate) struct Confined {
    root: OwnedFd,
}

const DIRECTORY: OFlags = OFlags::PATH.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);
const ANY_DIRECTORY: Mode = Mode::from_raw_mode(0o777);

impl Confined {
    /// Opens `folder`, which is trusted itself.
    pub(crate) fn open(folder: &Path) -> io::Result<Self> {
        let root = rustix::fs::open(folder, DIRECTORY, Mode::empty())?;
        Ok(Self { root })
    }

    /// Makes the folder `path` and its parents. An empty path is the root itself.
    pub(crate) fn make_folders(&self, path: &Path) -> io::Result<OwnedFd> {
        if path.as_os_str().is_empty() {
            return Ok(rustix::io::fcntl_dupfd_cloexec(&self.root, 0)?);
        }
        match self.resolve(path, DIRECTORY) {
            Err(error) if error == Errno::NOENT => {}
            other => return Ok(other?),
        }
        let parent = self.make_folders(path.parent().unwrap_or(Path::new("")))?;
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match mkdirat(&parent, name, ANY_DIRECTORY) {
            Ok(()) | Err(Errno::EXIST) => Ok(self.resolve(path, DIRECTORY)?),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a new file with exactly these permissions. Whatever had its name (but a folder) is removed first, so that
    /// neither a link nor a file with other names is written through. Parents are made.
    pub(crate) fn create(&self, path: &Path, mode: u32) -> io::Result<File> {
        let (parent, name) = self.place(path)?;
        create_in(&parent, name, mode)
    }

    /// Makes a symbolic link; its target is not looked at. Replaces what had its name, but not a folder.
    pub(crate) fn link(&self, path: &Path, target: &OsStr) -> io::Result<()> {
        let (parent, name) = self.place(path)?;
        match symlinkat(target, &parent, name) {
            Err(Errno::EXIST) => {
                unlinkat(&parent, name, AtFlags::empty())?;
                Ok(symlinkat(target, &parent, name)?)
            }
            other => Ok(other?),
        }
    }

    /// Opens a regular file for reading. A pipe or a device is refused without waiting for it.
    pub(crate) fn read(&self, path: &Path) -> io::Result<File> {
        let file = File::from(self.resolve(path, OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC)?);
        if file.metadata()?.is_file() {
            Ok(file)
        } else {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"))
        }
    }

    /// The folder of `path`, made when missing, and its last component.
    pub(crate) fn place<'a>(&self, path: &'a Path) -> io::Result<(OwnedFd, &'a OsStr)> {
        let name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        Ok((self.make_folders(path.parent().unwrap_or(Path::new("")))?, name))
    }

    fn resolve(&self, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
        let beneath = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..8 {
            match openat2(&self.root, path, flags, Mode::empty(), beneath) {
                Err(Errno::NOSYS | Errno::PERM) => return walk(self.root.as_fd(), path, flags),
                // Something was renamed while the kernel looked.
                Err(Errno::AGAIN) => {}
                other => return other,
            }
        }
        Err(Errno::AGAIN)
    }
}

/// As [`Confined::create`], in an open folder.
pub(crate) fn create_in(parent: &OwnedFd, name: &OsStr, mode: u32) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::from_raw_mode(mode & 0o7777);
    let made = match openat(parent, name, flags, mode) {
        Err(Errno::EXIST) => {
            unlinkat(parent, name, AtFlags::empty())?;
            openat(parent, name, flags, mode)?
        }
        other => other?,
    };
    // The process's mask does not apply to what an archive says.
    fchmod(&made, mode)?;
    Ok(made.into())
}

fn walk(root: BorrowedFd<'_>, path: &Path, flags: OFlags) -> Result<OwnedFd, Errno> {
    let mut here: Option<OwnedFd> = None;
    let mut components = path.components().peekable();
    while let Some(component) = components.next() {
        let Component::Normal(name) = component else {
            return Err(Errno::XDEV);
        };
        let flags = if components.peek().is_some() { DIRECTORY } else { flags };
        let next = openat(
            here.as_ref().map_or(root, AsFd::as_fd),
            name,
            flags | OFlags::NOFOLLOW,
            Mode::empty(),
        )?;
        here = Some(next);
    }
    here.ok_or(Errno::INVAL)
}

/// `path` without `.` components, if it is relative and has no `..`: what may be used inside a folder.
pub(crate) fn inside(path: &Path) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(name) => clean.push(name),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn nothing_leaves_the_folder() {
        let outer = tempfile::tempdir().expect("a folder");
        let root = outer.path().join("root");
        std::fs::create_dir_all(root.join("real")).expect("folders");
        std::fs::create_dir(outer.path().join("elsewhere")).expect("a folder");
        std::os::unix::fs::symlink("real", root.join("good")).expect("a link");
        std::os::unix::fs::symlink("../elsewhere", root.join("up")).expect("a link");
        std::os::unix::fs::symlink(outer.path().join("elsewhere"), root.join("absolute")).expect("a link");
        std::fs::write(outer.path().join("victim"), "old").expect("a file");
        std::os::unix::fs::symlink("../victim", root.join("file")).expect("a link");

        let confined = Confined::open(&root).expect("opens");
        for path in ["up/x", "absolute/x", "up/new/x", "../x"] {
            confined.create(Path::new(path), 0o644).expect_err(path);
        }
        confined
            .create(Path::new("good/deep/x"), 0o640)
            .expect("stays inside")
            .write_all(b"1")
            .expect("writes");
        assert!(root.join("real/deep/x").exists());
        confined
            .create(Path::new("file"), 0o600)
            .expect("replaces the link")
            .write_all(b"new")
            .expect("writes");
        assert_eq!(
            std::fs::read_to_string(outer.path().join("victim")).expect("is there"),
            "old"
        );
        assert!(
            std::fs::read_dir(outer.path().join("elsewhere"))
                .expect("a folder")
                .next()
                .is_none()
        );
        confined.read(Path::new("up")).expect_err("a folder elsewhere");

        for path in ["up/x", "absolute", "good/deep", "../victim"] {
            walk(confined.root.as_fd(), Path::new(path), OFlags::RDONLY).expect_err(path);
        }
        walk(confined.root.as_fd(), Path::new("real/deep/x"), OFlags::RDONLY).expect("is inside");
    }

    #[test]
    fn paths_are_cleaned_or_refused() {
        let check = |path: &str, clean: Option<&str>| {
            assert_eq!(inside(Path::new(path)), clean.map(PathBuf::from), "{path}");
        };
        check("a/b", Some("a/b"));
        check("./a//b/.", Some("a/b"));
        check("", Some(""));
        check("a/../b", None);
        check("..", None);
        check("/a", None);
    }
}
