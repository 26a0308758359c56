//! The one source of the present time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Tells the time; cheap to clone. A manual clock stands still until it is advanced.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// A clock for tests that shows `start_ms` (milliseconds since the epoch) until it is advanced.
    #[must_use]
    pub fn manual(start_ms: i64) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(start_ms))))
    }

    /// Milliseconds since the Unix epoch.
    #[must_use]
    pub fn now_ms(&self) -> i64 {
        match &self.0 {
            Kind::System => system_ms(),
            Kind::Manual(at) => at.load(Ordering::SeqCst),
        }
    }

    /// Turns a manual clock forward. The system's clock cannot be turned: the call does nothing there.
    pub fn advance(&self, by: Duration) {
        if let Kind::Manual(at) = &self.0 {
            at.fetch_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX), Ordering::SeqCst);
        }
    }

    /// A monotonic point for measuring durations; never stored, never compared between processes.
    #[must_use]
    pub fn instant() -> Instant {
        Instant::now()
    }
}

#[expect(clippy::disallowed_methods, reason = "this is the door through which all others ask")]
fn system_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let clock = Clock::manual(5);
        let other = clock.clone();
        clock.advance(Duration::from_secs(2));
        assert_eq!((clock.now_ms(), other.now_ms()), (2005, 2005));
    }

    #[test]
    fn the_system_clock_ignores_advance() {
        let clock = Clock::system();
        clock.advance(Duration::from_secs(3600 * 24 * 365));
        let now = clock.now_ms();
        assert!((now - system_ms()).abs() < 60_000);
        assert!(now > 1_700_000_000_000, "the year is at least 2023");
    }
}
