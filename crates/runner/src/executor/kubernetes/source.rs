//! A folder of this machine as the source of a job: `tasuki exec`.
//!
//! The copy is made here, as in every other sandbox, and sent as one stream. It borrows the original's git objects, which
//! are sent with it.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;

use super::link::{Link, Over};
use super::plan::Planned;
use crate::executor::{Command, Ended, Error, Exit, Output, PullOnDrop, Result, Stream};
use crate::guest::inside::END;
use crate::guest::{self, Context, Request, Response, serve};

/// How long the other side may take to write what is on its way when the last of it was sent.
const UNPACKING: Duration = Duration::from_secs(300);

/// Chunks on their way.
const AHEAD: usize = 8;

/// Size of a chunk.
const CHUNK: usize = 128 << 10;

/// Has the folder copied into the pod, as the user of its scripts.
pub(super) async fn send(
    link: &Link,
    who: &str,
    snapshot: guest::Snapshot,
    command: &Command,
    output: &dyn Output,
) -> Result<Ended> {
    let failed = |error| Error::system("copy the folder", error);
    let scratch = tempfile::tempdir().map_err(failed)?;
    let project = snapshot.project.clone();
    let copy = scratch.path().join("copy");
    let request = guest::Snapshot {
        project: copy.clone(),
        ..snapshot
    };
    let (response, said) = copied(request, command).await?;
    output.write(Stream::Stderr, said.as_bytes()).await;
    if response.failure.is_none() {
        put(link, who, copy, &project, command).await?;
    }
    Ok(Ended {
        exit: Exit::Code(response.exit_code()),
        response: Some(response),
    })
}

/// The copy, and what is said of it.
async fn copied(request: guest::Snapshot, command: &Command) -> Result<(Response, String)> {
    let stop = command.stop.child();
    let _pulled = PullOnDrop(stop.clone());
    let work = move || {
        let said = Arc::new(Mutex::new(String::new()));
        let told = Arc::clone(&said);
        let context = Context::new(Vec::new(), stop, move |text| {
            told.lock().unwrap_or_else(PoisonError::into_inner).push_str(text);
        });
        let response = serve(Request::Snapshot(request), &context);
        let said = std::mem::take(&mut *said.lock().unwrap_or_else(PoisonError::into_inner));
        (response, said)
    };
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Error::system("copy the folder", error))
}

/// Sends a folder into the pod.
async fn put(link: &Link, who: &str, from: PathBuf, to: &Path, command: &Command) -> Result<()> {
    let what = format!("send the folder into the pod {}/{}", link.namespace, link.pod);
    let to = to.to_string_lossy();
    let attached = link.guest(Planned::HELPER, &["receive", who, &to]).await;
    let attached = attached.map_err(|fault| fault.explain(what.clone()))?;
    let (chunks, mut next) = mpsc::channel::<Vec<u8>>(AHEAD);
    let packed = tokio::task::spawn_blocking(move || {
        pack(
            &from,
            Chunks {
                chunks,
                waiting: Vec::new(),
            },
        )
    });
    let sent = async {
        while let Some(chunk) = next.recv().await {
            // Whoever does not read any more says why at its end.
            if !attached.input.write(&chunk).await {
                break;
            }
        }
    };
    tokio::select! {
        () = sent => {}
        () = command.stop.pulled() => return Err(Error::Stopped),
        trouble = link.watcher.trouble() => return Err(trouble.error()),
    }
    // Nobody takes chunks any more: where the other side ended, so does the packing.
    drop(next);
    let packed = packed.await.map_err(|error| Error::system(what.clone(), error))?;
    match attached.finish(UNPACKING).await {
        Over::Ended { code: 0, .. } => packed.map_err(|error| Error::system(what, error)),
        Over::Ended { code, noise } => Err(Error::system(
            what,
            format!("it ended with exit code {code} and said {noise:?}"),
        )),
        Over::Broken(why) => Err(Error::system(what, why)),
    }
}

/// Everything below a folder, and the objects that its git borrows.
fn pack(from: &Path, to: impl Write) -> io::Result<()> {
    let mut archive = tar::Builder::new(to);
    archive.follow_symlinks(false);
    let alternates = Path::new(".git/objects/info/alternates");
    let borrowed = std::fs::read_to_string(from.join(alternates)).ok();
    if borrowed.is_some() {
        std::fs::remove_file(from.join(alternates))?;
    }
    archive.append_dir_all("", from)?;
    for objects in borrowed.iter().flat_map(|text| text.lines()) {
        archive.append_dir_all(".git/objects", objects)?;
    }
    let mut end = tar::Header::new_gnu();
    end.set_size(0);
    archive.append_data(&mut end, END, io::empty())?;
    archive.into_inner()?.flush()
}

/// Takes what is written to whoever sends it.
struct Chunks {
    chunks: mpsc::Sender<Vec<u8>>,
    waiting: Vec<u8>,
}

impl Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() >= CHUNK {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let chunk = std::mem::take(&mut self.waiting);
        if chunk.is_empty() {
            return Ok(());
        }
        self.chunks
            .blocking_send(chunk)
            .map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}
