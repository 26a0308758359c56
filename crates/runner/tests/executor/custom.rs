//! The custom executor: the conformance suite under a driver that runs scripts on this machine, and the contract.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tasuki_model::plan::{Image, Service};
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;
use tasuki_rt::Tasks;
use tasuki_runner::config::CustomConfig;
use tasuki_runner::executor::custom::{Custom, Settings};
use tasuki_runner::executor::{
    Collected, Command, Discard, Error, Executor as _, Exit, PushedFile, Sandbox, Shell, ShellKind, Stop, Stream, Task,
};
use tasuki_runner::process::Binary;

use crate::conformance::{Options, conforms, task};

/// One program for all four steps. It notes how it was called; files in `faults` make a step end with their content.
const DRIVER: &str = r#"#!/bin/sh
step=$1; shift
root=$(dirname "$0")
stage=$2
printf '%s %s %s\n' "$step" "$#" "$stage" >> "$root/calls"
env | sort > "$root/env.$step.$stage"
test "$step" = run && cp "$1" "$root/script.$stage"
test -e "$root/faults/$step" && { echo "$step says no" >&2; exit "$(cat "$root/faults/$step")"; }
place="$root/places/$CUSTOM_ENV_CI_JOB_ID"
case $step in
config)
  cat "$root/answer" 2>/dev/null || printf '{"driver": {"name": "host", "version": "v1"}, "builds_dir": "%s/builds",
    "cache_dir": "%s/cache", "builds_dir_is_shared": true, "hostname": "nowhere", "job_env": {"FROM_CONFIG": "yes"}}' \
    "$root" "$root" ;;
prepare)
  echo preparing
  mkdir -p "$place/home" "$place/tmp" "$root/cache"
  (exec sleep 1000 >/dev/null 2>&1) &
  echo $! > "$root/daemon" ;;
run)
  exec 3>&2 2>/dev/null
  (exec env -i PATH=/usr/local/bin:/usr/bin:/bin HOME="$place/home" TMPDIR="$place/tmp" USER="$(id -un)" bash "$1" 2>&3)
  code=$?
  test $code = 0 && exit 0
  echo $code > "$BUILD_EXIT_CODE_FILE"
  exit "$BUILD_FAILURE_EXIT_CODE" ;;
cleanup)
  echo cleaning
  chmod -R u+rwx "$place" 2>/dev/null
  rm -rf "$place" ;;
esac
"#;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let place = Self { folder };
        place.write("driver", DRIVER);
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(place.path("driver"), mode).expect("is ours");
        std::fs::create_dir(place.path("faults")).expect("is new");
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).expect("is written");
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn config() -> CustomConfig {
        let args = |step: &str| vec![step.to_owned()];
        CustomConfig {
            config_exec: "./driver".to_owned(),
            config_args: args("config"),
            prepare_exec: "./driver".to_owned(),
            prepare_args: args("prepare"),
            run_exec: "./driver".to_owned(),
            run_args: args("run"),
            cleanup_exec: "./driver".to_owned(),
            cleanup_args: args("cleanup"),
            graceful_kill_timeout: Some(1),
            ..CustomConfig::default()
        }
    }

    fn executor(&self, config: CustomConfig) -> Custom {
        let settings = Settings {
            config,
            builds_dir: String::new(),
            cache_dir: String::new(),
            shell: ShellKind::Detect,
            state_dir: self.path("state"),
            working_dir: self.folder.path().to_owned(),
            environment: vec![
                ("PATH".to_owned(), "/usr/bin:/bin".to_owned()),
                ("OF_THE_RUNNER".to_owned(), "1".to_owned()),
            ],
            binary: Binary::at(env!("CARGO_BIN_EXE_tasuki-guest")),
        };
        Custom::new(settings, Tasks::new()).expect("is configured")
    }

    /// The steps as they were called: step, number of arguments, stage.
    fn calls(&self) -> Vec<String> {
        self.read("calls").lines().map(|line| line.trim().to_owned()).collect()
    }

    fn leftovers(&self) -> Vec<PathBuf> {
        let list = |name: &str| std::fs::read_dir(self.path(name)).into_iter().flatten().flatten();
        ["builds", "places", "state/custom"]
            .into_iter()
            .flat_map(list)
            .map(|entry| entry.path())
            .collect()
    }
}

async fn prepare(executor: &Custom, task: Task) -> (Result<Box<dyn Sandbox>, Error>, String) {
    let output = Arc::new(Collected::default());
    let made = executor.prepare(task, Stop::new(), output.clone()).await;
    (made, output.text())
}

async fn sandbox(executor: &Custom, task: Task) -> Box<dyn Sandbox> {
    prepare(executor, task).await.0.expect("a sandbox")
}

fn sh(text: &str) -> Command {
    let shell = Shell {
        kind: ShellKind::Detect,
        login: false,
    };
    Command::script(shell, text)
}

fn pair(key: &str, value: &str) -> (String, String) {
    (key.to_owned(), value.to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms() {
    let place = Place::new();
    let options = Options {
        signals: false,
        ..Options::HOST
    };
    conforms(&place.executor(Place::config()), &options).await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

/// A task with something of everything that drivers are told.
fn telling_task() -> Task {
    let variables = vec![pair("CI_JOB_ID", "77"), pair("TOKEN", "s3cret"), pair("KEY", "path")];
    Task {
        public_variables: vec![pair("CI_JOB_ID", "77")],
        variables,
        file_variables: vec![pair("KEY", "content")],
        payload: Some(Secret::new(r#"{"id": 77}"#)),
        services: vec![Service {
            image: Image {
                name: "redis:7".to_owned(),
                command: Some(vec!["redis-server".to_owned()]),
                ..Image::default()
            },
            aliases: vec!["db".to_owned()],
        }],
        ..task()
    }
}

#[tokio::test]
async fn drivers_are_called_as_gitlab_calls_them() {
    let place = Place::new();
    let executor = place.executor(Place::config());
    let (made, printed) = prepare(&executor, telling_task()).await;
    let sandbox = made.expect("a sandbox");
    assert_eq!(printed, "Using Custom executor with driver host v1...\npreparing\n");
    let file = PushedFile {
        path: "KEY".into(),
        mode: 0o600,
        bytes: "it's a\\0 key\n".into(),
    };
    sandbox.push(file).await.expect("is taken");
    let output = Collected::default();
    sandbox.settle(Stop::new(), &output).await.expect("settles");
    let said = output.text();
    assert!(
        said.starts_with("Running on ") && said.ends_with(" via nowhere...\n"),
        "{said}"
    );
    let mut command = sh("cat \"$KEY\"; echo $WORD; exit 42");
    command.stage = "step_script".to_owned();
    let key = sandbox.paths().temp.join("KEY");
    command.env = vec![
        pair("KEY", &key.to_string_lossy()),
        pair("WORD", "w"),
        pair("CI_JOB_STATUS", "running"),
    ];
    let output = Collected::default();
    let ended = sandbox.run(command, &output).await.expect("has an end");
    assert_eq!(
        (ended.exit, output.text().as_str()),
        (Exit::Code(42), "it's a\\0 key\nw\n")
    );
    let after = Command {
        stage: "after_script".to_owned(),
        ..sh("true")
    };
    assert!(sandbox.run(after, &Discard).await.expect("has an end").exit.success());
    sandbox.teardown().await.expect("is torn down");
    let wanted = [
        "config 0",
        "prepare 0",
        "run 2 prepare_script",
        "run 2 build_script",
        "run 2 after_script",
        "run 2 cleanup_file_variables",
        "cleanup 0",
    ];
    assert_eq!(place.calls(), wanted);
    let env = place.read("env.run.build_script");
    for line in [
        "OF_THE_RUNNER=1",
        "BUILD_FAILURE_EXIT_CODE=1",
        "SYSTEM_FAILURE_EXIT_CODE=2",
        "FROM_CONFIG=yes",
        "CUSTOM_ENV_CI_JOB_ID=77",
        "CUSTOM_ENV_TOKEN=s3cret",
        "CUSTOM_ENV_KEY=content",
        "CUSTOM_ENV_WORD=w",
        "CUSTOM_ENV_CI_JOB_STATUS=running",
        r#"CUSTOM_ENV_CI_JOB_SERVICES=[{"name":"redis:7","alias":"db","entrypoint":null,"command":["redis-server"]}]"#,
    ] {
        assert!(env.lines().any(|one| one == line), "{line} in {env}");
    }
    for name in ["TMPDIR=", "JOB_RESPONSE_FILE=", "BUILD_EXIT_CODE_FILE="] {
        let state = place.path("state").to_string_lossy().into_owned();
        assert!(
            env.lines().any(|line| line.starts_with(&format!("{name}{state}"))),
            "{name} in {env}"
        );
    }
    let projects = place.path("builds/conform12");
    let inside = format!("CUSTOM_ENV_CI_PROJECT_DIR={}", projects.display());
    assert!(env.lines().any(|line| line.starts_with(&inside)), "{inside} in {env}");
    assert!(!place.read("env.config.").contains("FROM_CONFIG"), "is not known yet");
    assert!(place.read("script.build_script").starts_with("#!/bin/sh\n"));
    crate::conformance::gone(&place.read("daemon"), Duration::ZERO).await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn faults_are_told_by_whose_they_are() {
    for (step, code, reason, words) in [
        (
            "config",
            "1",
            FailureReason::ScriptFailure,
            "config_exec refuses the job",
        ),
        (
            "config",
            "2",
            FailureReason::RunnerSystemFailure,
            "SYSTEM_FAILURE_EXIT_CODE",
        ),
        (
            "prepare",
            "1",
            FailureReason::ScriptFailure,
            "prepare_exec refuses the job",
        ),
        ("prepare", "2", FailureReason::RunnerSystemFailure, "prepare_exec"),
        (
            "prepare",
            "3",
            FailureReason::RunnerSystemFailure,
            "unknown exit status 3",
        ),
    ] {
        let place = Place::new();
        place.write(&format!("faults/{step}"), code);
        let executor = place.executor(Place::config());
        let (made, printed) = prepare(&executor, task()).await;
        let error = made.err().expect("is refused");
        let text = format!("{error}: {:?}", std::error::Error::source(&error));
        assert_eq!(error.reason(), reason, "{step} {code}: {text}");
        assert_eq!(error.is_transient(), code != "1", "{step} {code}");
        assert!(text.contains(words), "{step} {code}: {text}");
        assert!(printed.contains(&format!("{step} says no\n")), "{printed}");
        assert_eq!(place.calls().last().map(String::as_str), Some("cleanup 0"));
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    }
    for (code, exit) in [("1", Some(Exit::Code(1))), ("2", None), ("9", None)] {
        let place = Place::new();
        let executor = place.executor(Place::config());
        let sandbox = sandbox(&executor, task()).await;
        place.write("faults/run", code);
        match (sandbox.run(sh("true"), &Discard).await, exit) {
            (Ok(ended), Some(exit)) => assert_eq!(ended.exit, exit),
            (Err(error), None) => assert!(error.is_transient(), "{error}"),
            (other, _) => panic!("{code}: {other:?}"),
        }
        std::fs::remove_file(place.path("faults/run")).expect("is there");
        sandbox.teardown().await.expect("is torn down");
    }
}

#[tokio::test]
async fn what_config_exec_says_is_checked() {
    for (answer, words) in [
        ("no JSON", "config_exec prints what is no configuration"),
        (r#"{"builds_dir": "/b"}"#, "there is no cache_dir"),
        (r#"{"builds_dir": "b", "cache_dir": "/c"}"#, "\"b\" is relative"),
        (
            r#"{"builds_dir": "/b", "cache_dir": "/c", "shell": "cmd"}"#,
            "shell = \"cmd\"",
        ),
    ] {
        let place = Place::new();
        place.write("answer", answer);
        let (made, _) = prepare(&place.executor(Place::config()), task()).await;
        let error = made.err().expect("is refused");
        assert!(error.to_string().contains(words), "{answer}: {error}");
        assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
        assert!(!place.calls().iter().any(|call| call.starts_with("prepare")));
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    }
    let place = Place::new();
    let impossible = Task {
        variables: vec![pair("NUL", "a\0b")],
        ..task()
    };
    let error = prepare(&place.executor(Place::config()), impossible).await.0.err();
    assert!(matches!(error, Some(Error::Job { .. })), "{error:?}");
    assert_eq!(place.calls(), ["cleanup 0"]);
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    let config = CustomConfig {
        prepare_exec: "./none".to_owned(),
        ..Place::config()
    };
    let place = Place::new();
    let error = prepare(&place.executor(config), task())
        .await
        .0
        .err()
        .expect("is not there");
    assert!(error.to_string().contains("cannot be started"), "{error}");
    assert_eq!(error.reason(), FailureReason::RunnerConfigurationError);
}

#[tokio::test]
async fn programs_have_time_limits() {
    let place = Place::new();
    place.write("slow", "#!/bin/sh\ntrap '' TERM\nwhile :; do sleep 0.1; done\n");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path("slow"), mode).expect("is ours");
    let config = CustomConfig {
        prepare_exec: "./slow".to_owned(),
        prepare_exec_timeout: Some(1),
        ..Place::config()
    };
    let error = prepare(&place.executor(config), task())
        .await
        .0
        .err()
        .expect("is too slow");
    let cause = std::error::Error::source(&error)
        .map(ToString::to_string)
        .unwrap_or_default();
    assert!(
        error.is_transient() && cause.contains("longer than 1s"),
        "{error}: {cause}"
    );
    assert_eq!(place.calls().last().map(String::as_str), Some("cleanup 0"));
    let config = CustomConfig {
        cleanup_exec: "./slow".to_owned(),
        cleanup_exec_timeout: Some(1),
        ..Place::config()
    };
    let executor = place.executor(config);
    let error = sandbox(&executor, task())
        .await
        .teardown()
        .await
        .expect_err("is too slow");
    assert!(error.to_string().contains("cleanup_exec"), "{error}");
    assert_eq!(executor.audit().await.expect("is read").len(), 1, "stays written down");
}

#[tokio::test]
async fn what_a_dead_runner_left_is_cleaned_up_without_secrets() {
    let place = Place::new();
    let executor = place.executor(Place::config());
    drop(sandbox(&executor, telling_task()).await);
    let names = executor.audit().await.expect("is read");
    assert_eq!(names.len(), 1, "{names:?}");
    let name = names[0].strip_prefix("custom sandbox ").expect("is one");
    let record = place.read(&format!("state/custom/{name}/record.json"));
    assert!(
        record.contains("CUSTOM_ENV_CI_JOB_ID") && record.contains("FROM_CONFIG"),
        "{record}"
    );
    assert!(!record.contains("s3cret") && !record.contains("content"), "{record}");
    let swept = executor.sweep().await.expect("sweeps");
    assert_eq!(swept.sandboxes, 1);
    assert_eq!(place.calls().last().map(String::as_str), Some("cleanup 0"));
    let env = place.read("env.cleanup.");
    assert!(
        env.contains("CUSTOM_ENV_CI_JOB_ID=77\n") && env.contains("OF_THE_RUNNER=1"),
        "{env}"
    );
    assert!(!env.contains("s3cret"), "{env}");
    assert_eq!(executor.sweep().await.expect("sweeps").sandboxes, 0, "idempotent");
    crate::conformance::gone(&place.read("daemon"), Duration::ZERO).await;
    let living = sandbox(&executor, task()).await;
    assert_eq!(executor.sweep().await.expect("sweeps").sandboxes, 0, "it lives");
    living.teardown().await.expect("is torn down");
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_cancel_reaches_the_driver() {
    let place = Place::new();
    let executor = place.executor(Place::config());
    let stop = Stop::new();
    place.write(
        "wait",
        "#!/bin/sh\ntrap 'echo asked >> \"$(dirname \"$0\")/calls\"; exit 2' TERM\necho waiting\nwhile :; do sleep 0.05; done\n",
    );
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(place.path("wait"), mode).expect("is ours");
    let config = CustomConfig {
        prepare_exec: "./wait".to_owned(),
        ..Place::config()
    };
    let waiting = place.executor(config);
    let output = Arc::new(Collected::default());
    let pull = async {
        while !output.text().contains("waiting") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.graceful();
    };
    let (made, ()) = tokio::join!(waiting.prepare(task(), stop.clone(), output.clone()), pull);
    assert!(matches!(made, Err(Error::Stopped)));
    assert_eq!(place.calls(), ["config 0", "asked", "cleanup 0"]);
    // The script itself hears of it, too.
    let sandbox = sandbox(&executor, task()).await;
    let command = sh("trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done");
    let (stop, heard) = (command.stop.clone(), Collected::default());
    let pull = async {
        while heard.all().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.graceful();
    };
    let (ended, ()) = tokio::join!(sandbox.run(command, &heard), pull);
    assert_eq!(ended.expect("has an end").exit, Exit::Stopped);
    assert_eq!(heard.of(Stream::Stdout), b"ready\nbye\n");
    sandbox.teardown().await.expect("is torn down");
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}
