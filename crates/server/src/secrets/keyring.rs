//! The master keys, and encryption under them.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use chacha20poly1305::aead::{Aead as _, KeyInit as _, Payload};
use chacha20poly1305::{XChaCha20Poly1305, XNonce};
use tasuki_model::secret::Secret;

/// Bytes of a nonce. With 192 random bits two never meet.
const NONCE: usize = 24;

/// What can go wrong with keys.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot use the key file {path}")]
    File {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("others can read the key file {path} (mode {mode:o}); run: chmod 600 {path}")]
    Open { path: PathBuf, mode: u32 },
    #[error("line {line} of the key file {path} is no key; write ID KEY, or restore the file from a backup")]
    Line { path: PathBuf, line: usize },
    #[error("the value is encrypted under the key {key_id}, which the key file does not hold; restore the key file")]
    UnknownKey { key_id: String },
    /// Another key, another place, or other bytes than were encrypted.
    #[error("the value cannot be decrypted: it is damaged or does not belong here")]
    Damaged,
    #[error("the system gives no random numbers")]
    Random(#[from] getrandom::Error),
    #[error("the database failed")]
    Store(#[from] tasuki_store::Error),
}

/// An encrypted value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    pub key_id: String,
    pub bytes: Vec<u8>,
}

struct Key {
    id: String,
    cipher: XChaCha20Poly1305,
}

/// The master keys of an instance. The last one encrypts, all of them decrypt.
pub struct Keyring {
    keys: Vec<Key>,
}

impl std::fmt::Debug for Keyring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| &key.id)).finish()
    }
}

impl Keyring {
    /// Reads the key file; one that is missing is made with a new key, mode 0600.
    ///
    /// The file has a line for each key, `ID KEY` with 32 bytes in base64; the last one is in use.
    ///
    /// # Errors
    /// When the file cannot be used, others can read it, or it holds something else.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failed = |source| Error::File {
            path: path.to_owned(),
            source,
        };
        match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => add(path)?,
            other => drop(other.map_err(failed)?),
        }
        let mode = fs::metadata(path).map_err(failed)?.mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(Error::Open {
                path: path.to_owned(),
                mode,
            });
        }
        let text = fs::read_to_string(path).map_err(failed)?;
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            keys.push(key(line).ok_or(Error::Line {
                path: path.to_owned(),
                line: index + 1,
            })?);
        }
        if keys.is_empty() {
            return Err(Error::Line {
                path: path.to_owned(),
                line: 1,
            });
        }
        Ok(Self { keys })
    }

    /// Adds a new key to the file and takes it into use; the old ones still decrypt. What is encrypted under
    /// them is taken over by [`super::rotate`].
    ///
    /// # Errors
    /// As [`Keyring::open`].
    pub fn renew(path: &Path) -> Result<Self, Error> {
        // Never on top of a file that is not one of ours.
        Self::open(path)?;
        add(path)?;
        Self::open(path)
    }

    /// The id of the key that encrypts.
    #[must_use]
    pub fn current(&self) -> &str {
        self.keys.last().map_or("", |key| &key.id)
    }

    /// Encrypts `value` for the place `context`: it can be decrypted with the same context only, so a value
    /// cannot be moved to where others may read it.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, context: &str, value: &Secret) -> Result<Sealed, Error> {
        let key = self.keys.last().ok_or(Error::Damaged)?;
        let mut nonce = [0; NONCE];
        getrandom::fill(&mut nonce)?;
        let payload = Payload {
            msg: value.expose().as_bytes(),
            aad: context.as_bytes(),
        };
        let hidden = key
            .cipher
            .encrypt(&XNonce::from(nonce), payload)
            .map_err(|_| Error::Damaged)?;
        let mut bytes = nonce.to_vec();
        bytes.extend(hidden);
        Ok(Sealed {
            key_id: key.id.clone(),
            bytes,
        })
    }

    /// Decrypts what [`Keyring::seal`] made for the same context.
    ///
    /// # Errors
    /// [`Error::UnknownKey`] or [`Error::Damaged`].
    pub fn unseal(&self, context: &str, key_id: &str, bytes: &[u8]) -> Result<Secret, Error> {
        let key = self
            .keys
            .iter()
            .find(|key| key.id == key_id)
            .ok_or_else(|| Error::UnknownKey {
                key_id: key_id.to_owned(),
            })?;
        let (nonce, hidden) = bytes.split_first_chunk::<NONCE>().ok_or(Error::Damaged)?;
        let payload = Payload {
            msg: hidden,
            aad: context.as_bytes(),
        };
        let plain = key
            .cipher
            .decrypt(&XNonce::from(*nonce), payload)
            .map_err(|_| Error::Damaged)?;
        String::from_utf8(plain).map(Secret::new).map_err(|_| Error::Damaged)
    }
}

fn key(line: &str) -> Option<Key> {
    let (id, text) = line.split_once(' ')?;
    let bytes: [u8; 32] = STANDARD_NO_PAD.decode(text.trim()).ok()?.try_into().ok()?;
    Some(Key {
        id: id.to_owned(),
        cipher: XChaCha20Poly1305::new(&bytes.into()),
    })
}

/// Appends a new key, durably: a value must not be encrypted under a key that a crash takes away.
fn add(path: &Path) -> Result<(), Error> {
    let mut random = [0_u8; 32 + 6];
    getrandom::fill(&mut random)?;
    let (key, id) = random.split_at(32);
    let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    let line = format!("k{id} {}\n", STANDARD_NO_PAD.encode(key));
    let write = || -> io::Result<()> {
        let mut file = File::options().append(true).create(true).mode(0o600).open(path)?;
        file.write_all(line.as_bytes())?;
        file.sync_all()?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
    };
    write().map_err(|source| Error::File {
        path: path.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn ring() -> (tempfile::TempDir, PathBuf, Keyring) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("master.key");
        let ring = Keyring::open(&path).unwrap();
        (folder, path, ring)
    }

    #[test]
    fn values_come_back_only_where_they_belong() {
        let (_folder, _, ring) = ring();
        let value = Secret::new("pässword");
        let sealed = ring.seal("project/1 KEY", &value).unwrap();
        assert!(!sealed.bytes.windows(4).any(|part| part == b"word"));
        assert_ne!(
            ring.seal("project/1 KEY", &value).unwrap(),
            sealed,
            "never the same twice"
        );
        let open = |context: &str, bytes: &[u8]| ring.unseal(context, &sealed.key_id, bytes);
        assert_eq!(open("project/1 KEY", &sealed.bytes).unwrap(), value);
        assert!(matches!(open("project/2 KEY", &sealed.bytes), Err(Error::Damaged)));
        for at in 0..sealed.bytes.len() {
            let mut bad = sealed.bytes.clone();
            bad[at] ^= 1;
            assert!(matches!(open("project/1 KEY", &bad), Err(Error::Damaged)), "byte {at}");
            assert!(
                matches!(open("project/1 KEY", &sealed.bytes[..at]), Err(Error::Damaged)),
                "cut at {at}"
            );
        }
        let foreign = ring.unseal("project/1 KEY", "k0", &sealed.bytes);
        assert!(matches!(foreign, Err(Error::UnknownKey { key_id }) if key_id == "k0"));
    }

    #[test]
    fn keys_are_kept_and_renewed() {
        let (_folder, path, first) = ring();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        let value = Secret::new("x");
        let sealed = first.seal("", &value).unwrap();
        let again = Keyring::open(&path).unwrap();
        assert_eq!(again.current(), first.current());
        let renewed = Keyring::renew(&path).unwrap();
        assert_ne!(renewed.current(), first.current());
        assert_eq!(
            renewed.unseal("", &sealed.key_id, &sealed.bytes).unwrap(),
            value,
            "old values open"
        );
        assert_eq!(renewed.seal("", &value).unwrap().key_id, renewed.current());
    }

    #[test]
    fn bad_key_files_are_refused() {
        let (_folder, path, ring) = ring();
        assert!(!format!("{ring:?}").contains(fs::read_to_string(&path).unwrap().split(' ').nth(1).unwrap().trim()));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = Keyring::open(&path).unwrap_err().to_string();
        assert!(error.contains("chmod 600"), "{error}");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "k1 c2hvcnQ\n", "nonsense\n", "k1 ====\n"] {
            fs::write(&path, bad).unwrap();
            assert!(
                matches!(Keyring::open(&path), Err(Error::Line { line: 1, .. })),
                "{bad:?}"
            );
            assert!(Keyring::renew(&path).is_err(), "and never written to");
            assert_eq!(fs::read_to_string(&path).unwrap(), bad);
        }
        assert!(matches!(
            Keyring::open(Path::new("/proc/no/such")),
            Err(Error::File { .. })
        ));
    }
}
