//! The commit that is checked out, read without starting git: what somebody has just committed lies in a file of its own.

use std::fs;
use std::io::Read as _;
use std::path::Path;

use sha1::Digest as _;
use tasuki_model::trigger::Commit;

use super::Oid;
use super::object::{hex, parse_commit};
use super::worktree::{common_dir, git_dir};

/// Bytes of a commit object beyond which git is asked.
const MOST: u64 = 1 << 20;

/// The commit at HEAD of the repository whose top folder is `root`. `None` is no answer, and git is to be asked: there is
/// no commit yet, it is in a pack or in another repository, objects are replaced by others, refs are kept in another form.
pub(super) fn head(root: &Path) -> Option<Commit> {
    let (own, common) = (git_dir(root).ok()?, common_dir(root).ok()?);
    let packed = fs::read_to_string(common.join("packed-refs")).unwrap_or_default();
    if common.join("refs/replace").exists() || packed.contains(" refs/replace/") || common.join("info/grafts").exists()
    {
        return None;
    }
    let head = fs::read_to_string(own.join("HEAD")).ok()?;
    let id = match head.trim_end().strip_prefix("ref: ") {
        None => head.trim_end().parse().ok()?,
        Some(name) => commit_of(&common, &packed, name)?,
    };
    Some(parse_commit(&id, &object(&common, &id)?))
}

/// Where a branch leads.
fn commit_of(common: &Path, packed: &str, name: &str) -> Option<Oid> {
    // Others, and those that leave the folder, are git's to judge.
    if !name.starts_with("refs/heads/") || name.split('/').any(|part| part == "..") {
        return None;
    }
    if let Ok(text) = fs::read_to_string(common.join(name)) {
        return text.trim_end().parse().ok();
    }
    let line = packed
        .lines()
        .find_map(|line| line.split_once(' ').filter(|(_, packed)| *packed == name));
    line?.0.parse().ok()
}

/// The body of a commit object in a file of its own, if it is what its id says.
fn object(common: &Path, id: &Oid) -> Option<Vec<u8>> {
    let (folder, file) = id.as_str().split_at(2);
    let file = fs::File::open(common.join("objects").join(folder).join(file)).ok()?;
    let mut raw = Vec::new();
    let mut unpacked = flate2::read::ZlibDecoder::new(file).take(MOST + 1);
    unpacked.read_to_end(&mut raw).ok()?;
    if raw.len() as u64 > MOST || hex(&sha1::Sha1::digest(&raw)) != id.as_str() {
        return None;
    }
    let end = raw.iter().position(|byte| *byte == 0)?;
    raw.starts_with(b"commit ").then(|| raw.split_off(end + 1))
}
