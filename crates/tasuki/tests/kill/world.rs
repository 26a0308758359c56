//! A server process, a runner process, a project, and the means to kill and to look.

use std::io::{BufRead as _, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::witness::Witness;

/// Repositories that are built at once.
const PROJECTS: usize = 3;

/// Seconds until a silent runner's jobs are given to another: the least that the server allows.
const LEASE_S: u32 = 4;

/// Set in every job's environment, so that a process that outlived its job can be found.
const MARK: &str = "TASUKI_KILL_TEST_MARK";

pub(crate) struct World {
    folder: tempfile::TempDir,
    address: String,
    token: String,
    server: Option<Child>,
    runner: Option<Child>,
    projects: Vec<i64>,
    witness: Witness,
    http: reqwest::Client,
    runtime: tokio::runtime::Runtime,
}

impl Drop for World {
    fn drop(&mut self) {
        for mut child in self.server.take().into_iter().chain(self.runner.take()) {
            drop(child.kill());
            drop(child.wait());
        }
    }
}

impl World {
    pub(crate) fn start(lines: usize) -> Self {
        tasuki_proto::tls::install();
        let folder = tempfile::tempdir().expect("a temporary folder");
        // A fixed port: the server comes back under the address that the runner knows.
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        let mut world = Self {
            address: format!("127.0.0.1:{port}"),
            token: String::new(),
            server: None,
            runner: None,
            projects: Vec::new(),
            witness: Witness(folder.path().join("witness")),
            // No connection is kept: it would be one to a server that is dead by then.
            http: reqwest::Client::builder()
                .pool_max_idle_per_host(0)
                .build()
                .expect("a client"),
            runtime,
            folder,
        };
        std::fs::create_dir(world.path("tmp")).expect("a folder");
        let config = format!(
            "listen = \"{}\"\ndata_dir = \"{}\"\nlease_s = {LEASE_S}\n",
            world.address,
            world.path("data").display(),
        );
        std::fs::write(world.path("server.toml"), config).expect("the server's config");
        world.start_server();
        world.token = std::fs::read_to_string(world.path("data/admin.token"))
            .expect("an admin token")
            .trim()
            .to_owned();
        for number in 0..PROJECTS {
            let repository = world.repository(number, lines);
            let path = format!("kill/test-{number}");
            let project = world.call("POST", "/projects", &json!({"location": repository, "path": path}));
            world.projects.push(project["id"].as_i64().expect("the project's id"));
        }
        let runner = world.call("POST", "/runners", &json!({"name": "kill"}));
        let config = format!(
            "concurrent = 4\n[[runners]]\n  name = \"kill\"\n  url = \"http://{}\"\n  token = \"{}\"\n  executor = \"shell\"\n  request_concurrency = 2\n  builds_dir = \"{}\"\n",
            world.address,
            runner["token"].as_str().expect("the runner's token"),
            world.path("builds").display(),
        );
        std::fs::write(world.path("runner.toml"), config).expect("the runner's config");
        world.start_runner();
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn repository(&self, number: usize, lines: usize) -> PathBuf {
        let folder = self.path(&format!("repository-{number}"));
        std::fs::create_dir_all(&folder).expect("a folder");
        let witness = self.witness.0.display();
        let script = |pause: &str| {
            format!(
                "  script:\n    - echo \"started $CI_JOB_ID\" >> {witness}\n\
                 \x20   - for i in $(seq {lines}); do echo \"kilometre=$i\"; {pause} done\n\
                 \x20   - echo \"ended $CI_JOB_ID\" >> {witness}\n"
            )
        };
        let config = format!(
            "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\nvariables: {{{MARK}: \"1\"}}\n\
             run:\n  parallel: 2\n{}after:\n  needs: [run]\n{}",
            script("sleep 0.004;"),
            script(""),
        );
        std::fs::write(folder.join(".gitlab-ci.yml"), config).expect("a file");
        for arguments in [
            &["init", "-q", "-b", "main"][..],
            &["add", "-A"],
            &["commit", "-q", "-m", "kill"],
        ] {
            let author = ["-c", "user.name=kill", "-c", "user.email=kill@localhost"];
            let status = program("git")
                .args(author)
                .args(arguments)
                .current_dir(&folder)
                .status()
                .expect("git");
            assert!(status.success());
        }
        folder
    }

    fn start_server(&mut self) {
        let mut child = self
            .tasuki(&["server", "--config"], "server.log")
            .arg(self.path("server.toml"))
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let out = BufReader::new(child.stdout.take().expect("standard output"));
        let ready = out.lines().map_while(Result::ok).any(|line| line.starts_with("ready "));
        assert!(ready, "the server did not start: {}", self.read("server.log"));
        self.server = Some(child);
    }

    fn start_runner(&mut self) {
        let config = self.path("runner.toml");
        let mut command = self.tasuki(&["runner", "run", "--config"], "runner.log");
        self.runner = Some(
            command
                .arg(config)
                .stdout(Stdio::null())
                .spawn()
                .expect("the runner starts"),
        );
    }

    fn tasuki(&self, arguments: &[&str], log: &str) -> Command {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.path(log))
            .expect("a log file");
        let mut command = program(env!("CARGO_BIN_EXE_tasuki"));
        command.args(arguments).env("TMPDIR", self.path("tmp")).stderr(log);
        command
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_default()
    }

    pub(crate) fn kill_server(&mut self) {
        kill(self.server.take());
    }

    pub(crate) fn kill_runner(&mut self) {
        kill(self.runner.take());
    }

    pub(crate) fn start_what_is_dead(&mut self) {
        if self.server.is_none() {
            self.start_server();
        }
        if self.runner.is_none() {
            self.start_runner();
        }
    }

    pub(crate) fn witness(&self) -> &Witness {
        &self.witness
    }

    /// One of each project.
    pub(crate) fn start_pipelines(&mut self) -> Vec<i64> {
        let start = |project| {
            let pipeline = self.call("POST", &format!("/projects/{project}/pipelines"), &json!({}));
            pipeline["id"].as_i64().expect("the pipeline's id")
        };
        self.projects.iter().map(start).collect()
    }

    pub(crate) fn wait_until_a_job_runs(&self, pipelines: &[i64]) {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            for pipeline in pipelines {
                let detail = self.call("GET", &format!("/pipelines/{pipeline}"), &Value::Null);
                if detail["counts"]["running"].as_u64().is_some_and(|running| running > 0) {
                    return;
                }
            }
            assert!(
                Instant::now() < deadline,
                "no job of {pipelines:?} ran within a minute\n{}",
                self.read("runner.log")
            );
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The jobs of the pipeline once it is green.
    pub(crate) fn wait_until_finished(&self, pipeline: i64, patience: Duration, context: &str) -> Vec<Value> {
        let deadline = Instant::now() + patience;
        loop {
            let detail = self.call("GET", &format!("/pipelines/{pipeline}"), &Value::Null);
            match detail["status"].as_str().unwrap_or_default() {
                "success" => return detail["workflows"][0]["jobs"].as_array().cloned().unwrap_or_default(),
                "failed" | "error" | "canceled" | "skipped" => {
                    panic!(
                        "{context}: pipeline {pipeline} is not green: {detail:#}\n{}",
                        self.logs()
                    )
                }
                _ => {}
            }
            assert!(
                Instant::now() < deadline,
                "{context}: pipeline {pipeline} did not end within {patience:?}: {detail:#}\n{}",
                self.logs(),
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn logs(&self) -> String {
        format!(
            "server: {}\nrunner: {}",
            self.read("server.log"),
            self.read("runner.log")
        )
    }

    /// A job with its tasks.
    pub(crate) fn job(&self, id: &Value) -> Value {
        self.call("GET", &format!("/jobs/{id}"), &Value::Null)
    }

    pub(crate) fn log(&self, task: &Value) -> String {
        let url = format!("http://{}/api/v1/tasks/{task}/log", self.address);
        let request = self.http.get(url).bearer_auth(&self.token);
        self.runtime
            .block_on(async { request.send().await?.error_for_status()?.text().await })
            .expect("the log")
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let url = format!("http://{}/api/v1{path}", self.address);
        let method = method.parse().expect("a method");
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
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error} in {text}"))
    }

    /// No process with a job's mark, no file of a build, no temporary file.
    pub(crate) fn assert_nothing_is_left(&self, context: &str) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let processes = marked_processes();
            let mut files = files_below(&self.path("builds"));
            files.extend(files_below(&self.path("tmp")));
            if processes.is_empty() && files.is_empty() {
                return;
            }
            assert!(
                Instant::now() < deadline,
                "{context}: left behind: processes {processes:?}, files {files:?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

fn kill(child: Option<Child>) {
    if let Some(mut child) = child {
        // `Child::kill` is SIGKILL.
        child.kill().expect("it can be killed");
        child.wait().expect("it ends");
    }
}

fn marked_processes() -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc").flatten() {
        let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
        if environment
            .split(|byte| *byte == 0)
            .any(|variable| variable.starts_with(MARK.as_bytes()))
        {
            let command = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
            found.push(format!(
                "{}: {}",
                entry.file_name().display(),
                String::from_utf8_lossy(&command)
            ));
        }
    }
    found
}

/// Files below a folder: empty parents may stay, what a job had may not.
fn files_below(root: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files
}

#[expect(clippy::disallowed_methods, reason = "the test is about processes")]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}
