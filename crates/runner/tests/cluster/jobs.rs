//! Jobs in pods of a real cluster.

use tasuki_runner::executor::Command;
use tasuki_runner::guest::Request;

use crate::cluster::{place, run_in, script};
use crate::conformance::{Options, conforms, task};
use crate::terminals::terminals;

/// Of pods: signals are told, processes are not this machine's.
const OPTIONS: Options = Options {
    host_processes: false,
    ..Options::HOST
};

/// Covers: GK-LIFE-01, GK-LIFE-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_runs_in_a_pod() {
    let place = place("");
    let began = std::time::Instant::now();
    let sandbox = place.sandbox(task()).await;
    println!("prepared after {} ms", began.elapsed().as_millis());
    let (ended, printed) = run_in(&*sandbox, script("echo hello; id; pwd; exit 3")).await;
    println!("{printed}ended after {} ms", began.elapsed().as_millis());
    assert_eq!(ended.exit.code(), Some(3));
    assert!(printed.starts_with("hello\n"), "{printed}");
    sandbox.teardown().await.expect("is torn down");
    println!("torn down after {} ms", began.elapsed().as_millis());
    place.ends().await;
}

/// Caches outlive pods on a folder of the node.
///
/// Covers: GK-LIFE-04, GK-LIFE-07, GK-LIFE-18
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn conformance() {
    let cache = format!("/var/tmp/tasuki-test-cache-{}", std::process::id());
    let place = place(&format!(
        "[[kubernetes.volumes.host_path]]\nname = \"cache\"\nmount_path = \"/cache\"\nhost_path = {cache:?}\n"
    ));
    conforms(&place.kubernetes, &OPTIONS).await;
    let sandbox = place.sandbox(task()).await;
    run_in(&*sandbox, script("rm -rf /cache/*")).await;
    sandbox.teardown().await.expect("is torn down");
    drop(std::fs::remove_dir(cache));
    place.ends().await;
}

/// The helper is root, and works as the user of the scripts.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn conformance_as_another_user() {
    let cache = format!("/var/tmp/tasuki-test-cache-user-{}", std::process::id());
    let place = place(&format!(
        "[[kubernetes.volumes.host_path]]\nname = \"cache\"\nmount_path = \"/cache\"\nhost_path = {cache:?}\n\
         [kubernetes.build_container_security_context]\nrun_as_user = 1000\nrun_as_group = 1000\n"
    ));
    conforms(&place.kubernetes, &OPTIONS).await;
    drop(std::fs::remove_dir_all(cache));
    place.ends().await;
}

/// Neither is root, and they differ: what one makes the other may change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn helper_and_scripts_may_be_different_users_without_rights() {
    let place = place(
        "[kubernetes.pod_security_context]\nrun_as_non_root = true\n\
         [kubernetes.build_container_security_context]\nrun_as_user = 1000\n\
         [kubernetes.helper_container_security_context]\nrun_as_user = 2000\n\
         [kubernetes.init_permissions_container_security_context]\nrun_as_user = 2000\n",
    );
    let sandbox = place.sandbox(task()).await;
    let folder = sandbox.paths().project.join("made/by/helper");
    let (ended, said) = run_in(&*sandbox, Command::guest(Request::MakeFolder { folder })).await;
    assert!(
        ended.response.is_some_and(|response| response.failure.is_none()),
        "{said}"
    );
    let (ended, said) = run_in(
        &*sandbox,
        script("id -u; stat -c %u made/by/helper; touch made/by/helper/mine"),
    )
    .await;
    assert!(ended.exit.success(), "{said}");
    assert_eq!(said, "1000\n2000\n");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// Covers: GK-EXEC-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn scripts_may_end_with_their_connection() {
    let place = place("");
    let mut task = task();
    task.variables = vec![(
        "FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY".to_owned(),
        "true".to_owned(),
    )];
    let sandbox = place.sandbox(task).await;
    let (ended, said) = run_in(&*sandbox, script("ls -d /logs-*/work-* 2>/dev/null; echo done; exit 5")).await;
    assert_eq!(
        (ended.exit.code(), said.as_str()),
        (Some(5), "done\n"),
        "there is no session"
    );
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_guest_may_come_by_an_init_container() {
    let place = place("guest_delivery = \"init-container\"");
    let sandbox = place.sandbox(task()).await;
    let (ended, said) = run_in(&*sandbox, script("echo here")).await;
    assert!(ended.exit.success() && said == "here\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn people_can_look_into_a_job() {
    let place = place("");
    terminals(&place.kubernetes, &OPTIONS).await;
    place.ends().await;
}
