//! What to check out, and from where.

use tasuki_model::secret::Secret;
use tasuki_model::trigger::GitRef;
use tasuki_proto::gitlab::{GitInfo, JobVariable, RefType};

use super::Facts;

/// Commits of history that are fetched unless `GIT_DEPTH` says otherwise, as GitLab's default for new projects.
const DEFAULT_DEPTH: i64 = 20;

/// The repository below `url`, with the task's token as password.
pub(super) fn repository_url(url: &str, project: &str, token: &Secret) -> String {
    let (scheme, rest) = url.split_once("://").unwrap_or(("http", url));
    format!("{scheme}://gitlab-ci-token:{}@{rest}/{project}.git", token.expose())
}

pub(super) fn git_info(facts: &Facts<'_>, repo_url: String, variables: &[JobVariable]) -> GitInfo {
    let trigger = &facts.context.trigger;
    let depth = depth(variables);
    let sha = trigger.commit.sha.clone();
    GitInfo {
        repo_url,
        repo_object_format: if sha.len() == 64 { "sha256" } else { "sha1" }.to_owned(),
        git_ref: trigger.git_ref.short(),
        before_sha: if trigger.commit.before_sha.is_empty() {
            "0".repeat(sha.len())
        } else {
            trigger.commit.before_sha.clone()
        },
        ref_type: match trigger.git_ref {
            GitRef::Tag(_) => RefType::Tag,
            GitRef::Branch(_) | GitRef::MergeRequest { .. } => RefType::Branch,
        },
        refspecs: refspecs(facts, depth),
        depth,
        protected: Some(facts.context.pipeline.protected_ref),
        sha,
    }
}

/// `GIT_DEPTH` of the task, where it is a number; 0 is the whole history.
fn depth(variables: &[JobVariable]) -> i64 {
    let set = variables.iter().rev().find(|v| v.key == "GIT_DEPTH");
    set.and_then(|v| v.value.trim().parse().ok())
        .map_or(DEFAULT_DEPTH, |depth: i64| depth.max(0))
}

fn refspecs(facts: &Facts<'_>, depth: i64) -> Vec<String> {
    let pipeline = facts.pipeline;
    let mut all = vec![format!("+refs/pipelines/{pipeline}:refs/pipelines/{pipeline}")];
    match &facts.context.trigger.git_ref {
        GitRef::MergeRequest { .. } => {}
        GitRef::Branch(_) | GitRef::Tag(_) if depth == 0 => {
            all.push("+refs/heads/*:refs/remotes/origin/*".to_owned());
            all.push("+refs/tags/*:refs/tags/*".to_owned());
        }
        GitRef::Branch(name) => all.push(format!("+refs/heads/{name}:refs/remotes/origin/{name}")),
        GitRef::Tag(name) => all.push(format!("+refs/tags/{name}:refs/tags/{name}")),
    }
    all
}
