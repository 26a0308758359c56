//! A runner with a fake coordinator, in one process.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tasuki_model::secret::Secret;
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::config::{Config, ConfigFile, Environment, RunnerConfig};
use tasuki_runner::executor::docker::Surroundings;
use tasuki_runner::job::{AwsSurroundings, Pauses, Shutdown};
use tasuki_runner::metrics::Metrics;
use tasuki_runner::poll::{Defaults, Pool, PoolOptions, Reload, executors};
use tasuki_runner::process::Binary;
use tokio::sync::Notify;

use super::fake::{Fake, Job};

pub(crate) struct Bench {
    pub(crate) fake: Fake,
    pub(crate) shutdown: Shutdown,
    pub(crate) dir: tempfile::TempDir,
    pub(crate) metrics: Arc<Metrics>,
    /// What the environment says of Amazon's services.
    pub(crate) aws: Arc<AwsSurroundings>,
    tasks: Tasks,
    running: Option<tokio::task::JoinHandle<Option<bool>>>,
}

impl Bench {
    /// A coordinator; the runner is not started.
    pub(crate) async fn new() -> Self {
        let tasks = Tasks::new();
        Self {
            fake: Fake::start(&tasks).await,
            shutdown: Shutdown::new(),
            dir: tempfile::tempdir().unwrap(),
            metrics: Arc::default(),
            aws: Arc::default(),
            tasks,
            running: None,
        }
    }

    /// A runner entry for this coordinator.
    pub(crate) fn runner(&self) -> RunnerConfig {
        RunnerConfig {
            name: "test".to_owned(),
            url: self.fake.url(),
            token: Secret::new("glrt-t1_runnertoken"),
            executor: "shell".to_owned(),
            ..RunnerConfig::default()
        }
    }

    pub(crate) fn builds(&self) -> PathBuf {
        self.dir.path().join("work/builds")
    }

    pub(crate) async fn start(&mut self) {
        let runner = self.runner();
        self.start_with(Config::single(4, runner), None).await;
    }

    /// Starts with a configuration file that is followed; gives what makes it be read at once.
    pub(crate) async fn start_following(&mut self, path: &std::path::Path, clock: Clock) -> Arc<Notify> {
        let environment = Environment::default();
        let config = ConfigFile::load(path).unwrap().config(&environment).unwrap();
        let now = Arc::new(Notify::new());
        let reload = Reload {
            path: path.to_owned(),
            environment,
            now: Arc::clone(&now),
            applied: Arc::new(|_| {}),
        };
        let options = PoolOptions {
            reload: Some(reload),
            clock,
            ..self.options(config)
        };
        self.launch(options).await;
        now
    }

    pub(crate) async fn start_with(&mut self, mut config: Config, max_jobs: Option<u32>) {
        config.check_interval = 1;
        let options = PoolOptions {
            max_jobs,
            ..self.options(config)
        };
        self.launch(options).await;
    }

    async fn launch(&mut self, options: PoolOptions) {
        let pool = Pool::start(options, self.shutdown.clone()).await.unwrap();
        self.running = Some(self.tasks.spawn("pool", pool.run()));
    }

    fn options(&self, config: Config) -> PoolOptions {
        let defaults = Defaults {
            working_dir: self.dir.path().join("work"),
            user: None,
            path: None,
            binary: Some(Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"))),
            system_id: "s_0123456789ab".to_owned(),
            surroundings: Surroundings::default(),
            environment: vec![("PATH".to_owned(), "/usr/local/bin:/usr/bin:/bin".to_owned())],
        };
        PoolOptions {
            config,
            reload: None,
            system_id: "s_0123456789ab".to_owned(),
            certs_dir: None,
            spool_dir: self.dir.path().join("spool"),
            executors: executors(defaults, self.tasks.clone()),
            trusts_snapshots: false,
            clock: Clock::system(),
            tasks: self.tasks.clone(),
            aws: self.aws.clone(),
            pauses: Pauses::short(),
            metrics: Arc::clone(&self.metrics),
            max_jobs: None,
            idle_limit: None,
        }
    }

    /// Adds a job whose script is `lines`, runs the runner until it is final, and gives it back.
    pub(crate) async fn script(lines: &[&str]) -> Job {
        let mut bench = Self::new().await;
        bench.fake.add(1, payload(1, lines));
        bench.start().await;
        let job = bench.fake.until_final(1).await;
        bench.stop().await;
        job
    }

    /// Drains the runner and checks that nothing is left of its jobs.
    pub(crate) async fn stop(mut self) {
        self.shutdown.drain();
        if let Some(running) = self.running.take() {
            let ended = tokio::time::timeout(Duration::from_secs(20), running).await;
            assert_eq!(
                ended.expect("the runner stops").unwrap(),
                Some(true),
                "all jobs have ended"
            );
        }
        self.assert_clean();
    }

    pub(crate) fn assert_clean(&self) {
        let left: Vec<_> = walk(&self.builds());
        assert!(left.is_empty(), "files of a job are left: {left:?}");
    }
}

fn walk(dir: &std::path::Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .filter_map(Result::ok)
        .flat_map(|entry| {
            if entry.path().is_dir() {
                walk(&entry.path())
            } else {
                vec![entry.path()]
            }
        })
        .collect()
}

/// A payload without a repository.
pub(crate) fn payload(id: i64, lines: &[&str]) -> Value {
    json!({
        "id": id,
        "token": format!("job-token-{id}"),
        "allow_git_fetch": true,
        "job_info": {"name": "test", "stage": "test", "project_id": 5, "project_name": "p", "project_full_path": "g/p",
                     "pipeline_id": 9, "time_in_queue_seconds": 0.5, "project_jobs_running_on_instance_runners_count": "0"},
        "git_info": {"repo_url": "https://gitlab-ci-token:x@git.invalid/g/p.git", "ref": "main", "sha": "0".repeat(40),
                     "before_sha": "0".repeat(40), "ref_type": "branch", "refspecs": [], "depth": 20},
        "runner_info": {"timeout": 60, "uuid": ""},
        "variables": [
            {"key": "GIT_STRATEGY", "value": "none", "public": true, "file": false, "masked": false, "raw": false},
            {"key": "FF_TIMESTAMPS", "value": "false", "public": true, "file": false, "masked": false, "raw": false},
        ],
        "steps": [{"name": "script", "script": lines, "timeout": 60, "when": "on_success", "allow_failure": false}],
        "image": {"name": ""}, "services": null, "artifacts": null, "cache": null, "credentials": null,
        "dependencies": null, "features": {"trace_sections": true, "failure_reasons": null},
    })
}

/// Adds a variable to a payload.
pub(crate) fn variable(payload: &mut Value, key: &str, value: &str, flags: &Value) {
    let mut variable = json!({"key": key, "value": value, "public": true});
    for (name, flag) in flags.as_object().into_iter().flatten() {
        variable[name] = flag.clone();
    }
    payload["variables"].as_array_mut().unwrap().push(variable);
}

/// The log without carriage returns and escape sequences of sections.
pub(crate) fn text(job: &Job) -> String {
    String::from_utf8_lossy(&job.log).into_owned()
}
