//! Variables of a job, in the order in which the runner protocol sends them: the last of a name wins.

use serde::{Deserialize, Serialize};

/// One variable. `masked` values are hidden in every output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Variable {
    pub key: String,
    pub value: String,
    /// Written to a file by the runner; the variable holds the path.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub file: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub masked: bool,
    /// Only given to jobs of protected refs.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub protected: bool,
    /// Never expanded, neither itself nor where it is referenced.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub raw: bool,
}

impl Variable {
    /// A plain variable: expandable, visible, not a file.
    pub fn plain(key: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            value: value.into(),
            file: false,
            masked: false,
            protected: false,
            raw: false,
        }
    }
}

/// A token for an outside service, made when the task is claimed (GitLab `id_tokens`, GitHub OIDC).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdToken {
    /// The variable that will hold the token.
    pub name: String,
    pub audiences: Vec<String>,
}
