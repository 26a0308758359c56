//! Reads the list of tracked files from an index file (versions 2 to 4).

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::path::PathBuf;

/// A tracked path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) path: PathBuf,
    /// A submodule, not a file.
    pub(crate) is_submodule: bool,
}

/// The entries of an index. `None` when it is not one: damaged, or of a version that does not exist yet.
pub(crate) fn parse(bytes: &[u8], id_length: usize) -> Option<Vec<Entry>> {
    if bytes.get(..4)? != b"DIRC" {
        return None;
    }
    let version = number(bytes, 4)?;
    let count = number(bytes, 8)? as usize;
    if !(2..=4).contains(&version) {
        return None;
    }
    // An entry has 62 bytes at least: a count that lies does not make us allocate.
    let mut entries = Vec::with_capacity(count.min(bytes.len() / 62));
    let mut at = 12;
    let mut name: Vec<u8> = Vec::new();
    for _ in 0..count {
        let start = at;
        let mode = number(bytes, start + 24)?;
        let flags = u16::from_be_bytes([*bytes.get(start + 40 + id_length)?, *bytes.get(start + 41 + id_length)?]);
        at = start + 42 + id_length;
        if flags & 0x4000 != 0 {
            at += 2;
        }
        if version == 4 {
            let (strip, length) = variable(bytes.get(at..)?)?;
            at += length;
            name.truncate(name.len().checked_sub(strip)?);
        } else {
            name.clear();
        }
        let end = at + bytes.get(at..)?.iter().position(|byte| *byte == 0)?;
        name.extend_from_slice(&bytes[at..end]);
        at = if version == 4 {
            end + 1
        } else {
            start + (end - start + 8) / 8 * 8
        };
        entries.push(Entry {
            path: PathBuf::from(OsString::from_vec(name.clone())),
            is_submodule: mode & 0o170_000 == 0o160_000,
        });
    }
    Some(entries)
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    let four: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
    Some(u32::from_be_bytes(four))
}

/// Git's offset encoding: seven bits a byte, most significant first, one added for each continuation.
fn variable(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(9) {
        value = (value << 7) | usize::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some((value, at + 1));
        }
        value += 1;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn damage_is_not_an_index() {
        assert_eq!(parse(b"", 20), None);
        assert_eq!(parse(b"DIRC\0\0\0\x09\0\0\0\0", 20), None);
        assert_eq!(parse(b"DIRC\0\0\0\x02\xff\xff\xff\xff", 20), None);
        assert_eq!(parse(b"DIRC\0\0\0\x02\0\0\0\0", 20), Some(Vec::new()));
    }
}
