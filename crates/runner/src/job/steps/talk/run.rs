//! The steps of a job, one after the other, and what runs after them.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tasuki_model::expr::{self, Expr, Value, evaluate};
use tasuki_model::plan::{Step, StepKind, StepWhen};
use tasuki_model::reason::FailureReason;

use super::hashes::{self, Hashes};
use super::matcher::Matchers;
use super::program::{Post, Posted, Runs, environment, inputs_as_variables, lasting, literal, node};
use super::scope::{Cancelled, Conclusion, Failed, Record, Scope};
use crate::executor::Sandbox;
use crate::job::build::Build;
use crate::job::failure::Failure;
use crate::job::stage::Stage;

/// Bytes of all outputs of a job.
const MOST_OUTPUT: usize = 1 << 20;

/// What steps have left so far, for the whole job.
#[derive(Default)]
pub(super) struct Work {
    pub(super) given: Vec<(String, Value)>,
    /// The same in all steps.
    pub(super) places: Vec<(String, String)>,
    pub(super) env: Vec<(String, String)>,
    /// Folders that go in front of `PATH`, the first of them first.
    pub(super) path: Vec<String>,
    /// What `PATH` is without them, once it was asked for.
    pub(super) usual_path: Option<String>,
    pub(super) posts: Vec<Post>,
    pub(super) number: usize,
    pub(super) matchers: Matchers,
    /// Of the step that is reached.
    pub(super) hashes: Hashes,
    /// Names that steps without an id have had.
    pub(super) names: Vec<String>,
}

/// A list of steps: the job's, or an action's.
pub(super) struct Level {
    records: Vec<Record>,
    result: Result<(), Failure>,
    inputs: Option<Value>,
    /// Of the steps around it.
    pub(super) env: Vec<(String, String)>,
    pub(super) action_path: Option<String>,
}

impl Level {
    pub(super) fn new(inputs: Option<Value>, env: Vec<(String, String)>, action_path: Option<String>) -> Self {
        Self {
            records: Vec::new(),
            result: Ok(()),
            inputs,
            env,
            action_path,
        }
    }
}

impl Build<'_> {
    /// Runs steps that speak to one another. The first failure that is not allowed is the job's.
    pub(in crate::job) async fn speaking_steps(
        &self,
        sandbox: &dyn Sandbox,
        contexts: &serde_json::Value,
    ) -> Result<(), Failure> {
        let steps = self.job.tasuki.as_ref().map_or(&[][..], |tasuki| &tasuki.steps);
        let places = self.make_places(sandbox, &contexts["github"]["event"]).await?;
        let mut work = Work {
            given: self.contexts(contexts, &places, &sandbox.containers()),
            places,
            ..Work::default()
        };
        let mut level = Level::new(None, Vec::new(), None);
        self.level(sandbox, steps, &mut work, &mut level).await?;
        self.posts(sandbox, &mut work, &mut level).await?;
        self.give(self.given_on(&work, &level));
        match self.control.cause() {
            Some(_) => level.result.and_then(|()| Err(self.control.failure())),
            None => level.result,
        }
    }

    /// The outputs of the job. One that holds a secret is not given on, nor one that is too long.
    fn given_on(&self, work: &Work, level: &Level) -> BTreeMap<String, String> {
        let declared = self.job.tasuki.as_ref().map(|tasuki| &tasuki.outputs);
        let mut given: BTreeMap<_, _> = declared
            .map(|declared| self.outputs(declared, work, level))
            .into_iter()
            .flatten()
            .filter(|(_, value)| !value.is_empty())
            .collect();
        given.retain(|name, value| {
            let hidden = self.console.hides(value);
            if hidden {
                self.console
                    .warn(&format!("output {name:?} is not given on: it may hold a secret"));
            }
            !hidden
        });
        let length: usize = given.values().map(String::len).sum();
        if length > MOST_OUTPUT {
            self.console.warn(&format!(
                "the outputs are not given on: together they have {length} bytes, of which there may be {MOST_OUTPUT}"
            ));
            given.clear();
        }
        given
    }

    fn level<'f>(
        &'f self,
        sandbox: &'f dyn Sandbox,
        steps: &'f [Step],
        work: &'f mut Work,
        level: &'f mut Level,
    ) -> BoxFuture<'f, Result<(), Failure>> {
        Box::pin(async move {
            for step in steps {
                // After a cancel those steps remain that ask for it (`always()`, `cancelled()`).
                if self.control.is_over() {
                    break;
                }
                self.reach(sandbox, step, work, level).await?;
            }
            Ok(())
        })
    }

    /// A step is reached: it runs, or is skipped, and leaves its record.
    async fn reach(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        work: &mut Work,
        level: &mut Level,
    ) -> Result<(), Failure> {
        work.number += 1;
        let number = work.number;
        let asked = hashes::asked(step);
        work.hashes = if asked.is_empty() {
            Hashes::new()
        } else {
            let mut env = self.variables.environment();
            env.extend(work.env.iter().chain(&level.env).cloned());
            env.extend(step.env.iter().map(|(key, value)| (key.clone(), value.clone())));
            self.hashes_of(sandbox, &asked, &self.scope(work, level, &env)).await?
        };
        let decided = self.decide(step, work, level);
        let (conclusion, outcome, outputs) = match decided {
            Ok(None) => (Conclusion::Skipped, Conclusion::Skipped, Vec::new()),
            Ok(Some((settled, env))) => {
                let stage = Stage::Typed {
                    index: number,
                    title: super::super::title(&settled),
                };
                self.console.open(&stage);
                let (ended, outputs) = self.one(sandbox, &settled, env, work, level, number).await?;
                let concluded = self.conclude(&settled, ended, level);
                self.console.close(&stage);
                (concluded.0, concluded.1, outputs)
            }
            Err(error) => {
                let failure = Failure::job(
                    FailureReason::ScriptFailure,
                    format!("{}: {error}", super::super::title(step)),
                );
                let concluded = self.conclude(step, Err(failure), level);
                (concluded.0, concluded.1, Vec::new())
            }
        };
        if let Some(id) = &step.id {
            level.records.push(Record {
                id: id.clone(),
                outcome,
                conclusion,
                outputs,
            });
        }
        Ok(())
    }

    /// Conclusion and outcome of a step that ended.
    pub(super) fn conclude(
        &self,
        step: &Step,
        ended: Result<(), Failure>,
        level: &mut Level,
    ) -> (Conclusion, Conclusion) {
        match ended {
            Ok(()) => (Conclusion::Success, Conclusion::Success),
            Err(failure) if self.control.cause().is_some() => {
                level.result = std::mem::replace(&mut level.result, Ok(())).and(Err(failure));
                (Conclusion::Cancelled, Conclusion::Cancelled)
            }
            Err(failure) if step.continue_on_error => {
                self.console.warn(&format!("{failure}, which is allowed"));
                (Conclusion::Success, Conclusion::Failure)
            }
            Err(failure) => {
                self.console.error(&format!("ERROR: {failure}"));
                level.result = std::mem::replace(&mut level.result, Ok(())).and(Err(failure));
                (Conclusion::Failure, Conclusion::Failure)
            }
        }
    }

    /// The step with everything evaluated, and its environment; `None` where it is not due.
    #[expect(clippy::type_complexity, reason = "a step and its environment")]
    pub(super) fn decide(
        &self,
        step: &Step,
        work: &Work,
        level: &Level,
    ) -> Result<Option<(Step, Vec<(String, String)>)>, expr::Error> {
        let mut env = self.variables.environment();
        env.extend(work.env.iter().chain(&level.env).cloned());
        let mut own: Vec<(String, String)> = step
            .env
            .iter()
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect();
        own.extend(step.late_env(&self.scope(work, level, &env))?);
        env.extend(own.iter().cloned());
        let scope = self.scope(work, level, &env);
        let due = match step.when {
            StepWhen::Always => true,
            StepWhen::OnSuccess => level.result.is_ok() && self.control.cause().is_none(),
            StepWhen::OnFailure => level.result.is_err() && self.control.cause().is_none(),
        };
        if !due {
            return Ok(None);
        }
        if let Some(condition) = &step.condition
            && !expr::holds(condition, &scope)?
        {
            return Ok(None);
        }
        let mut settled = step.settled(&scope)?;
        let given: Vec<&mut Expr> = match &mut settled.kind {
            StepKind::Composite { inputs, .. } | StepKind::Node { inputs, .. } => inputs.values_mut().collect(),
            StepKind::Container {
                inputs,
                entrypoint,
                line,
                ..
            } => inputs.values_mut().chain(entrypoint).chain(line).collect(),
            _ => Vec::new(),
        };
        for value in given {
            let text = evaluate(value, &scope)?.to_text();
            *value = Expr::Literal(expr::Literal::Text(text.to_string()));
        }
        Ok(Some((settled, own)))
    }

    pub(super) fn scope<'e>(&self, work: &'e Work, level: &'e Level, env: &'e [(String, String)]) -> Scope<'e> {
        Scope {
            given: &work.given,
            env,
            hashes: &work.hashes,
            records: &level.records,
            inputs: level.inputs.as_ref(),
            failed: if level.result.is_err() { Failed::Yes } else { Failed::No },
            cancelled: match self.control.cause() {
                Some(_) => Cancelled::Yes,
                None => Cancelled::No,
            },
        }
    }

    /// Runs a step that is due. The outer error is ours; the inner one is how the step ended.
    async fn one(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        own: Vec<(String, String)>,
        work: &mut Work,
        level: &mut Level,
        number: usize,
    ) -> Result<(Result<(), Failure>, Vec<(String, String)>), Failure> {
        match &step.kind {
            StepKind::Run { .. } => {
                let mut env = environment(work, level, &own);
                env.push(("GITHUB_ACTION".to_owned(), action_name(step, work)));
                let (ended, left) = self.program(sandbox, step, Runs::Here, env, work, number).await?;
                Ok(self.take(ended, &left, work))
            }
            StepKind::Node {
                main,
                post,
                post_condition,
                inputs,
                folder,
            } => {
                let place = sandbox.paths().project.join(folder).to_string_lossy().into_owned();
                let mut env = lasting(level, &own);
                env.extend(inputs_as_variables(inputs));
                env.push(("GITHUB_ACTION_PATH".to_owned(), place.clone()));
                env.push(("GITHUB_ACTION".to_owned(), action_name(step, work)));
                let now = work.env.iter().chain(&env).cloned().collect();
                let (ended, left) = self
                    .program(sandbox, &node(&place, main), Runs::Here, now, work, number)
                    .await?;
                if let Some(post) = post {
                    env.extend(left.kept_state());
                    work.posts.push(Post {
                        title: format!("Post {}", super::super::title(step)),
                        what: Posted::Script(format!("{place}/{post}")),
                        condition: post_condition.clone(),
                        env,
                    });
                }
                Ok(self.take(ended, &left, work))
            }
            StepKind::Container { .. } => self.contained(sandbox, step, own, work, level, number).await,
            StepKind::Composite {
                steps,
                inputs,
                outputs,
                folder,
            } => {
                let values = inputs.iter().map(|(key, value)| (key.as_str(), literal(value)));
                let place = sandbox.paths().project.join(folder).to_string_lossy().into_owned();
                let mut env = level.env.clone();
                env.extend(own);
                let mut inner = Level::new(Some(Value::object(values)), env, Some(place));
                self.level(sandbox, steps, work, &mut inner).await?;
                let left = self.outputs(outputs, work, &inner);
                Ok((inner.result, left))
            }
            _ => Ok((self.one_step(sandbox, step, number).await, Vec::new())),
        }
    }

    /// What an action gives.
    pub(super) fn outputs(
        &self,
        outputs: &BTreeMap<String, Expr>,
        work: &Work,
        level: &Level,
    ) -> Vec<(String, String)> {
        let scope = self.scope(work, level, &work.env);
        let mut given = Vec::with_capacity(outputs.len());
        for (name, expr) in outputs {
            match evaluate(expr, &scope) {
                Ok(value) => given.push((name.clone(), value.to_text().to_string())),
                Err(error) => self.console.warn(&format!("output {name:?}: {error}")),
            }
        }
        given
    }
}

/// `github.action`: the step's id, or a name by what it is.
pub(super) fn action_name(step: &Step, work: &mut Work) -> String {
    if let Some(id) = &step.id {
        return id.clone();
    }
    let stem = match step.kind {
        StepKind::Run { .. } => "__run",
        StepKind::Container { .. } => "__docker",
        _ => "__self",
    };
    work.names.push(stem.to_owned());
    match work.names.iter().filter(|name| *name == stem).count() {
        1 => stem.to_owned(),
        count => format!("{stem}_{count}"),
    }
}
