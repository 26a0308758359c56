//! A server on this machine that pods reach, without a runner of its own.

use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Stdio};

use tasuki_runner::config::RunnerConfig;
use tasuki_runner::executor::kubernetes::{Settings, address_for_pods};

use super::cluster::said;
use super::world::World;

/// It ends with this.
pub(crate) struct Serving {
    pub(crate) url: String,
    server: Child,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.server.kill());
        drop(self.server.wait());
    }
}

impl Serving {
    pub(crate) fn start(world: &World) -> Self {
        let port = TcpListener::bind("0.0.0.0:0").unwrap().local_addr().unwrap().port();
        let url = format!("http://{}:{port}", address());
        let listen = format!("0.0.0.0:{port}");
        let words = ["up", "--listen", &listen, "--external-url", &url, "--slots", "0"];
        let server = ready(world, &words, "up.log");
        Self { url, server }
    }

    /// Adds a repository as `group/app`, and a runner; gives the runner's token.
    pub(crate) fn project(&self, world: &World, repository: &Path) -> String {
        let here = world.folder.path();
        let repository = repository.display().to_string();
        world
            .run(here, &["project", "add", &repository, "--name", "group/app"])
            .expect(0);
        let token = world.run(here, &["runner", "create", "builder"]).expect(0).out;
        token.trim().to_owned()
    }
}

/// Starts a server and waits until it says that it is ready.
fn ready(world: &World, words: &[&str], log: &str) -> Child {
    let log = std::fs::File::create(world.path(log)).unwrap();
    let mut command = world.tasuki(world.folder.path(), words);
    let mut server = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let lines = BufReader::new(server.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("ready ")));
    server
}

/// Where pods find this machine.
pub(crate) fn address() -> IpAddr {
    let runner = RunnerConfig::default();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    tasuki_proto::tls::install();
    runtime
        .block_on(address_for_pods(&Settings::new(&runner).unwrap()))
        .unwrap()
}

/// A runner of this machine with this `config.toml`. It is asked to end, and waited for, with [`Runner::end`].
pub(crate) struct Runner(Child);

impl Drop for Runner {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

impl Runner {
    /// Its log is `runner.log`.
    pub(crate) fn start(world: &World, config: &str) -> Self {
        let (file, folder) = (world.path("config.toml"), world.path("runner"));
        std::fs::write(&file, config).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        let log = std::fs::File::create(world.path("runner.log")).unwrap();
        let (file, folder) = (file.display().to_string(), folder.display().to_string());
        let words = ["runner", "run", "--config", &file, "--working-directory", &folder];
        let mut command = world.tasuki(world.folder.path(), &words);
        command.env("KUBECONFIG", super::cluster::kubeconfig()).stderr(log);
        Self(command.spawn().unwrap())
    }

    pub(crate) fn end(mut self) {
        said(super::cluster::program("kill").args(["-QUIT", &self.0.id().to_string()]));
        assert!(self.0.wait().unwrap().success());
    }
}
