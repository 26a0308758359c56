//! A runner's session: one process (`system_id`) of one registration, as the server sees it.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::BadTransition;
use crate::time::Timestamp;

/// Silence after which a session counts as offline where the runner holds long polls or keeps contact.
pub const OFFLINE_AFTER: Duration = Duration::from_hours(2);
/// Silence after which it is stale and may be swept away (GitLab: 7 days).
pub const STALE_AFTER: Duration = Duration::from_hours(7 * 24);

/// Where a session is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// Registered, but this process has never called.
    NeverContacted {
        since: Timestamp,
    },
    Online {
        since: Timestamp,
        contact: Timestamp,
    },
    Offline {
        contact: Timestamp,
    },
    Stale {
        contact: Timestamp,
    },
    /// The process or its registration was removed.
    Gone {
        at: Timestamp,
    },
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// Any authenticated call.
    Contact,
    /// Time has passed.
    Tick,
    Unregister,
}

/// What must follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    CameOnline,
    WentOffline,
    /// Remove what is stored about it.
    Forget,
}

impl State {
    /// GitLab's word: `online`, `offline`, `stale`, `never_contacted`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NeverContacted { .. } => "never_contacted",
            Self::Online { .. } => "online",
            Self::Offline { .. } => "offline",
            Self::Stale { .. } => "stale",
            Self::Gone { .. } => "gone",
        }
    }

    /// The next state and what must follow.
    ///
    /// # Errors
    /// A session that is gone accepts nothing.
    pub fn apply(self, event: Event, now: Timestamp) -> Result<(Self, Vec<Effect>), BadTransition> {
        let refused = |event| BadTransition {
            what: "runner session",
            from: "gone",
            event,
        };
        Ok(match (self, event) {
            (Self::Gone { .. }, Event::Contact) => return Err(refused("contact")),
            (Self::Gone { .. }, Event::Unregister) => return Err(refused("unregister")),
            (gone @ Self::Gone { .. }, Event::Tick) => (gone, Vec::new()),
            (_, Event::Unregister) => (Self::Gone { at: now }, vec![Effect::Forget]),
            (Self::Online { since, contact }, Event::Contact) => (
                Self::Online {
                    since,
                    contact: contact.max(now),
                },
                Vec::new(),
            ),
            (Self::NeverContacted { .. } | Self::Offline { .. } | Self::Stale { .. }, Event::Contact) => (
                Self::Online {
                    since: now,
                    contact: now,
                },
                vec![Effect::CameOnline],
            ),
            (never @ Self::NeverContacted { .. }, Event::Tick) => (never, Vec::new()),
            (online @ Self::Online { contact, .. }, Event::Tick) => {
                let next = by_silence(contact, now);
                match next {
                    Some(next) => (next, vec![Effect::WentOffline]),
                    None => (online, Vec::new()),
                }
            }
            (before @ (Self::Offline { contact } | Self::Stale { contact }), Event::Tick) => {
                (by_silence(contact, now).unwrap_or(before), Vec::new())
            }
        })
    }
}

fn by_silence(contact: Timestamp, now: Timestamp) -> Option<State> {
    let silence = now.since(contact);
    if silence >= STALE_AFTER {
        Some(State::Stale { contact })
    } else if silence >= OFFLINE_AFTER {
        Some(State::Offline { contact })
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    fn check(events: &[(Event, i64)], name: &str) {
        let mut state = State::NeverContacted { since: Timestamp(0) };
        for (event, hours) in events {
            (state, _) = state.apply(*event, Timestamp(hours * HOUR)).unwrap();
        }
        assert_eq!(state.name(), name, "{events:?}");
    }

    #[test]
    fn silence_is_noticed_and_contact_heals_it() {
        use Event::{Contact, Tick, Unregister};
        check(&[(Tick, 999)], "never_contacted");
        check(&[(Contact, 0), (Tick, 1)], "online");
        check(&[(Contact, 0), (Tick, 2)], "offline");
        check(&[(Contact, 0), (Tick, 2), (Tick, 168)], "stale");
        check(&[(Contact, 0), (Tick, 168), (Contact, 169)], "online");
        check(&[(Contact, 0), (Unregister, 1), (Tick, 9)], "gone");
        let gone = State::Gone { at: Timestamp(0) };
        assert!(gone.apply(Contact, Timestamp(1)).is_err());
    }
}
