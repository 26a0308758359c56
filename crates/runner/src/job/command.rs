//! Running one command of a job: a script, or a request to the guest, with attempts.

use std::time::Duration;

use tasuki_model::reason::FailureReason;
use tasuki_rt::Backoff;

use super::build::Build;
use super::failure::Failure;
use super::options::{attempts, flag};
use super::requests::Source;
use super::scripts;
use super::stage::Stage;
use crate::config::show_duration;
use crate::executor::{Command, Exit, Paths, Sandbox, Stop};
use crate::guest;

/// How a command ended that was not an error of its own making.
pub(super) enum Limit {
    /// No limit but the job's.
    Job,
    /// The stage's own, with its length for the message.
    Own(Duration),
}

impl Limit {
    pub(super) fn of(limit: Option<Duration>) -> Self {
        limit.map_or(Self::Job, Self::Own)
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        match self {
            Self::Job => None,
            Self::Own(limit) => Some(*limit),
        }
    }
}

impl Build<'_> {
    pub(super) async fn script(
        &self,
        sandbox: &dyn Sandbox,
        stage: &Stage,
        lines: &[String],
        stop: Stop,
        limit: &Limit,
    ) -> Result<(), Failure> {
        let text = scripts::text(self.host, self.job, &self.variables, lines);
        let command = Command {
            stage: stage.to_string(),
            env: self.variables.environment(),
            timeout: limit.duration(),
            stop,
            ..Command::script(self.shell.clone(), text)
        };
        let output = self.console.work();
        let ended = sandbox.run(command, &output).await;
        output.finish();
        match ended {
            Err(_) if self.control.cause().is_some() => Err(self.control.failure()),
            Err(error) => Err(error.into()),
            Ok(ended) => match ended.exit {
                Exit::Code(0) => Ok(()),
                Exit::Code(code) => Err(Failure::exit(code)),
                Exit::Signal(signal) => Err(Failure {
                    message: format!("ended by signal {signal}"),
                    ..Failure::exit(128 + signal)
                }),
                Exit::Stopped => Err(self.control.failure()),
                Exit::TimedOut => Err(timed_out("script", limit.duration().unwrap_or(self.timeout))),
            },
        }
    }

    pub(super) async fn guest(
        &self,
        sandbox: &dyn Sandbox,
        request: guest::Request,
        limit: &Limit,
        stage: &str,
    ) -> Result<guest::Response, Failure> {
        if self.control.is_over() {
            return Err(self.control.failure());
        }
        let command = Command {
            stage: stage.to_owned(),
            env: self.variables.environment(),
            timeout: limit.duration(),
            stop: self.control.all(),
            ..Command::guest(request)
        };
        let output = self.console.work();
        let ended = sandbox.run(command, &output).await;
        output.finish();
        let ended = match ended {
            Err(_) if self.control.is_over() => return Err(self.control.failure()),
            other => other?,
        };
        match (ended.exit, ended.response) {
            (Exit::Stopped, _) => Err(self.control.failure()),
            (Exit::TimedOut, _) => Err(timed_out(stage, limit.duration().unwrap_or(self.timeout))),
            (_, Some(response)) => match response.failure {
                Some(failure) => Err(failure.into()),
                None => Ok(response),
            },
            (exit, None) => Err(Failure::system(format!(
                "{stage}: the guest ended without an answer ({exit:?})"
            ))),
        }
    }

    pub(super) async fn guest_attempts(
        &self,
        sandbox: &dyn Sandbox,
        request: guest::Request,
        stage: &Stage,
        most: u32,
    ) -> Result<(), Failure> {
        let mut backoff = self.backoff();
        let mut tries = 1;
        let name = stage.to_string();
        loop {
            match self.guest(sandbox, request.clone(), &Limit::Job, &name).await {
                Ok(_) => return Ok(()),
                Err(failure) if self.tries_again(tries, most, &failure) => {
                    self.console
                        .warn(&format!("attempt {tries} of {most} failed: {failure}"));
                    tries += 1;
                    self.pause(backoff.pause()).await;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    pub(super) fn tries_again(&self, tries: u32, most: u32, failure: &Failure) -> bool {
        tries < most && !self.control.is_over() && failure.reason != FailureReason::JobExecutionTimeout
    }

    pub(super) fn attempts(&self, variable: &str) -> u32 {
        let (most, warning) = attempts(variable, &self.variables);
        if let Some(warning) = warning {
            self.console.warn(&warning);
        }
        most
    }

    pub(super) fn backoff(&self) -> Backoff {
        let long = flag(
            "FF_USE_EXPONENTIAL_BACKOFF_STAGE_RETRY",
            &self.host.config,
            &self.variables,
        );
        let (first, most) = if long {
            self.host.pauses.stage
        } else {
            self.host.pauses.stage_short
        };
        Backoff::new(first, most)
    }

    /// Ends early when the job does.
    pub(super) async fn pause(&self, pause: Duration) {
        // Whether it ran out or not is seen by the next check of the control.
        let _ = tokio::time::timeout(pause, self.control.all().pulled()).await;
    }

    pub(super) fn source<'s>(&'s self, paths: &'s Paths) -> Source<'s> {
        Source {
            host: self.host,
            job: self.job,
            variables: &self.variables,
            paths,
        }
    }
}

pub(super) fn timed_out(what: &str, limit: Duration) -> Failure {
    let message = format!("{what}: execution took longer than {}", show_duration(limit));
    Failure::job(FailureReason::JobExecutionTimeout, message)
}
