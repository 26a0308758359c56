//! What can go wrong with the database.

use std::sync::Arc;

/// The result of every store function.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What can go wrong with the database.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The URL of the database names no database that tasuki knows.
    #[error("database URL {url:?}: {problem}; write sqlite:PATH or postgres://USER@HOST/NAME")]
    Url { url: String, problem: &'static str },
    /// The database could not be opened or reached.
    #[error("cannot open the database {url}")]
    Open {
        url: String,
        #[source]
        source: Arc<Error>,
    },
    /// A row with the same unique key exists.
    #[error("a row with the same key exists already ({constraint})")]
    Duplicate { constraint: String },
    /// Two transactions waited for one another, or the database was busy for too long: worth another try.
    #[error("the database could not serve two changes at once; try again")]
    Contended,
    /// The connection broke or could not be made. Whether a write took effect is unknown.
    #[error("the database is out of reach")]
    Unavailable(#[source] Option<Arc<dyn std::error::Error + Send + Sync>>),
    /// A statement failed.
    #[error("statement failed: {statement}")]
    Statement {
        statement: String,
        #[source]
        source: Arc<dyn std::error::Error + Send + Sync>,
    },
    /// An earlier statement of the same operation failed and the operation went on: nothing was saved.
    #[error("an earlier statement of this operation failed, so nothing of it was saved")]
    Poisoned,
    /// The commit failed: nothing of the operation was saved.
    #[error("the commit failed, nothing was saved")]
    Commit(#[source] Arc<dyn std::error::Error + Send + Sync>),
    /// A stored value is not what its column should hold.
    #[error("column {column} of a row holds {found}, wanted {wanted}")]
    Column {
        column: usize,
        found: &'static str,
        wanted: &'static str,
    },
    /// A row that must exist does not.
    #[error("no {what} with id {id}")]
    Missing { what: &'static str, id: i64 },
    /// The operation panicked; nothing of it was saved. A bug.
    #[error("a database operation panicked: {message}")]
    Panicked { message: String },
    /// The database was made by a newer or different version.
    #[error("the database's schema does not fit this version of tasuki: {0}")]
    Schema(String),
    /// An archive cannot be written or read.
    #[error("the archive: {problem}")]
    Archive {
        problem: String,
        #[source]
        source: Option<Arc<std::io::Error>>,
    },
    /// The store was closed while the operation waited.
    #[error("the store is closed")]
    Closed,
}

impl Error {
    /// Whether the same call may succeed when it is made again.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(self, Self::Contended | Self::Unavailable(_))
    }

    pub(crate) fn statement(sql: &str, source: impl std::error::Error + Send + Sync + 'static) -> Self {
        // The text holds placeholders, never values: it can be shown.
        let mut statement: String = sql.split_whitespace().collect::<Vec<_>>().join(" ");
        if let Some((cut, _)) = statement.char_indices().nth(200) {
            statement.truncate(cut);
            statement.push('…');
        }
        Self::Statement {
            statement,
            source: Arc::new(source),
        }
    }

    pub(crate) fn from_sqlite(sql: &str, error: rusqlite::Error) -> Self {
        use rusqlite::ErrorCode;
        use rusqlite::ffi;
        if let rusqlite::Error::SqliteFailure(code, text) = &error {
            match code.code {
                ErrorCode::ConstraintViolation
                    if matches!(
                        code.extended_code,
                        ffi::SQLITE_CONSTRAINT_UNIQUE | ffi::SQLITE_CONSTRAINT_PRIMARYKEY
                    ) =>
                {
                    let constraint = text.clone().unwrap_or_default();
                    return Self::Duplicate {
                        constraint: constraint.trim_start_matches("UNIQUE constraint failed: ").to_owned(),
                    };
                }
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => return Self::Contended,
                _ => {}
            }
        }
        Self::statement(sql, error)
    }

    pub(crate) fn from_postgres(sql: &str, error: postgres::Error) -> Self {
        use postgres::error::SqlState;
        if error.is_closed() {
            return Self::Unavailable(Some(Arc::new(error)));
        }
        match error.code() {
            Some(&SqlState::UNIQUE_VIOLATION) => Self::Duplicate {
                constraint: error
                    .as_db_error()
                    .and_then(|e| e.constraint())
                    .unwrap_or_default()
                    .to_owned(),
            },
            Some(&SqlState::T_R_DEADLOCK_DETECTED | &SqlState::T_R_SERIALIZATION_FAILURE) => Self::Contended,
            Some(&SqlState::ADMIN_SHUTDOWN | &SqlState::CRASH_SHUTDOWN | &SqlState::CANNOT_CONNECT_NOW) => {
                Self::Unavailable(Some(Arc::new(error)))
            }
            // Not an answer of the server: the connection is gone.
            None if error.as_db_error().is_none()
                && std::error::Error::source(&error).is_some_and(|e| e.is::<std::io::Error>()) =>
            {
                Self::Unavailable(Some(Arc::new(error)))
            }
            _ => Self::statement(sql, error),
        }
    }
}
