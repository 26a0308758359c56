//! The engine of these tests, and images made on it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};

use tasuki_model::plan::{Image, PullPolicy};
use tasuki_rt::Tasks;
use tasuki_runner::config::{DockerConfig, OneOrMany};
use tasuki_runner::executor::docker::{Docker, GuestNetwork, Settings, Surroundings};
use tasuki_runner::executor::{
    Collected, Command as Work, Ended, Executor as _, Result, Sandbox, Shell, ShellKind, Stop, Task,
};
use tasuki_runner::process::Binary;

/// Address of the engine.
pub(crate) fn host() -> String {
    std::env::vars()
        .find_map(|(key, value)| (key == "TASUKI_TEST_DOCKER").then_some(value))
        .expect("TASUKI_TEST_DOCKER names the engine; run `cargo xtask test docker`")
}

/// The image of most tests: BusyBox and nothing else.
pub(crate) const BUSYBOX: &str = "tasuki-test/busybox:1";

/// Runs Docker's own command line, for what the tests do beside the executor.
pub(crate) fn docker(args: &[&str]) -> String {
    docker_at(&host(), args)
}

fn docker_at(host: &str, args: &[&str]) -> String {
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let output = Command::new("docker")
        .args(["--host", host])
        .args(args)
        .output()
        .expect("docker is there");
    assert!(
        output.status.success(),
        "docker {args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// Makes the images, once.
pub(crate) fn images() {
    static MADE: OnceLock<()> = OnceLock::new();
    MADE.get_or_init(|| {
        let folder = tempfile::tempdir().expect("a folder");
        let root = folder.path().join("root");
        busybox(&root);
        let tar = folder.path().join("root.tar");
        run("tar", &["-C", &text(&root), "-cf", &text(&tar), "."]);
        let import = |name: &str, changes: &[&str]| {
            let mut args = vec!["import"];
            for change in changes {
                args.extend(["--change", change]);
            }
            let tar = text(&tar);
            args.extend([tar.as_str(), name]);
            docker(&args);
        };
        import(BUSYBOX, &["ENV PATH=/bin", "ENV FROM_IMAGE=yes"]);
        import("tasuki-test/user:1", &["ENV PATH=/bin", "USER 1000:1000"]);
        import("tasuki-test/entry:1", &["ENV PATH=/bin", r#"ENTRYPOINT ["/entry"]"#]);
        import(
            "tasuki-test/detached-entry:1",
            &["ENV PATH=/bin", r#"ENTRYPOINT ["/detached"]"#],
        );
        import(
            "tasuki-test/noisy-entry:1",
            &["ENV PATH=/bin", r#"ENTRYPOINT ["/noisy"]"#],
        );
        import(
            "tasuki-test/su-entry:1",
            &["ENV PATH=/bin", r#"ENTRYPOINT ["/become"]"#],
        );
        import(
            "tasuki-test/shell-entry:1",
            &["ENV PATH=/bin", r#"ENTRYPOINT ["/bin/sh","-c"]"#],
        );
        import(
            "tasuki-test/broken:1",
            &["ENV PATH=/bin", r#"ENTRYPOINT ["/bin/false"]"#],
        );
        import(
            "tasuki-test/web:1",
            &[
                "ENV PATH=/bin",
                "EXPOSE 8080",
                r#"CMD ["httpd","-f","-v","-p","8080","-h","/www"]"#,
            ],
        );
        import(
            "tasuki-test/silent:1",
            &[
                "ENV PATH=/bin",
                "EXPOSE 9",
                r#"CMD ["sh","-c","echo I do not listen; sleep 1000"]"#,
            ],
        );
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).expect("a folder");
        run("tar", &["-C", &text(&empty), "-cf", &text(&tar), "."]);
        docker(&["import", &text(&tar), "tasuki-test/empty:1"]);
    });
}

/// Makes the image of most tests on another engine.
pub(crate) fn import_busybox(host: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let root = folder.path().join("root");
    busybox(&root);
    let tar = folder.path().join("root.tar");
    run("tar", &["-C", &text(&root), "-cf", &text(&tar), "."]);
    docker_at(host, &["import", "--change", "ENV PATH=/bin", &text(&tar), BUSYBOX]);
}

fn busybox(root: &Path) {
    for folder in ["bin", "tmp", "root", "etc", "home/user", "www"] {
        std::fs::create_dir_all(root.join(folder)).expect("a folder");
    }
    let binary = root.join("bin/busybox");
    std::fs::copy("/bin/busybox", &binary)
        .or_else(|_| std::fs::copy("/usr/bin/busybox", &binary))
        .expect("busybox-static");
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let applets = Command::new(&binary).arg("--list").output().expect("BusyBox runs");
    for applet in String::from_utf8_lossy(&applets.stdout)
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("a link");
    }
    let write = |path: &str, text: &str| std::fs::write(root.join(path), text).expect("is written");
    write(
        "etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home/user:/bin/sh\n",
    );
    write("etc/group", "root:x:0:\nuser:x:1000:\naudio:x:29:user\n");
    write(
        "entry",
        "#!/bin/sh\necho the entrypoint says hello\nexport FROM_ENTRYPOINT=\"a b\"\nexec \"$@\"\n",
    );
    write("detached", "#!/bin/sh\nexec \"$@\" < /dev/null\n");
    write(
        "noisy",
        "#!/bin/sh\n(while :; do echo noise on the output; echo noise >&2; usleep 500; done) &\nexec \"$@\"\n",
    );
    write(
        "become",
        "#!/bin/sh\nexec su -s /bin/sh user -c 'exec \"$@\"' -- sh \"$@\"\n",
    );
    write("www/index.html", "served\n");
    for program in ["entry", "detached", "noisy", "become"] {
        run("chmod", &["755", &text(&root.join(program))]);
    }
    run("chmod", &["1777", &text(&root.join("tmp"))]);
    run("chown", &["1000:1000", &text(&root.join("home/user"))]);
}

fn run(program: &str, args: &[&str]) {
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let status = Command::new(program).args(args).status().expect("is started");
    assert!(status.success(), "{program} {args:?}");
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// An executor, and the folder of its lock.
pub(crate) struct Place {
    pub(crate) docker: Docker,
    pub(crate) tasks: Tasks,
    _folder: Arc<tempfile::TempDir>,
}

/// Settings whose `[runners.docker]` is this text, over a default image that is never pulled.
pub(crate) fn settings(config: &str, state: PathBuf) -> Settings {
    let mut config: DockerConfig = toml::from_str(config).expect("is a configuration");
    config.host = host();
    if config.image.is_empty() {
        BUSYBOX.clone_into(&mut config.image);
    }
    if config.pull_policy.list().is_empty() {
        config.pull_policy = OneOrMany::One("if-not-present".to_owned());
    }
    Settings {
        config,
        builds_dir: "/builds".to_owned(),
        cache_dir: "/cache".to_owned(),
        system_id: "s_test".to_owned(),
        state_dir: state,
        binary: Binary::at(env!("CARGO_BIN_EXE_tasuki-guest")),
        guest_network: GuestNetwork::Job,
        surroundings: Surroundings {
            path: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            ..Surroundings::default()
        },
        feature_flags: std::collections::BTreeMap::new(),
    }
}

pub(crate) fn place(config: &str) -> Place {
    images();
    let folder = Arc::new(tempfile::tempdir().expect("a folder"));
    let tasks = Tasks::new();
    Place {
        docker: Docker::new(settings(config, folder.path().to_owned()), tasks.clone()).expect("is configured"),
        tasks,
        _folder: folder,
    }
}

/// The image of that name.
pub(crate) fn image(name: &str) -> Image {
    Image {
        name: name.to_owned(),
        pull_policy: vec![PullPolicy::IfNotPresent],
        ..Image::default()
    }
}

impl Place {
    /// Makes a sandbox; with what was printed.
    pub(crate) async fn prepare(&self, task: Task) -> (Result<Box<dyn Sandbox>>, String) {
        let output = Arc::new(Collected::default());
        let made = self.docker.prepare(task, Stop::new(), output.clone()).await;
        (made, output.text())
    }

    pub(crate) async fn sandbox(&self, task: Task) -> Box<dyn Sandbox> {
        let (made, printed) = self.prepare(task).await;
        made.unwrap_or_else(|error| panic!("{}: {printed}", chain(&error)))
    }

    /// Nothing that is labelled is left of this test's runner.
    pub(crate) async fn ends(self) {
        self.tasks.close_and_wait(std::time::Duration::from_secs(10)).await;
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
