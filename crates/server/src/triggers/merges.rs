//! Pipelines of merge requests.

use tasuki_model::trigger::{GitRef, MergeRequest, Source};
use tasuki_store::merge_requests;
use tasuki_store::projects::Project;

use super::create::{Circumstances, Read, Start};
use super::forge::{Change, Merge, PushOptions};
use super::{Error, Triggers};
use crate::config::ProjectSettings;

impl Triggers {
    /// Notes a merge request; gives the start of its pipeline, or why there is none.
    pub(super) async fn merge(
        &self,
        project: Project,
        merge: Merge,
        key: String,
    ) -> Result<Result<Start, &'static str>, Error> {
        let row = merge_requests::MergeRequest {
            project_id: project.id,
            iid: merge.request.iid,
            source_branch: merge.request.source_branch.clone(),
            target_branch: merge.request.target_branch.clone(),
            forked: merge.forked,
            open: merge.what != Change::Closed,
            updated_ms: self.now(),
        };
        self.inner
            .parts
            .store
            .write(move |tx| merge_requests::put(tx, &row))
            .await?;
        match merge.what {
            Change::Commits => {}
            Change::Words => return Ok(Err("the merge request has no new commits")),
            Change::Closed => {
                let git_ref = GitRef::MergeRequest {
                    iid: merge.request.iid,
                    kind: "head".to_owned(),
                };
                self.ref_is_gone(project.id, &git_ref).await?;
                return Ok(Err("the merge request is closed"));
            }
        }
        let settings = ProjectSettings::read(&project.settings_json);
        if merge.forked && !settings.build_forks {
            // Anybody may open one, and what it builds sees the project's unprotected variables.
            return Ok(Err(
                "the merge request comes from a fork, and the project does not build those",
            ));
        }
        let mirror = self.fetched(&project).await?;
        let commit = self.commit(&project, &mirror, &merge.head).await?;
        let target = mirror
            .resolve(&format!("refs/heads/{}", merge.request.target_branch))
            .await?;
        let base = match &target {
            Some(target) => mirror.merge_base(target, &commit).await?,
            None => None,
        };
        let protected = |branch: &str| settings.is_protected(branch, &project.default_branch);
        let request = MergeRequest {
            source_sha: commit.to_string(),
            target_sha: target.map(|tip| tip.to_string()).unwrap_or_default(),
            diff_base_sha: base.map(|base| base.to_string()).unwrap_or_default(),
            source_protected: !merge.forked && protected(&merge.request.source_branch),
            target_protected: protected(&merge.request.target_branch),
            ..merge.request
        };
        Ok(Ok(Start {
            git_ref: GitRef::MergeRequest {
                iid: request.iid,
                kind: "head".to_owned(),
            },
            project,
            read: Read::Commit(commit),
            before: None,
            source: Source::MergeRequestEvent,
            variables: Vec::new(),
            inputs: Vec::new(),
            user: merge.user,
            options: PushOptions::default(),
            payload: None,
            key: Some(key),
            selection: None,
            more: Circumstances {
                merge_request: Some(request),
                ..Circumstances::default()
            },
        }))
    }
}
