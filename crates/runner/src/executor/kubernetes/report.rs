//! What the job's log is told of its pod: the cluster's events, what services print, what an entry point prints.
//!
//! None of it fails a job: what cannot be read is said, and the job goes on.

use std::collections::BTreeSet;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::io::AsyncBufRead;
use futures_util::{AsyncBufReadExt as _, AsyncReadExt as _, TryStreamExt as _};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::api::{ListParams, LogParams, WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use tasuki_rt::{Backoff, Tasks};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::cluster::Cluster;
use super::fault::Fault;
use super::plan::Planned;
use super::sight;
use super::watch::{Seen, Watcher};
use crate::executor::{Output, PullOnDrop, Stop, Stream};
use crate::guest::inside::READY;

/// Pauses before something is followed again that broke off.
const PAUSE: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(10));

/// How often a log that breaks off without having said anything is asked for again.
const TRIES: u32 = 8;

/// How much of a line is held; what is longer comes in pieces.
const LINE: u64 = 64 << 10;

/// How long events may come after what they are about.
pub(super) const LATE: Duration = Duration::from_secs(2);

/// Between two looks for them.
const LOOK: Duration = Duration::from_millis(500);

/// How long the last words of an entry point may take.
const REST: Duration = Duration::from_secs(5);

/// A pod, and where is written what is found out about it.
#[derive(Clone)]
pub(super) struct Report {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) output: Arc<dyn Output>,
}

/// What of a pod is to be told.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) events: bool,
    pub(super) entry_point: bool,
    /// Containers.
    pub(super) services: Vec<String>,
}

/// What is told, until this is dropped.
pub(super) struct Followed {
    entry_point: Option<JoinHandle<Option<()>>>,
    _end: PullOnDrop,
}

impl Followed {
    pub(super) fn begin(report: &Report, wanted: Wanted, watcher: &Watcher, tasks: &Tasks) -> Self {
        let end = Stop::new();
        let until = |work: Pin<Box<dyn Future<Output = ()> + Send>>| {
            let end = end.clone();
            async move {
                tokio::select! {
                    () = work => {}
                    () = end.pulled() => {}
                }
            }
        };
        if wanted.events {
            tasks.spawn("events of a pod", until(Box::pin(report.clone().events())));
        }
        for container in wanted.services {
            let log = report.clone().service(container, watcher.seen());
            tasks.spawn("log of a service", until(Box::pin(log)));
        }
        let entry_point = wanted.entry_point.then(|| {
            let log = report.clone().entry_point(watcher.seen());
            tasks.spawn("log of an entry point", until(Box::pin(log)))
        });
        Self {
            entry_point,
            _end: PullOnDrop(end),
        }
    }

    /// Waits a moment for what an entry point has said that is at its end, one way or the other.
    pub(super) async fn rest(&mut self) {
        if let Some(entry_point) = self.entry_point.take() {
            let _ = tokio::time::timeout(REST, entry_point).await;
        }
    }
}

impl Report {
    async fn say(&self, text: &str) {
        self.output.write(Stream::Stdout, text.as_bytes()).await;
    }

    async fn cannot(&self, fault: Fault, what: String) {
        let error = fault.explain(what);
        self.say(&format!("WARNING: {}\n", crate::trace::chain(&error))).await;
    }

    /// `FF_PRINT_POD_EVENTS`: each event of the pod as it happens, for ever.
    pub(super) async fn events(self) {
        self.say("Subscribing to Kubernetes Pod events...\nType\tReason\tMessage\n")
            .await;
        let events: Api<Event> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let params = WatchParams::default().fields(&format!("involvedObject.name={}", self.pod));
        // The watch begins anew with those that were told.
        let mut told = BTreeSet::new();
        let mut backoff = Backoff::new(PAUSE.0, PAUSE.1);
        loop {
            match self.cluster.call(|| events.watch(&params, "0")).await {
                Ok(stream) => {
                    tokio::pin!(stream);
                    while let Ok(Some(event)) = stream.try_next().await {
                        let (WatchEvent::Added(event) | WatchEvent::Modified(event)) = event else {
                            continue;
                        };
                        backoff.reset();
                        if told.insert((event.name_any(), event.resource_version())) {
                            self.say(&line(&event)).await;
                        }
                    }
                }
                Err(fault) if fault.is_forbidden() => {
                    return self
                        .cannot(fault, "watch the pod's events (FF_PRINT_POD_EVENTS)".to_owned())
                        .await;
                }
                Err(fault) => tracing::debug!(error = %fault, pod = self.pod, "the watch of a pod's events broke off"),
            }
            tokio::time::sleep(backoff.pause()).await;
        }
    }

    /// `print_pod_warning_events`: what the cluster warned of. Nodes send events aside, so that one may come after the failure
    /// that it explains: it is looked again until some are there and no more come, for `patience` at most.
    ///
    /// # Errors
    /// They cannot be listed.
    pub(super) async fn warnings(&self, patience: Duration) -> crate::executor::Result<()> {
        let events: Api<Event> = Api::namespaced(self.cluster.client.clone(), &self.namespace);
        let params = ListParams::default().fields(&format!("involvedObject.name={},type=Warning", self.pod));
        let mut told = BTreeSet::new();
        let mut waited = Duration::ZERO;
        loop {
            let found = self.cluster.call(|| events.list(&params)).await;
            let found =
                found.map_err(|fault| fault.explain("list the pod's warning events (print_pod_warning_events)"))?;
            let before = told.len();
            for event in found.items {
                // One that is counted up keeps its name.
                if told.insert(event.name_any()) {
                    let message = event.message.as_deref().unwrap_or_default();
                    self.say(&format!("WARNING: Event retrieved from the cluster: {message}\n"))
                        .await;
                }
            }
            let is_quiet = told.len() == before && !told.is_empty();
            if is_quiet || waited >= patience {
                return Ok(());
            }
            tokio::time::sleep(LOOK).await;
            waited += LOOK;
        }
    }

    /// `CI_DEBUG_SERVICES`: what a service prints, each line with its name, until it ends.
    pub(super) async fn service(self, container: String, seen: watch::Receiver<Seen>) {
        let mut log = Log::of(&self, &container);
        started(seen, &container).await;
        loop {
            match log.next().await {
                Ok(Some(line)) => {
                    let text = String::from_utf8_lossy(&line);
                    self.say(&format!("[service:{container}] {}\n", text.trim_end_matches('\n')))
                        .await;
                }
                Ok(None) => return,
                Err(fault) => {
                    let what = format!("read the log of the service {container} (CI_DEBUG_SERVICES)");
                    return self.cannot(fault, what).await;
                }
            }
        }
    }

    /// `FF_KUBERNETES_HONOR_ENTRYPOINT`: what the image's entry point prints, until it hands over or ends.
    pub(super) async fn entry_point(self, seen: watch::Receiver<Seen>) {
        let mut log = Log::of(&self, Planned::BUILD);
        started(seen, Planned::BUILD).await;
        loop {
            match log.next().await {
                Ok(Some(line)) => {
                    let end = line.windows(READY.len()).position(|part| part == READY);
                    let own = &line[..end.unwrap_or(line.len())];
                    if !own.is_empty() {
                        self.output.write(Stream::Stdout, own).await;
                    }
                    if end.is_some() {
                        return;
                    }
                }
                Ok(None) => return,
                Err(fault) => {
                    let what = "read what the entry point prints (FF_KUBERNETES_HONOR_ENTRYPOINT)".to_owned();
                    return self.cannot(fault, what).await;
                }
            }
        }
    }
}

/// A line of the job's log.
fn line(event: &Event) -> String {
    let text = |text: &Option<String>| text.clone().unwrap_or_default().replace('\n', " ");
    format!(
        "{}\t{}\t{}\n",
        text(&event.type_),
        text(&event.reason),
        text(&event.message)
    )
}

/// Resolves when a container has a log; never where it does not come to it.
async fn started(mut seen: watch::Receiver<Seen>, container: &str) {
    if seen
        .wait_for(|now| sight::has_started(&now.pod, container))
        .await
        .is_err()
    {
        std::future::pending::<()>().await;
    }
}

/// The log of a container, line by line. A connection that breaks off is made again, at the line where it did.
struct Log<'a> {
    report: &'a Report,
    container: &'a str,
    reader: Option<Pin<Box<dyn AsyncBufRead + Send>>>,
    /// Time of the last line.
    last: Option<Timestamp>,
    backoff: Backoff,
}

impl<'a> Log<'a> {
    fn of(report: &'a Report, container: &'a str) -> Self {
        Self {
            report,
            container,
            reader: None,
            last: None,
            backoff: Backoff::new(PAUSE.0, PAUSE.1),
        }
    }

    async fn open(&mut self) -> Result<Pin<Box<dyn AsyncBufRead + Send>>, Fault> {
        let report = self.report;
        let pods: Api<Pod> = Api::namespaced(report.cluster.client.clone(), &report.namespace);
        let params = LogParams {
            container: Some(self.container.to_owned()),
            follow: true,
            timestamps: true,
            since_time: self.last,
            ..LogParams::default()
        };
        let stream = report.cluster.call(|| pods.log_stream(&report.pod, &params)).await?;
        Ok(Box::pin(stream))
    }

    /// The next line with its end, or a piece of one that is too long; `None` at the end.
    async fn next(&mut self) -> Result<Option<Vec<u8>>, Fault> {
        loop {
            let reader = match &mut self.reader {
                Some(reader) => reader,
                None => {
                    let opened = self.open().await?;
                    self.reader.insert(opened)
                }
            };
            let mut line = Vec::new();
            match reader.take(LINE).read_until(b'\n', &mut line).await {
                Ok(0) => return Ok(None),
                Ok(_) => {
                    self.backoff.reset();
                    if let Some(line) = self.unread(line) {
                        return Ok(Some(line));
                    }
                }
                Err(error) => {
                    tracing::debug!(%error, container = self.container, "a log broke off");
                    if self.backoff.tries() >= TRIES {
                        return Ok(None);
                    }
                    self.reader = None;
                    tokio::time::sleep(self.backoff.pause()).await;
                }
            }
        }
    }

    /// The line without its time, where it was not read before.
    fn unread(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        let Some((time, at)) = stamp(&line) else {
            return Some(line);
        };
        if self.last.is_some_and(|last| time <= last) {
            return None;
        }
        self.last = Some(time);
        Some(line[at..].to_vec())
    }
}

/// Time of a line, and where its text begins. A piece that does not begin a line has none.
fn stamp(line: &[u8]) -> Option<(Timestamp, usize)> {
    let end = line.iter().take(40).position(|byte| *byte == b' ')?;
    let time = std::str::from_utf8(&line[..end]).ok()?.parse().ok()?;
    Some((time, end + 1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use serde_json::json;

    use super::super::peers;
    use super::*;
    use crate::executor::Collected;

    #[test]
    fn times_of_lines_are_read() {
        for (line, wanted) in [
            ("2026-01-02T03:04:05.123456789Z text", Some(31)),
            ("2026-01-02T03:04:05Z ", Some(21)),
            ("2026-01-02T03:04:05.5+01:00 x", Some(28)),
            ("no time at all", None),
            ("", None),
        ] {
            assert_eq!(stamp(line.as_bytes()).map(|(_, at)| at), wanted, "{line}");
        }
    }

    /// As many looks as are needed, and no more than two seconds.
    #[tokio::test(start_paused = true)]
    async fn warnings_that_come_late_are_waited_for() {
        const ONE: &str = "Failed to pull image";
        const TWO: &str = "Error: ErrImagePull";
        type Looks = &'static [&'static [&'static str]];
        let cases: [(Looks, &[&str], u64); 4] = [
            (&[&[ONE]], &[ONE], 500),
            (&[&[], &[ONE], &[ONE, TWO], &[ONE, TWO]], &[ONE, TWO], 1500),
            (&[&[], &[], &[], &[], &[ONE]], &[ONE], 2000),
            (&[&[]], &[], 2000),
        ];
        for (looks, wanted, most) in cases {
            let number = Arc::new(AtomicUsize::new(0));
            let count = Arc::clone(&number);
            let cluster = peers::cluster(peers::repeats(1, &[]), move |_| {
                let look = count.fetch_add(1, Ordering::Relaxed).min(looks.len() - 1);
                let events = looks[look].iter().enumerate();
                let items: Vec<_> = events
                    .map(|(at, message)| json!({"metadata": {"name": format!("p.{at}")}, "involvedObject": {}, "message": message}))
                    .collect();
                async move {
                    peers::answer(
                        200,
                        &json!({"apiVersion": "v1", "kind": "EventList", "metadata": {}, "items": items}),
                    )
                }
            });
            let output = Arc::new(Collected::default());
            let report = Report {
                cluster,
                namespace: "ci".to_owned(),
                pod: "p".to_owned(),
                output: output.clone(),
            };
            let began = tokio::time::Instant::now();
            report.warnings(LATE).await.expect("are listed");
            let said = wanted
                .iter()
                .map(|message| format!("WARNING: Event retrieved from the cluster: {message}\n"));
            assert_eq!(output.text(), said.collect::<String>());
            assert_eq!(began.elapsed(), Duration::from_millis(most), "{looks:?}");
        }
    }

    /// An answer that breaks off in mid-log is asked for again, from the last line on.
    #[tokio::test(start_paused = true)]
    async fn a_log_that_breaks_off_goes_on_where_it_did() {
        let text = |number: u32| format!("2026-01-01T00:00:0{number}Z line {number}\n");
        let cluster = peers::cluster(peers::repeats(1, &[]), move |request| {
            let again = request.uri().query().is_some_and(|query| query.contains("sinceTime"));
            async move {
                if again {
                    // What was of the same second comes again.
                    return peers::log(&[text(2), text(3)].concat(), peers::End::Whole);
                }
                peers::log(&[text(1), text(2)].concat(), peers::End::Broken)
            }
        });
        let output = Arc::new(Collected::default());
        let report = Report {
            cluster,
            namespace: "ci".to_owned(),
            pod: "p".to_owned(),
            output: output.clone(),
        };
        let status = json!({"containerStatuses": [
            {"name": "db", "image": "i", "imageID": "", "ready": true, "restartCount": 0, "state": {"running": {}}}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p"}, "status": status})).expect("is a pod");
        let (_tell, seen) = watch::channel(Seen {
            pod: Arc::new(pod),
            gone: false,
        });
        report.service("db".to_owned(), seen).await;
        let wanted = "[service:db] line 1\n[service:db] line 2\n[service:db] line 3\n";
        assert_eq!(output.text(), wanted);
    }
}
