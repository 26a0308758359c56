//! Steps: what a task does, one after the other.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Artifacts, Cache, Late};
use crate::expr::Expr;

/// One step of a job.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Step {
    #[serde(flatten)]
    pub kind: StepKind,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// GitHub step id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    #[serde(default)]
    pub when: StepWhen,
    /// Late condition (GitHub `if`), evaluated by the runner when the step is reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub condition: Option<Expr>,
    /// Environment of this step only; values may hold late expressions as text `${{ }}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// Kill the step when it prints nothing for this long (CircleCI `no_output_timeout`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_output_timeout_s: Option<u64>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continue_on_error: bool,
    /// Runs beside the following steps.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub background: bool,
    /// Repeat a failed step up to this many times, with a pause between.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub max_reruns: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_delay_s: Option<u64>,
    /// Parts that are expressions.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub late: Option<Box<Late>>,
}

fn is_zero(n: &u32) -> bool {
    *n == 0
}

impl Step {
    /// A step with defaults everywhere else.
    #[must_use]
    pub fn new(kind: StepKind) -> Self {
        Self {
            kind,
            name: String::new(),
            id: None,
            when: StepWhen::OnSuccess,
            condition: None,
            env: BTreeMap::new(),
            timeout_s: None,
            no_output_timeout_s: None,
            continue_on_error: false,
            background: false,
            max_reruns: 0,
            rerun_delay_s: None,
            late: None,
        }
    }
}

/// When a step runs, given what happened before it in the task.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepWhen {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
}

/// What a step does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum StepKind {
    /// Runs a command. `command` holds the lines of the script joined by line feeds; `lines` keeps them apart
    /// where the language does (GitLab), so that each is echoed.
    Run {
        command: String,
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        lines: Vec<String>,
        /// Command line of the shell, `{0}` stands for the script file; absent = the executor's default.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shell: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        directory: Option<String>,
    },
    /// Puts the source into the workspace.
    Checkout {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        depth: Option<u32>,
        /// CircleCI `method`: `blobless`, `full`, `shallow`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        method: Option<String>,
    },
    /// Restores the first cache whose key (exact, or prefix where the language says so) exists.
    RestoreCache {
        keys: Vec<String>,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        prefix: bool,
        /// `{{ … }}` in the keys is evaluated in the sandbox (see [`crate::cache_key`]).
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        template: bool,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cache: Option<Box<Cache>>,
    },
    SaveCache {
        key: String,
        paths: Vec<String>,
        /// An existing entry is left as it is.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        immutable: bool,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        template: bool,
    },
    PersistWorkspace {
        root: String,
        paths: Vec<String>,
    },
    AttachWorkspace {
        at: String,
    },
    StoreArtifacts {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        path: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        destination: Option<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        artifacts: Option<Box<Artifacts>>,
    },
    StoreTestResults {
        path: String,
    },
    AddSshKeys {
        fingerprints: Vec<String>,
    },
    /// CircleCI `setup_remote_docker`.
    SetupRemoteDocker {
        version: Option<String>,
    },
    /// Uses an action (GitHub `uses`).
    Action {
        action: ActionRef,
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        with: BTreeMap<String, String>,
    },
    /// Steps with inputs, outputs and ids of their own (GitHub composite actions).
    Composite {
        steps: Vec<Step>,
        /// What `inputs` is inside, evaluated before the first step.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<String, Expr>,
        /// Evaluated inside, after the last step.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, Expr>,
        /// Folder of the action, relative to the project folder.
        folder: String,
    },
    /// Runs a file with the `node` of the place where the job runs (GitHub JavaScript actions).
    Node {
        /// Relative to `folder`.
        main: String,
        /// Runs after the last step of the job, in reverse order, where `main` ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<String>,
        /// Condition of `post`; absent = always.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post_condition: Option<Expr>,
        /// Given as `INPUT_<NAME>`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<String, Expr>,
        /// Folder of the action, relative to the project folder.
        folder: String,
    },
    /// Runs a container beside the job's own (GitHub: actions that are images).
    Container {
        image: ActionImage,
        /// In place of the image's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        entrypoint: Option<Expr>,
        /// In place of the image's command, each evaluated inside; absent = the image's own.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        args: Option<Vec<Expr>>,
        /// In place of `args`: one text that falls into words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        line: Option<Expr>,
        /// Environment of the action's own, evaluated inside; that of the step stands beside the kind.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        action_env: BTreeMap<String, Expr>,
        /// Entrypoint of another container of the image that runs after the last step of the job, in reverse order, where this
        /// one ran.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post: Option<String>,
        /// Condition of `post`; absent = always.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        post_condition: Option<Expr>,
        /// Given as `INPUT_<NAME>`.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        inputs: BTreeMap<String, Expr>,
    },
    /// A native step of GitLab's `run:` keyword, passed through as written.
    Native {
        definition: serde_json::Value,
    },
    /// Waits for background steps (GitHub `wait`, `wait-all`), or cancels one.
    Wait {
        ids: Vec<String>,
        cancel: bool,
    },
}

/// Where an action comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionRef {
    Repository {
        name: String,
        path: Option<String>,
        git_ref: String,
    },
    Local {
        path: String,
    },
    Docker {
        image: String,
    },
}

/// What a container of an action is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ActionImage {
    /// An image of a registry.
    Named(String),
    /// A file of instructions that an image is built by.
    Built {
        /// What it may copy from: the action's, relative to the project folder.
        folder: String,
        /// Relative to `folder`.
        file: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::expr::Literal;

    /// A kind stands among the fields of its step: no name may be used twice.
    #[test]
    fn a_step_with_a_container_is_written_and_read() {
        let text = |text: &str| Expr::Literal(Literal::Text(text.to_owned()));
        let pair = |key: &str| BTreeMap::from([(key.to_owned(), text("x"))]);
        let step = Step {
            name: "named".to_owned(),
            env: BTreeMap::from([("OF_STEP".to_owned(), "y".to_owned())]),
            ..Step::new(StepKind::Container {
                image: ActionImage::Built {
                    folder: "a".to_owned(),
                    file: "Dockerfile".to_owned(),
                },
                entrypoint: Some(text("/entry")),
                args: Some(vec![text("one")]),
                line: Some(text("two")),
                action_env: pair("OF_ACTION"),
                post: Some("/post".to_owned()),
                post_condition: Some(text("")),
                inputs: pair("who"),
            })
        };
        let json = serde_json::to_string(&step).expect("is written");
        assert_eq!(serde_json::from_str::<Step>(&json).expect("is read"), step);
    }
}
