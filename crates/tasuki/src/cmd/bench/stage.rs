//! The system under test: a tasuki process of its own on throw-away data, and a project in it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use hyper::Method;
use tasuki_rt::{Clock, Tasks};

use super::Scene;
use super::wire::Wire;

/// A running server (and, with slots, a shell runner beside it); ended when dropped.
pub(super) struct Stage {
    pub(super) child: Child,
    pub(super) host: String,
    pub(super) token: String,
    /// From the start of the process to its `ready` line.
    pub(super) started_in: Duration,
    pub(super) tasks: Tasks,
    scratch: PathBuf,
}

impl Drop for Stage {
    fn drop(&mut self) {
        // A measurement's data is thrown away, so there is nothing that a gentle end would save.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl Stage {
    /// Starts `tasuki up` with that many job slots.
    pub(super) async fn start(scene: &Scene, slots: usize) -> anyhow::Result<Self> {
        let data = folder(scene)?;
        let mut command = tasuki()?;
        command
            .args(["up", "--listen", "127.0.0.1:0", "--slots", &slots.to_string(), "--data"])
            .arg(&data);
        Self::run(scene, &data, command)
    }

    /// Starts `tasuki server`, on the database that was named, or else on a file of its own.
    pub(super) async fn server(scene: &Scene) -> anyhow::Result<Self> {
        let Some(database) = &scene.database else {
            return Self::start(scene, 0).await;
        };
        let data = folder(scene)?;
        let mut config = toml::toml! {
            listen = "127.0.0.1:0"
            include_private_addresses = true
        };
        config.insert("data_dir".to_owned(), data.display().to_string().into());
        config.insert("database_url".to_owned(), database.clone().into());
        let file = data.join("server.toml");
        std::fs::write(&file, config.to_string())?;
        let mut command = tasuki()?;
        command.args(["server", "--config"]).arg(&file);
        Self::run(scene, &data, command)
    }

    fn run(scene: &Scene, data: &Path, mut command: Command) -> anyhow::Result<Self> {
        let start = Clock::instant();
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(std::fs::File::create(data.join("stderr.log"))?)
            .spawn()
            .context("cannot start tasuki")?;
        let host = first_ready_line(&mut child)
            .with_context(|| format!("tasuki did not start; see {}", data.join("stderr.log").display()))?;
        let started_in = start.elapsed();
        let token = std::fs::read_to_string(data.join("admin.token")).context("no admin token was written")?;
        Ok(Self {
            child,
            host,
            token: token.trim().to_owned(),
            started_in,
            tasks: Tasks::new(),
            scratch: scene.scratch.clone(),
        })
    }

    pub(super) async fn wire(&self) -> anyhow::Result<Wire> {
        Wire::connect(&self.tasks, &self.host).await
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Makes a repository whose pipeline is `config` and adds it; returns the project's id. Adding it starts no pipeline,
    /// because the configuration takes only those of the API.
    pub(super) async fn project(&self, wire: &mut Wire, name: &str, config: &str) -> anyhow::Result<i64> {
        let folder = repository(&self.scratch, name, config)?;
        let body = serde_json::json!({"location": folder, "path": format!("bench/{name}")});
        let project = wire
            .api(&self.token, Method::POST, "/api/v1/projects", Some(body))
            .await?;
        project["id"].as_i64().with_context(|| format!("no id in {project}"))
    }

    /// Starts a pipeline; returns its id.
    pub(super) async fn pipeline(&self, wire: &mut Wire, project: i64) -> anyhow::Result<i64> {
        let path = format!("/api/v1/projects/{project}/pipelines");
        let pipeline = wire
            .api(&self.token, Method::POST, &path, Some(serde_json::json!({})))
            .await?;
        pipeline["id"].as_i64().with_context(|| format!("no id in {pipeline}"))
    }

    /// A new runner's token.
    pub(super) async fn runner_token(&self, wire: &mut Wire) -> anyhow::Result<String> {
        let body = serde_json::json!({"name": "bench"});
        let runner = wire
            .api(&self.token, Method::POST, "/api/v1/runners", Some(body))
            .await?;
        runner["token"]
            .as_str()
            .map(str::to_owned)
            .context("no token for the runner")
    }

    /// Waits until the pipeline has ended and returns its jobs; any end but success is an error.
    pub(super) async fn finished(&self, wire: &mut Wire, pipeline: i64) -> anyhow::Result<Vec<serde_json::Value>> {
        let deadline = Clock::instant() + Duration::from_secs(300);
        let path = format!("/api/v1/pipelines/{pipeline}");
        loop {
            let detail = wire.api(&self.token, Method::GET, &path, None).await?;
            let status = detail["status"].as_str().unwrap_or_default();
            match status {
                "success" => {
                    let jobs = detail["workflows"][0]["jobs"].as_array().cloned().unwrap_or_default();
                    return Ok(jobs);
                }
                "failed" | "canceled" | "skipped" => bail!("the pipeline under test ended as {status}: {detail}"),
                _ if Instant::now() > deadline => bail!("the pipeline under test did not end within 300 s: {status}"),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
        }
    }

    /// The newest task of a job of a pipeline; the pipeline's list of jobs leaves their tasks out.
    pub(super) async fn task(&self, wire: &mut Wire, job: &serde_json::Value) -> anyhow::Result<Option<i64>> {
        let job = wire
            .api(&self.token, Method::GET, &format!("/api/v1/jobs/{}", job["id"]), None)
            .await?;
        Ok(job["tasks"]
            .as_array()
            .and_then(|tasks| tasks.last())
            .and_then(|task| task["id"].as_i64()))
    }

    /// The raw log of a job's only task.
    pub(super) async fn log(&self, wire: &mut Wire, job: &serde_json::Value) -> anyhow::Result<String> {
        let task = self.task(wire, job).await?.context("the job has no task")?;
        let authorization = format!("Bearer {}", self.token);
        let path = format!("/api/v1/tasks/{task}/log");
        let answer = wire
            .call(Method::GET, &path, &[("authorization", &authorization)], "")
            .await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }
}

/// An empty data folder.
fn folder(scene: &Scene) -> anyhow::Result<PathBuf> {
    Ok(tempfile::Builder::new()
        .prefix("data-")
        .tempdir_in(&scene.scratch)?
        .keep())
}

/// A git repository with one commit that holds `config`.
pub(super) fn repository(scratch: &Path, name: &str, config: &str) -> anyhow::Result<PathBuf> {
    let folder = scratch.join(name);
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(".gitlab-ci.yml"), config)?;
    let author = ["-c", "user.name=bench", "-c", "user.email=bench@localhost"];
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["add", "-A"],
        &["commit", "-q", "-m", "bench"],
    ] {
        let status = program("git")
            .args(author)
            .args(arguments)
            .current_dir(&folder)
            .status()
            .context("cannot start git; install it")?;
        anyhow::ensure!(status.success(), "git {} ended with {status}", arguments.join(" "));
    }
    Ok(folder)
}

/// This program, to be started again.
pub(super) fn tasuki() -> anyhow::Result<Command> {
    Ok(program(
        std::env::current_exe().context("cannot find the program's own file")?,
    ))
}

#[expect(
    clippy::disallowed_methods,
    reason = "the benchmark's only door to processes: the system under test"
)]
fn program(name: impl AsRef<std::ffi::OsStr>) -> Command {
    Command::new(name)
}

/// The address in the line `ready http://ADDR`.
fn first_ready_line(child: &mut Child) -> anyhow::Result<String> {
    use std::io::BufRead as _;
    let out = child.stdout.take().context("no standard output")?;
    for line in std::io::BufReader::new(out).lines() {
        if let Some(address) = line?.strip_prefix("ready http://") {
            return Ok(address.trim().trim_end_matches('/').to_owned());
        }
    }
    bail!("it ended before it was ready")
}
