//! Growing pauses between tries.

use std::time::Duration;

use rand::RngExt as _;

/// Exponential pauses from `first` to `most`, doubled each time, each shortened by up to a half at random so
/// that many waiters do not come back at the same moment.
#[derive(Debug, Clone)]
pub struct Backoff {
    first: Duration,
    most: Duration,
    tries: u32,
}

impl Backoff {
    /// Starts at `first`; never longer than `most`.
    #[must_use]
    pub fn new(first: Duration, most: Duration) -> Self {
        Self { first, most, tries: 0 }
    }

    /// How many pauses were taken since the last success.
    #[must_use]
    pub fn tries(&self) -> u32 {
        self.tries
    }

    /// The next pause: between a half and the whole of the present step.
    pub fn pause(&mut self) -> Duration {
        let step = self
            .first
            .saturating_mul(1_u32.checked_shl(self.tries).unwrap_or(u32::MAX))
            .min(self.most);
        self.tries = (self.tries + 1).min(31);
        step.mul_f64(rand::rng().random_range(0.5..=1.0))
    }

    /// Starts again at the first step, after a success.
    pub fn reset(&mut self) {
        self.tries = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_the_limit_and_start_again() {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(1));
        for whole in [100_u64, 200, 400, 800, 1000, 1000] {
            let pause = backoff.pause();
            let (low, high) = (Duration::from_millis(whole / 2), Duration::from_millis(whole));
            assert!(
                pause >= low && pause <= high,
                "{pause:?} lies outside {low:?}..{high:?}"
            );
        }
        for _ in 0..100 {
            assert!(backoff.pause() <= Duration::from_secs(1));
        }
        backoff.reset();
        assert!(backoff.pause() <= Duration::from_millis(100));
    }
}
