//! A workflow file → a workflow of the Plan.

use std::collections::BTreeMap;
use std::collections::HashMap;
use std::rc::Rc;

use foldhash::HashSet;
use serde_json::Value as Json;
use tasuki_model::expr::{Expr, Literal, Value};
use tasuki_model::plan::{self, ProcessMode, ResourceGroup};

use super::super::entry::{self, Action, Job, JobKind, Queue};
use super::super::fold;
use super::super::on::{Input, default_value, given};
use super::late::{self, Ended};
use super::scope::{Ground, NeedScope, Scope, Secrets};
use super::{facts, graph};
use crate::diag::code;
use crate::{Mode, Session};

/// What is shared while one workflow is made, with the workflows that it calls.
pub(super) struct Maker<'s, 'a> {
    pub(super) session: &'s Session<'a>,
    pub(super) ground: Rc<Ground>,
    pub(super) jobs: Vec<plan::Job>,
    pub(super) names: HashSet<String>,
    /// Files of reusable workflows read so far.
    pub(super) called: HashSet<String>,
    pub(super) actions: HashMap<String, Option<Rc<Action>>>,
    /// The file at the top, which jobs that wait are made of.
    pub(super) file: String,
}

/// A workflow where it stands: at the top, or in the place of a job of another one.
pub(super) struct Level<'l> {
    pub(super) inputs: &'l [(String, Expr)],
    pub(super) secrets: &'l Secrets,
    /// Of the display names: `caller / `.
    pub(super) prefix: String,
    /// Of the ids: `caller/`.
    pub(super) id_prefix: String,
    /// Needs of the caller, which all jobs have.
    pub(super) needs: Vec<NeedScope>,
    /// Condition of the caller, in a form that can be asked of any of the jobs.
    pub(super) condition: Option<Expr>,
    pub(super) permissions: Option<&'l BTreeMap<String, String>>,
    pub(super) depth: usize,
}

/// Makes the workflow; the second is its `run-name`. `None` where it cannot be made, which has been told.
pub(crate) fn make(session: &Session<'_>, workflow: &entry::Workflow) -> Option<(plan::Workflow, Option<String>)> {
    let before = session.errors();
    let inputs = inputs(session, workflow);
    let json: Vec<(String, Json)> = inputs
        .iter()
        .map(|(name, value)| (name.clone(), to_json(value)))
        .collect();
    let name = workflow.name.clone().unwrap_or_else(|| workflow.file.clone());
    let github = Value::from(&facts::github(session.input.context, &name, &workflow.file, &json));
    let inputs: Vec<(String, Expr)> = inputs
        .into_iter()
        .filter_map(|(name, value)| Some((name, fold::constant(&value).ok()?)))
        .collect();
    let mut maker = Maker {
        session,
        ground: Rc::new(Ground {
            github,
            vars: facts::vars(session.input.context),
            ended: session.input.context.part.as_ref().map(Ended::of),
        }),
        jobs: Vec::with_capacity(workflow.jobs.len()),
        names: HashSet::default(),
        called: HashSet::default(),
        actions: HashMap::new(),
        file: workflow.file.clone(),
    };
    let level = Level {
        inputs: &inputs,
        secrets: &Secrets::Own,
        prefix: String::new(),
        id_prefix: String::new(),
        needs: Vec::new(),
        condition: None,
        permissions: None,
        depth: 0,
    };
    maker.level(workflow, &level)?;
    if let Some(part) = &session.input.context.part {
        late::only(&mut maker.jobs, part);
    }
    let scope = maker.ground.outside(&level);
    let run_name = workflow
        .run_name
        .as_ref()
        .and_then(|field| scope.text(session, field, "`run-name`"));
    let concurrency = workflow
        .concurrency
        .as_ref()
        .and_then(|given| group(session, &scope, given));
    (session.errors() == before && !session.is_waiting()).then(|| {
        let made = plan::Workflow {
            name,
            file: workflow.file.clone(),
            stages: Vec::new(),
            jobs: maker.jobs,
            condition: None,
            concurrency,
            outputs: BTreeMap::new(),
            max_auto_reruns: 0,
        };
        (made, run_name)
    })
}

/// Checks a workflow without a trigger.
pub(crate) fn check(session: &Session<'_>, workflow: &entry::Workflow) {
    drop(make(session, workflow));
}

fn to_json(value: &Value) -> Json {
    match value {
        Value::Bool(flag) => Json::Bool(*flag),
        other => Json::String(other.to_text().to_string()),
    }
}

/// Values of the inputs: those of the dispatch, else the defaults (for checks, those of a call too).
fn inputs(session: &Session<'_>, workflow: &entry::Workflow) -> Vec<(String, Value)> {
    let defaults = |inputs: &[Input]| {
        let one = |input: &Input| (input.name.clone(), default_value(input));
        inputs.iter().map(one).collect::<Vec<_>>()
    };
    let declared = workflow.on.dispatch.as_deref().unwrap_or_default();
    if session.mode == Mode::Lint {
        let mut all = defaults(declared);
        if let Some(call) = &workflow.on.call {
            all.extend(defaults(&call.inputs));
        }
        return all;
    }
    match super::event::of(&session.input.context.trigger) {
        super::event::Event::Dispatch => given(session, declared),
        super::event::Event::Push | super::event::Event::PullRequest | super::event::Event::Schedule => Vec::new(),
    }
}

impl Maker<'_, '_> {
    /// Makes the jobs of a workflow. Gives what each id became.
    pub(super) fn level(&mut self, workflow: &entry::Workflow, level: &Level<'_>) -> Option<Vec<NeedScope>> {
        let order = graph::order(self.session, &workflow.jobs)?;
        let mut done: Vec<Option<NeedScope>> = vec![None; workflow.jobs.len()];
        let places: foldhash::HashMap<String, usize> = workflow
            .jobs
            .iter()
            .enumerate()
            .map(|(at, job)| (job.id.to_ascii_lowercase(), at))
            .collect();
        let first = self.jobs.len();
        // Of which job of the file each is.
        let mut made: Vec<usize> = Vec::with_capacity(order.len());
        for at in order {
            let job = &workflow.jobs[at];
            let needs: Vec<NeedScope> = job
                .needs
                .iter()
                .filter_map(|(id, _)| done[*places.get(&id.to_ascii_lowercase())?].clone())
                .collect();
            done[at] = Some(self.job(workflow, job, needs, level));
            made.resize(self.jobs.len() - first, at);
        }
        // In the order of the file, as people wrote it.
        if !made.is_sorted() {
            let jobs = self.jobs.split_off(first);
            let mut placed: Vec<(usize, plan::Job)> = made.into_iter().zip(jobs).collect();
            placed.sort_by_key(|(at, _)| *at);
            self.jobs.extend(placed.into_iter().map(|(_, job)| job));
        }
        Some(done.into_iter().flatten().collect())
    }

    fn job(&mut self, workflow: &entry::Workflow, job: &Job, needs: Vec<NeedScope>, level: &Level<'_>) -> NeedScope {
        let limit = self.session.input.context.limits.jobs;
        if self.jobs.len() > limit {
            let message = format!("the workflow has more than {limit} jobs");
            self.session.error(&code::GITHUB_TOO_MANY, job.span, message);
            return NeedScope {
                id: job.id.clone(),
                members: Vec::new(),
                outputs: None,
            };
        }
        match &job.kind {
            JobKind::Steps(body) => self.own(workflow, job, body, needs, level),
            JobKind::Call(call) => self.call(job, call, needs, level),
        }
    }
}

/// Whether a text has the run's own id in it, so that no other run gives the same.
fn is_of_this_run(expr: &Expr) -> bool {
    match expr {
        Expr::Index { of, index } => {
            matches!(of.as_ref(), Expr::Context(name) if name == "github")
                && matches!(index.as_ref(), Expr::Literal(Literal::Text(key)) if key == "run_id")
        }
        Expr::Concat(parts) => parts.iter().any(is_of_this_run),
        Expr::Call { function, arguments } if function == "format" => arguments.iter().any(is_of_this_run),
        _ => false,
    }
}

/// `concurrency` as a group. None for one that only this run is in: `${{ github.head_ref || github.run_id }}` is how
/// people say that pushes do not wait for one another.
pub(super) fn group(session: &Session<'_>, scope: &Scope<'_>, given: &entry::Concurrency) -> Option<ResourceGroup> {
    let folded = scope.folded(session, &given.group)?;
    if is_of_this_run(&folded) {
        return None;
    }
    let key = scope
        .known(session, &given.group, &folded, "`concurrency`")?
        .to_text()
        .to_string();
    let cancel = match &given.cancel {
        Some(field) => scope.value(session, field, "`cancel-in-progress`")?.is_truthy(),
        None => false,
    };
    Some(ResourceGroup {
        // Groups are compared without case.
        key: key.to_lowercase(),
        mode: match given.queue {
            Queue::Single => ProcessMode::LatestOnly,
            Queue::Max => ProcessMode::Unordered,
        },
        cancel_in_progress: cancel,
    })
}
