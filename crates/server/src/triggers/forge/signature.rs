//! Comparing what was sent with what it should be, without telling by the time it takes.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;
use tasuki_model::secret::Secret;

/// Whether `hex` is the HMAC-SHA256 of the body.
pub(super) fn is_hmac(hex: &str, body: &[u8], secret: &Secret) -> bool {
    let (Some(given), Ok(mut mac)) = (unhex(hex), Hmac::<Sha256>::new_from_slice(secret.expose().as_bytes())) else {
        return false;
    };
    mac.update(body);
    // Constant time in the bytes; an empty secret signs nothing.
    !secret.expose().is_empty() && mac.verify_slice(&given).is_ok()
}

/// Whether a token sent as it is equals the secret. Digests are compared, so that not even the length shows.
pub(super) fn is_token(given: &str, secret: &Secret) -> bool {
    let (given, wanted) = (
        Sha256::digest(given.as_bytes()),
        Sha256::digest(secret.expose().as_bytes()),
    );
    !secret.expose().is_empty() && bool::from(given.as_slice().ct_eq(wanted.as_slice()))
}

/// The SHA-256 of a body, in hexadecimal digits.
pub(super) fn digest(body: &[u8]) -> String {
    Sha256::digest(body)
        .iter()
        .fold(String::with_capacity(64), |mut text, byte| {
            let _ = write!(text, "{byte:02x}");
            text
        })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if text.len() != 64 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    (0..text.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok())
        .collect()
}
