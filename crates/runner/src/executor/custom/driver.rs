//! Calling the driver's programs, and what their ends mean.

use std::path::Path;
use std::time::Duration;

use async_trait::async_trait;
use tasuki_model::reason::FailureReason;
use tasuki_rt::Tasks;

use super::settings::{Step, Steps};
use crate::config::show_duration;
use crate::executor::{Collected, Error, Exit, Output, Result, Stop, Stream};
use crate::process::{self, Binary, Limits, Lingering, Nets, Running, Spec, Stdin};

/// `BUILD_FAILURE_EXIT_CODE`: the job's fault.
pub(super) const BUILD_FAILURE: i32 = 1;
/// `SYSTEM_FAILURE_EXIT_CODE`: ours.
pub(super) const SYSTEM_FAILURE: i32 = 2;

/// One call of a program.
pub(super) struct Call<'a> {
    pub(super) step: &'a Step,
    /// After the configured arguments.
    pub(super) further: Vec<String>,
    /// The whole environment.
    pub(super) env: Vec<(String, String)>,
    pub(super) timeout: Option<Duration>,
    pub(super) stop: Stop,
}

/// What programs are run with.
pub(super) struct Caller<'a> {
    pub(super) steps: &'a Steps,
    pub(super) binary: &'a Binary,
    pub(super) tasks: &'a Tasks,
    /// Working directory.
    pub(super) folder: &'a Path,
    /// Id of the sandbox.
    pub(super) marker: &'a str,
}

impl Caller<'_> {
    /// Runs a program to its end. With who is left of it.
    ///
    /// # Errors
    /// It cannot be started, or its end is unknown.
    pub(super) async fn call(&self, call: Call<'_>, output: &dyn Output) -> Result<(Exit, Option<Lingering>)> {
        let name = call.step.name;
        let spec = Spec {
            argv: call.step.argv.iter().cloned().chain(call.further).collect(),
            env: call.env,
            cwd: self.folder.to_owned(),
            stdin: Stdin::Null,
            user: None,
        };
        let limits = Limits {
            timeout: call.timeout.or(call.step.timeout),
            grace: self.steps.grace,
            patience: self.steps.patience,
            stop: call.stop,
        };
        let nets = Nets {
            marker: Some(self.marker.to_owned()),
            cgroup: None,
        };
        let running = Running::start(self.binary, &nets, spec).await;
        let running = running.map_err(|error| match error {
            process::Error::Start { program, source } => Error::configuration(
                format!("{name} of [runners.custom], {program}, cannot be started: {source}"),
                "let it name an executable file",
            ),
            other => Error::system(format!("start {name}"), other),
        })?;
        let finished = running.finish(&limits, output, self.tasks).await;
        let finished = finished.map_err(|error| Error::system(format!("follow {name} to its end"), error))?;
        Ok((finished.exit, finished.lingering))
    }
}

/// Whether a program did what it was called for. `what` is its name for people.
///
/// # Errors
/// Everything but success, by whose fault it is.
pub(super) fn judge(what: &str, exit: Exit, timeout: Option<Duration>) -> Result<()> {
    match exit {
        Exit::Code(0) => Ok(()),
        Exit::Code(BUILD_FAILURE) => Err(Error::job(
            FailureReason::ScriptFailure,
            format!("{what} refuses the job (exit status {BUILD_FAILURE}, BUILD_FAILURE_EXIT_CODE)"),
        )),
        Exit::Stopped => Err(Error::Stopped),
        Exit::TimedOut => {
            let limit = timeout.map(show_duration).unwrap_or_default();
            Err(Error::system(
                format!("go on after {what}"),
                format!("it took longer than {limit}"),
            ))
        }
        other => Err(fault(what, other)),
    }
}

/// An end that means that the driver, not the job, is at fault.
pub(super) fn fault(what: &str, exit: Exit) -> Error {
    let said = match exit {
        Exit::Code(SYSTEM_FAILURE) => {
            format!("the driver ended with exit status {SYSTEM_FAILURE} (SYSTEM_FAILURE_EXIT_CODE)")
        }
        Exit::Code(code) => format!(
            "the driver ended with the unknown exit status {code}: 0, BUILD_FAILURE_EXIT_CODE ({BUILD_FAILURE}) and \
             SYSTEM_FAILURE_EXIT_CODE ({SYSTEM_FAILURE}) have a meaning"
        ),
        Exit::Signal(signal) => format!("the driver was ended by signal {signal}"),
        Exit::TimedOut | Exit::Stopped => "the driver was stopped".to_owned(),
    };
    Error::system(format!("go on after {what}"), said)
}

/// Keeps standard output, which is for us; the rest is for people.
pub(super) struct Overheard<'a> {
    pub(super) stdout: Collected,
    pub(super) output: &'a dyn Output,
}

#[async_trait]
impl Output for Overheard<'_> {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stdout => self.stdout.write(stream, bytes).await,
            Stream::Stderr => self.output.write(stream, bytes).await,
        }
    }
}

/// Passes both streams on as one.
pub(super) struct Merged<'a>(pub(super) &'a dyn Output);

#[async_trait]
impl Output for Merged<'_> {
    async fn write(&self, _stream: Stream, bytes: &[u8]) {
        self.0.write(Stream::Stdout, bytes).await;
    }
}

/// The runner's own log.
#[derive(Default)]
pub(super) struct OwnLog(Collected);

#[async_trait]
impl Output for OwnLog {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        self.0.write(stream, bytes).await;
    }
}

impl OwnLog {
    /// Writes what was said, line by line.
    pub(super) fn tell(&self, name: &str, sandbox: &str) {
        for line in self.0.text().lines().filter(|line| !line.trim().is_empty()) {
            tracing::info!(sandbox, "{name}: {line}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ends_have_a_meaning() {
        let check = |exit, reason: Option<FailureReason>, words: &str| {
            let judged = judge("prepare_exec", exit, Some(Duration::from_secs(60)));
            let text = judged
                .as_ref()
                .map_or_else(|error| crate::trace::chain(error), |()| String::new());
            assert_eq!(judged.err().map(|error| error.reason()), reason, "{exit:?}");
            assert!(text.contains(words), "{exit:?}: {text}");
        };
        check(Exit::Code(0), None, "");
        check(Exit::Code(1), Some(FailureReason::ScriptFailure), "refuses the job");
        let system = Some(FailureReason::RunnerSystemFailure);
        check(Exit::Code(2), system, "SYSTEM_FAILURE_EXIT_CODE");
        check(Exit::Code(127), system, "unknown exit status 127");
        check(Exit::Signal(9), system, "signal 9");
        check(Exit::TimedOut, system, "longer than 1m0s");
        check(Exit::Stopped, Some(FailureReason::JobCanceled), "stopped");
    }
}
