//! A program under a supervisor, seen from the runner.

use std::io;
use std::os::fd::OwnedFd;
use std::process::Stdio;
use std::time::Duration;

use tasuki_rt::{CancellationToken, Tasks};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::process::Child;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout};

use super::spec::{self, End, Event, Order, Spec};
use super::{Binary, Cgroup, Error, Exit, MARKER, Output, Result, Stop, Stream};

/// How long the output is read on after the program ended, when a background process keeps it open.
pub const DRAIN_GRACE: Duration = Duration::from_secs(1);

/// What fits into a pipe: what the program wrote before it ended is among this many bytes.
const PIPE_CAPACITY: usize = 64 << 10;

/// What ends a program before it ends by itself.
#[derive(Debug, Clone)]
pub struct Limits {
    pub timeout: Option<Duration>,
    /// From SIGTERM to SIGKILL.
    pub grace: Duration,
    /// From SIGKILL to giving up.
    pub patience: Duration,
    pub stop: Stop,
}

impl Limits {
    /// How long killed processes may take to disappear where nobody says otherwise.
    pub const PATIENCE: Duration = Duration::from_secs(30);
}

/// How a program ended, and who is left of it.
#[derive(Debug)]
pub struct Finished {
    pub exit: Exit,
    /// Background processes that are still there. Dropping it kills them.
    pub lingering: Option<Lingering>,
}

/// A started program. Dropping it kills it and all that it started.
#[derive(Debug)]
pub struct Running {
    supervisor: Supervisor,
    stdout: Receiver,
    stderr: Receiver,
}

/// Background processes of a program that ended.
#[derive(Debug)]
pub struct Lingering {
    supervisor: Supervisor,
}

/// The nets below a supervisor. Without one of them, the others hold.
#[derive(Debug, Clone, Default)]
pub struct Nets {
    /// Value of [`MARKER`] in its environment, as its programs have it in theirs.
    pub marker: Option<String>,
    /// The cgroup of its programs.
    pub cgroup: Option<Cgroup>,
}

/// A supervisor that waits for its program. Dropping it ends it.
///
/// It exists because a process of our own program takes a few milliseconds to come up.
#[derive(Debug)]
pub struct Waiting(Running);

impl Waiting {
    /// Starts a supervisor with [`MARKER`] in its environment. It is in no cgroup and needs no folder, so that both can be
    /// made meanwhile.
    ///
    /// # Errors
    /// It cannot be started.
    pub fn new(binary: &Binary, marker: Option<&str>) -> Result<Self> {
        let (stdout, stdout_writer) = pipe()?;
        let (stderr, stderr_writer) = pipe()?;
        Ok(Self(Running {
            supervisor: Supervisor::spawn(binary, marker, stdout_writer, stderr_writer)?,
            stdout,
            stderr,
        }))
    }

    /// Starts the program, in the cgroup.
    ///
    /// # Errors
    /// [`Error::Start`] when the program cannot be started: mostly the job's fault. All others are ours.
    pub async fn start(self, spec: Spec, cgroup: Option<&Cgroup>) -> Result<Running> {
        let Self(mut running) = self;
        running.supervisor.begin(spec, cgroup).await?;
        Ok(running)
    }

    /// Ends it and waits until it is gone.
    ///
    /// # Errors
    /// It cannot be killed.
    pub async fn end(self) -> Result<()> {
        self.0.supervisor.end().await
    }
}

impl Running {
    /// Starts a supervisor, and the program under it.
    ///
    /// # Errors
    /// [`Error::Start`] when the program cannot be started: mostly the job's fault. All others are ours.
    pub async fn start(binary: &Binary, nets: &Nets, spec: Spec) -> Result<Self> {
        let waiting = Waiting::new(binary, nets.marker.as_deref())?;
        waiting.start(spec, nets.cgroup.as_ref()).await
    }

    /// Passes the output on until the program has ended, or ends it.
    ///
    /// Returns when the program has ended and its output is written. Background processes that keep the output open
    /// delay it by [`DRAIN_GRACE`] at most; what they print later is read and dropped (by a task of `tasks`), so
    /// that they do not block on a full pipe. After a stop or a timeout nobody is left.
    ///
    /// # Errors
    /// The end is unknown: the supervisor was killed, or a process cannot be killed.
    pub async fn finish(self, limits: &Limits, output: &dyn Output, tasks: &Tasks) -> Result<Finished> {
        let Self {
            mut supervisor,
            stdout,
            stderr,
        } = self;
        let output = Mutex::new(output);
        let enough = CancellationToken::new();
        let pumps = async {
            tokio::join!(
                pump(Stream::Stdout, stdout, &output, &enough),
                pump(Stream::Stderr, stderr, &output, &enough)
            )
        };
        tokio::pin!(pumps);
        let mut open = None;
        let watched = {
            let watch = supervisor.watch(limits);
            tokio::pin!(watch);
            loop {
                tokio::select! {
                    watched = &mut watch => break watched,
                    ends = &mut pumps, if open.is_none() => open = Some(ends),
                }
            }
        };
        let open = match open {
            Some(open) => open,
            None => match timeout(DRAIN_GRACE, &mut pumps).await {
                Ok(open) => open,
                Err(_) => {
                    enough.cancel();
                    pumps.await
                }
            },
        };
        let (exit, alone) = watched?;
        if alone {
            return Ok(Finished { exit, lingering: None });
        }
        for pipe in [open.0, open.1].into_iter().flatten() {
            tasks.spawn("drain of a background process", drop_rest(pipe));
        }
        Ok(Finished {
            exit,
            lingering: Some(Lingering { supervisor }),
        })
    }
}

impl Lingering {
    /// Whether somebody is still there.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.supervisor.child.try_wait(), Ok(None))
    }

    /// Kills all of them and waits until they are gone.
    ///
    /// # Errors
    /// One of them cannot be killed.
    pub async fn end(self) -> Result<()> {
        self.supervisor.end().await
    }
}

impl Supervisor {
    /// Kills everybody who is left and waits until they are gone.
    pub(super) async fn end(self) -> Result<()> {
        let Self { mut child, control, .. } = self;
        drop(control);
        match timeout(Limits::PATIENCE, child.wait()).await {
            Ok(_) => Ok(()),
            Err(_) => Err(Error::Unkillable {
                seconds: Limits::PATIENCE.as_secs(),
            }),
        }
    }
}

/// The supervisor's process and the socket to it.
#[derive(Debug)]
pub(super) struct Supervisor {
    child: Child,
    control: UnixStream,
    received: Vec<u8>,
}

impl Supervisor {
    /// Starts the program.
    pub(super) async fn begin(&mut self, spec: Spec, cgroup: Option<&Cgroup>) -> Result<()> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        let order = Order::Start {
            spec: Box::new(spec),
            cgroup: cgroup.cloned(),
        };
        self.order(&order).await.map_err(|_| Error::SupervisorLost)?;
        match self.event().await? {
            Some(Event::Started { .. }) => Ok(()),
            Some(Event::NotStarted { errno }) => Err(Error::Start {
                program,
                source: io::Error::from_raw_os_error(errno),
            }),
            Some(Event::Ended { .. } | Event::Empty) | None => Err(Error::SupervisorLost),
        }
    }

    /// Starts a supervisor with these channels.
    pub(super) fn spawn(binary: &Binary, marker: Option<&str>, stdout: OwnedFd, stderr: OwnedFd) -> Result<Self> {
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(Error::system("make a socket pair"))?;
        ours.set_nonblocking(true).map_err(Error::system("set up a socket"))?;
        let control = UnixStream::from_std(ours).map_err(Error::system("set up a socket"))?;
        let (program, before) = binary.command();
        #[expect(clippy::disallowed_methods, reason = "this is the door")]
        let mut command = tokio::process::Command::new(program);
        command
            .arg0("tasuki")
            .args(before)
            .args(["guest", "supervise"])
            .env_clear()
            .envs(marker.map(|value| (MARKER, value)))
            .current_dir("/")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::from(stdout))
            .stderr(Stdio::from(stderr));
        let child = command.spawn().map_err(|source| Error::Supervisor {
            binary: binary.path().display().to_string(),
            source,
        })?;
        Ok(Self {
            child,
            control,
            received: Vec::new(),
        })
    }

    async fn order(&mut self, order: &Order) -> io::Result<()> {
        self.control.write_all(&spec::encode(order)?).await
    }

    /// The next event; `None` when the supervisor is gone. Can be dropped at any time without losing one.
    async fn event(&mut self) -> Result<Option<Event>> {
        loop {
            if let Some(head) = self.received.first_chunk::<4>() {
                let end = 4 + spec::frame_length(*head).map_err(Error::system("hear the supervisor"))?;
                if self.received.len() >= end {
                    let event = serde_json::from_slice(&self.received[4..end]);
                    self.received.drain(..end);
                    return event
                        .map(Some)
                        .map_err(io::Error::from)
                        .map_err(Error::system("hear the supervisor"));
                }
            }
            match self.control.read_buf(&mut self.received).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(_) => {}
            }
        }
    }

    /// Follows the program to its end. Returns it, and whether nobody was left behind.
    pub(super) async fn watch(&mut self, limits: &Limits) -> Result<(Exit, bool)> {
        let far = Instant::now() + Duration::from_secs(100 * 365 * 24 * 3600);
        let timeout_at = limits
            .timeout
            .and_then(|limit| Instant::now().checked_add(limit))
            .unwrap_or(far);
        // Why we end it, and when the next harder measure is due.
        let mut cause: Option<Exit> = None;
        let mut next_at = far;
        let mut killed = false;
        loop {
            tokio::select! {
                biased;
                event = self.event() => match event? {
                    Some(Event::Ended { end, alone }) => match cause {
                        None => return Ok((Exit::from(end), alone)),
                        Some(cause) if alone => return Ok((cause, true)),
                        Some(_) => {}
                    },
                    Some(Event::Empty) => return cause.map(|cause| (cause, true)).ok_or(Error::SupervisorLost),
                    Some(Event::Started { .. } | Event::NotStarted { .. }) => {}
                    None => return Err(Error::SupervisorLost),
                },
                () = limits.stop.forced(), if !killed => {
                    cause.get_or_insert(Exit::Stopped);
                    killed = self.kill(&mut next_at, limits.patience).await;
                }
                () = limits.stop.pulled(), if cause.is_none() => {
                    cause = Some(Exit::Stopped);
                    next_at = self.terminate(limits.grace).await;
                }
                () = sleep_until(timeout_at), if cause.is_none() => {
                    cause = Some(Exit::TimedOut);
                    next_at = self.terminate(limits.grace).await;
                }
                () = sleep_until(next_at), if cause.is_some() => {
                    if killed {
                        return Err(Error::Unkillable { seconds: limits.patience.as_secs() });
                    }
                    killed = self.kill(&mut next_at, limits.patience).await;
                }
            }
        }
    }

    /// A supervisor that cannot be written to is gone, which the next event shows.
    async fn terminate(&mut self, grace: Duration) -> Instant {
        let _ = self.order(&Order::Terminate).await;
        Instant::now() + grace
    }

    async fn kill(&mut self, next_at: &mut Instant, patience: Duration) -> bool {
        let _ = self.order(&Order::Kill).await;
        *next_at = Instant::now() + patience;
        true
    }
}

impl From<End> for Exit {
    fn from(end: End) -> Self {
        match end {
            End::Code(code) => Self::Code(code),
            End::Signal(signal) => Self::Signal(signal),
        }
    }
}

fn pipe() -> Result<(Receiver, OwnedFd)> {
    let (reader, writer) = io::pipe().map_err(Error::system("make a pipe"))?;
    let reader = Receiver::from_owned_fd(reader.into()).map_err(Error::system("set up a pipe"))?;
    Ok((reader, writer.into()))
}

/// Passes on what is written to `pipe` until it ends, or until it is `enough`: then what is in it at that moment.
/// Returns the pipe when somebody still holds its other end.
async fn pump(
    stream: Stream,
    mut pipe: Receiver,
    output: &Mutex<&dyn Output>,
    enough: &CancellationToken,
) -> Option<Receiver> {
    let mut buffer = vec![0; PIPE_CAPACITY];
    loop {
        let read = tokio::select! {
            () = enough.cancelled() => break,
            read = pipe.read(&mut buffer) => read,
        };
        match read {
            Ok(0) | Err(_) => return None,
            Ok(length) => output.lock().await.write(stream, &buffer[..length]).await,
        }
    }
    let mut left = PIPE_CAPACITY;
    while left > 0 {
        match pipe.try_read(&mut buffer) {
            Ok(0) => return None,
            Ok(length) => {
                output.lock().await.write(stream, &buffer[..length]).await;
                left = left.saturating_sub(length);
            }
            Err(_) => break,
        }
    }
    Some(pipe)
}

/// Keeps a pipe from filling up.
async fn drop_rest(mut pipe: Receiver) {
    let mut buffer = vec![0; 4096];
    while matches!(pipe.read(&mut buffer).await, Ok(1..)) {}
}
