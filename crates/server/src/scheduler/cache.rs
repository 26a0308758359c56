//! Graphs of live pipelines and live tasks, as the database has them. Losing any of it costs a read.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId};
use tasuki_model::labels::Demand;
use tasuki_model::state::task;
use tasuki_model::time::Timestamp;

use super::entry::Entry;
use super::error::Error;

/// How many graphs are kept.
const MOST_PIPELINES: usize = 2_000;

/// A task that has not ended.
#[derive(Debug, Clone)]
pub(super) struct Live {
    pub(super) id: TaskId,
    pub(super) job: JobId,
    pub(super) pipeline: PipelineId,
    pub(super) project: ProjectId,
    /// Which of the job's parallel parts.
    pub(super) part: i64,
    pub(super) attempt: i64,
    pub(super) priority: i64,
    pub(super) demand: Arc<Demand>,
    pub(super) state: task::State,
    pub(super) version: i64,
    pub(super) token_hash: Option<String>,
    pub(super) queued: Timestamp,
    /// The last sign of life that is in the database.
    pub(super) contact: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Cache {
    pipelines: HashMap<PipelineId, Box<Entry>>,
    tasks: HashMap<TaskId, Live>,
    tokens: HashMap<String, TaskId>,
}

/// Locks also after a panic elsewhere: what is behind these locks is only a cache, checked by versions.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Live {
    pub(super) fn read(row: tasuki_store::tasks::Task) -> Result<Self, Error> {
        let damaged = |what| {
            move |source| Error::Damaged {
                what,
                id: row.id.0,
                source,
            }
        };
        Ok(Self {
            state: serde_json::from_str(&row.state_json).map_err(damaged("state of task"))?,
            demand: Arc::new(serde_json::from_str(&row.match_json).map_err(damaged("demand of task"))?),
            id: row.id,
            job: row.job_id,
            pipeline: row.pipeline_id,
            project: row.project_id,
            part: row.parallel_index,
            attempt: row.attempt,
            priority: row.priority,
            version: row.version,
            token_hash: row.token_hash,
            queued: row.queued_ms,
            contact: row.contact_ms,
        })
    }
}

impl Cache {
    /// Takes a pipeline's graph out, to work on it.
    pub(super) fn take(&mut self, id: PipelineId) -> Option<Box<Entry>> {
        self.pipelines.remove(&id)
    }

    /// Puts a graph (back) in. Of an ended pipeline none is kept, and of two the newer one.
    pub(super) fn put(&mut self, entry: Box<Entry>) {
        if entry.state.finished().is_some() {
            self.pipelines.remove(&entry.id);
            return;
        }
        if self.pipelines.len() >= MOST_PIPELINES {
            // Any will do: it is only a read to have it back.
            if let Some(id) = self.pipelines.keys().next().copied() {
                self.pipelines.remove(&id);
            }
        }
        match self.pipelines.get(&entry.id) {
            Some(other) if other.version > entry.version => {}
            _ => _ = self.pipelines.insert(entry.id, entry),
        }
    }

    /// Drops a graph.
    pub(super) fn forget(&mut self, id: PipelineId) {
        self.pipelines.remove(&id);
    }

    pub(super) fn task(&self, id: TaskId) -> Option<&Live> {
        self.tasks.get(&id)
    }

    /// The task that this token was given to.
    pub(super) fn by_token(&self, hash: &str) -> Option<&Live> {
        self.tokens.get(hash).and_then(|id| self.tasks.get(id))
    }

    /// Notes a task as it is now; one that has ended is dropped.
    pub(super) fn put_task(&mut self, live: Live) {
        self.forget_task(live.id);
        if live.state.outcome().is_some() {
            return;
        }
        if let Some(hash) = &live.token_hash {
            self.tokens.insert(hash.clone(), live.id);
        }
        self.tasks.insert(live.id, live);
    }

    /// Notes a task as it was read, unless a newer form of it is known.
    pub(super) fn put_newer_task(&mut self, live: Live) {
        match self.tasks.get(&live.id) {
            Some(known) if known.version >= live.version => {}
            _ => self.put_task(live),
        }
    }

    /// Drops a task.
    pub(super) fn forget_task(&mut self, id: TaskId) {
        if let Some(Live {
            token_hash: Some(hash), ..
        }) = self.tasks.remove(&id)
        {
            self.tokens.remove(&hash);
        }
    }
}
