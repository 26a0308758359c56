//! Tokens: random text that opens something. Only a digest is kept.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use tasuki_model::secret::Secret;

/// What a new token opens; its prefix tells people (and secret scanners) what they found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Our own API.
    Api,
    /// A runner: the prefix that gitlab-runner knows.
    Runner,
    /// A runner that registered itself with a registration token.
    RegisteredRunner,
    /// Registers runners.
    Registration,
    /// One task.
    Job,
    /// A log-in of the web UI.
    Session,
    /// Signs the webhooks of a project.
    Hook,
    /// Starts pipelines of a project: the prefix that GitLab uses.
    Trigger,
}

impl Kind {
    /// The text before the random part.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        match self {
            Self::Api => "tsk-",
            Self::Runner => "glrt-",
            Self::RegisteredRunner => "glrtr-",
            Self::Registration => "tskreg-",
            Self::Job => "glcbt-",
            Self::Session => "tsks-",
            Self::Hook => "tskh-",
            Self::Trigger => "glptt-",
        }
    }
}

/// A new token with 192 random bits.
///
/// # Errors
/// When the system gives no random numbers.
pub fn new(kind: Kind) -> Result<Secret, getrandom::Error> {
    Ok(Secret::new(format!("{}{}", kind.prefix(), random()?)))
}

/// 192 random bits in letters, digits, `-` and `_`.
///
/// # Errors
/// When the system gives no random numbers.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut random = [0_u8; 24];
    getrandom::fill(&mut random)?;
    Ok(URL_SAFE_NO_PAD.encode(random))
}

/// The form in which a token is stored and looked up. Tokens are random and long, so a plain digest suffices; a
/// look-up by it tells nothing about the token through its timing.
#[must_use]
pub fn digest(token: &str) -> String {
    use std::fmt::Write as _;
    Sha256::digest(token.as_bytes())
        .iter()
        .fold(String::with_capacity(64), |mut out, byte| {
            let _ = write!(out, "{byte:02x}");
            out
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_long_and_differ() {
        for kind in [
            Kind::Api,
            Kind::Runner,
            Kind::RegisteredRunner,
            Kind::Registration,
            Kind::Job,
            Kind::Session,
            Kind::Hook,
        ] {
            let (a, b) = (new(kind).unwrap(), new(kind).unwrap());
            assert!(a.expose().starts_with(kind.prefix()) && a.expose().len() == kind.prefix().len() + 32);
            assert_ne!(a, b);
        }
    }

    #[test]
    fn the_digest_is_sha256() {
        assert_eq!(
            digest("abc"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
