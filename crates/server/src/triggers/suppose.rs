//! What would come of a start: the Plans, without a pipeline.

use tasuki_model::plan::Language;
use tasuki_model::trigger::{MergeRequest, Source};
use tasuki_pipeline::Output;
use tasuki_store::projects::Project;

use super::configurations::found;
use super::create::{Read, Start};
use super::request::Want;
use super::{Error, Triggers};
use crate::config::ProjectSettings;

/// What would come of one configuration.
#[derive(Debug)]
pub struct Planned {
    /// Its path.
    pub config: String,
    pub language: Language,
    pub output: Output,
}

impl Triggers {
    /// What each configuration makes of a start, in the order GitLab, CircleCI, GitHub; nothing is saved.
    ///
    /// # Errors
    /// Git or the database fails; the jobs or the workflow that are named are in none of them.
    pub async fn plans(&self, start: &Start) -> Result<Vec<Planned>, Error> {
        let settings = ProjectSettings::read(&start.project.settings_json);
        let trigger = self.trigger(start).await?;
        let answerer = self.answerer(start);
        let mut plans = Vec::new();
        for found in found(start, &settings, &answerer).await {
            let (_, mut output) = self.compile(start, &settings, &trigger, &found).await?;
            if let (Some(wanted), Some(plan)) = (&start.selection, &mut output.plan) {
                wanted.apply(plan)?;
            }
            plans.push(Planned {
                language: found.language(),
                config: found.path,
                output,
            });
        }
        Ok(plans)
    }

    /// The same of a ref of the project as its mirror has it. For the event of a merge request it is one of that branch
    /// into the default branch, as it would be if it were opened now.
    ///
    /// # Errors
    /// As [`Triggers::plans`]; there is no such ref.
    pub async fn suppose(&self, project: Project, mut want: Want) -> Result<Vec<Planned>, Error> {
        let mirror = self.latest(&project).await?;
        let (mut git_ref, commit) = self.pick(&project, &mirror, want.git_ref.as_deref()).await?;
        if want.source == Source::MergeRequestEvent {
            let described = mirror.commit(&commit, &git_ref).await?;
            let request = MergeRequest::supposed(&git_ref.short(), &described, &project.default_branch);
            git_ref = request.head();
            want.more.merge_request = Some(request);
        }
        self.plans(&Start::asked(project, git_ref, Read::Commit(commit), want))
            .await
    }
}
