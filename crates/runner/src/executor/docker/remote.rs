//! Talking to the guest in a container.

use std::io;
use std::sync::Mutex;

use serde_json::json;

use super::engine::{Attached, Engine, Piece};
use super::line::{Line, Slot};
use crate::executor::{Error, Keyboard, Output, Result, Stop, Stream};
use crate::guest::inside::{Answer, Frames, Kind, Order, Work};
use crate::process::encode;

/// How much a guest's own standard error may say when it fails.
const MAX_NOISE: usize = 4 << 10;

/// Who does the work in which container.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) engine: &'a Engine,
    pub(super) container: &'a str,
    /// `uid:gid`; absent = the container's own user.
    pub(super) user: Option<&'a str>,
    pub(super) privileged: bool,
    /// What starts the guest there.
    pub(super) guest: &'a [String],
    /// The line to its main process. Absent = the engine starts the guest.
    pub(super) line: Option<&'a Slot>,
}

/// The channels of a guest that works.
enum Channel {
    /// Started by the engine.
    Exec { id: String, attached: Attached },
    /// Started by the container's main process.
    Line(Line),
}

impl Channel {
    async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Exec { attached, .. } => attached.write(bytes).await,
            Self::Line(line) => line.write(bytes).await,
        }
    }

    async fn read(&self) -> io::Result<Piece> {
        match self {
            Self::Exec { attached, .. } => attached.read().await,
            Self::Line(line) => line.read().await,
        }
    }

    /// Over the line where it is free, else by the engine.
    async fn open(place: &Place<'_>) -> Result<Self> {
        if let Some(mut line) = place.line.and_then(Slot::take)
            && line.begin(place.user).await.is_ok()
        {
            return Ok(Self::Line(line));
        }
        let failed = |error| Error::system("start a program in the container", error);
        let mut command = place.guest.to_vec();
        command.push("inside".to_owned());
        let mut body = json!({
            "AttachStdin": true, "AttachStdout": true, "AttachStderr": true, "Tty": false,
            "Cmd": command, "WorkingDir": "/", "Privileged": place.privileged,
            // A library that the image wants in every program is none of ours.
            "Env": ["LD_PRELOAD="],
        });
        if let Some(user) = place.user {
            body["User"] = json!(user);
        }
        let id = place.engine.create_exec(place.container, &body).await.map_err(failed)?;
        let attached = place.engine.start_exec(&id).await.map_err(failed)?;
        Ok(Self::Exec { id, attached })
    }
}

/// Lets a guest do one piece of work. Its output goes to `output`; the stop is passed on.
///
/// The connection that may come back keeps background processes alive where the answer says that there are some. Dropping
/// the future ends the work at once.
pub(super) async fn ask(
    place: Place<'_>,
    work: &Work,
    stop: &Stop,
    output: &dyn Output,
) -> Result<(Answer, Option<Attached>)> {
    let (_, typed) = tokio::sync::mpsc::channel(1);
    ask_typing(place, work, stop, Keyboard { typed }, output).await
}

/// [`ask`] for work on a terminal: what comes from `keyboard` is passed on.
pub(super) async fn ask_typing(
    place: Place<'_>,
    work: &Work,
    stop: &Stop,
    keyboard: Keyboard,
    output: &dyn Output,
) -> Result<(Answer, Option<Attached>)> {
    let channel = Channel::open(&place).await?;
    let frame = encode(work).map_err(|error| Error::system("write the work down", error))?;
    let noise = Mutex::new(Vec::new());
    let talk = async {
        // Reading begins at once: a guest that cannot start says so while we still write.
        let write = async {
            // A guest that is gone is seen by the end of its output.
            let _ = channel.write(&frame).await;
            tokio::join!(obey(&channel, stop), type_in(&channel, keyboard)).0
        };
        let read = listen(&channel, output, &noise);
        tokio::pin!(write, read);
        tokio::select! {
            answer = &mut read => answer,
            never = &mut write => match never {},
        }
    };
    match talk.await {
        Ok(Some(answer)) => Ok((answer, kept(&place, channel))),
        Ok(None) => {
            let noise = noise.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
            Err(lost(&place, &channel, &noise).await)
        }
        // A connection that breaks off is the engine's end or the container's.
        Err(error) => match place.engine.container(place.container).await {
            Ok(_) => Err(Error::system("hear the program in the container", error)),
            Err(_) => Err(lost(&place, &channel, &[]).await),
        },
    }
}

/// The line waits for the next one: its main process keeps what background processes need. A connection of the engine's is
/// the caller's to keep.
fn kept(place: &Place<'_>, channel: Channel) -> Option<Attached> {
    match channel {
        Channel::Exec { attached, .. } => Some(attached),
        Channel::Line(line) => {
            if let Some(slot) = place.line {
                slot.put_back(line);
            }
            None
        }
    }
}

/// Passes the stop on.
async fn obey(channel: &Channel, stop: &Stop) -> std::convert::Infallible {
    let order = |order: Order| encode(&order).unwrap_or_default();
    stop.pulled().await;
    if !stop.is_forced() {
        let _ = channel.write(&order(Order::Terminate)).await;
    }
    stop.forced().await;
    let _ = channel.write(&order(Order::Kill)).await;
    std::future::pending().await
}

/// Passes keys on. A guest that is gone is seen by the end of its output.
async fn type_in(channel: &Channel, mut keyboard: Keyboard) {
    while let Some(typed) = keyboard.typed.recv().await {
        let _ = channel.write(&encode(&Order::from(typed)).unwrap_or_default()).await;
    }
}

/// Reads frames until the answer; `None`: the stream ended without one.
async fn listen(channel: &Channel, output: &dyn Output, noise: &Mutex<Vec<u8>>) -> io::Result<Option<Answer>> {
    let mut frames = Frames::default();
    loop {
        while let Some((kind, bytes)) = frames.take()? {
            match kind {
                Kind::Answer => return Ok(Some(serde_json::from_slice(bytes)?)),
                Kind::Stdout => output.write(Stream::Stdout, bytes).await,
                Kind::Stderr => output.write(Stream::Stderr, bytes).await,
                // The connection of an engine is as good as its end.
                Kind::Alive => {}
            }
        }
        match channel.read().await? {
            Piece::Stdout(bytes) => frames.feed(&bytes),
            Piece::Stderr(bytes) => {
                let mut noise = noise.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                let room = MAX_NOISE.saturating_sub(noise.len());
                noise.extend_from_slice(&bytes[..bytes.len().min(room)]);
            }
            Piece::End => return Ok(None),
        }
    }
}

/// Why a guest ended without an answer: the container's end, or its own noise.
async fn lost(place: &Place<'_>, channel: &Channel, noise: &[u8]) -> Error {
    match place.engine.container(place.container).await {
        Ok(container) if container.state.oom_killed => {
            let message = "the job was killed for want of memory: it used more than the limit of its container";
            return Error::job(tasuki_model::reason::FailureReason::ScriptFailure, message);
        }
        Ok(container) if !container.state.running => {
            let what = "go on: the job's container was stopped or removed from outside";
            let code = container.state.exit_code;
            return Error::system(
                what,
                format!("it ended with exit code {code} {}", container.state.error),
            );
        }
        Ok(_) => {}
        Err(error) if error.is_missing() => {
            return Error::system("go on: the job's container is gone", "it was removed from outside");
        }
        Err(error) => return Error::system("go on: the container engine went away in mid-job", error),
    }
    let code = match channel {
        Channel::Exec { id, .. } => place.engine.exec(id).await.ok().and_then(|state| state.exit_code),
        Channel::Line(_) => None,
    };
    let noise = String::from_utf8_lossy(noise);
    let said = if noise.trim().is_empty() {
        "nothing"
    } else {
        noise.trim()
    };
    let code = code.map_or_else(|| "unknown".to_owned(), |code| code.to_string());
    Error::system(
        "run the guest in the container",
        format!("it ended without an answer (exit code {code}) and said {said:?}"),
    )
}
