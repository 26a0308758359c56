//! One operation: a transaction together with what it changes in memory.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tasuki_model::id::{PipelineId, ProjectId, TaskId};
use tasuki_model::state::{Status, task};
use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;
use tasuki_store::Tx;
use tokio::sync::{Notify, broadcast};

use super::cache::{Cache, Live, lock};
use super::dispatch::Dispatch;
use super::entry::Entry;
use super::error::Error;
use super::events::Event;
use super::facade::Settings;
use super::leases::Leases;
use super::queue::Waiting;
use super::start::{Hint, TOPIC};

/// Events that a listener may be behind before it loses some.
const EVENTS: usize = 4096;

/// What operations share. The database is the truth; all of this may be lost at any instant.
#[derive(Debug)]
pub struct Core {
    pub(super) cache: Mutex<Cache>,
    pub(super) dispatch: Arc<Dispatch>,
    pub(super) leases: Leases,
    pub(super) clock: Clock,
    pub(super) settings: Settings,
    pub(super) events: broadcast::Sender<Event>,
    /// Rung when something is due earlier than the timer knows.
    pub(super) bell: Notify,
    /// Rung when a job wants a pipeline.
    pub(super) bridges: Notify,
    /// Rung when the url of a deployment is to be made.
    pub(super) urls: Notify,
    /// Earliest time at which the clock has something to do with a job or an environment; absent = never.
    pub(super) due: Mutex<Option<Timestamp>>,
    pub(super) counters: Counters,
}

/// Totals since the start, for `/metrics`.
#[derive(Debug, Default)]
pub struct Counters {
    pub claimed: AtomicU64,
    pub started: AtomicU64,
    pub succeeded: AtomicU64,
    pub failed_user: AtomicU64,
    pub failed_system: AtomicU64,
    pub canceled: AtomicU64,
    pub requeued: AtomicU64,
    pub leases_lost: AtomicU64,
    pub pipelines: AtomicU64,
}

/// A transaction in which scheduling happens.
pub(super) struct Op<'a, 'c> {
    pub(super) core: &'a Arc<Core>,
    pub(super) tx: &'a mut Tx<'c>,
    pub(super) now: Timestamp,
    /// Pipelines that this operation works on, taken out of the cache.
    pub(super) entries: BTreeMap<PipelineId, Box<Entry>>,
    /// Those that have to be settled and saved.
    pub(super) dirty: BTreeSet<PipelineId>,
    pub(super) tasks: HashMap<TaskId, Live>,
    /// Resource groups in which something changed.
    pub(super) groups: BTreeSet<(ProjectId, String)>,
    pub(super) round: Round,
    /// Something was taken from memory, which may be behind the database.
    remembered: Remembered,
}

/// What an operation took from memory.
#[derive(Debug, Default)]
struct Remembered {
    pipelines: Vec<PipelineId>,
    tasks: Vec<TaskId>,
}

/// What is done in memory after the commit.
#[derive(Debug, Default)]
pub(super) struct Round {
    pub(super) queued: Vec<Waiting>,
    pub(super) dequeued: Vec<TaskId>,
    pub(super) ended: Vec<ProjectId>,
    /// Handed out: this server's queue knows already, others are told.
    pub(super) claimed: (Vec<TaskId>, Vec<ProjectId>),
    pub(super) leases: Vec<(TaskId, Option<(Timestamp, Duration)>)>,
    pub(super) events: Vec<Event>,
    pub(super) due: Option<Timestamp>,
    /// A pipeline is wanted by a job.
    pub(super) bridges: bool,
    /// The url of a deployment is wanted.
    pub(super) urls: bool,
}

impl Round {
    /// The clock has something to do at this time.
    pub(super) fn wake_at(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |known| known.min(at)));
    }
}

impl Core {
    /// An empty one. The queue and the leases are read by [`super::Scheduler::open`].
    #[must_use]
    pub fn new(clock: Clock, settings: Settings) -> Arc<Self> {
        Arc::new(Self {
            cache: Mutex::default(),
            dispatch: Arc::default(),
            leases: Leases::default(),
            clock,
            settings,
            events: broadcast::channel(EVENTS).0,
            bell: Notify::new(),
            bridges: Notify::new(),
            urls: Notify::new(),
            due: Mutex::default(),
            counters: Counters::default(),
        })
    }

    /// The time.
    pub(super) fn now(&self) -> Timestamp {
        Timestamp(self.clock.now_ms())
    }

    /// Runs `body` in a transaction; what it changes in memory follows the commit.
    ///
    /// What is kept in memory may be behind the database when other servers work on it. Where that lets `body`
    /// succeed, the compare-and-swap of the rows fails in the end; where it makes `body` refuse, the refusal is
    /// not believed: either way the memory is dropped and [`Error::Stale`] asks for another try.
    pub(super) fn run<T>(
        self: &Arc<Self>,
        tx: &mut Tx<'_>,
        body: impl FnOnce(&mut Op<'_, '_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let mut op = Op {
            core: self,
            now: self.now(),
            tx,
            entries: BTreeMap::new(),
            dirty: BTreeSet::new(),
            tasks: HashMap::new(),
            groups: BTreeSet::new(),
            round: Round::default(),
            remembered: Remembered::default(),
        };
        let result = body(&mut op).and_then(|value| op.settle_all().map(|()| value));
        match result {
            Ok(value) => {
                op.publish();
                Ok(value)
            }
            Err(error) => {
                let Remembered { pipelines, tasks } = op.remembered;
                let doubtful = !(pipelines.is_empty() && tasks.is_empty());
                self.rolled_back(&pipelines, &tasks);
                Err(if doubtful && error.is_refusal() {
                    Error::Stale
                } else {
                    error
                })
            }
        }
    }

    fn committed(self: &Arc<Self>, round: Round) {
        for (task, lease) in round.leases {
            match lease {
                Some((expires, length)) => self.leases.set(task, expires, length),
                None => self.leases.remove(task),
            }
        }
        self.dispatch.dequeue(round.dequeued);
        self.dispatch.ended(round.ended);
        self.dispatch.enqueue(round.queued);
        self.due_at(round.due);
        self.bell.notify_one();
        if round.bridges {
            self.bridges.notify_one();
        }
        if round.urls {
            self.urls.notify_one();
        }
        for event in round.events {
            // Nobody listens: fine.
            let _ = self.events.send(event);
        }
    }

    fn rolled_back(&self, pipelines: &[PipelineId], tasks: &[TaskId]) {
        let mut cache = lock(&self.cache);
        for id in pipelines {
            cache.forget(*id);
        }
        for id in tasks {
            cache.forget_task(*id);
        }
    }
}

impl Counters {
    pub(super) fn count(&self, of: &AtomicU64) {
        of.fetch_add(1, Ordering::Relaxed);
    }
}

impl Op<'_, '_> {
    /// Takes a pipeline to work on; [`Op::put`] it back.
    pub(super) fn take(&mut self, id: PipelineId) -> Result<Box<Entry>, Error> {
        self.take_before(id, None)
    }

    /// As [`Op::take`], as it was before the change of `changed` that is saved already: what follows from the change
    /// is still to be carried out.
    pub(super) fn take_before(&mut self, id: PipelineId, changed: Option<TaskId>) -> Result<Box<Entry>, Error> {
        if let Some(entry) = self.entries.remove(&id) {
            return Ok(entry);
        }
        let remembered = lock(&self.core.cache).take(id);
        if let Some(entry) = remembered {
            self.remembered.pipelines.push(id);
            return Ok(entry);
        }
        Ok(Box::new(Entry::load(self.tx, id, changed)?))
    }

    /// Gives a pipeline back that was changed.
    pub(super) fn put(&mut self, entry: Box<Entry>) {
        self.dirty.insert(entry.id);
        self.entries.insert(entry.id, entry);
    }

    /// A task as it is now.
    pub(super) fn task(&mut self, id: TaskId) -> Result<Live, Error> {
        if let Some(live) = self.tasks.get(&id) {
            return Ok(live.clone());
        }
        let cached = lock(&self.core.cache).task(id).cloned();
        match cached {
            Some(live) => {
                self.remembered.tasks.push(id);
                Ok(live)
            }
            None => self.reload_task(id),
        }
    }

    /// A task as the database has it.
    pub(super) fn reload_task(&mut self, id: TaskId) -> Result<Live, Error> {
        let row = tasuki_store::tasks::get(self.tx, id)?.ok_or(Error::NotFound { what: "task", id: id.0 })?;
        Live::read(row)
    }

    /// Notes a task that this operation has saved.
    pub(super) fn put_task(&mut self, live: Live) {
        let lease = live
            .state
            .lease()
            .map(|lease| (lease.expires, Duration::from_millis(lease.length_ms)));
        self.round.leases.push((live.id, lease));
        self.round.events.push(Event::Task {
            project: live.project,
            pipeline: live.pipeline,
            job: live.job,
            task: live.id,
            status: live.state.status(),
        });
        if let task::State::Finished { .. } = live.state {
            self.round.events.push(Event::LogFinished { task: live.id });
        }
        self.tasks.insert(live.id, live);
    }

    pub(super) fn waiting(live: &Live) -> Waiting {
        Waiting {
            id: live.id,
            project: live.project,
            priority: live.priority,
            demand: Arc::clone(&live.demand),
        }
    }

    pub(super) fn pipeline_event(&mut self, entry: &Entry, status: Status) {
        self.round.events.push(Event::Pipeline {
            project: entry.project,
            pipeline: entry.id,
            status,
        });
    }

    /// Puts what was changed into the cache and arranges what follows the commit, or its failure.
    fn publish(self) {
        let pipelines: Vec<PipelineId> = self.entries.keys().copied().collect();
        let tasks: Vec<TaskId> = self.tasks.keys().copied().collect();
        {
            let mut cache = lock(&self.core.cache);
            for entry in self.entries.into_values() {
                cache.put(entry);
            }
            for live in self.tasks.into_values() {
                cache.put_task(live);
            }
        }
        let round = self.round;
        let hint = Hint {
            queued: round.queued.iter().map(|task| task.id).collect(),
            gone: round.dequeued.iter().chain(&round.claimed.0).copied().collect(),
            started: round.claimed.1.clone(),
            ended: round.ended.clone(),
            ..Hint::default()
        };
        if !hint.is_empty() {
            self.tx.notify(TOPIC, hint.text());
        }
        let core = Arc::clone(self.core);
        self.tx.after_commit(move || core.committed(round));
        let core = Arc::clone(self.core);
        self.tx.after_rollback(move || core.rolled_back(&pipelines, &tasks));
    }
}
