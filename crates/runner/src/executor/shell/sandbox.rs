//! A shell sandbox at work.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tasuki_model::reason::FailureReason;
use tasuki_rt::Tasks;
use tokio::sync::{RwLock, mpsc};

use super::environment::{self, Environment};
use super::executor::{Config, Place, blocking};
use super::{folders, script};
use crate::executor::{
    Command, Ended, Error, Exit, Interactive, Keyboard, Output, Paths, Program, PullOnDrop, PushedFile, Result,
    Sandbox, Stop, Stream,
};
use crate::guest::{self, confined::Confined};
use crate::process::{self, Limits, Lingering, Nets, OnTerminal, Spec, Stdin, User, Waiting};

/// Pieces of the guest's log that may wait for a slow output.
const LOG_PIECES: usize = 64;

/// The largest answer of a guest.
const MAX_RESPONSE: usize = 1 << 20;

pub(super) struct ShellSandbox {
    config: Arc<Config>,
    user: Option<User>,
    tasks: Tasks,
    place: Place,
    paths: Paths,
    scripts: AtomicU64,
    /// For the first script.
    waiting: Mutex<Option<Waiting>>,
    /// Background processes of commands that ended.
    lingering: Mutex<Vec<Lingering>>,
    /// Held for reading by guests that work in-process; teardown waits for them.
    in_process: Arc<RwLock<()>>,
    /// Pulled at teardown.
    end: Stop,
}

impl ShellSandbox {
    pub(super) fn new(
        config: Arc<Config>,
        user: Option<User>,
        tasks: Tasks,
        place: Place,
        supervisor: Option<Waiting>,
    ) -> Self {
        let paths = place.folders.paths();
        Self {
            waiting: Mutex::new(supervisor),
            config,
            user,
            tasks,
            place,
            paths,
            scripts: AtomicU64::new(0),
            lingering: Mutex::default(),
            in_process: Arc::default(),
            end: Stop::new(),
        }
    }

    async fn run_script(
        &self,
        command: &Command,
        shell: &crate::executor::Shell,
        text: &str,
        output: &dyn Output,
    ) -> Result<Ended> {
        let environment = environment::build(&self.config, &self.place, self.user.as_ref(), &command.env)?;
        let number = self.scripts.fetch_add(1, Ordering::Relaxed);
        let script = script::write(shell, number, text, &environment.exported)?;
        let file = self.paths.temp.join(&script.file_name);
        self.push(PushedFile {
            path: file.clone(),
            mode: 0o600,
            bytes: Bytes::from(script.text),
        })
        .await?;
        let argv = script::command_line(shell, environment.path(), &file);
        let exit = self.supervise(command, argv, environment, Stdin::Null, output).await?;
        Ok(Ended { exit, response: None })
    }

    /// The guest as a process of its own, as the job's user.
    async fn run_guest(&self, command: &Command, request: &guest::Request, output: &dyn Output) -> Result<Ended> {
        let environment = environment::build(&self.config, &self.place, self.user.as_ref(), &command.env)?;
        let argv = vec![
            self.config.binary.path().to_string_lossy().into_owned(),
            "guest".to_owned(),
        ];
        let text = serde_json::to_string(request).map_err(|error| Error::system("write the guest's request", error))?;
        let answer = Answer {
            output,
            response: Mutex::default(),
        };
        let exit = self
            .supervise(command, argv, environment, Stdin::Text(text), &answer)
            .await?;
        let bytes = answer.response.into_inner().unwrap_or_else(PoisonError::into_inner);
        let response = serde_json::from_slice(&bytes).ok();
        if response.is_none() && matches!(exit, Exit::Code(_)) {
            return Err(Error::system(
                "understand the guest's answer",
                String::from_utf8_lossy(&bytes).into_owned(),
            ));
        }
        Ok(Ended { exit, response })
    }

    async fn supervise(
        &self,
        command: &Command,
        argv: Vec<String>,
        environment: Environment,
        stdin: Stdin,
        output: &dyn Output,
    ) -> Result<Exit> {
        let spec = Spec {
            argv,
            env: environment.passed,
            cwd: self.working_folder(command.cwd.as_deref())?,
            stdin,
            user: self.user.clone(),
        };
        let limits = Limits {
            timeout: command.timeout,
            grace: command.grace,
            patience: Limits::PATIENCE,
            stop: command.stop.clone(),
        };
        let waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
        let marker = self.place.record.marker();
        let waiting = waiting.map_or_else(|| Waiting::new(&self.config.binary, Some(marker)), Ok);
        let running = async { waiting?.start(spec, self.place.cgroup.as_ref()).await };
        let running = running.await.map_err(start_error)?;
        let finished = running
            .finish(&limits, output, &self.tasks)
            .await
            .map_err(|error| Error::system("follow the script to its end", error))?;
        if let Some(left) = finished.lingering {
            self.lingering.lock().unwrap_or_else(PoisonError::into_inner).push(left);
        }
        Ok(finished.exit)
    }

    /// The guest as a thread of ours: no process is started, which is what makes small jobs quick.
    async fn serve_guest(&self, command: &Command, request: guest::Request, output: &dyn Output) -> Result<Ended> {
        let environment = environment::build(&self.config, &self.place, None, &command.env)?;
        let stop = command.stop.child();
        let ended = self.end.clone();
        let (sender, mut log) = mpsc::channel::<Vec<u8>>(LOG_PIECES);
        let context = guest::Context::new(environment.passed, stop.clone(), move |text: &str| {
            // Nobody listens: the command was dropped, and its stop is being pulled.
            let _ = sender.blocking_send(text.as_bytes().to_vec());
        });
        let held = Arc::clone(&self.in_process).read_owned().await;
        // A dropped future must end the thread, too.
        let guard = PullOnDrop(stop.clone());
        let mut work = tokio::task::spawn_blocking(move || {
            let response = guest::serve(request, &context);
            drop(held);
            response
        });
        let limit = async {
            match command.timeout {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::pin!(limit);
        let mut cause = None;
        let response = loop {
            tokio::select! {
                biased;
                Some(piece) = log.recv() => output.write(Stream::Stdout, &piece).await,
                response = &mut work => break response,
                () = command.stop.pulled(), if cause.is_none() => cause = Some(Exit::Stopped),
                () = ended.pulled(), if cause.is_none() => { cause = Some(Exit::Stopped); stop.force(); }
                () = &mut limit, if cause.is_none() => { cause = Some(Exit::TimedOut); stop.graceful(); }
            }
        };
        drop(guard);
        while let Ok(piece) = log.try_recv() {
            output.write(Stream::Stdout, &piece).await;
        }
        let response = response.map_err(|error| Error::system("run the guest", error))?;
        let exit = cause.unwrap_or(Exit::Code(response.exit_code()));
        Ok(Ended {
            exit,
            response: Some(response),
        })
    }

    fn working_folder(&self, cwd: Option<&str>) -> Result<PathBuf> {
        let folder = match cwd {
            Some(folder) => self.paths.project.join(folder),
            None => self.paths.project.clone(),
        };
        if folder == self.paths.project && !folder.exists() {
            folders::make_for(&folder, self.user.as_ref())?;
        }
        Ok(folder)
    }

    /// The confined folder of a path, and the path in it.
    fn locate(&self, path: &Path) -> Result<(PathBuf, PathBuf)> {
        let path = self.paths.temp.join(path);
        [&self.paths.temp, &self.paths.project]
            .into_iter()
            .find_map(|root| {
                let relative = path.strip_prefix(root).ok()?;
                Some((root.clone(), confined_path(relative)?))
            })
            .ok_or_else(|| {
                let message = format!("{} is outside the workspace", path.display());
                Error::job(FailureReason::ScriptFailure, message)
            })
    }
}

fn confined_path(relative: &Path) -> Option<PathBuf> {
    guest::confined::inside(relative).filter(|path| !path.as_os_str().is_empty())
}

fn start_error(error: process::Error) -> Error {
    use std::io::ErrorKind::{ArgumentListTooLong, NotADirectory, NotFound, PermissionDenied};
    match error {
        process::Error::Start { program, source }
            if matches!(
                source.kind(),
                NotFound | PermissionDenied | NotADirectory | ArgumentListTooLong
            ) =>
        {
            Error::job(
                FailureReason::ScriptFailure,
                format!("cannot start {program} in its folder: {source}"),
            )
        }
        other => Error::system("start the script", other),
    }
}

#[async_trait]
impl Sandbox for ShellSandbox {
    fn paths(&self) -> &Paths {
        &self.paths
    }

    async fn run(&self, mut command: Command, output: &dyn Output) -> Result<Ended> {
        if command.stop.is_pulled() {
            return Err(Error::Stopped);
        }
        match std::mem::replace(
            &mut command.program,
            Program::Script {
                shell: Default::default(),
                text: String::new(),
            },
        ) {
            Program::Script { shell, text } => self.run_script(&command, &shell, &text, output).await,
            Program::Guest(request) if self.user.is_some() => self.run_guest(&command, &request, output).await,
            Program::Guest(request) => self.serve_guest(&command, *request, output).await,
        }
    }

    async fn interact(&self, what: Interactive, keyboard: Keyboard, output: &dyn Output) -> Result<Exit> {
        let environment = environment::build(&self.config, &self.place, self.user.as_ref(), &what.env)?;
        environment::tell_left_out(&environment, output).await;
        let argv = if what.argv.is_empty() {
            script::interactive_line(&what.shell, what.typist, environment.path())
        } else {
            what.argv
        };
        let spec = Spec {
            argv,
            env: environment.passed,
            cwd: self.working_folder(what.cwd.as_deref())?,
            stdin: Stdin::Terminal,
            user: self.user.clone(),
        };
        let limits = Limits {
            timeout: None,
            grace: Command::DEFAULT_GRACE,
            patience: Limits::PATIENCE,
            stop: what.stop,
        };
        let started = OnTerminal::start(&self.config.binary, &nets(&self.place), spec, what.window, what.typist).await;
        let finished = started.map_err(start_error)?.finish(&limits, keyboard, output).await;
        finished.map_err(|error| Error::system("follow the terminal to its end", error))
    }

    async fn push(&self, file: PushedFile) -> Result<()> {
        use std::io::Write as _;
        let (root, relative) = self.locate(&file.path)?;
        let user = self.user.clone();
        blocking("write a file of the job", move || {
            let written = Confined::open(&root).and_then(|confined| {
                let mut made = confined.create(&relative, file.mode)?;
                if let Some(user) = user {
                    std::os::unix::fs::fchown(&made, Some(user.uid), Some(user.gid))?;
                }
                made.write_all(&file.bytes)
            });
            written.map_err(|error| Error::system(format!("write {}", file.path.display()), error))
        })
        .await
    }

    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        use std::io::Read as _;
        let (root, relative) = self.locate(Path::new(path))?;
        let name = path.to_owned();
        blocking("read a file of the job", move || {
            let file = match Confined::open(&root).and_then(|confined| confined.read(&relative)) {
                Ok(file) => file,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
                Err(error) => {
                    return Err(Error::job(
                        FailureReason::ScriptFailure,
                        format!("cannot read {name}: {error}"),
                    ));
                }
            };
            let mut bytes = Vec::new();
            file.take(limit.saturating_add(1))
                .read_to_end(&mut bytes)
                .map_err(|error| Error::system(format!("read {name}"), error))?;
            if bytes.len() as u64 > limit {
                let message = format!("{name} is larger than {limit} bytes");
                return Err(Error::job(FailureReason::ScriptFailure, message));
            }
            Ok(Some(bytes.into()))
        })
        .await
    }

    async fn teardown(self: Box<Self>) -> Result<()> {
        self.end.force();
        drop(self.in_process.write().await);
        let left = std::mem::take(&mut *self.lingering.lock().unwrap_or_else(PoisonError::into_inner));
        let mut result = Ok(());
        if let Some(waiting) = self.waiting.into_inner().unwrap_or_else(PoisonError::into_inner) {
            result = waiting
                .end()
                .await
                .map_err(|error| Error::system("end a supervisor", error));
        }
        for one in left {
            let ended = one
                .end()
                .await
                .map_err(|error| Error::system("end background processes", error));
            result = result.and(ended);
        }
        let place = self.place;
        let removed = blocking("remove the workspace", move || place.remove()).await;
        result.and(removed)
    }
}

fn nets(place: &Place) -> Nets {
    Nets {
        marker: Some(place.record.marker().to_owned()),
        cgroup: place.cgroup.clone(),
    }
}

/// Standard output of a guest is its answer; standard error is for people.
struct Answer<'a> {
    output: &'a dyn Output,
    response: Mutex<Vec<u8>>,
}

#[async_trait]
impl Output for Answer<'_> {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        match stream {
            Stream::Stderr => self.output.write(Stream::Stdout, bytes).await,
            Stream::Stdout => {
                let mut response = self.response.lock().unwrap_or_else(PoisonError::into_inner);
                let room = MAX_RESPONSE.saturating_sub(response.len());
                response.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
        }
    }
}
