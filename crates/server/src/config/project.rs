//! Settings of one project, as its row in the store keeps them.

use serde::{Deserialize, Serialize};

/// What a person may set for a project. Unknown keys of a newer version are kept.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// File that is compiled; empty = by what is in the repository.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub config_path: String,
    /// Seconds that a job may take unless it says otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Branches and tags that are protected, as globs; `None` = the default branch.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protected_refs: Option<Vec<String>>,
    /// The secret that signs the forge's webhooks, encrypted (base64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hook_secret: Option<String>,
    /// The private key for ssh addresses, encrypted (base64).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deploy_key: Option<String>,
    /// A folder on this machine that runners of this very process copy instead of a checkout (`exec`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<String>,
    /// Merge requests from forks are built: on unprotected runners, with variables that are neither masked nor protected.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub build_forks: bool,
    /// Jobs may deploy an older commit after a newer one was deployed to the same environment.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_outdated_deployments: bool,
    #[serde(flatten)]
    pub other: serde_json::Map<String, serde_json::Value>,
}

impl ProjectSettings {
    /// Reads the column; what cannot be read counts as the defaults, and is told in the log.
    #[must_use]
    pub fn read(json: &str) -> Self {
        serde_json::from_str(json).unwrap_or_else(|damaged| {
            tracing::error!(error = %damaged, "the settings of a project cannot be read");
            Self::default()
        })
    }

    /// The column's text.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_else(|_| "{}".to_owned())
    }

    /// Whether jobs of this ref get protected variables and runners.
    #[must_use]
    pub fn is_protected(&self, ref_name: &str, default_branch: &str) -> bool {
        match &self.protected_refs {
            None => ref_name == default_branch,
            Some(globs) => globs.iter().any(|glob| {
                globset::GlobBuilder::new(glob)
                    .literal_separator(false)
                    .build()
                    .is_ok_and(|glob| glob.compile_matcher().is_match(ref_name))
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protection_follows_the_globs() {
        let check = |json: &str, name: &str, expected: bool| {
            assert_eq!(
                ProjectSettings::read(json).is_protected(name, "main"),
                expected,
                "{json} {name}"
            );
        };
        check("{}", "main", true);
        check("{}", "topic", false);
        check(r#"{"protected_refs":["release/*","v*"]}"#, "release/1/2", true);
        check(r#"{"protected_refs":["release/*","v*"]}"#, "v1.0", true);
        check(r#"{"protected_refs":["release/*","v*"]}"#, "main", false);
        check(r#"{"protected_refs":[]}"#, "main", false);
    }

    #[test]
    fn unknown_keys_are_kept() {
        let json = r#"{"timeout_s":5,"later":[1]}"#;
        assert_eq!(ProjectSettings::read(json).to_json(), json);
        assert_eq!(ProjectSettings::read("damaged"), ProjectSettings::default());
    }
}
