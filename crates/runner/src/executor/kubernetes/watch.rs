//! Following a pod: by a watch where the account may, by asking again and again where it may not.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use tasuki_rt::{Backoff, CancellationToken, Tasks};
use tokio::sync::watch;

use super::cluster::Cluster;
use super::fault::Fault;
use super::sight::{self, Trouble};

/// The server ends every watch itself, after 290 s at most.
const QUIET: Duration = Duration::from_secs(300);

/// Pauses of a watch that breaks off at once.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How much later than its containers' end a pod says why.
const EXPLANATION: Duration = Duration::from_secs(5);

/// How a pod is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// Changes are told.
    Watch,
    /// It is asked for so often.
    Poll(Duration),
}

/// What is known of a pod.
#[derive(Debug, Clone)]
pub(super) struct Seen {
    pub(super) pod: Arc<Pod>,
    pub(super) gone: bool,
}

/// Follows one pod until it is dropped.
#[derive(Debug)]
pub(super) struct Watcher {
    seen: watch::Receiver<Seen>,
    end: CancellationToken,
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.end.cancel();
    }
}

impl Watcher {
    /// Begins at a pod as it was made.
    pub(super) fn follow(cluster: Cluster, pod: Pod, way: Way, tasks: &Tasks) -> Self {
        let end = CancellationToken::new();
        let (tell, seen) = watch::channel(Seen {
            pod: Arc::new(pod),
            gone: false,
        });
        let follower = Follower { cluster, tell };
        let ended = end.clone();
        tasks.spawn("following of a pod", async move {
            tokio::select! {
                () = follower.run(way) => {}
                () = ended.cancelled() => {}
            }
        });
        Self { seen, end }
    }

    /// As it was seen last, and every change from then on.
    pub(super) fn seen(&self) -> watch::Receiver<Seen> {
        self.seen.clone()
    }

    /// Resolves when the cluster has the pod no more.
    pub(super) async fn gone(&self) {
        // Nobody follows it any more: then nothing is known of it, and nobody comes to know it.
        if self.seen.clone().wait_for(|now| now.gone).await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Resolves when the pod is of no use any more, and says why, or has had the time to.
    pub(super) async fn trouble(&self) -> Trouble {
        let mut seen = self.seen.clone();
        let mut limit = None;
        loop {
            let now = seen.borrow_and_update().clone();
            let trouble = sight::trouble(&now.pod, now.gone);
            let changed = seen.changed();
            let ended = match trouble {
                None => changed.await.is_err(),
                Some(trouble) if !sight::is_unexplained(&now.pod, now.gone) => return trouble,
                Some(trouble) => {
                    let limit = *limit.get_or_insert_with(|| tokio::time::Instant::now() + EXPLANATION);
                    match tokio::time::timeout_at(limit, changed).await {
                        Ok(Ok(())) => false,
                        Ok(Err(_)) | Err(_) => return trouble,
                    }
                }
            };
            if ended {
                std::future::pending::<()>().await;
            }
        }
    }
}

struct Follower {
    cluster: Cluster,
    tell: watch::Sender<Seen>,
}

impl Follower {
    fn pod(&self) -> Arc<Pod> {
        Arc::clone(&self.tell.borrow().pod)
    }

    fn saw(&self, mut pod: Pod, gone: bool) {
        // Who set which field: half of a pod's room, and of no use here.
        pod.metadata.managed_fields = None;
        self.tell.send_replace(Seen {
            pod: Arc::new(pod),
            gone,
        });
    }

    fn is_gone(&self) -> bool {
        self.tell.borrow().gone
    }

    fn lost(&self) {
        self.tell.send_modify(|seen| seen.gone = true);
    }

    fn api(&self) -> Api<Pod> {
        let pod = self.pod();
        Api::namespaced(
            self.cluster.client.clone(),
            pod.metadata.namespace.as_deref().unwrap_or_default(),
        )
    }

    fn name(&self) -> String {
        self.pod().metadata.name.clone().unwrap_or_default()
    }

    async fn run(self, way: Way) {
        let interval = match way {
            Way::Poll(interval) => interval,
            Way::Watch => match self.watch().await {
                Ok(()) => return,
                // Taken away meanwhile.
                Err(fault) => {
                    tracing::warn!(error = %fault, pod = self.name(), "a pod cannot be watched: it is polled");
                    Duration::from_secs(3)
                }
            },
        };
        while !self.is_gone() {
            tokio::time::sleep(interval).await;
            self.look().await;
        }
    }

    /// Asks for it once. What cannot be asked now is asked later.
    async fn look(&self) {
        let (api, name) = (self.api(), self.name());
        match self.cluster.call(|| api.get(&name)).await {
            Ok(pod) if pod.metadata.uid == self.pod().metadata.uid => self.saw(pod, false),
            Ok(_) => self.lost(),
            Err(fault) if fault.is_missing() => self.lost(),
            Err(fault) => tracing::debug!(error = %fault, pod = name, "a pod cannot be asked for"),
        }
    }

    /// Until the pod is gone.
    async fn watch(&self) -> Result<(), Fault> {
        let (api, name) = (self.api(), self.name());
        let params = WatchParams::default().fields(&format!("metadata.name={name}"));
        let mut version = self.pod().metadata.resource_version.clone().unwrap_or_default();
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        while !self.is_gone() {
            match self.cluster.call(|| api.watch(&params, &version)).await {
                Ok(events) => {
                    tokio::pin!(events);
                    // An end that nobody announced looks like quiet.
                    while let Ok(Ok(Some(event))) = tokio::time::timeout(QUIET, events.try_next()).await {
                        match event {
                            WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod)
                                if pod.metadata.uid != self.pod().metadata.uid =>
                            {
                                self.lost();
                            }
                            WatchEvent::Added(pod) | WatchEvent::Modified(pod) => {
                                version = pod.metadata.resource_version.clone().unwrap_or_default();
                                self.saw(pod, false);
                                backoff.reset();
                            }
                            WatchEvent::Deleted(pod) => {
                                self.saw(pod, true);
                                return Ok(());
                            }
                            WatchEvent::Bookmark(mark) => version = mark.metadata.resource_version,
                            // Too old to go on from.
                            WatchEvent::Error(_) => version.clear(),
                        }
                    }
                }
                Err(fault) if fault.is_forbidden() => return Err(fault),
                Err(fault) if fault.is_gone() => version.clear(),
                Err(fault) => tracing::debug!(error = %fault, pod = name, "the watch of a pod broke off"),
            }
            self.look().await;
            if version.is_empty() {
                version = self.pod().metadata.resource_version.clone().unwrap_or_default();
            }
            tokio::time::sleep(backoff.pause()).await;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use bytes::Bytes;
    use futures_util::stream;
    use http::Response;
    use http_body_util::StreamBody;
    use serde_json::{Value, json};
    use tokio::time::Instant;

    use super::super::peers;
    use super::*;

    fn pod(version: u32, phase: &str) -> Value {
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p", "namespace": "ci", "uid": "u", "resourceVersion": version.to_string()},
               "status": {"phase": phase}})
    }

    /// A watch that gives these events, and then nothing.
    fn events(events: &[Value]) -> peers::Answer {
        use futures_util::StreamExt as _;
        let lines: Vec<_> = events
            .iter()
            .map(|event| Ok(hyper::body::Frame::data(Bytes::from(format!("{event}\n")))))
            .collect();
        let body = StreamBody::new(stream::iter(lines).chain(stream::pending()));
        // A stream is not shared between threads; a body has to be.
        Response::new(http_body_util::combinators::BoxBody::new(body))
    }

    /// The connection of the first watch is half open: nothing comes, no end either.
    #[tokio::test(start_paused = true)]
    async fn a_watch_that_says_nothing_for_long_is_made_again() {
        let watches = Arc::new(AtomicU32::new(0));
        let count = Arc::clone(&watches);
        let cluster = peers::cluster(peers::repeats(1, &[]), move |request| {
            let watch = request.uri().query().is_some_and(|query| query.contains("watch"));
            let number = if watch {
                count.fetch_add(1, Ordering::Relaxed)
            } else {
                0
            };
            async move {
                match (watch, number) {
                    (false, _) => peers::answer(200, &pod(2, "Running")),
                    (true, 0) => events(&[]),
                    (true, _) => events(&[json!({"type": "DELETED", "object": pod(3, "Failed")})]),
                }
            }
        });
        let tasks = Tasks::new();
        let made = serde_json::from_value(pod(1, "Pending")).expect("is a pod");
        let began = Instant::now();
        let watcher = Watcher::follow(cluster, made, Way::Watch, &tasks);
        let mut seen = watcher.seen();
        seen.changed().await.expect("is followed");
        assert_eq!(
            sight::phase(&seen.borrow_and_update().pod),
            "Running",
            "it is looked at in between"
        );
        assert!(
            began.elapsed() >= QUIET && began.elapsed() < QUIET * 2,
            "{:?}",
            began.elapsed()
        );
        watcher.gone().await;
        assert_eq!(watches.load(Ordering::Relaxed), 2);
        assert!(began.elapsed() < QUIET * 2, "the second one is heard at once");
    }
}
