//! Names of environments: the places that jobs deploy to, whatever language names them.

use sha2::{Digest as _, Sha256};

/// Longest slug.
const MAX_SLUG: usize = 24;
/// What is left of a name that had to be changed, in front of the end of its digest.
const KEPT: usize = 17;

/// A name fit for host names: at most 24 characters, starts with a letter; a name that had to be changed gets the end of
/// its digest, so that two names never share a slug (GitLab's `CI_ENVIRONMENT_SLUG`).
#[must_use]
pub fn slug(name: &str) -> String {
    let lower: String = name.to_lowercase().chars().map(dashed).collect();
    let lettered = if lower.starts_with(|c: char| c.is_ascii_lowercase()) {
        lower
    } else {
        format!("env-{lower}")
    };
    let mut slug = String::with_capacity(lettered.len());
    for c in lettered.chars() {
        if !(c == '-' && slug.ends_with('-')) {
            slug.push(c);
        }
    }
    if slug.len() <= MAX_SLUG && slug == name {
        return slug.strip_suffix('-').map_or_else(|| slug.clone(), str::to_owned);
    }
    slug.truncate(KEPT);
    if !slug.ends_with('-') {
        slug.push('-');
    }
    let digest = base36(&Sha256::digest(name.as_bytes()));
    slug.push_str(&digest[digest.len().saturating_sub(6)..]);
    slug
}

fn dashed(c: char) -> char {
    if c.is_ascii_lowercase() || c.is_ascii_digit() {
        c
    } else {
        '-'
    }
}

/// A big-endian number in base 36, as Ruby's `to_s(36)` prints it.
fn base36(bytes: &[u8]) -> String {
    let mut digits: Vec<u8> = vec![0];
    for byte in bytes {
        let mut carry = u32::from(*byte);
        for digit in &mut digits {
            carry += u32::from(*digit) * 256;
            *digit = (carry % 36) as u8;
            carry /= 36;
        }
        while carry > 0 {
            digits.push((carry % 36) as u8);
            carry /= 36;
        }
    }
    digits
        .iter()
        .rev()
        .map(|digit| char::from(b"0123456789abcdefghijklmnopqrstuvwxyz"[usize::from(*digit)]))
        .collect()
}

/// The tier that GitLab guesses from an environment's name where none is given.
#[must_use]
pub fn guess_tier(name: &str) -> &'static str {
    const TIERS: [(&str, &[&str]); 4] = [
        ("development", &["dev", "review", "trunk"]),
        (
            "testing",
            &["test", "tst", "int", "acpt", "accept", "qa", "qc", "control", "quality"],
        ),
        ("staging", &["stg", "stag", "mod", "model", "pre", "demo", "non"]),
        ("production", &["prd", "prod", "live"]),
    ];
    let name = name.to_lowercase();
    TIERS
        .iter()
        .find(|(_, words)| words.iter().any(|word| name.contains(word)))
        .map_or("other", |(tier, _)| tier)
}
