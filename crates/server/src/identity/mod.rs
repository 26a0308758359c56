//! Who is asking: tokens, sessions of browsers, and what each may do.

mod admin;
mod authenticate;
pub mod session;
pub mod token;

pub use admin::{AdminToken, Error as AdminError, prepare};
pub use authenticate::{authenticate, bearer};

/// What a caller of our own API or the web UI may do. Each level includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Nothing but what everybody may.
    Nobody,
    /// Reading.
    Read,
    /// Starting, cancelling, retrying.
    Write,
    /// Projects, runners, tokens, variables.
    Admin,
}

impl Access {
    /// The word in the reference.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Nobody => "anonymous",
            Self::Read => "read",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }
}

/// A caller that was recognised, or nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    pub access: Access,
    /// Name of the token or login of the user, for the record.
    pub name: String,
    pub via: Via,
}

/// How a caller was recognised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    Nothing,
    /// A token in a header: no page of another site can make a browser send it.
    Token,
    /// A cookie: requests that change something must come from our own pages.
    Cookie,
}

impl Caller {
    /// Somebody without a token.
    #[must_use]
    pub fn nobody() -> Self {
        Self {
            access: Access::Nobody,
            name: String::new(),
            via: Via::Nothing,
        }
    }
}
