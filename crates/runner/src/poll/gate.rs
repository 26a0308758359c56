//! A counter of places whose number can change while they are in use.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// At most `most` permits at a time, handed out in the order of asking. Clones share them.
#[derive(Debug, Clone)]
pub(super) struct Gate(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    most: u32,
    used: u32,
    waiting: VecDeque<oneshot::Sender<Permit>>,
}

/// A place; given back when dropped.
#[derive(Debug)]
pub(super) struct Permit(Option<Gate>);

impl Gate {
    /// `most` = 0: no limit.
    pub(super) fn new(most: u32) -> Self {
        Self(Arc::new(Mutex::new(State {
            most,
            used: 0,
            waiting: VecDeque::new(),
        })))
    }

    /// Changes the number of places. Those in use stay in use.
    pub(super) fn resize(&self, most: u32) {
        self.lock().most = most;
        self.serve();
    }

    /// Places in use.
    #[cfg(test)]
    fn used(&self) -> u32 {
        self.lock().used
    }

    /// Waits for a place. Cancel-safe: a place given to a waiter that is gone goes back.
    pub(super) async fn acquire(&self) -> Permit {
        let receiver = {
            let mut state = self.lock();
            if state.waiting.is_empty() && has_room(&state) {
                state.used += 1;
                return Permit(Some(self.clone()));
            }
            let (sender, receiver) = oneshot::channel();
            state.waiting.push_back(sender);
            receiver
        };
        match receiver.await {
            Ok(permit) => permit,
            // The sender lives in the gate, and the gate in `self`.
            Err(_) => std::future::pending().await,
        }
    }

    fn serve(&self) {
        loop {
            let sender = {
                let mut state = self.lock();
                if !has_room(&state) {
                    return;
                }
                let Some(sender) = state.waiting.pop_front() else {
                    return;
                };
                state.used += 1;
                sender
            };
            // The permit of a waiter that is gone comes back here and is dropped, which serves the next.
            drop(sender.send(Permit(Some(self.clone()))));
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn has_room(state: &State) -> bool {
    state.most == 0 || state.used < state.most
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.lock().used -= 1;
            gate.serve();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_limited_fair_and_come_back() {
        let gate = Gate::new(1);
        let first = gate.acquire().await;
        let mut second = Box::pin(gate.acquire());
        let mut third = Box::pin(gate.acquire());
        assert!(futures_util::poll!(&mut second).is_pending());
        assert!(futures_util::poll!(&mut third).is_pending());
        drop(first);
        assert!(futures_util::poll!(&mut third).is_pending(), "the second was first");
        let permit = second.await;
        drop(permit);
        drop(third.await);
        assert_eq!(gate.used(), 0);
    }

    #[tokio::test]
    async fn a_waiter_that_is_gone_keeps_no_place() {
        let gate = Gate::new(1);
        let first = gate.acquire().await;
        let mut gone = Box::pin(gate.acquire());
        assert!(futures_util::poll!(&mut gone).is_pending());
        drop(first);
        drop(gone);
        drop(gate.acquire().await);
        assert_eq!(gate.used(), 0);
    }

    #[tokio::test]
    async fn resizing() {
        let gate = Gate::new(1);
        let first = gate.acquire().await;
        let mut waiting = Box::pin(gate.acquire());
        assert!(futures_util::poll!(&mut waiting).is_pending());
        gate.resize(2);
        let second = waiting.await;
        gate.resize(1);
        drop(second);
        let mut waiting = Box::pin(gate.acquire());
        assert!(
            futures_util::poll!(&mut waiting).is_pending(),
            "the first still has the only place"
        );
        drop(first);
        drop(waiting.await);
        let unlimited = Gate::new(0);
        let many = [
            unlimited.acquire().await,
            unlimited.acquire().await,
            unlimited.acquire().await,
        ];
        assert_eq!((unlimited.used(), many.len()), (3, 3));
    }
}
