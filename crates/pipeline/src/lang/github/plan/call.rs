//! Reusable workflows: their jobs stand in the place of the job that calls them.

use std::rc::Rc;

use tasuki_model::expr::BinaryOp::Or;
use tasuki_model::expr::Expr;

use super::super::entry::{self, Call, Job, Secrets as GivenSecrets};
use super::super::fields::own_path;
use super::super::fold;
use super::super::on::{self, Required};
use super::job::{asked_of, condition};
use super::scope::{NeedScope, Scope, Secrets, binary, call};
use super::workflow::{Level, Maker};
use crate::Session;
use crate::diag::{Problem, code};
use crate::request::{Answer, Origin, Request};

/// Workflows within workflows.
const MOST_LEVELS: usize = 10;
/// Files of reusable workflows of one pipeline.
const MOST_FILES: usize = 50;

impl Maker<'_, '_> {
    /// Puts in the jobs of the workflow that a job calls.
    pub(super) fn call(&mut self, job: &Job, given: &Call, needs: Vec<NeedScope>, level: &Level<'_>) -> NeedScope {
        let session = self.session;
        let mut found = NeedScope {
            id: job.id.clone(),
            members: Vec::new(),
            outputs: Some(Vec::new()),
        };
        let Some(workflow) = self.called(given, level) else {
            return found;
        };
        let Some(declared) = &workflow.on.call else {
            session.report(
                Problem::new(
                    &code::GITHUB_USES,
                    given.span,
                    format!("`{}` cannot be called: its `on` has no `workflow_call`", given.uses),
                )
                .hint("add `workflow_call:` to its `on`"),
            );
            return found;
        };
        let ground = Rc::clone(&self.ground);
        let scope = ground.of_job(job, &needs, level);
        // A group is held by one job: the one that stands for all of them.
        if self.is_later(job, level) && (job.concurrency.is_some() || self.waits(job, &scope)) {
            if let Some(output) = declared.outputs.first() {
                let message = format!(
                    "a call with `concurrency`, or with a matrix from outputs, cannot give outputs: `{}` has `{}`",
                    given.uses, output.name
                );
                session.report(
                    Problem::new(&code::UNSUPPORTED, given.span, message)
                        .hint("give `concurrency` to the jobs of the called workflow, or let it give no outputs"),
                );
            }
            return self.later(job, &needs, level);
        }
        let before: Vec<String> = needs.iter().flat_map(|need| need.members.clone()).collect();
        let own = job
            .condition
            .as_ref()
            .and_then(|field| condition(session, field, &scope));
        let own = match own {
            Some(own) => Some(asked_of(own, &before)),
            None if before.is_empty() => None,
            None => Some(call("success", &before)),
        };
        let condition = match (level.condition.clone(), own) {
            (Some(outer), Some(own)) => Some(binary(tasuki_model::expr::BinaryOp::And, outer, own)),
            (outer, own) => outer.or(own),
        };
        let members = self.members(job, &scope);
        for (member, matrix, strategy) in members {
            let scope = Scope {
                matrix,
                strategy,
                ..ground.of_job(job, &needs, level)
            };
            let inputs = inputs(session, declared, given, &scope);
            let secrets = secrets(session, declared, given, &scope);
            let name = self.name(job, &member, &scope, level);
            let inner = Level {
                inputs: &inputs,
                secrets: &secrets,
                prefix: format!("{name} / "),
                id_prefix: format!("{}{}/", level.id_prefix, job.id),
                needs: needs.iter().chain(&level.needs).cloned().collect(),
                condition: condition.clone(),
                permissions: job.permissions.as_ref().or(level.permissions),
                depth: level.depth + 1,
            };
            let start = self.jobs.len();
            let Some(jobs) = self.level(&workflow, &inner) else {
                return found;
            };
            found
                .members
                .extend(self.jobs[start..].iter().map(|job| job.name.clone()));
            let scope = Scope {
                needs: &jobs,
                inputs: Some(&inputs),
                ..ground.outside(&inner)
            };
            for output in &declared.outputs {
                add_output(&mut found, &output.name, scope.fold(session, &output.value));
            }
        }
        found
    }

    fn called(&mut self, given: &Call, level: &Level<'_>) -> Option<entry::Workflow> {
        let session = self.session;
        // One of another repository has been refused where it was read.
        let path = own_path(&given.uses)?;
        if level.depth >= MOST_LEVELS {
            let message = format!("workflows call one another more than {MOST_LEVELS} times");
            session.error(&code::GITHUB_USES, given.span, message);
            return None;
        }
        self.called.insert(path.to_owned());
        if self.called.len() > MOST_FILES {
            let message = format!("more than {MOST_FILES} reusable workflows are called");
            session.error(&code::GITHUB_USES, given.span, message);
            return None;
        }
        let request = Request::File {
            origin: Origin::Local,
            path: path.to_owned(),
        };
        match session.ask(request)? {
            Answer::File(file) => {
                let node = super::super::document(session, path, &file.text)?;
                session.included(node.span.file, given.span);
                entry::parse_workflow(session, path, &node)
            }
            Answer::Refused(refusal) => {
                let message = format!("`{}` {}", given.uses, refusal.explain());
                session.error(&code::GITHUB_USES, given.span, message);
                None
            }
            _ => None,
        }
    }
}

/// Of a matrix the last member that has the output counts.
fn add_output(found: &mut NeedScope, name: &str, value: Expr) {
    let outputs = found.outputs.get_or_insert_default();
    match outputs.iter_mut().find(|(known, _)| known == name) {
        Some((_, earlier)) => *earlier = binary(Or, value, earlier.clone()),
        None => outputs.push((name.to_owned(), value)),
    }
}

/// `inputs` of the called workflow, with the types that it declares.
fn inputs(session: &Session<'_>, declared: &on::Call, given: &Call, scope: &Scope<'_>) -> Vec<(String, Expr)> {
    let with = scope.entries(session, &given.with, "`with`");
    for (name, _) in &with {
        if !declared
            .inputs
            .iter()
            .any(|input| input.name.eq_ignore_ascii_case(name))
        {
            let message = format!("`{}` has no input `{name}`", given.uses);
            session.report(
                Problem::new(&code::GITHUB_INPUT, given.span, message)
                    .suggest(name, declared.inputs.iter().map(|input| input.name.as_str())),
            );
        }
    }
    let mut all = Vec::with_capacity(declared.inputs.len());
    for input in &declared.inputs {
        let own = with.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
        let expr = match (own, &input.default) {
            (Some((_, expr)), _) => expr.clone(),
            (None, Some(default)) => scope.fold(session, default),
            (None, None) => {
                if input.required {
                    let message = format!("input `{}` of `{}` must be given", input.name, given.uses);
                    session.error(&code::GITHUB_INPUT, given.span, message);
                }
                match fold::constant(&input.nothing()) {
                    Ok(nothing) => nothing,
                    Err(_) => continue,
                }
            }
        };
        let expr = match fold::known(&expr) {
            Some(value) => match input.cast(&value) {
                Ok(value) => fold::constant(&value).unwrap_or(expr),
                Err(wanted) => {
                    let message = format!("input `{}` of `{}` must be {wanted}", input.name, given.uses);
                    session.error(&code::GITHUB_INPUT, given.span, message);
                    expr
                }
            },
            None => expr,
        };
        all.push((input.name.clone(), expr));
    }
    all
}

fn secrets(session: &Session<'_>, declared: &on::Call, given: &Call, scope: &Scope<'_>) -> Secrets {
    let secrets = scope.secrets(session, &given.secrets);
    if let (Secrets::Given(entries), GivenSecrets::Given(_)) = (&secrets, &given.secrets) {
        let has = |name: &str| entries.iter().any(|(known, _)| known.eq_ignore_ascii_case(name));
        for (name, required) in &declared.secrets {
            if *required == Required::Yes && !has(name) {
                let message = format!("secret `{name}` of `{}` must be given", given.uses);
                session.report(
                    Problem::new(&code::GITHUB_INPUT, given.span, message).hint("pass it, or write `secrets: inherit`"),
                );
            }
        }
        for (name, _) in entries {
            if !declared
                .secrets
                .iter()
                .any(|(known, _)| known.eq_ignore_ascii_case(name))
            {
                let message = format!("`{}` has no secret `{name}`", given.uses);
                session.error(&code::GITHUB_INPUT, given.span, message);
            }
        }
    }
    secrets
}
