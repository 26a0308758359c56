//! What goes wrong in a cluster is told by its cause.

use std::sync::Arc;

use k8s_openapi::api::core::v1::{Pod, ResourceQuota};
use kube::Api;
use kube::api::{DeleteParams, ListParams, PostParams};
use serde_json::json;
use tasuki_model::plan::{Image, Service, Variable};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::{Collected, Error, Executor as _, Stop};

use crate::account::{Own, admin};
use crate::cluster::{chain, helper, left, place, run_in, script};
use crate::conformance::task;

fn image(name: &str) -> Option<Image> {
    Some(Image {
        name: name.to_owned(),
        ..Image::default()
    })
}

/// An image that is on the node alone: no registry has it.
///
/// Covers: GK-PULL-04, GK-PULL-05
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_next_pull_policy_is_tried_in_a_new_pod() {
    let place = place("pull_policy = [\"always\", \"if-not-present\"]");
    let mut task = task();
    task.image = image(&helper());
    let (made, printed) = place.prepare(task).await;
    let sandbox = made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)));
    assert!(printed.contains("WARNING: Failed to pull image"), "{printed}");
    let (ended, said) = run_in(&*sandbox, script("echo here")).await;
    assert!(ended.exit.success() && said == "here\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}

/// Covers: GK-PULL-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn an_image_that_nobody_has_fails_the_job_after_every_policy() {
    let place = place("pull_policy = [\"if-not-present\", \"if-not-present\"]");
    let mut task = task();
    task.image = image("registry.test/no-such-image:1");
    let (made, printed) = place.prepare(task).await;
    let error = made.err().expect("there is none");
    assert_eq!(error.reason(), FailureReason::ImagePullFailure, "{}", chain(&error));
    assert!(
        chain(&error).contains("registry.test/no-such-image:1"),
        "{}",
        chain(&error)
    );
    assert_eq!(printed.matches("WARNING: Failed to pull image").count(), 1, "{printed}");
    left(&place).await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_name_that_is_no_images_is_the_jobs_fault() {
    let place = place("");
    let mut task = task();
    task.image = image("Not An Image");
    let (made, _) = place.prepare(task).await;
    let error = made.err().expect("cannot be");
    assert_eq!(
        error.reason(),
        FailureReason::RunnerConfigurationError,
        "{}",
        chain(&error)
    );
    assert!(chain(&error).contains("no name of an image"), "{}", chain(&error));
    left(&place).await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_that_wants_too_much_memory_is_told_so() {
    let place = place("memory_limit = \"96Mi\"");
    let sandbox = place.sandbox(task()).await;
    let output = Collected::default();
    let ended = sandbox.run(script("head -c 500000000 /dev/zero | tail"), &output).await;
    let told = match ended {
        // The kernel killed the program.
        Ok(ended) => {
            assert!(!ended.exit.success());
            output.text()
        }
        // Or the whole container.
        Err(error) => chain(&error),
    };
    assert!(told.contains("want of memory"), "{told}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_pod_that_is_deleted_by_hand_is_told() {
    let own = Own::new().await;
    let place = place(&format!("namespace = {:?}", own.name));
    let sandbox = place.sandbox(task()).await;
    let output = Collected::default();
    let remove = async {
        while output.all().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let pods: Api<Pod> = Api::namespaced(admin().await, &own.name);
        let all = DeleteParams::default().grace_period(0);
        pods.delete_collection(&all, &ListParams::default())
            .await
            .expect("is removed");
    };
    let (ended, ()) = tokio::join!(sandbox.run(script("echo here; sleep 1000"), &output), remove);
    let error = ended.expect_err("has no end");
    assert!(matches!(error, Error::System { .. }), "{}", chain(&error));
    assert!(chain(&error).contains("deleted from outside"), "{}", chain(&error));
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_quota_that_is_used_up_may_be_free_later() {
    let own = Own::new().await;
    let quota = json!({"metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}});
    let quotas: Api<ResourceQuota> = Api::namespaced(own.client.clone(), &own.name);
    let quota = serde_json::from_value(quota).expect("is a quota");
    quotas.create(&PostParams::default(), &quota).await.expect("is made");
    let place = place(&format!("namespace = {:?}", own.name));
    // The controller counts a moment later, and refuses until it has.
    let error = loop {
        let (made, _) = place.prepare(task()).await;
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) if chain(&error).contains("exceeded quota") => break error,
            Err(_) => {}
        }
    };
    assert!(error.is_transient(), "{}", chain(&error));
    place.ends().await;
    own.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_pod_that_no_node_takes_is_waited_for_and_told_of() {
    let place =
        place("poll_timeout = 4\npoll_interval = 1\n[kubernetes.node_selector]\n\"tasuki.test/none\" = \"true\"");
    let (made, printed) = place.prepare(task()).await;
    let error = made.err().expect("no node takes it");
    assert!(error.is_transient(), "{}", chain(&error));
    assert!(
        chain(&error).contains("poll_timeout") && chain(&error).contains("Unschedulable"),
        "{}",
        chain(&error)
    );
    assert!(
        printed.matches("to be running, status is Pending").count() >= 2,
        "{printed}"
    );
    left(&place).await;
    place.ends().await;
}

/// Covers: GK-CFG-71
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn warning_events_of_a_pod_that_does_not_start_are_shown() {
    for (key, wanted) in [("", true), ("print_pod_warning_events = false", false)] {
        let place = place(key);
        let mut task = task();
        task.image = image("registry.test/no-such-image:1");
        let (made, printed) = place.prepare(task).await;
        assert!(made.is_err());
        assert_eq!(
            printed.contains("WARNING: Event retrieved from the cluster"),
            wanted,
            "{printed}"
        );
        place.ends().await;
    }
}

/// Covers: GK-LIFE-12, GK-LIFE-13, GK-SVC-02, GK-SVC-06, GK-SVC-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_service_is_reached_by_its_alias_and_at_localhost() {
    let place = place("");
    let mut task = task();
    task.services = vec![Service {
        image: Image {
            name: crate::cluster::busybox(),
            variables: vec![Variable::plain("HEALTHCHECK_TCP_PORT", "8080")],
            command: Some(
                [
                    "sh",
                    "-c",
                    "sleep 2; mkdir /www; echo served > /www/index.html; httpd -f -p 8080 -h /www",
                ]
                .map(str::to_owned)
                .to_vec(),
            ),
            ..Image::default()
        },
        aliases: vec!["web".to_owned()],
    }];
    let sandbox = place.sandbox(task).await;
    // It is waited for: the first attempt succeeds.
    let look = "for host in web localhost; do wget -q -O - http://$host:8080/; done";
    let (ended, printed) = run_in(&*sandbox, script(look)).await;
    assert!(
        ended.exit.success() && printed.ends_with("served\nserved\n"),
        "{printed}"
    );
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// Covers: GK-CHK-01, GK-CHK-05
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn what_the_pod_names_is_looked_for_before_it_is_made() {
    let own = Own::new().await;
    let keys = format!(
        "namespace = {:?}\nresource_availability_check_max_attempts = 1\n",
        own.name
    );
    let place = place(&format!("{keys}image_pull_secrets = [\"no-such-secret\"]"));
    let (made, _) = place.prepare(task()).await;
    let error = made.err().expect("is not there");
    assert!(
        chain(&error).contains("no-such-secret is not there, after 2 looks"),
        "{}",
        chain(&error)
    );
    left(&place).await;
    place.ends().await;
    own.end().await;
}

#[tokio::test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_cluster_that_is_gone_is_told() {
    let place = place("host = \"https://127.0.0.1:1\"\nretry_limit = 1");
    let made = place
        .kubernetes
        .prepare(task(), Stop::new(), Arc::new(Collected::default()))
        .await;
    let error = made.err().expect("nobody is there");
    assert!(error.is_transient(), "{}", chain(&error));
    assert!(chain(&error).contains("does not answer"), "{}", chain(&error));
}
