//! Variables and files that a step finds.

use std::path::Path;

use bytes::Bytes;
use tasuki_model::expr::Value;

use super::files;
use crate::executor::{ContainerFacts, Containers, PushedFile, Sandbox};
use crate::job::build::Build;
use crate::job::failure::Failure;

/// Bytes of a file that a step may leave.
const MOST_BYTES: u64 = 1 << 20;
/// Files of a step: variable, name.
const FILES: [(&str, &str); 5] = [
    ("GITHUB_OUTPUT", "output"),
    ("GITHUB_ENV", "env"),
    ("GITHUB_PATH", "path"),
    ("GITHUB_STEP_SUMMARY", "summary"),
    ("GITHUB_STATE", "state"),
];

/// What a step wrote into its files, in the order of their names here.
#[derive(Debug, Default)]
pub(super) struct Left {
    pub(super) output: String,
    pub(super) env: String,
    pub(super) path: String,
    pub(super) summary: String,
    pub(super) state: String,
    /// By the old commands in its output.
    pub(super) old_outputs: Vec<(String, String)>,
    pub(super) old_state: Vec<(String, String)>,
}

impl Left {
    /// What it keeps for what runs after the last step, as variables.
    pub(super) fn kept_state(&self) -> Vec<(String, String)> {
        let state = files::pairs(&self.state).unwrap_or_default();
        let all = self.old_state.iter().cloned().chain(state);
        all.map(|(key, value)| (format!("STATE_{key}"), value)).collect()
    }
}

/// `job` as far as it is known before the first step.
fn containers(all: &Containers) -> Value {
    let text = |text: &str| Value::text(text);
    let one = |facts: &ContainerFacts| {
        let ports = facts.ports.iter().map(|(inner, outer)| (inner.as_str(), text(outer)));
        [
            ("id", text(&facts.id)),
            ("network", text(&facts.network)),
            ("ports", Value::object(ports)),
        ]
    };
    let services = all.services.iter();
    let services = services.map(|(name, facts)| (name.as_str(), Value::object(one(facts))));
    let services = ("services", Value::object(services));
    let container = all.job.as_ref().map(|facts| ("container", Value::object(one(facts))));
    Value::object(container.into_iter().chain([services]))
}

impl Build<'_> {
    /// Makes fresh files for a step. Gives the variables that name them.
    pub(super) async fn make_files(
        &self,
        sandbox: &dyn Sandbox,
        number: usize,
    ) -> Result<Vec<(String, String)>, Failure> {
        let mut variables = Vec::with_capacity(FILES.len());
        for (variable, name) in FILES {
            let path = file(sandbox, number, name);
            let empty = PushedFile {
                path: path.clone().into(),
                mode: 0o666,
                bytes: Bytes::new(),
            };
            sandbox.push(empty).await?;
            variables.push((variable.to_owned(), path));
        }
        Ok(variables)
    }

    /// Reads the files of a step.
    pub(super) async fn read_files(&self, sandbox: &dyn Sandbox, number: usize) -> Result<Left, Failure> {
        let mut left = Left::default();
        let places = [
            &mut left.output,
            &mut left.env,
            &mut left.path,
            &mut left.summary,
            &mut left.state,
        ];
        for ((_, name), place) in FILES.into_iter().zip(places) {
            if let Some(bytes) = sandbox.pull(&file(sandbox, number, name), MOST_BYTES).await? {
                *place = String::from_utf8_lossy(&bytes).into_owned();
            }
        }
        Ok(left)
    }

    /// Writes the event down. Gives the variables that are the same in all steps.
    pub(super) async fn make_places(
        &self,
        sandbox: &dyn Sandbox,
        event: &serde_json::Value,
    ) -> Result<Vec<(String, String)>, Failure> {
        let paths = sandbox.paths();
        let event_path = paths.temp.join(".event.json");
        sandbox
            .push(PushedFile {
                path: event_path.clone(),
                mode: 0o644,
                bytes: Bytes::from(event.to_string()),
            })
            .await?;
        let text = |path: &Path| path.to_string_lossy().into_owned();
        let all = [
            ("GITHUB_WORKSPACE", text(&paths.project)),
            ("GITHUB_EVENT_PATH", text(&event_path)),
            ("GITHUB_RUN_ID", self.variables.value("CI_PIPELINE_ID")),
            ("GITHUB_RUN_ATTEMPT", "1".to_owned()),
            ("RUNNER_OS", "Linux".to_owned()),
            ("RUNNER_ARCH", architecture().to_owned()),
            ("RUNNER_NAME", self.host.config.name.clone()),
            ("RUNNER_TEMP", text(&paths.temp)),
            ("RUNNER_TOOL_CACHE", text(&paths.cache.join("tools"))),
            (
                "RUNNER_WORKSPACE",
                text(paths.project.parent().unwrap_or(&paths.builds)),
            ),
            ("RUNNER_ENVIRONMENT", "self-hosted".to_owned()),
        ];
        Ok(all.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
    }

    /// The contexts that do not change while the job runs.
    pub(super) fn contexts(
        &self,
        given: &serde_json::Value,
        places: &[(String, String)],
        known: &Containers,
    ) -> Vec<(String, Value)> {
        let place = |key: &str| {
            let found = places.iter().find(|(known, _)| known == key);
            Value::text(found.map_or("", |(_, value)| value.as_str()))
        };
        let token = Value::text(self.job.token.expose());
        let github = [
            ("workspace", place("GITHUB_WORKSPACE")),
            ("event_path", place("GITHUB_EVENT_PATH")),
            ("run_id", place("GITHUB_RUN_ID")),
            ("run_attempt", place("GITHUB_RUN_ATTEMPT")),
            ("token", token.clone()),
        ];
        let runner = [
            ("os", place("RUNNER_OS")),
            ("arch", place("RUNNER_ARCH")),
            ("name", place("RUNNER_NAME")),
            ("temp", place("RUNNER_TEMP")),
            ("tool_cache", place("RUNNER_TOOL_CACHE")),
            ("workspace", place("RUNNER_WORKSPACE")),
            ("environment", place("RUNNER_ENVIRONMENT")),
        ];
        let masked = self.job.variables.iter().filter(|variable| variable.masked);
        let secrets = masked
            .map(|variable| (variable.key.clone(), Value::text(self.variables.value(&variable.key))))
            .chain([("GITHUB_TOKEN".to_owned(), token)]);
        let mut all = vec![
            ("secrets".to_owned(), Value::object(secrets)),
            ("runner".to_owned(), Value::object(runner)),
            ("job".to_owned(), containers(known)),
        ];
        let mut fields: Vec<(String, Value)> = Vec::new();
        for (name, value) in given.as_object().into_iter().flatten() {
            match Value::from(value) {
                Value::Object(object) if name == "github" => {
                    fields.extend(object.iter().map(|(key, value)| (key.to_owned(), value.clone())));
                }
                value => all.push((name.clone(), value)),
            }
        }
        fields.extend(github.map(|(key, value)| (key.to_owned(), value)));
        all.push(("github".to_owned(), Value::object(fields)));
        all
    }
}

fn file(sandbox: &dyn Sandbox, number: usize, name: &str) -> String {
    let path = sandbox.paths().temp.join(format!(".step-{number}-{name}"));
    path.to_string_lossy().into_owned()
}

fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "X64",
        "x86" => "X86",
        "aarch64" => "ARM64",
        "arm" => "ARM",
        other => other,
    }
}
