//! A server of ours, a runner that is not, a project, and the means to look.

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// Longest wait for anything: a silent job learns of a cancel after 30 s, and the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(150);

pub(crate) struct World {
    folder: tempfile::TempDir,
    stock: PathBuf,
    address: String,
    token: String,
    server: Option<Child>,
    runner: Option<Child>,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(runner) = &mut self.runner {
            // Asked to stop, it stops its jobs too.
            let _ = kill(runner, rustix::process::Signal::TERM);
            let deadline = Instant::now() + Duration::from_secs(20);
            while Instant::now() < deadline && matches!(runner.try_wait(), Ok(None)) {
                std::thread::sleep(Duration::from_millis(50));
            }
        }
        for mut child in self.runner.take().into_iter().chain(self.server.take()) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl World {
    /// A server without a runner of its own.
    pub(crate) fn start() -> Self {
        tasuki_proto::tls::install();
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A fixed port: the server comes back under the address that the runner knows.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let mut world = Self {
            stock: stock(),
            address: format!("127.0.0.1:{port}"),
            token: String::new(),
            server: None,
            runner: None,
            // No connection is kept: it would be one to a server that is dead by then.
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .build()
                .expect("a client"),
            runtime: tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .expect("a runtime"),
            folder,
        };
        world.start_server();
        let token = std::fs::read_to_string(world.path("data/admin.token")).expect("an admin token");
        token.trim().clone_into(&mut world.token);
        std::fs::write(world.path("config.toml"), "concurrent = 8\ncheck_interval = 1\n").expect("a file");
        world
    }

    /// The same with a stock runner that takes everything.
    pub(crate) fn with_runner() -> Self {
        let mut world = Self::start();
        let made = world.call("POST", "/runners", &json!({"name": "stock", "run_untagged": true}));
        let token = made["token"].as_str().expect("the runner's token").to_owned();
        world.register("stock", &["--token", &token]);
        world.start_runner();
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    fn start_server(&mut self) {
        let mut child = program(env!("CARGO_BIN_EXE_tasuki"))
            .args(["up", "--slots", "0", "--listen", &self.address, "--data"])
            .arg(self.path("data"))
            .stderr(self.log("server.log"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let out = BufReader::new(child.stdout.take().expect("standard output"));
        let ready = out.lines().map_while(Result::ok).any(|line| line.starts_with("ready "));
        assert!(ready, "the server did not start: {}", self.read("server.log"));
        self.server = Some(child);
    }

    /// Kills the server with SIGKILL and starts it again on the same data.
    pub(crate) fn kill_and_restart_server(&mut self) {
        let mut server = self.server.take().expect("a server");
        server.kill().expect("it can be killed");
        server.wait().expect("it ends");
        self.start_server();
    }

    fn start_runner(&mut self) {
        let child = self
            .stock_command(&["run", "--working-directory", &self.text("")])
            .stderr(self.log("runner.log"))
            .stdout(self.log("runner.log"))
            .spawn()
            .expect("the runner starts");
        self.runner = Some(child);
    }

    fn log(&self, name: &str) -> std::fs::File {
        let mut options = std::fs::File::options();
        options
            .create(true)
            .append(true)
            .open(self.path(name))
            .expect("a log file")
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// A command of the stock runner, with this world's configuration file.
    fn stock_command(&self, arguments: &[&str]) -> Command {
        let mut command = program(&self.stock);
        command
            .args(arguments)
            .arg("--config")
            .arg(self.path("config.toml"))
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.folder.path());
        command
    }

    /// Runs a command of the stock runner; gives how it ended and what it printed.
    pub(crate) fn stock(&self, arguments: &[&str]) -> (bool, String) {
        let output = self.stock_command(arguments).output().expect("the stock runner starts");
        let Output { status, stdout, stderr } = output;
        let mut text = String::from_utf8_lossy(&stdout).into_owned();
        write!(text, "{}", String::from_utf8_lossy(&stderr)).expect("a text grows");
        (status.success(), text)
    }

    /// Registers a stock runner with the shell executor.
    pub(crate) fn register(&self, name: &str, more: &[&str]) {
        let (url, builds, cache) = (self.url(), self.text("builds"), self.text("cache"));
        let mut arguments = vec!["register", "--non-interactive", "--url", &url, "--name", name];
        arguments.extend(["--executor", "shell", "--shell", "bash"]);
        arguments.extend(["--builds-dir", &builds, "--cache-dir", &cache]);
        arguments.extend(more);
        let (done, text) = self.stock(&arguments);
        assert!(done, "register {name}: {text}");
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A project with this configuration; its id. Pipelines start only when they are asked for.
    pub(crate) fn project(&self, name: &str, config: &str) -> i64 {
        let folder = self.path(name);
        std::fs::create_dir_all(&folder).expect("a folder");
        let only_api = "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\n";
        std::fs::write(folder.join(".gitlab-ci.yml"), format!("{only_api}{config}")).expect("a file");
        std::fs::write(folder.join("lock"), "1\n").expect("a file");
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &["commit", "-q", "-m", "stock"],
        ] {
            let author = ["-c", "user.name=stock", "-c", "user.email=stock@localhost"];
            let status = program("git")
                .args(author)
                .args(arguments)
                .current_dir(&folder)
                .status()
                .expect("git");
            assert!(status.success());
        }
        let path = format!("stock/{name}");
        let project = self.call("POST", "/projects", &json!({"location": folder, "path": path}));
        project["id"].as_i64().expect("the project's id")
    }

    /// Starts a pipeline; its id.
    pub(crate) fn run(&self, project: i64) -> i64 {
        let pipeline = self.call("POST", &format!("/projects/{project}/pipelines"), &json!({}));
        pipeline["id"].as_i64().expect("the pipeline's id")
    }

    /// The status of a pipeline that has ended.
    pub(crate) fn end_of(&self, pipeline: i64) -> String {
        let shown = self.wait(
            &format!("/pipelines/{pipeline}"),
            &["success", "failed", "canceled", "skipped"],
        );
        shown["status"].as_str().unwrap_or_default().to_owned()
    }

    /// The job of that name, with its tasks, once it is in one of these states.
    pub(crate) fn job(&self, pipeline: i64, name: &str, states: &[&str]) -> Value {
        let jobs = self.call("GET", &format!("/pipelines/{pipeline}/jobs"), &Value::Null);
        let jobs = jobs["items"].as_array().expect("jobs");
        let job = jobs.iter().find(|job| job["name"] == name);
        let id = &job.unwrap_or_else(|| panic!("no job {name} in {jobs:?}"))["id"];
        self.wait(&format!("/jobs/{id}"), states)
    }

    fn wait(&self, path: &str, states: &[&str]) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let shown = self.call("GET", path, &Value::Null);
            if states.contains(&shown["status"].as_str().unwrap_or_default()) {
                return shown;
            }
            assert!(
                Instant::now() < deadline,
                "{path} is not {states:?} within {PATIENCE:?}: {shown:#}\nserver: {}\nrunner: {}",
                self.read("server.log"),
                self.read("runner.log"),
            );
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// The log of a job's newest task.
    pub(crate) fn log_of(&self, job: &Value) -> String {
        let task = job["tasks"].as_array().and_then(|tasks| tasks.last()).expect("a task");
        self.send("GET", &format!("/tasks/{}/log", task["id"]), &Value::Null)
    }

    /// A call of our own API by the administrator.
    pub(crate) fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let text = self.send(method, path, body);
        if text.is_empty() {
            return Value::Null;
        }
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error} in {text}"))
    }

    fn send(&self, method: &str, path: &str, body: &Value) -> String {
        let method = method.parse().expect("a method");
        let url = format!("{}/api/v1{path}", self.url());
        let mut request = self.http.request(method, url).bearer_auth(&self.token);
        if !body.is_null() {
            request = request.json(body);
        }
        let answer = self.runtime.block_on(async {
            let response = request.send().await?;
            let status = response.status();
            Ok::<_, reqwest::Error>((status, response.text().await?))
        });
        let (status, text) = answer.expect("the server answers");
        assert!(status.is_success(), "{path}: {status} {text}");
        text
    }
}

/// The stock runner that the environment names, or the one that is installed.
fn stock() -> PathBuf {
    let named = std::env::var_os("TASUKI_STOCK_RUNNER").map(PathBuf::from);
    let installed = || {
        let path = std::env::var_os("PATH")?;
        std::env::split_paths(&path)
            .map(|folder| folder.join("gitlab-runner"))
            .find(|program| program.is_file())
    };
    named
        .or_else(installed)
        .expect("TASUKI_STOCK_RUNNER names a gitlab-runner, or one is on PATH")
}

fn kill(child: &Child, signal: rustix::process::Signal) -> rustix::io::Result<()> {
    rustix::process::kill_process(rustix::process::Pid::from_child(child), signal)
}

#[expect(clippy::disallowed_methods, reason = "the test is about processes")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}
