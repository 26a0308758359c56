//! One place of a driver: its record, its environment, and how it is given back.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;
use tasuki_rt::Tasks;

use super::described::Described;
use super::driver::{BUILD_FAILURE, Call, Caller, Overheard, OwnLog, SYSTEM_FAILURE, judge};
use super::record::{Record, Written};
use super::settings::{Settings, Step, Steps};
use crate::executor::shell::environment;
use crate::executor::{Collected, Error, Exit, Output, Paths, Result, Stop, Stream, Task};
use crate::process::{Lingering, MARKER, sweep_marked};

/// Bytes of environment that a program gets; the script that it starts adds the job's own to them.
const MOST_ENVIRONMENT: usize = 512 << 10;

const RESPONSE: &str = "response.json";
const EXIT_CODE: &str = "exit-code";

/// What an executor's places share.
#[derive(Debug)]
pub(super) struct Office {
    pub(super) settings: Settings,
    pub(super) steps: Steps,
    pub(super) tasks: Tasks,
}

pub(super) struct Place {
    pub(super) office: Arc<Office>,
    pub(super) described: Described,
    pub(super) record: Record,
    /// The job's variables, with what the executor itself knows before them.
    variables: Vec<(String, String)>,
    /// What wins over them in the environment of the driver.
    last: Vec<(String, String)>,
    public: Vec<(String, String)>,
    /// Background processes of `prepare_exec`.
    lingering: Vec<Lingering>,
}

impl Place {
    /// Writes the new place down. Nothing is called yet.
    pub(super) fn open(office: Arc<Office>, task: &Task) -> Result<Self> {
        let known = [
            ("CI_JOB_ID", task.id.to_string()),
            ("CI_PROJECT_ID", task.project_id.to_string()),
            ("CI_RUNNER_SHORT_TOKEN", task.runner_short_token.clone()),
            ("CI_CONCURRENT_ID", task.concurrent_id.to_string()),
            ("CI_CONCURRENT_PROJECT_ID", task.concurrent_project_id.to_string()),
        ]
        .map(|(key, value)| (key.to_owned(), value));
        let with_known = |variables: &[(String, String)]| known.iter().chain(variables).cloned().collect();
        let mut last = task.file_variables.clone();
        last.push(("CI_JOB_SERVICES".to_owned(), services(task)));
        let public: Vec<(String, String)> = with_known(&task.public_variables);
        let place = Self {
            described: Described::default(),
            record: Record::create(&folder(&office.settings), task.id, &Written::default())?,
            variables: with_known(&task.variables),
            last,
            public,
            lingering: Vec::new(),
            office,
        };
        let payload = task.payload.as_ref().map_or("{}", |payload| payload.expose());
        place.record.put(RESPONSE, 0o600, payload.as_bytes())?;
        Ok(place)
    }

    /// Calls `config_exec` and `prepare_exec`. Gives where things are inside.
    pub(super) async fn make(&mut self, task: &Task, stop: &Stop, output: &dyn Output) -> Result<Paths> {
        let office = Arc::clone(&self.office);
        self.write_down()?;
        if let Some(step) = &office.steps.config {
            let heard = Overheard {
                stdout: Collected::default(),
                output,
            };
            self.step(step, stop, &heard).await?;
            self.described = Described::parse(&heard.stdout.of(Stream::Stdout))?;
            // What comes from it is needed by cleanup_exec.
            self.write_down()?;
        }
        output.write(Stream::Stdout, self.described.greeting().as_bytes()).await;
        let paths = self.described.paths(&office.settings, task)?;
        self.described.shell()?;
        let text = |path: &std::path::Path| path.to_string_lossy().into_owned();
        for (key, path) in [
            ("CI_BUILDS_DIR", &paths.builds),
            ("CI_PROJECT_DIR", &paths.project),
            ("RUNNER_TEMP_PROJECT_DIR", &paths.temp),
        ] {
            for list in [&mut self.variables, &mut self.public] {
                list.push((key.to_owned(), text(path)));
            }
        }
        self.write_down()?;
        if let Some(step) = &office.steps.prepare {
            self.step(step, stop, output).await?;
        }
        Ok(paths)
    }

    async fn step(&mut self, step: &Step, stop: &Stop, output: &dyn Output) -> Result<()> {
        let call = Call {
            step,
            further: Vec::new(),
            env: self.environment(&[])?,
            timeout: None,
            stop: stop.clone(),
        };
        let (exit, left) = self.call(call, output).await?;
        self.lingering.extend(left);
        judge(step.name, exit, step.timeout)
    }

    pub(super) async fn call(&self, call: Call<'_>, output: &dyn Output) -> Result<(Exit, Option<Lingering>)> {
        let caller = Caller {
            steps: &self.office.steps,
            binary: &self.office.settings.binary,
            tasks: &self.office.tasks,
            folder: &self.record.file("tmp"),
            marker: self.record.sandbox(),
        };
        caller.call(call, output).await
    }

    /// The environment of a program of the driver; `further` are variables of the job that are known by now.
    pub(super) fn environment(&self, further: &[(String, String)]) -> Result<Vec<(String, String)>> {
        let mut job = BTreeMap::new();
        environment::add(&mut job, &self.variables)?;
        environment::add(&mut job, further)?;
        environment::add(&mut job, &self.last)?;
        Ok(self.whole_environment(job))
    }

    fn whole_environment(&self, job: BTreeMap<String, String>) -> Vec<(String, String)> {
        let text = |name: &str| self.record.file(name).to_string_lossy().into_owned();
        let mut all: BTreeMap<String, String> = self.office.settings.environment.iter().cloned().collect();
        all.extend(
            [
                ("TMPDIR", text("tmp")),
                ("JOB_RESPONSE_FILE", text(RESPONSE)),
                ("BUILD_FAILURE_EXIT_CODE", BUILD_FAILURE.to_string()),
                ("SYSTEM_FAILURE_EXIT_CODE", SYSTEM_FAILURE.to_string()),
                ("BUILD_EXIT_CODE_FILE", text(EXIT_CODE)),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        );
        all.extend(self.described.job_env.iter().flatten().map(own));
        all.extend(job.into_iter().map(|(key, value)| (format!("CUSTOM_ENV_{key}"), value)));
        all.insert(MARKER.to_owned(), self.record.sandbox().to_owned());
        environment::split_within(all, MOST_ENVIRONMENT).passed
    }

    /// The exit code that the driver found for the script that ended.
    pub(super) fn exit_code(&self) -> i32 {
        let text = std::fs::read_to_string(self.record.file(EXIT_CODE)).unwrap_or_default();
        text.trim()
            .parse()
            .ok()
            .filter(|code| *code != 0)
            .unwrap_or(BUILD_FAILURE)
    }

    /// Before another script: its exit code is not the one before's.
    pub(super) fn forget_exit_code(&self) {
        // Mostly there is none.
        let _ = std::fs::remove_file(self.record.file(EXIT_CODE));
    }

    /// What `cleanup_exec` gets after a crash: nothing secret of the job.
    fn write_down(&mut self) -> Result<()> {
        let Some(step) = &self.office.steps.cleanup else {
            return Ok(());
        };
        let mut public = BTreeMap::new();
        environment::add(&mut public, &self.public)?;
        let mut env = self.whole_environment(public);
        // As it is when it is called.
        env.retain(|entry| !self.office.settings.environment.contains(entry));
        let written = Written {
            cleanup: step.argv.clone(),
            timeout_s: step.timeout.map(|limit| limit.as_secs()),
            env,
        };
        self.record.update(&written)
    }

    /// Calls `cleanup_exec`, kills who is left, and forgets the place. Where that fails, the record stays for the sweep.
    pub(super) async fn close(self) -> Result<()> {
        let mut cleaned = Ok(());
        if let Some(step) = &self.office.steps.cleanup {
            // Variables that no environment takes have ended the job already; the place has to go nevertheless.
            let env = self.environment(&[]);
            let call = Call {
                step,
                further: Vec::new(),
                env: env.unwrap_or_else(|_| self.whole_environment(BTreeMap::new())),
                timeout: None,
                stop: Stop::new(),
            };
            let log = OwnLog::default();
            let called = self.call(call, &log).await;
            log.tell(step.name, self.record.sandbox());
            cleaned = called.and_then(|(exit, _)| judge(step.name, exit, step.timeout));
        }
        for left in self.lingering {
            let ended = left.end().await;
            let ended = ended.map_err(|error| Error::system("end what prepare_exec started", error));
            cleaned = cleaned.and(ended);
        }
        let after = if cleaned.is_ok() { After::Remove } else { After::Keep };
        cleaned.and(forget(self.record, after).await.map(drop))
    }
}

/// What becomes of a record.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    Remove,
    /// For the next sweep, without what is secret in its folder.
    Keep,
}

/// Kills what carries the sandbox's marker, then removes its record. Gives how many there were.
async fn forget(record: Record, after: After) -> Result<usize> {
    let work = tokio::task::spawn_blocking(move || {
        if after == After::Keep {
            // It may be gone.
            let _ = std::fs::remove_file(record.file(RESPONSE));
        }
        let killed =
            sweep_marked(record.sandbox()).map_err(|error| Error::system("end the driver's processes", error))?;
        if after == After::Remove {
            record.remove()?;
        }
        Ok(killed)
    });
    work.await.map_err(|error| Error::system("forget a sandbox", error))?
}

/// Gives the place back that a dead runner left. Gives how many processes were alive.
pub(super) async fn close_abandoned(office: &Office, record: Record, written: Written) -> Result<usize> {
    if !written.cleanup.is_empty() {
        let step = Step {
            name: "cleanup_exec",
            argv: written.cleanup,
            timeout: written.timeout_s.map(std::time::Duration::from_secs),
        };
        let env: BTreeMap<String, String> = office.settings.environment.iter().cloned().chain(written.env).collect();
        let caller = Caller {
            steps: &office.steps,
            binary: &office.settings.binary,
            tasks: &office.tasks,
            folder: &record.file("tmp"),
            marker: record.sandbox(),
        };
        let call = Call {
            step: &step,
            further: Vec::new(),
            env: env.into_iter().collect(),
            timeout: None,
            stop: Stop::new(),
        };
        let log = OwnLog::default();
        let called = caller.call(call, &log).await;
        log.tell(step.name, record.sandbox());
        let (exit, _) = called?;
        judge(step.name, exit, step.timeout)?;
    }
    forget(record, After::Remove).await
}

/// Where records are kept.
pub(super) fn folder(settings: &Settings) -> std::path::PathBuf {
    settings.state_dir.join("custom")
}

/// `CI_JOB_SERVICES`: a JSON list; empty where there are none.
fn services(task: &Task) -> String {
    let all: Vec<_> = task
        .services
        .iter()
        .map(|service| {
            json!({
                "name": service.image.name,
                "alias": service.aliases.join(","),
                "entrypoint": service.image.entrypoint,
                "command": service.image.command,
            })
        })
        .collect();
    if all.is_empty() {
        String::new()
    } else {
        json!(all).to_string()
    }
}

fn own((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}
