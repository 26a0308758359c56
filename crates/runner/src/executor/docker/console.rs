//! What the executor says in a job's log.

use crate::executor::{Output, Stream};

/// Lines for the log.
pub(super) struct Console<'a>(pub(super) &'a dyn Output);

impl Console<'_> {
    pub(super) async fn line(&self, text: &str) {
        self.0.write(Stream::Stdout, format!("{text}\n").as_bytes()).await;
    }
}
