//! Work that outlives the connection that it was asked for by.
//!
//! | Command | Does |
//! |---|---|
//! | `guest session DIR WHO` | joins its standard input and output with the session in that folder, and makes it where it is missing |
//! | `guest carry DIR WHO` | is the session: does one piece of work, keeps what it says in a file, and hands it to whoever connects |
//!
//! The runner starts `session` by an exec in the container as often as it has to: each time it says how much it has, and gets
//! the rest ([`Opening`]). A stop comes the same way, and is not lost either: the runner repeats it. The session ends when its
//! answer was read ([`Order::Read`]) and no background process is left; at the latest the pod's end is its own.
//!
//! `WHO` is `-`, or `uid:gid:group,group`: whom the work's files belong to. Without the right to become that user the files
//! may be written by everybody in the pod.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::{DirBuilderExt as _, chown};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::fs::{Mode, OFlags, Stat};
use tasuki_rt::Tasks;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::mpsc;

use super::log::Log;
use super::protocol::{Answer, BEAT, Kind, Opening, Order, Work};
use super::work::{perform, receive};
use crate::process::{Binary, Keyboard, Lingering, Stop, Typed, User, become_user};

/// Socket of a session, in its folder.
const CONTROL: &str = "control";
/// What it has said, in its folder.
const LOG: &str = "log";

/// How often it is looked whether background processes have ended.
const LOOK: Duration = Duration::from_millis(500);

/// Exit code of `session` where the session has died.
const DEAD: u8 = 4;

/// Joins this process's input and output with a session.
pub(crate) fn session(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(folder), Some(who)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return ExitCode::from(2);
    };
    match join(&folder, &who) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "the session {}: {error}", folder.display());
            ExitCode::from(DEAD)
        }
    }
}

fn join(folder: &Path, who: &str) -> io::Result<()> {
    let to = match connect(folder, who) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            begin(folder, who)?;
            connect(folder, who)?
        }
        other => other?,
    };
    let (mut from, mut out) = (to.try_clone()?, File::from(io::stdout().as_fd().try_clone_to_owned()?));
    std::thread::Builder::new().name("input".to_owned()).spawn(move || {
        let mut input = File::from(io::stdin().as_fd().try_clone_to_owned()?);
        let copied = pump(&mut input, &to);
        // The runner let go: the session is left to itself.
        std::process::exit(i32::from(copied.is_err()));
        #[expect(unreachable_code, reason = "names the type of `?`")]
        io::Result::Ok(())
    })?;
    pump(&mut from, &mut out)
}

/// Passes on what there is as soon as it is there. `io::copy` would splice, and a spliced end of the output may lie in the
/// kernel until more comes.
fn pump(from: &mut impl Read, mut to: impl Write) -> io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        match from.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => to.write_all(&buffer[..read])?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// By way of the working directory: the address of a socket is short, and the folder that is entered is the one that was
/// looked at. Another user of the pod could have made one of this name, to be told the work with its secrets.
fn connect(folder: &Path, who: &str) -> io::Result<UnixStream> {
    rustix::process::fchdir(trusted(folder, who)?)?;
    UnixStream::connect(CONTROL)
}

/// The folder, opened, where it may be told what the work is.
fn trusted(folder: &Path, who: &str) -> io::Result<OwnedFd> {
    let flags = OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let opened = rustix::fs::open(folder, flags, Mode::empty())?;
    let about = rustix::fs::fstat(&opened)?;
    let own = rustix::process::geteuid().as_raw();
    if !is_trusted(&about, own, successor(who).map(|user| user.uid)) {
        let why = format!(
            "its folder was made by somebody else (uid {}, mode {:o}): nothing is told to it",
            about.st_uid,
            about.st_mode & 0o7777
        );
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(opened)
}

/// Whether a folder was made by this user, or by one of whom the session became `successor`, and is closed to all others.
fn is_trusted(about: &Stat, own: u32, successor: Option<u32>) -> bool {
    (about.st_uid == own || Some(about.st_uid) == successor) && about.st_mode & 0o077 == 0
}

/// Makes the folder, complete from its first moment on, and starts the session. Another one that is faster is fine, too.
fn begin(folder: &Path, who: &str) -> io::Result<()> {
    let draft = folder.with_extension(std::process::id().to_string());
    fs::DirBuilder::new().mode(0o700).create(&draft)?;
    std::env::set_current_dir(&draft)?;
    let listener = UnixListener::bind(CONTROL)?;
    if let Some(user) = successor(who) {
        chown(CONTROL, Some(user.uid), Some(user.gid))?;
        chown(&draft, Some(user.uid), Some(user.gid))?;
    }
    if let Err(error) = fs::rename(&draft, folder) {
        let _ = fs::remove_dir_all(&draft);
        return if folder.is_dir() { Ok(()) } else { Err(error) };
    }
    let binary = Binary::inside();
    let (program, before) = binary.command();
    #[expect(clippy::disallowed_methods, reason = "it must outlive this process and its groups")]
    std::process::Command::new(program)
        .args(before)
        .args(["guest", "carry"])
        .arg(folder)
        .arg(who)
        .process_group(0)
        .stdin(Stdio::from(OwnedFd::from(listener)))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .map(drop)
}

/// Whom the work is done as, where that is somebody else and can be.
fn successor(who: &str) -> Option<User> {
    let user = parse(who)?;
    (User::switchable() && user.uid != 0).then_some(user)
}

fn parse(who: &str) -> Option<User> {
    let mut parts = who.split(':');
    let (uid, gid): (u32, u32) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let groups = parts
        .next()?
        .split(',')
        .filter_map(|group| group.parse().ok())
        .collect();
    Some(User {
        name: uid.to_string(),
        uid,
        gid,
        groups,
        home: PathBuf::from("/"),
    })
}

/// Becomes `who`. Where that cannot be, everybody may write what is made.
pub(super) fn assume(who: &str) {
    let became = successor(who).is_some_and(|user| become_user(&user).is_ok());
    let own = rustix::process::geteuid().as_raw();
    let open = !became && parse(who).is_some_and(|user| user.uid != own);
    rustix::process::umask(Mode::from_raw_mode(if open { 0 } else { 0o022 }));
}

/// The session itself. Standard input is the socket that it listens on.
pub(crate) fn carry(mut arguments: impl Iterator<Item = String>) -> ExitCode {
    let (Some(folder), Some(who)) = (arguments.next().map(PathBuf::from), arguments.next()) else {
        return ExitCode::from(2);
    };
    assume(&who);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let done = runtime.and_then(|runtime| runtime.block_on(live(&folder)));
    let _ = fs::remove_dir_all(&folder);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::from(3),
    }
}

/// What connections need.
struct Session {
    log: Log,
    stop: Stop,
    keys: mpsc::Sender<Typed>,
    works: mpsc::Sender<Work>,
    began: AtomicBool,
}

async fn live(folder: &Path) -> io::Result<()> {
    let listener = UnixListener::from(io::stdin().as_fd().try_clone_to_owned()?);
    listener.set_nonblocking(true)?;
    let listener = tokio::net::UnixListener::from_std(listener)?;
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let stop = Stop::new();
    let (works, mut work) = mpsc::channel(1);
    // Sessions have no terminals: nobody takes keys.
    let (keys, typed) = mpsc::channel(1);
    let session = Session {
        log: Log::create(&folder.join(LOG), stop.clone())?,
        stop: stop.clone(),
        keys,
        works,
        began: AtomicBool::new(false),
    };
    let tasks = Tasks::new();
    let doing = async {
        let work = work.recv().await?;
        Some(perform(work, &stop, &session.log, &tasks, Keyboard { typed }).await)
    };
    tokio::pin!(doing);
    // A new connection takes the place of the one before, which is broken, whatever it looks like from here.
    let mut connection = Box::pin(serve(listener.accept().await?.0, &session));
    let (mut connected, mut left): (bool, Option<Option<Lingering>>) = (true, None);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connection = Box::pin(serve(accepted?.0, &session));
                connected = true;
            }
            () = &mut connection, if connected => {
                connected = false;
                if !session.began.load(Ordering::Relaxed) {
                    // Somebody looked for a session that there was none of.
                    return Ok(());
                }
            }
            done = &mut doing, if left.is_none() => {
                let Some((answer, lingering)) = done else { return Ok(()) };
                let answer = session.log.failure().map_or(answer, |message| Answer::Failed { message });
                session.log.close(Kind::Answer, &serde_json::to_vec(&answer)?);
                left = Some(lingering);
            }
            () = over(&session, left.as_mut()), if left.is_some() => return Ok(()),
        }
    }
}

/// Resolves when the answer was read and no background process is left.
async fn over(session: &Session, left: Option<&mut Option<Lingering>>) {
    session.log.is_read().await;
    if let Some(Some(lingering)) = left {
        while lingering.is_alive() {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// One connection, until it breaks.
async fn serve(stream: tokio::net::UnixStream, session: &Session) {
    let (mut input, mut output) = stream.into_split();
    let Ok(Some(opening)) = receive::<Opening>(&mut input).await else {
        return;
    };
    match opening.work {
        // One that was sent again, since nobody heard that it had come.
        Some(_) if session.began.swap(true, Ordering::Relaxed) => {}
        Some(work) => drop(session.works.try_send(work)),
        None if session.began.load(Ordering::Relaxed) => {}
        None => return,
    }
    tokio::select! {
        _ = tell(session, opening.from, &mut output) => {}
        () = obey(&mut input, session) => {}
    }
}

/// Sends the log from that place on, for ever.
async fn tell(session: &Session, mut at: u64, output: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
    let mut grown = session.log.grown();
    let mut buffer = vec![0; 64 << 10];
    output.write_all(&Kind::Alive.head(0)).await?;
    loop {
        grown.mark_unchanged();
        match session.log.at(at, &mut buffer)? {
            0 => {
                let waited = tokio::time::timeout(BEAT, grown.changed()).await;
                // At the end of the log every frame is whole.
                if waited.is_err() {
                    output.write_all(&Kind::Alive.head(0)).await?;
                }
            }
            read => {
                output.write_all(&buffer[..read]).await?;
                at += read as u64;
            }
        }
    }
}

async fn obey(input: &mut (impl AsyncRead + Unpin), session: &Session) {
    while let Ok(Some(order)) = receive::<Order>(input).await {
        match order {
            Order::Terminate => session.stop.graceful(),
            Order::Kill => session.stop.force(),
            Order::Read { to } => session.log.forget(to),
            Order::EndOfInput => drop(session.keys.try_send(Typed::End)),
            Order::Type { .. } | Order::Resize { .. } => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_told_to_a_folder_that_somebody_else_made() {
        let place = tempfile::tempdir().expect("a folder");
        let own = rustix::process::geteuid().as_raw();
        let folder = place.path().join("work");
        fs::DirBuilder::new().mode(0o700).create(&folder).expect("is made");
        let mode = |mode: u32| {
            use std::os::unix::fs::PermissionsExt as _;
            fs::set_permissions(&folder, fs::Permissions::from_mode(mode)).expect("is set");
        };
        let looks = |folder: &Path| trusted(folder, "-").map(drop).map_err(|error| error.kind());
        assert_eq!(looks(&folder), Ok(()));
        for open in [0o701, 0o710, 0o777] {
            mode(open);
            assert_eq!(looks(&folder), Err(io::ErrorKind::PermissionDenied), "{open:o}");
        }
        mode(0o700);
        let link = place.path().join("link");
        std::os::unix::fs::symlink(&folder, &link).expect("is made");
        assert!(looks(&link).is_err());
        let nowhere = looks(&place.path().join("nowhere"));
        assert_eq!(nowhere, Err(io::ErrorKind::NotFound), "then it is made");

        let about = rustix::fs::stat(&folder).expect("is there");
        for (user, successor, wanted) in [
            (own, None, true),
            (own + 1, None, false),
            (own + 1, Some(own), true),
            (own + 1, Some(own + 2), false),
        ] {
            assert_eq!(is_trusted(&about, user, successor), wanted, "{user} {successor:?}");
        }
    }

    #[test]
    fn users_are_read_from_their_numbers() {
        for (who, wanted) in [
            ("-", None),
            ("", None),
            ("1000:", None),
            ("1000:100:", Some((1000, 100, vec![]))),
            ("1000:100:100,27", Some((1000, 100, vec![100, 27]))),
        ] {
            let user = parse(who).map(|user| (user.uid, user.gid, user.groups));
            assert_eq!(user, wanted, "{who}");
        }
    }
}
