//! Runners whose token is refused.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tasuki_rt::Clock;

/// Counts refused requests in a row; at the limit the runner rests.
#[derive(Debug)]
pub(super) struct Health {
    limit: u32,
    rest: Duration,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    refused: u32,
    rests_until: Option<Instant>,
}

impl Health {
    pub(super) fn new(limit: u32, rest: Duration) -> Self {
        Self {
            limit,
            rest,
            state: Mutex::default(),
        }
    }

    /// How long the runner rests from now on; `None`: it may ask.
    pub(super) fn resting(&self) -> Option<Duration> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let left = state.rests_until?.saturating_duration_since(Clock::instant());
        if left.is_zero() {
            *state = State::default();
            return None;
        }
        Some(left)
    }

    pub(super) fn good(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).refused = 0;
    }

    /// Says whether the runner rests from now on.
    pub(super) fn refused(&self) -> bool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.refused += 1;
        if state.refused < self.limit {
            return false;
        }
        state.rests_until = Some(Clock::instant() + self.rest);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_refusals_in_a_row_count() {
        let health = Health::new(3, Duration::from_secs(60));
        assert!(!health.refused());
        assert!(!health.refused());
        health.good();
        assert!(!health.refused());
        assert!(!health.refused());
        assert_eq!(health.resting(), None);
        assert!(health.refused());
        assert!(health.resting().is_some());
    }

    #[test]
    fn a_rest_ends() {
        let health = Health::new(1, Duration::ZERO);
        assert!(health.refused());
        assert_eq!(health.resting(), None);
    }
}
