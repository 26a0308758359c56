//! Secrets as types: a reference that may be stored and shown, and a value that may not.

use serde::{Deserialize, Serialize};

/// Names a secret without holding it. Plans contain only these.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SecretRef {
    /// Scope that owns it: `instance`, `project/<path>`, `context/<name>`.
    pub scope: String,
    pub name: String,
}

/// A secret's text. Shown as `[MASKED]` by `Debug`, has no `Display`, and is wiped when dropped is not
/// promised: keep it short-lived. Read it with [`Secret::expose`], at the last moment.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself. Never log it, never put it in a URL or an argument list.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("[MASKED]")
    }
}
