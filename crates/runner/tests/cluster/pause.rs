//! Pause pods, and the scheduler that puts jobs in their place.

use std::time::{Duration, Instant};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::api::ListParams;
use kube::{Api, ResourceExt as _};
use tasuki_runner::executor::Executor as _;
use tasuki_runner::executor::kubernetes::{Account, Purpose, rbac_manifest};

use crate::account::{Own, keys};
use crate::cluster::{Place, busybox, place, run_in, script, settings, unique};
use crate::conformance::task;

/// A section whose account has exactly its rights.
async fn keeping(own: &Own, section: &str) -> (Place, tempfile::TempDir, Vec<serde_json::Value>) {
    let section = format!("namespace = {:?}\npoll_interval = 1\n{section}\n", own.name);
    let account = Account {
        name: unique("runner"),
        namespace: own.name.clone(),
    };
    let rights = rbac_manifest(&settings(&section), &account, Purpose::Jobs);
    own.make(&rights).await;
    let folder = tempfile::tempdir().expect("a folder");
    let token = own.token_of(&account.name).await;
    let place = place(&format!("{}{section}", keys(folder.path(), &token, None).await));
    (place, folder, rights)
}

async fn pods(own: &Own) -> Vec<Pod> {
    let api: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let params = ListParams::default().labels("tasuki.dev/pause");
    api.list(&params).await.expect("are listed").items
}

async fn deployments(own: &Own) -> Vec<Deployment> {
    let api: Api<Deployment> = Api::namespaced(own.client.clone(), &own.name);
    api.list(&ListParams::default()).await.expect("are listed").items
}

fn is_running(pod: &Pod) -> bool {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Running")
        && pod.metadata.deletion_timestamp.is_none()
}

/// Waits until so many pause pods run, and no more are there.
async fn running(own: &Own, wanted: usize) -> Vec<Pod> {
    let began = Instant::now();
    loop {
        let found = pods(own).await;
        if found.len() == wanted && found.iter().all(is_running) {
            return found;
        }
        assert!(
            began.elapsed() < Duration::from_secs(90),
            "{} of {wanted} pods",
            found.len()
        );
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// What a pause pod's image does: nothing, for long.
pub(crate) fn image() -> String {
    let given = std::env::vars().find_map(|(key, value)| (key == "TASUKI_TEST_KUBERNETES_PAUSE").then_some(value));
    given.unwrap_or_else(|| busybox().replace("busybox", "pause"))
}

/// More than half of what the node has: two of them do not fit.
async fn more_than_half(own: &Own) -> String {
    let nodes: Api<Node> = Api::all(own.client.clone());
    let nodes = nodes.list(&ListParams::default()).await.expect("are listed").items;
    let allocatable = nodes[0].status.as_ref().and_then(|status| status.allocatable.as_ref());
    let cpu = &allocatable.expect("is known")["cpu"].0;
    let milli: u32 = match cpu.strip_suffix('m') {
        Some(milli) => milli.parse().expect("is a number"),
        None => cpu.parse::<u32>().expect("is a number") * 1000,
    };
    format!("{}m", milli * 6 / 10)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_takes_the_place_of_a_pause_pod() {
    let own = Own::new().await;
    let cpu = more_than_half(&own).await;
    let section = format!(
        "cpu_request = {cpu:?}\n[kubernetes.autoscaler]\nmax_pause_pods = 3\npause_pod_image = {:?}\n\
         [[kubernetes.autoscaler.policy]]\nidle_count = 1\n",
        image()
    );
    let (place, _folder, rights) = keeping(&own, &section).await;
    place.kubernetes.begin().await.expect("begins");
    let held = running(&own, 1).await.remove(0);
    let spec = held.spec.as_ref().expect("has one");
    assert_eq!(spec.priority, Some(-1), "every job comes first");
    let sandbox = place.sandbox(task()).await;
    let (ended, said) = run_in(&*sandbox, script("echo here")).await;
    assert!(ended.exit.success() && said == "here\n", "{said}");
    // Put out; the one in its stead waits for room.
    let found = pods(&own).await;
    assert!(
        found.iter().all(|pod| pod.uid() != held.uid() || !is_running(pod)),
        "{found:?}"
    );
    assert!(!found.iter().any(is_running), "there is no room for both");
    sandbox.teardown().await.expect("is torn down");
    running(&own, 1).await;
    // At the end of the runner they go.
    place.ends().await;
    assert_eq!(deployments(&own).await.len(), 0);
    own.remove(&rights).await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_number_follows_the_period_and_the_jobs() {
    let own = Own::new().await;
    let now = tasuki_rt::Clock::system().now_ms();
    let hour = (now / 3_600_000) % 24;
    // Neither now nor soon.
    let other = (hour + 12) % 24;
    for (period, wanted) in [("* * * * *".to_owned(), 3), (format!("* {other} * * *"), 1)] {
        let section = format!(
            "[kubernetes.autoscaler]\nmax_pause_pods = 3\npause_pod_image = {:?}\n\
             [[kubernetes.autoscaler.policy]]\nscale_factor = 1.0\n\
             [[kubernetes.autoscaler.policy]]\nperiods = [{period:?}]\nidle_count = 3\n",
            image()
        );
        let (place, _folder, rights) = keeping(&own, &section).await;
        let sandbox = place.sandbox(task()).await;
        place.kubernetes.begin().await.expect("begins");
        place.kubernetes.begin().await.expect("has begun");
        running(&own, wanted).await;
        assert_eq!(deployments(&own).await.len(), 1);
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
        assert_eq!(deployments(&own).await.len(), 0);
        running(&own, 0).await;
        own.remove(&rights).await;
    }
    own.end().await;
}
