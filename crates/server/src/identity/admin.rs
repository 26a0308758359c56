//! The administrator's token: made on the first start, kept in the data folder for its owner.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tasuki_model::id::UserId;
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;
use tasuki_store::{Store, Tx, tokens, users};

use super::token::{self, Kind};

/// Login of the account that the administrator's token stands for.
const LOGIN: &str = "admin";

/// The administrator's token and account.
#[derive(Debug, Clone)]
pub struct AdminToken {
    pub token: Secret,
    pub user: UserId,
}

/// Why there is no administrator's token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot read or write {path}")]
    File {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("{path} holds no token; remove it and a new one is made at the next start")]
    Damaged { path: PathBuf },
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
    #[error("the administrator's account could not be saved")]
    Store(#[source] tasuki_store::Error),
}

/// Reads the token from `file`, or makes it (mode 0600), and sees to it that the store knows it.
pub async fn prepare(store: &Store, file: &Path, now: Timestamp) -> Result<AdminToken, Error> {
    let token = read_or_make(file)?;
    let hash = token::digest(token.expose());
    let user = store
        .write(move |tx| account(tx, &hash, now))
        .await
        .map_err(Error::Store)?;
    Ok(AdminToken { token, user })
}

fn account(tx: &mut Tx<'_>, hash: &str, now: Timestamp) -> tasuki_store::Result<UserId> {
    let user = match users::by_login(tx, LOGIN)? {
        Some(user) => user.id,
        None => {
            let new = users::NewUser {
                login: LOGIN,
                name: "Administrator",
                email: "",
                role: "admin",
                password_hash: None,
            };
            users::create(tx, &new, now)?
        }
    };
    if tokens::by_hash(tx, hash, now)?.is_none() {
        let new = tokens::NewToken {
            hash,
            kind: "admin",
            name: "admin.token",
            user_id: Some(user),
            project_id: None,
            resource_class_id: None,
            scopes_json: "[]",
            expires_ms: None,
        };
        tokens::create(tx, &new, now)?;
    }
    Ok(user)
}

fn read_or_make(path: &Path) -> Result<Secret, Error> {
    let file = |source| Error::File {
        path: path.to_owned(),
        source,
    };
    match fs::read_to_string(path) {
        Ok(text) => {
            let text = text.trim();
            if text.len() < 20 || !text.bytes().all(|b| b.is_ascii_graphic()) {
                return Err(Error::Damaged { path: path.to_owned() });
            }
            return Ok(Secret::new(text));
        }
        Err(absent) if absent.kind() == std::io::ErrorKind::NotFound => {}
        Err(other) => return Err(file(other)),
    }
    let token = token::new(Kind::Api).map_err(Error::Random)?;
    // Written beside and renamed: a crash leaves no half token.
    let half = path.with_extension("token.new");
    let mut out = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&half)
        .map_err(file)?;
    writeln!(out, "{}", token.expose())
        .and_then(|()| out.sync_all())
        .map_err(file)?;
    fs::rename(&half, path).map_err(file)?;
    Ok(token)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_token_is_made_once_and_for_its_owner_only() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("admin.token");
        let first = read_or_make(&path).unwrap();
        assert_eq!(read_or_make(&path).unwrap(), first);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        fs::write(&path, "short").unwrap();
        assert!(matches!(read_or_make(&path), Err(Error::Damaged { .. })));
    }
}
