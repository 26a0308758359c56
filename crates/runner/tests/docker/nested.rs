//! Docker inside jobs: the machine's own engine, by the shell executor or by its socket in a container.

use std::path::PathBuf;
use std::sync::Arc;

use tasuki_rt::Tasks;
use tasuki_runner::executor::shell::{Config, Shell};
use tasuki_runner::executor::{Discard, Executor as _, Stop};
use tasuki_runner::process::Binary;

use crate::conformance::task;
use crate::engine::{BUSYBOX, docker, host, images, place, run_in, script};

/// On a machine, a job needs nothing but Docker running there.
///
/// Covers: GA-DOCK-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_job_on_the_machine_uses_its_docker() {
    images();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(folder.path().join("builds"), folder.path().join("cache"));
    config.binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
    config.environment = vec![("DOCKER_HOST".to_owned(), host())];
    let executor = Shell::new(config, Tasks::new()).expect("is configured");
    let sandbox = executor
        .prepare(task(), Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox");
    let text = format!("docker run --rm {BUSYBOX} echo from a container");
    let (ended, printed) = run_in(&*sandbox, script(&text)).await;
    assert_eq!((ended.exit.code(), printed.as_str()), (Some(0), "from a container\n"));
    sandbox.teardown().await.expect("is torn down");
}

fn client() -> PathBuf {
    let path = std::env::vars()
        .find_map(|(key, value)| (key == "PATH").then_some(value))
        .expect("PATH is set");
    std::env::split_paths(&path)
        .map(|folder| folder.join("docker"))
        .find(|program| program.is_file())
        .expect("docker is there")
}

/// The machine's socket in the containers of two teams: each sees and runs what the other built.
///
/// Covers: GA-DOCK-03, GA-DOCK-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn the_machines_socket_isolates_no_images() {
    let host = host();
    let socket = host.strip_prefix("unix://").expect("is a socket");
    let config = format!(
        "volumes = [\"{socket}:/var/run/docker.sock\", \"{}:/bin/docker:ro\"]",
        client().display()
    );
    let (one, other) = (place(&config), place(&config));
    let first = one.sandbox(task()).await;
    let build = format!("docker tag {BUSYBOX} team-one/secret:1 && docker version --format '{{{{.Server.Os}}}}'");
    let (ended, printed) = run_in(&*first, script(&build)).await;
    assert_eq!((ended.exit.code(), printed.as_str()), (Some(0), "linux\n"));
    first.teardown().await.expect("is torn down");
    let second = other.sandbox(task()).await;
    let look =
        "docker image ls --format '{{.Repository}}' | grep team-one; docker run --rm team-one/secret:1 echo is run";
    let (ended, printed) = run_in(&*second, script(look)).await;
    assert_eq!(
        (ended.exit.code(), printed.as_str()),
        (Some(0), "team-one/secret\nis run\n")
    );
    second.teardown().await.expect("is torn down");
    docker(&["image", "rm", "team-one/secret:1"]);
    one.ends().await;
    other.ends().await;
}
