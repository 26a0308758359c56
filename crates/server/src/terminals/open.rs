//! Which terminals are wanted and which are open: at most one in each task.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use hyper::upgrade::OnUpgrade;
use subtle::ConstantTimeEq as _;
use tasuki_model::id::TaskId;
use tasuki_model::secret::Secret;
use tokio::sync::oneshot;

use crate::identity::token;

/// The runner's connection, once its request has been answered.
pub type Line = OnUpgrade;

/// The terminals of this process. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Terminals(Arc<Mutex<HashMap<TaskId, Phase>>>);

#[derive(Debug)]
enum Phase {
    /// The runner has not come yet.
    Wanted {
        id: Secret,
        dialled: oneshot::Sender<Line>,
    },
    Open,
}

/// No terminal can be wanted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("a terminal is open there already")]
    Taken,
    #[error("the system gives no random numbers")]
    Random(#[source] getrandom::Error),
}

impl Terminals {
    /// Notes that somebody wants a terminal in a task.
    ///
    /// # Errors
    /// There is one already, or the system gives no random numbers.
    pub fn want(&self, task: TaskId) -> Result<Wish, Error> {
        let id = Secret::new(token::random().map_err(Error::Random)?);
        let (dialled, line) = oneshot::channel();
        let mut all = self.lock();
        let Entry::Vacant(place) = all.entry(task) else {
            return Err(Error::Taken);
        };
        place.insert(Phase::Wanted { id, dialled });
        let seat = Seat {
            terminals: self.clone(),
            task,
        };
        Ok(Wish { line, seat })
    }

    /// The id that the task's runner is to be told, while it has not come.
    #[must_use]
    pub fn wanted(&self, task: TaskId) -> Option<Secret> {
        match self.lock().get(&task)? {
            Phase::Wanted { id, .. } => Some(id.clone()),
            Phase::Open => None,
        }
    }

    /// The runner of `task` has come with this id: the wish is fulfilled by `line`, and the id opens nothing any more.
    /// `false`: no such terminal is wanted (any more) in that task, and nothing changes.
    #[must_use]
    pub fn dialled(&self, task: TaskId, id: &str, line: Line) -> bool {
        let mut all = self.lock();
        let Some(phase) = all.get_mut(&task) else { return false };
        let known = match phase {
            Phase::Wanted { id: wanted, .. } => bool::from(wanted.expose().as_bytes().ct_eq(id.as_bytes())),
            Phase::Open => false,
        };
        if !known {
            return false;
        }
        match std::mem::replace(phase, Phase::Open) {
            // Whoever wanted it has just gone: their seat frees the place.
            Phase::Wanted { dialled, .. } => dialled.send(line).is_ok(),
            Phase::Open => false,
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<TaskId, Phase>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A terminal that is waited for. Dropping it takes the wish back.
#[derive(Debug)]
pub struct Wish {
    line: oneshot::Receiver<Line>,
    seat: Seat,
}

impl Wish {
    /// Resolves when the runner has come. Can be dropped and called again.
    pub async fn line(&mut self) -> Option<Line> {
        (&mut self.line).await.ok()
    }

    /// The place in the task, for as long as the terminal is open.
    #[must_use]
    pub fn into_seat(self) -> Seat {
        self.seat
    }
}

/// The one place for a terminal in a task. Dropping it makes it free.
#[derive(Debug)]
pub struct Seat {
    terminals: Terminals,
    task: TaskId,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.terminals.lock().remove(&self.task);
    }
}
