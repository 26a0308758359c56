//! An engine of a test's own, which may be restarted, filled up and starved.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use tasuki_rt::Tasks;
use tasuki_runner::executor::docker::Docker;

use crate::engine::{import_busybox, settings};

/// How long an engine may take to come up on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct OwnEngine {
    folder: PathBuf,
    arguments: Vec<String>,
    running: Option<Child>,
}

/// Runs a program to its end.
pub(crate) fn run(program: &str, args: &[&str]) {
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let output = Command::new(program).args(args).output().expect("is started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?}: {said}");
}

impl OwnEngine {
    /// Starts one in a short folder of its own: addresses of sockets are short. It makes no rules for packets, for two engines
    /// would undo each other's, and shares the default bridge: an engine told to have none would remove the other's.
    pub(crate) fn start(name: &str, further: &[&str]) -> Self {
        let folder = PathBuf::from(format!("/var/tmp/tasuki-own-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let at = |name: &str| folder.join(name).to_string_lossy().into_owned();
        let host = format!("unix://{}", at("docker.sock"));
        let mut arguments: Vec<String> = [
            "--host",
            &host,
            "--data-root",
            &at("data"),
            "--exec-root",
            &at("exec"),
            "--pidfile",
            &at("docker.pid"),
            "--iptables=false",
            "--ip6tables=false",
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
        ]
        .map(str::to_owned)
        .to_vec();
        arguments.extend(further.iter().map(|&argument| argument.to_owned()));
        let mut engine = Self {
            folder,
            arguments,
            running: None,
        };
        engine.run();
        engine
    }

    /// Starts it again, with what it had.
    pub(crate) fn run(&mut self) {
        let log = File::create(self.at("dockerd.log")).expect("a log");
        #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
        let child = Command::new("dockerd")
            .args(&self.arguments)
            .stdout(log.try_clone().expect("a log"))
            .stderr(log)
            .spawn();
        self.running = Some(child.expect("dockerd is there"));
        let started = Instant::now();
        loop {
            #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
            let answers = Command::new("docker")
                .args(["--host", &self.host(), "version"])
                .output();
            if answers.is_ok_and(|output| output.status.success()) {
                return;
            }
            let ended = self
                .running
                .as_mut()
                .is_some_and(|child| !matches!(child.try_wait(), Ok(None)));
            let log = || std::fs::read_to_string(self.at("dockerd.log")).unwrap_or_default();
            assert!(
                !ended && started.elapsed() < PATIENCE,
                "dockerd does not come up: {}",
                log()
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Ends it as its machine would, with all containers.
    pub(crate) fn stop(&mut self) {
        if let Some(mut child) = self.running.take() {
            run("kill", &["-TERM", &child.id().to_string()]);
            let started = Instant::now();
            while matches!(child.try_wait(), Ok(None)) && started.elapsed() < PATIENCE {
                std::thread::sleep(Duration::from_millis(50));
            }
            drop(child.kill());
            drop(child.wait());
        }
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.at("docker.sock").display())
    }

    /// An executor on it whose image is BusyBox; `[runners.docker]` and the engine's address as given.
    pub(crate) fn executor(&self, host: &str, config: &str, state: &Path) -> Docker {
        let mut settings = settings(config, state.to_owned());
        host.clone_into(&mut settings.config.host);
        Docker::new(settings, Tasks::new()).expect("is configured")
    }

    pub(crate) fn with_busybox(self) -> Self {
        import_busybox(&self.host());
        self
    }
}

impl Drop for OwnEngine {
    fn drop(&mut self) {
        self.stop();
        let mounts = std::fs::read_to_string("/proc/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let mut ours: Vec<&str> = ours.filter(|at| Path::new(at).starts_with(&self.folder)).collect();
        ours.reverse();
        for at in ours {
            #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
            drop(Command::new("umount").args(["--lazy", at]).status());
        }
        drop(std::fs::remove_dir_all(&self.folder));
    }
}
