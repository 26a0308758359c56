//! Jobs in pods of a real cluster.

use crate::cluster::{place, run_in, script};
use crate::conformance::{Options, conforms, task};
use crate::terminals::terminals;

/// Of pods: signals are told, processes are not this machine's.
const OPTIONS: Options = Options {
    host_processes: false,
    ..Options::HOST
};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn people_can_look_into_a_job() {
    let place = place("");
    terminals(&place.kubernetes, &OPTIONS).await;
    place.ends().await;
}
