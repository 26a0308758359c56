//! Which machine this is: the system id that servers tell runner processes apart by.

use std::fs;
use std::path::Path;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use tracing::warn;

const FILE: &str = ".runner_system_id";

/// The system id beside `config.toml`: read, or made and written where it is missing or damaged.
///
/// `s_` and 12 hexadecimal digits made from the machine id; `r_` and 12 random characters where there is none.
/// A file that cannot be written is only warned of.
#[must_use]
pub fn system_id(config_dir: &Path) -> String {
    let file = config_dir.join(FILE);
    if let Ok(text) = fs::read_to_string(&file)
        && is_valid(text.trim())
    {
        return text.trim().to_owned();
    }
    let id = fresh_system_id();
    if let Err(error) = fs::write(&file, &id) {
        warn!(file = %file.display(), %error, "the system id cannot be kept: servers will see another runner after a restart");
    }
    id
}

/// A system id that is not kept in a file.
#[must_use]
pub fn fresh_system_id() -> String {
    machine_id().map_or_else(random_id, |machine| from_machine(machine.trim().as_bytes()))
}

fn machine_id() -> Option<String> {
    ["/etc/machine-id", "/var/lib/dbus/machine-id"]
        .iter()
        .filter_map(|file| fs::read_to_string(file).ok())
        .find(|id| !id.trim().is_empty())
}

fn from_machine(machine: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(machine) else {
        return random_id();
    };
    mac.update(b"gitlab-runner");
    let digest = mac.finalize().into_bytes();
    let hex: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    format!("s_{hex}")
}

fn random_id() -> String {
    use rand::RngExt as _;
    const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut random = rand::rng();
    let tail: String = (0..12)
        .map(|_| char::from(LETTERS[random.random_range(0..LETTERS.len())]))
        .collect();
    format!("r_{tail}")
}

/// `^[sr]_[0-9a-zA-Z]{12}$`.
fn is_valid(id: &str) -> bool {
    let tail = id.strip_prefix("s_").or_else(|| id.strip_prefix("r_"));
    tail.is_some_and(|tail| tail.len() == 12 && tail.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape() {
        assert!(is_valid(&random_id()));
        assert!(is_valid(&from_machine(b"0123456789abcdef0123456789abcdef")));
        // openssl dgst -sha256 -hmac 0123456789abcdef0123456789abcdef, over "gitlab-runner".
        assert_eq!(from_machine(b"0123456789abcdef0123456789abcdef"), "s_ee3af03959fe");
        for bad in [
            "",
            "s_",
            "s_12345678901",
            "x_123456789012",
            "s_12345678901!",
            "s_1234567890123",
        ] {
            assert!(!is_valid(bad), "{bad}");
        }
    }

    #[test]
    fn kept_beside_the_configuration() {
        let dir = tempfile::tempdir().unwrap();
        let first = system_id(dir.path());
        assert_eq!(system_id(dir.path()), first);
        fs::write(dir.path().join(FILE), "damaged").unwrap();
        assert!(is_valid(&system_id(dir.path())));
        fs::write(dir.path().join(FILE), "r_ABCdef123456\n").unwrap();
        assert_eq!(system_id(dir.path()), "r_ABCdef123456");
    }
}
