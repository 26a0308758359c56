//! `tasuki compile`.

use std::path::PathBuf;

use clap::Args;
use serde_json::{Map, Value, json};
use tasuki_model::plan::Language;
use tasuki_pipeline::{Context, Input, Output, ProjectInfo};
use tasuki_server::git::Worktree;

use super::folder::{Config, language, worktree};
use super::trigger::TriggerArgs;
use crate::exit::{Exit, Outcome};
use crate::print;
use crate::role::block_on;

/// Print the Plan that a configuration compiles to, as JSON.
///
/// In a folder with configurations of several languages it is that of GitLab, CircleCI, GitHub, in this order;
/// `--lang` chooses.
///
/// Rules are evaluated for the trigger that the options describe; nothing runs. Exit code 1 with the diagnostics in
/// the output where the configuration has errors.
///
/// Examples:
///   tasuki compile
///   tasuki compile --event merge_request --changed src/main.rs
///   tasuki compile --tag v1.0 --var DEPLOY=yes | jq '.workflows[0].jobs[].name'
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Compile {
    /// The configuration [default: the one of the folder]
    file: Option<PathBuf>,
    /// Its language, where the name does not tell: gitlab, circleci, github
    #[arg(long, value_name = "LANG", value_parser = language)]
    lang: Option<Language>,
    /// A path that counts as changed; without any all do
    #[arg(long, value_name = "PATH")]
    changed: Vec<String>,
    #[command(flatten)]
    trigger: TriggerArgs,
    /// The Plan is JSON always; accepted so that scripts can say it
    #[arg(long)]
    json: bool,
}

impl Compile {
    pub(crate) fn run(self) -> Outcome {
        let config = match &self.file {
            Some(file) => Config::read(file, self.lang)?,
            None => Config::find(&std::env::current_dir()?, self.lang)?,
        };
        let output = block_on(self.compile(&config))?;
        let failed = output.has_errors();
        print::json(&plan_json(config.language, &output)?)?;
        Ok(if failed { Exit::Failed } else { Exit::Success })
    }

    async fn compile(&self, config: &Config) -> anyhow::Result<Output> {
        let home = tempfile::tempdir()?;
        let tree = worktree(home.path(), &config.root).await?;
        let project = project_of(config, tree.as_ref().map(|(_, tree)| tree));
        let trigger = self
            .trigger
            .trigger(tree.as_ref().map(|(_, tree)| tree), &project.default_branch);
        let context = Context {
            trigger,
            project,
            ..Context::default()
        };
        let changed = (!self.changed.is_empty()).then(|| self.changed.clone());
        let answerer = config.answerer(&context, tree, changed);
        let input = Input {
            lang: config.language,
            file: &config.name,
            text: &config.text,
            context: &context,
        };
        let output = answerer.compile(&input).await;
        output.map_err(|last| anyhow::anyhow!("the configuration never stops asking for files, last {last:?}"))
    }
}

/// A folder as a project: `local/<name of the folder>`.
pub(super) fn project_of(config: &Config, tree: Option<&Worktree>) -> ProjectInfo {
    let folder = config
        .root
        .file_name()
        .and_then(|name| name.to_str())
        .unwrap_or("project");
    let default_branch = tree.map_or_else(|| "main".to_owned(), Worktree::default_branch);
    ProjectInfo {
        id: 1,
        path: tasuki_server::triggers::project_path("local", folder),
        default_branch,
        config_path: config.name.clone(),
        ..ProjectInfo::default()
    }
}

/// The Plan with its diagnostics; without a Plan the same shape with no workflows.
fn plan_json(language: Language, output: &Output) -> anyhow::Result<Value> {
    let mut plan = match &output.plan {
        Some(plan) => serde_json::to_value(plan)?,
        None => json!({"version": 1, "language": language.as_str(), "workflows": []}),
    };
    let fields = plan.as_object_mut().map(std::mem::take).unwrap_or_default();
    let mut ordered = Map::new();
    for (key, value) in fields {
        if key == "workflows" {
            ordered.insert("diagnostics".to_owned(), serde_json::to_value(&output.diagnostics)?);
            if let Some(skip) = output.skipped {
                ordered.insert("skipped".to_owned(), json!({"reason": skip, "message": skip.title()}));
            }
        }
        ordered.insert(key, value);
    }
    Ok(Value::Object(ordered))
}
