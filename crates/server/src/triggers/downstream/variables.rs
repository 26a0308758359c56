//! The variables that a job gives to the pipeline it starts.

use std::sync::Arc;

use tasuki_model::plan::{Downstream, Variable};
use tasuki_pipeline::lang::gitlab::predefined::{self, JobFacts};
use tasuki_pipeline::lang::gitlab::variables::{Layer, Scope, Sources, settings};
use tasuki_pipeline::{Context, PipelineInfo};
use tracing::warn;

use super::Wanting;
use crate::config::ProjectSettings;
use crate::http::runner_api::dotenv;
use crate::payload::dotenv_of_needs;
use crate::triggers::create::{is_protected, project_info};
use crate::triggers::{Error, Triggers};

impl Triggers {
    /// What `forward` lets through, as pipeline variables of the new pipeline: those of the configuration and of dotenv
    /// reports, then those that the job's own pipeline was started with. Values are expanded here, where their
    /// references mean something.
    pub(super) async fn forwarded(&self, wanting: &Wanting, downstream: &Downstream) -> Result<Vec<Variable>, Error> {
        let given = &wanting.trigger.variables;
        let mut names: Vec<&Variable> = Vec::new();
        let reports = self.dotenv_for(wanting).await?;
        if downstream.forward.yaml {
            names.extend(&wanting.job.variables);
            names.extend(&reports);
        }
        if downstream.forward.pipeline {
            names.extend(given);
        }
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let all = self.sources(wanting, reports.clone()).await?;
        let layer = Layer::new(all.in_order());
        let scope = Scope::new(vec![&layer]);
        let mut out: Vec<Variable> = Vec::with_capacity(names.len());
        for variable in names {
            out.retain(|known| known.key != variable.key);
            out.push(sent(variable, &scope));
        }
        Ok(out)
    }

    async fn sources(&self, wanting: &Wanting, dotenv: Vec<Variable>) -> Result<Sources, Error> {
        let parts = &self.inner.parts;
        let own = ProjectSettings::read(&wanting.project.settings_json);
        let (vault, row) = (Arc::clone(&parts.vault), wanting.project.clone());
        let context = Context {
            trigger: wanting.trigger.clone(),
            project: project_info(&wanting.project, &own, &parts.server.url),
            server: parts.server.clone(),
            pipeline: PipelineInfo {
                iid: wanting.pipeline.iid,
                created_at: wanting.pipeline.created_ms,
                protected_ref: is_protected(&own, &wanting.project.default_branch, &wanting.trigger),
                ..PipelineInfo::default()
            },
            variables: parts.store.read(move |tx| vault.variables(tx, &row)).await?,
            ..Context::default()
        };
        let environment = wanting.job.environment.as_ref().map(|e| e.name.as_str());
        let id = wanting.pipeline.id;
        Ok(Sources {
            persisted: vec![
                Variable::plain("CI_PIPELINE_ID", id.to_string()),
                Variable::plain("CI_PIPELINE_URL", format!("{}/pipelines/{id}", parts.server.url)),
            ],
            job: predefined::job(&JobFacts::of(&wanting.job)),
            pipeline: predefined::pipeline(&context, wanting.pipeline.name.as_deref()),
            yaml: wanting.job.variables.clone(),
            user: predefined::user(&context),
            dotenv,
            settings: settings(&context, environment),
            given: wanting.trigger.variables.clone(),
            ..Sources::default()
        })
    }

    /// Variables of the dotenv reports that the job depends on. A report that cannot be read any more gives none.
    async fn dotenv_for(&self, wanting: &Wanting) -> Result<Vec<Variable>, Error> {
        let parts = &self.inner.parts;
        let (row, job, now) = (wanting.row.clone(), wanting.job.clone(), self.now());
        let keys = parts.store.read(move |tx| dotenv_of_needs(tx, &row, &job, now)).await?;
        let mut all = Vec::new();
        for key in keys {
            match dotenv::read_from(&parts.files, &parts.limits, &key).await {
                Ok(variables) => all.extend(variables),
                Err(wrong) => warn!(?wrong, job.id = wanting.row.id.0, "a dotenv report cannot be read"),
            }
        }
        Ok(all)
    }
}

/// As it is sent: with its final value. References to files travel as files.
fn sent(variable: &Variable, scope: &Scope<'_>) -> Variable {
    let mut out = variable.clone();
    if !variable.raw {
        let lone = variable
            .value
            .strip_prefix('$')
            .map(|name| name.trim_matches(['{', '}']));
        if let Some(file) = lone.and_then(|name| scope.variable(name)).filter(|found| found.file) {
            out.value.clone_from(&file.value);
            out.file = true;
        } else {
            out.value = scope.expand(&variable.value);
        }
        // It was expanded; a `$` that is left is meant.
        out.raw = !out.file;
    }
    out
}
