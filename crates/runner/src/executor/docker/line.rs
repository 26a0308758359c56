//! The line to a container's main process ([`crate::guest::inside`]): it starts programs without the engine's help.
//!
//! One program at a time is talked to. Who finds the line taken starts his own through the engine.

use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::engine::{Attached, Piece};
use crate::executor::{Result, unique};
use crate::guest::inside::{Hearing, MARK, MAX_INPUT, OPENING, Said, Told, every_byte};
use tasuki_rt::Tasks;

/// How long the main process may take to say that it hears. One behind an entrypoint that filters its output may never.
const PATIENCE: Duration = Duration::from_secs(2);

/// An open line.
#[derive(Debug)]
pub(super) struct Line {
    attached: Attached,
    hearing: tokio::sync::Mutex<Hearing>,
    /// The program that is talked to.
    number: u32,
    /// Frames of which the engine may have a part only.
    unfinished: AtomicUsize,
}

/// Where a container's line waits for the next program.
#[derive(Debug)]
pub(super) struct Slot {
    line: Mutex<Option<Line>>,
    /// Keeps the container's input open where there is no line.
    _attached: Option<Arc<Attached>>,
}

impl Slot {
    /// Opens the line over the channels of a container whose guest is ready. There may be none: its entrypoint did not leave
    /// the container's own channels to the guest.
    ///
    /// # Errors
    /// The system gives no random numbers.
    pub(super) async fn open(attached: Attached, tasks: &Tasks) -> Result<Self> {
        let Ok(mark) = <[u8; MARK]>::try_from(unique()?.into_bytes()) else {
            return Ok(Self::closed(attached, tasks));
        };
        let mut hearing = Hearing::new(mark);
        let opened = async {
            attached.write(&[OPENING, &mark].concat()).await?;
            hears(&attached, &mut hearing).await
        };
        if let Ok(Ok(true)) = tokio::time::timeout(PATIENCE, opened).await {
            return Ok(Self {
                line: Mutex::new(Some(Line {
                    attached,
                    hearing: tokio::sync::Mutex::new(hearing),
                    number: 0,
                    unfinished: AtomicUsize::new(0),
                })),
                _attached: None,
            });
        }
        Ok(Self::closed(attached, tasks))
    }

    /// Without a line. What the container prints is read on, so that nobody in it waits for that, and left out.
    pub(super) fn closed(attached: Attached, tasks: &Tasks) -> Self {
        let attached = Arc::new(attached);
        let reading = Arc::clone(&attached);
        tasks.spawn("output of a container", async move {
            while matches!(reading.read().await, Ok(Piece::Stdout(_) | Piece::Stderr(_))) {}
        });
        Self {
            line: Mutex::default(),
            _attached: Some(attached),
        }
    }

    /// The line, where nobody has it. Dropping it ends what it started, and it is open no more.
    pub(super) fn take(&self) -> Option<Line> {
        self.line.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// For the next one, unless a frame was given up half way: what follows would be taken for its rest.
    pub(super) fn put_back(&self, line: Line) {
        if line.unfinished.load(Ordering::Relaxed) > 0 {
            return;
        }
        *self.line.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }
}

/// Whether the first frame comes as it was sent.
async fn hears(attached: &Attached, hearing: &mut Hearing) -> io::Result<bool> {
    loop {
        if let Some((kind, _, bytes)) = hearing.take() {
            return Ok(kind == Said::Heard && bytes == every_byte());
        }
        match attached.read().await? {
            Piece::Stdout(bytes) => hearing.feed(&bytes),
            Piece::Stderr(_) => {}
            Piece::End => return Ok(false),
        }
    }
}

impl Line {
    /// Starts a program. As `uid:gid`, or as the main process.
    pub(super) async fn begin(&mut self, user: Option<&str>) -> io::Result<()> {
        self.number = self.number.wrapping_add(1);
        let who = user.unwrap_or_default().as_bytes();
        self.tell(Told::Begin, who).await
    }

    async fn tell(&self, kind: Told, bytes: &[u8]) -> io::Result<()> {
        self.unfinished.fetch_add(1, Ordering::Relaxed);
        self.attached.write(&kind.frame(self.number, bytes)).await?;
        self.unfinished.fetch_sub(1, Ordering::Relaxed);
        Ok(())
    }

    /// Writes to its standard input.
    pub(super) async fn write(&self, bytes: &[u8]) -> io::Result<()> {
        for piece in bytes.chunks(MAX_INPUT) {
            self.tell(Told::Input, piece).await?;
        }
        Ok(())
    }

    /// The next piece of its output. Must not be dropped before it is ready, unless nothing more is to be read.
    pub(super) async fn read(&self) -> io::Result<Piece> {
        let mut hearing = self.hearing.lock().await;
        loop {
            while let Some((kind, number, bytes)) = hearing.take() {
                // Programs before it may have had something to say after their answer.
                if number != self.number {
                    continue;
                }
                match kind {
                    Said::Output => return Ok(Piece::Stdout(bytes.to_vec())),
                    Said::Failed => return Err(io::Error::other(String::from_utf8_lossy(bytes).into_owned())),
                    Said::Ended => return Ok(Piece::End),
                    Said::Heard => {}
                }
            }
            match self.attached.read().await? {
                Piece::Stdout(bytes) => hearing.feed(&bytes),
                other => return Ok(other),
            }
        }
    }
}
