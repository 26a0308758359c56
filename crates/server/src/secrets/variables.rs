//! Variables of instance, groups, projects and contexts: encrypted on their way into the database.

use tasuki_model::plan::Variable;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_store::variables::{self, SealedVariable};
use tasuki_store::{Store, Tx};

use super::{Error, Keyring};

/// A variable as a person sets it.
#[derive(Debug, Clone)]
pub struct NewVariable {
    /// `instance`, `group/<path>`, `project/<id>`, `context/<name>`.
    pub scope: String,
    pub key: String,
    /// `*` = every environment.
    pub environment_scope: String,
    pub value: Secret,
    pub masked: bool,
    pub protected: bool,
    pub file: bool,
    pub raw: bool,
    pub description: String,
}

/// A variable with its value decrypted: keep it no longer than needed.
#[derive(Clone, PartialEq, Eq)]
pub struct OpenVariable {
    pub environment_scope: String,
    pub variable: Variable,
}

/// Without the value.
impl std::fmt::Debug for OpenVariable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenVariable")
            .field("environment_scope", &self.environment_scope)
            .field("key", &self.variable.key)
            .finish_non_exhaustive()
    }
}

/// Where a value belongs: it opens nowhere else.
fn context(scope: &str, key: &str, environment_scope: &str) -> String {
    format!("variable\0{scope}\0{key}\0{environment_scope}")
}

/// Sets a variable, replacing the one of the same scope, key and environment scope.
///
/// # Errors
/// When the database fails or the system gives no random numbers.
pub fn put(tx: &mut Tx<'_>, keys: &Keyring, new: &NewVariable, now: Timestamp) -> Result<i64, Error> {
    let sealed = keys.seal(&context(&new.scope, &new.key, &new.environment_scope), &new.value)?;
    let row = variables::NewVariable {
        scope: &new.scope,
        key: &new.key,
        environment_scope: &new.environment_scope,
        sealed: &sealed.bytes,
        key_id: &sealed.key_id,
        masked: new.masked,
        protected: new.protected,
        file: new.file,
        raw: new.raw,
        description: &new.description,
    };
    Ok(variables::put(tx, &row, now)?)
}

/// The variables of a scope with their values, by key.
///
/// # Errors
/// When the database fails or a value cannot be decrypted.
pub fn of_scope(tx: &mut Tx<'_>, keys: &Keyring, scope: &str) -> Result<Vec<OpenVariable>, Error> {
    let rows = variables::of_scope(tx, scope)?;
    rows.into_iter()
        .map(|row| {
            let value = unseal(keys, &row)?;
            Ok(OpenVariable {
                environment_scope: row.environment_scope,
                variable: Variable {
                    key: row.key,
                    value: value.expose().to_owned(),
                    file: row.file,
                    masked: row.masked,
                    protected: row.protected,
                    raw: row.raw,
                },
            })
        })
        .collect()
}

fn unseal(keys: &Keyring, row: &SealedVariable) -> Result<Secret, Error> {
    keys.unseal(
        &context(&row.scope, &row.key, &row.environment_scope),
        &row.key_id,
        &row.sealed,
    )
}

/// Values that one transaction takes over.
const BATCH: u32 = 100;

/// Encrypts under the current key whatever is under an older one; gives how many values that were. After it
/// the older keys are needed for backups only. Harmless to interrupt and to repeat.
///
/// # Errors
/// When the database fails or a value cannot be decrypted.
pub async fn rotate(store: &Store, keys: &std::sync::Arc<Keyring>) -> Result<u64, Error> {
    let mut total = 0;
    loop {
        let keys = std::sync::Arc::clone(keys);
        let done = store
            .write_as(move |tx| -> Result<u64, Error> {
                let rows = variables::not_under_key(tx, keys.current(), BATCH)?;
                for row in &rows {
                    let value = unseal(&keys, row)?;
                    let sealed = keys.seal(&context(&row.scope, &row.key, &row.environment_scope), &value)?;
                    variables::reseal(tx, row, &sealed.bytes, &sealed.key_id)?;
                }
                Ok(rows.len() as u64)
            })
            .await?;
        total += done;
        if done < u64::from(BATCH) {
            return Ok(total);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tasuki_store::DbUrl;

    use super::*;

    fn variable(key: &str, value: &str) -> NewVariable {
        NewVariable {
            scope: "project/1".into(),
            key: key.into(),
            environment_scope: "*".into(),
            value: Secret::new(value),
            masked: true,
            protected: false,
            file: false,
            raw: true,
            description: String::new(),
        }
    }

    #[tokio::test]
    async fn values_survive_a_change_of_keys_and_never_lie_open() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("master.key");
        let database = folder.path().join("test.db");
        let store = Store::open(&DbUrl::sqlite(&database)).unwrap();
        let keys = Keyring::open(&file).unwrap();
        store
            .write_as(move |tx| -> Result<(), Error> {
                for n in 0..250 {
                    put(
                        tx,
                        &keys,
                        &variable(&format!("KEY_{n:03}"), &format!("needle-{n}")),
                        Timestamp(1),
                    )?;
                }
                Ok(())
            })
            .await
            .unwrap();
        let keys = Arc::new(Keyring::renew(&file).unwrap());
        assert_eq!(rotate(&store, &keys).await.unwrap(), 250);
        assert_eq!(rotate(&store, &keys).await.unwrap(), 0);
        // Only the new key is left.
        let last = std::fs::read_to_string(&file)
            .unwrap()
            .lines()
            .last()
            .unwrap()
            .to_owned();
        std::fs::write(&file, last).unwrap();
        let keys = Keyring::open(&file).unwrap();
        let open = store.read_as(move |tx| of_scope(tx, &keys, "project/1")).await.unwrap();
        assert_eq!(open.len(), 250);
        assert_eq!(
            (open[7].variable.key.as_str(), open[7].variable.value.as_str()),
            ("KEY_007", "needle-7")
        );
        assert!(open[7].variable.masked && open[7].variable.raw);
        assert!(!format!("{open:?}").contains("needle"));
        store.close();
        for name in ["test.db", "test.db-wal"] {
            let bytes = std::fs::read(folder.path().join(name)).unwrap_or_default();
            assert!(!bytes.windows(6).any(|part| part == b"needle"), "{name} holds no value");
        }
    }
}
