//! A folder of this machine as a project, and what its pipeline is told about its start: `compile` and `exec`.

use std::path::Path;

use serde_json::Value;
use tasuki_model::plan::Variable;
use tasuki_model::trigger::{Commit, GitRef, MergeRequest, Source, Trigger};
use tasuki_pipeline::{Context, PipelineInfo, ProjectInfo, ServerInfo};

use super::create::is_protected;
use super::project_path;
use crate::config::ProjectSettings;
use crate::git::Worktree;

/// How a folder's pipeline is to start.
#[derive(Debug, Clone)]
pub struct Wish {
    pub source: Source,
    /// What is built, by name; `None` = what is checked out.
    pub name: Option<String>,
    pub kind: Kind,
    pub variables: Vec<(String, String)>,
    pub inputs: Vec<(String, Value)>,
    /// Only this workflow, of those that are started by hand (GitHub).
    pub workflow: Option<String>,
}

/// What the name of a [`Wish`] is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Branch,
    Tag,
}

impl Wish {
    /// The trigger for a folder; `default_branch` is the target of a merge request.
    #[must_use]
    pub fn trigger(&self, worktree: Option<&Worktree>, default_branch: &str) -> Trigger {
        let branch = worktree.and_then(|tree| tree.branch.clone());
        let name = self.name.clone().or(branch).unwrap_or_else(|| "HEAD".to_owned());
        let zeros = "0".repeat(40);
        let unborn = || Commit {
            sha: zeros.clone(),
            before_sha: zeros.clone(),
            ..Commit::default()
        };
        let commit = worktree.and_then(|tree| tree.commit.clone()).unwrap_or_else(unborn);
        let merge_request =
            (self.source == Source::MergeRequestEvent).then(|| MergeRequest::supposed(&name, &commit, default_branch));
        let git_ref = match (self.kind, &merge_request) {
            (Kind::Tag, _) => GitRef::Tag(name),
            (Kind::Branch, Some(request)) => request.head(),
            (Kind::Branch, None) => GitRef::Branch(name),
        };
        let login = commit.author_email.split('@').next().unwrap_or_default().to_owned();
        let user = (!login.is_empty()).then(|| (login, commit.author_name.clone(), commit.author_email.clone()));
        Trigger {
            source: self.source,
            git_ref,
            commit,
            variables: self
                .variables
                .iter()
                .map(|(key, value)| Variable::plain(key, value))
                .collect(),
            inputs: self.inputs.clone(),
            merge_request,
            user,
            payload: None,
            schedule_description: None,
            upstream: None,
            by_token: false,
            origin: None,
        }
    }

    /// Everything that decides about the Plan of the configuration `config` of a folder.
    #[must_use]
    pub fn context(&self, root: &Path, worktree: Option<&Worktree>, config: &str) -> Context {
        let mut project = project(root, worktree, config);
        let server = ServerInfo::default();
        project.url = format!("{}/{}", server.url, project.path);
        let trigger = self.trigger(worktree, &project.default_branch);
        Context {
            pipeline: PipelineInfo {
                iid: 1,
                protected_ref: is_protected(&ProjectSettings::default(), &project.default_branch, &trigger),
                ..PipelineInfo::default()
            },
            trigger,
            project,
            server,
            workflow: self.workflow.clone(),
            ..Context::default()
        }
    }
}

/// A folder as a project: `local/<name of the folder>`.
#[must_use]
pub fn project(root: &Path, worktree: Option<&Worktree>, config: &str) -> ProjectInfo {
    let folder = root.file_name().and_then(|name| name.to_str()).unwrap_or("project");
    let default_branch = worktree.map_or_else(|| "main".to_owned(), Worktree::default_branch);
    let path = project_path("local", folder);
    ProjectInfo {
        id: 1,
        title: path.rsplit('/').next().unwrap_or_default().to_owned(),
        path,
        default_branch,
        config_path: config.to_owned(),
        ..ProjectInfo::default()
    }
}
