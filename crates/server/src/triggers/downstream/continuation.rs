//! CircleCI's dynamic configuration: a job of a `setup` configuration gives the one that follows it.

use serde_json::Value;
use tasuki_model::id::PipelineId;
use tasuki_model::plan::Language;
use tasuki_model::trigger::Source;
use tasuki_pipeline::Skip;
use tasuki_store::pipelines::{self, Pipeline};
use tasuki_store::{Tx, tasks};

use super::{Wanting, before, upstream, wanting_of};
use crate::triggers::create::{Circumstances, Read, Start, Started};
use crate::triggers::forge::PushOptions;
use crate::triggers::{Error, Key, NoPipeline, Triggers, first};

/// What became of a configuration that a job gave.
#[derive(Debug)]
pub enum Continued {
    Made(PipelineId),
    /// It has no jobs for this start.
    Nothing,
    /// No job that runs and may continue its pipeline has this key.
    UnknownKey,
    Refused(Vec<String>),
}

impl Triggers {
    /// Makes the pipeline that follows a `setup` pipeline: same project, ref and commit, once. `hash` is that of the key,
    /// which is the token of a job of it that runs.
    ///
    /// # Errors
    /// Git, the database or the scheduler fails. It may be asked again then.
    pub async fn continue_setup(
        &self,
        hash: String,
        configuration: String,
        parameters: Vec<(String, Value)>,
    ) -> Result<Continued, Error> {
        let store = &self.inner.parts.store;
        let Some(wanting) = store.read(move |tx| holder(tx, &hash)).await? else {
            return Ok(Continued::UnknownKey);
        };
        let given = &wanting.trigger.inputs;
        if parameters
            .iter()
            .any(|(name, _)| given.iter().any(|(known, _)| known == name))
        {
            return Ok(refused("Conflicting pipeline parameters."));
        }
        let inputs = given.iter().cloned().chain(parameters).collect();
        let start = self.continuation(&wanting, configuration, inputs)?;
        Ok(match first(self.create(start).await?) {
            Started::New { id, .. } => Continued::Made(id),
            Started::Existing(_) => refused("The pipeline has been continued already."),
            Started::None(NoPipeline::Skipped(Skip::NoJobs)) => Continued::Nothing,
            Started::None(why) => Continued::Refused(why_not(why)),
        })
    }

    fn continuation(
        &self,
        wanting: &Wanting,
        configuration: String,
        inputs: Vec<(String, Value)>,
    ) -> Result<Start, Error> {
        let trigger = &wanting.trigger;
        let origin = trigger.origin.unwrap_or(trigger.source);
        let mut read = self.own_files(wanting, &trigger.variables, Some(origin))?;
        if let Read::Folder { trigger, .. } = &mut read {
            trigger.inputs.clone_from(&inputs);
        }
        Ok(Start {
            project: wanting.project.clone(),
            git_ref: trigger.git_ref.clone(),
            read,
            before: before(trigger),
            source: Source::ParentPipeline,
            variables: trigger.variables.clone(),
            inputs,
            user: trigger.user.clone(),
            options: PushOptions::default(),
            payload: trigger.payload.clone(),
            key: Some(Key::continuation(wanting.pipeline.id)),
            selection: None,
            more: Circumstances {
                config: Some(configuration),
                only: Some(Language::Circleci),
                origin: Some(origin),
                merge_request: trigger.merge_request.clone(),
                upstream: Some(upstream(wanting)),
                ..Circumstances::default()
            },
        })
    }
}

/// The pipeline that follows a `setup` pipeline.
///
/// # Errors
/// The database fails.
pub fn continuation_of(tx: &mut Tx<'_>, setup: &Pipeline) -> tasuki_store::Result<Option<Pipeline>> {
    match pipelines::by_idempotency_key(tx, Key::continuation(setup.id).as_str())? {
        Some(id) => pipelines::get(tx, id),
        None => Ok(None),
    }
}

/// The `setup` pipeline that a pipeline follows.
///
/// # Errors
/// The database fails.
pub fn setup_of(tx: &mut Tx<'_>, following: &Pipeline) -> tasuki_store::Result<Option<Pipeline>> {
    match following.idempotency_key.as_deref().and_then(Key::continued) {
        Some(id) => pipelines::get(tx, id),
        None => Ok(None),
    }
}

/// The job that runs with this token, where it may continue its pipeline.
fn holder(tx: &mut Tx<'_>, hash: &str) -> tasuki_store::Result<Option<Wanting>> {
    let Some(task) = tasks::by_token_hash(tx, hash)? else {
        return Ok(None);
    };
    let found = wanting_of(tx, task.job_id, task.pipeline_id)?;
    Ok(found.filter(|wanting| wanting.job.continues))
}

fn refused(why: &str) -> Continued {
    Continued::Refused(vec![why.to_owned()])
}

fn why_not(why: NoPipeline) -> Vec<String> {
    match why {
        NoPipeline::Missing(path) => vec![format!("there is no {path}")],
        NoPipeline::Skipped(skip) => vec![skip.title().to_owned()],
        NoPipeline::Unwanted => vec!["no pipeline was wanted".to_owned()],
        NoPipeline::Invalid(found) => {
            let errors = found.into_iter().filter(tasuki_pipeline::Diagnostic::is_error);
            errors
                .map(|d| format!("{}:{}:{} {}", d.file, d.line, d.column, d.message))
                .collect()
        }
    }
}
