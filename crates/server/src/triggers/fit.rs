//! What becomes of a Plan before it is saved: by where its pipeline runs, and so that lists can tell it apart.

use std::collections::BTreeMap;

use tasuki_model::plan::{Downstream, DownstreamTarget, ForwardVariables, Job, Language, Plan, Workflow};

/// For a folder that is run by hand: every job runs here, whichever runner it is for, and no group is asked for, since
/// nothing else runs.
pub(super) fn run_here(plan: &mut Plan) {
    for job in plan.workflows.iter_mut().flat_map(|workflow| &mut workflow.jobs) {
        job.tags.clear();
        job.resource_class = None;
    }
}

/// A workflow with a group runs as a pipeline of its own, which one job here starts and waits for: that job holds the
/// group.
pub(super) fn hold_groups(plan: &mut Plan) {
    plan.workflows.iter_mut().for_each(hold_group);
}

fn hold_group(workflow: &mut Workflow) {
    let Some(group) = workflow.concurrency.take() else {
        return;
    };
    let mut job = Job::new(workflow.name.clone());
    job.resource_group = Some(group);
    job.downstream = Some(Box::new(Downstream {
        target: DownstreamTarget::Part {
            file: workflow.file.clone(),
            job: String::new(),
        },
        strategy: Some("depend".to_owned()),
        forward: ForwardVariables::default(),
        inputs: BTreeMap::new(),
    }));
    workflow.stages.clear();
    workflow.jobs = vec![job];
}

/// Names a pipeline by its workflows, where its configuration does not: it tells the pipelines of one commit apart.
pub(super) fn name(plan: &mut Plan, message: &str) {
    if plan.name.is_none() && plan.language != Language::Gitlab {
        let names: Vec<&str> = plan.workflows.iter().map(|workflow| workflow.name.as_str()).collect();
        let title = message.lines().next().unwrap_or_default();
        plan.name = Some(format!("{}: {title}", names.join(", ")));
    }
}
