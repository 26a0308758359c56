//! A job: a node of the graph.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Artifacts, Cache, Gate, IdToken, Image, ResourceGroup, Service, Step, Variable};
use crate::expr::Expr;
use crate::reason::RetryOn;

/// A job as compiled. Everything that can be known when the pipeline is created is decided already.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Unique in its workflow, e.g. `test: [linux, stable]`.
    pub name: String,
    /// Name as written in the config, before parallel and matrix expansion.
    pub base_name: String,
    #[serde(default)]
    pub stage: String,
    /// `None`: waits for all jobs of earlier stages. `Some`: exactly these (may be empty).
    pub needs: Option<Vec<Need>>,
    /// GitLab `dependencies`: whose artifacts are fetched; `None` = all that the rules give.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependencies: Option<Vec<String>>,
    #[serde(default)]
    pub when: When,
    #[serde(default)]
    pub allow_failure: AllowFailure,
    #[serde(default)]
    pub gate: Option<Gate>,
    /// Late condition: evaluated when the needs are done. False = skipped.
    #[serde(default)]
    pub condition: Option<Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_group: Option<ResourceGroup>,
    #[serde(default)]
    pub image: Option<Box<Image>>,
    #[serde(default)]
    pub services: Vec<Service>,
    #[serde(default)]
    pub tags: Vec<String>,
    #[serde(default)]
    pub resource_class: Option<String>,
    /// The kind of machine that the config asks for, where its language has such words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<Box<Machine>>,
    /// 1-based index of this job among its parallel siblings.
    #[serde(default)]
    pub parallel_index: Option<u32>,
    #[serde(default)]
    pub parallel_total: Option<u32>,
    /// Tasks that this one job makes (CircleCI `parallelism`); 1 everywhere else.
    #[serde(default = "one")]
    pub parallelism: u32,
    /// Job variables of the config in order of precedence (last wins): root, workflow rule, job, matrix, rule.
    #[serde(with = "variables")]
    pub variables: Vec<Variable>,
    pub steps: Vec<Step>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    #[serde(default)]
    pub retry: Retry,
    #[serde(default)]
    pub interruptible: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub environment: Option<Box<Environment>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub caches: Vec<Cache>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifacts: Option<Box<Artifacts>>,
    /// Values that later jobs can read, evaluated on the runner after the last step.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub outputs: BTreeMap<String, Expr>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
    /// Starts another pipeline instead of running steps.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub downstream: Option<Box<Downstream>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub release: Option<Box<Release>>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub id_tokens: Vec<IdToken>,
    /// GitLab `secrets`, by variable, in the runner protocol's own form.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, serde_json::Value>,
    /// GitLab `coverage`: regular expression applied to the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub coverage: Option<String>,
    /// GitLab `hooks:pre_get_sources_script`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub pre_get_sources: Vec<String>,
    /// Publishes a folder as pages: the folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages: Option<String>,
    /// Where below the pages of the project it is put: part of a path, absent at the top.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_prefix: Option<String>,
    /// Seconds that the pages are shown. Absent: until others take their place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pages_expire_in_s: Option<u64>,
    /// Token permissions (GitHub `permissions`) and contexts (CircleCI `context`), by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub permissions: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub contexts: Vec<String>,
    /// CircleCI job types that run nothing (`no-op`) set this; approval uses a gate.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_op: bool,
    /// It holds the key with which a second configuration is given for its pipeline (CircleCI `setup`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub continues: bool,
}

fn one() -> u32 {
    1
}

impl Job {
    /// A job of that name with no steps, that needs nothing, and defaults everywhere else.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            base_name: name.clone(),
            name,
            stage: String::new(),
            needs: Some(Vec::new()),
            dependencies: None,
            when: When::OnSuccess,
            allow_failure: AllowFailure::No,
            gate: None,
            condition: None,
            resource_group: None,
            image: None,
            services: Vec::new(),
            tags: Vec::new(),
            resource_class: None,
            machine: None,
            parallel_index: None,
            parallel_total: None,
            parallelism: 1,
            variables: Vec::new(),
            steps: Vec::new(),
            timeout_s: None,
            retry: Retry::default(),
            interruptible: false,
            environment: None,
            caches: Vec::new(),
            artifacts: None,
            outputs: BTreeMap::new(),
            strategy: None,
            downstream: None,
            release: None,
            id_tokens: Vec::new(),
            secrets: BTreeMap::new(),
            coverage: None,
            pre_get_sources: Vec::new(),
            pages: None,
            pages_prefix: None,
            pages_expire_in_s: None,
            permissions: BTreeMap::new(),
            contexts: Vec::new(),
            no_op: false,
            continues: false,
        }
    }
}

/// What a CircleCI job says of its machine beyond `resource_class: namespace/name`. Runners choose by the class; this
/// is carried for executors that make machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    pub kind: MachineKind,
    /// A size such as `medium` (a `resource_class` without namespace).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub xcode: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub docker_layer_caching: bool,
}

/// Which of the execution environments a job names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MachineKind {
    Docker,
    Machine,
    Macos,
}

/// When a job runs, given how those before it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum When {
    #[default]
    OnSuccess,
    OnFailure,
    Always,
    Manual,
    Delayed,
}

/// Whether a failure of the job counts. In JSON `true`, `false` or `{"exit_codes": [..]}`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AllowFailure {
    Flag(bool),
    ExitCodes {
        exit_codes: Vec<i32>,
    },
    /// As `Flag(false)`, in which form it is written.
    #[default]
    #[serde(skip_deserializing, serialize_with = "no")]
    No,
}

fn no<S: serde::Serializer>(out: S) -> Result<S::Ok, S::Error> {
    out.serialize_bool(false)
}

impl AllowFailure {
    /// Whether a failure with this exit code is allowed.
    #[must_use]
    pub fn allows(&self, exit_code: Option<i32>) -> bool {
        match self {
            Self::Flag(flag) => *flag,
            Self::No => false,
            Self::ExitCodes { exit_codes } => exit_code.is_some_and(|code| exit_codes.contains(&code)),
        }
    }
}

/// An edge of the graph, or a file dependency on another pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Need {
    pub job: String,
    /// Whether its artifacts are fetched.
    #[serde(default = "yes")]
    pub artifacts: bool,
    /// An optional need that does not exist is as if it were not written.
    #[serde(default)]
    pub optional: bool,
    /// Which results of the need let this job go on; empty = success only (CircleCI `requires` statuses).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<String>,
    /// Where the needed job is; absent = this pipeline.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<NeedSource>,
}

fn yes() -> bool {
    true
}

/// A need outside the own pipeline: fetches artifacts, never waits (but `mirror`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NeedSource {
    Pipeline {
        id: String,
    },
    Project {
        path: String,
        git_ref: String,
    },
    /// The job takes the status of another project's newest pipeline.
    Mirror {
        project: String,
    },
}

/// Automatic repetition of a failed job. A retry is a new task.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Retry {
    /// Extra attempts: 0–2 in GitLab.
    pub max: u32,
    /// Reasons that allow it; empty = always.
    #[serde(default)]
    pub when: Vec<RetryOn>,
    /// Exit codes that allow it; with `when` empty only these do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exit_codes: Vec<i32>,
}

/// Rules for the members of a matrix (GitHub `strategy`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Strategy {
    pub fail_fast: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_parallel: Option<u32>,
}

/// A place that a job deploys to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    pub name: String,
    /// As written: what it refers to may be known only when the job has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    #[serde(default)]
    pub action: EnvironmentAction,
    /// The job that stops it, as the configuration names it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_stop: Option<String>,
    /// Seconds until it is stopped by itself; 0: never, whatever was set before; absent: what was set stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auto_stop_in_s: Option<u64>,
    /// Absent: guessed from the name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tier: Option<String>,
}

/// What a job does to its environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentAction {
    #[default]
    Start,
    Stop,
    Prepare,
    Verify,
    Access,
}

/// A pipeline that a job starts (GitLab `trigger`, CircleCI continuation).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Downstream {
    pub target: DownstreamTarget,
    /// `None`: done when the pipeline is created. `depend` or `mirror` follow its status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<String>,
    #[serde(default)]
    pub forward: ForwardVariables,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub inputs: BTreeMap<String, serde_json::Value>,
}

/// Where the downstream pipeline's configuration comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DownstreamTarget {
    Project {
        path: String,
        branch: Option<String>,
    },
    /// A child pipeline: the entries of `include` as written.
    Child {
        include: serde_json::Value,
    },
    /// The job itself, compiled once the jobs that it needs have ended: it depends on what they give (GitHub: a matrix
    /// from outputs). `job` is its name in the configuration; empty: all jobs of the workflow.
    Part {
        file: String,
        job: String,
    },
}

/// Which variables travel downstream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForwardVariables {
    pub yaml: bool,
    pub pipeline: bool,
}

impl Default for ForwardVariables {
    fn default() -> Self {
        Self {
            yaml: true,
            pipeline: false,
        }
    }
}

/// GitLab `release`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    pub tag_name: String,
    pub description: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tag_message: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub git_ref: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released_at: Option<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub milestones: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<ReleaseLink>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseLink {
    pub name: String,
    pub url: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filepath: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_type: Option<String>,
}

/// Variables in the Plan's JSON are a map name → value (or an object where a flag is set), in order.
mod variables {
    use serde::de::{MapAccess, Visitor};
    use serde::ser::SerializeMap as _;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Variable;

    #[derive(Serialize, Deserialize)]
    #[serde(untagged)]
    enum Form {
        Plain(String),
        Full(Full),
    }

    #[derive(Serialize, Deserialize)]
    struct Full {
        value: String,
        #[serde(default)]
        file: bool,
        #[serde(default)]
        masked: bool,
        #[serde(default)]
        protected: bool,
        #[serde(default)]
        raw: bool,
    }

    pub(super) fn serialize<S: Serializer>(variables: &[Variable], out: S) -> Result<S::Ok, S::Error> {
        let mut map = out.serialize_map(Some(variables.len()))?;
        for v in variables {
            let plain = !(v.file || v.masked || v.protected || v.raw);
            let form = if plain {
                Form::Plain(v.value.clone())
            } else {
                Form::Full(Full {
                    value: v.value.clone(),
                    file: v.file,
                    masked: v.masked,
                    protected: v.protected,
                    raw: v.raw,
                })
            };
            map.serialize_entry(&v.key, &form)?;
        }
        map.end()
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(input: D) -> Result<Vec<Variable>, D::Error> {
        struct Ordered;
        impl<'de> Visitor<'de> for Ordered {
            type Value = Vec<Variable>;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("a map of variables")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut all = Vec::new();
                while let Some((key, form)) = map.next_entry::<String, Form>()? {
                    all.push(match form {
                        Form::Plain(value) => Variable::plain(key, value),
                        Form::Full(f) => Variable {
                            key,
                            value: f.value,
                            file: f.file,
                            masked: f.masked,
                            protected: f.protected,
                            raw: f.raw,
                        },
                    });
                }
                Ok(all)
            }
        }
        input.deserialize_map(Ordered)
    }
}
