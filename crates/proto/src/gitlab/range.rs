//! The two byte ranges of log upload; both depart from what HTTP says.

use std::fmt;
use std::str::FromStr;

/// `Content-Range` of a log patch: `<start>-<end>`, end **inclusive**, no unit, no total. Servers read the start only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    pub start: u64,
    pub end_inclusive: u64,
}

/// The range is not `<number>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("byte range is not of the form start-end")]
pub struct BadRange;

impl fmt::Display for ContentRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.start, self.end_inclusive)
    }
}

impl FromStr for ContentRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let (start, end) = text.trim().split_once('-').ok_or(BadRange)?;
        Ok(Self {
            start: start.trim().parse().map_err(|_| BadRange)?,
            end_inclusive: end.trim().parse().map_err(|_| BadRange)?,
        })
    }
}

/// `Range` of the answer: `0-<stored>`, where `stored` is the number of bytes held, i.e. the next offset (**exclusive**).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StoredRange {
    pub stored: u64,
}

impl fmt::Display for StoredRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "0-{}", self.stored)
    }
}

impl FromStr for StoredRange {
    type Err = BadRange;

    fn from_str(text: &str) -> Result<Self, BadRange> {
        let (_, stored) = text.trim().split_once('-').ok_or(BadRange)?;
        Ok(Self {
            stored: stored.trim().parse().map_err(|_| BadRange)?,
        })
    }
}
