//! The retry layer below every call of the runner protocol.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::time::Duration;

use http::HeaderMap;
use http::header::{DATE, RETRY_AFTER};

use crate::gitlab::headers;

/// How often and after which pauses a request is repeated. Only statuses are retried here, network errors never:
/// the loops above decide on those.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Tries in all.
    pub attempts: u32,
    pub first: Duration,
    pub most: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 5,
            first: Duration::from_millis(100),
            most: Duration::from_secs(60),
        }
    }
}

impl RetryPolicy {
    /// Whether an answer with this status is worth another try.
    #[must_use]
    pub fn retries(status: u16) -> bool {
        matches!(status, 408 | 429 | 500 | 502 | 503 | 504) || status >= 512
    }

    /// Pause before the try after `failed` failed ones: until `RateLimit-ResetTime`, else `Retry-After` seconds,
    /// else exponential with jitter.
    #[must_use]
    pub fn pause(&self, answer: &HeaderMap, failed: u32) -> Duration {
        reset_time(answer)
            .or_else(|| retry_after(answer))
            .unwrap_or_else(|| self.growing(failed))
    }

    fn growing(&self, failed: u32) -> Duration {
        let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        let whole = self.first.saturating_mul(factor).min(self.most);
        whole.mul_f64(0.5 + f64::from(jitter()) / (2.0 * f64::from(u32::MAX)))
    }
}

fn retry_after(answer: &HeaderMap) -> Option<Duration> {
    let seconds = answer.get(RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}

/// The wait is measured on the server's own clock (`Date`), so that a wrong clock here does no harm.
fn reset_time(answer: &HeaderMap) -> Option<Duration> {
    let until = http_date(answer.get(headers::RATE_LIMIT_RESET)?.to_str().ok()?)?;
    let now = http_date(answer.get(DATE)?.to_str().ok()?)?;
    Duration::try_from(until.duration_since(now)).ok()
}

fn http_date(text: &str) -> Option<jiff::Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(text.trim())
        .ok()
}

/// Any number: spreads out clients that failed at the same moment. `RandomState` is seeded by the system.
fn jitter() -> u32 {
    let number = RandomState::new().build_hasher().finish();
    u32::try_from(number >> 32).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (
                    http::HeaderName::from_static(name),
                    http::HeaderValue::from_static(value),
                )
            })
            .collect()
    }

    #[test]
    fn statuses() {
        for status in [408, 429, 500, 502, 503, 504, 512, 520, 599] {
            assert!(RetryPolicy::retries(status), "{status}");
        }
        for status in [
            200, 201, 204, 400, 401, 403, 404, 409, 410, 412, 416, 422, 501, 505, 511,
        ] {
            assert!(!RetryPolicy::retries(status), "{status}");
        }
    }

    #[test]
    fn the_server_says_how_long() {
        let policy = RetryPolicy::default();
        let both = answer(&[
            ("date", "Thu, 01 Jan 1970 00:00:10 GMT"),
            ("ratelimit-resettime", "Thu, 01 Jan 1970 00:00:25 GMT"),
            ("retry-after", "3"),
        ]);
        assert_eq!(policy.pause(&both, 1), Duration::from_secs(15));
        assert_eq!(
            policy.pause(&answer(&[("retry-after", "3")]), 1),
            Duration::from_secs(3)
        );
        let past = answer(&[
            ("date", "Thu, 01 Jan 1970 00:00:30 GMT"),
            ("ratelimit-resettime", "Thu, 01 Jan 1970 00:00:25 GMT"),
            ("retry-after", "7"),
        ]);
        assert_eq!(
            policy.pause(&past, 1),
            Duration::from_secs(7),
            "a time that has passed is no answer"
        );
    }

    #[test]
    fn pauses_grow() {
        let policy = RetryPolicy::default();
        for (failed, whole) in [(1, 100), (2, 200), (3, 400), (4, 800), (30, 60_000), (64, 60_000)] {
            let pause = policy.pause(&HeaderMap::new(), failed);
            let whole = Duration::from_millis(whole);
            assert!(pause >= whole / 2 && pause <= whole, "{failed}: {pause:?}");
        }
    }
}
