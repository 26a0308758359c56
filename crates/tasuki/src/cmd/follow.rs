//! Following a pipeline or a job to its end: `--wait`, `job log -f`, `exec`.

use std::collections::{HashMap, HashSet};
use std::pin::Pin;
use std::time::Duration;

use futures_util::stream::{BoxStream, SelectAll};
use futures_util::{Stream, StreamExt as _};
use serde_json::json;
use tasuki_proto::client::{ApiClient, ApiError};
use tasuki_proto::rest::{Job, PipelineDetail, Status};

use crate::exit::{Exit, Outcome};
use crate::print::{self, Form, Live, LogReader, Piece, Style};

/// How often a broken connection is taken up again before the command gives up.
const TRIES: u32 = 5;

/// Changes come in groups: after one, what else changes within this time is read with it.
const GROUP: Duration = Duration::from_millis(5);
/// The same of pipelines with more jobs than [`MANY`]: reading those costs more.
const LARGE_GROUP: Duration = Duration::from_millis(200);
const MANY: usize = 200;

/// The exit code of an outcome.
pub(super) fn exit_of(status: Status) -> Exit {
    match status {
        Status::Success | Status::Skipped | Status::Manual => Exit::Success,
        Status::Failed | Status::Canceled | Status::Canceling => Exit::Failed,
        Status::Error => Exit::System,
        // Not ended: whoever waits was interrupted.
        Status::Created | Status::WaitingForResource | Status::Scheduled | Status::Pending | Status::Running => {
            Exit::System
        }
    }
}

/// What a follower is told.
enum News {
    /// The pipeline, or anything in it, changed (or may have).
    Changed,
    Piece {
        task: i64,
        piece: Piece,
    },
    /// The log of a task is complete.
    LogEnded {
        task: i64,
    },
}

type Feed<'a> = BoxStream<'a, anyhow::Result<News>>;

/// Follows pipelines that run side by side, one after the other; gives the worst of their exit codes.
pub(super) async fn pipelines(client: &ApiClient, ids: &[i64], form: Form) -> Outcome {
    let mut worst = Exit::Success;
    for id in ids {
        worst = worst.max(pipeline(client, *id, form).await?);
    }
    Ok(worst)
}

/// Shows the output of the jobs of a pipeline, and of the pipelines of the same project that they start, until it has
/// ended; gives its exit code.
pub(super) async fn pipeline(client: &ApiClient, id: i64, form: Form) -> Outcome {
    // What a start changes at once is one group, too; and who starts has something better to do than to answer.
    tokio::time::sleep(2 * GROUP).await;
    let mut details = vec![client.pipeline(id).await?];
    let names: Vec<String> = jobs(&details[0]).map(|job| job.name.clone()).collect();
    let mut shown = Shown::new(Live::new(form, Style::stdout(), &names));
    let mut feeds: SelectAll<Feed<'_>> = SelectAll::new();
    feeds.push(changes(client, format!("pipelines/{id}/events")));
    let group = if names.len() > MANY { LARGE_GROUP } else { GROUP };
    loop {
        for id in children(&details) {
            details.push(client.pipeline(id).await?);
            feeds.push(changes(client, format!("pipelines/{id}/events")));
        }
        for (at, job) in details.iter().flat_map(jobs).enumerate() {
            if shown.is_news(job) {
                // The list of a pipeline's jobs leaves out their tasks.
                let whole = client.job(job.id).await?;
                for task in shown.news_of(at, &whole)? {
                    feeds.push(log(client, task));
                }
            }
        }
        if details.iter().all(is_over) && children(&details).is_empty() && shown.is_complete() {
            break;
        }
        shown.until_stale(&mut feeds, group).await?;
        for detail in &mut details {
            *detail = client.pipeline(detail.pipeline.id).await?;
        }
    }
    shown.live.close()?;
    summary(&details, form, &mut shown.live)?;
    Ok(exit_of(details[0].pipeline.status))
}

/// Pipelines of the same project that jobs have started and that are not followed yet.
fn children(details: &[PipelineDetail]) -> Vec<i64> {
    let own = details[0].pipeline.project.as_str();
    let known = |id: i64| details.iter().any(|detail| detail.pipeline.id == id);
    let started = details.iter().flat_map(|detail| &detail.downstream);
    let own = started.filter(|started| started.project.as_deref() == Some(own));
    let mut ids: Vec<i64> = own
        .filter_map(|started| started.pipeline_id)
        .filter(|id| !known(*id))
        .collect();
    ids.dedup();
    ids
}

/// Nothing more happens by itself: it has ended, or only a person can go on.
fn is_over(detail: &PipelineDetail) -> bool {
    let status = detail.pipeline.status;
    let busy = |job: &Job| {
        matches!(
            job.status,
            Status::Pending | Status::Running | Status::Canceling | Status::Scheduled | Status::WaitingForResource
        )
    };
    status.is_final() || (status == Status::Manual && !jobs(detail).any(busy))
}

fn jobs(detail: &PipelineDetail) -> impl Iterator<Item = &Job> {
    detail.workflows.iter().flat_map(|workflow| &workflow.jobs)
}

/// What was shown already.
struct Shown {
    live: Live,
    status: HashMap<i64, Status>,
    /// Task → place of its job, name of its job.
    tasks: HashMap<i64, (usize, String)>,
    /// Task → its job, while the log is followed.
    open_logs: HashMap<i64, i64>,
    /// Jobs that have ended and whose logs are still on their way: the end is told after the last line.
    ended: HashMap<i64, Job>,
    /// Jobs with an attempt whose log is shown once that of the attempt before is complete.
    tried_again: HashSet<i64>,
}

impl Shown {
    fn new(live: Live) -> Self {
        Self {
            live,
            status: HashMap::new(),
            tasks: HashMap::new(),
            open_logs: HashMap::new(),
            ended: HashMap::new(),
            tried_again: HashSet::new(),
        }
    }

    /// Whether the job has another status than was shown, or an attempt whose turn has come.
    fn is_news(&self, job: &Job) -> bool {
        self.status.get(&job.id) != Some(&job.status) || (self.tried_again.contains(&job.id) && !self.is_open(job.id))
    }

    /// Tells a job's new status; gives the tasks whose logs are to be followed from now on.
    fn news_of(&mut self, at: usize, job: &Job) -> anyhow::Result<Vec<i64>> {
        self.tried_again.remove(&job.id);
        let started = |status: Status| !matches!(status, Status::Created | Status::Pending | Status::Skipped);
        let mut new = Vec::new();
        for task in job
            .tasks
            .iter()
            .filter(|task| started(task.status) && task.started_at.is_some())
        {
            if self.tasks.contains_key(&task.id) {
                continue;
            }
            let several = job.tasks.iter().any(|other| other.parallel_index > 0);
            let name = if several {
                format!("{} {}", job.name, task.parallel_index + 1)
            } else {
                job.name.clone()
            };
            if self.is_shown_as(&name, job.id) {
                self.tried_again.insert(job.id);
                continue;
            }
            self.tasks.insert(task.id, (at, name));
            self.open_logs.insert(task.id, job.id);
            new.push(task.id);
        }
        if self.status.insert(job.id, job.status) != Some(job.status) {
            if job.status.is_final() && self.is_open(job.id) {
                self.ended.insert(job.id, job.clone());
            } else {
                self.ended.remove(&job.id);
                self.tell(job)?;
            }
        }
        Ok(new)
    }

    /// Whether every log that was begun has been shown to its end.
    fn is_complete(&self) -> bool {
        self.open_logs.is_empty() && self.tried_again.is_empty()
    }

    fn is_open(&self, job: i64) -> bool {
        self.open_logs.values().any(|other| *other == job)
    }

    /// Whether a log of the job is on its way under this name: that of the attempt before.
    fn is_shown_as(&self, name: &str, job: i64) -> bool {
        let open = self.open_logs.iter().filter(|(_, other)| **other == job);
        open.filter_map(|(task, _)| self.tasks.get(task))
            .any(|(_, other)| other == name)
    }

    fn log_ended(&mut self, task: i64) -> anyhow::Result<()> {
        let Some(job) = self.open_logs.remove(&task) else {
            return Ok(());
        };
        if self.is_open(job) || self.tried_again.contains(&job) {
            return Ok(());
        }
        match self.ended.remove(&job) {
            Some(job) => self.tell(&job),
            None => Ok(()),
        }
    }

    fn tell(&mut self, job: &Job) -> anyhow::Result<()> {
        let took = job
            .started_at
            .zip(job.finished_at)
            .map(|(start, end)| end.0.since(start.0).as_millis());
        let took = took.and_then(|ms| u64::try_from(ms).ok());
        self.live.status(job.id, &job.name, job.status, took)
    }

    /// Shows pieces of logs as they come, until the pipelines have to be read again.
    async fn until_stale(&mut self, feeds: &mut SelectAll<Feed<'_>>, group: Duration) -> anyhow::Result<()> {
        let mut stale_at = None;
        loop {
            let news = match stale_at {
                None => feeds.next().await,
                Some(at) => match tokio::time::timeout_at(at, feeds.next()).await {
                    Ok(news) => news,
                    Err(_) => return Ok(()),
                },
            };
            match news {
                Some(Ok(News::Piece { task, piece })) => self.piece(task, &piece)?,
                Some(Ok(News::LogEnded { task })) => return self.log_ended(task),
                Some(Ok(News::Changed)) => {
                    stale_at.get_or_insert_with(|| tokio::time::Instant::now() + group);
                }
                Some(Err(error)) => return Err(error),
                None => return Ok(()),
            }
        }
    }

    fn piece(&mut self, task: i64, piece: &Piece) -> anyhow::Result<()> {
        match self.tasks.get(&task) {
            Some((at, name)) => self.live.piece(*at, name, piece),
            None => Ok(()),
        }
    }
}

fn summary(details: &[PipelineDetail], form: Form, live: &mut Live) -> anyhow::Result<()> {
    let p = &details[0].pipeline;
    if form == Form::Json {
        return live.event(&json!({"event": "pipeline", "id": p.id, "status": p.status, "duration_ms": p.duration_ms}));
    }
    let style = Style::stdout();
    for diagnostic in details
        .iter()
        .flat_map(|detail| &detail.diagnostics)
        .filter(|d| d.severity == "error")
    {
        let d = diagnostic;
        live.line(&format!(
            "{} {}:{}:{}: {}",
            style.red("error"),
            d.file,
            d.line,
            d.column,
            d.message
        ))?;
    }
    for job in details
        .iter()
        .flat_map(jobs)
        .filter(|job| matches!(job.status, Status::Failed | Status::Error))
    {
        let reason = job.failure_reason.as_deref().unwrap_or("unknown");
        let code = job
            .exit_code
            .map(|code| format!(", exit code {code}"))
            .unwrap_or_default();
        let allowed = if job.allow_failure { " (allowed)" } else { "" };
        live.line(&format!(
            "{} {}: {reason}{code}{allowed}",
            style.status(job.status),
            job.name
        ))?;
    }
    let waiting: Vec<&str> = details
        .iter()
        .flat_map(jobs)
        .filter(|job| job.status == Status::Manual)
        .map(|job| job.name.as_str())
        .collect();
    if !waiting.is_empty() {
        live.line(&style.dim(&format!("not started, because they are manual: {}", waiting.join(", "))))?;
    }
    let took = p
        .duration_ms
        .map(|ms| print::duration(Duration::from_millis(ms)))
        .unwrap_or_default();
    live.line(&format!("pipeline {} {}", style.status(p.status), style.dim(&took)))
}

/// Follows one job; with `task` its log from the beginning, else from the moment it starts.
pub(super) async fn job(client: &ApiClient, id: i64, task: Option<i64>, raw: bool) -> Outcome {
    let mut job = client.job(id).await?;
    let mut task = task;
    while task.is_none() && !job.status.is_final() {
        tokio::time::sleep(Duration::from_millis(300)).await;
        job = client.job(id).await?;
        task = job.tasks.last().map(|task| task.id);
    }
    if let Some(task) = task {
        let mut live = Live::new(Form::People, Style::stdout(), &[]);
        let mut bytes = Box::pin(log_bytes(client, task));
        let mut reader = LogReader::new(Style::stdout());
        while let Some(chunk) = bytes.next().await {
            let chunk = chunk?;
            if raw {
                print::raw(&String::from_utf8_lossy(&chunk))?;
                continue;
            }
            for piece in reader.push(&chunk) {
                live.piece(0, "", &piece)?;
            }
        }
        for piece in reader.finish() {
            live.piece(0, "", &piece)?;
        }
        live.close()?;
    }
    for _ in 0..20 {
        job = client.job(id).await?;
        if job.status.is_final() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(exit_of(job.status))
}

/// The events of a stream, each as "something changed"; takes up broken connections again.
fn changes(client: &ApiClient, path: String) -> Feed<'_> {
    let tries = 0;
    Box::pin(futures_util::stream::unfold(
        (None, tries, path),
        move |(stream, mut tries, path)| async move {
            let mut stream: Events = match stream {
                Some(stream) => stream,
                None => match events(client, &path).await {
                    Ok(stream) => stream,
                    Err(_) if tries < TRIES => {
                        tokio::time::sleep(Duration::from_millis(200 << tries)).await;
                        tries += 1;
                        return Some((Ok(News::Changed), (None, tries, path)));
                    }
                    Err(error) => return Some((Err(error.into()), (None, tries, path))),
                },
            };
            match stream.next().await {
                Some(Ok(name)) if name == "end" => None,
                Some(Ok(_)) => Some((Ok(News::Changed), (Some(stream), 0, path))),
                Some(Err(_)) | None => Some((Ok(News::Changed), (None, tries + 1, path))),
            }
        },
    ))
}

fn log(client: &ApiClient, task: i64) -> Feed<'_> {
    let reader = LogReader::new(Style::stdout());
    let bytes: BytesStream<'_> = Box::pin(log_bytes(client, task));
    let pieces = futures_util::stream::unfold((bytes, Some(reader)), move |(mut bytes, reader)| async move {
        let mut reader = reader?;
        Some(match bytes.next().await {
            Some(Ok(chunk)) => {
                let pieces = reader
                    .push(&chunk)
                    .into_iter()
                    .map(|piece| Ok(News::Piece { task, piece }))
                    .collect();
                (pieces, (bytes, Some(reader)))
            }
            Some(Err(error)) => (vec![Err(error)], (bytes, None)),
            None => {
                let mut last: Vec<_> = reader
                    .finish()
                    .into_iter()
                    .map(|piece| Ok(News::Piece { task, piece }))
                    .collect();
                last.push(Ok(News::LogEnded { task }));
                (last, (bytes, None))
            }
        })
    });
    Box::pin(pieces.flat_map(|pieces: Vec<anyhow::Result<News>>| futures_util::stream::iter(pieces)))
}

type BytesStream<'a> = Pin<Box<dyn Stream<Item = anyhow::Result<bytes::Bytes>> + Send + 'a>>;

/// The bytes of a log as they come, to its end. The event stream tells when there is more; the bytes themselves are
/// read by offset, so that a broken connection loses and doubles nothing.
fn log_bytes(client: &ApiClient, task: i64) -> impl Stream<Item = anyhow::Result<bytes::Bytes>> + Send + '_ {
    let changes = changes(client, format!("tasks/{task}/log/events"));
    futures_util::stream::unfold(Some((changes, false, 0_u64)), move |state| async move {
        let (mut changes, mut over, offset) = state?;
        loop {
            if !over {
                over = match changes.next().await {
                    Some(Ok(_)) => false,
                    Some(Err(error)) => return Some((Err(error), None)),
                    None => true,
                };
            }
            match client.log(task, offset).await {
                Ok(chunk) if chunk.is_empty() && over => return None,
                Ok(chunk) if chunk.is_empty() => {}
                Ok(chunk) => {
                    let next = offset + chunk.len() as u64;
                    return Some((Ok(chunk), Some((changes, over, next))));
                }
                Err(error) => return Some((Err(error.into()), None)),
            }
        }
    })
}

type Events = Pin<Box<dyn Stream<Item = Result<String, ApiError>> + Send>>;

/// The names of the events of a stream, without their data.
async fn events(client: &ApiClient, path: &str) -> Result<Events, ApiError> {
    let bytes = client.events(path).await?;
    let names = bytes.scan((Vec::new(), String::from("message")), |(pending, name), chunk| {
        let mut found = Vec::new();
        match chunk {
            Ok(chunk) => {
                pending.extend_from_slice(&chunk);
                while let Some(end) = pending.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = pending.drain(..=end).collect();
                    let line = String::from_utf8_lossy(&line);
                    match line.trim_end().split_once(':') {
                        Some(("event", value)) => *name = value.trim().to_owned(),
                        // An empty line ends an event; a comment keeps the connection alive.
                        None if line.trim_end().is_empty() => {
                            found.push(Ok(std::mem::replace(name, "message".to_owned())));
                        }
                        _ => {}
                    }
                }
            }
            Err(error) => found.push(Err(error)),
        }
        std::future::ready(Some(futures_util::stream::iter(found)))
    });
    Ok(Box::pin(names.flatten()))
}
