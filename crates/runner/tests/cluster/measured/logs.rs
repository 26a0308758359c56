//! A log of 1 GiB.

use std::sync::atomic::{AtomicU64, Ordering};

use tasuki_runner::executor::{Output, Stream};

use crate::cluster::{place, resident, run_in, script};
use crate::conformance::task;

/// More than the pod keeps for its reader, as fast as it comes, and nothing of it stays in the runner.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_huge_log_comes_whole() {
    const BYTES: u64 = 1 << 30;
    /// What connection and guest hold, doubled.
    const ROOM: u64 = 16 << 20;
    let place = place("");
    let sandbox = place.sandbox(task()).await;
    let (count, before, began) = (Counted::default(), resident(), std::time::Instant::now());
    let ended = sandbox
        .run(script(&format!("head -c {BYTES} /dev/zero; echo end")), &count)
        .await;
    assert!(ended.expect("runs").exit.success());
    assert_eq!(count.bytes.load(Ordering::Relaxed), BYTES + 4);
    let most = count.most.load(Ordering::Relaxed);
    println!(
        "1 GiB of log: {:.0} MB/s; memory of the runner {} KiB before, {} KiB at most during",
        BYTES as f64 / 1e6 / began.elapsed().as_secs_f64(),
        before >> 10,
        most >> 10
    );
    assert!(most < before + ROOM, "{before} bytes before, {most} during");
    // What was read takes no room in the pod.
    let (_, said) = run_in(&*sandbox, script("du -s /logs-*/ | cut -f1")).await;
    assert!(said.trim().parse::<u64>().is_ok_and(|kib| kib < 100_000), "{said}");
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[derive(Default)]
struct Counted {
    bytes: AtomicU64,
    /// Memory of this process, looked at now and then.
    most: AtomicU64,
}

#[async_trait::async_trait]
impl Output for Counted {
    async fn write(&self, _: Stream, bytes: &[u8]) {
        let length = bytes.len() as u64;
        let before = self.bytes.fetch_add(length, Ordering::Relaxed);
        // Once in 4 MiB.
        if before >> 22 != (before + length) >> 22 {
            self.most.fetch_max(resident(), Ordering::Relaxed);
        }
    }
}
