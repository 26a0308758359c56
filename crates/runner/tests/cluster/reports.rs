//! What a job's log is told of its pod, and entry points of images.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tasuki_model::plan::{Image, Service, Variable};
use tasuki_runner::executor::{Collected, Executor as _, Stop, Task};

use crate::cluster::{busybox, chain, left, place, run_in, script};
use crate::conformance::task;

fn with_variables(variables: &[(&str, &str)]) -> Task {
    let mut task = task();
    task.variables = variables
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect();
    task
}

fn shell(words: &[&str]) -> Image {
    Image {
        name: busybox(),
        entrypoint: Some(words.iter().map(|&word| word.to_owned()).collect()),
        ..Image::default()
    }
}

/// Waits until all of these are printed: the cluster tells some things later than it does them.
async fn printed(output: &Collected, wanted: &[&str]) -> String {
    let began = Instant::now();
    loop {
        let text = output.text();
        let missing: Vec<_> = wanted.iter().filter(|&&one| !text.contains(one)).collect();
        if missing.is_empty() {
            return text;
        }
        assert!(
            began.elapsed() < Duration::from_secs(60),
            "{missing:?} is not in {text}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Covers: GK-FF-01, GK-FF-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn events_of_the_pod_are_printed_and_its_reach_is_waited_for() {
    let place = place("");
    let task = with_variables(&[
        ("FF_PRINT_POD_EVENTS", "true"),
        ("FF_WAIT_FOR_POD_TO_BE_REACHABLE", "true"),
    ]);
    let output = Arc::new(Collected::default());
    let sandbox = place
        .kubernetes
        .prepare(place.own(task), Stop::new(), output.clone())
        .await;
    let sandbox = sandbox.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
    let wanted = [
        "Subscribing to Kubernetes Pod events...\nType\tReason\tMessage\n",
        "Normal\tScheduled\tSuccessfully assigned ",
        "Normal\tStarted\t",
        "to be reachable...\n",
    ];
    let text = printed(&output, &wanted).await;
    assert!(!text.contains("to be running, status is"), "{text}");
    let (ended, said) = run_in(&*sandbox, script("echo here")).await;
    assert!(ended.exit.success() && said == "here\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    let plain = Arc::new(Collected::default());
    let sandbox = place
        .kubernetes
        .prepare(place.own(task_without()), Stop::new(), plain.clone())
        .await;
    sandbox.expect("a sandbox").teardown().await.expect("is torn down");
    assert!(!plain.text().contains("Normal\t"), "{}", plain.text());
    left(&place).await;
    place.ends().await;
}

fn task_without() -> Task {
    with_variables(&[])
}

/// The second of two services at one port cannot be, and the log says so.
///
/// Covers: GK-LIFE-14
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn what_services_print_stands_in_the_log() {
    let place = place("");
    let server = |alias: &str, variables: Vec<Variable>| Service {
        image: Image {
            name: busybox(),
            command: Some(
                ["sh", "-c", "echo begins; sleep 1; exec httpd -f -p 8080"]
                    .map(str::to_owned)
                    .to_vec(),
            ),
            variables,
            ..Image::default()
        },
        aliases: vec![alias.to_owned()],
    };
    let mut debugged = with_variables(&[("CI_DEBUG_SERVICES", "true")]);
    debugged.services = vec![server("one", Vec::new()), server("two", Vec::new())];
    let output = Arc::new(Collected::default());
    let sandbox = place
        .kubernetes
        .prepare(place.own(debugged), Stop::new(), output.clone())
        .await;
    let sandbox = sandbox.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
    let text = printed(
        &output,
        &[
            "[service:one] begins\n",
            "[service:two] begins\n",
            "Address already in use\n",
        ],
    )
    .await;
    assert_eq!(text.matches("Address already in use").count(), 1, "{text}");
    sandbox.teardown().await.expect("is torn down");
    // Where both say so, it is known before.
    let mut task = task();
    let health = || vec![Variable::plain("HEALTHCHECK_TCP_PORT", "8080")];
    task.services = vec![server("one", health()), server("two", health())];
    let (made, _) = place.prepare(task).await;
    let error = chain(&made.err().expect("cannot be"));
    assert!(
        error.contains("the services one and two both listen at port 8080"),
        "{error}"
    );
    left(&place).await;
    place.ends().await;
}

/// Covers: GK-EP-01, GK-EP-04, GK-EP-05, GK-EP-06, GK-EP-07
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn an_entry_point_is_heard_and_waited_for() {
    let place = place("[kubernetes.pod_security_context]\nrun_as_user = 0\n");
    let mut task = with_variables(&[("FF_KUBERNETES_HONOR_ENTRYPOINT", "true"), ("PASSWORD", "of nobody")]);
    task.public_variables = vec![("PUBLIC".to_owned(), "seen".to_owned())];
    task.file_variables = vec![("KEY_FILE".to_owned(), "content".to_owned())];
    task.image = Some(shell(&[
        "sh",
        "-c",
        "echo \"entry $PUBLIC ${PASSWORD-none} ${KEY_FILE-none}\"; sleep 3; printf handed; export FROM=entry; exec \"$@\"",
        "entry",
    ]));
    let output = Arc::new(Collected::default());
    let sandbox = place
        .kubernetes
        .prepare(place.own(task), Stop::new(), output.clone())
        .await;
    let sandbox = sandbox.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
    let text = output.text();
    assert!(
        text.ends_with("entry seen none none\nhanded"),
        "nothing of ours comes after: {text}"
    );
    let (ended, said) = run_in(&*sandbox, script("echo $FROM")).await;
    assert!(ended.exit.success() && said == "entry\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}

/// Covers: GK-EP-02, GK-EP-08
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn an_entry_point_that_opens_no_shell_fails_the_job() {
    for (words, wanted) in [
        (
            "echo slow; exec sleep 600",
            "did not hand over within 15 s (poll_timeout)",
        ),
        ("echo slow; exit 9", "ended in mid-job with exit code 9"),
    ] {
        let place = place("poll_timeout = 15\n[kubernetes.pod_security_context]\nrun_as_user = 0\n");
        let mut task = with_variables(&[("FF_KUBERNETES_HONOR_ENTRYPOINT", "true")]);
        task.image = Some(shell(&["sh", "-c", words]));
        let (made, printed) = place.prepare(task).await;
        let error = chain(&made.err().expect("it does not hand over"));
        assert!(error.contains(wanted), "{error}");
        assert!(printed.contains("slow\n"), "{printed}");
        left(&place).await;
        place.ends().await;
    }
}

/// Covers: GK-EP-10, GK-EP-11, GK-EP-13
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn with_exec_a_marker_says_that_an_entry_point_is_done() {
    let marker = "/builds/.gitlab-startup-marker";
    for (words, starts) in [
        ("exec \"$@\"".to_owned(), true),
        (format!("sleep 2; touch {marker}; exec sleep 600"), true),
        ("exec sleep 600".to_owned(), false),
    ] {
        let place = place("poll_timeout = 15\npoll_interval = 1\n");
        let mut task = with_variables(&[
            ("FF_KUBERNETES_HONOR_ENTRYPOINT", "true"),
            ("FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY", "true"),
        ]);
        task.image = Some(shell(&["sh", "-c", &words, "entry"]));
        let (made, printed) = place.prepare(task).await;
        assert_eq!(made.is_ok(), starts, "{words}: {printed}");
        match made {
            Ok(sandbox) => {
                let (ended, said) = run_in(&*sandbox, script("echo here; exit 3")).await;
                assert_eq!((ended.exit.code(), said.as_str()), (Some(3), "here\n"));
                sandbox.teardown().await.expect("is torn down");
            }
            Err(error) => {
                let error = chain(&error);
                // By the cluster, which ends the container, or here.
                assert!(
                    error.contains("poll_timeout") || error.contains("the container build"),
                    "{error}"
                );
                println!("{error}");
            }
        }
        left(&place).await;
        place.ends().await;
    }
}
