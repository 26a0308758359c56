//! Nothing is left, whatever goes wrong.

use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tasuki_rt::Tasks;
use tasuki_runner::executor::kubernetes::Kubernetes;
use tasuki_runner::executor::{Collected, Discard, Error, Executor as _, RegistryLogin, Stop, Task};
use tasuki_runner::process::Binary;

use crate::account::{Own, admin};
use crate::cluster::{Place, busybox, chain, helper, left, place, run_in, script, settings};
use crate::conformance::task;

/// Where the runner that is killed keeps its records, what `[runners.kubernetes]` it has, and the mark of its jobs.
const CHILD: &str = "TASUKI_TEST_CHILD";
const SECTION: &str = "TASUKI_TEST_CHILD_SECTION";
const MARK: &str = "TASUKI_TEST_CHILD_MARK";

/// With a secret of its own.
fn with_login() -> Task {
    let mut task = task();
    task.registry_logins = vec![RegistryLogin {
        registry: "private.test".to_owned(),
        user: "builder".to_owned(),
        password: tasuki_model::secret::Secret::new("secret"),
    }];
    task
}

/// Not a test by itself: the runner that is killed.
#[tokio::test]
#[ignore = "started by another test"]
async fn a_runner_to_be_killed() {
    let Some(folder) = std::env::vars().find_map(|(key, value)| (key == CHILD).then_some(value)) else {
        return;
    };
    let binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
    let given = |name: &str| std::env::vars().find_map(|(key, value)| (key == name).then_some(value));
    let settings = settings(&given(SECTION).expect("is given"));
    let executor = Kubernetes::new(settings, folder.as_ref(), &binary, Tasks::new()).expect("is configured");
    executor.begin().await.expect("begins");
    let task = Task {
        runner_short_token: given(MARK).expect("is given"),
        ..with_login()
    };
    let _sandbox = executor
        .prepare(task, Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox");
    println!("\nready");
    std::future::pending::<()>().await;
}

struct Killed(std::process::Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// A second runner of the place's folder, with a job at work, that dies when this is dropped.
fn runner_to_be_killed(place: &Place, section: &str) -> Killed {
    helper();
    #[expect(clippy::disallowed_methods, reason = "a second runner")]
    let child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["--ignored", "--exact", "--nocapture", "left::a_runner_to_be_killed"])
        .env(CHILD, place.folder.path())
        .env(SECTION, section)
        .env(MARK, &place.mark)
        .stdout(Stdio::piped())
        .spawn()
        .expect("is started");
    let mut child = Killed(child);
    let lines = std::io::BufReader::new(child.0.stdout.take().expect("is piped")).lines();
    let said = lines.map_while(Result::ok).any(|line| line == "ready");
    assert!(said, "the child has a sandbox");
    child
}

/// Covers: GK-CLEAN-01, GK-CLEAN-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn what_a_killed_runner_left_is_swept() {
    let place = place("");
    let child = runner_to_be_killed(&place, "pod_disruption_budget = true");
    let living = place.sandbox(task()).await;
    let before = place.found().await;
    for kind in ["pod ", "secret ", "pod disruption budget "] {
        assert!(before.iter().any(|one| one.starts_with(kind)), "{kind}: {before:?}");
    }
    assert_eq!(
        place.kubernetes.sweep().await.expect("sweeps").sandboxes,
        0,
        "both runners live"
    );
    assert_eq!(place.found().await, before);
    drop(child);
    let swept = place.kubernetes.sweep().await.expect("sweeps");
    assert_eq!((swept.sandboxes, swept.processes), (1, 1));
    assert_eq!(
        place.kubernetes.sweep().await.expect("sweeps").sandboxes,
        0,
        "idempotent"
    );
    let (ended, _) = run_in(&*living, script("true")).await;
    assert!(ended.exit.success(), "the living one is untouched");
    living.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}

/// Pause pods of a killed runner go with the next sweep on its machine; those of a machine that is gone, after an hour, with any
/// runner of the namespace that keeps some.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn pause_pods_of_dead_runners_are_removed() {
    let own = Own::new().await;
    let section = format!(
        "namespace = {:?}\n[kubernetes.autoscaler]\nmax_pause_pods = 2\npause_pod_image = {:?}\n\
         [[kubernetes.autoscaler.policy]]\nidle_count = 2\n",
        own.name,
        crate::pause::image()
    );
    let place = place(&section);
    let deployments: Api<Deployment> = Api::namespaced(own.client.clone(), &own.name);
    let names = async || {
        let all = deployments
            .list(&ListParams::default())
            .await
            .expect("are listed")
            .items;
        all.iter().map(kube::ResourceExt::name_any).collect::<Vec<_>>()
    };
    let child = runner_to_be_killed(&place, &section);
    let kept = names().await;
    assert_eq!(kept.len(), 1, "{kept:?}");
    assert_eq!(place.kubernetes.sweep().await.expect("sweeps").sandboxes, 0, "it lives");
    assert_eq!(names().await, kept);
    drop(child);
    // Its job's record, and that of its pause pods.
    assert_eq!(place.kubernetes.sweep().await.expect("sweeps").sandboxes, 2);
    assert_eq!(names().await, Vec::<String>::new());
    assert_eq!(place.kubernetes.sweep().await.expect("sweeps").sandboxes, 0);
    let pods: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let began = std::time::Instant::now();
    while !pods
        .list(&ListParams::default())
        .await
        .expect("are listed")
        .items
        .is_empty()
    {
        assert!(began.elapsed() < Duration::from_secs(60), "pods are left");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }

    let now = tasuki_rt::Clock::system().now_ms();
    let minutes = |minutes: i64| (now - minutes * 60_000).to_string();
    // The last one is none of ours.
    for (name, label, seen) in [
        ("orphan", "tasuki.dev/pause", Some(minutes(61))),
        ("silent", "tasuki.dev/pause", None),
        ("alive", "tasuki.dev/pause", Some(minutes(59))),
        ("other", "app", None),
    ] {
        let labels = json!({label: name});
        let mut made = json!({"apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {"name": name, "namespace": own.name, "labels": labels},
            "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels},
                "spec": {"containers": [{"name": "idle", "image": busybox()}]}}}});
        if let Some(seen) = seen {
            made["metadata"]["annotations"] = json!({"tasuki.dev/heartbeat": seen});
        }
        own.make(&[made]).await;
    }
    place.kubernetes.begin().await.expect("begins");
    let began = std::time::Instant::now();
    loop {
        let mut found = names().await;
        found.retain(|name| !name.starts_with("runner-pause-"));
        let held = place.kubernetes.held();
        if found == ["alive", "other"] && held.is_some_and(|held| held.wanted == 2 && held.ready == 2) {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{found:?} {held:?}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    place.ends().await;
    assert_eq!(names().await, ["alive", "other"]);
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_prepare_that_is_dropped_or_stopped_leaves_nothing() {
    let place = place("");
    for pause in [5, 30, 100, 400, 1000, 1600] {
        let output = Arc::new(Collected::default());
        let prepare = place.kubernetes.prepare(place.own(with_login()), Stop::new(), output);
        let limit = Duration::from_millis(pause);
        if let Ok(made) = tokio::time::timeout(limit, prepare).await {
            made.expect("a sandbox").teardown().await.expect("is torn down");
        }
        let stop = Stop::new();
        let pull = async {
            tokio::time::sleep(limit).await;
            stop.graceful();
        };
        let (made, ()) = tokio::join!(
            place
                .kubernetes
                .prepare(place.own(with_login()), stop.clone(), Arc::new(Discard)),
            pull
        );
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) => assert!(matches!(error, Error::Stopped), "{}", chain(&error)),
        }
    }
    // What was dropped is removed in the background, after the call that was under way.
    assert!(place.tasks.close_and_wait(Duration::from_secs(60)).await);
    left(&place).await;
    assert_eq!(
        std::fs::read_dir(place.folder.path().join("kubernetes"))
            .expect("is there")
            .count(),
        0
    );
}

/// Covers: GK-CFG-28
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_may_have_a_namespace_of_its_own() {
    let place = place("namespace_per_job = true");
    let mut task = with_login();
    task.id = tasuki_model::id::TaskId(i64::from(std::process::id()));
    let namespace = format!("ci-job-{}", task.id);
    let sandbox = place.sandbox(task).await;
    let found = place.kubernetes.audit().await.expect("is counted");
    assert!(found.contains(&format!("namespace {namespace}")), "{found:?}");
    let (ended, _) = run_in(&*sandbox, script("true")).await;
    assert!(ended.exit.success());
    sandbox.teardown().await.expect("is torn down");
    let namespaces: Api<Namespace> = Api::all(admin().await);
    while namespaces.get_opt(&namespace).await.expect("is asked").is_some() {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    left(&place).await;
    place.ends().await;
}

/// What is in the namespace of another server's job of the same number stays there, and so does the namespace.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_namespace_of_another_job_is_not_taken_over() {
    let place = place("namespace_per_job = true");
    let mut task = with_login();
    task.id = tasuki_model::id::TaskId(i64::from(std::process::id()) + 1_000_000);
    let name = format!("ci-job-{}", task.id);
    let (params, client) = (PostParams::default(), admin().await);
    let namespaces: Api<Namespace> = Api::all(client.clone());
    for labels in [
        json!({}),
        json!({"tasuki.dev/sandbox": "0123456789abcdef", "tasuki.dev/manager": "another"}),
    ] {
        let namespace = serde_json::from_value(json!({"metadata": {"name": name, "labels": labels}})).expect("is one");
        let before = namespaces.create(&params, &namespace).await.expect("is made");
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), &name);
        let theirs = serde_json::from_value(json!({"metadata": {"name": "theirs"}})).expect("is one");
        maps.create(&params, &theirs).await.expect("is made");
        let (made, _) = place.prepare(task.clone()).await;
        let error = made.err().expect("it is not this job's");
        assert!(chain(&error).contains("there is one already"), "{}", chain(&error));
        // Nor later: nothing of it is written down.
        assert_eq!(place.kubernetes.sweep().await.expect("sweeps").sandboxes, 0);
        let after = namespaces.get(&name).await.expect("is there");
        assert_eq!(after.metadata.uid, before.metadata.uid);
        assert_eq!(after.metadata.deletion_timestamp, None);
        maps.get("theirs").await.expect("is there");
        let pods: Api<Pod> = Api::namespaced(client.clone(), &name);
        assert_eq!(
            pods.list(&ListParams::default()).await.expect("are listed").items.len(),
            0
        );
        namespaces
            .delete(&name, &DeleteParams::default())
            .await
            .expect("is removed");
        while namespaces.get_opt(&name).await.expect("is asked").is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }
    place.ends().await;
}
