//! Object ids and commit objects, read from git's own text.

use std::fmt::{self, Write as _};
use std::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};
use tasuki_model::trigger::Commit;

use super::Error;

/// A full object id: 40 or 64 lower-case hexadecimal digits. Safe as an argument: never an option, never a range.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Oid(String);

impl Oid {
    /// The digits.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether this is the id of nothing (all zeros), which forges send for created and deleted refs.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        self.0.bytes().all(|digit| digit == b'0')
    }

    /// The id of nothing with as many digits as this one.
    #[must_use]
    pub fn zero_like(&self) -> Self {
        Self("0".repeat(self.0.len()))
    }
}

impl FromStr for Oid {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let digits = text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if digits && (text.len() == 40 || text.len() == 64) {
            Ok(Self(text.to_owned()))
        } else {
            Err(Error::NotAnId(text.chars().take(80).collect()))
        }
    }
}

/// A digest as git writes it.
pub(super) fn hex(digest: &[u8]) -> String {
    let mut text = String::with_capacity(digest.len() * 2);
    for byte in digest {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

impl fmt::Display for Oid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Reads the body of a commit object. Text that is not UTF-8 is read as well as it can be.
///
/// `before_sha` is left as zeros: only who knows the event can fill it.
pub(super) fn parse_commit(id: &Oid, raw: &[u8]) -> Commit {
    let text = String::from_utf8_lossy(raw);
    let (head, message) = text.split_once("\n\n").unwrap_or((&text, ""));
    let mut commit = Commit {
        sha: id.to_string(),
        before_sha: id.zero_like().to_string(),
        message: message.trim_end_matches('\n').to_owned(),
        ..Commit::default()
    };
    for line in head.lines() {
        if let Some(author) = line.strip_prefix("author ") {
            let (name, mail, _) = person(author);
            (commit.author_name, commit.author_email) = (name, mail);
        } else if let Some(committer) = line.strip_prefix("committer ") {
            commit.timestamp = person(committer).2;
        }
    }
    commit
}

/// The message of an annotated tag object, without a signature below it.
pub(super) fn parse_tag_message(raw: &[u8]) -> String {
    let text = String::from_utf8_lossy(raw);
    let message = text.split_once("\n\n").map_or("", |(_, message)| message);
    let end = message.find("-----BEGIN ").unwrap_or(message.len());
    message.get(..end).unwrap_or(message).trim_end_matches('\n').to_owned()
}

/// `Name <mail> 1700000000 +0900` → name, mail, RFC 3339.
fn person(text: &str) -> (String, String, String) {
    let (name, rest) = text.split_once('<').unwrap_or((text, ""));
    let (mail, when) = rest.rsplit_once('>').unwrap_or((rest, ""));
    (name.trim().to_owned(), mail.trim().to_owned(), rfc3339(when.trim()))
}

fn rfc3339(when: &str) -> String {
    let (seconds, zone) = when.split_once(' ').unwrap_or((when, "+0000"));
    let seconds = seconds.parse().unwrap_or(0);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let zone = TimeZone::fixed(offset(zone).unwrap_or(Offset::UTC));
    time.to_zoned(zone).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn offset(zone: &str) -> Option<Offset> {
    let (sign, digits) = match zone.split_at_checked(1)? {
        ("-", digits) => (-1, digits),
        ("+", digits) => (1, digits),
        _ => return None,
    };
    let hours: i32 = digits.get(..2)?.parse().ok()?;
    let minutes: i32 = digits.get(2..4)?.parse().ok()?;
    Offset::from_seconds(sign * (hours * 3600 + minutes * 60)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_full_ids_are_ids() {
        for good in ["0".repeat(40), "a1".repeat(20), "f".repeat(64)] {
            assert_eq!(good.parse::<Oid>().map(|id| id.to_string()).ok(), Some(good));
        }
        for bad in [
            "",
            "abc",
            "--upload-pack=x",
            &"A".repeat(40),
            &"0".repeat(41),
            &"é".repeat(20),
        ] {
            assert!(bad.parse::<Oid>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_commit_is_read_from_gits_text() {
        let id: Oid = "1".repeat(40).parse().unwrap();
        let raw = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\n\
                   author Ada L. <ada@example.org> 1700000000 +0100\n\
                   committer Bob <bob@example.org> 1700003600 -0330\n\
                   gpgsig -----BEGIN PGP SIGNATURE-----\n \n author not me <x> 1 +0000\n\n\
                   Title\n\nBody\n";
        let commit = parse_commit(&id, raw.as_bytes());
        assert_eq!(commit.author_name, "Ada L.");
        assert_eq!(commit.author_email, "ada@example.org");
        assert_eq!(commit.timestamp, "2023-11-14T19:43:20-03:30");
        assert_eq!(commit.message, "Title\n\nBody");
        assert_eq!(commit.before_sha, "0".repeat(40));
    }

    #[test]
    fn broken_objects_give_a_commit_all_the_same() {
        let id: Oid = "1".repeat(40).parse().unwrap();
        for raw in [
            &b""[..],
            b"author",
            b"author \n",
            b"committer <> x y\n\n",
            b"\xff\xfe\n\n\xff",
            b"committer A <a> 99999999999999999 +9999",
        ] {
            let commit = parse_commit(&id, raw);
            assert_eq!(commit.sha, id.as_str());
        }
    }

    #[test]
    fn a_tags_message_ends_before_its_signature() {
        let raw = b"object x\ntype commit\ntag v1\ntagger A <a> 1 +0000\n\nFirst\n\nmore\n-----BEGIN PGP SIGNATURE-----\nzz\n";
        assert_eq!(parse_tag_message(raw), "First\n\nmore");
    }
}
