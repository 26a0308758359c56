//! What keys of config.toml and variables of GitLab's do to jobs.

use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tasuki_model::secret::Secret;
use tasuki_runner::config::{Config, GoDuration, RunnerConfig};

use super::bench::{Bench, payload, text, variable};
use super::fake::{Fault, Job, Phase};

/// Runs one job on a runner that `change` has set up.
async fn run(job: Value, change: impl FnOnce(&mut RunnerConfig, &Bench)) -> Job {
    let mut bench = Bench::new().await;
    let mut runner = bench.runner();
    change(&mut runner, &bench);
    bench.fake.add(1, job);
    bench.start_with(Config::single(1, runner), None).await;
    let job = bench.fake.until_final(1).await;
    bench.stop().await;
    job
}

/// Positions of these words, which must all be there and in this order.
#[track_caller]
fn in_order(log: &str, words: &[&str]) {
    let mut at = 0;
    for word in words {
        let found = log[at..]
            .find(word)
            .unwrap_or_else(|| panic!("{word:?} is not there, or too early:\n{log}"));
        at += found + word.len();
    }
}

#[tokio::test]
async fn scripts_of_the_runner_and_hooks_of_the_payload_have_their_places() {
    let mut job = payload(1, &["echo script $SHARED"]);
    job["hooks"] = json!([
        {"name": "pre_get_sources_script", "script": ["echo payload before"]},
        {"name": "post_get_sources_script", "script": ["echo payload behind"]},
    ]);
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["echo after [$SHARED]"], "when": "always"}));
    let job = run(job, |runner, _| {
        runner.pre_get_sources_script = "echo runner before".to_owned();
        runner.post_get_sources_script = "echo runner behind".to_owned();
        runner.pre_build_script = "SHARED=one-shell".to_owned();
        runner.post_build_script = "echo post $SHARED".to_owned();
    })
    .await;
    let order = [
        ":get_sources\r",
        "\nrunner before\n",
        "\npayload before\n",
        "Skipping Git repository setup",
        "\nrunner behind\n",
        "\npayload behind\n",
        ":step_script\r",
        "\nscript one-shell\n",
        "\npost one-shell\n",
        ":after_script\r",
        "\nafter []\n",
    ];
    // The line about the repository comes with the checkout, between the hooks, or before both.
    let order: Vec<_> = order.into_iter().filter(|word| !word.starts_with("Skipping")).collect();
    in_order(&text(&job), &order);
}

#[tokio::test]
async fn a_failing_hook_fails_the_job_before_its_script() {
    let job = run(payload(1, &["echo never"]), |runner, _| {
        runner.pre_get_sources_script = "exit 7".to_owned();
    })
    .await;
    assert_eq!(job.phase, Phase::Failed);
    assert!(!text(&job).contains("$ echo never"), "{}", text(&job));
}

/// `GET_SOURCES_ATTEMPTS`: within 1..=10, else with a warning.
#[tokio::test]
async fn sources_are_tried_as_often_as_the_variable_says() {
    for (attempts, tries, warning) in [
        ("", 1, ""),
        ("3", 3, "attempt 2 of 3 failed"),
        ("99", 10, "GET_SOURCES_ATTEMPTS: 99 is outside 1..10, 10 is used"),
        ("0", 1, "1 is used"),
        ("many", 1, "is not a number, 1 is used"),
    ] {
        let mut job = payload(1, &["echo never"]);
        variable(&mut job, "GET_SOURCES_ATTEMPTS", attempts, &json!({}));
        let job = run(job, |runner, _| {
            runner.pre_get_sources_script = "echo tried; exit 1".to_owned();
        })
        .await;
        let log = text(&job);
        assert_eq!(
            (job.phase, log.matches("\ntried\n").count()),
            (Phase::Failed, tries),
            "{log}"
        );
        assert!(log.contains(warning), "{log}");
    }
}

/// Covers: GK-CFGX-09, GK-FF-03
#[tokio::test]
async fn the_environment_of_the_runner_sets_flags_and_variables() {
    let lines = ["echo value=$VALUE,$OVERRIDDEN flag=$FF_TIMESTAMPS,$FF_SCRIPT_SECTIONS,$FF_HASH_CACHE_KEYS"];
    let mut job = payload(1, &lines);
    // Without the payload's own word about it.
    let variables = job["variables"].as_array_mut().unwrap();
    variables.retain(|variable| variable["key"] != "FF_TIMESTAMPS");
    variable(&mut job, "OVERRIDDEN", "job", &json!({}));
    let job = run(job, |runner, _| {
        runner.environment = ["VALUE=a=b", "OVERRIDDEN=runner", "FF_TIMESTAMPS=false"]
            .map(str::to_owned)
            .to_vec();
        runner.feature_flags.insert("FF_HASH_CACHE_KEYS".to_owned(), true);
    })
    .await;
    let log = text(&job);
    assert!(
        log.contains("\nvalue=a=b,job flag=false,false,true\n"),
        "no heads before the lines: {log}"
    );
    assert!(
        log.contains("  feature flags: FF_TIMESTAMPS:false, FF_HASH_CACHE_KEYS:true"),
        "{log}"
    );
}

#[tokio::test]
async fn a_failing_after_script_counts_only_where_it_is_said() {
    for (word, phase) in [
        ("false", Phase::Failed),
        ("0", Phase::Failed),
        ("true", Phase::Success),
        ("", Phase::Success),
    ] {
        let mut job = payload(1, &["true"]);
        variable(&mut job, "AFTER_SCRIPT_IGNORE_ERRORS", word, &json!({}));
        job["steps"]
            .as_array_mut()
            .unwrap()
            .push(json!({"name": "after_script", "script": ["exit 3"], "when": "always"}));
        let job = run(job, |_, _| {}).await;
        assert_eq!(job.phase, phase, "{word:?}: {}", text(&job));
    }
}

#[tokio::test]
async fn after_script_has_a_limit_of_its_own() {
    let mut job = payload(1, &["true"]);
    variable(&mut job, "RUNNER_AFTER_SCRIPT_TIMEOUT", "200ms", &json!({}));
    job["steps"]
        .as_array_mut()
        .unwrap()
        .push(json!({"name": "after_script", "script": ["sleep 60"], "when": "always"}));
    let job = run(job, |_, _| {}).await;
    assert_eq!(job.phase, Phase::Success, "{}", text(&job));
    assert!(
        text(&job).contains("execution took longer than 200ms"),
        "{}",
        text(&job)
    );
}

#[tokio::test]
async fn debugging_is_told_and_can_be_switched_off() {
    for (variables, disabled, debugs, traces) in [
        (&[][..], false, false, false),
        (&["CI_DEBUG_TRACE"], false, true, true),
        (&["CI_DEBUG_SERVICES"], false, true, false),
        (&["CI_DEBUG_TRACE"], true, false, false),
    ] {
        let mut job = payload(1, &["echo said"]);
        for name in variables {
            variable(&mut job, name, "true", &json!({}));
        }
        let job = run(job, |runner, _| runner.debug_trace_disabled = disabled).await;
        let query = format!("debug_trace={debugs}");
        assert!(
            job.patch_queries.iter().all(|sent| *sent == query),
            "{:?}",
            job.patch_queries
        );
        assert!(!job.patch_queries.is_empty());
        assert_eq!(text(&job).contains("+ echo said"), traces, "{}", text(&job));
    }
}

#[tokio::test]
async fn sections_are_written_only_where_the_server_shows_them() {
    let mut job = payload(1, &["true"]);
    job["features"]["trace_sections"] = json!(false);
    let job = run(job, |_, _| {}).await;
    assert!(!text(&job).contains("section_"), "{}", text(&job));
    let mut job = payload(1, &["echo one\necho two"]);
    variable(&mut job, "FF_SCRIPT_SECTIONS", "true", &json!({}));
    let job = run(job, |_, _| {}).await;
    assert!(text(&job).contains(":section_script_step_0"), "{}", text(&job));
}

/// Covers: GK-CFGX-08
#[tokio::test]
async fn the_shell_is_chosen() {
    for shell in ["bash", "sh"] {
        let job = run(payload(1, &["cat /proc/$$/comm"]), |runner, _| {
            shell.clone_into(&mut runner.shell);
        })
        .await;
        assert_eq!(job.phase, Phase::Success, "{}", text(&job));
        assert!(text(&job).contains(&format!("\n{shell}\n")), "{}", text(&job));
    }
    let job = run(payload(1, &["echo never"]), |runner, _| {
        runner.shell = "fish".to_owned();
    })
    .await;
    assert!(
        text(&job).contains("shell = \"fish\" is none that this version has") && job.phase == Phase::Failed,
        "{}",
        text(&job)
    );
}

#[tokio::test]
async fn what_git_is_not_asked_to_do_is_refused() {
    for (key, value, words) in [
        (
            "GIT_CLONE_PATH",
            "$CI_BUILDS_DIR/x",
            "`enabled = true` in its [runners.custom_build_dir]",
        ),
        ("GIT_SUBMODULE_STRATEGY", "deep", "none of none, normal, recursive"),
    ] {
        let mut job = payload(1, &["echo never"]);
        variable(&mut job, key, value, &json!({}));
        let job = run(job, |_, _| {}).await;
        assert_eq!(job.phase, Phase::Failed);
        assert!(
            text(&job).contains(words) && !text(&job).contains("$ echo never"),
            "{}",
            text(&job)
        );
    }
    let mut job = payload(1, &["true"]);
    variable(&mut job, "GIT_STRATEGY", "magic", &json!({}));
    variable(&mut job, "GET_SOURCES_ATTEMPTS", "1", &json!({}));
    let job = run(job, |_, _| {}).await;
    assert!(
        text(&job).contains("GIT_STRATEGY: \"magic\" is none of fetch, clone, none, empty"),
        "{}",
        text(&job)
    );
}

#[tokio::test]
async fn folders_of_the_runner_are_used() {
    let job = run(payload(1, &["pwd", "touch here"]), |runner, bench| {
        runner.builds_dir = bench.dir.path().join("mine").display().to_string();
    })
    .await;
    assert!(text(&job).contains("/mine/runnertok/0/g/p\n"), "{}", text(&job));
}

#[tokio::test]
async fn jobs_name_their_folder_where_the_runner_lets_them() {
    let mut job = payload(1, &["pwd", "echo in $CI_PROJECT_DIR of $CI_BUILDS_DIR"]);
    variable(
        &mut job,
        "GIT_CLONE_PATH",
        "$CI_BUILDS_DIR/$CI_CONCURRENT_ID/own",
        &json!({}),
    );
    let job = run(job, |runner, bench| {
        runner.custom_build_dir.enabled = Some(true);
        runner.builds_dir = bench.dir.path().join("mine").display().to_string();
    })
    .await;
    assert_eq!(job.phase, Phase::Success, "{}", text(&job));
    for line in ["/mine/0/own\n", "/mine/0/own of "] {
        assert!(text(&job).contains(line), "{line}: {}", text(&job));
    }
}

#[tokio::test]
async fn a_limit_holds_for_its_runner() {
    let mut bench = Bench::new().await;
    let running = "test $(ls -d $CI_BUILDS_DIR/../run.* 2>/dev/null | wc -l) -lt 1 && mktemp -d $CI_BUILDS_DIR/../run.XXXX && sleep 0.3 && rmdir $CI_BUILDS_DIR/../run.*";
    for id in 1..=3 {
        bench.fake.add(id, payload(id, &[running]));
    }
    let mut runner = bench.runner();
    runner.limit = 1;
    bench.start_with(Config::single(4, runner), None).await;
    for id in 1..=3 {
        let job = bench.fake.until_final(id).await;
        assert_eq!(job.phase, Phase::Success, "{}", text(&job));
    }
    bench.stop().await;
}

#[tokio::test]
async fn as_many_requests_are_under_way_as_allowed() {
    for (adaptive, most) in [(true, 1), (false, 3)] {
        let mut bench = Bench::new().await;
        bench.fake.lock().tasuki = true;
        let mut runner = bench.runner();
        runner.request_concurrency = 3;
        runner
            .feature_flags
            .insert("FF_USE_ADAPTIVE_REQUEST_CONCURRENCY".to_owned(), adaptive);
        bench.start_with(Config::single(4, runner), None).await;
        bench.fake.until("requests", |state| state.requests.len() >= most).await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(bench.fake.lock().most_held, most);
        bench.stop().await;
    }
}

#[tokio::test]
async fn a_refused_runner_rests_as_long_as_it_says() {
    let mut bench = Bench::new().await;
    bench.fake.lock().revoked.push("glrt-t1_runnertoken".to_owned());
    let mut runner = bench.runner();
    runner.unhealthy_requests_limit = 1;
    runner.unhealthy_interval = Some(GoDuration(Duration::from_millis(1500)));
    bench.start_with(Config::single(1, runner), None).await;
    bench.fake.until("a request", |state| state.requests.len() == 1).await;
    bench.fake.lock().revoked.clear();
    bench.fake.add(1, payload(1, &["true"]));
    let began = Instant::now();
    assert_eq!(bench.fake.until_final(1).await.phase, Phase::Success);
    assert!(began.elapsed() >= Duration::from_millis(1200), "{:?}", began.elapsed());
    bench.stop().await;
}

#[tokio::test]
async fn a_runner_without_token_is_left_out_and_labels_are_told() {
    let mut bench = Bench::new().await;
    let mut nameless = bench.runner();
    nameless.token = Secret::new("");
    let mut config = Config::single(1, bench.runner());
    config.runners[0].labels.insert("zone".to_owned(), "eu".to_owned());
    config.labels.insert("zone".to_owned(), "us".to_owned());
    config.labels.insert("site".to_owned(), "a".to_owned());
    config.runners.push(nameless);
    bench.start_with(config, None).await;
    bench.fake.until("requests", |state| state.requests.len() >= 3).await;
    let requests = bench.fake.lock().requests.clone();
    assert!(requests.iter().all(|request| request["token"] == "glrt-t1_runnertoken"));
    assert_eq!(requests[0]["info"]["labels"], json!({"site": "a", "zone": "eu"}));
    bench.stop().await;
}

#[tokio::test]
async fn a_strict_interval_is_waited_out_also_after_a_job() {
    let mut bench = Bench::new().await;
    for id in 1..=3 {
        bench.fake.add(id, payload(id, &["true"]));
    }
    let mut runner = bench.runner();
    runner.strict_check_interval = true;
    let began = Instant::now();
    bench.start_with(Config::single(4, runner), None).await;
    bench.fake.until_final(3).await;
    assert!(began.elapsed() >= Duration::from_secs(2), "{:?}", began.elapsed());
    bench.stop().await;
}

/// Only a refusal counts against a runner's health.
#[tokio::test]
async fn conflicts_and_odd_answers_make_no_runner_rest() {
    let mut bench = Bench::new().await;
    for code in [409, 422, 404] {
        bench.fake.fault(Fault::Request(code, vec![]));
    }
    bench.fake.add(1, payload(1, &["true"]));
    let mut runner = bench.runner();
    runner.unhealthy_requests_limit = 1;
    bench.start_with(Config::single(1, runner), None).await;
    assert_eq!(bench.fake.until_final(1).await.phase, Phase::Success);
    bench.stop().await;
}

#[tokio::test]
async fn how_a_script_ended_is_told_as_one_number() {
    for (script, code) in [("exit 255", 255), ("kill -KILL $$", 137), ("no-such-program", 127)] {
        let job = run(payload(1, &[script]), |_, _| {}).await;
        let last = job.final_update.as_ref().unwrap();
        assert_eq!(
            (&last["exit_code"], &last["failure_reason"]),
            (&json!(code), &json!("script_failure")),
            "{script}"
        );
    }
}
