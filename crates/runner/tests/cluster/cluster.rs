//! The cluster of these tests, and images on its nodes.

use std::process::Command;
use std::sync::{Arc, OnceLock};

use tasuki_rt::Tasks;
use tasuki_runner::config::RunnerConfig;
use tasuki_runner::executor::kubernetes::{Kubernetes, Settings};
use tasuki_runner::executor::{
    Collected, Command as Work, Ended, Executor as _, Result, Sandbox, Shell, ShellKind, Stop, Task, helper_image,
};
use tasuki_runner::process::Binary;

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::vars().find_map(|(key, value)| (key == name).then_some(value))
}

/// The image of most tests: BusyBox and nothing else.
pub(crate) fn busybox() -> String {
    variable("TASUKI_TEST_KUBERNETES_IMAGE").unwrap_or_else(|| "registry.test/busybox:1".to_owned())
}

/// The helper image of this build, put on the cluster's nodes once.
pub(crate) fn helper() -> String {
    static MADE: OnceLock<String> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        assert!(
            variable("KUBECONFIG").is_some(),
            "KUBECONFIG names the cluster; run `cargo xtask test kubernetes`"
        );
        if let Some(name) = variable("TASUKI_TEST_KUBERNETES_HELPER") {
            return name;
        }
        let program = std::path::Path::new(env!("CARGO_BIN_EXE_tasuki-guest"));
        let changed = std::fs::metadata(program)
            .and_then(|about| about.modified())
            .expect("is there");
        let version = changed
            .duration_since(std::time::UNIX_EPOCH)
            .expect("is after")
            .as_nanos();
        let name = format!("tasuki.test/helper:{version}");
        load(&helper_archive(&name, None));
        name
    });
    made.clone()
}

/// The archive of such an image.
pub(crate) fn helper_archive(name: &str, user: Option<helper_image::User>) -> Vec<u8> {
    let program = std::path::Path::new(env!("CARGO_BIN_EXE_tasuki-guest"));
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    helper_image::archive(program, path, name, user).expect("is made")
}

/// Puts an image on the cluster's nodes.
pub(crate) fn load(archive: &[u8]) {
    let load = variable("TASUKI_TEST_KUBERNETES_LOAD")
        .expect("TASUKI_TEST_KUBERNETES_LOAD is what puts an image's archive on the nodes");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("image.tar");
    std::fs::write(&file, archive).expect("is written");
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let output = Command::new("sh")
        .args(["-c", &format!("{load} {}", file.display())])
        .output()
        .expect("is started");
    assert!(
        output.status.success(),
        "{load}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// An executor, and the folder of its records.
pub(crate) struct Place {
    pub(crate) kubernetes: Kubernetes,
    pub(crate) tasks: Tasks,
    pub(crate) folder: Arc<tempfile::TempDir>,
    /// A word in the names of what its jobs have in the cluster, where other tests work at the same time.
    pub(crate) mark: String,
}

/// Settings whose `[runners.kubernetes]` is this text, over images that are on the nodes.
pub(crate) fn settings(config: &str) -> Settings {
    let mut runner: RunnerConfig = toml::from_str(&format!(
        "name = \"test\"\nurl = \"http://127.0.0.1\"\ntoken = \"t\"\nexecutor = \"kubernetes\"\n[kubernetes]\n{config}"
    ))
    .expect("is a configuration");
    let section = runner.kubernetes.as_mut().expect("has the section");
    if section.image.is_empty() {
        section.image = busybox();
    }
    if section.helper_image.is_empty() {
        section.helper_image = helper();
    }
    if section.pull_policy.list().is_empty() {
        section.pull_policy = tasuki_runner::config::OneOrMany::One("if-not-present".to_owned());
    }
    Settings::new(&runner).expect("is right")
}

pub(crate) fn place(config: &str) -> Place {
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let tasks = Tasks::new();
    let binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
    let kubernetes = Kubernetes::new(settings(config), folder.path(), &binary, tasks.clone()).expect("is configured");
    Place {
        kubernetes,
        tasks,
        folder,
        mark: unique("t"),
    }
}

impl Place {
    /// A job of this place: what it has is found by [`Place::found`].
    pub(crate) fn own(&self, task: Task) -> Task {
        Task {
            runner_short_token: self.mark.clone(),
            ..task
        }
    }

    /// What the cluster has of this place's jobs.
    pub(crate) async fn found(&self) -> Vec<String> {
        let base = format!("/runner-{}-project", self.mark);
        let mut found = self.kubernetes.audit().await.expect("is counted");
        found.retain(|one| one.contains(&base));
        found
    }

    /// Makes a sandbox; with what was printed.
    pub(crate) async fn prepare(&self, task: Task) -> (Result<Box<dyn Sandbox>>, String) {
        let output = Arc::new(Collected::default());
        let made = self
            .kubernetes
            .prepare(self.own(task), Stop::new(), output.clone())
            .await;
        (made, output.text())
    }

    pub(crate) async fn sandbox(&self, task: Task) -> Box<dyn Sandbox> {
        let (made, printed) = self.prepare(task).await;
        made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)))
    }

    /// Nothing in the background goes on.
    pub(crate) async fn ends(self) {
        assert!(self.tasks.close_and_wait(std::time::Duration::from_secs(60)).await);
    }
}

/// A script for the shell that is found.
pub(crate) fn script(text: &str) -> Work {
    let shell = Shell {
        kind: ShellKind::Detect,
        login: false,
    };
    Work::script(shell, text)
}

pub(crate) async fn run_in(sandbox: &dyn Sandbox, work: Work) -> (Ended, String) {
    let output = Collected::default();
    let ended = sandbox.run(work, &output).await;
    let ended = ended.unwrap_or_else(|error| panic!("{}: {}", chain(&error), output.text()));
    (ended, output.text())
}

/// An error with its causes.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(&format!(": {cause}"));
        next = cause.source();
    }
    text
}

/// A name that nothing else has.
pub(crate) fn unique(base: &str) -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{base}-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Waits until the cluster has nothing of the place's sandboxes: what goes with a pod is collected a moment after it.
pub(crate) async fn left(place: &Place) {
    let began = std::time::Instant::now();
    loop {
        let found = place.found().await;
        if found.is_empty() {
            return;
        }
        assert!(began.elapsed() < std::time::Duration::from_secs(120), "left: {found:?}");
        tokio::time::sleep(std::time::Duration::from_millis(200)).await;
    }
}

/// Memory of this process that no file backs, in bytes: the program itself is larger in a test than in a release.
pub(crate) fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("is there");
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.expect("is a number") << 10
}
