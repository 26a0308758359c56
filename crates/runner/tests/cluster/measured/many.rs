//! Many jobs at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use tasuki_runner::executor::{Collected, PushedFile};
use tokio::sync::Barrier;

use crate::cluster::{chain, left, place, resident, script};
use crate::conformance::task;

/// Gives how long it took, and what it took: while the scripts of all of them run.
async fn at_once(number: usize) -> String {
    // The image's pull, the node's limits: on a small node the last ones wait for the first.
    let place = place("poll_timeout = 600");
    let (most, all_run) = (AtomicU64::new(0), Barrier::new(number));
    let one = async |number: usize| {
        let sandbox = place.sandbox(task()).await;
        let text = format!(
            "echo {number}; until [ -e go ]; do sleep 1; done; exit {}",
            number % 100
        );
        let output = Arc::new(Collected::default());
        let wait_and_let_go = async {
            while output.all().is_empty() {
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            }
            all_run.wait().await;
            most.fetch_max(resident(), Ordering::Relaxed);
            let go = PushedFile {
                path: sandbox.paths().project.join("go"),
                bytes: Bytes::new(),
                mode: 0o644,
            };
            sandbox.push(go).await.expect("is pushed");
            most.fetch_max(resident(), Ordering::Relaxed);
        };
        let (ended, ()) = tokio::join!(sandbox.run(script(&text), &*output), wait_and_let_go);
        let ended = ended.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
        assert_eq!(
            (ended.exit.code(), output.text()),
            (i32::try_from(number % 100).ok(), format!("{number}\n"))
        );
        sandbox.teardown().await.expect("is torn down");
    };
    let (began, before) = (Instant::now(), resident());
    futures_util::future::join_all((1..=number).map(one)).await;
    let took = began.elapsed();
    let most = most.into_inner();
    left(&place).await;
    place.ends().await;
    format!(
        "{took:.1?}; memory of the runner {} KiB before, {} KiB while all of them run",
        before >> 10,
        most >> 10
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn twenty_jobs_at_once() {
    println!("20 jobs at once: {}", at_once(20).await);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn fifty_jobs_at_once() {
    println!("50 jobs at once: {}", at_once(50).await);
}
