//! Durations in Go's notation: `1h30m`, `500ms`, `1.5s`.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

/// The text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a duration: write it like \"10m\" or \"1h30m\"")]
pub struct BadDuration(pub String);

/// A duration of the configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct GoDuration(pub Duration);

impl<'de> Deserialize<'de> for GoDuration {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        let text = String::deserialize(input)?;
        parse_duration(&text).map(Self).map_err(serde::de::Error::custom)
    }
}

/// Reads a duration; negative ones are refused.
///
/// # Errors
/// When the text is not numbers with the units ns, us, ms, s, m, h (or a plain `0`).
pub fn parse_duration(text: &str) -> Result<Duration, BadDuration> {
    let bad = || BadDuration(text.to_owned());
    let mut rest = text.trim().trim_start_matches('+');
    if rest == "0" {
        return Ok(Duration::ZERO);
    }
    if rest.is_empty() {
        return Err(bad());
    }
    let mut total = Duration::ZERO;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(bad)?;
        let number: f64 = rest[..digits].parse().map_err(|_| bad())?;
        rest = &rest[digits..];
        let unit_end = rest
            .find(|c: char| c.is_ascii_digit() || c == '.')
            .unwrap_or(rest.len());
        let nanos = match &rest[..unit_end] {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            _ => return Err(bad()),
        };
        let part = Duration::try_from_secs_f64(number * nanos / 1e9).map_err(|_| bad())?;
        total = total.checked_add(part).ok_or_else(bad)?;
        rest = &rest[unit_end..];
    }
    Ok(total)
}

/// Writes a duration as Go does: `1h0m0s`, `1m30s`, `1.5s`, `250ms`, `0s`.
#[must_use]
pub fn show_duration(duration: Duration) -> String {
    struct Shown(Duration);
    impl fmt::Display for Shown {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
            if seconds == 0 {
                return match nanos {
                    0 => f.write_str("0s"),
                    1..=999 => write!(f, "{nanos}ns"),
                    1_000..=999_999 => write!(f, "{}µs", f64::from(nanos) / 1e3),
                    _ => write!(f, "{}ms", f64::from(nanos) / 1e6),
                };
            }
            let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
            if hours > 0 {
                write!(f, "{hours}h")?;
            }
            if hours > 0 || minutes > 0 {
                write!(f, "{minutes}m")?;
            }
            let fraction = format!("{nanos:09}");
            let fraction = fraction.trim_end_matches('0');
            let point = if fraction.is_empty() { "" } else { "." };
            write!(f, "{}{point}{fraction}s", seconds % 60)
        }
    }
    Shown(duration).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reading_and_writing() {
        for (text, millis, shown) in [
            ("10m", 600_000, "10m0s"),
            ("1h30m", 5_400_000, "1h30m0s"),
            ("1.5s", 1_500, "1.5s"),
            ("500ms", 500, "500ms"),
            ("0", 0, "0s"),
            ("2h0m0s", 7_200_000, "2h0m0s"),
            ("1m0.25s", 60_250, "1m0.25s"),
        ] {
            let read = parse_duration(text).unwrap();
            assert_eq!(read, Duration::from_millis(millis), "{text}");
            assert_eq!(show_duration(read), shown, "{text}");
        }
        for bad in [
            "",
            "5",
            "m",
            "5 m",
            "-5m",
            "5x",
            "1..2s",
            "99999999999999999999h",
            "ten",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }
}
