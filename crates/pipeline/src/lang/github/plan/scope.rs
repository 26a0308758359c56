//! What expressions see while the Plan is made.

use std::rc::Rc;

use tasuki_model::expr::BinaryOp::{self, And, Or};
use tasuki_model::expr::{Expr, Literal, Value};

use super::super::entry::{Job, Secrets as GivenSecrets};
use super::super::fields::{Entry, Field, literal_value};
use super::super::fold::{self, Known, World};
use super::facts;
use super::late::Ended;
use super::workflow::Level;
use crate::diag::{Problem, code};
use crate::{Mode, Session};

/// A need of the job that is made: its id, the names of its members in the Plan, and what it gives.
#[derive(Debug, Clone)]
pub(super) struct NeedScope {
    pub(super) id: String,
    pub(super) members: Vec<String>,
    /// Of a reusable workflow: its outputs, in terms of its jobs.
    pub(super) outputs: Option<Vec<(String, Expr)>>,
}

/// How `secrets` reads.
#[derive(Debug, Clone)]
pub(super) enum Secrets {
    /// Those of the project.
    Own,
    /// Those that the caller gave, in its own terms.
    Given(Vec<(String, Expr)>),
}

/// What all scopes of a file share. Apart from the maker, which makes jobs while it is read.
pub(super) struct Ground {
    pub(super) github: Value,
    pub(super) vars: Value,
    pub(super) ended: Option<Rc<Ended>>,
}

impl Ground {
    /// What is seen outside of jobs.
    pub(super) fn outside<'g>(&'g self, level: &'g Level<'_>) -> Scope<'g> {
        Scope {
            github: &self.github,
            vars: &self.vars,
            inputs: Some(level.inputs),
            secrets: level.secrets,
            job: None,
            needs: &[],
            matrix: Value::Null,
            strategy: Value::Null,
            ended: self.ended.clone(),
        }
    }

    /// The scope of a job, before its matrix.
    pub(super) fn of_job<'g>(&'g self, job: &'g Job, needs: &'g [NeedScope], level: &'g Level<'_>) -> Scope<'g> {
        Scope {
            job: Some(&job.id),
            needs,
            ..self.outside(level)
        }
    }
}

/// What expressions of one job (or of the workflow, without needs and matrix) see.
#[derive(Debug, Clone)]
pub(super) struct Scope<'a> {
    pub(super) github: &'a Value,
    pub(super) vars: &'a Value,
    /// Absent inside an action, where they are known when it is reached.
    pub(super) inputs: Option<&'a [(String, Expr)]>,
    pub(super) secrets: &'a Secrets,
    pub(super) job: Option<&'a str>,
    pub(super) needs: &'a [NeedScope],
    pub(super) matrix: Value,
    pub(super) strategy: Value,
    /// What jobs gave that have ended, for a job that waited for them.
    pub(super) ended: Option<Rc<Ended>>,
}

impl Scope<'_> {
    /// The field with everything evaluated that is known; an error is told and gives null.
    pub(super) fn fold(&self, session: &Session<'_>, field: &Field) -> Expr {
        self.folded(session, field).unwrap_or(Expr::Literal(Literal::Null))
    }

    /// The same; `None` for what cannot be evaluated, which is reported.
    pub(super) fn folded(&self, session: &Session<'_>, field: &Field) -> Option<Expr> {
        if matches!(field.expr, Expr::Literal(_)) {
            return Some(field.expr.clone());
        }
        match fold::fold(&field.expr, self) {
            Ok(expr) => Some(expr),
            Err(error) => {
                // Without a trigger a payload is missing, and with it what `fromJSON` and the like would read.
                if session.mode == Mode::Create {
                    session.error(&code::GITHUB_EXPRESSION, field.span, error.to_string());
                }
                None
            }
        }
    }

    /// The value of a field that must be known now.
    pub(super) fn value(&self, session: &Session<'_>, field: &Field, what: &str) -> Option<Value> {
        let folded = self.folded(session, field)?;
        self.known(session, field, &folded, what)
    }

    /// The value of a field that was folded, and must be known now.
    pub(super) fn known(&self, session: &Session<'_>, field: &Field, folded: &Expr, what: &str) -> Option<Value> {
        let value = fold::known(folded);
        // Without a trigger and settings, nothing may only mean that it is not known yet.
        let nothing = |value: &Value| matches!(value, Value::Null) || value.to_text().is_empty();
        let may_be_unknown = session.mode == Mode::Lint && !matches!(field.expr, Expr::Literal(_));
        if may_be_unknown && value.as_ref().is_some_and(nothing) {
            return None;
        }
        if value.is_none() {
            let message = format!("{what} depends on what is known only while the pipeline runs");
            session.report(
                Problem::new(&code::UNSUPPORTED, field.span, message)
                    .hint("secrets and what steps leave may be used in `env` of jobs and in steps"),
            );
        }
        value
    }

    /// The text of a field that must be known now.
    pub(super) fn text(&self, session: &Session<'_>, field: &Field, what: &str) -> Option<String> {
        if let Expr::Literal(Literal::Text(text)) = &field.expr {
            return Some(text.clone());
        }
        let value = self.value(session, field, what)?;
        Some(value.to_text().to_string())
    }

    /// Entries of a map, objects among them merged; what is not known yet stays an expression.
    pub(super) fn entries(&self, session: &Session<'_>, entries: &[Entry], what: &str) -> Vec<(String, Expr)> {
        let mut all: Vec<(String, Expr)> = Vec::with_capacity(entries.len());
        for entry in entries {
            match entry {
                Entry::One(key, field) => set(&mut all, key, self.fold(session, field)),
                Entry::All(field) => match self.value(session, field, what) {
                    Some(Value::Object(object)) => {
                        for (key, value) in object.iter() {
                            if let Ok(expr) = fold::constant(value) {
                                set(&mut all, key, expr);
                            }
                        }
                    }
                    Some(Value::Null) | None => {}
                    Some(_) => session.error(&code::GITHUB_VALUE, field.span, format!("{what} must be an object")),
                },
            }
        }
        all
    }

    /// `secrets` of a call.
    pub(super) fn secrets(&self, session: &Session<'_>, given: &GivenSecrets) -> Secrets {
        match given {
            GivenSecrets::Inherit => self.secrets.clone(),
            GivenSecrets::Given(entries) => Secrets::Given(self.entries(session, entries, "`secrets`")),
        }
    }

    fn need(&self, keys: &[&str]) -> Option<(Expr, usize)> {
        let id = keys.first()?;
        let null = Expr::Literal(Literal::Null);
        let Some(need) = self.needs.iter().find(|need| need.id.eq_ignore_ascii_case(id)) else {
            return Some((null, 1));
        };
        let field = keys.get(1).map(|key| key.to_ascii_lowercase());
        match (field.as_deref(), keys.get(2), &need.outputs) {
            (Some("result"), ..) => Some((result(&need.members), 2)),
            (Some("outputs"), Some(name), Some(outputs)) => {
                let found = outputs.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
                Some((found.map_or(null, |(_, expr)| expr.clone()), 3))
            }
            (Some("outputs"), Some(name), None) => Some((output(&need.members, name), 3)),
            _ => match need.members.as_slice() {
                [only] => Some((at(needs(), only), 1)),
                _ => None,
            },
        }
    }
}

impl World for Scope<'_> {
    fn root(&self, name: &str) -> Known {
        match name {
            "github" => Known::Value(self.github.clone()),
            "vars" => Known::Value(self.vars.clone()),
            "matrix" => Known::Value(self.matrix.clone()),
            "strategy" => Known::Value(self.strategy.clone()),
            "inputs" => {
                let known = |(key, expr): &(String, Expr)| Some((key.clone(), fold::known(expr)?));
                let all = self
                    .inputs
                    .and_then(|all| all.iter().map(known).collect::<Option<Vec<_>>>());
                all.map_or(Known::Late, |all| Known::Value(fold::object(all)))
            }
            "needs" => {
                let whole = self.ended.as_ref().and_then(|ended| ended.whole(self.needs));
                whole.map_or(Known::Late, Known::Value)
            }
            _ => Known::Late,
        }
    }

    fn path(&self, name: &str, keys: &[&str]) -> Option<(Expr, usize)> {
        let (stands, used) = self.stands(name, keys)?;
        Some(match &self.ended {
            Some(ended) => (ended.settle(stands), used),
            None => (stands, used),
        })
    }

    /// `success('id')`: the names of the members stand for the id.
    fn call(&self, name: &str, arguments: &[Expr]) -> Option<Expr> {
        if !matches!(name, "success" | "failure") || arguments.is_empty() {
            return None;
        }
        let mut names = Vec::new();
        for argument in arguments {
            let Expr::Literal(literal) = argument else { return None };
            let id = literal_value(literal).to_text();
            let need = self.needs.iter().find(|need| need.id.eq_ignore_ascii_case(&id));
            names.extend(need.map_or_else(|| vec![id.to_string()], |need| need.members.clone()));
        }
        Some(call(name, &names))
    }
}

impl Scope<'_> {
    /// What stands for the start of a path, before anything has run.
    fn stands(&self, name: &str, keys: &[&str]) -> Option<(Expr, usize)> {
        let key = keys.first()?;
        match name {
            "github" if key.eq_ignore_ascii_case("job") => Some((text(self.job.unwrap_or_default()), 1)),
            "github" if facts::LATE.iter().any(|late| late.eq_ignore_ascii_case(key)) => {
                Some((at(Expr::Context("github".to_owned()), &key.to_ascii_lowercase()), 1))
            }
            "inputs" => {
                let found = self.inputs?.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
                Some((found.map_or(Expr::Literal(Literal::Null), |(_, expr)| expr.clone()), 1))
            }
            "secrets" => match self.secrets {
                Secrets::Given(given) if !key.eq_ignore_ascii_case("github_token") => {
                    let found = given.iter().find(|(known, _)| known.eq_ignore_ascii_case(key));
                    Some((found.map_or_else(|| text(""), |(_, expr)| expr.clone()), 1))
                }
                Secrets::Given(_) | Secrets::Own => None,
            },
            "needs" | "jobs" => self.need(keys),
            _ => None,
        }
    }
}

fn set(all: &mut Vec<(String, Expr)>, key: &str, expr: Expr) {
    all.retain(|(known, _)| known != key);
    all.push((key.to_owned(), expr));
}

/// A function of names of jobs.
pub(super) fn call(name: &str, members: &[String]) -> Expr {
    Expr::Call {
        function: name.to_owned(),
        arguments: members.iter().map(|name| text(name)).collect(),
    }
}

pub(super) fn text(text: &str) -> Expr {
    Expr::Literal(Literal::Text(text.to_owned()))
}

pub(super) fn at(of: Expr, key: &str) -> Expr {
    Expr::Index {
        of: Box::new(of),
        index: Box::new(text(key)),
    }
}

pub(super) fn binary(op: BinaryOp, left: Expr, right: Expr) -> Expr {
    Expr::Binary {
        op,
        left: Box::new(left),
        right: Box::new(right),
    }
}

fn needs() -> Expr {
    Expr::Context("needs".to_owned())
}

/// The result of all members together: the worst of them.
fn result(members: &[String]) -> Expr {
    match members {
        [] => text("skipped"),
        [only] => at(at(needs(), only), "result"),
        _ => {
            let one = |function, word| binary(And, call(function, members), text(word));
            let bad = binary(Or, one("failure", "failure"), one("cancelled", "cancelled"));
            binary(Or, binary(Or, bad, one("success", "success")), text("skipped"))
        }
    }
}

/// An output of a job: of a matrix the last member that has it.
fn output(members: &[String], name: &str) -> Expr {
    let one = |member: &String| at(at(at(needs(), member), "outputs"), name);
    let mut members = members.iter().rev().map(one);
    let last = members.next().unwrap_or(Expr::Literal(Literal::Null));
    members.fold(last, |found, earlier| binary(Or, found, earlier))
}
