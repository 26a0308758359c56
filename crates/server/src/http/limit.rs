//! Rates that one caller may use: a bucket of tokens for each key.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::{Mutex, PoisonError};

/// Buckets are spread over this many locks.
const SHARDS: usize = 16;
/// Full buckets are forgotten when a shard holds more than this: they are as if they had never been.
const KEPT: usize = 4096;

/// Allows `rate` calls a second for each key, with as many at once.
pub struct RateLimiter<K> {
    shards: [Mutex<HashMap<K, Bucket>>; SHARDS],
    hasher: RandomState,
    per_s: f64,
    burst: f64,
}

#[derive(Clone, Copy)]
struct Bucket {
    left: f64,
    at_ms: i64,
}

/// Not now; try again after so many seconds (at least one: the header carries whole ones).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    pub retry_after_s: u64,
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// At most `calls` in each `seconds`.
    #[must_use]
    pub fn new(calls: u32, seconds: u32) -> Self {
        Self {
            shards: std::array::from_fn(|_| Mutex::default()),
            hasher: RandomState::new(),
            per_s: f64::from(calls) / f64::from(seconds.max(1)),
            burst: f64::from(calls).max(1.0),
        }
    }

    /// Takes one call from the key's bucket.
    pub fn take(&self, key: K, now_ms: i64) -> Result<(), Refused> {
        self.change(key, now_ms, |bucket| {
            if bucket.left < 1.0 {
                return false;
            }
            bucket.left -= 1.0;
            true
        })
    }

    /// Whether a call would be allowed, without taking it: for limits that count only failures.
    pub fn check(&self, key: K, now_ms: i64) -> Result<(), Refused> {
        self.change(key, now_ms, |bucket| bucket.left >= 1.0)
    }

    fn change(&self, key: K, now_ms: i64, act: impl FnOnce(&mut Bucket) -> bool) -> Result<(), Refused> {
        let shard = usize::try_from(self.hasher.hash_one(&key) % SHARDS as u64).unwrap_or(0);
        let mut buckets = self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() > KEPT {
            let (per_s, burst) = (self.per_s, self.burst);
            buckets.retain(|_, bucket| bucket.filled(now_ms, per_s, burst).left < burst);
        }
        let bucket = buckets.entry(key).or_insert(Bucket {
            left: self.burst,
            at_ms: now_ms,
        });
        *bucket = bucket.filled(now_ms, self.per_s, self.burst);
        if act(bucket) {
            return Ok(());
        }
        let wait = ((1.0 - bucket.left) / self.per_s).ceil().clamp(1.0, 3600.0);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 3600"
        )]
        let retry_after_s = wait as u64;
        Err(Refused { retry_after_s })
    }
}

impl Bucket {
    fn filled(self, now_ms: i64, per_s: f64, burst: f64) -> Self {
        // A clock that jumps back gives nothing; the next call counts from there.
        let passed =
            u32::try_from(now_ms.saturating_sub(self.at_ms)).unwrap_or(if now_ms > self.at_ms { u32::MAX } else { 0 });
        Self {
            left: (self.left + f64::from(passed) / 1000.0 * per_s).min(burst),
            at_ms: now_ms,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_empties_and_fills() {
        let limiter = RateLimiter::new(2, 1);
        let take = |key, at| limiter.take(key, at).map_err(|refused| refused.retry_after_s);
        assert_eq!([take("a", 0), take("a", 0), take("a", 0)], [Ok(()), Ok(()), Err(1)]);
        assert_eq!(take("b", 0), Ok(()), "another key has its own bucket");
        assert_eq!([take("a", 500), take("a", 500)], [Ok(()), Err(1)]);
        assert_eq!(
            [take("a", 400), take("a", 900), take("a", 10_000)],
            [Err(1), Ok(()), Ok(())]
        );
    }

    #[test]
    fn a_look_takes_nothing() {
        let limiter = RateLimiter::new(1, 60);
        for _ in 0..5 {
            assert_eq!(limiter.check("a", 0), Ok(()));
        }
        assert_eq!(limiter.take("a", 0), Ok(()));
        assert_eq!(limiter.check("a", 0), Err(Refused { retry_after_s: 60 }));
    }

    #[test]
    fn many_keys_do_not_fill_the_memory() {
        let limiter = RateLimiter::new(10, 1);
        for key in 0..200_000_u32 {
            assert_eq!(limiter.take(key, i64::from(key)), Ok(()));
        }
        let held: usize = limiter.shards.iter().map(|s| s.lock().unwrap().len()).sum();
        assert!(held <= SHARDS * (KEPT + 1), "{held} buckets are held");
    }
}
