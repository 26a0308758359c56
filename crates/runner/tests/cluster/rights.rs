//! What the runner's account has to be allowed, and what is said when it is not.

use tasuki_runner::executor::Error;

use crate::account::{Own, RIGHTS, keys};
use crate::cluster::{chain, place, run_in, script};
use crate::conformance::task;

/// All rights but one.
fn without(resource: &str, verb: &str) -> Vec<(&'static str, Vec<&'static str>)> {
    RIGHTS
        .iter()
        .map(|(one, verbs)| {
            let verbs = verbs.iter().copied().filter(|&other| (*one, other) != (resource, verb));
            (*one, verbs.collect())
        })
        .collect()
}

async fn attempt(own: &Own, rights: &[(&'static str, Vec<&'static str>)]) -> Result<String, Error> {
    let rights: Vec<(&str, &[&str])> = rights.iter().map(|(one, verbs)| (*one, verbs.as_slice())).collect();
    let folder = tempfile::tempdir().expect("a folder");
    let token = own.token(&rights).await;
    let keys = keys(folder.path(), &token, None).await;
    let place = place(&format!("{keys}namespace = {:?}\npoll_interval = 1\n", own.name));
    let (made, _) = place.prepare(task()).await;
    let (ended, printed) = {
        let sandbox = made?;
        let done = run_in(&*sandbox, script("echo done")).await;
        sandbox.teardown().await?;
        done
    };
    assert!(ended.exit.success());
    place.ends().await;
    Ok(printed)
}

/// Covers: GK-API-08, GK-RBAC-09, GK-RBAC-10, GK-RBAC-20, GK-INF-02, GK-INF-05
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_right_that_is_missing_is_named() {
    let own = Own::new().await;
    let printed = attempt(&own, &without("", "")).await;
    assert_eq!(printed.expect("all rights are enough"), "done\n");
    // Without these the pod is polled.
    for verb in ["list", "watch"] {
        let printed = attempt(&own, &without("pods", verb)).await;
        assert_eq!(
            printed.unwrap_or_else(|error| panic!("{verb}: {}", chain(&error))),
            "done\n"
        );
    }
    for (resource, verb) in [("pods", "create"), ("pods", "delete"), ("pods/exec", "get")] {
        let error = attempt(&own, &without(resource, verb)).await.expect_err(resource);
        let wanted = format!("{verb} {resource} in the namespace {}", own.name);
        assert!(chain(&error).contains(&wanted), "{}", chain(&error));
        assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
    }
    own.end().await;
}

/// The job's own token is who its pod is made as, where the runner allows that.
///
/// Covers: GK-API-09, GK-API-10, GK-CFG-10
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_may_bring_a_token_of_its_own() {
    let own = Own::new().await;
    let (none, all) = (own.token(&[]).await, own.token(RIGHTS).await);
    let folder = tempfile::tempdir().expect("a folder");
    for (runners, jobs, allowed, works) in [
        (&all, None, false, true),
        (&none, None, true, false),
        (&none, Some(&all), true, true),
        (&none, Some(&all), false, false),
        (&all, Some(&none), true, false),
    ] {
        let keys = keys(folder.path(), runners, None).await;
        let place = place(&format!(
            "{keys}namespace = {:?}\nbearer_token_overwrite_allowed = {allowed}\n",
            own.name
        ));
        let mut task = task();
        // A secret one: it stands in no pod.
        task.variables = jobs
            .map(|token| ("KUBERNETES_BEARER_TOKEN".to_owned(), token.clone()))
            .into_iter()
            .collect();
        let (made, printed) = place.prepare(task).await;
        assert_eq!(made.is_ok(), works, "{printed}");
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) => assert!(
                chain(&error).contains("create pods in the namespace"),
                "{}",
                chain(&error)
            ),
        }
        place.ends().await;
    }
    own.end().await;
}

/// Covers: GK-CHK-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn looking_for_what_a_pod_names_needs_the_right_to() {
    let own = Own::new().await;
    let with: Vec<(&str, &[&str])> = RIGHTS
        .iter()
        .copied()
        .chain([("serviceaccounts", &["get"][..])])
        .collect();
    for (rights, works) in [(RIGHTS, false), (&with[..], true)] {
        let folder = tempfile::tempdir().expect("a folder");
        let keys = keys(folder.path(), &own.token(rights).await, None).await;
        let more = "service_account = \"default\"\nresource_availability_check_max_attempts = 1\n";
        let place = place(&format!("{keys}namespace = {:?}\n{more}", own.name));
        let (made, printed) = place.prepare(task()).await;
        assert_eq!(made.is_ok(), works, "{printed}");
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) => {
                let wanted = format!("get serviceaccounts in the namespace {}", own.name);
                assert!(chain(&error).contains(&wanted), "{}", chain(&error));
            }
        }
        place.ends().await;
    }
    own.end().await;
}
