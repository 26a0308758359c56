//! What the compiler is told about the world around a configuration file.

use serde::{Deserialize, Serialize};
use tasuki_model::plan::Variable;
use tasuki_model::time::Timestamp;
use tasuki_model::trigger::{Commit, GitRef, Source, Trigger};

use crate::yaml;

/// Everything besides the configuration that decides about a pipeline.
///
/// `Context::default()` is an ordinary push to `main` of an unnamed project; it is what static checks use.
#[derive(Debug, Clone)]
pub struct Context {
    pub trigger: Trigger,
    pub project: ProjectInfo,
    pub server: ServerInfo,
    pub pipeline: PipelineInfo,
    /// Variables of the settings of instance, groups and project.
    pub variables: Vec<ScopedVariable>,
    pub limits: Limits,
    /// Only this is compiled (GitHub).
    pub part: Option<Part>,
    /// Only this workflow is asked for: its file, the file's name, or its own name (GitHub, started by hand).
    pub workflow: Option<String>,
}

/// A job that could not be made with its pipeline, because it depends on what the jobs that it needs give.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// The file of its workflow.
    pub file: String,
    /// Its name in the configuration; empty: all jobs of a workflow, which waited for the workflow's group.
    pub job: String,
    /// Result and outputs of the jobs that it needs, by their names in the pipeline.
    pub needs: serde_json::Map<String, serde_json::Value>,
}

impl Default for Context {
    fn default() -> Self {
        Self {
            trigger: Trigger {
                source: Source::Push,
                git_ref: GitRef::Branch("main".to_owned()),
                commit: Commit {
                    sha: "0".repeat(40),
                    before_sha: "0".repeat(40),
                    ..Commit::default()
                },
                variables: Vec::new(),
                inputs: Vec::new(),
                merge_request: None,
                user: None,
                payload: None,
                schedule_description: None,
                upstream: None,
                by_token: false,
                origin: None,
            },
            project: ProjectInfo::default(),
            server: ServerInfo::default(),
            pipeline: PipelineInfo::default(),
            variables: Vec::new(),
            limits: Limits::default(),
            part: None,
            workflow: None,
        }
    }
}

/// The project that is built.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectInfo {
    pub id: i64,
    /// `namespace/name`; the namespace may have several parts.
    pub path: String,
    /// Display name; empty = the last part of the path.
    #[serde(default)]
    pub title: String,
    #[serde(default)]
    pub description: String,
    /// Address of the project's page.
    #[serde(default)]
    pub url: String,
    pub default_branch: String,
    /// `private`, `internal` or `public`.
    #[serde(default)]
    pub visibility: String,
    #[serde(default)]
    pub namespace_id: i64,
    #[serde(default)]
    pub topics: Vec<String>,
    /// Path of the configuration file, as set in the project.
    #[serde(default)]
    pub config_path: String,
}

impl Default for ProjectInfo {
    fn default() -> Self {
        Self {
            id: 0,
            path: "local/project".to_owned(),
            title: String::new(),
            description: String::new(),
            url: String::new(),
            default_branch: "main".to_owned(),
            visibility: "private".to_owned(),
            namespace_id: 0,
            topics: Vec::new(),
            config_path: ".gitlab-ci.yml".to_owned(),
        }
    }
}

/// The server that makes the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerInfo {
    /// Address without a trailing slash, e.g. `http://127.0.0.1:8800`.
    pub url: String,
    /// Name shown in `CI_SERVER_NAME`.
    pub name: String,
    pub version: String,
    #[serde(default)]
    pub revision: String,
}

impl Default for ServerInfo {
    fn default() -> Self {
        Self {
            url: "http://127.0.0.1".to_owned(),
            name: "tasuki".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            revision: String::new(),
        }
    }
}

/// What is known of the pipeline itself while it is made.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct PipelineInfo {
    /// Number of the pipeline in its project (`CI_PIPELINE_IID`).
    pub iid: i64,
    pub created_at: Timestamp,
    /// The ref is protected: protected variables are given to its jobs.
    #[serde(default)]
    pub protected_ref: bool,
    /// Open merge requests of the branch, `path!iid`.
    #[serde(default)]
    pub open_merge_requests: Vec<String>,
    /// Started with a trigger token.
    #[serde(default)]
    pub triggered: bool,
}

/// A variable of the settings, with where it is set and for which environments it counts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopedVariable {
    pub level: VariableLevel,
    /// `*`, an environment's name, or a pattern such as `review/*`.
    pub environment_scope: String,
    pub variable: Variable,
}

/// Where a variable is set. In order of precedence, the last wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VariableLevel {
    Instance,
    /// Depth of the group: 0 is the root group; nearer groups win.
    Group(u8),
    Project,
}

/// Bounds of what one compilation may cost. Each refusal names the file, the line and the figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Of one file.
    pub yaml: yaml::Limits,
    /// Files included, nested and repeated ones counted.
    pub includes: usize,
    /// Bytes of all files together.
    pub total_bytes: usize,
    /// Generations of `extends`.
    pub extends: usize,
    /// Jobs of one pipeline after parallel expansion.
    pub jobs: usize,
    /// Needs of one job after parallel expansion.
    pub needs: usize,
    /// Jobs that one `parallel` makes.
    pub parallel: usize,
    /// Diagnostics reported; the rest is counted.
    pub diagnostics: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            yaml: yaml::Limits::default(),
            includes: 150,
            total_bytes: 314_572_800,
            extends: 10,
            jobs: 50_000,
            needs: 50,
            parallel: 200,
            diagnostics: 200,
        }
    }
}
