//! Who made something in a cluster.

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
