//! How fast the store is: the mix of operations that a job makes.
//!
//! Not part of the interface; `tasuki bench` and the figures in the docs come from here.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tasuki_model::id::{JobId, PipelineId, ProjectId, RunnerId, TaskId};
use tasuki_model::time::Timestamp;

use crate::{Error, Result, State, Store, Tx, jobs, logs, pipelines, projects, tasks, workflows};

/// What a run measured.
#[derive(Debug, Clone, Copy)]
pub struct Report {
    pub jobs: usize,
    pub elapsed: Duration,
    /// From asking for a claim until it is durable, median and 99th percentile.
    pub claim_p50: Duration,
    pub claim_p99: Duration,
    /// How long it took to make the pipelines.
    pub created: Duration,
}

impl Report {
    #[must_use]
    pub fn jobs_per_s(&self) -> f64 {
        self.jobs as f64 / self.elapsed.as_secs_f64().max(f64::EPSILON)
    }
}

const STATE: State<'static> = State {
    tag: "running",
    json: r#"{"since":1700000000000}"#,
};
const NOW: Timestamp = Timestamp(1_700_000_000_000);

/// Runs `count` jobs in pipelines of `width` jobs through claim, start, a line of log and finish, with `workers`
/// simulated runners. Four durable operations a job.
///
/// # Errors
/// When the database fails.
pub fn run(store: &Store, count: usize, width: usize, workers: usize) -> Result<Report> {
    static RUNS: AtomicUsize = AtomicUsize::new(0);
    let path = format!(
        "bench/{:x}-{}",
        std::process::id(),
        RUNS.fetch_add(1, Ordering::Relaxed)
    );
    let began = Instant::now();
    let mut queue = Vec::new();
    let project = store.write_blocking(move |tx| project(tx, &path))?;
    for _ in 0..count.div_ceil(width.max(1)) {
        queue.extend(store.write_blocking(move |tx| pipeline(tx, project, width))?);
    }
    queue.truncate(count);
    let created = began.elapsed();
    let next = AtomicUsize::new(0);
    let began = Instant::now();
    let (queue, next) = (&queue, &next);
    let results = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers.max(1))
            .map(|worker| scope.spawn(move || work(store, queue, next, worker)))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap_or(Err(Error::Closed)))
            .collect::<Result<Vec<_>>>()
    })?;
    let elapsed = began.elapsed();
    let mut claims: Vec<Duration> = results.into_iter().flatten().collect();
    claims.sort_unstable();
    let at = |share: usize| claims.get(claims.len() * share / 100).copied().unwrap_or_default();
    Ok(Report {
        jobs: claims.len(),
        elapsed,
        claim_p50: at(50),
        claim_p99: at(99),
        created,
    })
}

fn work(
    store: &Store,
    queue: &[(PipelineId, JobId, TaskId)],
    next: &AtomicUsize,
    worker: usize,
) -> Result<Vec<Duration>> {
    let mut claims = Vec::new();
    let runner = RunnerId(i64::try_from(worker).unwrap_or(0) + 1);
    while let Some(&(pipeline, job, task)) = queue.get(next.fetch_add(1, Ordering::Relaxed)) {
        let hash = format!("{:064x}", task.0);
        let began = Instant::now();
        let token = hash.clone();
        store.write_blocking(move |tx| claim(tx, pipeline, job, task, runner, &token))?;
        claims.push(began.elapsed());
        store.write_blocking(move |tx| start(tx, task))?;
        store.write_blocking(move |tx| log(tx, task, &hash))?;
        store.write_blocking(move |tx| finish(tx, pipeline, job, task))?;
    }
    Ok(claims)
}

fn project(tx: &mut Tx<'_>, path: &str) -> Result<ProjectId> {
    let new = projects::NewProject {
        path,
        name: "bench",
        kind: "local",
        url: "/",
        default_branch: "main",
        settings_json: "{}",
    };
    projects::create(tx, &new, NOW)
}

/// A pipeline of `width` jobs, each with a queued task.
fn pipeline(tx: &mut Tx<'_>, project: ProjectId, width: usize) -> Result<Vec<(PipelineId, JobId, TaskId)>> {
    let new = pipelines::NewPipeline {
        project_id: project,
        idempotency_key: None,
        source: "push",
        ref_kind: "branch",
        ref_name: "main",
        sha: "0123456789012345678901234567890123456789",
        title: "A commit",
        author: "Somebody",
        name: None,
        state: STATE,
        priority: 0,
        job_count: i64::try_from(width).unwrap_or(0),
        trigger_json: "{}",
        plan_json: "{}",
        diagnostics_json: "[]",
        finished_ms: None,
    };
    let id = match pipelines::create(tx, &new, NOW)? {
        pipelines::Created::New { id, .. } | pipelines::Created::Existing(id) => id,
    };
    let workflow_id = workflows::insert_all(tx, id, &["main"], STATE)?[0];
    let names: Vec<String> = (0..width).map(|n| format!("job {n}")).collect();
    let plan = format!(
        r#"{{"steps":[{{"type":"run","command":"{}"}}]}}"#,
        "echo hello; ".repeat(40)
    );
    let new: Vec<jobs::NewJob<'_>> = names
        .iter()
        .zip(0..)
        .map(|(name, idx)| jobs::NewJob {
            workflow_id,
            idx,
            name,
            stage: "test",
            stage_idx: 0,
            state: STATE,
            graph_json: r#"{"when":"on_success","allow_failure":false}"#,
            plan_json: &plan,
            due_ms: None,
            finished_ms: None,
        })
        .collect();
    let ids = jobs::insert_all(tx, id, project, &new, NOW)?;
    let new: Vec<tasks::NewTask<'_>> = ids
        .iter()
        .map(|job| tasks::NewTask {
            job_id: *job,
            pipeline_id: id,
            project_id: project,
            parallel_index: 0,
            attempt: 1,
            state_json: "{}",
            priority: 0,
            match_json: "{}",
        })
        .collect();
    let tasks = tasks::insert_all(tx, &new, NOW)?;
    Ok(ids.into_iter().zip(tasks).map(|(job, task)| (id, job, task)).collect())
}

/// The pipeline's version counts every change of anything in it. Here nobody else decides about it, so it may
/// be counted without comparing.
fn count(tx: &mut Tx<'_>, pipeline: PipelineId) -> Result<()> {
    tx.exec(
        "UPDATE pipelines SET version = version + 1 WHERE id = $1",
        &[pipeline.into()],
    )?;
    Ok(())
}

fn job_change(job: JobId, tag: &'static str, finished_ms: Option<Timestamp>) -> jobs::Change<'static> {
    jobs::Change {
        id: job,
        state: State { tag, json: STATE.json },
        due_ms: None,
        started_ms: Some(NOW),
        finished_ms,
    }
}

fn claim(
    tx: &mut Tx<'_>,
    pipeline: PipelineId,
    job: JobId,
    task: TaskId,
    runner: RunnerId,
    token_hash: &str,
) -> Result<()> {
    let claim = tasks::Claim {
        state: STATE,
        runner_id: runner,
        system_id: "s_0123456789ab",
        token_hash,
        started_ms: None,
    };
    tasks::claim(tx, task, &claim, NOW)?.ok_or(Error::Missing {
        what: "queued task",
        id: task.0,
    })?;
    jobs::change_all(tx, &[job_change(job, "running", None)])?;
    count(tx, pipeline)?;
    jobs::plan(tx, job)?;
    Ok(())
}

fn start(tx: &mut Tx<'_>, task: TaskId) -> Result<()> {
    let change = tasks::Change {
        state: STATE,
        started_ms: Some(NOW),
        finished_ms: None,
        exit_code: None,
        failure_reason: None,
    };
    let changed = tasks::change(tx, task, 2, &change)?;
    changed.then_some(()).ok_or(Error::Missing {
        what: "claimed task",
        id: task.0,
    })
}

fn log(tx: &mut Tx<'_>, task: TaskId, token_hash: &str) -> Result<()> {
    let data = b"section_start:1700000000:script\r\x1b[0K\nhello, world\nJob succeeded\n";
    let append = logs::Append {
        task,
        start: 0,
        data,
        crc: 7,
        limited: false,
        debug: false,
        fence: Some(token_hash),
    };
    logs::append(tx, &append, NOW).map(|_| ())
}

fn finish(tx: &mut Tx<'_>, pipeline: PipelineId, job: JobId, task: TaskId) -> Result<()> {
    let state = State {
        tag: "success",
        json: STATE.json,
    };
    let change = tasks::Change {
        state,
        started_ms: Some(NOW),
        finished_ms: Some(NOW),
        exit_code: Some(0),
        failure_reason: None,
    };
    tasks::change(tx, task, 3, &change)?;
    logs::finish(tx, task, NOW)?;
    jobs::change_all(tx, &[job_change(job, "success", Some(NOW))])?;
    count(tx, pipeline)
}
