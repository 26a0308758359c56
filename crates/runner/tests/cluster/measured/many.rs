//! Many jobs at once.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::cluster::{left, place, resident, run_in, script};
use crate::conformance::task;

/// Gives how long it took, and what it took.
async fn at_once(number: usize) -> String {
    // The image's pull, the node's limits: on a small node the last ones wait for the first.
    let place = place("poll_timeout = 600");
    let most = AtomicU64::new(0);
    let one = async |number: usize| {
        let sandbox = place.sandbox(task()).await;
        let text = format!("echo {number} > file; cat file; exit {}", number % 100);
        let (ended, printed) = run_in(&*sandbox, script(&text)).await;
        most.fetch_max(resident(), Ordering::Relaxed);
        assert_eq!(
            (ended.exit.code(), printed),
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
        "{took:.1?}; memory of the runner {} KiB before, {} KiB at most during",
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
