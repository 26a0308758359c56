//! Sends the log and the state of one job to the server.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tasuki_model::secret::Secret;
use tasuki_proto::client::{
    DebugTrace, JobSignal, PatchAnswer, PatchOutcome, RunnerClient, UpdateAnswer, UpdateOutcome,
};
use tasuki_proto::gitlab::{Info, JobState, Output, UpdateJob, checksum};
use tasuki_rt::{Backoff, CancellationToken, Clock};
use tokio::sync::watch;
use tracing::{debug, warn};

use super::{Claim, Contact, Error, Log};

/// Largest patch.
const MOST: usize = 1024 * 1024;

/// An unfinished line (a prompt, a progress bar) is shown after this long.
const UNFINISHED_MS: i64 = 200;

/// When the log is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// To a GitLab server: at the interval that it asks for (first 3 s); a sign of life when nothing was sent for long.
    Interval(SignOfLife),
    /// To a tasuki server: new bytes at once, gathered for a few milliseconds; a sign of life at each heartbeat;
    /// the job is given up when nothing was answered for `lease`.
    Live {
        gather: Duration,
        heartbeat: Duration,
        lease: Duration,
    },
}

/// How long nothing may have been sent to a GitLab server until it is told that the job lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignOfLife {
    /// 30 s.
    Fixed,
    /// Four times the interval that the server asks for, 30 s to 30 min (`FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL`).
    Dynamic,
}

impl SignOfLife {
    fn after(self, interval: Duration) -> Duration {
        match self {
            Self::Fixed => FORCE_SEND,
            Self::Dynamic => interval.saturating_mul(4).clamp(FORCE_SEND, FORCE_SEND * 60),
        }
    }
}

/// How one job's log is sent.
#[derive(Debug, Clone)]
pub struct UploadOptions {
    pub job: i64,
    pub token: Secret,
    pub info: Info,
    pub debug_trace: DebugTrace,
    pub pace: Pace,
    /// `job_status_final_update_retry_limit`: tries in all.
    pub final_tries: u32,
    /// First and longest pause between those.
    pub final_backoff: (Duration, Duration),
}

/// How the job ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FinalState {
    pub state: JobState,
    pub failure_reason: String,
    pub exit_code: i32,
    /// What the job gives to those that need it.
    pub outputs: BTreeMap<String, String>,
}

/// Whether the server took the final state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Accepted,
    /// It refused: the job is not ours any more.
    Refused,
    /// It could not be told within the retries; it will notice by itself.
    GaveUp,
}

/// Sends one job's log. One `Uploader` per job.
pub struct Uploader {
    client: Arc<RunnerClient>,
    log: Arc<Log>,
    options: UploadOptions,
    /// Bytes that the server has.
    sent: u64,
    interval: Duration,
    contact: watch::Sender<Contact>,
    /// The terminal that the server told of last.
    terminal: watch::Sender<Option<Secret>>,
    /// The job has ended: only its result is left to be told.
    finishing: bool,
    /// When the last call that was answered began. The server's lease runs from later than that.
    heard: Instant,
}

const FIRST_INTERVAL: Duration = Duration::from_secs(3);
/// Tries to acknowledge a job.
const ACKNOWLEDGEMENTS: u32 = 4;

const FORCE_SEND: Duration = Duration::from_secs(30);

impl Uploader {
    /// An uploader of `log`, and where it tells what the server says.
    #[must_use]
    pub fn new(client: Arc<RunnerClient>, log: Arc<Log>, options: UploadOptions) -> (Self, watch::Receiver<Contact>) {
        let (contact, seen) = watch::channel(Contact::Good);
        let uploader = Self {
            client,
            log,
            options,
            sent: 0,
            interval: FIRST_INTERVAL,
            contact,
            terminal: watch::Sender::default(),
            finishing: false,
            heard: Clock::instant(),
        };
        (uploader, seen)
    }

    /// The one-time id of a terminal that somebody wants in the job, whenever the server tells of a new one.
    #[must_use]
    pub fn terminals(&self) -> watch::Receiver<Option<Secret>> {
        self.terminal.subscribe()
    }

    /// Acknowledges the job (`PUT state=running`), the second phase of taking it. A call without an answer is repeated: the
    /// server may have taken it, and would wait for a job that nobody runs.
    pub async fn acknowledge(&mut self) -> Claim {
        let mut backoff = Backoff::new(Duration::from_millis(100), Duration::from_secs(2));
        while backoff.tries() < ACKNOWLEDGEMENTS {
            if let Some(answer) = self.put(JobState::Running, None).await {
                self.hear(answer.signal, answer.interval, answer.terminal);
                match answer.outcome {
                    UpdateOutcome::Done | UpdateOutcome::NotStoredYet => {
                        return match answer.signal {
                            JobSignal::GoOn => Claim::Ours,
                            JobSignal::CancelGracefully => Claim::Canceled,
                            JobSignal::Abort => Claim::Lost,
                        };
                    }
                    UpdateOutcome::Conflict | UpdateOutcome::LogDiffers | UpdateOutcome::Refused { .. } => {
                        return Claim::Lost;
                    }
                    UpdateOutcome::Failed { .. } => {}
                }
            }
            tokio::time::sleep(backoff.pause()).await;
        }
        Claim::Lost
    }

    /// Sends until `done` is pulled or the server does not want the job any more.
    pub async fn run(&mut self, done: &CancellationToken) {
        while !self.contact.borrow().is_over() {
            let sent_before = self.sent;
            tokio::select! {
                () = done.cancelled() => return,
                () = self.pause() => {}
            }
            // A call under way is not dropped at the end of the job: the server may have taken it, and finding that
            // out costs another round trip.
            self.send_new().await;
            if self.sent == sent_before && self.is_silent() {
                self.keep_alive().await;
            }
            self.check_lease();
        }
    }

    /// Waits until there is something to do.
    async fn pause(&self) {
        match self.options.pace {
            Pace::Interval(_) => {
                tokio::time::sleep(self.interval).await;
                self.log.show_unfinished(UNFINISHED_MS);
            }
            Pace::Live { gather, heartbeat, .. } => {
                let quiet = heartbeat.saturating_sub(self.heard.elapsed());
                tokio::select! {
                    () = tokio::time::sleep(quiet) => {}
                    () = self.log.grown(self.sent) => tokio::time::sleep(gather).await,
                    () = self.unfinished_line() => {}
                }
            }
        }
    }

    /// Resolves when an unfinished line was shown.
    async fn unfinished_line(&self) {
        loop {
            tokio::time::sleep(Duration::from_millis(250)).await;
            self.log.show_unfinished(UNFINISHED_MS);
        }
    }

    async fn send_new(&mut self) {
        while self.log.size() > self.sent {
            if !matches!(self.patch().await, Step::Moved) {
                return;
            }
        }
    }

    /// Sends the next piece.
    async fn patch(&mut self) -> Step {
        let bytes = match self.log.read(self.sent, MOST) {
            Ok(bytes) => bytes,
            Err(error) => {
                warn!(job.id = self.options.job, error = %chain(&error), "the log cannot be read back");
                return Step::Failed;
            }
        };
        if bytes.is_empty() {
            return Step::Nothing;
        }
        let length = bytes.len() as u64;
        let began = Clock::instant();
        let call = self.client.patch_trace(
            self.options.job,
            &self.options.token,
            self.sent,
            bytes,
            self.options.debug_trace,
        );
        let answer = match limited(self.budget(), call).await {
            Some(Ok(answer)) => answer,
            Some(Err(error)) => {
                debug!(job.id = self.options.job, error = %chain(&error), "the log was not sent");
                self.pause_after_failure().await;
                return Step::Failed;
            }
            None => return Step::Failed,
        };
        if !matches!(answer.outcome, PatchOutcome::Failed { .. }) {
            self.heard = began;
        }
        self.take_patch(answer, length)
    }

    fn take_patch(&mut self, answer: PatchAnswer, length: u64) -> Step {
        self.hear(answer.signal, answer.interval, answer.terminal);
        match answer.outcome {
            PatchOutcome::Accepted { stored } => {
                let expected = self.sent + length;
                // The server's word counts, as far as it can be true.
                self.sent = stored.filter(|stored| *stored <= self.log.size()).unwrap_or(expected);
                Step::Moved
            }
            PatchOutcome::Mismatch { stored } => {
                if stored == self.sent {
                    return Step::Failed;
                }
                // More than there is cannot be ours: only the whole log from the start can settle it.
                self.sent = if stored <= self.log.size() { stored } else { 0 };
                Step::Moved
            }
            PatchOutcome::NotFound => Step::NotFound,
            PatchOutcome::Refused | PatchOutcome::Failed { .. } => Step::Failed,
        }
    }

    async fn keep_alive(&mut self) {
        let (size, crc) = self.log.checksum();
        let output = Output {
            checksum: checksum(crc),
            bytesize: size,
        };
        if let Some(answer) = self.put(JobState::Running, Some(output)).await {
            self.hear(answer.signal, answer.interval, answer.terminal);
        } else {
            self.pause_after_failure().await;
        }
    }

    /// Sends what is left of the log, then the final state, as often as the server wants it.
    ///
    /// # Errors
    /// When the log was not kept or cannot be read back; the state was sent nevertheless.
    pub async fn finish(&mut self, last: FinalState) -> Result<Outcome, Error> {
        self.finishing = true;
        let failure = self.log.take_failure();
        self.interval = FIRST_INTERVAL;
        let (first, most) = self.options.final_backoff;
        let mut backoff = Backoff::new(first, most);
        let mut tries = 0;
        let outcome = loop {
            tries += 1;
            match self.finish_once(&last).await {
                Some(outcome) => break outcome,
                None if tries >= self.options.final_tries => break Outcome::GaveUp,
                None if self.contact.borrow().is_over() => break Outcome::GaveUp,
                None => tokio::time::sleep(backoff.pause()).await,
            }
        };
        failure.map_or(Ok(outcome), Err)
    }

    /// `None`: it failed in a way that another try may mend.
    async fn finish_once(&mut self, last: &FinalState) -> Option<Outcome> {
        loop {
            if self.flush().await == Flushed::Failed {
                return None;
            }
            let answer = self.put_final(last).await?;
            if let Some(interval) = answer.interval {
                self.interval = interval;
            }
            match answer.outcome {
                UpdateOutcome::Done => return Some(Outcome::Accepted),
                UpdateOutcome::NotStoredYet => tokio::time::sleep(self.interval).await,
                UpdateOutcome::LogDiffers => {
                    warn!(
                        job.id = self.options.job,
                        "the server's copy of the log differs: it is sent again"
                    );
                    self.sent = 0;
                    tokio::time::sleep(self.interval).await;
                }
                UpdateOutcome::Refused { .. } => return Some(Outcome::Refused),
                // `Job-Status` says that the job is over: asking again would not change that.
                UpdateOutcome::Conflict | UpdateOutcome::Failed { .. } if answer.signal == JobSignal::Abort => {
                    return Some(Outcome::Refused);
                }
                UpdateOutcome::Conflict | UpdateOutcome::Failed { .. } => return None,
            }
        }
    }

    /// Sends the whole rest of the log; goes on to the state where the server knows no log (404) or wants none (403).
    async fn flush(&mut self) -> Flushed {
        let mut failures = 0;
        while self.log.size() > self.sent {
            match self.patch().await {
                Step::Moved | Step::Nothing => failures = 0,
                Step::NotFound => return Flushed::Skipped,
                Step::Failed if self.contact.borrow().is_over() => return Flushed::Skipped,
                Step::Failed => {
                    failures += 1;
                    if failures >= 3 {
                        return Flushed::Failed;
                    }
                }
            }
        }
        Flushed::All
    }

    async fn put_final(&self, last: &FinalState) -> Option<UpdateAnswer> {
        let (size, crc) = self.log.checksum();
        let update = UpdateJob {
            failure_reason: last.failure_reason.clone(),
            exit_code: last.exit_code,
            outputs: last.outputs.clone(),
            checksum: checksum(crc),
            output: Output {
                checksum: checksum(crc),
                bytesize: size,
            },
            ..self.update(last.state)
        };
        match limited(self.budget(), self.client.update_job(self.options.job, &update)).await? {
            Ok(answer) => Some(answer),
            Err(error) => {
                warn!(job.id = self.options.job, error = %chain(&error), "the final state was not sent");
                None
            }
        }
    }

    async fn put(&mut self, state: JobState, output: Option<Output>) -> Option<UpdateAnswer> {
        let began = Clock::instant();
        let mut update = self.update(state);
        if let Some(output) = output {
            update.checksum.clone_from(&output.checksum);
            update.output = output;
        }
        match limited(self.budget(), self.client.update_job(self.options.job, &update)).await? {
            Ok(answer) => {
                if !matches!(answer.outcome, UpdateOutcome::Failed { .. }) {
                    self.heard = began;
                }
                Some(answer)
            }
            Err(error) => {
                debug!(job.id = self.options.job, error = %chain(&error), "the sign of life was not sent");
                None
            }
        }
    }

    fn update(&self, state: JobState) -> UpdateJob {
        UpdateJob {
            info: self.options.info.clone(),
            token: self.options.token.clone(),
            state: state.as_str().to_owned(),
            failure_reason: String::new(),
            checksum: String::new(),
            output: Output::default(),
            exit_code: 0,
            runtime_environment_key: None,
            outputs: BTreeMap::new(),
        }
    }

    fn hear(&mut self, signal: JobSignal, interval: Option<Duration>, terminal: Option<Secret>) {
        if terminal.is_some() {
            // Told until it is fetched: the same one again is no news.
            self.terminal.send_if_modified(|known| {
                let new = *known != terminal;
                *known = terminal;
                new
            });
        }
        if let Some(interval) = interval {
            self.interval = interval;
        }
        self.tell(match signal {
            JobSignal::GoOn => Contact::Good,
            JobSignal::CancelGracefully => Contact::CancelGracefully,
            JobSignal::Abort => Contact::Abort,
        });
    }

    /// How long a call may take: with a lease the job must be given up in time, so no call outlasts it.
    fn budget(&self) -> Option<Duration> {
        match self.options.pace {
            Pace::Live { heartbeat, lease, .. } if !lease.is_zero() => {
                let left = lease.saturating_sub(self.heard.elapsed());
                let patience = heartbeat.max(lease / 3);
                // Behind the end nothing runs that would have to be stopped in time.
                Some(if self.finishing { patience } else { patience.min(left) })
            }
            Pace::Live { .. } | Pace::Interval(_) => None,
        }
    }

    fn check_lease(&self) {
        if let Pace::Live { lease, .. } = self.options.pace
            && !lease.is_zero()
            && self.heard.elapsed() >= lease
        {
            self.tell(Contact::Lost);
        }
    }

    /// Never takes a cancel back.
    fn tell(&self, new: Contact) {
        self.contact.send_if_modified(|old| {
            let worse = new.rank() > old.rank();
            if worse {
                *old = new;
            }
            worse
        });
    }

    fn is_silent(&self) -> bool {
        let limit = match self.options.pace {
            Pace::Interval(sign) => sign.after(self.interval),
            Pace::Live { heartbeat, .. } => heartbeat,
        };
        self.heard.elapsed() >= limit
    }

    /// A dead network is not asked in a tight loop.
    async fn pause_after_failure(&self) {
        if let Pace::Live { heartbeat, .. } = self.options.pace {
            tokio::time::sleep((heartbeat / 10).min(Duration::from_millis(300))).await;
        }
    }
}

enum Step {
    Moved,
    Nothing,
    NotFound,
    Failed,
}

#[derive(PartialEq, Eq)]
enum Flushed {
    All,
    Skipped,
    Failed,
}

async fn limited<T>(budget: Option<Duration>, call: impl Future<Output = T>) -> Option<T> {
    match budget {
        Some(budget) => tokio::time::timeout(budget, call).await.ok(),
        None => Some(call.await),
    }
}

/// An error with its sources on one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(": ");
        text.push_str(&source.to_string());
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_of_life() {
        for (interval, dynamic) in [(3, 30), (60, 240), (900, 1800)] {
            let interval = Duration::from_secs(interval);
            assert_eq!(SignOfLife::Fixed.after(interval), Duration::from_secs(30));
            assert_eq!(SignOfLife::Dynamic.after(interval), Duration::from_secs(dynamic));
        }
    }
}
