//! An executor for tests of what stands above: it runs nothing and answers as it is told.

use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tasuki_model::reason::FailureReason;

use super::{
    Command, Ended, Error, Executor, Exit, Output, Paths, Program, PushedFile, Result, Sandbox, Stop, Stream, Swept,
    Task,
};
use crate::guest;

/// What a scripted sandbox does with one command.
#[derive(Debug)]
pub struct Answer {
    pub output: Vec<(Stream, Vec<u8>)>,
    pub exit: Exit,
    pub response: Option<guest::Response>,
    /// Waits for the stop (or the timeout) after the output instead of ending with `exit`.
    pub hangs: bool,
    /// The call itself fails with this.
    pub error: Option<Error>,
}

impl Answer {
    /// Prints `text` and exits with `code`.
    #[must_use]
    pub fn new(text: &str, code: i32) -> Self {
        Self {
            output: vec![(Stream::Stdout, text.as_bytes().to_vec())],
            exit: Exit::Code(code),
            response: None,
            hangs: false,
            error: None,
        }
    }

    /// Prints `text`, then hangs until it is stopped.
    #[must_use]
    pub fn hanging(text: &str) -> Self {
        Self {
            hangs: true,
            ..Self::new(text, 0)
        }
    }

    /// The call fails.
    #[must_use]
    pub fn failing(error: Error) -> Self {
        Self {
            error: Some(error),
            ..Self::new("", 0)
        }
    }
}

/// What happened, in order.
#[derive(Debug, Clone)]
pub enum Event {
    Prepared(Box<Task>),
    Ran(Command),
    Pushed(PushedFile),
    TornDown,
    Swept,
}

#[derive(Debug, Default)]
struct State {
    prepare_errors: VecDeque<Error>,
    answers: VecDeque<Answer>,
    files: BTreeMap<PathBuf, Bytes>,
    events: Vec<Event>,
}

/// The fake. Clones share one script and one record of events. Without an answer left, a command prints nothing and
/// exits with 0, and a guest request succeeds.
#[derive(Debug, Clone, Default)]
pub struct Scripted {
    state: Arc<Mutex<State>>,
}

impl Scripted {
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds the answer to the next command that has none.
    #[must_use]
    pub fn answer(self, answer: Answer) -> Self {
        self.lock().answers.push_back(answer);
        self
    }

    /// Lets the next `prepare` fail.
    #[must_use]
    pub fn prepare_fails(self, error: Error) -> Self {
        self.lock().prepare_errors.push_back(error);
        self
    }

    /// What happened so far.
    #[must_use]
    pub fn events(&self) -> Vec<Event> {
        self.lock().events.clone()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Executor for Scripted {
    fn kind(&self) -> &'static str {
        "scripted"
    }

    async fn prepare(&self, task: Task, _stop: Stop, _output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
        let mut state = self.lock();
        if let Some(error) = state.prepare_errors.pop_front() {
            return Err(error);
        }
        let root = PathBuf::from("/scripted")
            .join(&task.runner_short_token)
            .join(task.concurrent_project_id.to_string());
        let project = root.join(&task.project_slug);
        let paths = Paths {
            builds: PathBuf::from("/scripted"),
            temp: project.with_extension("tmp"),
            project,
            cache: PathBuf::from("/scripted-cache"),
            home: root.join("home"),
        };
        state.events.push(Event::Prepared(Box::new(task)));
        Ok(Box::new(ScriptedSandbox {
            executor: self.clone(),
            paths,
        }))
    }

    async fn sweep(&self) -> Result<Swept> {
        self.lock().events.push(Event::Swept);
        Ok(Swept::default())
    }
}

struct ScriptedSandbox {
    executor: Scripted,
    paths: Paths,
}

#[async_trait]
impl Sandbox for ScriptedSandbox {
    fn paths(&self) -> &Paths {
        &self.paths
    }

    async fn run(&self, command: Command, output: &dyn Output) -> Result<Ended> {
        if command.stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let answer = {
            let mut state = self.executor.lock();
            state.events.push(Event::Ran(command.clone()));
            state.answers.pop_front().unwrap_or_else(|| Answer::new("", 0))
        };
        if let Some(error) = answer.error {
            return Err(error);
        }
        for (stream, bytes) in &answer.output {
            output.write(*stream, bytes).await;
        }
        let exit = if answer.hangs {
            hang(&command).await
        } else {
            answer.exit
        };
        let response = match &command.program {
            Program::Guest(_) => answer.response.or_else(|| Some(guest::Response::default())),
            Program::Script { .. } => answer.response,
        };
        Ok(Ended { exit, response })
    }

    async fn push(&self, file: PushedFile) -> Result<()> {
        let mut state = self.executor.lock();
        state.files.insert(self.paths.temp.join(&file.path), file.bytes.clone());
        state.events.push(Event::Pushed(file));
        Ok(())
    }

    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        let found = self.executor.lock().files.get(&self.paths.temp.join(path)).cloned();
        if found.as_ref().is_some_and(|bytes| bytes.len() as u64 > limit) {
            return Err(Error::job(
                FailureReason::ScriptFailure,
                format!("{path} is larger than {limit} bytes"),
            ));
        }
        Ok(found)
    }

    async fn teardown(self: Box<Self>) -> Result<()> {
        self.executor.lock().events.push(Event::TornDown);
        Ok(())
    }
}

async fn hang(command: &Command) -> Exit {
    let stopped = command.stop.pulled();
    match command.timeout {
        Some(limit) => match tokio::time::timeout(limit, stopped).await {
            Ok(()) => Exit::Stopped,
            Err(_) => Exit::TimedOut,
        },
        None => {
            stopped.await;
            Exit::Stopped
        }
    }
}
