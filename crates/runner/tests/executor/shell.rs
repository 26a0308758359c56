//! The shell executor: the conformance suite, and what only it promises.

use std::path::PathBuf;
use std::sync::Arc;

use crate::conformance::{Options, conforms, task};
use crate::terminals::terminals;
use tasuki_rt::Tasks;
use tasuki_runner::executor::shell::{Config, Shell};
use tasuki_runner::executor::{
    Collected, Command, Discard, Error, Executor as _, Exit, Sandbox, Shell as ShellOfScript, ShellKind, Stop, Task,
};
use tasuki_runner::process::Binary;

struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        Self { folder }
    }

    /// Where another user gets through, who does not to the temporary files of a job.
    fn of_all() -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").expect("a folder");
        std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("is ours");
        Self { folder }
    }

    fn builds(&self) -> PathBuf {
        self.folder.path().join("builds")
    }

    fn config(&self) -> Config {
        let mut config = Config::new(self.builds(), self.folder.path().join("cache"));
        config.binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
        config
    }

    fn executor(&self) -> Shell {
        Shell::new(self.config(), Tasks::new()).expect("is configured")
    }

    /// What is below the builds folder, but for the empty folder of records.
    fn leftovers(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut queue = vec![self.builds()];
        while let Some(folder) = queue.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                if entry.file_name() != ".tasuki" {
                    found.push(entry.path());
                }
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    queue.push(entry.path());
                }
            }
        }
        found
    }
}

async fn prepare(executor: &Shell, task: Task) -> Box<dyn Sandbox> {
    executor
        .prepare(task, Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox")
}

async fn output(place: &dyn Sandbox, script: &str) -> String {
    let output = Collected::default();
    let shell = ShellOfScript {
        kind: ShellKind::Sh,
        login: false,
    };
    let ended = place.run(Command::script(shell, script), &output).await.expect("runs");
    assert_eq!(ended.exit, Exit::Code(0), "{script}: {}", output.text());
    output.text()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms() {
    let place = Place::new();
    conforms(&place.executor(), &Options::HOST).await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_has_terminals() {
    let place = Place::new();
    terminals(&place.executor(), &Options::HOST).await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_conforms_as_another_user() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: only root can run jobs as another user");
        return;
    }
    let place = Place::of_all();
    let guest = place.folder.path().join("tasuki-guest");
    std::fs::copy(env!("CARGO_BIN_EXE_tasuki-guest"), &guest).expect("is copied");
    let config = Config {
        user: Some("nobody".to_owned()),
        binary: Binary::at(guest),
        ..place.config()
    };
    let executor = Shell::new(config, Tasks::new()).expect("is configured");
    conforms(&executor, &Options::HOST).await;
    terminals(&executor, &Options::HOST).await;
    let sandbox = prepare(&executor, task()).await;
    assert_eq!(
        output(
            &*sandbox,
            "id -un; cat /proc/self/status | grep -c '^CapEff:.*0000000000000000'"
        )
        .await,
        "nobody\n1\n"
    );
    sandbox.teardown().await.expect("is torn down");
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn folders_lie_where_gitlab_has_them() {
    let place = Place::new();
    let executor = place.executor();
    let check = async |slug: &str, suffix: Option<&str>, wanted: &str| {
        let task = Task {
            project_slug: slug.to_owned(),
            folder_suffix: suffix.map(str::to_owned),
            concurrent_project_id: 3,
            ..task()
        };
        let sandbox = prepare(&executor, task).await;
        let paths = sandbox.paths().clone();
        assert_eq!(paths.project, place.builds().join(wanted), "{slug}");
        assert_eq!(paths.temp, place.builds().join(format!("{wanted}.tmp")), "{slug}");
        assert!(paths.home.starts_with(&paths.temp) && paths.project.is_dir());
        sandbox.teardown().await.expect("is torn down");
    };
    check("group/project", None, "conform12/3/group/project").await;
    check("a/b/c", Some("-empty"), "conform12/3/a/b/c-empty").await;
    check("../../etc", None, "conform12/3/project-7").await;
    check("", None, "conform12/3/project-7").await;
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn a_job_names_its_own_folder() {
    let place = Place::new();
    let executor = place.executor();
    let named = |path: &str| Task {
        clone_path: Some(path.to_owned()),
        ..task()
    };
    let refused = async |path: &str, words: &str| {
        let error = executor
            .prepare(named(path), Stop::new(), Arc::new(Discard))
            .await
            .err()
            .expect("is refused");
        let text = format!("{error:?}");
        assert!(text.contains(words), "{path}: {text}");
    };
    let sandbox = prepare(&executor, named("$CI_BUILDS_DIR/go/src/tool")).await;
    assert_eq!(sandbox.paths().project, place.builds().join("go/src/tool"));
    assert_eq!(
        output(&*sandbox, "touch here && pwd -P | tail -c 12").await,
        "go/src/tool\n"
    );
    for used in [
        "$CI_BUILDS_DIR/go/src/tool",
        "$CI_BUILDS_DIR/go",
        "$CI_BUILDS_DIR/go/src/tool/below",
    ] {
        refused(used, "is in use").await;
    }
    sandbox.teardown().await.expect("is torn down");
    for outside in [
        "$CI_BUILDS_DIR",
        "$CI_BUILDS_DIR/../elsewhere",
        "$CI_BUILDS_DIR/a/../../b",
        "$CI_BUILDS_DIR/.tasuki",
        "/etc",
        "relative",
    ] {
        refused(outside, "is no folder below").await;
    }
    // What somebody else keeps beside the builds is neither used nor removed.
    let precious = place.builds().join("kept/by/hand");
    std::fs::create_dir_all(&precious).unwrap();
    for theirs in ["$CI_BUILDS_DIR/kept", "$CI_BUILDS_DIR/kept/by/hand"] {
        refused(theirs, "was not made by this runner").await;
    }
    assert!(precious.is_dir());
    std::fs::remove_dir_all(place.builds().join("kept")).unwrap();
    assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
}

#[tokio::test]
async fn two_tasks_never_share_a_folder() {
    let place = Place::new();
    let executor = place.executor();
    let same = task();
    let first = prepare(&executor, same.clone()).await;
    // The first falls back to a name of its own, the second has nothing left.
    let second = prepare(&executor, same.clone()).await;
    assert_ne!(first.paths().project, second.paths().project);
    let error = executor
        .prepare(same.clone(), Stop::new(), Arc::new(Discard))
        .await
        .err()
        .expect("is refused");
    assert!(matches!(error, Error::System { .. }), "{error:?}");
    for one in [first, second] {
        one.teardown().await.expect("is torn down");
    }
}

#[tokio::test]
async fn a_project_inside_another_ones_folder_lies_elsewhere() {
    let place = Place::new();
    let executor = place.executor();
    let outer = task();
    let inner = Task {
        project_slug: "group/project/inner".to_owned(),
        ..outer.clone()
    };
    let (outer, inner) = (prepare(&executor, outer).await, prepare(&executor, inner).await);
    assert!(inner.paths().project.ends_with("project-7"), "{:?}", inner.paths());
    outer.teardown().await.expect("is torn down");
    assert_eq!(output(&*inner, "echo untouched").await, "untouched\n");
    inner.teardown().await.expect("is torn down");
}

#[tokio::test]
async fn another_runner_process_with_the_same_folder_is_noticed() {
    let place = Place::new();
    let (ours, theirs) = (place.executor(), place.executor());
    let same = task();
    let first = prepare(&ours, same.clone()).await;
    let error = theirs
        .prepare(same, Stop::new(), Arc::new(Discard))
        .await
        .err()
        .expect("is refused");
    assert!(matches!(error, Error::System { .. }), "{error:?}");
    assert_eq!(
        theirs.sweep().await.expect("sweeps").sandboxes,
        0,
        "a living sandbox is left alone"
    );
    assert_eq!(output(&*first, "echo alive").await, "alive\n");
    first.teardown().await.expect("is torn down");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sweep_removes_what_a_crash_left() {
    let place = Place::new();
    let executor = place.executor();
    let sandbox = prepare(&executor, task()).await;
    let project = sandbox.paths().project.clone();
    // A process that cut itself loose, as after a crash of runner and supervisor.
    let pid = output(
        &*sandbox,
        "echo left > file; setsid sh -c 'echo $$; exec sleep 1000 >/dev/null 2>&1' & sleep 0.2",
    )
    .await;
    // Dropping without teardown is what a crash looks like from here: the lock goes, the record stays.
    drop(sandbox);
    drop(executor);
    assert!(project.join("file").exists());
    std::fs::write(place.builds().join("precious"), "not ours").expect("is written");
    let next = place.executor();
    let swept = next.sweep().await.expect("sweeps");
    assert_eq!(swept.sandboxes, 1);
    assert!(!project.exists());
    crate::conformance::gone(&pid, std::time::Duration::ZERO).await;
    assert_eq!(next.sweep().await.expect("sweeps again").sandboxes, 0);
    assert_eq!(place.leftovers(), [place.builds().join("precious")]);
}

#[tokio::test]
async fn a_record_that_lies_removes_nothing() {
    let place = Place::new();
    let victim = place.folder.path().join("victim");
    std::fs::create_dir_all(victim.join("x")).expect("folders");
    let records = place.builds().join(".tasuki");
    std::fs::create_dir_all(&records).expect("folders");
    for (name, project) in [
        ("a", victim.clone()),
        ("b", place.builds().join("t/0/../../../victim")),
        ("c", place.builds()),
    ] {
        let mut temp = project.clone().into_os_string();
        temp.push(".tmp");
        let text = serde_json::json!({"project": project, "temp": PathBuf::from(temp), "cgroup": null}).to_string();
        std::fs::write(records.join(format!("{name}.json")), text).expect("is written");
    }
    std::fs::write(records.join("d.json"), "not json").expect("is written");
    assert_eq!(place.executor().sweep().await.expect("sweeps").sandboxes, 0);
    assert!(victim.join("x").exists() && place.builds().exists());
}

#[tokio::test]
async fn a_failed_prepare_leaves_nothing() {
    let place = Place::new();
    // A file where the caches' folder is to be.
    std::fs::write(place.folder.path().join("cache"), "").expect("is written");
    let executor = place.executor();
    for _ in 0..2 {
        let error = executor
            .prepare(task(), Stop::new(), Arc::new(Discard))
            .await
            .err()
            .expect("cannot be made");
        assert!(error.is_transient() && error.to_string().contains("cache"), "{error}");
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
        assert_eq!(
            std::fs::read_dir(place.builds().join(".tasuki"))
                .expect("is there")
                .count(),
            0
        );
    }
}

#[tokio::test]
async fn wrong_settings_are_named() {
    let place = Place::new();
    let check = |config: Config, wanted: &str| {
        let error = Shell::new(config, Tasks::new()).expect_err("is wrong");
        assert!(
            matches!(&error, Error::Configuration { .. }) && error.to_string().contains(wanted),
            "{error}"
        );
    };
    check(
        Config {
            builds_dir: PathBuf::from("builds"),
            ..place.config()
        },
        "builds_dir",
    );
    check(
        Config {
            cache_dir: PathBuf::from("cache"),
            ..place.config()
        },
        "cache_dir",
    );
    check(
        Config {
            user: Some("no-such-user".to_owned()),
            ..place.config()
        },
        "no-such-user",
    );
}

/// The victim of the next test: this very test binary, started again with a folder in its environment.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "is run, and killed, by a_runner_killed_in_mid_job_leaves_nothing"]
async fn victim() {
    #[expect(clippy::disallowed_methods, reason = "how the test tells its victim where")]
    let folder = std::env::var("TASUKI_TEST_FOLDER").expect("is started by a test");
    let mut config = Config::new(format!("{folder}/builds"), format!("{folder}/cache"));
    config.binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
    let executor = Shell::new(config, Tasks::new()).expect("is configured");
    let sandbox = prepare(&executor, task()).await;
    let pids = format!("{folder}/pids");
    let script = format!(
        "echo $$ > {pids}.new; (sleep 1000 & echo $! >> {pids}.new); \
         setsid env -i sh -c 'echo $$ >> {pids}.new; exec sleep 1000' & sleep 0.1; mv {pids}.new {pids}; sleep 1000"
    );
    output(&*sandbox, &script).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_runner_killed_in_mid_job_leaves_nothing() {
    let patience = std::time::Duration::from_secs(20);
    for _ in 0..5 {
        let place = Place::new();
        #[expect(clippy::disallowed_methods, reason = "the test's own victim")]
        let mut victim = std::process::Command::new(std::env::current_exe().expect("is known"))
            .args(["--exact", "shell::victim", "--ignored"])
            .env("TASUKI_TEST_FOLDER", place.folder.path())
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .expect("starts");
        let pids = place.folder.path().join("pids");
        let started = std::time::Instant::now();
        while !pids.exists() {
            assert!(started.elapsed() < patience, "the victim does not get going");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        victim.kill().expect("is killed");
        victim.wait().expect("is dead");
        let pids = std::fs::read_to_string(pids).expect("is there");
        assert_eq!(pids.lines().count(), 3);
        // Processes go by themselves, since their supervisor hears the silence; folders with the next start.
        crate::conformance::gone(&pids, patience).await;
        assert!(!place.leftovers().is_empty());
        assert_eq!(place.executor().sweep().await.expect("sweeps").sandboxes, 1);
        assert_eq!(place.leftovers(), Vec::<PathBuf>::new());
    }
}
