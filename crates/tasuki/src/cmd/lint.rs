//! `tasuki lint`.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};
use tasuki_model::plan::Language;
use tasuki_pipeline::diag::{Colour, code_quality, github, human, sarif};
use tasuki_pipeline::{Context, Diagnostic, Severity, lint};

use super::folder::{Config, Lines, language, usual};
use crate::exit::{Exit, Mark as _, Outcome};
use crate::print::{self, Style};
use crate::role::block_on;

/// Check CI configurations without running them.
///
/// Without files those at the usual places of the folder are checked. Included files are read from the folder and,
/// for `include: remote`, from the network. Rules are checked, not evaluated: `tasuki compile` does that.
///
/// Examples:
///   tasuki lint
///   tasuki lint ci/build.yml --lang gitlab
///   tasuki lint --format sarif > lint.sarif
///   tasuki lint --format github
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Lint {
    /// Files to check
    files: Vec<PathBuf>,
    /// Language of the files, where their names do not tell: gitlab, circleci, github
    #[arg(long, value_name = "LANG", value_parser = language)]
    lang: Option<Language>,
    /// Form of the findings
    #[arg(long, value_enum, default_value_t = Format::Human)]
    format: Format,
    /// The same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    #[value(name = "text", alias = "human")]
    Human,
    /// A list of objects with severity, code, message, file, line, column, hint
    Json,
    /// SARIF 2.1.0, for code scanning
    Sarif,
    /// GitLab's code quality report
    #[value(name = "gitlab", alias = "code-quality")]
    CodeQuality,
    /// Annotations of GitHub's workflows
    Github,
}

impl Lint {
    pub(crate) fn run(self) -> Outcome {
        let here = std::env::current_dir()?;
        let files = if self.files.is_empty() {
            found(&here)?
        } else {
            self.files.clone()
        };
        let configs = files
            .iter()
            .map(|file| Config::read(file, self.lang))
            .collect::<anyhow::Result<Vec<_>>>()?;
        let mut lines = Lines::default();
        let mut all = Vec::new();
        for config in &configs {
            let found = block_on(check(config))?;
            lines.add(&config.name, &config.text);
            lines.add_from(&config.root, found.iter().map(|d| d.file.as_str()));
            all.extend(found);
        }
        let errors = all.iter().filter(|d| d.is_error()).count();
        match if self.json { Format::Json } else { self.format } {
            Format::Human => people(&all, &lines, configs.len())?,
            Format::Json => print::json(&all)?,
            Format::Sarif => print::json(&sarif(&all))?,
            Format::CodeQuality => print::json(&code_quality(&all))?,
            Format::Github => print::raw(&github(&all))?,
        }
        Ok(if errors == 0 { Exit::Success } else { Exit::Failed })
    }
}

fn found(here: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let root = tasuki_server::git::top_level(here).unwrap_or_else(|_| here.to_owned());
    let files = usual(&root);
    if files.is_empty() {
        return Err(anyhow::anyhow!("there is no CI configuration in {}", root.display()))
            .usage()
            .hint("create .gitlab-ci.yml, or name the files to check");
    }
    Ok(files)
}

async fn check(config: &Config) -> anyhow::Result<Vec<Diagnostic>> {
    let answerer = config.answerer(&Context::default(), None, None);
    let output = answerer
        .drive(|answers| lint(config.language, &config.name, &config.text, answers))
        .await;
    let output =
        output.map_err(|last| anyhow::anyhow!("the configuration never stops asking for files, last {last:?}"))?;
    Ok(output.diagnostics)
}

/// Prints diagnostics with quotes and a verdict.
pub(super) fn people(all: &[Diagnostic], lines: &Lines, files: usize) -> anyhow::Result<()> {
    let errors = all.iter().filter(|d| d.is_error()).count();
    let style = Style::stdout();
    let colour = if style == Style::Colour {
        Colour::Always
    } else {
        Colour::Never
    };
    for diagnostic in all {
        print::line(&human(diagnostic, lines, colour))?;
    }
    let warnings = all.iter().filter(|d| d.severity == Severity::Warning).count();
    let count = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
    let verdict = match (errors, warnings) {
        (0, 0) => style.green("no findings"),
        (0, _) => style.green(&format!("no errors, {}", count(warnings, "warning"))),
        _ => style.red(&format!("{}, {}", count(errors, "error"), count(warnings, "warning"))),
    };
    print::line(&format!("{}: {verdict}", count(files, "file")))
}
