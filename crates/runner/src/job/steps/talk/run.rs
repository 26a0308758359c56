//! The steps of a job, one after the other, and what runs after them.

use std::collections::BTreeMap;

use futures_util::future::BoxFuture;
use tasuki_model::expr::{self, Expr, Value, evaluate};
use tasuki_model::plan::{Step, StepKind, StepWhen};
use tasuki_model::reason::FailureReason;

use super::output::Spoken;
use super::scope::{Cancelled, Conclusion, Failed, Record, Scope};
use super::{environment::Left, files};
use crate::executor::Sandbox;
use crate::job::build::Build;
use crate::job::failure::Failure;
use crate::job::stage::Stage;

/// Bytes of all outputs of a job.
const MOST_OUTPUT: usize = 1 << 20;

/// What steps have left so far, for the whole job.
struct Work {
    given: Vec<(String, Value)>,
    /// The same in all steps.
    places: Vec<(String, String)>,
    env: Vec<(String, String)>,
    path: Vec<String>,
    posts: Vec<Post>,
    number: usize,
}

/// A list of steps: the job's, or an action's.
struct Level {
    records: Vec<Record>,
    result: Result<(), Failure>,
    inputs: Option<Value>,
    /// Of the steps around it.
    env: Vec<(String, String)>,
    action_path: Option<String>,
}

/// What runs after the last step.
struct Post {
    title: String,
    script: String,
    condition: Option<Expr>,
    env: Vec<(String, String)>,
}

impl Level {
    fn new(inputs: Option<Value>, env: Vec<(String, String)>, action_path: Option<String>) -> Self {
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
            given: self.contexts(contexts, &places),
            places,
            env: Vec::new(),
            path: Vec::new(),
            posts: Vec::new(),
            number: 0,
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
    fn conclude(&self, step: &Step, ended: Result<(), Failure>, level: &mut Level) -> (Conclusion, Conclusion) {
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
    fn decide(
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
        if let StepKind::Composite { inputs, .. } | StepKind::Node { inputs, .. } = &mut settled.kind {
            for value in inputs.values_mut() {
                let text = evaluate(value, &scope)?.to_text();
                *value = Expr::Literal(expr::Literal::Text(text.to_string()));
            }
        }
        Ok(Some((settled, own)))
    }

    fn scope<'e>(&self, work: &'e Work, level: &'e Level, env: &'e [(String, String)]) -> Scope<'e> {
        Scope {
            given: &work.given,
            env,
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
                let env = environment(work, level, &own);
                let (ended, left) = self.program(sandbox, step, env, work, number).await?;
                Ok(take(ended, &left, work))
            }
            StepKind::Node {
                main,
                post,
                post_condition,
                inputs,
                folder,
            } => {
                let place = sandbox.paths().project.join(folder).to_string_lossy().into_owned();
                let mut env = environment(work, level, &own);
                env.extend(inputs_as_variables(inputs));
                env.push(("GITHUB_ACTION_PATH".to_owned(), place.clone()));
                let (ended, left) = self
                    .program(sandbox, &node(&place, main), env.clone(), work, number)
                    .await?;
                if let Some(post) = post {
                    let state = files::pairs(&left.state).unwrap_or_default();
                    env.extend(state.into_iter().map(|(key, value)| (format!("STATE_{key}"), value)));
                    work.posts.push(Post {
                        title: format!("Post {}", super::super::title(step)),
                        script: format!("{place}/{post}"),
                        condition: post_condition.clone(),
                        env,
                    });
                }
                Ok(take(ended, &left, work))
            }
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
    fn outputs(&self, outputs: &BTreeMap<String, Expr>, work: &Work, level: &Level) -> Vec<(String, String)> {
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

    /// Runs a program, and reads what it left, also where it failed.
    async fn program(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        mut env: Vec<(String, String)>,
        work: &Work,
        number: usize,
    ) -> Result<(Result<(), Failure>, Left), Failure> {
        env.extend(work.places.iter().cloned());
        env.extend(self.make_files(sandbox, number).await?);
        let mut step = step.clone();
        if let (false, StepKind::Run { shell, .. }) = (work.path.is_empty(), &mut step.kind) {
            env.push(("TASUKI_STEP_PATH".to_owned(), work.path.join(":")));
            *shell = shell.as_ref().map(|line| {
                format!("sh -c 'PATH=\"$TASUKI_STEP_PATH:$PATH\"; export PATH; unset TASUKI_STEP_PATH; exec \"$@\"' sh {line}")
            });
        }
        step.env = env.into_iter().collect();
        let output = Spoken::new(self.console);
        let mut ended = self.run_into(sandbox, &step, &output).await;
        if let Some(refused) = output.finish() {
            ended = ended.and(Err(Failure::job(FailureReason::ScriptFailure, refused)));
        }
        let left = self.read_files(sandbox, number).await?;
        if !left.summary.trim().is_empty() {
            let stream = self.console.work();
            stream.line("Summary of the step:");
            stream.line(left.summary.trim_end());
            stream.finish();
        }
        Ok((ended, left))
    }

    /// What actions do after the last step, the last one first.
    async fn posts(&self, sandbox: &dyn Sandbox, work: &mut Work, level: &mut Level) -> Result<(), Failure> {
        while let Some(post) = work.posts.pop() {
            work.number += 1;
            let number = work.number;
            let mut step = Step::new(node_of(&post.script));
            step.name.clone_from(&post.title);
            step.when = StepWhen::Always;
            step.condition = post.condition;
            match self.decide(&step, work, level) {
                Ok(None) => {}
                Ok(Some((step, _))) => {
                    let stage = Stage::Typed {
                        index: number,
                        title: post.title,
                    };
                    self.console.open(&stage);
                    let (ended, _) = self.program(sandbox, &step, post.env, work, number).await?;
                    self.conclude(&step, ended, level);
                    self.console.close(&stage);
                }
                Err(error) => self.console.warn(&format!("{}: {error}", post.title)),
            }
        }
        Ok(())
    }
}

/// What a program left: its outputs are given on, the rest counts from the next step on.
fn take(ended: Result<(), Failure>, left: &Left, work: &mut Work) -> (Result<(), Failure>, Vec<(String, String)>) {
    let malformed =
        |file: &str, problem: String| Failure::job(FailureReason::ScriptFailure, format!("the file {file}: {problem}"));
    let mut ended = ended;
    match files::pairs(&left.env) {
        Ok(pairs) => {
            for (key, value) in pairs {
                if key.eq_ignore_ascii_case("NODE_OPTIONS") {
                    let problem = "NODE_OPTIONS cannot be set for later steps".to_owned();
                    ended = ended.and(Err(malformed("GITHUB_ENV", problem)));
                    continue;
                }
                work.env.retain(|(known, _)| *known != key);
                work.env.push((key, value));
            }
        }
        Err(problem) => ended = ended.and(Err(malformed("GITHUB_ENV", problem))),
    }
    for folder in files::folders(&left.path) {
        // Later lines go in front.
        work.path.insert(0, folder);
    }
    let outputs = match files::pairs(&left.output) {
        Ok(pairs) => {
            let mut last: Vec<(String, String)> = Vec::with_capacity(pairs.len());
            for (key, value) in pairs {
                last.retain(|(known, _)| !known.eq_ignore_ascii_case(&key));
                last.push((key, value));
            }
            last
        }
        Err(problem) => {
            ended = ended.and(Err(malformed("GITHUB_OUTPUT", problem)));
            Vec::new()
        }
    };
    (ended, outputs)
}

fn environment(work: &Work, level: &Level, own: &[(String, String)]) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = work.env.iter().chain(&level.env).chain(own).cloned().collect();
    if let Some(place) = &level.action_path {
        env.push(("GITHUB_ACTION_PATH".to_owned(), place.clone()));
    }
    env
}

/// `INPUT_<NAME>`: capitals, spaces become `_`, hyphens stay.
fn inputs_as_variables(inputs: &BTreeMap<String, Expr>) -> Vec<(String, String)> {
    let one = |(name, value): (&String, &Expr)| {
        let name = format!("INPUT_{}", name.to_uppercase().replace(' ', "_"));
        (name, literal(value).to_text().to_string())
    };
    inputs.iter().map(one).collect()
}

fn literal(expr: &Expr) -> Value {
    match expr {
        Expr::Literal(expr::Literal::Text(text)) => Value::text(text.as_str()),
        _ => Value::Null,
    }
}

fn node(place: &str, main: &str) -> Step {
    Step::new(node_of(&format!("{place}/{main}")))
}

/// Runs a file with the `node` of the sandbox.
fn node_of(script: &str) -> StepKind {
    let quoted = script.replace('\'', "'\\''");
    StepKind::Run {
        command: format!("exec node '{quoted}'\n"),
        lines: Vec::new(),
        shell: Some("sh -e {0}".to_owned()),
        directory: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_inputs() {
        let text = |text: &str| Expr::Literal(expr::Literal::Text(text.to_owned()));
        let inputs = BTreeMap::from([("who-to greet".to_owned(), text("x"))]);
        assert_eq!(
            inputs_as_variables(&inputs),
            [("INPUT_WHO-TO_GREET".to_owned(), "x".to_owned())]
        );
    }

    #[test]
    fn what_is_left_counts_for_later_steps() {
        let mut work = Work {
            given: Vec::new(),
            places: Vec::new(),
            env: vec![("A".to_owned(), "old".to_owned())],
            path: vec!["/first".to_owned()],
            posts: Vec::new(),
            number: 0,
        };
        let left = Left {
            env: "A=new\nB=2\n".to_owned(),
            path: "/second\n/third\n".to_owned(),
            output: "x=1\nX=2\n".to_owned(),
            ..Left::default()
        };
        let (ended, outputs) = take(Ok(()), &left, &mut work);
        assert!(ended.is_ok());
        assert_eq!(outputs, [("X".to_owned(), "2".to_owned())]);
        assert_eq!(work.path, ["/third", "/second", "/first"]);
        assert_eq!(work.env.len(), 2);
        // One malformed line fails the step, and its other files still count.
        let left = Left {
            env: "C=3\n".to_owned(),
            output: "nothing\n".to_owned(),
            ..Left::default()
        };
        let (ended, _) = take(Ok(()), &left, &mut work);
        assert!(ended.unwrap_err().to_string().contains("GITHUB_OUTPUT: line 1"));
        assert!(work.env.iter().any(|(key, _)| key == "C"));
        let left = Left {
            env: "NODE_OPTIONS=--inspect\n".to_owned(),
            ..Left::default()
        };
        assert!(take(Ok(()), &left, &mut work).0.is_err());
    }
}
