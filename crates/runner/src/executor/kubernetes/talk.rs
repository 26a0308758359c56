//! Talking to the guest in a container: over one connection, or over as many as it takes.

use std::convert::Infallible;
use std::time::{Duration, Instant};

use tasuki_rt::Backoff;
use tokio::sync::watch;

use super::link::{Attached, Link, Over};
use super::plan::Planned;
use super::sight::{self, Trouble};
use super::wire::{Input, Output as Said};
use crate::executor::{Error, Exit, Keyboard, Output, Result, Stop, Stream};
use crate::guest::inside::{Answer, Frames, Kind, Opening, Order, Work};
use crate::process::encode;

/// How long nothing may be heard of a guest, which says every ten seconds that it is there.
const SILENCE: Duration = Duration::from_secs(45);

/// Pauses before a session is connected to again.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(30));

/// How long a session may be out of reach: an API server or a node's agent may be replaced meanwhile.
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How long a job may be waited for after it should have ended: stopped, or at its time and its grace.
const LAST: Duration = Duration::from_secs(30);

/// What is read before the guest is told so.
const ACKNOWLEDGE: u64 = 1 << 20;

/// How long the last word to a session may take.
const FAREWELL: Duration = Duration::from_secs(10);

/// How long what a job has said may take to come, over its programs' grace, once its pod is known to be of no use.
const REST: Duration = Duration::from_secs(30);

/// How long the cluster may take to tell of a pod's end that its connections have already felt.
const NEWS: Duration = Duration::from_secs(1);

/// The same where a program was ended by a signal and its pod does not answer any more: a node tells of containers after
/// their end.
const LATE_NEWS: Duration = Duration::from_secs(20);

/// How long the cluster is asked what became of a pod.
const INQUIRY: Duration = Duration::from_secs(10);

/// How often short work, which may be done twice, is tried.
const TRIES: u32 = 4;

/// What one connection came to.
enum Heard {
    Answer(Box<Answer>),
    Over(Over),
}

/// When work is to be over at the latest, whatever its connections look like.
#[derive(Debug, Clone, Copy)]
pub(super) struct Due {
    /// Its own time.
    pub(super) timeout: Option<Duration>,
    /// What its programs have once they are asked to end.
    pub(super) grace: Duration,
}

/// Work that came to its end, or should have long ago: a connection that nobody answers at looks like a long job.
pub(super) enum Timely<T> {
    Done(T),
    Late(Exit),
}

/// Waits no longer for `work` than it may take. The guest keeps the time itself: this is for the one that cannot be reached.
pub(super) async fn timely<T>(stop: &Stop, due: Due, work: impl Future<Output = T>) -> Timely<T> {
    let stopped = async {
        stop.pulled().await;
        tokio::select! {
            () = stop.forced() => tokio::time::sleep(LAST).await,
            () = tokio::time::sleep(due.grace.saturating_add(LAST)) => {}
        }
    };
    let timed_out = async {
        match due.timeout {
            Some(limit) => tokio::time::sleep(limit.saturating_add(due.grace).saturating_add(LAST)).await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        done = work => Timely::Done(done),
        () = stopped => Timely::Late(Exit::Stopped),
        () = timed_out => Timely::Late(Exit::TimedOut),
    }
}

/// Short work that may be done twice. It is repeated when the connection breaks off.
pub(super) async fn ask(link: &Link, container: &str, work: &Work, stop: &Stop) -> Result<Answer> {
    let due = Due {
        timeout: None,
        grace: Duration::ZERO,
    };
    match timely(stop, due, ask_again(link, container, work, stop)).await {
        Timely::Done(answer) => answer,
        Timely::Late(_) => Err(Error::Stopped),
    }
}

async fn ask_again(link: &Link, container: &str, work: &Work, stop: &Stop) -> Result<Answer> {
    let (mut backoff, began) = (Backoff::new(PAUSE.0, PAUSE.1), Instant::now());
    loop {
        let (_, typed) = tokio::sync::mpsc::channel(1);
        let keyboard = Keyboard { typed };
        let heard = once(link, container, work, stop, keyboard, &crate::executor::Discard).await?;
        match heard {
            Heard::Answer(answer) => return Ok(*answer),
            Heard::Over(Over::Broken(_)) if backoff.tries() + 1 < TRIES && began.elapsed() < PATIENCE => {
                tokio::time::sleep(backoff.pause()).await;
            }
            Heard::Over(over) => return Err(lost(link, over).await),
        }
    }
}

/// Work that ends with its connection.
pub(super) async fn live(
    link: &Link,
    container: &str,
    work: &Work,
    stop: &Stop,
    keyboard: Keyboard,
    output: &dyn Output,
) -> Result<Answer> {
    match once(link, container, work, stop, keyboard, output).await? {
        Heard::Answer(answer) => Ok(*answer),
        Heard::Over(over) => Err(lost(link, over).await),
    }
}

async fn once(
    link: &Link,
    container: &str,
    work: &Work,
    stop: &Stop,
    keyboard: Keyboard,
    output: &dyn Output,
) -> Result<Heard> {
    let frame = encode(work).map_err(|error| Error::system("write the work down", error))?;
    let mut attached = match link.guest(container, &["inside"]).await {
        Ok(attached) => attached,
        Err(fault) if fault.is_missing() => return Ok(Heard::Over(Over::Broken(fault.to_string()))),
        Err(fault) => return Err(fault.explain(what(link, container))),
    };
    let Attached { input, output: from } = &mut attached;
    let mut frames = Frames::default();
    let heard = {
        let write = async {
            input.write(&frame).await;
            drop(frame);
            tokio::join!(obey(input, stop), type_in(input, keyboard)).0
        };
        let read = async {
            loop {
                match tokio::time::timeout(SILENCE, from.next()).await {
                    Ok(None) => return Ok(None),
                    Ok(Some(piece)) => frames.feed(&piece),
                    Err(_) => return Err(silent()),
                }
                while let Some((kind, bytes)) = frames.take()? {
                    match kind {
                        Kind::Answer => return serde_json::from_slice(bytes).map(Some).map_err(std::io::Error::from),
                        Kind::Stdout => output.write(Stream::Stdout, bytes).await,
                        Kind::Stderr => output.write(Stream::Stderr, bytes).await,
                        Kind::Alive => {}
                    }
                }
            }
        };
        tokio::pin!(write, read);
        tokio::select! {
            heard = &mut read => heard,
            never = &mut write => match never {},
            trouble = link.watcher.trouble() => match tokio::time::timeout(rest(link), &mut read).await {
                Ok(heard) => heard,
                Err(_) => return Err(trouble.error()),
            }
        }
    };
    match heard {
        Ok(Some(answer)) => Ok(Heard::Answer(Box::new(answer))),
        Ok(None) => Ok(Heard::Over(attached.over())),
        Err(error) if error.kind() == std::io::ErrorKind::TimedOut => Ok(Heard::Over(Over::Broken(error.to_string()))),
        Err(error) => Err(Error::system("understand the guest", error)),
    }
}

fn silent() -> std::io::Error {
    std::io::Error::new(std::io::ErrorKind::TimedOut, "nothing is heard any more")
}

/// How long the rest of what a job says is listened to in a pod that is on its way out: its programs have their grace.
fn rest(link: &Link) -> Duration {
    sight::grace(&link.watcher.seen().borrow().pod).saturating_add(REST)
}

fn what(link: &Link, container: &str) -> String {
    format!(
        "start a program in the container {container} of the pod {}/{}",
        link.namespace, link.pod
    )
}

/// Passes the stop on.
async fn obey(input: &Input, stop: &Stop) -> Infallible {
    let order = |order: Order| encode(&order).unwrap_or_default();
    stop.pulled().await;
    if !stop.is_forced() {
        input.write(&order(Order::Terminate)).await;
    }
    stop.forced().await;
    input.write(&order(Order::Kill)).await;
    std::future::pending().await
}

/// Passes keys on.
async fn type_in(input: &Input, mut keyboard: Keyboard) {
    while let Some(typed) = keyboard.typed.recv().await {
        input.write(&encode(&Order::from(typed)).unwrap_or_default()).await;
    }
}

/// A session of the guest, seen from here.
pub(super) struct Session<'a> {
    pub(super) link: &'a Link,
    pub(super) container: &'a str,
    /// Its folder in the container.
    pub(super) folder: String,
    /// Whom its work is done as (`guest session`).
    pub(super) who: &'a str,
}

/// What was heard of a session so far.
struct Hearing {
    frames: Frames,
    /// How much of its log is passed on.
    position: u64,
    /// It is known to have its work.
    begun: bool,
    heard_at: Instant,
}

/// Kills a session whose future is dropped.
struct Abandoned<'a> {
    session: &'a Session<'a>,
    armed: bool,
}

impl Drop for Abandoned<'_> {
    fn drop(&mut self) {
        if !self.armed || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (link, container) = (self.session.link.clone(), self.session.container.to_owned());
        let (folder, who) = (self.session.folder.clone(), self.session.who.to_owned());
        let tasks = link.tasks.clone();
        tasks.spawn("end of an abandoned script", async move {
            let end = async {
                let Ok(mut attached) = link.guest(&container, &["session", &folder, &who]).await else {
                    return;
                };
                let opening = Opening {
                    from: u64::MAX,
                    work: None,
                };
                let mut bytes = encode(&opening).unwrap_or_default();
                for order in [Order::Kill, Order::Read { to: u64::MAX }] {
                    bytes.extend(encode(&order).unwrap_or_default());
                }
                attached.input.write(&bytes).await;
                while attached.output.next().await.is_some() {}
            };
            let _ = tokio::time::timeout(FAREWELL, end).await;
        });
    }
}

impl Session<'_> {
    /// Does a piece of work whatever happens to connections: not a byte of its output is lost or passed on twice. Dropping
    /// the future kills it.
    pub(super) async fn run(&self, work: Work, stop: &Stop, output: &dyn Output) -> Result<Answer> {
        let failed = |error| Error::system("write the work down", error);
        let opening = Opening {
            from: 0,
            work: Some(work),
        };
        let mut first = Some(encode(&opening).map_err(failed)?);
        drop(opening);
        let mut guard = Abandoned {
            session: self,
            armed: true,
        };
        let mut hearing = Hearing {
            frames: Frames::default(),
            position: 0,
            begun: false,
            heard_at: Instant::now(),
        };
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        let done = loop {
            let again = Opening {
                from: hearing.position,
                work: None,
            };
            if hearing.begun {
                first = None;
            }
            let again = encode(&again).map_err(failed)?;
            let opening = first.as_ref().unwrap_or(&again);
            let before = hearing.heard_at;
            let why = match self.connection(opening, &mut hearing, stop, output).await {
                Ok(Heard::Answer(answer)) => break Ok(*answer),
                Ok(Heard::Over(Over::Broken(why))) => why,
                Ok(Heard::Over(over)) => break Err(lost(self.link, over).await),
                Err(error) => break Err(error),
            };
            if hearing.heard_at > before {
                backoff.reset();
            }
            if hearing.heard_at.elapsed() > PATIENCE {
                break Err(lost(self.link, Over::Broken(why)).await);
            }
            tracing::debug!(
                pod = self.link.pod,
                why,
                "a connection to a job broke off: it is made again"
            );
            tokio::select! {
                () = tokio::time::sleep(backoff.pause()) => {}
                trouble = self.link.watcher.trouble() => break Err(trouble.error()),
            }
        };
        guard.armed = false;
        done
    }

    async fn connection(
        &self,
        opening: &[u8],
        hearing: &mut Hearing,
        stop: &Stop,
        output: &dyn Output,
    ) -> Result<Heard> {
        let started = self
            .link
            .guest(self.container, &["session", &self.folder, self.who])
            .await;
        let mut attached = match started {
            Ok(attached) => attached,
            Err(fault) if fault.is_forbidden() => return Err(fault.explain(what(self.link, self.container))),
            // The pod itself says whether it is gone.
            Err(fault) => return Ok(Heard::Over(Over::Broken(fault.to_string()))),
        };
        let (read_to, read) = watch::channel(hearing.position);
        let Attached { input, output: from } = &mut attached;
        // Half a frame of the connection before comes again as a whole.
        hearing.frames = Frames::default();
        let heard = {
            let write = async {
                input.write(opening).await;
                tokio::join!(obey(input, stop), acknowledge(input, read)).0
            };
            let listen = listen(from, hearing, &read_to, output);
            tokio::pin!(write, listen);
            tokio::select! {
                heard = &mut listen => heard,
                never = &mut write => match never {},
                trouble = self.link.watcher.trouble() => match tokio::time::timeout(rest(self.link), &mut listen).await {
                    Ok(Ok(Some(answer))) => Ok(Some(answer)),
                    _ => return Err(trouble.error()),
                }
            }
        };
        match heard {
            Ok(Some(answer)) => {
                self.leave(attached, hearing.position);
                Ok(Heard::Answer(Box::new(answer)))
            }
            Ok(None) => Ok(Heard::Over(attached.over())),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => {
                Err(Error::system("understand the guest", error))
            }
            Err(error) => Ok(Heard::Over(Over::Broken(error.to_string()))),
        }
    }

    /// Tells the session that its answer has come. Nobody waits for that.
    fn leave(&self, mut attached: Attached, to: u64) {
        self.link.tasks.spawn("last word to a script", async move {
            let last = async {
                let read = encode(&Order::Read { to }).unwrap_or_default();
                attached.input.write(&read).await;
                while attached.output.next().await.is_some() {}
            };
            let _ = tokio::time::timeout(FAREWELL, last).await;
        });
    }
}

async fn acknowledge(input: &Input, mut read: watch::Receiver<u64>) {
    while read.changed().await.is_ok() {
        let to = *read.borrow_and_update();
        input.write(&encode(&Order::Read { to }).unwrap_or_default()).await;
    }
}

/// Passes the log on until the answer; `None`: the connection ended without one.
async fn listen(
    from: &mut Said,
    hearing: &mut Hearing,
    read_to: &watch::Sender<u64>,
    output: &dyn Output,
) -> std::io::Result<Option<Answer>> {
    loop {
        match tokio::time::timeout(SILENCE, from.next()).await.map_err(|_| silent())? {
            None => return Ok(None),
            Some(piece) => hearing.frames.feed(&piece),
        }
        hearing.heard_at = Instant::now();
        while let Some((kind, bytes)) = hearing.frames.take()? {
            hearing.begun = true;
            let length = kind.head(0).len() as u64 + bytes.len() as u64;
            match kind {
                Kind::Stdout => output.write(Stream::Stdout, bytes).await,
                Kind::Stderr => output.write(Stream::Stderr, bytes).await,
                Kind::Answer => {
                    hearing.position += length;
                    return Ok(Some(serde_json::from_slice(bytes)?));
                }
                Kind::Alive => continue,
            }
            hearing.position += length;
            if hearing.position - *read_to.borrow() >= ACKNOWLEDGE {
                read_to.send_replace(hearing.position);
            }
        }
    }
}

/// What has happened to the pod in which a program was ended by a signal: that may be told later than what follows from it.
pub(super) async fn fallen(link: &Link) -> Option<Trouble> {
    if let Some(trouble) = asked(link).await {
        return Some(trouble);
    }
    // A pod's containers are asked to end in one moment, and the helper has nothing to end.
    let (_, typed) = tokio::sync::mpsc::channel(1);
    let nothing = Work::WaitTcp {
        targets: Vec::new(),
        timeout_ms: 0,
    };
    let (stop, keyboard) = (Stop::new(), Keyboard { typed });
    let heard = once(
        link,
        Planned::HELPER,
        &nothing,
        &stop,
        keyboard,
        &crate::executor::Discard,
    );
    if matches!(tokio::time::timeout(INQUIRY, heard).await, Ok(Ok(Heard::Answer(_)))) {
        return None;
    }
    let told = tokio::time::timeout(LATE_NEWS, link.watcher.trouble()).await;
    Some(told.unwrap_or_else(|_| {
        let pod = &link.pod;
        Trouble::System(format!(
            "the containers of the pod {pod} were ended from outside, and nobody says why"
        ))
    }))
}

/// What the cluster says of the pod.
async fn asked(link: &Link) -> Option<Trouble> {
    let pods = link.pods();
    let asked = link.cluster.call(|| pods.get(&link.pod));
    match tokio::time::timeout(INQUIRY, asked).await {
        Ok(Ok(pod)) => sight::trouble(&pod, false),
        Ok(Err(fault)) if fault.is_missing() => sight::trouble(&link.watcher.seen().borrow().pod, true),
        Ok(Err(_)) | Err(_) => None,
    }
}

/// Why a guest ended without an answer: the pod's end, or its own noise.
async fn lost(link: &Link, over: Over) -> Error {
    if let Ok(trouble) = tokio::time::timeout(NEWS, link.watcher.trouble()).await {
        return trouble.error();
    }
    if let Some(trouble) = asked(link).await {
        return trouble.error();
    }
    match over {
        Over::Ended { code, noise } => Error::system(
            "run the guest in the pod",
            format!("it ended without an answer (exit code {code}) and said {noise:?}"),
        ),
        Over::Broken(why) => Error::system(
            "reach the job in its pod",
            format!("the connection was lost, and what became of the job is unknown: {why}"),
        ),
    }
}
