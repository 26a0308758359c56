//! Who made something in a cluster, and what may be a name there (RFC 1123).

use sha2::{Digest as _, Sha256};

use crate::executor::{Result, unique};

/// On everything that belongs to one job: its sandbox.
pub(super) const SANDBOX: &str = "tasuki.dev/sandbox";

/// Name of this machine as a label. A runner in a pod has one of its own.
pub(super) fn host() -> String {
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let digest = Sha256::digest(name.as_bytes());
    digest.iter().take(10).map(|byte| format!("{byte:02x}")).collect()
}

/// The end of a pod's name: eight letters or digits.
pub(super) fn suffix() -> Result<String> {
    Ok(unique()?.chars().take(8).collect())
}

/// Whether text is a label of a host name, and so a container's name.
pub(super) fn is_label(text: &str) -> bool {
    text.len() <= 63 && has_form_of_label(text)
}

/// Whether text is the name of a host.
pub(super) fn is_host(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether text may be the name of an object; the cluster knows which kinds may have less.
pub(super) fn is_object(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(has_form_of_label)
}

fn has_form_of_label(text: &str) -> bool {
    let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.bytes().all(is_good) && !text.starts_with('-') && !text.ends_with('-')
}
