//! A `run` step.

use std::time::Duration;

use tasuki_model::plan::{Step, StepKind};
use tasuki_model::reason::FailureReason;

use super::output::Listened;
use super::place;
use crate::config::show_duration;
use crate::executor::{Command, Contained, Ended, Exit, Output, Sandbox, Shell, ShellKind};
use crate::job::build::Build;
use crate::job::command::timed_out;
use crate::job::failure::Failure;
use crate::script;

impl Build<'_> {
    /// Runs the command, and again where it may be repeated.
    pub(super) async fn run_step(&self, sandbox: &dyn Sandbox, step: &Step) -> Result<(), Failure> {
        let mut tries = 0;
        loop {
            match self.run_once(sandbox, step).await {
                Err(failure) if tries < step.max_reruns && failure.exit_code.is_some() && !self.control.is_over() => {
                    tries += 1;
                    let most = step.max_reruns;
                    self.console
                        .warn(&format!("{failure}; the step runs again ({tries} of {most})"));
                    self.pause(Duration::from_secs(step.rerun_delay_s.unwrap_or(0))).await;
                }
                ended => return ended,
            }
        }
    }

    async fn run_once(&self, sandbox: &dyn Sandbox, step: &Step) -> Result<(), Failure> {
        let stream = self.console.work();
        let ended = self.run_into(sandbox, step, &stream).await;
        stream.finish();
        ended
    }

    /// Runs the command once; what it prints goes to `stream`.
    pub(super) async fn run_into(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        stream: &dyn Output,
    ) -> Result<(), Failure> {
        let StepKind::Run {
            command: text,
            shell,
            directory,
            ..
        } = &step.kind
        else {
            return Ok(());
        };
        let directory = directory.as_deref().unwrap_or(".");
        let folder = place::absolute(directory, sandbox.paths());
        if folder != sandbox.paths().project {
            self.make_folder(sandbox, folder.clone()).await?;
        }
        let (shell, text) = match shell.as_deref().map(str::trim).filter(|shell| !shell.is_empty()) {
            None => (self.shell.clone(), script::strict(text)),
            Some(line) => (custom(line)?, text.clone()),
        };
        // A step that is due after a cancel runs to its end.
        let stop = match self.control.cause() {
            Some(_) => self.control.all().child(),
            None => self.control.user().child(),
        };
        let command = Command {
            env: self.environment_of(step),
            cwd: Some(folder.to_string_lossy().into_owned()),
            timeout: step.timeout_s.map(Duration::from_secs),
            stop: stop.clone(),
            ..Command::script(shell, text)
        };
        let output = Listened::new(stream);
        let silence = step.no_output_timeout_s.map(Duration::from_secs);
        let ended = {
            let mut running = std::pin::pin!(sandbox.run(command, &output));
            let too_silent = async {
                match silence {
                    Some(limit) => output.silent(limit).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                ended = &mut running => Ok(ended),
                () = too_silent => {
                    stop.graceful();
                    Err(running.await)
                }
            }
        };
        let ended = match ended {
            Err(_) if self.control.cause().is_none() => return Err(silent(silence.unwrap_or_default())),
            Ok(ended) | Err(ended) => ended,
        };
        self.ended(ended, step)
    }

    /// Runs the container of a step. What it prints goes to `stream`.
    pub(super) async fn contain_into(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        mut what: Contained,
        stream: &dyn Output,
    ) -> Result<(), Failure> {
        what.env = self.environment_of(step).into_iter().chain(what.env).collect();
        what.timeout = step.timeout_s.map(Duration::from_secs);
        what.stop = match self.control.cause() {
            Some(_) => self.control.all().child(),
            None => self.control.user().child(),
        };
        let ended = sandbox.run_container(what, stream).await;
        self.ended(ended, step)
    }

    /// What becomes of a step that ended so.
    fn ended(&self, ended: crate::executor::Result<Ended>, step: &Step) -> Result<(), Failure> {
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
                Exit::TimedOut => Err(timed_out(
                    "step",
                    Duration::from_secs(step.timeout_s.unwrap_or_default()),
                )),
            },
        }
    }

    /// The job's variables, and the step's own over them, as they are written.
    fn environment_of(&self, step: &Step) -> Vec<(String, String)> {
        let mut all = self.variables.environment();
        all.extend(step.env.iter().map(|(key, value)| (key.clone(), value.clone())));
        all
    }
}

fn silent(limit: Duration) -> Failure {
    let limit = show_duration(limit);
    let message = format!("the step printed nothing for {limit} and was ended (`no_output_timeout`)");
    Failure::job(FailureReason::ScriptFailure, message)
}

/// A command line as the shell: words, with quotes around those that hold spaces.
fn custom(line: &str) -> Result<Shell, Failure> {
    let words = words(line).ok_or_else(|| {
        let message = format!("the shell {line:?} has a quotation mark that is not closed");
        Failure::job(FailureReason::ScriptFailure, message)
    })?;
    Ok(Shell {
        kind: ShellKind::Custom(words),
        login: false,
    })
}

fn words(line: &str) -> Option<Vec<String>> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote = None;
    for c in line.chars() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => word.get_or_insert_default().push(c),
            None if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            None if c.is_whitespace() => words.extend(word.take()),
            None => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    quote.is_none().then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_falls_into_words() {
        let check = |line: &str, expected: Option<&[&str]>| {
            let expected = expected.map(|words| words.iter().map(|&word| word.to_owned()).collect());
            assert_eq!(words(line), expected, "{line}");
        };
        check("/bin/bash -eo  pipefail", Some(&["/bin/bash", "-eo", "pipefail"]));
        check("env 'A=b c' sh {0}", Some(&["env", "A=b c", "sh", "{0}"]));
        check("a \"\" b", Some(&["a", "", "b"]));
        check("a 'b", None);
    }
}
