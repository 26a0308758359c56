//! People and machine accounts.

use tasuki_model::id::UserId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::params;
use crate::{Error, Result, Tx};

record! {
    /// A person or a machine account.
    pub struct User in users {
        pub id: UserId,
        pub login: String,
        pub name: String,
        pub email: String,
        /// `admin`, `member`, `reader`.
        pub role: String,
        /// PHC string; absent: cannot log in with a password.
        pub password_hash: Option<String>,
        pub blocked: bool,
        pub created_ms: Timestamp,
    }
}

/// What a new user is made of.
#[derive(Debug, Clone, Copy)]
pub struct NewUser<'a> {
    pub login: &'a str,
    pub name: &'a str,
    pub email: &'a str,
    pub role: &'a str,
    pub password_hash: Option<&'a str>,
}

/// # Errors
/// [`Error::Duplicate`] when the login is taken.
pub fn create(tx: &mut Tx, new: &NewUser<'_>, now: Timestamp) -> Result<UserId> {
    tx.query_opt(
        "INSERT INTO users (login, name, email, role, password_hash, blocked, created_ms)
         VALUES ($1, $2, $3, $4, $5, 0, $6) RETURNING id",
        params![new.login, new.name, new.email, new.role, new.password_hash, now],
        |row| row.take(),
    )?
    .ok_or(Error::Missing { what: "user", id: 0 })
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, id: UserId) -> Result<Option<User>> {
    tx.select_opt("WHERE id = $1", params![id])
}

/// # Errors
/// When the database fails.
pub fn by_login(tx: &mut Tx, login: &str) -> Result<Option<User>> {
    tx.select_opt("WHERE login = $1", params![login])
}

/// All users, by login.
///
/// # Errors
/// When the database fails.
pub fn all(tx: &mut Tx) -> Result<Vec<User>> {
    tx.select("ORDER BY login", params![])
}

/// Saves everything but id, login and time.
///
/// # Errors
/// When the database fails.
pub fn update(tx: &mut Tx, user: &User) -> Result<bool> {
    let rows = tx.exec(
        "UPDATE users SET name = $2, email = $3, role = $4, password_hash = $5, blocked = $6 WHERE id = $1",
        params![
            user.id,
            &user.name,
            &user.email,
            &user.role,
            &user.password_hash,
            user.blocked
        ],
    )?;
    Ok(rows == 1)
}
