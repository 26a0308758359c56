//! Where the database is.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::Error;

/// Where the database is: `sqlite:PATH` (also `sqlite://PATH`) or a `postgres://` URL as libpq reads it.
#[derive(Clone, PartialEq, Eq)]
pub enum DbUrl {
    /// SQLite in this process's memory: gone with the store, never asked for by a URL.
    Memory,
    Sqlite(PathBuf),
    Postgres(String),
}

impl DbUrl {
    /// The SQLite file at `path`.
    #[must_use]
    pub fn sqlite(path: &Path) -> Self {
        Self::Sqlite(path.to_owned())
    }
}

impl FromStr for DbUrl {
    type Err = Error;

    fn from_str(url: &str) -> Result<Self, Error> {
        let bad = |problem| Error::Url {
            url: shown(url),
            problem,
        };
        if let Some(path) = url.strip_prefix("sqlite://").or_else(|| url.strip_prefix("sqlite:")) {
            if path.is_empty() || path == ":memory:" {
                return Err(bad("it names no file"));
            }
            return Ok(Self::Sqlite(path.into()));
        }
        if url.starts_with("postgres://") || url.starts_with("postgresql://") {
            crate::engine::tls::split(url).map_err(bad)?;
            return Ok(Self::Postgres(url.to_owned()));
        }
        Err(bad("unknown kind of database"))
    }
}

/// Without the password.
impl std::fmt::Display for DbUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("sqlite::memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(url) => f.write_str(&shown(url)),
        }
    }
}

impl std::fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(self, f)
    }
}

/// `url` with what may be a password cut out: in the authority, and in the query.
pub(crate) fn shown(url: &str) -> String {
    let (head, query) = url.split_once('?').map_or((url, None), |(h, q)| (h, Some(q)));
    let mut out = match (head.find("://"), head.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => {
            let user = &head[scheme + 3..at];
            let name = user.split(':').next().unwrap_or_default();
            format!("{}{name}@{}", &head[..scheme + 3], &head[at + 1..])
        }
        _ => head.to_owned(),
    };
    if let Some(query) = query {
        let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("password")).collect();
        if !kept.is_empty() {
            out.push('?');
            out.push_str(&kept.join("&"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(url: &str, shown: Option<&str>) {
        let parsed = url.parse::<DbUrl>();
        assert_eq!(parsed.ok().map(|u| u.to_string()).as_deref(), shown, "{url}");
    }

    #[test]
    fn how_to_encrypt_is_read() {
        check(
            "postgres://h/d?sslmode=verify-full&sslrootcert=/x.pem",
            Some("postgres://h/d?sslmode=verify-full&sslrootcert=/x.pem"),
        );
        check("postgres://h/d?sslmode=sometimes", None);
        check("postgres://h/d?sslmode=disable&colour=red", None);
    }

    #[test]
    fn urls_are_read_and_shown_without_passwords() {
        check("sqlite:/var/lib/tasuki/db", Some("sqlite:/var/lib/tasuki/db"));
        check("sqlite://relative.db", Some("sqlite:relative.db"));
        check("sqlite:", None);
        check("sqlite::memory:", None);
        check("mysql://x", None);
        check("postgres://u:s3cret@h:5432/d", Some("postgres://u@h:5432/d"));
        check(
            "postgres://u:p@ss@h/d?password=x&sslmode=disable",
            Some("postgres://u@h/d?sslmode=disable"),
        );
        check(
            "postgresql://u@h/d?password=x&sslmode=disable",
            Some("postgresql://u@h/d?sslmode=disable"),
        );
        assert!(!format!("{:?}", "postgres://u:s3cret@h/d".parse::<DbUrl>()).contains("s3cret"));
        assert!(!format!("{:?}", "mysql://u:s3cret@h/d".parse::<DbUrl>()).contains("s3cret"));
    }
}
