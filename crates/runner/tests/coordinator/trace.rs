//! The log on its way.

use std::time::Duration;

use serde_json::json;

use super::bench::{Bench, payload, text};
use super::fake::{Fault, Phase, State};

fn live(id: i64, lines: &[&str]) -> serde_json::Value {
    let mut job = payload(id, lines);
    job["tasuki"] = json!({"heartbeat_interval_ms": 200, "lease_ms": 20_000});
    job
}

/// Runs one job under `faults`; the log must arrive whole in any case.
async fn check(faults: Vec<Fault>) -> super::fake::Job {
    let mut bench = Bench::new().await;
    for fault in faults {
        bench.fake.fault(fault);
    }
    bench
        .fake
        .add(1, live(1, &["for i in 1 2 3 4 5; do echo line $i; sleep 0.05; done"]));
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    let log = text(&job);
    assert_eq!(job.phase, Phase::Success, "{log}");
    for i in 1..=5 {
        assert_eq!(log.matches(&format!("\nline {i}\n")).count(), 1, "{log}");
    }
    assert!(log.trim_end().ends_with("Job succeeded\u{1b}[0;m"), "{log}");
    bench.stop().await;
    job
}

#[tokio::test]
async fn output_is_seen_while_the_job_runs() {
    let mut bench = Bench::new().await;
    let go = bench.dir.path().join("go");
    let wait = format!("while [ ! -e {} ]; do sleep 0.02; done", go.display());
    bench.fake.add(1, live(1, &["echo first", "printf unfinished", &wait]));
    bench.start().await;
    let seen = |word: &'static str| move |state: &State| text(&state.jobs[&1]).contains(word);
    bench.fake.until("the first line", seen("\nfirst\n")).await;
    bench.fake.until("a line without its end", seen("unfinished")).await;
    std::fs::write(go, "").unwrap();
    bench.fake.until_final(1).await;
    bench.stop().await;
}

#[tokio::test]
async fn an_offset_that_differs_is_resumed_from() {
    check(vec![Fault::Patch(416, vec![("range", "0-0".to_owned())])]).await;
    check(vec![Fault::Patch(416, vec![])]).await;
    check(vec![Fault::Patch(416, vec![("range", "nonsense".to_owned())])]).await;
    check(vec![Fault::Patch(416, vec![("range", "0-99999999".to_owned())])]).await;
}

#[tokio::test]
async fn a_lost_answer_is_no_lost_or_doubled_byte() {
    check(vec![Fault::PatchStored(400), Fault::PatchStored(404)]).await;
    check(vec![Fault::Patch(502, vec![]), Fault::Patch(503, vec![])]).await;
}

#[tokio::test]
async fn the_final_state_is_repeated_until_the_log_is_stored() {
    let job = check(vec![Fault::Final(202), Fault::Final(202)]).await;
    assert_eq!(finals(&job), 3);
}

#[tokio::test]
async fn a_log_that_differs_is_sent_again_from_the_start() {
    let job = check(vec![Fault::Final(412)]).await;
    assert!(job.ranges.last().unwrap().starts_with("0-"), "{:?}", job.ranges);
}

#[tokio::test]
async fn failures_of_the_final_state_are_retried() {
    check(vec![Fault::Final(500), Fault::Final(500)]).await;
    let job = check([400, 401, 409, 422].map(Fault::Final).to_vec()).await;
    assert_eq!(finals(&job), 5);
}

fn finals(job: &super::fake::Job) -> usize {
    job.updates.iter().filter(|update| update["state"] == "success").count()
}

#[tokio::test]
async fn the_final_state_is_told_no_more_when_refused_or_tried_often_enough() {
    for (faults, tries) in [(vec![403], 1), (vec![404], 1), (vec![400; 9], 3)] {
        let mut bench = Bench::new().await;
        for fault in faults.iter().map(|code| Fault::Final(*code)) {
            bench.fake.fault(fault);
        }
        bench.fake.add(1, live(1, &["true"]));
        let mut runner = bench.runner();
        runner.job_status_final_update_retry_limit = 3;
        bench
            .start_with(tasuki_runner::config::Config::single(1, runner), Some(1))
            .await;
        bench
            .fake
            .until("a final state", |state| finals(&state.jobs[&1]) > 0)
            .await;
        bench.metrics.all_jobs_ended().await;
        let job = bench.fake.job(1);
        assert_eq!((finals(&job), job.phase), (tries, Phase::Running), "{faults:?}");
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_refused_log_stops_the_job() {
    let mut bench = Bench::new().await;
    bench.fake.add(1, live(1, &["echo started", "sleep 60"]));
    bench.start().await;
    bench
        .fake
        .until("output", |state| text(&state.jobs[&1]).contains("\nstarted\n"))
        .await;
    bench.fake.set_phase(1, Phase::Failed);
    tokio::time::timeout(Duration::from_secs(10), bench.metrics.all_jobs_ended())
        .await
        .expect("the job is stopped");
    bench.stop().await;
}

#[tokio::test]
async fn large_logs_go_in_pieces() {
    let mut bench = Bench::new().await;
    bench
        .fake
        .add(1, payload(1, &["head -c 3000000 /dev/zero | tr '\\0' x | fold -w 100"]));
    bench.start().await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.phase, Phase::Success);
    assert!(job.log.len() > 3_000_000);
    assert!(job.ranges.len() >= 3, "{:?}", job.ranges);
    bench.stop().await;
}

#[tokio::test]
async fn a_log_beyond_its_limit_says_so() {
    let mut bench = Bench::new().await;
    bench
        .fake
        .add(1, payload(1, &["head -c 300000 /dev/zero | tr '\\0' x | fold -w 100"]));
    let mut runner = bench.runner();
    runner.output_limit = 100;
    bench
        .start_with(tasuki_runner::config::Config::single(1, runner), None)
        .await;
    let job = bench.fake.until_final(1).await;
    assert_eq!(job.phase, Phase::Success, "the job goes on");
    assert!(text(&job).contains("Job's log exceeded limit of 102400 bytes"));
    assert!(job.log.len() < 103_000);
    bench.stop().await;
}
