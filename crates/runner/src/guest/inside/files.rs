//! Files and folders of a job's container.

use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::protocol::{Answer, Folder};
use crate::guest::confined::{self, Confined};

/// The confined folder of a path, and the path in it.
fn locate(roots: &[PathBuf], path: &Path) -> Result<(PathBuf, PathBuf), Answer> {
    roots
        .iter()
        .find_map(|root| {
            let relative = confined::inside(path.strip_prefix(root).ok()?)?;
            (!relative.as_os_str().is_empty()).then(|| (root.clone(), relative))
        })
        .ok_or_else(|| Answer::Refused {
            message: format!("{} is outside the workspace", path.display()),
        })
}

pub(super) fn push(roots: &[PathBuf], path: &Path, mode: u32, base64: &str) -> Answer {
    let (root, relative) = match locate(roots, path) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let written = BASE64_STANDARD
        .decode(base64)
        .map_err(io::Error::other)
        .and_then(|bytes| {
            let confined = Confined::open(&root)?;
            let mut file = confined.create(&relative, mode)?;
            file.write_all(&bytes)
        });
    match written {
        Ok(()) => Answer::Done,
        Err(error) => Answer::Failed {
            message: format!("write {}: {error}", path.display()),
        },
    }
}

pub(super) fn pull(roots: &[PathBuf], path: &Path, limit: u64) -> Answer {
    let (root, relative) = match locate(roots, path) {
        Ok(found) => found,
        Err(refused) => return refused,
    };
    let file = match Confined::open(&root).and_then(|confined| confined.read(&relative)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Answer::Pulled { base64: None },
        Err(error) => {
            return Answer::Refused {
                message: format!("cannot read {}: {error}", path.display()),
            };
        }
    };
    let mut bytes = Vec::new();
    match file.take(limit.saturating_add(1)).read_to_end(&mut bytes) {
        Err(error) => Answer::Failed {
            message: format!("read {}: {error}", path.display()),
        },
        Ok(_) if bytes.len() as u64 > limit => Answer::Refused {
            message: format!("{} is larger than {limit} bytes", path.display()),
        },
        Ok(_) => Answer::Pulled {
            base64: Some(BASE64_STANDARD.encode(bytes)),
        },
    }
}

pub(super) fn make(folders: &[Folder]) -> Answer {
    for folder in folders {
        let made = fs::create_dir_all(&folder.path)
            .and_then(|()| fs::set_permissions(&folder.path, fs::Permissions::from_mode(folder.mode)))
            .and_then(|()| std::os::unix::fs::lchown(&folder.path, Some(folder.uid), Some(folder.gid)));
        if let Err(error) = made {
            return Answer::Failed {
                message: format!("make the folder {}: {error}", folder.path.display()),
            };
        }
    }
    Answer::Done
}

pub(super) fn remove(folders: &[PathBuf]) -> Answer {
    for folder in folders {
        match fs::remove_dir_all(folder) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Answer::Failed {
                    message: format!("remove the folder {}: {error}", folder.display()),
                };
            }
            _ => {}
        }
    }
    Answer::Done
}
