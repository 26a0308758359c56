//! What a session has said: its frames in a file, so that a broken connection costs neither a byte nor the job.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use rustix::fs::{FallocateFlags, fallocate};
use tokio::sync::watch;

use super::protocol::Kind;
use crate::process::{Output, Stop, Stream};

/// How much may wait to be read. Who prints more waits, so that neither disk nor memory is filled.
const ROOM: u64 = 64 << 20;

/// Room on disk is given back in pieces of this size.
const PIECE: u64 = 1 << 20;

/// Frames of a session by their place, from 0.
pub(super) struct Log {
    file: File,
    /// One frame at a time.
    turn: tokio::sync::Mutex<()>,
    /// Where the next frame goes.
    end: watch::Sender<u64>,
    /// What stands before was read, and will not be asked for again.
    read: watch::Sender<u64>,
    last: Mutex<Last>,
    /// Pulled when the output cannot be kept.
    stop: Stop,
}

#[derive(Default)]
struct Last {
    /// The frame of the answer. It needs no disk, which may be full.
    frame: Vec<u8>,
    /// Why the output is not whole.
    failure: Option<String>,
    /// Given back to the disk up to here.
    freed: u64,
}

impl Log {
    pub(super) fn create(file: &Path, stop: Stop) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.read(true).write(true).create_new(true).mode(0o600).open(file)?;
        Ok(Self {
            file,
            turn: tokio::sync::Mutex::default(),
            end: watch::Sender::new(0),
            read: watch::Sender::new(0),
            last: Mutex::default(),
            stop,
        })
    }

    fn last(&self) -> std::sync::MutexGuard<'_, Last> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a frame, and waits while too much is unread.
    async fn append(&self, kind: Kind, bytes: &[u8]) {
        let _turn = self.turn.lock().await;
        let end = *self.end.borrow();
        let mut read = self.read.subscribe();
        // The sender is this value's own: it does not go away meanwhile.
        let _ = read.wait_for(|read| end.saturating_sub(*read) <= ROOM).await;
        if self.last().failure.is_some() {
            return;
        }
        let head = kind.head(bytes.len());
        let body = end + head.len() as u64;
        let written = self
            .file
            .write_all_at(&head, end)
            .and_then(|()| self.file.write_all_at(bytes, body));
        match written {
            Ok(()) => drop(self.end.send_replace(body + bytes.len() as u64)),
            Err(error) => {
                self.last().failure = Some(format!("keep the output of the job in its pod: {error}"));
                self.stop.force();
            }
        }
    }

    /// The answer, and the end. Gives why the output is not whole, where it is not: then that is the answer.
    pub(super) fn failure(&self) -> Option<String> {
        self.last().failure.clone()
    }

    /// Appends the last frame.
    pub(super) fn close(&self, kind: Kind, bytes: &[u8]) {
        let mut frame = kind.head(bytes.len()).to_vec();
        frame.extend_from_slice(bytes);
        let length = frame.len() as u64;
        self.last().frame = frame;
        self.end.send_modify(|end| *end += length);
    }

    /// Tells of every frame that is added.
    pub(super) fn grown(&self) -> watch::Receiver<u64> {
        self.end.subscribe()
    }

    /// What stands at that place; nothing where nothing does yet.
    pub(super) fn at(&self, from: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let (last, end) = (self.last(), *self.end.borrow());
        let whole = end - last.frame.len() as u64;
        if from >= whole {
            let start = usize::try_from(from - whole).unwrap_or(usize::MAX);
            let rest = last.frame.get(start..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            return Ok(length);
        }
        let most = usize::try_from(whole - from).unwrap_or(usize::MAX).min(buffer.len());
        drop(last);
        self.file.read_at(&mut buffer[..most], from)
    }

    /// The reader has everything before `to`; [`u64::MAX`]: it wants nothing of what is still to come, either.
    pub(super) fn forget(&self, to: u64) {
        let end = *self.end.borrow();
        let read_to = if to == u64::MAX { to } else { to.min(end) };
        self.read
            .send_if_modified(|read| std::mem::replace(read, read_to.max(*read)) < read_to);
        let to = to.min(end);
        let mut last = self.last();
        let whole = to / PIECE * PIECE;
        if whole > last.freed {
            // A file system that cannot keeps it until the pod ends.
            let holes = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
            let _ = fallocate(&self.file, holes, last.freed, whole - last.freed);
            last.freed = whole;
        }
    }

    /// Resolves when the answer was read.
    pub(super) async fn is_read(&self) {
        let mut read = self.read.subscribe();
        let _ = read
            .wait_for(|read| !self.last().frame.is_empty() && *read >= *self.end.borrow())
            .await;
    }
}

#[async_trait]
impl Output for Log {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        let kind = match stream {
            Stream::Stdout => Kind::Stdout,
            Stream::Stderr => Kind::Stderr,
        };
        self.append(kind, bytes).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log() -> (tempfile::TempDir, Log) {
        let folder = tempfile::tempdir().expect("a folder");
        let log = Log::create(&folder.path().join("log"), Stop::new()).expect("is made");
        (folder, log)
    }

    fn all(log: &Log, mut from: u64, step: usize) -> Vec<u8> {
        let (mut whole, mut buffer) = (Vec::new(), vec![0; step]);
        loop {
            match log.at(from, &mut buffer).expect("is read") {
                0 => return whole,
                read => {
                    whole.extend_from_slice(&buffer[..read]);
                    from += read as u64;
                }
            }
        }
    }

    #[tokio::test]
    async fn every_place_is_read_the_same_in_pieces_of_any_size() {
        let (_folder, log) = log();
        log.write(Stream::Stdout, b"out").await;
        log.write(Stream::Stderr, b"").await;
        log.write(Stream::Stderr, b"err").await;
        log.close(Kind::Answer, b"done");
        let whole = b"\x01\x03\0\0\0out\x02\0\0\0\0\x02\x03\0\0\0err\x03\x04\0\0\0done";
        for step in [1, 2, 3, 7, 100] {
            for from in 0..=whole.len() {
                assert_eq!(all(&log, from as u64, step), whole[from..], "{from} by {step}");
            }
        }
        assert_eq!(all(&log, 1 << 40, 8), b"", "nothing is there");
    }

    #[tokio::test]
    async fn who_prints_more_than_is_read_waits() {
        let (_folder, log) = log();
        let piece = vec![7; 1 << 20];
        let print = async {
            for _ in 0..100 {
                log.write(Stream::Stdout, &piece).await;
            }
        };
        tokio::pin!(print);
        let mut end = log.grown();
        tokio::select! {
            biased;
            () = &mut print => panic!("nobody read"),
            () = tokio::task::yield_now() => {}
        }
        let waiting = *end.borrow_and_update();
        assert!(waiting > ROOM && waiting < ROOM + (2 << 20), "{waiting}");
        log.forget(waiting);
        print.await;
        assert!(*end.borrow() > 100 << 20);
    }

    #[tokio::test]
    async fn it_is_over_when_the_answer_was_read() {
        let (_folder, log) = log();
        log.write(Stream::Stdout, b"x").await;
        log.forget(1 << 40);
        let over = async {
            tokio::select! { biased; () = log.is_read() => true, () = tokio::task::yield_now() => false }
        };
        assert!(!over.await, "there is no answer yet");
        log.close(Kind::Answer, b"done");
        log.forget(6);
        let over = async {
            tokio::select! { biased; () = log.is_read() => true, () = tokio::task::yield_now() => false }
        };
        assert!(!over.await, "it was not read yet");
        log.forget(1 << 40);
        log.is_read().await;
    }

    #[tokio::test]
    async fn who_wants_nothing_any_more_is_not_waited_for() {
        let (_folder, log) = log();
        log.forget(u64::MAX);
        let over = async {
            tokio::select! { biased; () = log.is_read() => true, () = tokio::task::yield_now() => false }
        };
        assert!(!over.await, "the work goes on");
        // More than the room for what is unread.
        for _ in 0..70 {
            log.write(Stream::Stdout, &vec![7; 1 << 20]).await;
        }
        log.close(Kind::Answer, b"done");
        log.is_read().await;
    }
}
