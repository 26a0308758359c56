//! Entrypoints that do not leave the container to the guest alone.

use tasuki_runner::executor::{Exit, Task};

use crate::conformance::task;
use crate::engine::{docker, image, place, run_in, script};

fn with(name: &str) -> Task {
    Task {
        image: Some(image(name)),
        ..task()
    }
}

/// One hundred thousand lines, of which every byte counts.
const LONG: &str = "i=0; while [ $i -lt 2000 ]; do echo \"line $i of what is printed\"; i=$((i+1)); done";

fn long() -> String {
    (0..2000).map(|i| format!("line {i} of what is printed\n")).collect()
}

/// What an entrypoint left in the background prints into the same output, between and beside everything else.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn others_on_the_containers_output_disturb_nothing() {
    let place = place("");
    let sandbox = place.sandbox(with("tasuki-test/noisy-entry:1")).await;
    for number in 0..3 {
        let (ended, printed) = run_in(&*sandbox, script(&format!("{LONG}; exit {number}"))).await;
        assert_eq!(ended.exit, Exit::Code(number));
        assert!(printed == long(), "{} bytes", printed.len());
    }
    // Two at a time: the second has no line, and is started by the engine.
    let (one, other) = tokio::join!(
        run_in(&*sandbox, script(&format!("{LONG}; sleep 1"))),
        run_in(&*sandbox, script(&format!("sleep 0.3; {LONG}; exit 4")))
    );
    assert_eq!((one.0.exit, other.0.exit), (Exit::Code(0), Exit::Code(4)));
    assert!(one.1 == long() && other.1 == long());
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_entrypoint_may_keep_the_input_or_become_somebody() {
    let place = place("");
    let sandbox = place.sandbox(with("tasuki-test/detached-entry:1")).await;
    for number in [0, 7] {
        let (ended, printed) = run_in(&*sandbox, script(&format!("{LONG}; exit {number}"))).await;
        assert_eq!(ended.exit, Exit::Code(number));
        assert!(printed == long(), "{} bytes", printed.len());
    }
    sandbox.teardown().await.expect("is torn down");
    let sandbox = place.sandbox(with("tasuki-test/su-entry:1")).await;
    let text = "id -u; touch mine; stat -c %u mine; test -w \"$HOME\" && echo at home";
    let (ended, printed) = run_in(&*sandbox, script(text)).await;
    assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), "1000\n1000\nat home\n"));
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}

/// The engine's own log holds nothing of a job: it is neither masked nor anybody's to keep. Where the operator names logs,
/// what entrypoints print is there, and scripts are not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn the_engine_keeps_no_log_of_a_job() {
    for (config, driver) in [
        ("", "none"),
        ("[log_options]\nlabels = \"io.tasuki.sandbox\"", "json-file"),
    ] {
        let place = place(config);
        let sandbox = place.sandbox(with("tasuki-test/entry:1")).await;
        let (_, printed) = run_in(&*sandbox, script("echo a secret of the job")).await;
        assert_eq!(printed, "a secret of the job\n");
        let build = docker(&["ps", "-q", "--filter", "label=com.gitlab.gitlab-runner.type=build"]);
        let used = docker(&["inspect", "--format", "{{.HostConfig.LogConfig.Type}}", &build]);
        assert_eq!(used, driver, "{config}");
        if driver != "none" {
            let log = docker(&["logs", &build]);
            assert!(log.contains("the entrypoint says hello"), "{log}");
            assert!(!log.contains("a secret of the job"), "{log}");
        }
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
}
