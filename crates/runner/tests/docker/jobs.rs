//! Jobs in containers: images, users, entrypoints, secrets, what goes wrong.

use tasuki_model::plan::{Image, PullPolicy};
use tasuki_model::reason::FailureReason;
use tasuki_runner::executor::{Command, Error, Exit, Task};

use crate::conformance::{Options, conforms, task};
use crate::engine::{chain, docker, image, place, run_in, script};
use crate::terminals::terminals;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn it_conforms() {
    let place = place("");
    conforms(
        &place.docker,
        &Options {
            host_processes: false,
            ..Options::HOST
        },
    )
    .await;
    place.ends().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn it_has_terminals() {
    let place = place("");
    terminals(
        &place.docker,
        &Options {
            host_processes: false,
            ..Options::HOST
        },
    )
    .await;
    place.ends().await;
}

fn with(image: Image) -> Task {
    Task {
        image: Some(image),
        ..task()
    }
}

/// Covers: GM-DOCK-01
/// Covers: GM-DOCK-02
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn images_say_how_scripts_run() {
    let place = place("image = \"tasuki-test/user:1\"");
    let check = async |image: Option<Image>, text: &str, wanted: &str| {
        let shown = format!("{image:?}: {text}");
        let sandbox = place.sandbox(Task { image, ..task() }).await;
        let (ended, printed) = run_in(&*sandbox, script(text)).await;
        assert_eq!((ended.exit, printed.as_str()), (Exit::Code(0), wanted), "{shown}");
        sandbox.teardown().await.expect("is torn down");
    };
    let named = |name: &str| Some(image(name));
    let owner = "id -u; id -g; echo $HOME; touch x; stat -c '%u %g' x; cd ..; touch beside; rm -r project";
    check(None, owner, "1000\n1000\n/home/user\n1000 1000\n").await;
    check(
        named("tasuki-test/busybox:1"),
        "echo $FROM_IMAGE; id -u; pwd",
        "yes\n0\n/builds/group/project\n",
    )
    .await;
    check(named("tasuki-test/entry:1"), "echo $FROM_ENTRYPOINT", "a b\n").await;
    check(named("tasuki-test/shell-entry:1"), "echo in a shell", "in a shell\n").await;
    let numbered = Image {
        user: Some("1234".to_owned()),
        ..image("tasuki-test/busybox:1")
    };
    check(
        Some(numbered),
        "id -u; touch a; test -w . && echo writable",
        "1234\nwritable\n",
    )
    .await;
    let emptied = Image {
        entrypoint: Some(vec![String::new()]),
        ..image("tasuki-test/broken:1")
    };
    check(Some(emptied), "echo without the entrypoint", "without the entrypoint\n").await;
    place.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn entrypoints_speak_and_fail() {
    let keeping = place("disable_entrypoint_overwrite = true");
    let (made, printed) = keeping.prepare(with(image("tasuki-test/entry:1"))).await;
    assert!(printed.contains("the entrypoint says hello\n"), "{printed}");
    made.expect("a sandbox").teardown().await.expect("is torn down");
    let check = async |image: Image, said: &str| {
        let (made, printed) = keeping.prepare(with(image)).await;
        let error = made.err().expect(said);
        assert!(matches!(error, Error::Job { .. }), "{error:?}");
        assert!(error.to_string().contains(said), "{}: {printed}", chain(&error));
    };
    check(
        image("tasuki-test/broken:1"),
        "ended with exit code 1 before the first script",
    )
    .await;
    check(image("tasuki-test/empty:1"), "the image has no shell").await;
    let overwritten = Image {
        entrypoint: Some(vec![String::new()]),
        ..image("tasuki-test/broken:1")
    };
    check(overwritten, "its entrypoint failed").await;
    let unknown = Image {
        user: Some("nobody-knows".to_owned()),
        ..image("tasuki-test/busybox:1")
    };
    check(unknown, "unable to find user").await;
    let nonsense = image("tasuki-test/no such image");
    let (made, _) = keeping.prepare(with(nonsense)).await;
    assert!(made.is_err());
    keeping.ends().await;
}

#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn the_configuration_sets_limits() {
    let place = place(
        "allowed_images = [\"tasuki-test/*:*\"]\nallowed_pull_policies = [\"never\", \"if-not-present\"]\nallowed_users = [\"1000\"]",
    );
    let check = async |image: Image, reason: FailureReason, said: &str| {
        let (made, printed) = place.prepare(with(image)).await;
        let error = made.err().unwrap_or_else(|| panic!("{said} is let through"));
        assert_eq!(error.reason(), reason, "{}", chain(&error));
        assert!(error.to_string().contains(said), "{}: {printed}", chain(&error));
    };
    let configuration = FailureReason::RunnerConfigurationError;
    check(
        image("other/busybox:1"),
        configuration,
        "matches none of tasuki-test/*:*",
    )
    .await;
    let always = Image {
        pull_policy: vec![PullPolicy::Always],
        ..image("tasuki-test/busybox:1")
    };
    check(always, configuration, "the pull policy always is not allowed").await;
    let root = Image {
        user: Some("root".to_owned()),
        ..image("tasuki-test/busybox:1")
    };
    check(root, configuration, "allowed_users").await;
    let missing = Image {
        pull_policy: vec![PullPolicy::Never],
        ..image("tasuki-test/missing:1")
    };
    check(missing, FailureReason::ImagePullFailure, "the pull policy is never").await;
    // The first policy fails, the second finds the image that is here.
    let fallback = Image {
        name: "tasuki-test/busybox:1".to_owned(),
        pull_policy: vec![PullPolicy::Never, PullPolicy::IfNotPresent],
        ..Image::default()
    };
    place
        .sandbox(with(fallback))
        .await
        .teardown()
        .await
        .expect("is torn down");
    place.ends().await;
}

/// Secrets stand neither in what the engine shows of containers nor in a process list.
#[tokio::test]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn secrets_are_not_to_be_seen() {
    let place = place("");
    let secret = "hunter2-is-not-shown";
    let task = Task {
        variables: vec![
            ("PASSWORD".to_owned(), secret.to_owned()),
            ("OPEN".to_owned(), "seen".to_owned()),
        ],
        public_variables: vec![("OPEN".to_owned(), "seen".to_owned())],
        ..task()
    };
    let sandbox = place.sandbox(task).await;
    let work = Command {
        env: vec![("PASSWORD".to_owned(), secret.to_owned())],
        ..script(
            "test \"$PASSWORD\" = hunter2-is-not-shown && echo has it; cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | grep -c 'hunter2[-]is'; \
                  tr '\\0' '\\n' < /proc/1/environ | grep -e PASSWORD -e OPEN",
        )
    };
    let (_, printed) = run_in(&*sandbox, work).await;
    assert_eq!(printed, "has it\n0\nOPEN=seen\n");
    let ids = docker(&["ps", "-aq", "--filter", "label=com.gitlab.gitlab-runner.managed=true"]);
    let mut inspect = vec!["inspect"];
    inspect.extend(ids.split_whitespace());
    assert!(!docker(&inspect).contains(secret));
    sandbox.teardown().await.expect("is torn down");
    place.ends().await;
}
