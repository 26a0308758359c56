//! Calls to the API of a cluster, repeated where that may help.

use std::time::Duration;

use kube::Client;
use tasuki_rt::Backoff;

use super::fault::{self, Fault};
use crate::executor::Result;

/// How long an answer may take; of a stream, its beginning.
const PATIENCE: Duration = Duration::from_secs(60);

/// The first pause before a repetition.
const FIRST_PAUSE: Duration = Duration::from_millis(500);

/// How often a call is tried.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Repeats {
    /// `retry_limit`: in all.
    pub(super) tries: u32,
    /// `retry_limits`: by a part of the fault's text; counts instead.
    pub(super) named: Vec<(String, u32)>,
    /// `retry_backoff_max`
    pub(super) most: Duration,
}

impl Repeats {
    /// How long to wait before another try of a call that failed so; `None` where it is not tried again.
    /// From half a second, doubled each time, up to `most`; the longer ones are shortened by up to a half at random.
    fn pause(&self, backoff: &mut Backoff, text: &str, passing: bool) -> Option<Duration> {
        let failed = backoff.tries() + 1;
        (failed < self.tries(text, passing)).then(|| backoff.pause().max(FIRST_PAUSE))
    }

    /// How often a call that fails so is tried in all. The longest part that the text has counts.
    fn tries(&self, text: &str, passing: bool) -> u32 {
        let named = self
            .named
            .iter()
            .filter(|(part, _)| !part.is_empty() && text.contains(part.as_str()))
            .max_by_key(|(part, _)| part.len());
        match named {
            Some((_, tries)) => *tries,
            None if passing => self.tries,
            None => 1,
        }
    }
}

/// A cluster as one account sees it.
#[derive(Clone)]
pub(super) struct Cluster {
    pub(super) client: Client,
    /// Of its API.
    pub(super) address: String,
    pub(super) repeats: Repeats,
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Cluster {
    /// Makes a call and repeats it as configured.
    pub(super) async fn call<T, F>(&self, call: impl Fn() -> F) -> std::result::Result<T, Fault>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let mut backoff = Backoff::new(FIRST_PAUSE, self.repeats.most.max(FIRST_PAUSE));
        loop {
            let late = || Err(kube::Error::ReadEvents(std::io::ErrorKind::TimedOut.into()));
            let source = match tokio::time::timeout(PATIENCE, call()).await.unwrap_or_else(|_| late()) {
                Ok(done) => return Ok(done),
                Err(source) => source,
            };
            let text = fault::text(&source);
            let Some(pause) = self.repeats.pause(&mut backoff, &text, fault::is_passing(&source)) else {
                return Err(Fault { source });
            };
            tracing::debug!(
                error = text,
                tries = backoff.tries(),
                "a call to the cluster is repeated"
            );
            tokio::time::sleep(pause).await;
        }
    }
}

/// What a call that may find nothing says.
pub(super) fn unless_missing<T>(done: std::result::Result<T, Fault>, what: impl Into<String>) -> Result<Option<T>> {
    match done {
        Ok(found) => Ok(Some(found)),
        Err(fault) if fault.is_missing() => Ok(None),
        Err(fault) => Err(fault.explain(what)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_name_of_a_limit_counts() {
        let repeats = Repeats {
            tries: 5,
            named: [("TLS", 1), ("TLS handshake timeout", 9), ("no such thing", 3), ("", 7)]
                .into_iter()
                .map(|(part, tries)| (part.to_owned(), tries))
                .collect(),
            most: Duration::from_secs(2),
        };
        for (text, passing, wanted) in [
            ("net/http: TLS handshake timeout", true, 9),
            ("TLS", true, 1),
            ("connection refused", true, 5),
            ("forbidden", false, 1),
            // Named by the operator, though it is none that passes by itself.
            ("no such thing", false, 3),
        ] {
            assert_eq!(repeats.tries(text, passing), wanted, "{text}");
        }
    }
}
