//! What nodes a job runs on: the operating system and architecture that images are chosen for.

use std::collections::BTreeMap;

use crate::config::kubernetes::KubernetesConfig;
use crate::executor::{Error, Result, Task};

/// `kubernetes.io/os`, `kubernetes.io/arch`. Node selectors alone decide: affinities do not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Platform {
    os: String,
    arch: String,
}

impl Platform {
    /// `selector` is the configuration's with the job's over it; `own` is this program's architecture as Go names it.
    pub(super) fn of(autoset: bool, own: &str, selector: &BTreeMap<String, String>) -> Self {
        let label = |key: &str, usual: &str| selector.get(key).map_or(usual, String::as_str).to_owned();
        Self {
            os: label("kubernetes.io/os", "linux"),
            arch: label("kubernetes.io/arch", if autoset { own } else { "amd64" }),
        }
    }
}

/// The image that brings the guest and does checkout, caches and artifacts.
///
/// # Errors
/// There is no guest for the nodes' operating system.
pub(super) fn helper_image(config: &KubernetesConfig, task: &Task, platform: &Platform) -> Result<String> {
    if platform.os != "linux" {
        return Err(Error::configuration(
            format!(
                "the node selector kubernetes.io/os = {:?} wants nodes that have no guest",
                platform.os
            ),
            "select nodes of kubernetes.io/os = \"linux\"",
        ));
    }
    if !config.helper_image.is_empty() {
        return Ok(crate::job::expand(&config.helper_image, |name| {
            task.variable(name).unwrap_or_default().to_owned()
        }));
    }
    let flavor = match config.helper_image_flavor.as_str() {
        "" | "alpine" => String::new(),
        other => format!("{other}-"),
    };
    Ok(named(&flavor, &platform.arch))
}

/// The helper image of this program's version and architecture.
#[must_use]
pub fn own_helper_image() -> String {
    named("", own_architecture())
}

fn named(flavor: &str, architecture: &str) -> String {
    let arch = match architecture {
        "amd64" => "x86_64",
        other => other,
    };
    format!("tasuki-helper:{flavor}{arch}-v{}", env!("CARGO_PKG_VERSION"))
}

/// This program's architecture, as labels of nodes name it.
pub(super) fn own_architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        "x86" => "386",
        "powerpc64" => "ppc64le",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: GK-OSARCH-01
    /// Covers: GK-OSARCH-02
    /// Covers: GK-OSARCH-04
    /// Covers: GK-OSARCH-05
    #[test]
    fn selectors_decide_and_the_runner_only_where_it_is_asked() {
        let check = |autoset: bool, selector: &[(&str, &str)], os: &str, arch: &str| {
            let selector = selector
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect();
            let wanted = Platform {
                os: os.to_owned(),
                arch: arch.to_owned(),
            };
            assert_eq!(Platform::of(autoset, "arm64", &selector), wanted, "{selector:?}");
        };
        check(false, &[], "linux", "amd64");
        check(true, &[], "linux", "arm64");
        check(true, &[("kubernetes.io/arch", "s390x")], "linux", "s390x");
        check(
            false,
            &[("kubernetes.io/os", "windows"), ("role", "ci")],
            "windows",
            "amd64",
        );
    }
}
