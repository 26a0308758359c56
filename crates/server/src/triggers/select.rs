//! A part of a Plan: the jobs that were named, and those that they need.

use std::collections::BTreeSet;

use tasuki_model::plan::{AllowFailure, Gate, Job, Plan, When, Workflow};

use super::Error;

/// Which jobs of a configuration are wanted. Empty = all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only this workflow.
    pub workflow: Option<String>,
    /// Only these jobs (by their own name, or the name they have in the configuration), with what they need.
    pub jobs: Vec<String>,
}

impl Selection {
    /// Reduces a Plan to what is wanted. A manual job that is named runs without being started by hand; so do manual
    /// jobs that it needs, since it could never run otherwise.
    ///
    /// # Errors
    /// A name that the Plan does not have, with those that it has.
    pub fn apply(&self, plan: &mut Plan) -> Result<(), Error> {
        if let Some(name) = &self.workflow {
            let known: Vec<String> = plan.workflows.iter().map(|workflow| workflow.name.clone()).collect();
            plan.workflows.retain(|workflow| &workflow.name == name);
            if plan.workflows.is_empty() {
                return Err(Error::NoWorkflow {
                    name: name.clone(),
                    known,
                });
            }
        }
        if self.jobs.is_empty() {
            return Ok(());
        }
        let mut found = BTreeSet::new();
        let mut known = Vec::new();
        for workflow in &mut plan.workflows {
            known.extend(workflow.jobs.iter().map(|job| job.name.clone()));
            found.extend(reduce(workflow, &self.jobs));
        }
        plan.workflows.retain(|workflow| !workflow.jobs.is_empty());
        match self.jobs.iter().find(|name| !found.contains(*name)) {
            Some(name) => Err(Error::NoJob {
                name: name.clone(),
                known,
            }),
            None => Ok(()),
        }
    }
}

/// Keeps the wanted jobs of a workflow with what they need; gives the names that were found.
fn reduce(workflow: &mut Workflow, wanted: &[String]) -> BTreeSet<String> {
    let is_wanted = |job: &Job| wanted.iter().find(|name| **name == job.name || **name == job.base_name);
    let found = workflow.jobs.iter().filter_map(is_wanted).cloned().collect();
    let mut keep: BTreeSet<usize> = BTreeSet::new();
    let mut open: Vec<usize> = (0..workflow.jobs.len())
        .filter(|at| is_wanted(&workflow.jobs[*at]).is_some())
        .collect();
    while let Some(at) = open.pop() {
        if keep.insert(at) {
            open.extend(before(workflow, &workflow.jobs[at]));
        }
    }
    let mut at = 0;
    workflow.jobs.retain_mut(|job| {
        let kept = keep.contains(&at);
        at += 1;
        if kept {
            start_by_itself(job);
        }
        kept
    });
    found
}

/// The places of the jobs that this one needs: those it names, or all of earlier stages. Manual jobs of earlier stages
/// that may fail hold nobody up and are left out.
fn before(workflow: &Workflow, job: &Job) -> Vec<usize> {
    let stage = |name: &str| workflow.stages.iter().position(|stage| stage == name);
    let places = workflow.jobs.iter().enumerate();
    match &job.needs {
        Some(needs) => {
            let needed = |other: &Job| needs.iter().any(|need| need.source.is_none() && need.job == other.name);
            places.filter(|(_, other)| needed(other)).map(|(at, _)| at).collect()
        }
        None => {
            let own = stage(&job.stage);
            let optional = |other: &Job| other.gate.is_some() && other.allow_failure == AllowFailure::Flag(true);
            places
                .filter(|(_, other)| stage(&other.stage) < own && !optional(other))
                .map(|(at, _)| at)
                .collect()
        }
    }
}

fn start_by_itself(job: &mut Job) {
    if matches!(job.gate, Some(Gate::Manual(_))) || job.when == When::Manual {
        job.gate = None;
        job.when = When::OnSuccess;
    }
}

#[cfg(test)]
mod tests {
    use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, compile_with};

    use super::*;

    const CONFIG: &str = "stages: [a, b, c]\n\
        one: {stage: a, script: [x]}\n\
        two: {stage: a, script: [x], parallel: 2}\n\
        hand: {stage: a, script: [x], when: manual}\n\
        gate: {stage: b, script: [x], needs: [one], rules: [{when: manual}]}\n\
        last: {stage: c, script: [x]}\n";

    fn check(jobs: &[&str], expected: Result<&[&str], &str>) {
        let context = Context::default();
        let input = Input {
            lang: tasuki_model::plan::Language::Gitlab,
            file: "f",
            text: CONFIG,
            context: &context,
        };
        let output = compile_with(&input, Mode::Create, |_| Answer::Refused(Refusal::NotFound));
        let mut plan = output.plan.unwrap();
        let selection = Selection {
            workflow: None,
            jobs: jobs.iter().map(|&name| name.to_owned()).collect(),
        };
        match (selection.apply(&mut plan), expected) {
            (Ok(()), Ok(expected)) => {
                let left: Vec<_> = plan
                    .workflows
                    .iter()
                    .flat_map(|w| &w.jobs)
                    .map(|job| job.name.as_str())
                    .collect();
                assert_eq!(left, expected, "{jobs:?}");
                let by_hand = |job: &&Job| job.gate.is_some() && !jobs.is_empty();
                assert!(
                    plan.workflows.iter().flat_map(|w| &w.jobs).find(by_hand).is_none(),
                    "all start by themselves"
                );
            }
            (Err(Error::NoJob { name, known }), Err(expected)) => {
                assert_eq!(name, expected);
                assert!(known.contains(&"last".to_owned()));
            }
            (other, _) => panic!("{jobs:?}: {other:?}"),
        }
    }

    #[test]
    fn named_jobs_bring_what_they_need() {
        check(&["one"], Ok(&["one"]));
        check(&["two"], Ok(&["two 1/2", "two 2/2"]));
        check(&["two 2/2"], Ok(&["two 2/2"]));
        check(&["hand"], Ok(&["hand"]));
        check(&["gate"], Ok(&["one", "gate"]));
        check(&["last"], Ok(&["one", "two 1/2", "two 2/2", "gate", "last"]));
        check(&["one", "nope"], Err("nope"));
        check(&[], Ok(&["one", "two 1/2", "two 2/2", "hand", "gate", "last"]));
    }
}
