//! An environment: a place that jobs deploy to and that is stopped again, by a job or by itself.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BadTransition;
use crate::time::Timestamp;

/// Where an environment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    Available {
        /// It is stopped then, unless something is deployed to it before.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        stops_at: Option<Timestamp>,
    },
    /// A job that stops it was started and has not ended.
    Stopping {
        since: Timestamp,
    },
    Stopped {
        at: Timestamp,
    },
}

/// How long an environment lives on after a job that names it (`auto_stop_in`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lifetime {
    /// The job says nothing: what is set stays.
    Unchanged,
    /// Until somebody stops it.
    Unlimited,
    /// So long from the job's end.
    For(Duration),
}

/// What happens to an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A job has deployed to it.
    Deployed(Lifetime),
    /// A job has prepared, verified or used it.
    Used(Lifetime),
    /// It is to be stopped.
    Stop(Stopper),
    /// A job that stops it has succeeded.
    StopJobSucceeded,
    /// A job that stops it has failed or was cancelled.
    StopJobFailed,
    /// A person takes the clock away from it.
    Keep,
}

/// What stops an environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stopper {
    /// A job, which was started.
    Job,
    /// There is nothing to run.
    Nothing,
}

impl Lifetime {
    /// From a job's `auto_stop_in`; 0 is `never`.
    #[must_use]
    pub fn of(auto_stop_in_s: Option<u64>) -> Self {
        match auto_stop_in_s {
            None => Self::Unchanged,
            Some(0) => Self::Unlimited,
            Some(seconds) => Self::For(Duration::from_secs(seconds)),
        }
    }

    fn end(self, now: Timestamp, set: Option<Timestamp>) -> Option<Timestamp> {
        match self {
            Self::Unchanged => set,
            Self::Unlimited => None,
            Self::For(lifetime) => Some(now.after(lifetime)),
        }
    }
}

impl State {
    /// Of an environment that a job has just named for the first time.
    #[must_use]
    pub fn new() -> Self {
        Self::Available { stops_at: None }
    }

    /// The word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Available { .. } => "available",
            Self::Stopping { .. } => "stopping",
            Self::Stopped { .. } => "stopped",
        }
    }

    /// When the clock stops it.
    #[must_use]
    pub fn stops_at(self) -> Option<Timestamp> {
        match self {
            Self::Available { stops_at } => stops_at,
            Self::Stopping { .. } | Self::Stopped { .. } => None,
        }
    }

    /// The next state.
    ///
    /// # Errors
    /// The event does not fit the state.
    pub fn apply(self, event: Event, now: Timestamp) -> Result<Self, BadTransition> {
        Ok(match (event, self) {
            (Event::Deployed(lifetime), state) => Self::Available {
                stops_at: lifetime.end(now, state.stops_at()),
            },
            (Event::Used(lifetime), Self::Available { stops_at }) => Self::Available {
                stops_at: lifetime.end(now, stops_at),
            },
            (Event::Stop(Stopper::Job), Self::Available { .. }) => Self::Stopping { since: now },
            (
                Event::Stop(Stopper::Nothing) | Event::StopJobSucceeded,
                Self::Available { .. } | Self::Stopping { .. },
            ) => Self::Stopped { at: now },
            // What it ran is there still, and whoever looks at it is to see that.
            (Event::StopJobFailed, Self::Stopping { .. }) | (Event::Keep, Self::Available { .. }) => Self::new(),
            (Event::Keep, Self::Stopping { .. } | Self::Stopped { .. }) => {
                return Err(BadTransition {
                    what: "environment",
                    from: self.as_str(),
                    event: "keep",
                });
            }
            (Event::Used(_) | Event::Stop(_) | Event::StopJobSucceeded | Event::StopJobFailed, state) => state,
        })
    }
}

impl Default for State {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_000);

    fn available(stops_at: Option<i64>) -> State {
        State::Available {
            stops_at: stops_at.map(Timestamp),
        }
    }

    #[test]
    fn every_event_in_every_state() {
        let stopping = State::Stopping { since: Timestamp(5) };
        let stopped = State::Stopped { at: Timestamp(5) };
        let stopped_now = State::Stopped { at: NOW };
        let minute = Lifetime::of(Some(60));
        // From available until 9, from stopping, from stopped.
        for (event, expected) in [
            (
                Event::Deployed(minute),
                [
                    available(Some(61_000)),
                    available(Some(61_000)),
                    available(Some(61_000)),
                ],
            ),
            (
                Event::Deployed(Lifetime::of(None)),
                [available(Some(9)), available(None), available(None)],
            ),
            (
                Event::Deployed(Lifetime::of(Some(0))),
                [available(None), available(None), available(None)],
            ),
            (Event::Used(minute), [available(Some(61_000)), stopping, stopped]),
            (
                Event::Used(Lifetime::Unchanged),
                [available(Some(9)), stopping, stopped],
            ),
            (
                Event::Stop(Stopper::Job),
                [State::Stopping { since: NOW }, stopping, stopped],
            ),
            (Event::Stop(Stopper::Nothing), [stopped_now, stopped_now, stopped]),
            (Event::StopJobSucceeded, [stopped_now, stopped_now, stopped]),
            (Event::StopJobFailed, [available(Some(9)), available(None), stopped]),
        ] {
            for (state, expected) in [available(Some(9)), stopping, stopped].into_iter().zip(expected) {
                assert_eq!(state.apply(event, NOW), Ok(expected), "{event:?} of {state:?}");
            }
        }
        assert_eq!(available(Some(9)).apply(Event::Keep, NOW), Ok(available(None)));
        for state in [stopping, stopped] {
            assert!(state.apply(Event::Keep, NOW).is_err());
        }
    }
}
