//! One job from the payload to the final state.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::time::Duration;

use tasuki_model::reason::FailureReason;
use tasuki_proto::client::DebugTrace;
use tasuki_proto::gitlab::{JobResponse, JobState};
use tasuki_rt::{CancellationToken, Clock};
use tracing::{Instrument as _, error, info, warn};

use super::build::Build;
use super::console::Console;
use super::control::{Cause, Control, Shutdown};
use super::failure::Failure;
use super::host::{Host, Slot};
use super::options::flag;
use super::scripts;
use crate::trace::{
    Claim, FinalState, Log, LogOptions, Masks, Outcome, Pace, SignOfLife, UploadOptions, Uploader, chain,
};

/// How long bytes for a tasuki server are gathered before they are sent.
const GATHER: Duration = Duration::from_millis(20);

/// How a job ended, for metrics and for `run-single`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Absent: it was never ours (the acknowledgement was refused), nothing ran.
    pub state: Option<JobState>,
    pub failure: Option<Failure>,
    /// Whether the server took the final state.
    pub outcome: Outcome,
    pub took: Duration,
}

impl Report {
    /// Whether the job ran and succeeded.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.state == Some(JobState::Success)
    }
}

/// Runs one job. Returns when nothing of it is left on this machine and the server knows how it ended (or could not be
/// told). Dropping the future kills what runs; what is left then is found by the next sweep.
pub async fn run(host: Host, job: JobResponse, slot: Slot, shutdown: Shutdown) -> Report {
    let span = tracing::info_span!("job", job.id = job.id, project = %job.job_info.project_full_path);
    Box::pin(run_job(host, job, slot, shutdown)).instrument(span).await
}

async fn run_job(host: Host, job: JobResponse, slot: Slot, shutdown: Shutdown) -> Report {
    let began = Clock::instant();
    let report = |state, failure, outcome| Report {
        state,
        failure,
        outcome,
        took: began.elapsed(),
    };
    let timeout = super::task::timeout(&job);
    let variables = scripts::variables(&host, &job, slot, timeout.as_secs(), None);
    let options = LogOptions {
        limit: host.config.output_bytes(),
        timestamps: flag("FF_TIMESTAMPS", &host.config, &variables),
        masks: masks(&host, &job, &variables),
    };
    let log = match Log::create(&host.spool_dir, host.clock.clone(), options) {
        Ok(log) => log,
        Err(error) => {
            // Not acknowledged: the server hands the job to somebody else.
            error!(error = %chain(&error), "a job cannot be started");
            return report(None, Some(Failure::system(chain(&error))), Outcome::GaveUp);
        }
    };
    host.executor.expect();
    let (mut uploader, contact) = Uploader::new(
        host.client.clone(),
        log.clone(),
        upload_options(&host, &job, &variables),
    );
    match uploader.acknowledge().await {
        Claim::Ours => {}
        Claim::Canceled => {
            let canceled = Err(Failure::job(FailureReason::JobCanceled, "canceled"));
            let outcome = told(&mut uploader, final_state(&canceled, &job, BTreeMap::new())).await;
            return report(Some(JobState::Failed), canceled.err(), outcome);
        }
        Claim::Lost => {
            info!("the server has given the job to somebody else");
            return report(None, None, Outcome::Refused);
        }
    }
    let control = Control::new(timeout);
    let console = Console::new(&log, &host, job.features.trace_sections);
    let mut outputs = BTreeMap::new();
    let result = {
        let done = CancellationToken::new();
        let mut build = Build::new(&host, &job, slot, timeout, &control, &console, uploader.terminals());
        let work = async {
            let result = build.run().await;
            outputs = build.take_outputs();
            done.cancel();
            result
        };
        let work = async { tokio::join!(work, uploader.run(&done)).0 };
        let watch = async {
            control.watch(contact, &shutdown).await;
            std::future::pending::<Infallible>().await
        };
        tokio::select! {
            result = Box::pin(work) => result,
            never = watch => match never {},
        }
    };
    let result = result.and_then(|()| {
        log.take_failure()
            .map_or(Ok(()), |error| Err(Failure::system(chain(&error))))
    });
    match &result {
        Ok(()) => console.good("Job succeeded"),
        Err(failure) => console.error(&failure.headline()),
    }
    drop(console);
    let outcome = told(&mut uploader, final_state(&result, &job, outputs)).await;
    let state = if result.is_ok() {
        JobState::Success
    } else {
        JobState::Failed
    };
    if outcome == Outcome::Refused && !matches!(control.cause(), Some(Cause::Aborted | Cause::Lost)) {
        warn!("the server refused the job's result");
    }
    report(Some(state), result.err(), outcome)
}

async fn told(uploader: &mut Uploader, last: FinalState) -> Outcome {
    uploader.finish(last).await.unwrap_or_else(|error| {
        warn!(error = %chain(&error), "the log was not kept");
        Outcome::GaveUp
    })
}

fn final_state(result: &Result<(), Failure>, job: &JobResponse, outputs: BTreeMap<String, String>) -> FinalState {
    match result {
        Ok(()) => FinalState {
            state: JobState::Success,
            failure_reason: String::new(),
            exit_code: 0,
            outputs,
        },
        Err(failure) => FinalState {
            state: JobState::Failed,
            failure_reason: failure.wire_reason(&job.features.failure_reasons).to_owned(),
            exit_code: failure.exit_code.unwrap_or(0),
            outputs,
        },
    }
}

fn upload_options(host: &Host, job: &JobResponse, variables: &super::Variables) -> UploadOptions {
    let pace = match &job.tasuki {
        Some(tasuki) if tasuki.heartbeat_interval_ms > 0 => Pace::Live {
            gather: GATHER,
            heartbeat: Duration::from_millis(tasuki.heartbeat_interval_ms),
            lease: Duration::from_millis(tasuki.lease_ms),
        },
        _ if flag("FF_USE_DYNAMIC_TRACE_FORCE_SEND_INTERVAL", &host.config, variables) => {
            Pace::Interval(SignOfLife::Dynamic)
        }
        _ => Pace::Interval(SignOfLife::Fixed),
    };
    UploadOptions {
        job: job.id,
        token: job.token.clone(),
        info: host.info.clone(),
        debug_trace: if scripts::debugs(host, job) {
            DebugTrace::On
        } else {
            DebugTrace::Off
        },
        pace,
        final_tries: host.config.final_tries(),
        final_backoff: host.pauses.final_state,
    }
}

/// Masked variables, and the tokens that the payload brings.
fn masks(host: &Host, job: &JobResponse, variables: &super::Variables) -> Masks {
    let mut secrets: Vec<String> = variables.secrets().collect();
    secrets.push(job.token.expose().to_owned());
    secrets.push(host.config.token.expose().to_owned());
    secrets.extend(
        job.dependencies
            .iter()
            .map(|dependency| dependency.token.expose().to_owned()),
    );
    secrets.extend(job.credentials.iter().map(|login| login.password.expose().to_owned()));
    let all_prefixes = flag("FF_MASK_ALL_DEFAULT_TOKENS", &host.config, variables);
    Masks::new(
        secrets.iter().map(String::as_str),
        all_prefixes,
        &job.features.token_mask_prefixes,
    )
}
