//! What a project's configurations ask of whoever starts a pipeline by hand.

use tasuki_model::plan::Language;
use tasuki_model::trigger::Source;
use tasuki_pipeline::form::{self, Form};
use tasuki_pipeline::lang::{self, github};
use tasuki_store::projects::Project;

use super::configurations::find;
use super::create::{Read, Start};
use super::request::Want;
use super::{Error, Triggers};
use crate::config::ProjectSettings;

impl Triggers {
    /// The forms of the configurations at a ref, as far as those can be read and started by hand.
    ///
    /// # Errors
    /// There is no such ref, or git fails.
    pub async fn forms(&self, project: Project, git_ref: Option<&str>) -> Result<Vec<Form>, Error> {
        let mirror = self.latest(&project).await?;
        let (git_ref, tip) = self.pick(&project, &mirror, git_ref).await?;
        let settings = ProjectSettings::read(&project.settings_json);
        let start = Start::asked(project, git_ref, Read::Commit(tip), Want::by(Source::Web));
        let answerer = self.answerer(&start);
        let mut forms = Vec::new();
        for found in find(&answerer, &settings.config_path).await {
            let language = found.language();
            if found.path != github::FOLDER {
                forms.extend(form::of(language, &found.path, &found.text));
                continue;
            }
            for path in answerer.files_in(github::FOLDER).await {
                if lang::of_file(&path) == Some(Language::Github)
                    && let Some(text) = answerer.text(&path).await
                {
                    forms.extend(form::of(language, &path, &text));
                }
            }
        }
        Ok(forms)
    }
}
