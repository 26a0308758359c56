//! The way from definition to Plan.

use tasuki_model::plan::{AutoCancel, Language, PLAN_VERSION, Plan, Workflow};

use super::budget::Budget;
use super::facts::Facts;
use super::graph::{Edge, Graph};
use super::job::{Drawn, Seeder};
use super::layers::Layers;
use super::workflow;
use crate::diag::{Problem, code};
use crate::lang::gitlab::entry::Definition;
use crate::{Session, Skip};

/// Stages whose jobs make no pipeline by themselves.
const EDGE_STAGES: [&str; 2] = [".pre", ".post"];
/// Jobs with an environment in one pipeline.
const MAX_DEPLOYMENTS: usize = 500;

/// Everything that can be checked without a trigger.
pub(crate) fn check(session: &Session<'_>, definition: &Definition) {
    Graph::of(session, definition);
    let context = session.input.context;
    let layers = Layers::new(context, root_variables(definition));
    check_variables(session, definition, &layers);
}

/// The Plan of the pipeline that the session's context asks for, or why there is none.
pub(crate) fn create(session: &Session<'_>, definition: &Definition) -> (Option<Plan>, Option<Skip>) {
    let graph = Graph::of(session, definition);
    if session.errors() > 0 {
        return (None, None);
    }
    let facts = Facts::new(session);
    let layers = Layers::new(session.input.context, root_variables(definition));
    check_variables(session, definition, &layers);
    if session.errors() > 0 {
        return (None, None);
    }
    let Some(decision) = workflow::decide(definition, &layers, &facts) else {
        return (None, Some(Skip::FilteredByWorkflowRules));
    };
    let layers = layers.with_workflow(&decision.variables);
    check_variables(session, definition, &layers);
    if session.errors() > 0 {
        return (None, None);
    }
    let seeder = Seeder {
        session,
        layers: &layers,
        facts: &facts,
        graph: &graph,
        budget: Budget::new(),
    };
    let drawn: Vec<Option<Drawn<'_>>> = (0..graph.members.list.len()).map(|at| seeder.draw(at)).collect();
    if session.errors() > 0 || session.is_waiting() {
        return (None, None);
    }
    if !check_needs(session, &graph, &drawn) || !check_sizes(session, definition, &drawn) {
        return (None, None);
    }
    let name = workflow::name(definition, &layers);
    let plan = plan(definition, &graph, &seeder, drawn, name, decision.auto_cancel);
    match plan {
        Some(plan) => (Some(plan), None),
        None => (None, Some(Skip::NoJobs)),
    }
}

fn root_variables(definition: &Definition) -> Vec<tasuki_model::plan::Variable> {
    definition.variables.iter().map(|root| root.variable.clone()).collect()
}

/// Faults among the variables that all jobs share.
fn check_variables(session: &Session<'_>, definition: &Definition, layers: &Layers<'_>) {
    let (root, settings) = (layers.root(&Default::default()), layers.settings(None));
    let nothing = Default::default();
    let scope = layers.scope(&nothing, &root, &nothing, &settings);
    let given = session.input.context.trigger.variables.iter().chain(settings.list());
    let names = root.list().iter().chain(given).map(|variable| variable.key.as_str());
    if let Some(fault) = scope.fault(names) {
        let span = definition.variables_span;
        session.error(&code::GITLAB_CIRCULAR_VARIABLES, span, fault.to_string());
    }
}

/// Every need that is not optional must be part of the pipeline.
fn check_needs(session: &Session<'_>, graph: &Graph<'_>, drawn: &[Option<Drawn<'_>>]) -> bool {
    let before = session.errors();
    for (at, job) in drawn.iter().enumerate() {
        let Some(job) = job else { continue };
        for edge in job.edges.iter().flat_map(|edges| edges.iter()) {
            if drawn[edge.to].is_none() && !edge.optional {
                report_missing(session, graph, at, edge);
            }
        }
    }
    // The needs of rules may close a circle that the jobs' own do not.
    if drawn.iter().flatten().any(Drawn::has_needs_of_rule) {
        let edges =
            |job: &'_ Option<Drawn<'_>>| job.as_ref().and_then(|job| job.edges.as_deref().map(<[Edge]>::to_vec));
        let needs: Vec<Vec<Edge>> = drawn.iter().map(|job| edges(job).unwrap_or_default()).collect();
        let needs: Vec<&[Edge]> = needs.iter().map(Vec::as_slice).collect();
        graph.check_circles(session, &needs);
    }
    session.errors() == before
}

fn report_missing(session: &Session<'_>, graph: &Graph<'_>, at: usize, edge: &Edge) {
    let (job, need) = (&graph.members.list[at].name, &graph.members.list[edge.to].name);
    let text = format!(
        "'{job}' job needs '{need}' job, but '{need}' does not exist in the pipeline. This might be because of the \
         only, except, or rules keywords"
    );
    let problem = Problem::new(&code::GITLAB_NEED, edge.span, text);
    session.report(problem.hint(format!(
        "to need a job that sometimes does not exist, write `{{job: {need}, optional: true}}`"
    )));
}

fn check_sizes(session: &Session<'_>, definition: &Definition, drawn: &[Option<Drawn<'_>>]) -> bool {
    let span = definition.span;
    let deployments = drawn.iter().flatten().filter(|job| job.environment.is_some()).count();
    if deployments > MAX_DEPLOYMENTS {
        let text = format!("too many deployment jobs: {deployments} (limit {MAX_DEPLOYMENTS})");
        session.error(&code::GITLAB_TOO_MANY, span, text);
    }
    deployments <= MAX_DEPLOYMENTS
}

/// `None` where no job is left, or only such of `.pre` and `.post`.
fn plan(
    definition: &Definition,
    graph: &Graph<'_>,
    seeder: &Seeder<'_, '_>,
    drawn: Vec<Option<Drawn<'_>>>,
    name: Option<String>,
    auto_cancel: AutoCancel,
) -> Option<Plan> {
    let mut order: Vec<usize> = (0..drawn.len()).filter(|at| drawn[*at].is_some()).collect();
    order.sort_by_key(|at| graph.stages[*at]);
    let stages: Vec<&str> = definition.stages.iter().map(|stage| &**stage).collect();
    let mut used: Vec<usize> = order.iter().map(|at| graph.stages[*at]).collect();
    used.dedup();
    if used.iter().all(|stage| EDGE_STAGES.contains(&stages[*stage])) {
        return None;
    }
    let present: Vec<bool> = drawn.iter().map(Option::is_some).collect();
    let mut drawn = drawn;
    let mut jobs = Vec::with_capacity(order.len());
    for at in order {
        if let Some(job) = drawn[at].take() {
            jobs.push(seeder.finish(at, job, &|other| present[other]));
        }
    }
    Some(Plan {
        version: PLAN_VERSION,
        language: Language::Gitlab,
        name,
        workflows: vec![Workflow {
            file: String::new(),
            name: "pipeline".to_owned(),
            stages: used.into_iter().map(|stage| stages[stage].to_owned()).collect(),
            jobs,
            condition: None,
            concurrency: None,
            outputs: Default::default(),
            max_auto_reruns: 0,
        }],
        auto_cancel,
    })
}
