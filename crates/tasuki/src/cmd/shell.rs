//! `tasuki job shell`.

use std::io::{IsTerminal as _, Read as _, Write as _};

use anyhow::{Context as _, anyhow};
use bytes::Bytes;
use clap::Args;
use rustix::termios::{self, OptionalActions, Termios};
use tasuki_proto::terminal::{Frame, Input, PULSE, Receiver, Sender, Start};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;

use crate::config::Connection;
use crate::exit::{Exit, Mark as _, Outcome, wrong_usage};

/// Bytes of input that are sent at once.
const PIECE: usize = 4096;

/// Bytes of a command and its arguments. Written down, each may take six.
const LONGEST: usize = 10_000;

/// Pieces of input that may wait for a slow connection.
const PIECES: usize = 16;

/// Open a terminal in a running job: where it runs, as its user, with its variables.
///
/// The exit code is the shell's or the command's. The terminal ends with the job, which does not wait for it; then, and
/// wherever else there is no code to pass on, the exit code is 3. What is typed and printed is not part of the job's log,
/// and secrets are not masked.
///
/// Examples:
///   tasuki job shell 12
///   tasuki job shell 12 -- ps -ef
///   echo 'df -h .' | tasuki job shell 12
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Shell {
    /// Number of the job
    id: i64,
    /// Which of its parallel parts, from 0 [default: the first that runs]
    #[arg(long, value_name = "N")]
    part: Option<u32>,
    /// Command instead of a shell
    #[arg(last = true, value_name = "COMMAND")]
    command: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

impl Shell {
    pub(super) async fn run(self) -> Outcome {
        let bytes: usize = self.command.iter().map(|part| part.len() + 1).sum();
        if bytes > LONGEST {
            return Err(wrong_usage(format!(
                "the command has {bytes} bytes, at most {LONGEST} are sent: put them into a file of the job, or into a pipe"
            )));
        }
        let line = self.connection.client()?.shell(self.id, self.part).await?;
        let input = if std::io::stdin().is_terminal() {
            Input::Person
        } else {
            Input::Pipe
        };
        let (columns, rows) = size();
        #[expect(
            clippy::disallowed_methods,
            reason = "what the person's terminal is, nobody else can say"
        )]
        let term = std::env::var("TERM").unwrap_or_default();
        let start = Start {
            command: self.command,
            term,
            input,
            columns,
            rows,
        };
        let signals = Signals::listen()?;
        let raw = match input {
            Input::Person => Some(Raw::enter().context("cannot set the terminal up")?),
            Input::Pipe => None,
        };
        let ended = converse(line, start, signals).await;
        // Before anything is printed, and on every other way out by being dropped.
        drop(raw);
        match ended? {
            Ended::Exit(code) => Ok(Exit::Other(u8::try_from(code & 0xff).unwrap_or(u8::MAX))),
            Ended::Closed(why) => Err(anyhow!("the terminal was closed: {why}")),
            Ended::Interrupted => Ok(Exit::Interrupted),
            Ended::Unread => Ok(Exit::Success),
        }
    }
}

/// How it ended.
enum Ended {
    Exit(i32),
    Closed(String),
    Interrupted,
    /// Who reads our output has seen enough (`| head`).
    Unread,
}

/// Signals that matter here. Those that would end the process restore the terminal first.
struct Signals {
    window: tokio::signal::unix::Signal,
    end: [tokio::signal::unix::Signal; 4],
}

impl Signals {
    fn listen() -> anyhow::Result<Self> {
        let one = |kind| signal(kind).context("cannot listen to signals");
        Ok(Self {
            window: one(SignalKind::window_change())?,
            end: [
                one(SignalKind::interrupt())?,
                one(SignalKind::terminate())?,
                one(SignalKind::hangup())?,
                one(SignalKind::quit())?,
            ],
        })
    }
}

async fn ending([a, b, c, d]: &mut [tokio::signal::unix::Signal; 4]) {
    tokio::select! {
        _ = a.recv() => {}
        _ = b.recv() => {}
        _ = c.recv() => {}
        _ = d.recv() => {}
    }
}

async fn converse(
    line: impl AsyncRead + AsyncWrite,
    start: Start,
    Signals { mut window, mut end }: Signals,
) -> anyhow::Result<Ended> {
    let (from, to) = tokio::io::split(line);
    let (mut from, mut to) = (Receiver::new(from), Sender::new(to));
    let typing = async {
        to.send(&Frame::Start(start)).await?;
        let mut typed = Some(keyboard()?);
        loop {
            let frame = tokio::select! {
                bytes = next(&mut typed) => Frame::Data(bytes),
                _ = window.recv() => resized(),
                // The same size again: a sign of life.
                () = tokio::time::sleep(PULSE) => resized(),
            };
            to.send(&frame).await?;
        }
    };
    let printing = async {
        loop {
            match from.next().await? {
                Some(Frame::Data(bytes)) => match print(&bytes) {
                    Ok(()) => {}
                    Err(_) => return Ok(Ended::Unread),
                },
                Some(Frame::Exit(code)) => return Ok::<_, std::io::Error>(Ended::Exit(code)),
                Some(Frame::Closed(why)) => return Ok(Ended::Closed(why)),
                Some(Frame::Resize { .. } | Frame::Start(_)) => {}
                None => return Ok(Ended::Closed("the connection to the server broke".to_owned())),
            }
        }
    };
    tokio::pin!(printing);
    let ended = {
        tokio::pin!(typing);
        tokio::select! {
            ended = &mut printing => Some(ended),
            typed = &mut typing => {
                let never: std::io::Result<std::convert::Infallible> = typed;
                match never {
                    Ok(never) => match never {},
                    // Why the connection is closed stands in what came last.
                    Err(_) => None,
                }
            }
            () = ending(&mut end) => Some(Ok(Ended::Interrupted)),
        }
    };
    let ended = match ended {
        Some(ended) => ended,
        None => tokio::select! {
            ended = printing => ended,
            () = ending(&mut end) => Ok(Ended::Interrupted),
        },
    };
    if matches!(ended, Ok(Ended::Interrupted | Ended::Unread)) {
        // The server sees the connection end as well; this says it earlier.
        let _ = tokio::time::timeout(
            std::time::Duration::from_secs(1),
            to.finish(&Frame::Closed("the person has gone".to_owned())),
        )
        .await;
    }
    ended
        .context("the connection to the server broke")
        .hint("the job goes on; open another terminal with the same command")
}

/// The next piece of input: empty at its end, and nothing any more after that.
async fn next(typed: &mut Option<mpsc::Receiver<Bytes>>) -> Bytes {
    let Some(open) = typed else {
        return std::future::pending().await;
    };
    let bytes = open.recv().await.unwrap_or_default();
    if bytes.is_empty() {
        *typed = None;
    }
    bytes
}

/// Reads standard input on a thread that nobody waits for: a read that hangs must not hang the end.
fn keyboard() -> std::io::Result<mpsc::Receiver<Bytes>> {
    let (sender, typed) = mpsc::channel(PIECES);
    std::thread::Builder::new().name("keyboard".to_owned()).spawn(move || {
        let mut piece = [0; PIECE];
        let mut input = std::io::stdin().lock();
        loop {
            match input.read(&mut piece) {
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => return,
                Ok(length) => {
                    if sender.blocking_send(Bytes::copy_from_slice(&piece[..length])).is_err() {
                        return;
                    }
                }
            }
        }
    })?;
    Ok(typed)
}

fn print(bytes: &[u8]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(bytes)?;
    out.flush()
}

fn resized() -> Frame {
    let (columns, rows) = size();
    Frame::Resize { columns, rows }
}

/// Columns and rows of the terminal that is typed into or printed on; a classic one's where there is none.
fn size() -> (u16, u16) {
    let found = [
        termios::tcgetwinsize(std::io::stdin()),
        termios::tcgetwinsize(std::io::stdout()),
    ];
    let known = found
        .into_iter()
        .flatten()
        .find(|size| size.ws_col > 0 && size.ws_row > 0);
    known.map_or((80, 24), |size| (size.ws_col, size.ws_row))
}

/// The local terminal passes every key on as it is. Dropping this sets it back.
struct Raw(Termios);

impl Raw {
    fn enter() -> std::io::Result<Self> {
        let before = termios::tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        let guard = Self(before);
        termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &raw)?;
        Ok(guard)
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing.
        let _ = termios::tcsetattr(std::io::stdin(), OptionalActions::Now, &self.0);
    }
}
