//! When runners were last heard of: kept in memory, written in batches, so that a poll costs no write.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tasuki_model::id::RunnerId;
use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::Info;
use tasuki_rt::{Clock, Tasks};
use tasuki_store::{Store, runners};

use super::register::note_manager;

/// Pause between two writes.
const FLUSH: Duration = Duration::from_secs(5);
/// What a process says of itself is written again after this long even if it is the same.
const REFRESH_MS: i64 = 40 * 60 * 1000;

/// When runners were last heard of. Clones share it.
#[derive(Clone)]
pub struct Contacts(Arc<Inner>);

struct Inner {
    seen: Mutex<HashMap<(RunnerId, String), Seen>>,
    hasher: RandomState,
}

struct Seen {
    at: Timestamp,
    written: bool,
    /// Digest of what the process said of itself when that was last written.
    info: u64,
    info_at: Timestamp,
}

impl Contacts {
    /// Nothing heard yet; writes what it hears until `tasks` end.
    #[must_use]
    pub fn start(tasks: &Tasks, store: &Store, clock: &Clock) -> Self {
        let contacts = Self(Arc::new(Inner {
            seen: Mutex::default(),
            hasher: RandomState::new(),
        }));
        let (own, store, stop, clock) = (contacts.clone(), store.clone(), tasks.token(), clock.clone());
        tasks.spawn("runner contacts", async move {
            loop {
                let last = tokio::select! {
                    () = tokio::time::sleep(FLUSH) => false,
                    () = stop.cancelled() => true,
                };
                own.flush(&store, Timestamp(clock.now_ms())).await;
                if last {
                    return;
                }
            }
        });
        contacts
    }

    /// A process of a runner made contact. Writes only where it says something new of itself.
    pub(super) async fn heard(
        &self,
        store: &Store,
        runner: RunnerId,
        system_id: &str,
        info: &Info,
        address: IpAddr,
        now: Timestamp,
    ) -> tasuki_store::Result<()> {
        if !self.is_news(runner, system_id, info, now) {
            return Ok(());
        }
        let (info, system_id) = (info.clone(), system_id.to_owned());
        store
            .write(move |tx| note_manager(tx, runner, &system_id, &info, address, now))
            .await
    }

    fn is_news(&self, runner: RunnerId, system_id: &str, info: &Info, now: Timestamp) -> bool {
        let digest = self.0.hasher.hash_one(serde_json::to_string(info).unwrap_or_default());
        let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (runner, system_id.to_owned());
        match seen.get_mut(&key) {
            Some(entry) if entry.info == digest && now.0 - entry.info_at.0 < REFRESH_MS => {
                (entry.at, entry.written) = (now, false);
                false
            }
            _ => {
                seen.insert(
                    key,
                    Seen {
                        at: now,
                        written: true,
                        info: digest,
                        info_at: now,
                    },
                );
                true
            }
        }
    }

    async fn flush(&self, store: &Store, now: Timestamp) {
        let batch: Vec<(RunnerId, String, Timestamp)> = {
            let mut seen = self.0.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.retain(|_, entry| now.0 - entry.at.0 < REFRESH_MS);
            let fresh = seen.iter_mut().filter(|(_, entry)| !entry.written);
            fresh
                .map(|((runner, system_id), entry)| {
                    entry.written = true;
                    (*runner, system_id.clone(), entry.at)
                })
                .collect()
        };
        if batch.is_empty() {
            return;
        }
        let written = store
            .write(move |tx| {
                let rows: Vec<_> = batch
                    .iter()
                    .map(|(runner, id, at)| (*runner, id.as_str(), *at))
                    .collect();
                runners::touch_all(tx, &rows)
            })
            .await;
        if let Err(failed) = written {
            // Only what people see of it is late; the next contact is written again.
            tracing::warn!(error = %failed, "signs of life of runners could not be written");
        }
    }
}
