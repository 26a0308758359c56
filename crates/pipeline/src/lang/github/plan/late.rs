//! Jobs that cannot be made with their pipeline: what they are depends on what other jobs give (a matrix from outputs,
//! `runs-on` by an earlier job, …). Such a job stands in the Plan as one that starts a pipeline of its own; when its
//! turn comes the file is compiled once more, with what the jobs before it gave, and of it only that job is taken.

use std::collections::BTreeSet;
use std::rc::Rc;

use tasuki_model::expr::syntax::has_expression;
use tasuki_model::expr::{Context, Expr, Literal, Value, evaluate};
use tasuki_model::plan::{self, Downstream, DownstreamTarget, ForwardVariables};

use super::super::entry::{self, Body, Container, Job};
use super::super::fields::{self, Field, Wanted};
use super::super::{fold, names};
use super::job::{condition, edges};
use super::scope::{NeedScope, Scope};
use super::steps::Frame;
use super::workflow::{Level, Maker};
use crate::Part;
use crate::yaml::{Node, Value as Yaml};

/// What jobs that have ended gave, by their names in the pipeline.
#[derive(Debug)]
pub(super) struct Ended(Value);

impl Ended {
    pub(super) fn of(part: &Part) -> Rc<Self> {
        Rc::new(Self(Value::from(&serde_json::Value::Object(part.needs.clone()))))
    }

    fn has(&self, name: &str) -> bool {
        matches!(&self.0, Value::Object(all) if all.get(name).is_some())
    }

    /// The whole of it, where it holds all of these.
    pub(super) fn whole(&self, needs: &[NeedScope]) -> Option<Value> {
        let mut members = needs.iter().flat_map(|need| &need.members);
        members.all(|name| self.has(name)).then(|| self.0.clone())
    }

    /// The expression with its value in its place, where it asks for nothing but these jobs.
    pub(super) fn settle(&self, expr: Expr) -> Expr {
        let mut asks = false;
        if !self.knows(&expr, &mut asks) || !asks {
            return expr;
        }
        let value = evaluate(&expr, self).ok();
        value.and_then(|value| fold::constant(&value).ok()).unwrap_or(expr)
    }

    fn knows(&self, expr: &Expr, asks: &mut bool) -> bool {
        match expr {
            Expr::Literal(_) => true,
            // Alone it would be all of them, whichever these are.
            Expr::Context(_) => false,
            Expr::Index { of, index }
                if let (Expr::Context(root), Expr::Literal(Literal::Text(name))) = (of.as_ref(), index.as_ref())
                    && root == "needs" =>
            {
                *asks = true;
                self.has(name)
            }
            Expr::Call { function, arguments } => match function.as_str() {
                "success" | "failure" | "cancelled" => {
                    *asks = true;
                    let named =
                        |argument: &Expr| matches!(argument, Expr::Literal(Literal::Text(name)) if self.has(name));
                    !arguments.is_empty() && arguments.iter().all(named)
                }
                "hashfiles" | "always" => false,
                _ => expr.parts().all(|part| self.knows(part, asks)),
            },
            Expr::Index { .. } | Expr::Filter(_) | Expr::Not(_) | Expr::Concat(_) | Expr::Binary { .. } => {
                expr.parts().all(|part| self.knows(part, asks))
            }
        }
    }

    fn result(&self, name: &Value) -> Option<Value> {
        let Value::Object(all) = &self.0 else { return None };
        match all.get(&name.to_text())? {
            Value::Object(need) => need.get("result").cloned(),
            _ => None,
        }
    }
}

impl Context for Ended {
    fn root(&self, name: &str) -> Option<Value> {
        (name == "needs").then(|| self.0.clone())
    }

    fn call(&self, name: &str, arguments: &[Value]) -> Option<Result<Value, String>> {
        let ended = |job: &Value| self.result(job).is_some_and(|result| &*result.to_text() == name);
        match name {
            "success" => Some(Ok(Value::Bool(arguments.iter().all(ended)))),
            "failure" | "cancelled" => Some(Ok(Value::Bool(arguments.iter().any(ended)))),
            _ => None,
        }
    }
}

impl Maker<'_, '_> {
    /// Whether a job may wait: not where it is the one that is made now.
    pub(super) fn is_later(&self, job: &Job, level: &Level<'_>) -> bool {
        let part = self.session.input.context.part.as_ref();
        part.is_none_or(|part| {
            let id = format!("{}{}", level.id_prefix, job.id);
            part.job != id && !id.starts_with(&format!("{}/", part.job))
        })
    }

    /// Whether a job must wait with what it is until the jobs before it have ended.
    pub(super) fn waits(&self, job: &Job, scope: &Scope<'_>) -> bool {
        let asks = |field: &Field| {
            let expr = fold::fold(&field.expr, scope);
            expr.is_ok_and(|expr| fold::names_context(&expr, "needs"))
        };
        let strategy = job.strategy.as_ref();
        let matrix = strategy.and_then(|strategy| strategy.matrix.as_ref());
        let mut nodes: Vec<&Node> = Vec::new();
        if let Some(matrix) = matrix {
            nodes.extend(matrix.vectors.iter().map(|(_, vector)| &vector.node));
            nodes.extend(
                [&matrix.include, &matrix.exclude]
                    .into_iter()
                    .flatten()
                    .map(|rows| &rows.node),
            );
        }
        let of_strategy = strategy
            .into_iter()
            .flat_map(|s| [&s.fail_fast, &s.max_parallel])
            .flatten();
        let of_matrix = matrix.into_iter().flat_map(|matrix| &matrix.whole);
        let of_group = job
            .concurrency
            .iter()
            .flat_map(|given| [Some(&given.group), given.cancel.as_ref()])
            .flatten();
        let own = job.name.iter().chain(of_strategy).chain(of_matrix).chain(of_group);
        own.into_iter().any(asks)
            || nodes.into_iter().any(|node| self.node_asks(node, &asks))
            || match &job.kind {
                entry::JobKind::Steps(body) => of_body(body).into_iter().any(asks),
                entry::JobKind::Call(_) => false,
            }
    }

    fn node_asks(&self, node: &Node, asks: &dyn Fn(&Field) -> bool) -> bool {
        match super::super::read::value(node) {
            Yaml::Map(map) => map.iter().any(|(_, node)| self.node_asks(node, asks)),
            Yaml::Seq(items) => items.iter().any(|item| self.node_asks(item, asks)),
            _ if node.text().is_some_and(|text| has_expression(text)) => {
                let field = fields::field(
                    self.session,
                    node,
                    &"a value of the matrix",
                    Wanted::Any,
                    &names::STRATEGY,
                );
                field.as_ref().is_some_and(asks)
            }
            _ => false,
        }
    }

    /// The job that stands for one that waits. What can be checked of it is checked now.
    pub(super) fn later(&mut self, job: &Job, needs: &[NeedScope], level: &Level<'_>) -> NeedScope {
        let session = self.session;
        let ground = Rc::clone(&self.ground);
        let scope = ground.of_job(job, needs, level);
        let own = job
            .condition
            .as_ref()
            .and_then(|field| condition(session, field, &scope));
        let id = format!("{}{}", level.id_prefix, job.id);
        let name = self.unique(&format!("{}{}", level.prefix, job.id), &job.id);
        let mut made = plan::Job::new(name.clone());
        made.base_name.clone_from(&id);
        made.needs = Some(edges(needs, level));
        made.condition = super::job::both(level.condition.clone(), own, needs);
        made.downstream = Some(Box::new(Downstream {
            target: DownstreamTarget::Part {
                file: self.file.clone(),
                job: id,
            },
            strategy: Some("depend".to_owned()),
            forward: ForwardVariables::default(),
            inputs: std::collections::BTreeMap::new(),
        }));
        if let entry::JobKind::Call(_) = &job.kind {
            let given = job.concurrency.as_ref();
            made.resource_group = given.and_then(|given| super::workflow::group(session, &scope, given));
        }
        if let entry::JobKind::Steps(body) = &job.kind {
            let frame = Frame {
                scope: &scope,
                shell: body.defaults.shell.as_ref(),
                directory: body.defaults.directory.as_ref(),
                env: &[],
                in_container: body.container.is_some(),
                depth: 0,
            };
            drop(self.steps(&body.steps, &frame));
        }
        self.jobs.push(made);
        NeedScope {
            id: job.id.clone(),
            members: vec![name],
            outputs: None,
        }
    }
}

/// Everything of a job that the server must know before it is queued.
fn of_body(body: &Body) -> Vec<&Field> {
    let environment = body
        .environment
        .iter()
        .flat_map(|given| [Some(&given.name), given.url.as_ref()]);
    let containers = body
        .container
        .iter()
        .chain(body.services.iter().map(|service| &service.container));
    let single = [
        body.runs_on.group.as_ref(),
        body.timeout.as_ref(),
        body.continue_on_error.as_ref(),
        body.defaults.shell.as_ref(),
    ];
    let all = single.into_iter().chain(environment).flatten();
    all.chain(&body.runs_on.labels)
        .chain(containers.flat_map(of_container))
        .collect()
}

fn of_container(container: &Container) -> Vec<&Field> {
    let single = [&container.options, &container.command, &container.entrypoint];
    let entries = container.env.iter().map(|entry| match entry {
        fields::Entry::One(_, field) | fields::Entry::All(field) => field,
    });
    std::iter::once(&container.image)
        .chain(&container.ports)
        .chain(&container.volumes)
        .chain(single.into_iter().flatten())
        .chain(entries)
        .collect()
}

/// Of a workflow that was compiled for one job of it: that job alone, as all before it has ended.
pub(super) fn only(jobs: &mut Vec<plan::Job>, part: &Part) {
    if part.job.is_empty() {
        // The whole of a workflow, which waited for its group.
        return;
    }
    let inner = format!("{}/", part.job);
    jobs.retain(|job| job.base_name == part.job || job.base_name.starts_with(&inner));
    let left: BTreeSet<String> = jobs.iter().map(|job| job.name.clone()).collect();
    for job in jobs {
        for needs in job.needs.iter_mut() {
            needs.retain(|need| left.contains(&need.job));
        }
        if job.base_name == part.job {
            job.condition = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use tasuki_model::expr::syntax::{Names, parse};

    use super::*;

    #[test]
    fn what_ended_jobs_gave_is_put_in() {
        let part = Part {
            file: String::new(),
            job: String::new(),
            needs: serde_json::from_str(r#"{"a": {"result": "failure", "outputs": {"x": "[1]"}}}"#).unwrap(),
        };
        let ended = Ended::of(&part);
        let names = Names {
            contexts: &["needs", "env"],
            functions: &["success", "failure"],
        };
        let check = |text: &str, known: bool| {
            let settled = ended.settle(parse(text, &names).unwrap());
            assert_eq!(fold::known(&settled).is_some(), known, "{text}: {settled:?}");
        };
        check("needs['a'].outputs.x", true);
        check("fromJSON(needs.a.outputs.x)", true);
        check("needs.a.result == 'failure' && failure('a')", true);
        check("needs.b.outputs.x", false);
        check("success('b')", false);
        check("env.A", false);
        check("needs.a.outputs.x == env.A", false);
        check("'text'", true);
    }
}
