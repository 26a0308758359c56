//! `needs` in all its forms, and `dependencies`.

use super::check::{Check, every, value};
use super::parallel::{Matrix, matrix_map};
use crate::diag::code;
use crate::yaml::{Map, Node, Span, Value};

/// One entry of `needs`.
#[derive(Debug, Clone)]
pub(crate) struct NeedEntry {
    pub(crate) span: Span,
    pub(crate) form: NeedForm,
}

#[derive(Debug, Clone)]
pub(crate) enum NeedForm {
    /// A job of the same pipeline.
    Job {
        name: String,
        artifacts: bool,
        optional: bool,
        /// Only these members of the parallel job.
        matrix: Option<Matrix>,
    },
    /// Artifacts of a job in another pipeline of the family.
    Pipeline {
        pipeline: String,
        job: String,
        artifacts: bool,
        /// The job may be absent.
        optional: bool,
    },
    /// Artifacts of the latest successful job on a ref.
    Project {
        project: String,
        git_ref: String,
        job: String,
        artifacts: bool,
    },
    /// A bridge that mirrors the status of a project's newest pipeline.
    Mirror { project: String },
}

const KEYS: &[&str] = &["job", "artifacts", "optional", "parallel", "pipeline", "project", "ref"];
const MAX_CROSS: usize = 5;

pub(super) fn needs(check: &mut Check<'_>, node: &Node) -> Option<Vec<NeedEntry>> {
    let items = match value(node) {
        Value::Seq(_) => check.flat(node)?,
        Value::Map(_) => vec![node],
        _ => {
            let text = "config can only be a Hash or an Array";
            let mut problem = check.problem(&code::GITLAB_TYPE, node.span, text);
            problem.hint = node.text().map(|name| format!("write `needs: [\"{name}\"]`"));
            check.report(problem);
            return None;
        }
    };
    // Nothing needs nothing: `- ` alone is what is left of a template's empty list.
    let written = items.into_iter().filter(|item| value(item) != Value::Null);
    let needs = written.map(|item| check.within("need", |check| need(check, item)));
    let needs = every(needs)?;
    let crossing = needs
        .iter()
        .filter(|need| matches!(need.form, NeedForm::Pipeline { .. } | NeedForm::Project { .. }));
    if let Some(sixth) = crossing.skip(MAX_CROSS).map(|need| need.span).next() {
        check.bad_value(sixth, &format!("has more than {MAX_CROSS} needs of other pipelines"));
    }
    Some(needs)
}

fn need(check: &mut Check<'_>, node: &Node) -> Option<NeedEntry> {
    let form = match value(node) {
        Value::Text(_) | Value::Symbol(_) => NeedForm::Job {
            name: check.filled_text(node)?,
            artifacts: true,
            optional: false,
            matrix: None,
        },
        Value::Map(_) => form(check, node, check.map(node, KEYS)?)?,
        other => {
            let text = format!("config has an unsupported type: {}", other.describe());
            check.report(check.problem(&code::GITLAB_TYPE, node.span, &text));
            return None;
        }
    };
    Some(NeedEntry { span: node.span, form })
}

fn form(check: &mut Check<'_>, node: &Node, map: &Map) -> Option<NeedForm> {
    let artifacts = check.key(map, "artifacts", Check::boolean);
    let job = check.key(map, "job", Check::filled_text);
    let pipeline = check.key(map, "pipeline", |check, node| match value(node) {
        Value::Int(n) => Some(n.to_string()),
        _ => check.filled_text(node),
    });
    let project = check.key(map, "project", Check::filled_text);
    let not_here = |keys: &[&str]| {
        for key in keys {
            if let Some((key_node, _)) = map.entry(key) {
                check.bad_value(
                    key_node.span,
                    &format!("contains a key that does not go with this form: {key}"),
                );
            }
        }
    };
    match (project, pipeline, job) {
        (Some(project), None, Some(job)) => {
            not_here(&["optional", "parallel"]);
            let git_ref = check.required(map, node.span, "ref")?;
            Some(NeedForm::Project {
                project,
                git_ref: check.within("ref", |check| check.filled_text(git_ref))?,
                job,
                artifacts: artifacts.unwrap_or(true),
            })
        }
        (None, Some(pipeline), Some(job)) => {
            not_here(&["parallel", "ref"]);
            Some(NeedForm::Pipeline {
                pipeline,
                job,
                artifacts: artifacts.unwrap_or(true),
                optional: check.key(map, "optional", Check::boolean).unwrap_or(false),
            })
        }
        (None, Some(project), None) => {
            not_here(&["optional", "parallel", "ref", "artifacts"]);
            Some(NeedForm::Mirror { project })
        }
        (None, None, Some(name)) => {
            not_here(&["ref"]);
            Some(NeedForm::Job {
                name,
                artifacts: artifacts.unwrap_or(true),
                optional: check.key(map, "optional", Check::boolean).unwrap_or(false),
                matrix: check.key(map, "parallel", parallel),
            })
        }
        (Some(_), Some(_), _) => {
            check.exclusive(map, &["project", "pipeline"]);
            None
        }
        (_, None, None) => {
            check.report(check.problem(&code::GITLAB_MISSING_KEY, node.span, "config misses the key: job"));
            None
        }
    }
}

fn parallel(check: &mut Check<'_>, node: &Node) -> Option<Matrix> {
    if let Value::Int(_) = value(node) {
        let problem = check.problem(
            &code::GITLAB_VALUE,
            node.span,
            "config cannot use \"parallel: <number>\"",
        );
        check.report(problem.hint("the name of the job alone needs all its siblings"));
        return None;
    }
    matrix_map(check, node)
}
