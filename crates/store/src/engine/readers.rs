//! The line before the threads that read.
//!
//! An operation goes to the thread that became idle last: its connection has the statements prepared and the pages at
//! hand, and the others (with their connections) come into being only when that many reads run at the same time.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};

use super::Operation;

/// `None` ends the thread.
type Seat = mpsc::Sender<Option<Box<dyn Operation>>>;

/// Operations that wait for a thread, or threads that wait for an operation.
#[derive(Default)]
pub(crate) struct Readers(Mutex<Line>);

#[derive(Default)]
struct Line {
    waiting: VecDeque<Box<dyn Operation>>,
    /// The last one became idle last.
    idle: Vec<Seat>,
    closed: bool,
}

impl Readers {
    fn lock(&self) -> MutexGuard<'_, Line> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Hands in an operation.
    ///
    /// # Errors
    /// The line is closed; the operation comes back.
    pub(crate) fn submit(&self, operation: Box<dyn Operation>) -> Result<(), Box<dyn Operation>> {
        let mut line = self.lock();
        if line.closed {
            return Err(operation);
        }
        let Some(seat) = line.idle.pop() else {
            line.waiting.push_back(operation);
            return Ok(());
        };
        drop(line);
        match seat.send(Some(operation)) {
            Ok(()) | Err(mpsc::SendError(None)) => Ok(()),
            Err(mpsc::SendError(Some(operation))) => Err(operation),
        }
    }

    /// Works on operations until the line is closed and empty: what each reading thread does.
    pub(crate) fn serve(&self, mut read: impl FnMut(Box<dyn Operation>)) {
        let (seat, next) = mpsc::channel();
        loop {
            let waiting = {
                let mut line = self.lock();
                let waiting = line.waiting.pop_front();
                if waiting.is_none() {
                    if line.closed {
                        return;
                    }
                    line.idle.push(seat.clone());
                }
                waiting
            };
            let Some(operation) = waiting.or_else(|| next.recv().ok().flatten()) else {
                return;
            };
            read(operation);
        }
    }

    /// Lets nobody in any more; what stands in line is still done.
    pub(crate) fn close(&self) {
        let mut line = self.lock();
        line.closed = true;
        for seat in line.idle.drain(..) {
            // A thread that is gone already needs no word.
            let _ = seat.send(None);
        }
    }
}
