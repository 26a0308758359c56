//! Deletes what has expired, takes up too much, or is named by nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use tasuki_model::id::{PipelineId, ProjectId};
use tasuki_model::time::Timestamp;
use tasuki_rt::Tasks;
use tasuki_store::caches::Cache;
use tasuki_store::{Tx, artifacts, blobs, caches, pages, projects, retention, settings};

use super::{Error, Files, Key};

/// What the sweeper goes by.
#[derive(Debug, Clone, Copy)]
pub struct Sweeping {
    /// Pause between two rounds.
    pub every: Duration,
    /// Bytes that the caches of one project may take up.
    pub cache_bytes_per_project: u64,
    /// A cache that was not used for so long goes.
    pub cache_unused: Duration,
    /// Finished pipelines that are older go, with all that belongs to them; `None` = never.
    pub pipelines_after: Option<Duration>,
    /// Finished pipelines beyond so many newest ones of a project go; `None` = never.
    pub pipelines_per_project: Option<u32>,
}

impl Default for Sweeping {
    fn default() -> Self {
        Self {
            every: Duration::from_secs(60),
            cache_bytes_per_project: 10 << 30,
            cache_unused: Duration::from_secs(30 * 24 * 3600),
            pipelines_after: None,
            pipelines_per_project: None,
        }
    }
}

/// Rows that one transaction removes: few, so that nobody waits behind it.
const BATCH: u32 = 200;
/// The setting that says until when (ms) nothing that was stored is deleted, because a backup is being made.
pub(super) const HOLD: &str = "blobs-held-until";

/// Which caches must go: those that were not used for too long, and of each project the least recently used ones
/// until the rest fits. The newest one of a project stays even where it alone is too large: it was allowed in.
#[must_use]
pub fn evictions<'a>(all: &'a [Cache], rules: &Sweeping, now: Timestamp) -> Vec<&'a Cache> {
    let mut projects: BTreeMap<ProjectId, Vec<&Cache>> = BTreeMap::new();
    for cache in all {
        projects.entry(cache.project_id).or_default().push(cache);
    }
    let mut gone = Vec::new();
    for (_, mut caches) in projects {
        // Most recently used first; the newer one of two.
        caches.sort_by_key(|cache| std::cmp::Reverse((cache.used_ms, cache.id)));
        let mut used = 0_u64;
        for (index, cache) in caches.into_iter().enumerate() {
            used = used.saturating_add(u64::try_from(cache.size).unwrap_or(0));
            let fits = used <= rules.cache_bytes_per_project || index == 0;
            if !fits || now.since(cache.used_ms) > rules.cache_unused {
                gone.push(cache);
            }
        }
    }
    gone
}

impl Files {
    /// Runs the sweeper until the server stops.
    pub fn start_sweeper(&self, tasks: &Tasks, rules: Sweeping) {
        let (files, stop) = (self.clone(), tasks.token());
        tasks.spawn("blob-sweeper", async move {
            loop {
                if let Err(error) = files.sweep(&rules).await {
                    tracing::warn!(%error, "old files could not be swept; trying again");
                }
                tokio::select! {
                    () = tokio::time::sleep(rules.every) => {}
                    () = stop.cancelled() => return,
                }
            }
        });
    }

    /// One round. Harmless to repeat, to interrupt and to run in several servers at once.
    ///
    /// # Errors
    /// When the database or the blob store fails; what was done until then stays done.
    pub async fn sweep(&self, rules: &Sweeping) -> Result<(), Error> {
        let now = self.now();
        self.remove_pipelines(rules, now).await?;
        self.expire_artifacts(now).await?;
        self.store().write(move |tx| pages::expire(tx, now)).await?;
        self.evict_caches(rules, now).await?;
        self.empty_trash(now).await?;
        self.blobs().sweep(now).await
    }

    async fn remove_pipelines(&self, rules: &Sweeping, now: Timestamp) -> Result<(), Error> {
        if let Some(age) = rules.pipelines_after {
            let before = Timestamp(now.0.saturating_sub(i64::try_from(age.as_millis()).unwrap_or(i64::MAX)));
            while self
                .remove_batch(now, move |tx| retention::older(tx, before, BATCH))
                .await?
            {}
        }
        let Some(newest) = rules.pipelines_per_project else {
            return Ok(());
        };
        let mut after = None;
        loop {
            let from = after.take();
            let page = self
                .store()
                .read(move |tx| projects::list(tx, from.as_deref(), BATCH))
                .await?;
            for project in &page {
                let id = project.id;
                while self
                    .remove_batch(now, move |tx| retention::beyond(tx, id, newest, BATCH))
                    .await?
                {}
            }
            match page.into_iter().nth(BATCH as usize - 1) {
                Some(last) => after = Some(last.path),
                None => return Ok(()),
            }
        }
    }

    /// Removes the pipelines that `choose` gives, step by step. Says whether there may be more.
    async fn remove_batch(
        &self,
        now: Timestamp,
        choose: impl FnOnce(&mut Tx<'_>) -> tasuki_store::Result<Vec<PipelineId>> + Send + 'static,
    ) -> Result<bool, Error> {
        let chosen = self.store().read(choose).await?;
        let more = chosen.len() == BATCH as usize;
        for id in chosen {
            while self
                .store()
                .write(move |tx| retention::remove_some(tx, id, BATCH, now))
                .await?
            {}
        }
        Ok(more)
    }

    async fn expire_artifacts(&self, now: Timestamp) -> Result<(), Error> {
        loop {
            let more = self
                .store()
                .write(move |tx| {
                    let expired = artifacts::expired(tx, now, BATCH)?;
                    for artifact in &expired {
                        artifacts::remove(tx, artifact, now)?;
                    }
                    Ok(expired.len() == BATCH as usize)
                })
                .await?;
            if !more {
                return Ok(());
            }
        }
    }

    async fn evict_caches(&self, rules: &Sweeping, now: Timestamp) -> Result<(), Error> {
        let all = self.store().read(caches::by_use).await?;
        let gone: Vec<Cache> = evictions(&all, rules, now).into_iter().cloned().collect();
        for batch in gone.chunks(BATCH as usize) {
            let batch = batch.to_vec();
            self.store()
                .write(move |tx| {
                    for cache in &batch {
                        // Unless it was replaced or used since we looked: then it may well be wanted.
                        let current = caches::get(tx, cache.project_id, &cache.key)?;
                        if current.is_some_and(|current| current.used_ms == cache.used_ms) {
                            caches::remove(tx, cache, now)?;
                        }
                    }
                    Ok(())
                })
                .await?;
        }
        Ok(())
    }

    async fn empty_trash(&self, now: Timestamp) -> Result<(), Error> {
        let held = self.store().read(|tx| settings::get(tx, HOLD)).await?;
        if held
            .and_then(|until| until.parse().ok())
            .is_some_and(|until: i64| until > now.0)
        {
            return Ok(());
        }
        loop {
            let due = self.store().write(move |tx| blobs::take_due(tx, now, BATCH)).await?;
            let all = due.len();
            let mut done = Vec::with_capacity(all);
            for text in due {
                match Key::new(text.as_str()) {
                    Ok(key) => match self.blobs().remove(&key).await {
                        Ok(()) => done.push(text),
                        Err(error) => tracing::warn!(%error, %key, "stored bytes could not be deleted"),
                    },
                    // Nothing can be stored under such a key.
                    Err(_) => done.push(text),
                }
            }
            let more = done.len() == BATCH as usize;
            if !done.is_empty() {
                self.store().write(move |tx| blobs::forget(tx, &done)).await?;
            }
            // What could not be deleted comes again in the next round.
            if !more {
                return Ok(());
            }
        }
    }
}
