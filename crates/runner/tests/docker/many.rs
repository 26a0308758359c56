//! Many jobs at once, and what a container job costs beside `docker run`.

use std::time::{Duration, Instant};

use tasuki_runner::executor::Executor as _;

use crate::conformance::task;
use crate::engine::{BUSYBOX, docker, place, run_in, script};

/// As on a runner with `concurrent = 20`, whatever the machine has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn twenty_jobs_at_once() {
    let place = place("");
    let one = async |number: usize| {
        let sandbox = place.sandbox(task()).await;
        let (ended, printed) = run_in(
            &*sandbox,
            script(&format!("echo {number} > file; cat file; exit {number}")),
        )
        .await;
        assert_eq!(
            (ended.exit.code(), printed),
            (i32::try_from(number).ok(), format!("{number}\n"))
        );
        sandbox.teardown().await.expect("is torn down");
    };
    let began = Instant::now();
    futures_util::future::join_all((1..=20).map(one)).await;
    println!("20 jobs at once: {:.1} s", began.elapsed().as_secs_f64());
    assert_eq!(place.docker.audit().await.expect("is counted"), Vec::<String>::new());
    place.ends().await;
}

/// Prints; the machine decides how long it takes. Each round runs both, one after the other, so that whoever else uses the
/// machine disturbs both alike.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn overhead_beside_docker_run() {
    const ROUNDS: usize = 10;
    let place = place("");
    let job = async || {
        let began = Instant::now();
        let sandbox = place.sandbox(task()).await;
        let prepared = began.elapsed();
        let (ended, _) = run_in(&*sandbox, script("true")).await;
        assert!(ended.exit.success());
        let ran = began.elapsed();
        sandbox.teardown().await.expect("is torn down");
        (prepared, ran, began.elapsed())
    };
    let beside = || {
        let began = Instant::now();
        docker(&["run", "--rm", BUSYBOX, "true"]);
        began.elapsed()
    };
    job().await;
    beside();
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let theirs = beside();
        let (prepared, ran, whole) = job().await;
        rounds.push([theirs, prepared, ran, whole]);
    }
    let median = |column: usize| {
        let mut all: Vec<Duration> = rounds.iter().map(|round| round[column]).collect();
        all.sort_unstable();
        all[ROUNDS / 2].as_millis()
    };
    println!(
        "median of {ROUNDS} rounds, in ms: docker run --rm {}; a job: prepared {}, script ended {}, torn down {}",
        median(0),
        median(1),
        median(2),
        median(3)
    );
    place.ends().await;
}
