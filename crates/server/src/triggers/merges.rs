//! Pipelines of merge requests.

use tasuki_model::plan::Language;
use tasuki_model::trigger::{MergeRequest, Source};
use tasuki_store::merge_requests;
use tasuki_store::projects::Project;

use super::create::{Circumstances, Read, Start};
use super::forge::{Change, Merge, PushOptions};
use super::{Error, Key, Triggers};
use crate::config::ProjectSettings;

impl Triggers {
    /// Notes a merge request; gives the start of its pipelines, or why there are none. Changes that bring no commits are
    /// the concern of workflows that ask for them (`types`).
    pub(super) async fn merge(
        &self,
        project: Project,
        merge: Merge,
        key: Key,
    ) -> Result<Result<Start, &'static str>, Error> {
        let row = merge_requests::MergeRequest {
            project_id: project.id,
            iid: merge.request.iid,
            source_branch: merge.request.source_branch.clone(),
            target_branch: merge.request.target_branch.clone(),
            forked: merge.request.forked,
            open: merge.what != Change::Closed,
            updated_ms: self.now(),
        };
        self.inner
            .parts
            .store
            .write(move |tx| merge_requests::put(tx, &row))
            .await?;
        if merge.what == Change::Closed {
            self.ref_is_gone(project.id, &merge.request.head()).await?;
        }
        let settings = ProjectSettings::read(&project.settings_json);
        if merge.request.forked && !settings.build_forks {
            // Anybody may open one, and it runs on the project's runners.
            return Ok(Err(
                "the merge request comes from a fork, and the project does not build those",
            ));
        }
        let mirror = self.fetched(&project).await?;
        let commit = self
            .commit(&project, &mirror, merge.merge_commit.as_ref().unwrap_or(&merge.head))
            .await?;
        let target = mirror
            .resolve(&format!("refs/heads/{}", merge.request.target_branch))
            .await?;
        let base = match (&target, &merge.merge_commit) {
            // What it brought is in the target by now.
            (_, Some(merged)) => mirror.resolve(&format!("{merged}^")).await?,
            (Some(target), None) => mirror.merge_base(target, &commit).await?,
            (None, None) => None,
        };
        let protected = |branch: &str| settings.is_protected(branch, &project.default_branch);
        let request = MergeRequest {
            source_sha: merge.head.to_string(),
            target_sha: target.map(|tip| tip.to_string()).unwrap_or_default(),
            diff_base_sha: base.map(|base| base.to_string()).unwrap_or_default(),
            source_protected: !merge.request.forked && protected(&merge.request.source_branch),
            target_protected: protected(&merge.request.target_branch),
            ..merge.request
        };
        Ok(Ok(Start {
            git_ref: request.head(),
            project,
            read: Read::Commit(commit),
            before: None,
            source: Source::MergeRequestEvent,
            variables: Vec::new(),
            inputs: Vec::new(),
            user: merge.user,
            options: PushOptions::default(),
            payload: merge.payload,
            key: Some(key),
            selection: None,
            more: Circumstances {
                merge_request: Some(request),
                only: (merge.what != Change::Commits).then_some(Language::Github),
                ..Circumstances::default()
            },
        }))
    }
}
