//! Names made fit for host names and paths.

use sha2::{Digest as _, Sha256};

/// Longest host name label.
const MAX: usize = 63;

/// Lower case, everything but `[a-z0-9]` to `-`, first 63 characters, no `-` at the ends
/// (`CI_COMMIT_REF_SLUG`, `CI_PROJECT_PATH_SLUG`, `CI_JOB_NAME_SLUG`).
#[must_use]
pub fn slug(text: &str) -> String {
    let all: String = text.to_lowercase().chars().map(dashed).take(MAX).collect();
    all.trim_matches('-').to_owned()
}

fn dashed(c: char) -> char {
    if c.is_ascii_lowercase() || c.is_ascii_digit() {
        c
    } else {
        '-'
    }
}

/// `CI_ENVIRONMENT_SLUG`: at most 24 characters, starts with a letter; a name that had to be changed gets the end of
/// its digest, so that two names never share a slug.
#[must_use]
pub fn environment_slug(name: &str) -> String {
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
    if slug.len() <= 24 && slug == name {
        return slug.strip_suffix('-').map_or_else(|| slug.clone(), str::to_owned);
    }
    slug.truncate(17);
    if !slug.ends_with('-') {
        slug.push('-');
    }
    let digest = base36(&Sha256::digest(name.as_bytes()));
    slug.push_str(&digest[digest.len().saturating_sub(6)..]);
    slug
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

/// The tier that GitLab guesses from an environment's name (`deployment_tier` unset).
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

/// The name that parallel siblings share: up to three trailing `[…]`, `1/3`, `1 3` parts are cut
/// (`CI_JOB_GROUP_NAME`).
#[must_use]
pub fn group_name(job: &str) -> &str {
    let mut name = job;
    for _ in 0..3 {
        match cut_group_part(name) {
            Some(shorter) => name = shorter,
            None => break,
        }
    }
    name
}

/// Cuts one `([\s:]+)(\[.*\]|\d+[\s:/\\]+\d+)` at the end.
fn cut_group_part(name: &str) -> Option<&str> {
    let separated = |text: &str| text.is_empty() || text.ends_with(|c: char| c.is_whitespace() || c == ':');
    let trimmed = name.trim_end();
    let before = if trimmed.ends_with(']') {
        let open = trimmed
            .match_indices('[')
            .map(|(at, _)| at)
            .find(|at| *at > 0 && separated(&trimmed[..*at]))?;
        &trimmed[..open]
    } else {
        let digits = |text: &str| text.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let total = digits(trimmed);
        let middle = trimmed[..total]
            .trim_end_matches(|c: char| c.is_whitespace() || matches!(c, ':' | '/' | '\\'))
            .len();
        let index = digits(&trimmed[..middle]);
        if total == trimmed.len() || middle == total || index == middle {
            return None;
        }
        &trimmed[..index]
    };
    let shorter = before.trim_end_matches(|c: char| c.is_whitespace() || c == ':');
    (shorter.len() < before.len() && !shorter.is_empty()).then_some(shorter)
}
