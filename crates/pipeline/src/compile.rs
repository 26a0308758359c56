//! The driver: one call is one attempt with the answers that are there.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tasuki_model::plan::{Language, PLAN_VERSION, Plan};

use crate::context::Context;
use crate::diag::Diagnostic;
use crate::lang;
use crate::request::{Answer, Answers, Refusal, Request};
use crate::session::{Mode, Session};
use crate::yaml::Node;

/// A configuration, and what decides about it.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    pub lang: Language,
    /// Path shown in diagnostics.
    pub file: &'a str,
    pub text: &'a str,
    pub context: &'a Context,
}

/// Result of one attempt.
#[derive(Debug)]
pub enum Compile {
    /// Answer these and call again. Never empty, and never asks what was answered before.
    Need(Vec<Request>),
    Done(Output),
}

/// A compiled configuration, or why there is none.
#[derive(Debug, Default)]
pub struct Output {
    /// Absent where a diagnostic is an error or the pipeline is skipped. Of a folder of GitHub workflows it has those
    /// whose files have no errors, if there are some.
    pub plan: Option<Plan>,
    /// In the order of files and lines.
    pub diagnostics: Vec<Diagnostic>,
    /// The configuration is good, but makes no pipeline now.
    pub skipped: Option<Skip>,
    /// The configuration with everything included, extended and referenced put in its place, as far as that got.
    pub merged: Option<Node>,
}

impl Output {
    /// Whether a diagnostic stands in the way of a pipeline.
    #[must_use]
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// The Plan with its diagnostics as JSON; without a Plan the same shape with no workflows.
    ///
    /// # Errors
    /// A value of the Plan cannot be written as JSON.
    pub fn to_json(&self, language: Language) -> serde_json::Result<Value> {
        let mut plan = match &self.plan {
            Some(plan) => serde_json::to_value(plan)?,
            None => json!({"version": PLAN_VERSION, "language": language.as_str(), "workflows": []}),
        };
        let fields = plan.as_object_mut().map(std::mem::take).unwrap_or_default();
        let mut ordered = Map::new();
        for (key, value) in fields {
            if key == "workflows" {
                ordered.insert("diagnostics".to_owned(), serde_json::to_value(&self.diagnostics)?);
                if let Some(skip) = self.skipped {
                    ordered.insert("skipped".to_owned(), json!({"reason": skip, "message": skip.title()}));
                }
            }
            ordered.insert(key, value);
        }
        Ok(Value::Object(ordered))
    }
}

/// Why a good configuration makes no pipeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Skip {
    /// No rule of `workflow:rules` holds, or one says never.
    FilteredByWorkflowRules,
    /// The commit message or a push option asks to skip.
    SkipRequested,
    /// The rules of the jobs leave none (or only ones of `.pre` and `.post`).
    NoJobs,
    /// What happened is not what starts a workflow.
    NotTriggered,
}

impl Skip {
    /// One sentence for people, without a full stop.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::FilteredByWorkflowRules => "the pipeline was filtered out by `workflow:rules`",
            Self::SkipRequested => "the commit message or a push option asks to skip the pipeline",
            Self::NoJobs => "the pipeline would have been empty: the rules leave no job",
            Self::NotTriggered => "no workflow is started by this event, branch, tag or these paths",
        }
    }
}

/// Compiles a configuration for what the context says, as far as the answers go.
#[must_use]
pub fn compile(input: &Input<'_>, answers: &Answers) -> Compile {
    run(input, answers, Mode::Create)
}

/// Checks a configuration without a trigger: rules are checked, not evaluated.
#[must_use]
pub fn lint(lang: Language, file: &str, text: &str, answers: &Answers) -> Compile {
    let context = Context::default();
    let input = Input {
        lang,
        file,
        text,
        context: &context,
    };
    run(&input, answers, Mode::Lint)
}

fn run(input: &Input<'_>, answers: &Answers, mode: Mode) -> Compile {
    let session = Session::new(input, answers, mode);
    let (plan, skipped) = match input.lang {
        Language::Gitlab => lang::gitlab::compile(&session),
        Language::Circleci => lang::circleci::compile(&session),
        Language::Github => lang::github::compile(&session),
    };
    // Of a folder of workflows those without errors remain.
    let good = session.errors() == 0 || input.lang == Language::Github;
    let merged = session.take_merged();
    let (needed, diagnostics) = session.finish();
    if !needed.is_empty() {
        return Compile::Need(needed);
    }
    Compile::Done(Output {
        plan: plan.filter(|_| good),
        diagnostics,
        skipped: skipped.filter(|_| good),
        merged,
    })
}

/// Compiles to the end, asking `answer` for whatever is needed.
pub fn compile_with(input: &Input<'_>, mode: Mode, mut answer: impl FnMut(&Request) -> Answer) -> Output {
    let mut answers = Answers::new();
    // Every round answers everything that it asks, and includes are bounded: far fewer rounds are ever needed.
    for _ in 0..1_000 {
        match run(input, &answers, mode) {
            Compile::Done(output) => return output,
            Compile::Need(requests) => {
                for request in requests {
                    let given = answer(&request);
                    answers.insert(request, given);
                }
            }
        }
    }
    Output {
        diagnostics: vec![Diagnostic {
            severity: crate::Severity::Error,
            code: crate::diag::code::GITLAB_INCLUDE_LIMIT.name,
            message: "the configuration never stops asking for files".to_owned(),
            file: input.file.to_owned(),
            line: 0,
            column: 0,
            length: 0,
            hint: None,
            trail: Vec::new(),
        }],
        ..Output::default()
    }
}

impl Refusal {
    /// Why, as the second half of a sentence: "… was not found".
    #[must_use]
    pub fn explain(&self) -> String {
        match self {
            Self::NotFound => "was not found".to_owned(),
            Self::Denied => "was not found, or you may not read it".to_owned(),
            Self::BadRef => "names a commit, branch or tag that does not exist".to_owned(),
            Self::Unreachable(why) => format!("could not be fetched: {why}"),
            Self::Unsupported(why) => format!("cannot be used here: {why}"),
        }
    }
}
