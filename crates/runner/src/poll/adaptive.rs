//! How many requests for work go out at a time.

use std::sync::{Mutex, PoisonError};

use crate::config::RunnerConfig;

/// A window between 1 and `request_concurrency`: it grows while jobs come and shrinks while none do, so that an idle
/// runner asks once at a time (GitLab's `FF_USE_ADAPTIVE_REQUEST_CONCURRENCY`).
#[derive(Debug)]
pub(super) struct Adaptive {
    most: u32,
    /// Off: as many as allowed, always.
    fixed: bool,
    window: Mutex<f64>,
}

impl Adaptive {
    /// `config` holds the limit and the flag `FF_USE_ADAPTIVE_REQUEST_CONCURRENCY` (on where it is not set).
    pub(super) fn of(config: &RunnerConfig) -> Self {
        let flag = config.feature_flags.get("FF_USE_ADAPTIVE_REQUEST_CONCURRENCY");
        Self {
            fixed: flag == Some(&false),
            ..Self::new(config.requests())
        }
    }

    fn new(most: u32) -> Self {
        Self {
            most: most.max(1),
            fixed: false,
            window: Mutex::new(1.0),
        }
    }

    /// Requests that may be under way now.
    pub(super) fn window(&self) -> u32 {
        if self.fixed {
            return self.most;
        }
        let window = self.window.lock().unwrap_or_else(PoisonError::into_inner).ceil();
        // Clamped between 1 and a u32: nothing is lost.
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "clamped to 1..=most"
        )]
        let window = window as u32;
        window.clamp(1, self.most)
    }

    pub(super) fn received(&self) {
        self.scale(1.1);
    }

    pub(super) fn empty(&self) {
        self.scale(0.95);
    }

    pub(super) fn retried(&self) {
        self.scale(0.5);
    }

    fn scale(&self, factor: f64) {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        *window = (*window * factor).clamp(1.0, f64::from(self.most));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn off_means_as_many_as_allowed() {
        let mut config = RunnerConfig {
            request_concurrency: 5,
            ..RunnerConfig::default()
        };
        assert_eq!(Adaptive::of(&config).window(), 1);
        config
            .feature_flags
            .insert("FF_USE_ADAPTIVE_REQUEST_CONCURRENCY".to_owned(), false);
        assert_eq!(Adaptive::of(&config).window(), 5);
    }

    #[test]
    fn grows_with_jobs_and_shrinks_without() {
        let adaptive = Adaptive::new(4);
        assert_eq!(adaptive.window(), 1);
        adaptive.received();
        assert_eq!(adaptive.window(), 2);
        for _ in 0..30 {
            adaptive.received();
        }
        assert_eq!(adaptive.window(), 4);
        adaptive.retried();
        assert_eq!(adaptive.window(), 2);
        for _ in 0..60 {
            adaptive.empty();
        }
        assert_eq!(adaptive.window(), 1);
    }
}
