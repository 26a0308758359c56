//! The scheduler as the rest of the server sees it.

use std::sync::Arc;
use std::time::Duration;

use tasuki_model::id::{JobId, PipelineId, ProjectId, TaskId};
use tasuki_model::reason::FailureReason;
use tasuki_model::state::task::{Event as TaskEvent, Log, State};
use tasuki_model::state::{Outcome, Status};
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::GitRef;
use tasuki_rt::{Clock, Tasks};
use tasuki_store::Store;
use tasuki_store::deployments::Deployment;
use tokio::sync::broadcast;

use super::cache::lock;
use super::claim::{ClaimedTask, RunnerIdentity};
use super::control::Play;
use super::create::{Created, NewPipeline, prepare};
use super::dispatch::{Answer, Reservation};
use super::environments::HowToStop;
use super::error::Error;
use super::events::Event;
use super::op::{Core, Counters, Op};
use super::tasks::{Report, Reported};
use super::why::{Pending, why};

/// How often an operation is tried that others got in the way of.
const TRIES: u32 = 8;

/// Times that the scheduler goes by.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Silence after which one of our own runners is dead.
    pub lease: Duration,
    /// The same for a stock gitlab-runner, which may be silent for 30 s between contacts.
    pub stock_lease: Duration,
    /// How long a claimed task waits for its runner's first word.
    pub acknowledge_within: Duration,
    /// A task that no runner took for this long fails.
    pub pending_limit: Duration,
    /// The same where no registered runner may take it.
    pub unmatched_limit: Duration,
    /// A task that was told to stop and has not for this long is ended.
    pub canceling_limit: Duration,
    /// A task that has run this much longer than its own limit is ended.
    pub timeout_grace: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(10),
            stock_lease: Duration::from_secs(120),
            acknowledge_within: Duration::from_secs(10),
            pending_limit: Duration::from_hours(24),
            unmatched_limit: Duration::from_hours(1),
            canceling_limit: Duration::from_hours(1),
            timeout_grace: Duration::from_mins(10),
        }
    }
}

impl Settings {
    pub(super) fn lease_of(&self, who: &RunnerIdentity) -> Duration {
        if who.keeps_contact {
            self.lease
        } else {
            self.stock_lease
        }
    }
}

/// Decides and dispatches. Cheap to clone; clones share everything.
#[derive(Clone)]
pub struct Scheduler {
    pub(super) core: Arc<Core>,
    pub(super) store: Store,
    pub(super) tasks: Tasks,
}

impl Scheduler {
    /// Reads what waits and what runs from the database and starts the scheduler's timer in `tasks`. Runners
    /// whose tasks run get a whole new lease, since they could not reach a server that was down.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open(store: Store, clock: Clock, tasks: Tasks, settings: Settings) -> Result<Self, Error> {
        let scheduler = Self::open_still(store, clock, tasks, settings).await?;
        scheduler.start_loops();
        Ok(scheduler)
    }

    /// [`Scheduler::open`] without the timer: whoever holds it calls [`Scheduler::tick`] when
    /// [`Scheduler::next_due`] says so, [`Scheduler::flush_contacts`] and [`Scheduler::sweep`] now and then. For
    /// simulations.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn open_still(store: Store, clock: Clock, tasks: Tasks, settings: Settings) -> Result<Self, Error> {
        let core = Core::new(clock, settings);
        let scheduler = Self { core, store, tasks };
        scheduler.resync().await?;
        Ok(scheduler)
    }

    /// When the clock has next to do something: [`Scheduler::tick`] does it.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        self.core.next_due()
    }

    /// Waits up to `hold` for a task that this runner may take, and claims it.
    ///
    /// Dropping the future gives up the place in the line; a task that was claimed meanwhile goes back.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn claim(&self, who: &RunnerIdentity, hold: Duration) -> Result<Option<ClaimedTask>, Error> {
        while let Some(reservation) = self.core.dispatch.take(&who.offer) {
            if let Some(claimed) = self.claim_reserved(reservation, who).await? {
                return Ok(Some(claimed));
            }
        }
        if hold.is_zero() {
            return Ok(None);
        }
        self.claim_later(who, hold).await
    }

    async fn claim_later(&self, who: &RunnerIdentity, hold: Duration) -> Result<Option<ClaimedTask>, Error> {
        let shutdown = self.tasks.token();
        let deadline = tokio::time::sleep(hold);
        tokio::pin!(deadline);
        loop {
            let reservation = match self.core.dispatch.ask(&who.offer) {
                Answer::Task(reservation) => reservation,
                Answer::Wait(mut turn) => tokio::select! {
                    woken = &mut turn.wake => match woken {
                        Ok(reservation) => reservation,
                        // Sent away: what it offers has changed.
                        Err(_) => return Ok(None),
                    },
                    () = &mut deadline => return Ok(None),
                    () = shutdown.cancelled() => return Ok(None),
                },
            };
            if let Some(claimed) = self.claim_reserved(reservation, who).await? {
                return Ok(Some(claimed));
            }
        }
    }

    async fn claim_reserved(
        &self,
        reservation: Reservation,
        who: &RunnerIdentity,
    ) -> Result<Option<ClaimedTask>, Error> {
        let Some(id) = reservation.id() else { return Ok(None) };
        let guard = HungUp {
            scheduler: self,
            who,
            reservation: Some(reservation),
        };
        let own = who.clone();
        let claimed = self.write(move |op| op.claim(id, &own)).await;
        guard.settle(&claimed);
        claimed
    }

    /// The runner says that it has the task and runs it. Also a sign of life; costs no write where nothing is new.
    ///
    /// # Errors
    /// [`Error::NotYours`]: the runner must stop, and may look at the status given.
    pub async fn ack(&self, task: TaskId, token_hash: &str) -> Result<Status, Error> {
        if let Some(state) = self.known(task, token_hash)
            && !matches!(state, State::Claimed { .. })
        {
            self.core.leases.touch(task, self.core.now());
            return Ok(state.status());
        }
        let hash = token_hash.to_owned();
        self.write(move |op| {
            op.owned(task, &hash)?;
            op.on_task(task, TaskEvent::Acknowledge)
        })
        .await
    }

    /// Any other sign of life: a log patch, an upload. Gives the status to send as `Job-Status`.
    ///
    /// # Errors
    /// [`Error::NotYours`]: the runner must stop.
    pub async fn touch(&self, task: TaskId, token_hash: &str) -> Result<Status, Error> {
        if let Some(state) = self.known(task, token_hash) {
            self.core.leases.touch(task, self.core.now());
            return Ok(state.status());
        }
        // Claimed through another server, or forgotten: the database knows.
        let hash = token_hash.to_owned();
        self.write(move |op| op.adopt(task, &hash)).await
    }

    /// The task that a token was given to, if it still opens anything.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn task_of_token(&self, token_hash: &str) -> Result<Option<TaskId>, Error> {
        if let Some(live) = lock(&self.core.cache).by_token(token_hash) {
            return Ok(Some(live.id));
        }
        let hash = token_hash.to_owned();
        let row = self
            .store
            .read(move |tx| tasuki_store::tasks::by_token_hash(tx, &hash))
            .await?;
        Ok(row.map(|row| row.id))
    }

    fn known(&self, task: TaskId, token_hash: &str) -> Option<State> {
        let cache = lock(&self.core.cache);
        let live = cache.task(task)?;
        (live.token_hash.as_deref() == Some(token_hash)).then(|| live.state.clone())
    }

    /// The runner's final report.
    ///
    /// # Errors
    /// [`Error::NotYours`]: the task has ended otherwise, or is somebody else's.
    pub async fn report(&self, task: TaskId, token_hash: &str, last: Report) -> Result<Reported, Error> {
        let hash = token_hash.to_owned();
        self.write(move |op| op.report(task, &hash, last.clone())).await
    }

    /// The final report of a job that gives nothing on. `log` says whether every byte that it announced is stored.
    ///
    /// # Errors
    /// As [`Scheduler::report`].
    pub async fn finish(&self, task: TaskId, token_hash: &str, outcome: Outcome, log: Log) -> Result<Reported, Error> {
        let outputs = std::collections::BTreeMap::new();
        self.report(task, token_hash, Report { outcome, log, outputs }).await
    }

    /// Ends a task from the server's side: its payload cannot be made, its log is too long, …
    ///
    /// # Errors
    /// When it has ended already.
    pub async fn drop_task(&self, task: TaskId, reason: FailureReason) -> Result<(), Error> {
        self.write(move |op| op.on_task(task, TaskEvent::Drop { reason }).map(|_| ()))
            .await
    }

    /// Stores a new pipeline, starts what may start, cancels older ones as the configuration says. Repeated
    /// with the same idempotency key it changes nothing and gives the same pipeline.
    ///
    /// # Errors
    /// The plan's jobs do not make a graph, or the database failed.
    pub async fn create_pipeline(&self, new: NewPipeline) -> Result<Created, Error> {
        let prepared = Arc::new(prepare(new)?);
        self.write(move |op| op.create(&prepared)).await
    }

    /// Cancels everything of a pipeline that has not ended. Gives how many jobs that were.
    ///
    /// # Errors
    /// There is no such pipeline.
    pub async fn cancel_pipeline(&self, pipeline: PipelineId) -> Result<usize, Error> {
        self.write(move |op| {
            let mut entry = op.take(pipeline)?;
            let count = op.cancel_all(&mut entry)?;
            op.put(entry);
            Ok(count)
        })
        .await
    }

    /// Cancels a job in whatever state it is.
    ///
    /// # Errors
    /// It has ended, or there is none.
    pub async fn cancel_job(&self, job: JobId) -> Result<(), Error> {
        self.write(move |op| op.with_job(job, |op, entry, node| op.cancel_job(entry, node)))
            .await
    }

    /// Starts a manual job, or a delayed one before its time. `with` are variables given by whoever plays it.
    ///
    /// # Errors
    /// It waits for nobody.
    pub async fn play(&self, job: JobId, with: Play) -> Result<(), Error> {
        self.write(move |op| op.play(job, &with)).await
    }

    /// Runs an ended job again.
    ///
    /// # Errors
    /// It has not ended.
    pub async fn retry_job(&self, job: JobId) -> Result<(), Error> {
        self.write(move |op| op.retry(job)).await
    }

    /// Runs every failed and cancelled job of a pipeline again, in order. Gives how many there are.
    ///
    /// # Errors
    /// There is no such pipeline.
    pub async fn retry_pipeline(&self, pipeline: PipelineId) -> Result<usize, Error> {
        self.write(move |op| op.retry_failed(pipeline)).await
    }

    /// The pipeline that a job wanted was made. Without a strategy the job has succeeded by that, else it follows the
    /// pipeline. Nothing happens where that attempt is not wanted any more.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn downstream_made(&self, job: JobId, attempt: i64, made: PipelineId) -> Result<(), Error> {
        self.write(move |op| op.downstream_made(job, attempt, made)).await
    }

    /// The pipeline that a job wanted cannot be made: the job fails.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn downstream_failed(&self, job: JobId, attempt: i64, why: &str) -> Result<(), Error> {
        let why = why.to_owned();
        self.write(move |op| op.downstream_failed(job, attempt, &why)).await
    }

    /// Resolves when a job of this server has come to want a pipeline since the last call. Others may have been
    /// noted in the database by other servers.
    pub async fn downstream_wanted(&self) {
        self.core.bridges.notified().await;
    }

    /// Stops an environment: the job that its newest deployment names for that is started, also where its pipeline has
    /// ended; without one it is stopped at once. Nothing happens where it is stopped already.
    ///
    /// # Errors
    /// There is no such environment.
    pub async fn stop_environment(&self, id: i64, how: HowToStop) -> Result<(), Error> {
        self.write(move |op| op.stop_environment(id, how)).await
    }

    /// Takes the clock from an environment that would be stopped by it.
    ///
    /// # Errors
    /// There is no such environment, or it is not available.
    pub async fn keep_environment(&self, id: i64) -> Result<(), Error> {
        self.write(move |op| op.keep_environment(id)).await
    }

    /// Stops the environments that were last deployed to from a ref that is gone. Gives how many those are.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn stop_environments_of(&self, project: ProjectId, git_ref: &GitRef) -> Result<usize, Error> {
        let (kind, name) = (git_ref.kind(), git_ref.short());
        self.write(move |op| op.stop_environments_of(project, kind, &name))
            .await
    }

    /// Resolves when a job of this server has deployed to an environment whose url is to be made, since the last call.
    pub async fn urls_wanted(&self) {
        self.core.urls.notified().await;
    }

    /// Tells whoever looks at the deployment's job that there is more to see of it.
    pub(crate) fn deployment_changed(&self, deployment: &Deployment) {
        // Nobody listens: fine.
        let _ = self.core.events.send(Event::Job {
            project: deployment.project_id,
            pipeline: deployment.pipeline_id,
            job: deployment.job_id,
            status: Status::Success,
        });
    }

    /// Takes the clock from a delayed job: it waits to be played.
    ///
    /// # Errors
    /// It is not delayed.
    pub async fn unschedule(&self, job: JobId) -> Result<(), Error> {
        self.write(move |op| op.unschedule(job)).await
    }

    /// Why a job has not started, and what can be done about it. `None`: it has.
    ///
    /// # Errors
    /// There is no such job.
    pub async fn why_pending(&self, job: JobId) -> Result<Option<Pending>, Error> {
        let core = Arc::clone(&self.core);
        self.store.read_as(move |tx| why(&core, tx, job)).await
    }

    /// Committed changes from now on.
    #[must_use]
    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.core.events.subscribe()
    }

    /// Changes whenever a task is queued: what `X-GitLab-Last-Update` is made of. Read it before asking.
    #[must_use]
    pub fn queue_version(&self) -> u64 {
        self.core.dispatch.version()
    }

    /// Runners that wait with such an offer are sent away (without a task), so that they ask again with what
    /// they offer now: after a runner was paused, removed or given other tags.
    pub fn send_away(&self, matches: impl Fn(&tasuki_model::labels::Offer) -> bool) {
        self.core.dispatch.send_away(matches);
    }

    /// Totals since the start.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.core.counters
    }

    /// Tasks that wait, runners that wait, tasks that run.
    #[must_use]
    pub fn lengths(&self) -> (usize, usize, usize) {
        let (queued, waiting) = self.core.dispatch.lengths();
        (queued, waiting, self.core.leases.len())
    }

    /// Runs an operation, again where others got in the way.
    pub(super) async fn write<T, F>(&self, body: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Fn(&mut Op<'_, '_>) -> Result<T, Error> + Clone + Send + 'static,
    {
        let mut tries = 0;
        loop {
            tries += 1;
            let core = Arc::clone(&self.core);
            let body = body.clone();
            match self.store.write_as(move |tx| core.run(tx, |op| body(op))).await {
                Err(error) if error.is_race() && tries < TRIES => tokio::task::yield_now().await,
                result => return result,
            }
        }
    }
}

/// Gives a task back that may have been claimed although the runner hung up before it could be told.
struct HungUp<'a> {
    scheduler: &'a Scheduler,
    who: &'a RunnerIdentity,
    reservation: Option<Reservation>,
}

impl HungUp<'_> {
    fn settle(mut self, claimed: &Result<Option<ClaimedTask>, Error>) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        match claimed {
            Ok(Some(_)) => reservation.claimed(),
            Ok(None) => reservation.gone(),
            // The task goes back to the queue.
            Err(_) => drop(reservation),
        }
    }
}

impl Drop for HungUp<'_> {
    fn drop(&mut self) {
        let Some(reservation) = self.reservation.take() else {
            return;
        };
        let Some(id) = reservation.id() else { return };
        let (scheduler, who) = (self.scheduler.clone(), self.who.clone());
        let undo = async move {
            match scheduler.write(move |op| op.unclaim(id, &who)).await {
                // It was claimed, and the operation has queued it again.
                Ok(true) => reservation.claimed(),
                Ok(false) => drop(reservation),
                Err(error) => {
                    // Its lease runs out soon and does the same.
                    tracing::debug!(task.id = %id, %error, "a claimed task could not be given back at once");
                    reservation.claimed();
                }
            }
        };
        self.scheduler.tasks.spawn("give a claimed task back", undo);
    }
}
