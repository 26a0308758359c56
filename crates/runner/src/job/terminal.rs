//! Terminals in the running job: fetched from the server when it tells of one, run in the sandbox beside the stages.
//!
//! A terminal does not keep the job alive: it ends with the last stage, before the clean-up. What it prints goes to the
//! person and nowhere else: it is neither masked nor kept.

use std::future::pending;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use reqwest::Upgraded;
use tasuki_model::secret::Secret;
use tasuki_proto::terminal::{Frame, Input, PULSE, Receiver, Sender, Start};
use tasuki_rt::CancellationToken;
use tokio::io::{ReadHalf, WriteHalf};
use tokio::sync::{Mutex, mpsc, watch};
use tracing::{info, warn};

use super::host::Host;
use crate::executor::{Interactive, Keyboard, Output, Sandbox, Shell, Stop, Stream, Typed, Typist, Window};
use crate::trace::chain;

/// How long the other end may take to say what is to run.
const START: Duration = Duration::from_secs(10);

/// How long the end of a terminal may hold the end of its job up.
const END: Duration = Duration::from_secs(5);

/// Keys that may wait for a slow program.
const TYPED: usize = 64;

/// The terminals of one job.
pub(super) struct Terminals<'a> {
    pub(super) host: &'a Host,
    pub(super) token: &'a Secret,
    /// Ids of those that somebody wants.
    pub(super) wanted: watch::Receiver<Option<Secret>>,
    pub(super) shell: Shell,
    pub(super) env: Vec<(String, String)>,
}

impl Terminals<'_> {
    /// Opens terminals as they are wanted, one after the other, until the job has `ended`.
    pub(super) async fn serve(mut self, sandbox: &dyn Sandbox, ended: &CancellationToken) {
        loop {
            let id = tokio::select! {
                () = ended.cancelled() => return,
                id = next(&mut self.wanted) => id,
            };
            let fetched = tokio::select! {
                () = ended.cancelled() => return,
                fetched = self.host.client.terminal(self.token, &id) => fetched,
            };
            match fetched {
                Ok(line) => {
                    info!("a terminal was opened in the job");
                    self.run(sandbox, line, ended).await;
                    info!("the terminal was closed");
                }
                // Who wanted it has gone, or hears it from the server.
                Err(error) => warn!(error = %chain(&error), "a terminal could not be fetched"),
            }
        }
    }

    async fn run(&self, sandbox: &dyn Sandbox, line: Upgraded, ended: &CancellationToken) {
        let (from, to) = tokio::io::split(line);
        let (mut from, to) = (Receiver::new(from), Person(Mutex::new(Sender::new(to))));
        let stop = Stop::new();
        let word = tokio::select! {
            word = self.converse(sandbox, &mut from, &to, &stop) => word,
            never = to.pulse() => match never {},
            () = async {
                ended.cancelled().await;
                stop.force();
                // What it still has to say is not waited for longer.
                tokio::time::sleep(END).await;
            } => Some(Frame::Closed(ENDED.to_owned())),
        };
        if let Some(word) = word {
            // Who does not read any more misses it.
            let _ = tokio::time::timeout(END, to.0.into_inner().finish(&word)).await;
        }
    }

    /// The last word; `None`: the other end has gone.
    async fn converse(
        &self,
        sandbox: &dyn Sandbox,
        from: &mut Receiver<ReadHalf<Upgraded>>,
        to: &Person,
        stop: &Stop,
    ) -> Option<Frame> {
        let (start, window) = tokio::time::timeout(START, started(from)).await.ok()??;
        let (keys, typed) = mpsc::channel(TYPED);
        let program = sandbox.interact(self.interactive(start, window, stop.clone()), Keyboard { typed }, to);
        let hands = async {
            type_in(from, keys).await;
            stop.force();
            // Nobody waits for it any more: dropping it ends it, too.
            tokio::time::sleep(END).await;
        };
        let exit = tokio::select! {
            exit = program => exit,
            () = hands => return None,
        };
        Some(match exit {
            Ok(exit) => match exit.code() {
                Some(code) => Frame::Exit(code),
                None => Frame::Closed(ENDED.to_owned()),
            },
            Err(error) => {
                warn!(error = %chain(&error), "a terminal could not be run");
                Frame::Closed(chain(&error))
            }
        })
    }

    fn interactive(&self, start: Start, window: Window, stop: Stop) -> Interactive {
        let mut env = self.env.clone();
        let term = match start.term.as_str() {
            "" => "dumb".to_owned(),
            _ => start.term,
        };
        env.push(("TERM".to_owned(), term));
        Interactive {
            argv: start.command,
            shell: self.shell.clone(),
            typist: match start.input {
                Input::Person => Typist::Person,
                Input::Pipe => Typist::Pipe,
            },
            env,
            cwd: None,
            window,
            stop,
        }
    }
}

const ENDED: &str = "the job has ended, and the terminal with it";

/// The next id; never, once the uploader is gone.
async fn next(wanted: &mut watch::Receiver<Option<Secret>>) -> Secret {
    loop {
        if wanted.changed().await.is_err() {
            pending::<()>().await;
        }
        if let Some(id) = wanted.borrow_and_update().clone() {
            return id;
        }
    }
}

/// What is to run, in a window of which size.
async fn started(from: &mut Receiver<ReadHalf<Upgraded>>) -> Option<(Start, Window)> {
    let Ok(Some(Frame::Start(start))) = from.next().await else {
        return None;
    };
    let window = Window {
        columns: start.columns,
        rows: start.rows,
    };
    Some((start, window))
}

/// Passes keys on until the other end has gone.
async fn type_in(from: &mut Receiver<ReadHalf<Upgraded>>, keys: mpsc::Sender<Typed>) {
    while let Ok(Some(frame)) = from.next().await {
        let typed = match frame {
            Frame::Data(bytes) if bytes.is_empty() => Typed::End,
            Frame::Data(bytes) => Typed::Bytes(bytes),
            Frame::Resize { columns, rows } => Typed::Resize(Window { columns, rows }),
            Frame::Closed(_) | Frame::Exit(_) | Frame::Start(_) => return,
        };
        // The program takes no more keys, but runs on.
        let _ = keys.send(typed).await;
    }
}

/// The person's end.
struct Person(Mutex<Sender<WriteHalf<Upgraded>>>);

impl Person {
    /// Says that we are there, now and then.
    async fn pulse(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(PULSE).await;
            // That the connection is gone is seen by who reads from it.
            let _ = self.0.lock().await.send(&Frame::Data(Bytes::new())).await;
        }
    }
}

#[async_trait]
impl Output for Person {
    async fn write(&self, _stream: Stream, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        let frame = Frame::Data(Bytes::copy_from_slice(bytes));
        let _ = self.0.lock().await.send(&frame).await;
    }
}
