//! Output that is listened to: a step that says nothing for too long is ended.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::Instant;

use crate::executor::{Output, Stream};

/// Passes output on and remembers when there was some.
pub(super) struct Listened<'a> {
    inner: &'a dyn Output,
    last: Mutex<Instant>,
}

impl<'a> Listened<'a> {
    pub(super) fn new(inner: &'a dyn Output) -> Self {
        Self {
            inner,
            last: Mutex::new(Instant::now()),
        }
    }

    fn last(&self) -> Instant {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Resolves when there was no output for `limit`.
    pub(super) async fn silent(&self, limit: Duration) {
        loop {
            let until = self.last() + limit;
            if until <= Instant::now() {
                return;
            }
            tokio::time::sleep_until(until).await;
        }
    }
}

#[async_trait]
impl Output for Listened<'_> {
    async fn write(&self, stream: Stream, bytes: &[u8]) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        self.inner.write(stream, bytes).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::executor::Discard;

    #[tokio::test]
    async fn silence_is_counted_from_the_last_output() {
        let output = Listened::new(&Discard);
        let limit = Duration::from_millis(50);
        let talk = async {
            for _ in 0..3 {
                tokio::time::sleep(Duration::from_millis(10)).await;
                output.write(Stream::Stdout, b"x").await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = talk => {}
            () = output.silent(limit) => {}
        }
        assert!(output.last().elapsed() >= limit);
    }
}
