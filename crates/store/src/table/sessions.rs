//! Logins of browsers: only the hashes of their cookies are kept.

use tasuki_model::id::UserId;
use tasuki_model::time::Timestamp;

use super::users::User;
use crate::row::{Record as _, record};
use crate::value::params;
use crate::{Result, Tx};

record! {
    /// A login of a browser.
    pub struct Session in sessions {
        /// SHA-256 of the cookie, hex.
        pub hash: String,
        pub user_id: UserId,
        pub created_ms: Timestamp,
        pub expires_ms: Timestamp,
        /// What the browser calls itself.
        pub agent: String,
    }
}

/// # Errors
/// When the database fails.
pub fn create(tx: &mut Tx, session: &Session) -> Result<()> {
    tx.exec(
        "INSERT INTO sessions (hash, user_id, created_ms, expires_ms, agent) VALUES ($1, $2, $3, $4, $5)",
        params![
            &session.hash,
            session.user_id,
            session.created_ms,
            session.expires_ms,
            &session.agent
        ],
    )?;
    Ok(())
}

/// The session of that cookie with its user, unless it has expired or the user is blocked.
///
/// # Errors
/// When the database fails.
pub fn find(tx: &mut Tx, hash: &str, now: Timestamp) -> Result<Option<(Session, User)>> {
    let sql = format!(
        "SELECT {}, {} FROM sessions JOIN users ON users.id = sessions.user_id
         WHERE sessions.hash = $1 AND sessions.expires_ms > $2 AND users.blocked = 0",
        Session::COLUMNS,
        User::COLUMNS
    );
    tx.query_opt(&sql, params![hash, now], |row| {
        Ok((Session::read(row)?, User::read(row)?))
    })
}

/// Ends a session.
///
/// # Errors
/// When the database fails.
pub fn remove(tx: &mut Tx, hash: &str) -> Result<()> {
    tx.exec("DELETE FROM sessions WHERE hash = $1", params![hash])?;
    Ok(())
}

/// Ends all sessions of a user.
///
/// # Errors
/// When the database fails.
pub fn remove_of_user(tx: &mut Tx, user: UserId) -> Result<u64> {
    tx.exec("DELETE FROM sessions WHERE user_id = $1", params![user])
}

/// Forgets the sessions that have expired.
///
/// # Errors
/// When the database fails.
pub fn sweep(tx: &mut Tx, now: Timestamp) -> Result<u64> {
    tx.exec("DELETE FROM sessions WHERE expires_ms <= $1", params![now])
}
