//! GitHub's workflows: `.github/workflows/*.yml`.
//!
//! [`entry`] reads what a file says, key by key, with its expressions; [`on`] what starts it; [`plan`] makes the
//! Plan: it evaluates what the start of the pipeline knows ([`fold`]) and leaves the rest as expressions. Actions and
//! reusable workflows of the own repository are read at the commit that is built and put in; the runner never sees
//! that there were any.

mod by_hand;
mod entry;
mod fields;
mod fold;
mod names;
mod on;
mod plan;
mod read;
pub mod variables;

use tasuki_model::plan::{AutoCancel, Language, OnNewCommit, PLAN_VERSION, Plan};

use crate::diag::{Problem, code};
use crate::request::{Answer, Answers, Origin, Request};
use crate::yaml::{Node, Span};
pub(crate) use by_hand::form;

use crate::{Context, Input, Mode, Session, Skip};

/// Folder of the workflows. Given as the file to compile, all workflows in it become one pipeline.
pub const FOLDER: &str = ".github/workflows";

/// One attempt: loads, checks, and makes the Plan of the pipeline that the context asks for.
pub(crate) fn compile(session: &Session<'_>) -> (Option<Plan>, Option<Skip>) {
    let creates = session.mode == Mode::Create;
    if creates && session.input.context.part.is_none() && plan::asks_to_skip(&session.input.context.trigger) {
        return (None, Some(Skip::SkipRequested));
    }
    let files = files(session);
    // What is wrong with one file does not stop the others.
    let good = |(name, text): &(String, String)| {
        let before = session.errors();
        load(session, name, text).filter(|_| !creates || session.errors() == before)
    };
    let workflows: Vec<_> = files.iter().filter_map(good).collect();
    if session.is_waiting() {
        return (None, None);
    }
    if !creates {
        for workflow in &workflows {
            plan::check(session, workflow);
        }
        return (None, None);
    }
    if session.input.context.part.is_none() && !by_hand::fits(session, &files, &workflows) {
        return (None, None);
    }
    let mut made = Vec::new();
    let mut name = None;
    let files: Vec<String> = workflows.iter().map(|workflow| workflow.file.clone()).collect();
    // Each is dropped when it is made: all of them together take as much memory as the Plan.
    for workflow in workflows {
        let is_part = session.input.context.part.is_some();
        if (is_part || plan::started(session, &workflow) == plan::Answer::Yes)
            && let Some((workflow, run_name)) = plan::make(session, &workflow)
        {
            name = name.or(run_name);
            made.push(workflow);
        }
    }
    if session.is_waiting() {
        return (None, None);
    }
    if made.is_empty() {
        return (None, Some(Skip::NotTriggered).filter(|_| session.errors() == 0));
    }
    unique_names(&mut made, &files);
    let plan = Plan {
        version: PLAN_VERSION,
        language: Language::Github,
        name,
        workflows: made,
        // Only `concurrency` cancels.
        auto_cancel: AutoCancel {
            on_new_commit: OnNewCommit::None,
            ..AutoCancel::default()
        },
    };
    (Some(plan), None)
}

/// A schedule of a workflow file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Turn {
    /// Five fields.
    pub cron: String,
    /// IANA name; absent = UTC.
    pub time_zone: Option<String>,
}

impl Turn {
    /// The description of the pipelines that start by it, from which [`turn_of`] reads it again.
    #[must_use]
    pub fn describe(&self, file: &str) -> String {
        format!("{file}: {}", self.cron)
    }
}

/// File and cron of a schedule by its description, where it is one of a workflow file.
#[must_use]
pub fn turn_of(description: &str) -> Option<(&str, &str)> {
    let (file, cron) = description.split_once(": ")?;
    file.starts_with(FOLDER).then_some((file, cron))
}

/// The schedules of a workflow file; none where the file has errors.
#[must_use]
pub fn schedules(file: &str, text: &str) -> Vec<Turn> {
    let (context, answers) = (Context::default(), Answers::new());
    let input = Input {
        lang: Language::Github,
        file,
        text,
        context: &context,
    };
    let session = Session::new(&input, &answers, Mode::Lint);
    let workflow = load(&session, file, text).filter(|_| session.errors() == 0);
    workflow.map(|workflow| workflow.on.schedules).unwrap_or_default()
}

/// Name and text of the workflow files.
fn files(session: &Session<'_>) -> Vec<(String, String)> {
    let file = session.input.file;
    if file.trim_end_matches('/') != FOLDER {
        return vec![(file.to_owned(), session.input.text.to_owned())];
    }
    let Some(answer) = session.ask(Request::Tree { origin: Origin::Local }) else {
        return Vec::new();
    };
    let Answer::Tree(tree) = answer else {
        let message = format!("the files of {FOLDER} cannot be listed");
        session.error(&code::GITHUB_FORMAT, Span::default(), message);
        return Vec::new();
    };
    let mut found = Vec::new();
    for (path, _) in tree.files() {
        let is_workflow = path
            .strip_prefix(FOLDER)
            .and_then(|rest| rest.strip_prefix('/'))
            .is_some_and(|name| !name.contains('/') && (name.ends_with(".yml") || name.ends_with(".yaml")));
        if !is_workflow {
            continue;
        }
        let request = Request::File {
            origin: Origin::Local,
            path: path.to_owned(),
        };
        match session.ask(request) {
            Some(Answer::File(file)) => found.push((path.to_owned(), file.text.to_string())),
            Some(Answer::Refused(refusal)) => {
                let message = format!("{path} {}", refusal.explain());
                session.error(&code::GITHUB_FORMAT, Span::default(), message);
            }
            Some(_) | None => {}
        }
    }
    if found.is_empty() && !session.is_waiting() {
        session.error(
            &code::GITHUB_FORMAT,
            Span::default(),
            format!("there is no workflow in {FOLDER}"),
        );
    }
    found
}

fn load(session: &Session<'_>, name: &str, text: &str) -> Option<entry::Workflow> {
    let node = document(session, name, text)?;
    entry::parse_workflow(session, name, &node)
}

/// The document of a file; what is wrong with it is told.
fn document(session: &Session<'_>, name: &str, text: &str) -> Option<Node> {
    let file = read::read(session, name, text);
    let failed = !file.problems.is_empty();
    for problem in &file.problems {
        session.report(problem.clone());
    }
    let node = file.documents.first();
    if node.is_none() && !failed {
        session.report(
            Problem::new(&code::GITHUB_FORMAT, Span::start_of(file.id), "the file is empty")
                .hint("a workflow has at least `on` and `jobs`"),
        );
    }
    node.cloned()
}

/// Workflows of one name get their file behind it.
fn unique_names(made: &mut [tasuki_model::plan::Workflow], files: &[String]) {
    for at in 1..made.len() {
        let (before, rest) = made.split_at_mut(at);
        let taken = |name: &str| before.iter().any(|other| other.name == name);
        if taken(&rest[0].name) {
            let file = files.iter().find(|file| !taken(&format!("{} ({file})", rest[0].name)));
            if let Some(file) = file {
                rest[0].name = format!("{} ({file})", rest[0].name);
            }
        }
    }
}
