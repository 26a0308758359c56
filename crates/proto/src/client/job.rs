//! Answers to the two calls of a running job: log patch and state update.

use std::time::Duration;

use http::HeaderMap;
use tasuki_model::secret::Secret;

use crate::gitlab::{StoredRange, headers};

/// What `Job-Status` (or a refusal) tells the runner to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobSignal {
    GoOn,
    /// `canceling`: stop the user's script; after_script, caches, artifacts still run.
    CancelGracefully,
    /// `canceled`, `failed`, 403 (or 404 on an update): stop everything.
    Abort,
}

/// Result class of `PATCH jobs/:id/trace`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchOutcome {
    /// 202. The next offset, where the server told it.
    Accepted { stored: Option<u64> },
    /// 416: go on at this offset (0 where the server told none).
    Mismatch { stored: u64 },
    /// 404: try again at the next interval; not an abort.
    NotFound,
    /// 403.
    Refused,
    /// Anything else: try again.
    Failed { status: u16 },
}

/// Answer of `PATCH jobs/:id/trace`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatchAnswer {
    pub outcome: PatchOutcome,
    pub signal: JobSignal,
    /// The server's wish for the next upload.
    pub interval: Option<Duration>,
    /// Somebody wants a terminal in the job: its one-time id.
    pub terminal: Option<Secret>,
}

/// Result class of `PUT jobs/:id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateOutcome {
    /// 200.
    Done,
    /// 202: accepted, the log is not stored yet; send again after the interval.
    NotStoredYet,
    /// 412: the log differs; send it again from the start, then this.
    LogDiffers,
    /// 409: no longer assigned to this runner.
    Conflict,
    /// 403 or 404: stop.
    Refused { status: u16 },
    /// Anything else, other client errors too (a proxy's, a server in between two versions): try again.
    Failed { status: u16 },
}

/// Answer of `PUT jobs/:id`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UpdateAnswer {
    pub outcome: UpdateOutcome,
    pub signal: JobSignal,
    pub interval: Option<Duration>,
    /// Somebody wants a terminal in the job: its one-time id.
    pub terminal: Option<Secret>,
}

impl PatchAnswer {
    pub(super) fn read(status: u16, answer: &HeaderMap) -> Self {
        let stored = text(answer, "range")
            .and_then(|range| range.parse::<StoredRange>().ok())
            .map(|range| range.stored);
        let outcome = match status {
            202 => PatchOutcome::Accepted { stored },
            416 => PatchOutcome::Mismatch {
                stored: stored.unwrap_or(0),
            },
            404 => PatchOutcome::NotFound,
            403 => PatchOutcome::Refused,
            status => PatchOutcome::Failed { status },
        };
        let signal = if status == 403 {
            JobSignal::Abort
        } else {
            signal(answer)
        };
        Self {
            outcome,
            signal,
            interval: interval(answer),
            terminal: text(answer, headers::TERMINAL).map(Secret::new),
        }
    }
}

impl UpdateAnswer {
    pub(super) fn read(status: u16, answer: &HeaderMap) -> Self {
        let outcome = match status {
            200 => UpdateOutcome::Done,
            202 => UpdateOutcome::NotStoredYet,
            412 => UpdateOutcome::LogDiffers,
            409 => UpdateOutcome::Conflict,
            status @ (403 | 404) => UpdateOutcome::Refused { status },
            status => UpdateOutcome::Failed { status },
        };
        let signal = if matches!(status, 403 | 404) {
            JobSignal::Abort
        } else {
            signal(answer)
        };
        Self {
            outcome,
            signal,
            interval: interval(answer),
            terminal: text(answer, headers::TERMINAL).map(Secret::new),
        }
    }
}

fn signal(answer: &HeaderMap) -> JobSignal {
    match text(answer, headers::JOB_STATUS) {
        Some("canceling") => JobSignal::CancelGracefully,
        Some("canceled" | "failed") => JobSignal::Abort,
        _ => JobSignal::GoOn,
    }
}

fn interval(answer: &HeaderMap) -> Option<Duration> {
    let most = Duration::from_secs(15 * 60);
    let seconds: u64 = text(answer, headers::TRACE_UPDATE_INTERVAL)?.trim().parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds).min(most))
}

fn text<'a>(answer: &'a HeaderMap, name: &str) -> Option<&'a str> {
    answer.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Pairs = &'static [(&'static str, &'static str)];

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
    fn patch_answers() {
        let cases: [(u16, Pairs, PatchOutcome, JobSignal); 8] = [
            (
                202,
                &[("range", "0-12"), ("job-status", "running")],
                PatchOutcome::Accepted { stored: Some(12) },
                JobSignal::GoOn,
            ),
            (
                202,
                &[("job-status", "canceling")],
                PatchOutcome::Accepted { stored: None },
                JobSignal::CancelGracefully,
            ),
            (
                202,
                &[("job-status", "canceled")],
                PatchOutcome::Accepted { stored: None },
                JobSignal::Abort,
            ),
            (
                416,
                &[("range", "0-7")],
                PatchOutcome::Mismatch { stored: 7 },
                JobSignal::GoOn,
            ),
            (
                416,
                &[("range", "nonsense")],
                PatchOutcome::Mismatch { stored: 0 },
                JobSignal::GoOn,
            ),
            (404, &[], PatchOutcome::NotFound, JobSignal::GoOn),
            (
                403,
                &[("job-status", "failed")],
                PatchOutcome::Refused,
                JobSignal::Abort,
            ),
            (400, &[], PatchOutcome::Failed { status: 400 }, JobSignal::GoOn),
        ];
        for (status, headers, outcome, signal) in cases {
            let read = PatchAnswer::read(status, &answer(headers));
            assert_eq!((read.outcome, read.signal), (outcome, signal), "{status} {headers:?}");
        }
    }

    #[test]
    fn update_answers() {
        for (status, outcome, signal) in [
            (200, UpdateOutcome::Done, JobSignal::GoOn),
            (202, UpdateOutcome::NotStoredYet, JobSignal::GoOn),
            (412, UpdateOutcome::LogDiffers, JobSignal::GoOn),
            (403, UpdateOutcome::Refused { status: 403 }, JobSignal::Abort),
            (404, UpdateOutcome::Refused { status: 404 }, JobSignal::Abort),
            (409, UpdateOutcome::Conflict, JobSignal::GoOn),
            (400, UpdateOutcome::Failed { status: 400 }, JobSignal::GoOn),
            (401, UpdateOutcome::Failed { status: 401 }, JobSignal::GoOn),
            (422, UpdateOutcome::Failed { status: 422 }, JobSignal::GoOn),
            (429, UpdateOutcome::Failed { status: 429 }, JobSignal::GoOn),
            (500, UpdateOutcome::Failed { status: 500 }, JobSignal::GoOn),
        ] {
            let read = UpdateAnswer::read(status, &HeaderMap::new());
            assert_eq!((read.outcome, read.signal), (outcome, signal), "{status}");
        }
    }

    #[test]
    fn a_terminal_is_asked_for_by_either_call() {
        let asking = answer(&[("x-tasuki-terminal", "abc")]);
        for terminal in [
            PatchAnswer::read(202, &asking).terminal,
            UpdateAnswer::read(200, &asking).terminal,
        ] {
            assert_eq!(terminal.as_ref().map(Secret::expose), Some("abc"));
        }
        assert_eq!(UpdateAnswer::read(200, &HeaderMap::new()).terminal, None);
    }

    #[test]
    fn intervals_are_limited() {
        for (value, expected) in [("3", Some(3)), ("0", None), ("x", None), ("100000", Some(900))] {
            let read = UpdateAnswer::read(200, &answer(&[("x-gitlab-trace-update-interval", value)]));
            assert_eq!(read.interval, expected.map(Duration::from_secs), "{value}");
        }
    }
}
