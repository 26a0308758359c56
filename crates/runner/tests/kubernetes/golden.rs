//! From a case to its snapshot.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use tasuki_proto::client::{RunnerClient, TransportConfig};
use tasuki_proto::gitlab::JobResponse;
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::config::{CacheConfig, ConfigFile, Environment, RunnerConfig};
use tasuki_runner::executor::kubernetes::{Context, Planned, Settings, plan};
use tasuki_runner::executor::scripted::Scripted;
use tasuki_runner::executor::{Error, Task};
use tasuki_runner::job::{AwsSurroundings, Host, Keyring, Pauses, Progress, Slot, runner_info, task_of};

/// A piece of configuration and a piece of a payload.
#[derive(Clone)]
pub(crate) struct Case {
    name: &'static str,
    /// Keys of `[[runners]]`.
    runner: String,
    /// Keys of `[runners.kubernetes]` and whatever comes after.
    section: String,
    /// Keys of the payload. `variables` is a map of public variables, `variables_raw` a list of those as a payload has them; both are
    /// added to those of every job.
    job: Value,
}

/// A case of a section alone.
pub(crate) fn case(name: &'static str, section: &str) -> Case {
    Case {
        name,
        runner: String::new(),
        section: section.to_owned(),
        job: json!({}),
    }
}

impl Case {
    pub(crate) fn job(mut self, job: Value) -> Self {
        self.job = job;
        self
    }

    pub(crate) fn variables(self, variables: Value) -> Self {
        self.job(json!({"variables": variables}))
    }

    pub(crate) fn runner(mut self, keys: &str) -> Self {
        keys.clone_into(&mut self.runner);
        self
    }

    pub(crate) fn config(&self) -> RunnerConfig {
        let text = format!(
            "[[runners]]\nname = \"The runner\"\nurl = \"http://127.0.0.1:1\"\ntoken = \"glrt-abcdefghi0123456789\"\n\
             executor = \"kubernetes\"\n{}\n[runners.kubernetes]\n{}\n",
            self.runner, self.section
        );
        let dir = tempfile::tempdir().expect("a folder");
        let path = dir.path().join("config.toml");
        std::fs::write(&path, text).expect("is written");
        let file = ConfigFile::load(&path).unwrap_or_else(|error| panic!("{}: {error:?}", self.name));
        let unknown: Vec<_> = file.unknown().iter().map(|key| &key.path).collect();
        assert!(unknown.is_empty(), "{}: unknown keys {unknown:?}", self.name);
        let config = file.config(&Environment::default());
        config
            .unwrap_or_else(|error| panic!("{}: {error:?}", self.name))
            .runners
            .remove(0)
    }

    pub(crate) fn planned(&self) -> Result<Planned, Error> {
        let config = self.config();
        let settings = Settings::new(&config)?;
        plan(&settings, &self.task(config), &context())
    }

    /// The task of a runner with this configuration.
    pub(crate) fn as_task(&self) -> Task {
        self.task(self.config())
    }

    fn task(&self, config: RunnerConfig) -> Task {
        let job: JobResponse = serde_json::from_value(payload(&self.job)).expect("is a payload");
        let executor = Arc::new(Scripted::new());
        let host = Host {
            client: Arc::new(RunnerClient::new(&config.url, TransportConfig::default()).expect("is an address")),
            config: Arc::new(config),
            info: runner_info("kubernetes", std::collections::BTreeMap::new()),
            executor,
            system_id: "s_0".to_owned(),
            spool_dir: std::path::PathBuf::new(),
            trusts_snapshots: false,
            clock: Clock::system(),
            tasks: Tasks::new(),
            keyring: Arc::new(Keyring::new(
                Arc::new(AwsSurroundings::default()),
                "s_0",
                &CacheConfig::default(),
            )),
            pauses: Pauses::default(),
            progress: Progress::default(),
        };
        task_of(&host, &job, Slot { runner: 3, project: 1 })
    }

    /// What comes out, in words.
    fn outcome(&self) -> String {
        match self.planned() {
            Ok(planned) => {
                let plain = lines(&shown(
                    &case("plain", "").planned().unwrap_or_else(|error| panic!("{error}")),
                ));
                difference(&plain, &lines(&shown(&planned)), &self.job["variables"])
            }
            Err(error) => format!("refused: {error} ({})\n", error.reason().as_str()),
        }
    }
}

pub(crate) fn context() -> Context {
    Context {
        sandbox: "sandbox-1".to_owned(),
        manager: "manager-1".to_owned(),
        suffix: "abcd1234".to_owned(),
    }
}

/// Compares the cases of a topic with its snapshot.
pub(crate) fn golden(topic: &str, cases: &[Case]) {
    let mut text = String::new();
    for case in cases {
        let _ = writeln!(text, "## {}", case.name);
        for line in case.runner.lines().chain(case.section.lines()) {
            let _ = writeln!(text, "    {line}");
        }
        if case.job != json!({}) {
            let _ = writeln!(text, "    job: {}", case.job);
        }
        text.push_str(&case.outcome());
        text.push('\n');
    }
    insta::assert_snapshot!(topic, text.replace(env!("CARGO_PKG_VERSION"), "[version]"));
}

/// Everything that will exist, as the cluster's API has it.
pub(crate) fn shown(planned: &Planned) -> Value {
    let mut all = json!({
        "namespace": planned.namespace,
        "new_namespace": planned.new_namespace,
        "pod": planned.pod,
        "pull_secret": planned.pull_secret,
        "services": planned.services,
        "disruption_budget": planned.disruption_budget,
        "bearer_token": planned.bearer_token.as_ref().map(|token| token.expose().to_owned()),
        "warnings": planned.warnings,
    });
    if let Some(map) = all.as_object_mut() {
        map.retain(|_, value| !value.is_null() && value != &json!([]));
    }
    all
}

/// One line for each leaf: `pod.spec.containers[build].image: "ruby:3"`.
fn lines(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    walk(value, "", &mut found);
    found
}

fn walk(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) if !map.is_empty() => {
            for (key, below) in map {
                let dot = if path.is_empty() { "" } else { "." };
                walk(below, &format!("{path}{dot}{key}"), found);
            }
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (index, item) in items.iter().enumerate() {
                let mut item = item.clone();
                let known = ["mountPath", "name", "ip"];
                let key = known.iter().find(|key| item.get(*key).is_some_and(Value::is_string));
                // What an item is called stands in the path.
                let name = match (key, item.as_object_mut()) {
                    (Some(key), Some(map)) if map.len() > 1 => map.remove(*key),
                    (Some(key), Some(map)) => map.get(*key).cloned(),
                    _ => None,
                };
                let name = name.and_then(|name| name.as_str().map(str::to_owned));
                walk(
                    &item,
                    &format!("{path}[{}]", name.unwrap_or_else(|| index.to_string())),
                    found,
                );
            }
        }
        leaf => {
            found.insert(format!("{path}: {leaf}"));
        }
    }
}

/// What is other than in the plain pod. A service is compared with the plain pod's build container; variables that the
/// case itself gives to every container are not shown.
fn difference(plain: &BTreeSet<String>, this: &BTreeSet<String>, given: &Value) -> String {
    let usual = |line: &str| {
        let (Some(at), Some(end)) = (line.find("containers["), line.find(']')) else {
            return false;
        };
        let (name, rest) = (&line[at + 11..end], &line[end..]);
        let given = given.as_object().into_iter().flatten();
        let mut given = given.map(|(key, value)| format!("].env[{key}].value: {value}"));
        let service = !matches!(name, "build" | "helper" | "init-permissions");
        given.any(|variable| variable == rest)
            || (service && plain.contains(&format!("pod.spec.containers[build{rest}")))
    };
    let gone = plain.difference(this).map(|line| (line, '-'));
    let new = this
        .difference(plain)
        .filter(|line| !usual(line))
        .map(|line| (line, '+'));
    let mut all: Vec<_> = gone.chain(new).collect();
    // What stands at one place together, the old before the new.
    all.sort_by(|a, b| a.0.split(": ").next().cmp(&b.0.split(": ").next()).then(b.1.cmp(&a.1)));
    let mut text = String::new();
    for (line, sign) in all {
        let _ = writeln!(text, "{sign} {line}");
    }
    if text.is_empty() {
        text.push_str("no difference\n");
    }
    text
}

fn payload(over: &Value) -> Value {
    let variable = |key: &str, value: &str| json!({"key": key, "value": value, "public": true, "file": false, "masked": false, "raw": false});
    let mut variables = vec![
        variable("CI_COMMIT_REF_SLUG", "feature-1"),
        variable("CI_COMMIT_REF_NAME", "feature/1"),
        variable("CI_COMMIT_SHA", "1f2e3d"),
        variable("CI_COMMIT_BEFORE_SHA", "0a0b0c"),
        variable("CI_JOB_URL", "https://ci.example.com/jobs/42"),
        json!({"key": "PASSWORD", "value": "of-nobody", "public": false, "masked": true}),
        json!({"key": "KEY_FILE", "value": "content of a file", "public": true, "file": true}),
    ];
    let mut job = json!({
        "id": 42, "token": "job-token",
        "job_info": {"id": 42, "name": "unit tests", "stage": "test", "project_id": 7, "project_name": "Our project",
                     "project_full_path": "gitlab-org/group-a/subgroup-a/project", "namespace_id": 12, "root_namespace_id": 9},
        "git_info": {"repo_url": "https://ci.example.com/gitlab-org/group-a/subgroup-a/project.git", "ref": "feature/1", "sha": "1f2e3d"},
        "runner_info": {"timeout": 7383},
        "image": {"name": "ruby:3"}, "services": [], "credentials": [], "steps": [],
    });
    let (Some(job), Some(over)) = (job.as_object_mut(), over.as_object()) else {
        unreachable!("both are maps")
    };
    for (key, value) in over {
        if key == "variables" {
            let added = value.as_object().into_iter().flatten();
            variables.extend(added.map(|(key, value)| variable(key, value.as_str().unwrap_or_default())));
        } else if key == "variables_raw" {
            variables.extend(value.as_array().into_iter().flatten().cloned());
        } else {
            job.insert(key.clone(), value.clone());
        }
    }
    job.insert("variables".to_owned(), Value::Array(variables));
    Value::Object(job.clone())
}
