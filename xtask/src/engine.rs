//! A container engine and a registry with a password for the tests, started and stopped by hand: no systemd is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, bail};

use crate::program;

/// How long the programs may take to answer.
const PATIENCE: u32 = 300;

/// What the tests are told.
pub(crate) const SOCKET: &str = "TASUKI_TEST_DOCKER";
pub(crate) const REGISTRY: &str = "TASUKI_TEST_REGISTRY";

/// Running programs in a folder of their own. Dropping it ends them and removes the folder.
pub(crate) struct Engine {
    folder: PathBuf,
    children: Vec<Child>,
    env: Vec<(String, String)>,
}

impl Engine {
    /// Starts containerd, dockerd and docker-registry, or takes what [`SOCKET`] names.
    ///
    /// # Errors
    /// One of them does not start: the message ends with what it said.
    pub(crate) fn start() -> anyhow::Result<Self> {
        let folder = PathBuf::from(format!("/var/tmp/tasuki-test-docker-{}", std::process::id()));
        let mut engine = Self {
            folder,
            children: Vec::new(),
            env: Vec::new(),
        };
        let given = |name: &str| std::env::vars().find(|(key, value)| key == name && !value.is_empty());
        if let (Some(socket), Some(registry)) = (given(SOCKET), given(REGISTRY)) {
            engine.env = vec![socket, registry];
            return Ok(engine);
        }
        fs::create_dir_all(&engine.folder)?;
        let path = |name: &str| engine.folder.join(name).to_string_lossy().into_owned();
        let (containerd, socket) = (path("containerd.sock"), format!("unix://{}", path("docker.sock")));
        let state = (path("containerd"), path("containerd-state"));
        let data = (path("data"), path("exec"), path("docker.pid"));
        let config = path("registry.yml");
        engine.registry(Path::new(&config))?;
        engine.background(
            "containerd",
            &["--root", &state.0, "--state", &state.1, "--address", &containerd],
        )?;
        engine.wait("containerd", || Path::new(&containerd).exists())?;
        let arguments = [
            "--host",
            &socket,
            "--containerd",
            &containerd,
            "--data-root",
            &data.0,
            "--exec-root",
            &data.1,
            "--pidfile",
            &data.2,
            "--exec-opt",
            "native.cgroupdriver=cgroupfs",
        ];
        engine.background("dockerd", &arguments)?;
        let answers = || program::output("docker", &["--host", &socket, "version"]).is_ok();
        engine.wait("dockerd", answers)?;
        engine
            .tries_a_container(&socket)
            .context("this machine's engine runs no containers")?;
        engine.background("docker-registry", &["serve", &config])?;
        engine.wait("docker-registry", || {
            std::net::TcpStream::connect("127.0.0.1:5055").is_ok()
        })?;
        engine.env = vec![
            (SOCKET.to_owned(), socket),
            (REGISTRY.to_owned(), "127.0.0.1:5055".to_owned()),
        ];
        Ok(engine)
    }

    /// An engine that answers may still be unable to start anything: in a machine that may not make namespaces.
    fn tries_a_container(&self, socket: &str) -> anyhow::Result<()> {
        let root = self.folder.join("trial");
        fs::create_dir_all(root.join("bin"))?;
        let busybox = ["/bin/busybox", "/usr/bin/busybox"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        fs::copy(busybox.context("there is no busybox")?, root.join("bin/busybox"))?;
        let (root, tar) = (root.to_string_lossy(), self.folder.join("trial.tar"));
        let (tar, image) = (tar.to_string_lossy(), "tasuki-test/trial:1");
        program::output("tar", &["-C", &root, "-cf", &tar, "."])?;
        program::output("docker", &["--host", socket, "import", &tar, image])?;
        let run = [
            "--host",
            socket,
            "run",
            "--rm",
            "--network",
            "none",
            image,
            "/bin/busybox",
            "true",
        ];
        program::output("docker", &run)?;
        program::output("docker", &["--host", socket, "image", "rm", image]).map(drop)
    }

    /// For the tests.
    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        self.env
            .iter()
            .map(|(key, value)| (key.as_str(), value.as_str()))
            .collect()
    }

    fn registry(&self, config: &Path) -> anyhow::Result<()> {
        let users = self.folder.join("htpasswd");
        let line = program::output("htpasswd", &["-Bbn", "builder", "secret"])?;
        fs::write(&users, line)?;
        let text = format!(
            "version: 0.1\nstorage: {{filesystem: {{rootdirectory: {}}}}}\nhttp: {{addr: 127.0.0.1:5055}}\n\
             auth: {{htpasswd: {{realm: test, path: {}}}}}\n",
            self.folder.join("registry").display(),
            users.display()
        );
        Ok(fs::write(config, text)?)
    }

    fn log(&self, program: &str) -> PathBuf {
        self.folder.join(program).with_extension("log")
    }

    fn background(&mut self, program: &str, args: &[&str]) -> anyhow::Result<()> {
        let log = fs::File::create(self.log(program))?;
        self.children.push(program::background(program, args, log)?);
        Ok(())
    }

    /// The engine leaves its namespace of networks mounted, and containers that would not end.
    fn unmount(&self) {
        let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
        let ours = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        let ours: Vec<&str> = ours.filter(|at| Path::new(at).starts_with(&self.folder)).collect();
        for at in ours.iter().rev() {
            if let Err(error) = program::output("umount", &["--lazy", at]) {
                crate::suites::say(&format!("{at} stays mounted: {error}"));
            }
        }
    }

    fn wait(&mut self, program: &str, ready: impl Fn() -> bool) -> anyhow::Result<()> {
        for _ in 0..PATIENCE {
            if ready() {
                return Ok(());
            }
            let child = self.children.last_mut().context("nothing was started")?;
            if child.try_wait()?.is_some() {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = fs::read_to_string(self.log(program)).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(5).collect();
        bail!("{program} does not start: {}", last.join(" | "));
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        while let Some(mut child) = self.children.pop() {
            program::terminate(&mut child);
        }
        self.unmount();
        if self.folder.exists()
            && let Err(error) = fs::remove_dir_all(&self.folder)
        {
            crate::suites::say(&format!("{} is left: {error}", self.folder.display()));
        }
    }
}
