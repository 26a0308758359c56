//! A program on a terminal (pty) of its own, under a supervisor.

use std::io::{self, Write as _};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;
use std::time::Duration;

use bytes::Bytes;
use rustix::pty::OpenptFlags;
use rustix::termios::{self, LocalModes, OptionalActions, SpecialCodeIndex, Winsize};
use serde::{Deserialize, Serialize};
use tasuki_rt::CancellationToken;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::sync::mpsc;

use super::running::{Nets, Supervisor};
use super::{Binary, DRAIN_GRACE, Error, Exit, Limits, Output, Result, Spec, Stream};

/// Bytes that are read at once.
const PIECE: usize = 16 << 10;

/// How often a program that goes on reading is told that the input has ended.
const END_AGAIN: Duration = Duration::from_millis(500);

/// Exit codes of a program that could not be started, as shells give them.
const NOT_FOUND: u8 = 127;
const NOT_STARTED: u8 = 126;

/// Size in characters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    pub columns: u16,
    pub rows: u16,
}

impl Default for Window {
    fn default() -> Self {
        Self { columns: 80, rows: 24 }
    }
}

/// Who types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Typist {
    /// Sees what is typed, and edits it in the shell.
    #[default]
    Person,
    /// A file or a program: nothing is echoed, and shells take lines as they come.
    Pipe,
}

/// What comes from the keyboard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Typed {
    Bytes(Bytes),
    /// The input has ended: said by the key for it (mostly Ctrl-D), and again while the program goes on.
    End,
    Resize(Window),
}

/// Where the typed comes from. When the other end is dropped nothing more is typed; the program goes on.
#[derive(Debug)]
pub struct Keyboard {
    pub typed: mpsc::Receiver<Typed>,
}

/// A started program on a terminal. Dropping it kills it and all that it started.
#[derive(Debug)]
pub struct OnTerminal {
    supervisor: Supervisor,
    /// The pty's side of the screen and of the keyboard: the same device.
    screen: Receiver,
    keys: Sender,
}

impl OnTerminal {
    /// Makes a pty, then starts a supervisor and the program under it. `spec.stdin` must be [`super::Stdin::Terminal`].
    ///
    /// # Errors
    /// There is no pty to be had, or the supervisor cannot be started. That the program cannot be started is printed on
    /// the terminal, and its exit code is 127 (not found) or 126.
    pub async fn start(binary: &Binary, nets: &Nets, spec: Spec, window: Window, typist: Typist) -> Result<Self> {
        let what = "make a terminal";
        let (master, slave) = pty(&spec, window, typist).map_err(Error::system(what))?;
        let second = master.try_clone().map_err(Error::system(what))?;
        // Two pipes in all but name: what a pty reads and writes, and when it can, is the same.
        let screen = Receiver::from_owned_fd_unchecked(master).map_err(Error::system(what))?;
        let keys = Sender::from_owned_fd_unchecked(second).map_err(Error::system(what))?;
        let second = slave.try_clone().map_err(Error::system(what))?;
        let mut supervisor = Supervisor::spawn(binary, nets.marker.as_deref(), slave, second)?;
        supervisor.begin(spec, nets.cgroup.as_ref()).await?;
        Ok(Self {
            supervisor,
            screen,
            keys,
        })
    }

    /// Types what comes from `keyboard` and passes on what is printed, until the program has ended or is ended. What it
    /// left in the background ends with it: when this returns nobody is left.
    ///
    /// # Errors
    /// The end is unknown: the supervisor was killed, or a process cannot be killed.
    pub async fn finish(self, limits: &Limits, mut keyboard: Keyboard, output: &dyn Output) -> Result<Exit> {
        let Self {
            mut supervisor,
            mut screen,
            mut keys,
        } = self;
        let watched = {
            let watch = supervisor.watch(limits);
            let ended = CancellationToken::new();
            let print = print(&mut screen, output, &ended);
            let type_in = type_in(&mut keys, &mut keyboard.typed);
            tokio::pin!(watch, print, type_in);
            let (mut printed, mut typed) = (false, false);
            let watched = loop {
                tokio::select! {
                    watched = &mut watch => break watched,
                    () = &mut print, if !printed => printed = true,
                    () = &mut type_in, if !typed => typed = true,
                }
            };
            ended.cancel();
            if !printed && !limits.stop.is_pulled() {
                // What it printed last.
                print.await;
            }
            watched
        };
        let (exit, alone) = watched?;
        // The session hears that its terminal is gone.
        drop((screen, keys));
        if !alone {
            supervisor.end().await?;
        }
        Ok(exit)
    }
}

fn pty(spec: &Spec, window: Window, typist: Typist) -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let master = rustix::pty::openpt(flags)?;
    rustix::pty::grantpt(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave = rustix::pty::ioctl_tiocgptpeer(&master, flags)?;
    if let Some(user) = &spec.user {
        // So that it can open its terminal by name.
        std::os::unix::fs::fchown(&slave, Some(user.uid), None)?;
    }
    rustix::fs::fchmod(&slave, rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR)?;
    resize(&master, window)?;
    if typist == Typist::Pipe {
        let mut set = termios::tcgetattr(&slave)?;
        set.local_modes.remove(LocalModes::ECHO);
        termios::tcsetattr(&slave, OptionalActions::Now, &set)?;
    }
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok((master, slave))
}

fn resize(master: impl AsFd, window: Window) -> io::Result<()> {
    let size = Winsize {
        ws_row: window.rows,
        ws_col: window.columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    termios::tcsetwinsize(master, size)?;
    Ok(())
}

/// Until nobody holds the terminal open, or, once the program has `ended`, nobody who does prints anything.
async fn print(screen: &mut Receiver, output: &dyn Output, ended: &CancellationToken) {
    let mut piece = vec![0; PIECE];
    loop {
        let quiet = async {
            ended.cancelled().await;
            tokio::time::sleep(DRAIN_GRACE).await;
        };
        let read = tokio::select! {
            read = screen.read(&mut piece) => read,
            () = quiet => return,
        };
        match read {
            Ok(length @ 1..) => output.write(Stream::Stdout, &piece[..length]).await,
            Ok(0) | Err(_) => return,
        }
    }
}

/// Until nothing more comes, or the terminal takes nothing more.
async fn type_in(keys: &mut Sender, typed: &mut mpsc::Receiver<Typed>) {
    // The end of a file is met at every read, that of a terminal's input once: whoever reads again gets it again.
    let mut over = false;
    loop {
        let next = tokio::select! {
            Some(next) = typed.recv() => next,
            () = tokio::time::sleep(END_AGAIN), if over => Typed::End,
            else => return,
        };
        let done = match next {
            Typed::Bytes(bytes) => keys.write_all(&bytes).await,
            Typed::End => {
                over = true;
                let key = end_key(&*keys);
                keys.write_all(&[key]).await
            }
            Typed::Resize(window) => resize(&*keys, window),
        };
        if done.is_err() {
            return;
        }
    }
}

/// The key that ends the input, as the program has set it.
fn end_key(master: impl AsFd) -> u8 {
    const CTRL_D: u8 = 4;
    termios::tcgetattr(master).map_or(CTRL_D, |set| set.special_codes[SpecialCodeIndex::VEOF])
}

/// `guest terminal PROGRAM ARGUMENT…`: makes this process the leader of a session on the terminal that is its standard
/// input, then becomes the program.
#[must_use]
pub fn lead(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let Some(program) = arguments.next() else {
        return ExitCode::from(NOT_STARTED);
    };
    let led = rustix::process::setsid().and_then(|_| rustix::process::ioctl_tiocsctty(io::stdin()));
    let error = match led {
        Ok(()) => {
            #[expect(clippy::disallowed_methods, reason = "this is the door")]
            let mut command = std::process::Command::new(&program);
            command.args(arguments).exec()
        }
        Err(errno) => errno.into(),
    };
    let _ = writeln!(io::stderr(), "cannot start {program}: {error}");
    ExitCode::from(match error.kind() {
        io::ErrorKind::NotFound => NOT_FOUND,
        _ => NOT_STARTED,
    })
}
