//! What is encrypted at rest, for those who need it in the clear.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tasuki_model::secret::Secret;
use tasuki_pipeline::{ScopedVariable, VariableLevel};
use tasuki_store::{Tx, projects};

use crate::secrets::{self, Keyring, of_scope};
use crate::triggers;

/// The place that sealed settings of projects belong to.
const SETTING: &str = "project setting";

/// The instance's keys with what they open. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Vault(Arc<Keyring>);

impl Vault {
    #[must_use]
    pub fn new(keys: Keyring) -> Self {
        Self(Arc::new(keys))
    }

    /// The keys themselves.
    #[must_use]
    pub fn keys(&self) -> &Keyring {
        &self.0
    }

    /// Encrypts a setting of a project: `<key id>:<base64>`.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn seal(&self, value: &Secret) -> Result<String, secrets::Error> {
        let sealed = self.0.seal(SETTING, value)?;
        Ok(format!("{}:{}", sealed.key_id, STANDARD.encode(&sealed.bytes)))
    }
}

/// The variables that pipelines of a project see: the instance's, its groups' from the root, its own.
///
/// # Errors
/// When the database fails or a value cannot be decrypted.
pub fn variables_of(
    tx: &mut Tx<'_>,
    keys: &Keyring,
    project: &projects::Project,
) -> Result<Vec<ScopedVariable>, secrets::Error> {
    let mut all = Vec::new();
    let mut add = |level: VariableLevel, scope: &str| -> Result<(), secrets::Error> {
        let found = of_scope(tx, keys, scope)?;
        all.extend(found.into_iter().map(|open| ScopedVariable {
            level,
            environment_scope: open.environment_scope,
            variable: open.variable,
        }));
        Ok(())
    };
    add(VariableLevel::Instance, "instance")?;
    let groups = project.path.match_indices('/').map(|(at, _)| &project.path[..at]);
    for (depth, group) in groups.enumerate() {
        add(
            VariableLevel::Group(u8::try_from(depth).unwrap_or(u8::MAX)),
            &format!("group/{group}"),
        )?;
    }
    add(VariableLevel::Project, &project_scope(project.id.0))?;
    Ok(all)
}

/// The scope of a project's variables.
#[must_use]
pub fn project_scope(project: i64) -> String {
    format!("project/{project}")
}

impl triggers::Vault for Vault {
    fn variables(&self, tx: &mut Tx<'_>, project: &projects::Project) -> tasuki_store::Result<Vec<ScopedVariable>> {
        variables_of(tx, &self.0, project).map_err(|failed| match failed {
            secrets::Error::Store(failed) => failed,
            other => {
                tracing::error!(project.id = project.id.0, error = %other, "a variable cannot be decrypted");
                tasuki_store::Error::Schema(format!("a variable of project {} cannot be decrypted", project.id))
            }
        })
    }

    fn open(&self, sealed: &str) -> Option<Secret> {
        let (key_id, text) = sealed.split_once(':')?;
        let bytes = STANDARD.decode(text).ok()?;
        self.0.unseal(SETTING, key_id, &bytes).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::triggers::Vault as _;

    #[test]
    fn sealed_settings_open_here_only() {
        let dir = tempfile::tempdir().unwrap();
        let vault = Vault::new(Keyring::open(&dir.path().join("keys")).unwrap());
        let sealed = vault.seal(&Secret::new("hush")).unwrap();
        assert!(!sealed.contains("hush"));
        assert_eq!(vault.open(&sealed), Some(Secret::new("hush")));
        let other = Vault::new(Keyring::open(&dir.path().join("other")).unwrap());
        assert_eq!(other.open(&sealed), None);
        assert_eq!(vault.open("nonsense"), None);
    }
}
