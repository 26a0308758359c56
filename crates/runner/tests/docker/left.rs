//! Nothing is left, whatever goes wrong.

use std::io::BufRead as _;
use std::process::{Command, Stdio};
use std::sync::Arc;

use tasuki_rt::Tasks;
use tasuki_runner::executor::docker::Docker;
use tasuki_runner::executor::{Collected, Discard, Error, Executor as _, Stop};

use crate::conformance::task;
use crate::engine::{chain, docker, images, place, run_in, script, settings};

/// Where the child of [`what_a_killed_runner_left_is_swept`] keeps its lock.
const CHILD: &str = "TASUKI_TEST_CHILD";

/// Not a test by itself: the runner that is killed.
#[tokio::test]
#[ignore = "started by another test"]
async fn a_runner_to_be_killed() {
    let Some(folder) = std::env::vars().find_map(|(key, value)| (key == CHILD).then_some(value)) else {
        return;
    };
    let executor = Docker::new(settings("", folder.into()), Tasks::new()).expect("is configured");
    let _sandbox = executor
        .prepare(task(), Stop::new(), Arc::new(Discard))
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

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn what_a_killed_runner_left_is_swept() {
    images();
    let folder = tempfile::tempdir().expect("a folder");
    #[expect(clippy::disallowed_methods, reason = "a second runner")]
    let child = Command::new(std::env::current_exe().expect("has a path"))
        .args(["--ignored", "--exact", "--nocapture", "left::a_runner_to_be_killed"])
        .env(CHILD, folder.path())
        .stdout(Stdio::piped())
        .spawn()
        .expect("is started");
    let mut child = Killed(child);
    let lines = std::io::BufReader::new(child.0.stdout.take().expect("is piped")).lines();
    let said = lines.map_while(Result::ok).any(|line| line == "ready");
    assert!(said, "the child has a sandbox");
    let place = place("");
    let living = place.sandbox(task()).await;
    let before = place.docker.audit().await.expect("is counted").len();
    assert_eq!(
        place.docker.sweep().await.expect("sweeps").sandboxes,
        0,
        "both runners live"
    );
    assert_eq!(place.docker.audit().await.expect("is counted").len(), before);
    drop(child);
    let swept = place.docker.sweep().await.expect("sweeps");
    assert_eq!((swept.sandboxes, swept.processes), (1, 2));
    assert_eq!(place.docker.sweep().await.expect("sweeps").sandboxes, 0, "idempotent");
    let (ended, _) = run_in(&*living, script("true")).await;
    assert!(ended.exit.success(), "the living one is untouched");
    living.teardown().await.expect("is torn down");
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_prepare_that_is_dropped_or_stopped_leaves_nothing() {
    let place = place("");
    for pause in [50, 200, 400, 800] {
        let output = Arc::new(Collected::default());
        let prepare = place.docker.prepare(task(), Stop::new(), output);
        let limit = std::time::Duration::from_millis(pause);
        if let Ok(made) = tokio::time::timeout(limit, prepare).await {
            made.expect("a sandbox").teardown().await.expect("is torn down");
        }
        let stop = Stop::new();
        let pull = async {
            tokio::time::sleep(limit).await;
            stop.graceful();
        };
        let (made, ()) = tokio::join!(place.docker.prepare(task(), stop.clone(), Arc::new(Discard)), pull);
        match made {
            Ok(sandbox) => sandbox.teardown().await.expect("is torn down"),
            Err(error) => assert!(matches!(error, Error::Stopped), "{}", chain(&error)),
        }
    }
    // What was dropped is removed in the background, after the call that was under way.
    assert!(place.tasks.close_and_wait(std::time::Duration::from_secs(60)).await);
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_container_that_is_removed_from_outside_is_told() {
    let place = place("");
    let sandbox = place.sandbox(task()).await;
    let output = Collected::default();
    let remove = async {
        while output.all().is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        let build = docker(&["ps", "-q", "--filter", "label=com.gitlab.gitlab-runner.type=build"]);
        assert_eq!(build.lines().count(), 1, "{build}");
        docker(&["rm", "-f", &build]);
    };
    let (ended, ()) = tokio::join!(sandbox.run(script("echo here; sleep 1000"), &output), remove);
    let error = ended.expect_err("has no end");
    assert!(matches!(error, Error::System { .. }), "{}", chain(&error));
    assert!(chain(&error).contains("removed from outside"), "{}", chain(&error));
    sandbox.teardown().await.expect("is torn down");
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_that_is_gone_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut settings = settings("", folder.path().to_owned());
    settings.config.host = "unix:///nowhere/docker.sock".to_owned();
    let executor = Docker::new(settings, Tasks::new()).expect("is configured");
    let made = executor.prepare(task(), Stop::new(), Arc::new(Discard)).await;
    let error = made.err().expect("nobody is there");
    assert!(error.is_transient(), "{error:?}");
    assert!(
        chain(&error).contains("unix:///nowhere/docker.sock does not answer"),
        "{}",
        chain(&error)
    );
}
