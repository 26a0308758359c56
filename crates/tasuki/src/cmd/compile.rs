//! `tasuki compile`.

use std::path::PathBuf;

use clap::Args;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Input, Output};

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
    /// Only this GitHub workflow, of those that are started by hand: its file, the file's name, or its own name
    #[arg(long, value_name = "NAME")]
    workflow: Option<String>,
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
        print::json(&output.to_json(config.language)?)?;
        Ok(if failed { Exit::Failed } else { Exit::Success })
    }

    async fn compile(&self, config: &Config) -> anyhow::Result<Output> {
        let home = tempfile::tempdir()?;
        let tree = worktree(home.path(), &config.root).await?;
        let wish = self.trigger.wish(self.workflow.as_deref());
        let context = wish.context(&config.root, tree.as_ref().map(|(_, tree)| tree), &config.name);
        let answerer = config.answerer(&context, tree, self.trigger.changed());
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
