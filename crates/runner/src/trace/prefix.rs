//! Masks what follows the known prefixes of tokens: `glpat-abc` becomes `glpat-[MASKED]`.
//!
//! The prefix itself is no secret, so nothing is held back.

use super::filter::MASK;

/// Masked always.
const ALWAYS: &[&str] = &["glpat-"];

/// Masked unless `FF_MASK_ALL_DEFAULT_TOKENS` is off.
const DEFAULT: &[&str] = &[
    "gloas-",
    "gldt-",
    "glrt-",
    "glcbt-",
    "glrtr-",
    "glptt-",
    "glft-",
    "glimt-",
    "glagent-",
    "glsoat-",
    "glffct-",
    "_gitlab_session=",
    "gltok-",
];

/// The prefixes of a job.
#[derive(Debug)]
pub(super) struct Prefixes {
    all: Vec<Vec<u8>>,
    /// Whether a prefix ends in a byte: most text is passed on with this alone.
    ends: [bool; 256],
    longest: usize,
}

impl Prefixes {
    /// The known prefixes (all, or only the one that is always masked) and the server's.
    pub(super) fn new(all_defaults: bool, extra: &[String]) -> Self {
        let defaults = if all_defaults { DEFAULT } else { &[] };
        let own = ALWAYS.iter().chain(defaults).map(|prefix| prefix.as_bytes().to_vec());
        let extra = extra.iter().map(|prefix| prefix.trim().as_bytes().to_vec());
        let all: Vec<_> = own.chain(extra).filter(|prefix| !prefix.is_empty()).collect();
        let mut ends = [false; 256];
        for last in all.iter().filter_map(|prefix| prefix.last()) {
            ends[usize::from(*last)] = true;
        }
        let longest = all.iter().map(Vec::len).max().unwrap_or(0);
        Self { all, ends, longest }
    }
}

impl Default for Prefixes {
    fn default() -> Self {
        Self::new(true, &[])
    }
}

/// State of one stream.
#[derive(Debug, Default)]
pub(super) struct PrefixFilter {
    /// The last bytes, at least as many as the longest prefix has.
    tail: Vec<u8>,
    state: State,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// Behind a prefix, nothing masked yet.
    Behind,
    /// The mask is written, the rest of the token is dropped.
    Dropping,
}

impl PrefixFilter {
    pub(super) fn write(&mut self, prefixes: &Prefixes, mut bytes: &[u8], out: &mut Vec<u8>) {
        while !bytes.is_empty() {
            bytes = if self.state == State::Text {
                self.text(prefixes, bytes, out)
            } else {
                self.token(bytes, out)
            };
        }
    }

    /// Passes on everything up to the end of a prefix; gives what is left.
    fn text<'a>(&mut self, prefixes: &Prefixes, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = bytes.iter().position(|byte| prefixes.ends[usize::from(*byte)]);
        let (passed, rest) = bytes.split_at(end.map_or(bytes.len(), |end| end + 1));
        out.extend_from_slice(passed);
        self.tail
            .extend_from_slice(&passed[passed.len().saturating_sub(prefixes.longest)..]);
        let surplus = self.tail.len().saturating_sub(prefixes.longest);
        self.tail.drain(..surplus);
        if end.is_some() && prefixes.all.iter().any(|prefix| self.tail.ends_with(prefix)) {
            self.state = State::Behind;
        }
        rest
    }

    /// Drops the token; gives what is left behind it.
    fn token<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<u8>) -> &'a [u8] {
        let end = bytes.iter().position(|byte| !is_token(*byte)).unwrap_or(bytes.len());
        if end > 0 && self.state == State::Behind {
            out.extend_from_slice(MASK);
            self.state = State::Dropping;
        }
        if end < bytes.len() {
            self.state = State::Text;
            self.tail.clear();
        }
        &bytes[end..]
    }
}

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'=')
}
