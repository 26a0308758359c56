//! How pods end, and when.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Node, Pod};
use kube::Api;
use kube::api::{EvictParams, ListParams, Patch, PatchParams};
use serde_json::json;
use tasuki_model::plan::{Image, Service};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::{Collected, Error};

use crate::account::{Own, admin};
use crate::cluster::{busybox, chain, left, place, run_in, script, unique};
use crate::conformance::task;

async fn pods(own: &Own) -> (Api<Pod>, Vec<Pod>) {
    let pods: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let all = pods.list(&ListParams::default()).await.expect("are listed").items;
    (pods, all)
}

/// A service that ignores TERM is killed when the time is over, and not before.
///
/// Covers: GK-CFG-15, GK-POD-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn programs_have_their_grace_and_no_more() {
    const GRACE: u64 = 4;
    for keys in [
        format!("cleanup_grace_period_seconds = {GRACE}\npod_termination_grace_period_seconds = 600"),
        format!("pod_termination_grace_period_seconds = {GRACE}"),
    ] {
        let own = Own::new().await;
        let place = place(&format!("namespace = {:?}\n{keys}\n", own.name));
        let mut task = task();
        task.services = vec![Service {
            image: Image {
                name: busybox(),
                command: Some(
                    ["sh", "-c", "trap '' TERM; while :; do sleep 1; done"]
                        .map(str::to_owned)
                        .to_vec(),
                ),
                ..Image::default()
            },
            aliases: Vec::new(),
        }];
        let sandbox = place.sandbox(task).await;
        run_in(&*sandbox, script("true")).await;
        let began = Instant::now();
        sandbox.teardown().await.expect("is torn down");
        while !pods(&own).await.1.is_empty() {
            assert!(began.elapsed() < Duration::from_secs(90), "{keys}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(
            began.elapsed() >= Duration::from_secs(GRACE),
            "{keys}: {:?}",
            began.elapsed()
        );
        place.ends().await;
        own.end().await;
    }
}

/// The cluster ends a pod whose job is over its time, and what the script says in its grace is not lost.
///
/// Covers: GK-POD-02, GK-POD-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_pod_that_outlives_its_job_is_ended_by_the_cluster_after_its_grace() {
    let place = place("pod_termination_grace_period_seconds = 5");
    let mut task = task();
    task.timeout = Duration::from_secs(7);
    let sandbox = place.sandbox(task).await;
    let output = Collected::default();
    let text = "trap 'echo asked' TERM; echo begun; i=0; while :; do i=$((i+1)); echo $i; sleep 1; done";
    let error = sandbox.run(script(text), &output).await.expect_err("has no end");
    assert_eq!(error.reason(), FailureReason::JobExecutionTimeout, "{}", chain(&error));
    assert!(
        chain(&error).contains("ran longer than the job may"),
        "{}",
        chain(&error)
    );
    let said = output.text();
    let (_, after) = said
        .split_once("asked\n")
        .unwrap_or_else(|| panic!("it was asked: {said}"));
    assert!(after.lines().count() >= 3, "its grace is heard to the end: {said}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_pod_that_is_evicted_is_told() {
    let own = Own::new().await;
    let place = place(&format!(
        "namespace = {:?}\npod_termination_grace_period_seconds = 2\n[[kubernetes.volumes.empty_dir]]\nname = \"small\"\nmount_path = \"/small\"\nsize_limit = \"1Mi\"\n",
        own.name
    ));
    // As a drain of the node does it.
    let sandbox = place.sandbox(task()).await;
    let output = Collected::default();
    let evict = async {
        while output.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (api, all) = pods(&own).await;
        let name = all[0].metadata.name.as_deref().expect("has one");
        api.evict(name, &EvictParams::default()).await.expect("is evicted");
    };
    let (ended, ()) = tokio::join!(sandbox.run(script("echo here; exec sleep 600"), &output), evict);
    let error = ended.expect_err("has no end");
    assert!(
        matches!(error, Error::System { .. }) && error.is_transient(),
        "{}",
        chain(&error)
    );
    for wanted in [
        "was taken away by the cluster (EvictionByEvictionAPI)",
        "`pod_disruption_budget = true`",
    ] {
        assert!(chain(&error).contains(wanted), "{}", chain(&error));
    }
    sandbox.teardown().await.expect("is torn down");
    // As the node does it whose disk the pod fills. The script ends by a signal, and that is not its own fault.
    let sandbox = place.sandbox(task()).await;
    let filling = script("echo here; head -c 20000000 /dev/zero > /small/file; exec sleep 600");
    let error = sandbox
        .run(filling, &Collected::default())
        .await
        .expect_err("has no end");
    assert!(
        matches!(error, Error::System { .. }) && error.is_transient(),
        "{}",
        chain(&error)
    );
    for wanted in ["EmptyDir volume \"small\" exceeds", "raise the volume's `size_limit`"] {
        assert!(chain(&error).contains(wanted), "{}", chain(&error));
    }
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}

/// Told by a watch: polling would need 100 s.
///
/// Covers: GK-INF-01, GK-INF-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_watched_pod_is_seen_at_once() {
    let place = place("poll_interval = 100\npoll_timeout = 90");
    let sandbox = place.sandbox(task()).await;
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// Covers: GK-CFG-47
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_waits_for_a_node_as_long_as_it_may() {
    let label = unique("tasuki.test/later");
    let nodes: Api<Node> = Api::all(admin().await);
    let all = nodes.list(&ListParams::default()).await.expect("are listed").items;
    let node = all[0].metadata.name.clone().expect("has one");
    let set = async |value: serde_json::Value| {
        let patch = Patch::Merge(json!({"metadata": {"labels": {label.clone(): value}}}));
        nodes
            .patch_metadata(&node, &PatchParams::default(), &patch)
            .await
            .expect("is set");
    };
    let place = place(&format!(
        "poll_timeout = 3600\npoll_interval = 1\n[kubernetes.node_selector]\n{label:?} = \"yes\"\n"
    ));
    let room = async {
        tokio::time::sleep(Duration::from_secs(4)).await;
        set(json!("yes")).await;
    };
    let ((made, printed), ()) = tokio::join!(place.prepare(task()), room);
    set(json!(null)).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    assert!(printed.contains("Unschedulable"), "{printed}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}
