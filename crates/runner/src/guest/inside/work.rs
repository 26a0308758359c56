//! `guest inside`: one piece of work, from the request to the answer.

use std::convert::Infallible;
use std::fs;
use std::io;
use std::os::fd::AsFd as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use async_trait::async_trait;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use rustix::fs::Mode;
use serde::de::DeserializeOwned;
use tasuki_rt::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, Interest};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::{Mutex, mpsc};

use super::files;
use super::hold;
use super::oom;
use super::protocol::{Answer, BEAT, Kind, Order, Script, Terminal, Work};
use super::tcp;
use crate::executor::shell::{environment, script};
use crate::executor::{Command, Shell, ShellKind};
use crate::guest::{Context, Request, serve};
use crate::process::{
    self, Binary, Exit, Keyboard, Limits, Lingering, Nets, OnTerminal, Output, Running, Spec, Stdin, Stop, Stream,
    Typed, Window, frame_length,
};
use crate::trace::chain;

/// Keys that may wait for a slow program.
const TYPED: usize = 64;

/// How often it is looked whether the runner is gone while keys wait.
const LOOK: Duration = Duration::from_millis(200);

/// Pieces of the guest's log that may wait for a slow output.
const LOG_PIECES: usize = 64;

/// Runs until the work is done and nobody that it started needs this process any more.
pub(crate) fn work() -> ExitCode {
    rustix::process::umask(Mode::from_raw_mode(0o022));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(converse())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(io::stderr(), "{error}");
            ExitCode::from(3)
        }
    }
}

async fn converse() -> io::Result<()> {
    let mut input = Receiver::from_owned_fd(io::stdin().as_fd().try_clone_to_owned()?)?;
    let frames = Frames(Mutex::new(Sender::from_owned_fd(
        io::stdout().as_fd().try_clone_to_owned()?,
    )?));
    // What is started must not hold this process's own channels.
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    let Some(work) = receive::<Work>(&mut input).await? else {
        return Ok(());
    };
    let stop = Stop::new();
    let tasks = Tasks::new();
    let (keys, typed) = mpsc::channel(TYPED);
    let (answer, lingering) = tokio::select! {
        done = perform(work, &stop, &frames, &tasks, Keyboard { typed }) => done,
        never = obey(&mut input, &stop, &keys) => match never {},
        never = beat(&frames) => match never {},
    };
    frames.send(Kind::Answer, &serde_json::to_vec(&answer)?).await?;
    if let Some(mut left) = lingering {
        // Until the sandbox ends, or those that are left do.
        while left.is_alive() {
            let more = tokio::time::timeout(Duration::from_millis(500), receive::<Order>(&mut input)).await;
            if matches!(more, Ok(Ok(None) | Err(_))) {
                break;
            }
        }
    }
    Ok(())
}

/// Says again and again that this process is there: a runner cannot tell a long silence from a dead connection. A pipe takes
/// so short a frame as a whole or not at all, so that this may end at any time.
async fn beat(frames: &Frames) -> Infallible {
    loop {
        tokio::time::sleep(BEAT).await;
        // A runner that is gone is seen by the end of the input.
        let _ = frames.send(Kind::Alive, &[]).await;
    }
}

/// Pulls the stop and types as told; a runner that is gone wants everything to end.
async fn obey(input: &mut Receiver, stop: &Stop, keys: &mpsc::Sender<Typed>) -> Infallible {
    loop {
        let typed = match receive::<Order>(input).await {
            Ok(Some(Order::Terminate)) => {
                stop.graceful();
                continue;
            }
            Ok(Some(Order::Kill)) => {
                stop.force();
                continue;
            }
            Ok(Some(Order::Type { base64 })) => Typed::Bytes(BASE64_STANDARD.decode(base64).unwrap_or_default().into()),
            Ok(Some(Order::EndOfInput)) => Typed::End,
            Ok(Some(Order::Resize { columns, rows })) => Typed::Resize(Window { columns, rows }),
            // Only sessions have a log.
            Ok(Some(Order::Read { .. })) => continue,
            Ok(None) | Err(_) => {
                stop.force();
                return std::future::pending().await;
            }
        };
        tokio::select! {
            // Where there is no terminal, nobody takes it.
            _ = keys.send(typed) => {}
            // A program that takes no keys must not hide that the runner is gone.
            () = closed(input) => {
                stop.force();
                return std::future::pending().await;
            }
        }
    }
}

/// Resolves when nobody writes to `input` any more, also while there is more to read from it.
async fn closed(input: &Receiver) {
    loop {
        tokio::time::sleep(LOOK).await;
        match input.ready(Interest::READABLE).await {
            Ok(ready) if !ready.is_read_closed() => {}
            Ok(_) | Err(_) => return,
        }
    }
}

/// Does a piece of work; background processes that it left come with the answer.
pub(super) async fn perform(
    work: Work,
    stop: &Stop,
    frames: &dyn Output,
    tasks: &Tasks,
    keyboard: Keyboard,
) -> (Answer, Option<Lingering>) {
    let answer = match work {
        Work::Script(script) => return run(script, stop, frames, tasks).await,
        Work::Terminal(terminal) => interact(terminal, stop, frames, keyboard).await,
        Work::Guest {
            request,
            env,
            timeout_ms,
        } => guest(*request, env, timeout_ms, stop, frames).await,
        Work::Push {
            roots,
            path,
            mode,
            base64,
        } => files::push(&roots, &path, mode, &base64),
        Work::Pull { roots, path, limit } => files::pull(&roots, &path, limit),
        Work::Make(folders) => files::make(&folders),
        Work::Remove(folders) => files::remove(&folders),
        Work::Describe {
            folders,
            timeout_ms,
            holder,
        } => hold::describe(&folders, Duration::from_millis(timeout_ms), holder).await,
        Work::WaitTcp { targets, timeout_ms } => tcp::wait(targets, Duration::from_millis(timeout_ms)).await,
    };
    (answer, None)
}

async fn run(work: Script, stop: &Stop, frames: &dyn Output, tasks: &Tasks) -> (Answer, Option<Lingering>) {
    let spec = match spec(&work) {
        Ok(spec) => spec,
        Err(message) => return (Answer::Refused { message }, None),
    };
    let limits = Limits {
        timeout: work.timeout_ms.map(Duration::from_millis),
        grace: Duration::from_millis(work.grace_ms),
        patience: Limits::PATIENCE,
        stop: stop.clone(),
    };
    let killed = oom::kills();
    let finished = match Running::start(&Binary::inside(), &Nets::default(), spec).await {
        Ok(running) => running.finish(&limits, frames, tasks).await,
        Err(process::Error::Start { program, source }) => {
            let message = format!("cannot start {program} in its folder: {source}");
            return (Answer::Refused { message }, None);
        }
        Err(error) => Err(error),
    };
    match finished {
        Ok(finished) => {
            if let Some(text) = oom::explain(killed).filter(|_| !finished.exit.success()) {
                frames.write(Stream::Stderr, text.as_bytes()).await;
            }
            let answer = Answer::Ended {
                exit: finished.exit,
                lingering: finished.lingering.is_some(),
            };
            (answer, finished.lingering)
        }
        Err(error) => {
            let message = format!("follow the script to its end: {error}");
            (Answer::Failed { message }, None)
        }
    }
}

async fn interact(work: Terminal, stop: &Stop, frames: &dyn Output, keyboard: Keyboard) -> Answer {
    let environment = environment::split(work.env.into_iter().collect());
    environment::tell_left_out(&environment, frames).await;
    let argv = if work.argv.is_empty() {
        let path = environment.path();
        with_busybox(
            &work.shell,
            path,
            script::interactive_line(&work.shell, work.typist, path),
        )
    } else {
        work.argv
    };
    // Where it cannot be made, the start of the program says so.
    let _ = fs::create_dir_all(&work.project);
    let spec = Spec {
        argv,
        env: environment.passed,
        cwd: work.cwd.unwrap_or(work.project),
        stdin: Stdin::Terminal,
        user: None,
    };
    let window = Window {
        columns: work.columns,
        rows: work.rows,
    };
    let limits = Limits {
        timeout: None,
        grace: Command::DEFAULT_GRACE,
        patience: Limits::PATIENCE,
        stop: stop.clone(),
    };
    let finished = match OnTerminal::start(&Binary::inside(), &Nets::default(), spec, window, work.typist).await {
        Ok(running) => running.finish(&limits, keyboard, frames).await,
        Err(process::Error::Start { program, source }) => {
            let message = format!("cannot start {program} in its folder: {source}");
            return Answer::Refused { message };
        }
        Err(error) => Err(error),
    };
    match finished {
        Ok(exit) => Answer::Ended { exit, lingering: false },
        Err(error) => Answer::Failed {
            message: format!("follow the terminal to its end: {}", chain(&error)),
        },
    }
}

/// Writes the script's file and makes the command line for it.
fn spec(work: &Script) -> Result<Spec, String> {
    let environment = environment::split(work.env.iter().cloned().collect());
    if !work.argv.is_empty() {
        if let Some((key, value)) = environment.exported.first() {
            let length = value.len();
            return Err(format!(
                "the variable {key} is too large for an environment ({length} bytes)"
            ));
        }
        return Ok(Spec {
            argv: work.argv.clone(),
            env: environment.passed,
            cwd: work.cwd.clone().unwrap_or_else(|| work.project.clone()),
            stdin: Stdin::Null,
            user: None,
        });
    }
    let script = script::write(&work.shell, work.number, &work.text, &environment.exported)
        .map_err(|error| error.to_string())?;
    let file = work.temp.join(script.file_name);
    write_private(&file, script.text.as_bytes())
        .map_err(|error| format!("cannot write {}: {error}", file.display()))?;
    let path = environment
        .passed
        .iter()
        .find(|(key, _)| key == "PATH")
        .map_or("", |(_, value)| value.as_str());
    // Where it cannot be made, the start of the program says so.
    let _ = fs::create_dir_all(&work.project);
    Ok(Spec {
        argv: command_line(&work.shell, path, &file),
        env: environment.passed,
        cwd: work.cwd.clone().unwrap_or_else(|| work.project.clone()),
        stdin: Stdin::Null,
        user: None,
    })
}

fn command_line(shell: &Shell, path: &str, file: &Path) -> Vec<String> {
    with_busybox(shell, path, script::command_line(shell, path, file))
}

/// An image may have no shell of its own but BusyBox.
fn with_busybox(shell: &Shell, path: &str, line: Vec<String>) -> Vec<String> {
    let has = |name: &str| path.split(':').any(|folder| Path::new(folder).join(name).exists());
    let plain = matches!(shell.kind, ShellKind::Detect | ShellKind::Sh);
    if plain && line.first().is_some_and(|program| program == "sh") && !has("sh") && has("busybox") {
        return std::iter::once("busybox".to_owned()).chain(line).collect();
    }
    line
}

fn write_private(file: &Path, bytes: &[u8]) -> io::Result<()> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(file)?.write_all(bytes)
}

async fn guest(
    request: Request,
    env: Vec<(String, String)>,
    timeout_ms: Option<u64>,
    stop: &Stop,
    frames: &dyn Output,
) -> Answer {
    let (sender, mut log) = mpsc::channel::<Vec<u8>>(LOG_PIECES);
    let inner = stop.child();
    let context = Context::new(env, inner.clone(), move |text: &str| {
        // Nobody listens: the runner is gone.
        let _ = sender.blocking_send(text.as_bytes().to_vec());
    });
    let mut work = tokio::task::spawn_blocking(move || serve(request, &context));
    let limit = async {
        match timeout_ms {
            Some(limit) => tokio::time::sleep(Duration::from_millis(limit)).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(limit);
    let mut cause = None;
    let response = loop {
        tokio::select! {
            biased;
            Some(piece) = log.recv() => frames.write(Stream::Stdout, &piece).await,
            response = &mut work => break response,
            () = stop.pulled(), if cause.is_none() => cause = Some(Exit::Stopped),
            () = &mut limit, if cause.is_none() => { cause = Some(Exit::TimedOut); inner.graceful(); }
        }
    };
    while let Ok(piece) = log.try_recv() {
        frames.write(Stream::Stdout, &piece).await;
    }
    match response {
        Ok(response) => Answer::Response {
            exit: cause.unwrap_or(Exit::Code(response.exit_code())),
            response: Box::new(response),
        },
        Err(error) => Answer::Failed {
            message: format!("run the guest: {error}"),
        },
    }
}

/// Standard output as frames.
struct Frames(Mutex<Sender>);

impl Frames {
    async fn send(&self, kind: Kind, bytes: &[u8]) -> io::Result<()> {
        let mut out = self.0.lock().await;
        out.write_all(&kind.head(bytes.len())).await?;
        out.write_all(bytes).await
    }
}

#[async_trait]
impl Output for Frames {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        let kind = match stream {
            Stream::Stdout => Kind::Stdout,
            Stream::Stderr => Kind::Stderr,
        };
        // A runner that is gone is seen by the end of the input.
        let _ = self.send(kind, bytes).await;
    }
}

/// The next frame of the input; `None` at its end. A frame that is cut short is an error.
pub(super) async fn receive<T: DeserializeOwned>(input: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<T>> {
    let mut head = [0; 4];
    match input.read_exact(&mut head).await {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let mut body = vec![0; frame_length(head)?];
    input.read_exact(&mut body).await?;
    Ok(Some(serde_json::from_slice(&body)?))
}
