//! Settings that change while the runner runs.

use tasuki_rt::Clock;
use tasuki_runner::config::ConfigFile;

use super::bench::{Bench, payload};
use super::fake::Phase;

fn file(url: &str, rest: &str) -> String {
    format!(
        "concurrent = 2\ncheck_interval = 1\n[[runners]]\nname = \"a\"\nurl = \"{url}\"\ntoken = \"glrt-a\"\nexecutor = \"shell\"\n{rest}"
    )
}

#[tokio::test]
async fn runners_come_and_go_with_the_file() {
    let mut bench = Bench::new().await;
    let path = bench.dir.path().join("config.toml");
    let one = file(&bench.fake.url(), "");
    std::fs::write(&path, &one).unwrap();
    let now = bench.start_following(&path, Clock::system()).await;
    let asks = |token: &'static str| {
        move |state: &super::fake::State| state.requests.iter().any(|request| request["token"] == token)
    };
    bench.fake.until("the first runner", asks("glrt-a")).await;
    // A job that runs while its runner is removed goes on.
    bench.fake.add(1, payload(1, &["sleep 1"]));
    bench
        .fake
        .until("the job", |state| state.jobs[&1].phase == Phase::Running)
        .await;
    std::fs::write(&path, one.replace("glrt-a", "glrt-b")).unwrap();
    now.notify_one();
    bench.fake.until("the second runner", asks("glrt-b")).await;
    bench.fake.lock().requests.clear();
    assert_eq!(bench.fake.until_final(1).await.phase, Phase::Success);
    std::fs::write(&path, "broken [").unwrap();
    now.notify_one();
    bench.fake.lock().requests.clear();
    bench.fake.until("the second runner goes on", asks("glrt-b")).await;
    assert!(!asks("glrt-a")(&bench.fake.lock()), "the first has gone");
    let figures = bench.metrics.text("s_1");
    for line in [
        "gitlab_runner_configuration_loaded_total 2",
        "gitlab_runner_configuration_loading_error_total 1",
        "gitlab_runner_job_queue_duration_seconds_count{project_jobs_running=\"0\"} 1",
    ] {
        assert!(figures.contains(&format!("{line}\n")), "{line} in {figures}");
    }
    bench.stop().await;
}

#[tokio::test]
async fn an_old_token_is_exchanged_and_the_new_one_used() {
    let mut bench = Bench::new().await;
    let path = bench.dir.path().join("config.toml");
    let life = "token_obtained_at = 2026-01-01T00:00:00Z\ntoken_expires_at = 2026-01-05T00:00:00Z\n";
    std::fs::write(&path, file(&bench.fake.url(), life)).unwrap();
    // 2026-01-04: three of four days are over.
    let clock = Clock::manual(1_767_484_800_000);
    let now = bench.start_following(&path, clock).await;
    now.notify_one();
    bench
        .fake
        .until("a request with the new token", |state| {
            state.requests.iter().any(|r| r["token"] == "glrt-new")
        })
        .await;
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains("token_obtained_at = 2026-01-04T00:00:00Z"), "{text}");
    assert!(ConfigFile::load(&path).is_ok());
    bench.stop().await;
}
