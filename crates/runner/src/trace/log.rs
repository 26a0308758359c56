//! The log of one job.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tasuki_rt::Clock;
use tokio::sync::Notify;

use super::Error;
use super::filter::{Chain, Masks};
use super::limit::Limit;
use super::spool::Spool;
use super::timestamp::Timestamper;
use crate::executor::{Output, Stream};

/// Who writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// Stream 00: messages of the runner and its executor.
    Runner,
    /// Stream 01: what the job's programs print.
    Work,
    /// Stream 0f: logs of services.
    Service,
}

/// How a log is kept.
#[derive(Debug, Clone)]
pub struct LogOptions {
    /// Bytes; more are dropped, with a visible line.
    pub limit: u64,
    /// `FF_TIMESTAMPS`.
    pub timestamps: bool,
    pub masks: Masks,
}

/// The log of one job: all that was written, masked, up to the limit. Shared by writers and the uploader.
pub struct Log {
    state: Mutex<State>,
    changed: Notify,
    clock: Clock,
    options: LogOptions,
}

struct State {
    spool: Spool,
    limit: Limit,
    /// The first failure to keep the log; later writes are dropped, the job fails at its end.
    failed: Option<Error>,
    streams: Vec<Arc<Mutex<Lines>>>,
    masks: Masks,
}

/// Filters and timestamper of one stream.
struct Lines {
    chain: Chain,
    stamper: Option<Timestamper>,
    clear: Vec<u8>,
    stamped: Vec<u8>,
}

impl Log {
    /// An empty log with its spool file in `dir`.
    ///
    /// # Errors
    /// When the file cannot be made.
    pub fn create(dir: &Path, clock: Clock, options: LogOptions) -> Result<Arc<Self>, Error> {
        Ok(Arc::new(Self {
            state: Mutex::new(State {
                spool: Spool::create(dir)?,
                limit: Limit::new(options.limit),
                failed: None,
                streams: Vec::new(),
                masks: options.masks.clone(),
            }),
            changed: Notify::new(),
            clock,
            options,
        }))
    }

    /// Opens a stream. Its pieces are joined to lines of their own; end it with [`LogStream::finish`].
    pub fn stream(self: &Arc<Self>, source: Source) -> LogStream {
        let open = |channel: u8| {
            let id = match source {
                Source::Runner => [b'0', b'0', channel],
                Source::Work => [b'0', b'1', channel],
                Source::Service => [b'0', b'f', channel],
            };
            let lines = Arc::new(Mutex::new(Lines {
                chain: Chain::new(self.lock().masks.clone()),
                stamper: self.options.timestamps.then(|| Timestamper::new(id)),
                clear: Vec::new(),
                stamped: Vec::new(),
            }));
            self.lock().streams.push(Arc::clone(&lines));
            lines
        };
        LogStream {
            log: Arc::clone(self),
            stdout: open(b'O'),
            stderr: open(b'E'),
        }
    }

    /// Hides one more secret from now on, in every stream.
    pub fn mask(&self, secret: &str) {
        let (masks, streams) = {
            let mut state = self.lock();
            state.masks = state.masks.and(secret);
            (state.masks.clone(), state.streams.clone())
        };
        for stream in streams {
            let mut lines = lock(&stream);
            let lines = &mut *lines;
            lines.clear.clear();
            lines.chain.finish(&mut lines.clear);
            lines.chain = Chain::new(masks.clone());
            self.pass_on(lines);
        }
    }

    /// Whether something in a text would be hidden.
    #[must_use]
    pub fn hides(&self, text: &str) -> bool {
        let mut chain = Chain::new(self.lock().masks.clone());
        let mut shown = Vec::with_capacity(text.len());
        chain.write(text.as_bytes(), &mut shown);
        chain.finish(&mut shown);
        shown != text.as_bytes()
    }

    /// Number of bytes kept.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.lock().spool.size()
    }

    /// Size and CRC-32 of what is kept.
    #[must_use]
    pub fn checksum(&self) -> (u64, u32) {
        let state = self.lock();
        (state.spool.size(), state.spool.crc())
    }

    /// At most `most` bytes from `offset` on; empty at the end.
    ///
    /// # Errors
    /// When the spool file cannot be read.
    pub fn read(&self, offset: u64, most: usize) -> Result<Bytes, Error> {
        self.lock().spool.read(offset, most)
    }

    /// Resolves when there is more than `offset` bytes. Cancel-safe.
    pub async fn grown(&self, offset: u64) {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            if self.size() > offset {
                return;
            }
            changed.await;
        }
    }

    /// Shows lines that are unfinished for longer than `age_ms`, e.g. a prompt or a progress bar. Says whether some
    /// younger one is left.
    pub fn show_unfinished(&self, age_ms: i64) -> bool {
        let before = self.clock.now_ms().saturating_sub(age_ms);
        let streams = self.lock().streams.clone();
        let mut left = false;
        for stream in streams {
            let mut lines = lock(&stream);
            let lines = &mut *lines;
            if let Some(stamper) = &mut lines.stamper {
                lines.stamped.clear();
                stamper.show_unfinished(before, &mut lines.stamped);
                left |= stamper.unfinished_since().is_some();
                self.keep(&lines.stamped);
            }
        }
        left
    }

    /// The failure to keep the log, where there was one.
    pub fn take_failure(&self) -> Option<Error> {
        self.lock().failed.take()
    }

    fn keep(&self, bytes: &[u8]) {
        if bytes.is_empty() {
            return;
        }
        {
            let mut state = self.lock();
            let (part, notice) = state.limit.take(bytes);
            let kept = state.spool.append(part);
            let kept = kept.and_then(|()| match notice {
                Some(notice) => state.spool.append(notice.as_bytes()),
                None => Ok(()),
            });
            if let Err(error) = kept {
                state.failed.get_or_insert(error);
            }
        }
        self.changed.notify_waiters();
    }

    fn write(&self, lines: &Mutex<Lines>, bytes: &[u8]) {
        let mut lines = lock(lines);
        let lines = &mut *lines;
        lines.clear.clear();
        lines.chain.write(bytes, &mut lines.clear);
        self.pass_on(lines);
    }

    fn finish(&self, lines: &Mutex<Lines>) {
        let mut lines = lock(lines);
        let lines = &mut *lines;
        lines.clear.clear();
        lines.chain.finish(&mut lines.clear);
        self.pass_on(lines);
        if let Some(stamper) = &mut lines.stamper {
            lines.stamped.clear();
            stamper.finish(&mut lines.stamped);
            self.keep(&lines.stamped);
        }
    }

    fn pass_on(&self, lines: &mut Lines) {
        match &mut lines.stamper {
            Some(stamper) => {
                lines.stamped.clear();
                stamper.write(&lines.clear, self.clock.now_ms(), &mut lines.stamped);
                self.keep(&lines.stamped);
            }
            None => self.keep(&lines.clear),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Log {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log")
            .field("size", &self.size())
            .finish_non_exhaustive()
    }
}

fn lock(lines: &Mutex<Lines>) -> MutexGuard<'_, Lines> {
    lines.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A writer. Dropping it ends the stream.
pub struct LogStream {
    log: Arc<Log>,
    stdout: Arc<Mutex<Lines>>,
    stderr: Arc<Mutex<Lines>>,
}

impl LogStream {
    /// Writes bytes, cut anywhere.
    pub fn put(&self, stream: Stream, bytes: &[u8]) {
        let lines = match stream {
            Stream::Stdout => &self.stdout,
            Stream::Stderr => &self.stderr,
        };
        self.log.write(lines, bytes);
    }

    /// Writes a whole line.
    pub fn line(&self, text: &str) {
        self.put(Stream::Stdout, format!("{text}\n").as_bytes());
    }

    /// Ends the stream: unfinished lines and what was held back come out.
    pub fn finish(&self) {
        self.log.finish(&self.stdout);
        self.log.finish(&self.stderr);
    }
}

impl Drop for LogStream {
    fn drop(&mut self) {
        self.finish();
        let ours = [Arc::as_ptr(&self.stdout), Arc::as_ptr(&self.stderr)];
        self.log
            .lock()
            .streams
            .retain(|lines| !ours.contains(&Arc::as_ptr(lines)));
    }
}

#[async_trait]
impl Output for LogStream {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        self.put(stream, bytes);
    }
}
