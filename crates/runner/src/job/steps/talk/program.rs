//! Programs that steps run, what they find, and what they leave.

use std::collections::BTreeMap;

use tasuki_model::expr::{self, Expr, Value};
use tasuki_model::plan::{Step, StepKind, StepWhen};
use tasuki_model::reason::FailureReason;

use super::output::{Said, Spoken};
use super::run::{Level, Work};
use super::{environment::Left, files};
use crate::executor::{Command, Contained, Sandbox, Stream};
use crate::job::build::Build;
use crate::job::failure::Failure;
use crate::job::stage::Stage;
use crate::process::Collected;

/// What runs after the last step.
pub(super) struct Post {
    pub(super) title: String,
    pub(super) what: Posted,
    pub(super) condition: Option<Expr>,
    /// Beside what steps have set by then.
    pub(super) env: Vec<(String, String)>,
}

/// What it runs.
pub(super) enum Posted {
    /// A file, with the `node` of the job's place.
    Script(String),
    Container(Box<Contained>),
}

/// Where a program runs.
pub(super) enum Runs {
    /// Where the job does.
    Here,
    /// In a container of its own.
    Beside(Box<Contained>),
}

impl Build<'_> {
    /// What a program left counts from the next step on; what is refused of it is told.
    pub(super) fn take(
        &self,
        ended: Result<(), Failure>,
        left: &Left,
        work: &mut Work,
    ) -> (Result<(), Failure>, Vec<(String, String)>) {
        let pairs = files::pairs(&left.env).unwrap_or_default();
        for (key, _) in pairs.iter().filter(|(key, _)| is_withheld(key)) {
            self.console.error(&format!(
                "ERROR: {key} cannot be set by the file GITHUB_ENV; it is left out"
            ));
        }
        take(ended, left, work)
    }

    /// Runs a program, and reads what it left, also where it failed.
    pub(super) async fn program(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        runs: Runs,
        mut env: Vec<(String, String)>,
        work: &mut Work,
        number: usize,
    ) -> Result<(Result<(), Failure>, Left), Failure> {
        env.extend(work.places.iter().cloned());
        env.extend(self.make_files(sandbox, number).await?);
        if !work.path.is_empty() && matches!(runs, Runs::Here) {
            let given = env
                .iter()
                .rev()
                .find(|(key, _)| key == "PATH")
                .map(|(_, path)| path.clone());
            let usual = match given {
                Some(path) => path,
                None => self.usual_path(sandbox, work).await?,
            };
            env.push(("PATH".to_owned(), format!("{}:{usual}", work.path.join(":"))));
        }
        let mut step = step.clone();
        step.env = env.into_iter().collect();
        let output = Spoken::new(self.console, sandbox, std::mem::take(&mut work.matchers));
        let mut ended = match runs {
            Runs::Here => self.run_into(sandbox, &step, &output).await,
            Runs::Beside(what) => self.contain_into(sandbox, &step, *what, &output).await,
        };
        let Said {
            refused,
            matchers,
            outputs,
            state,
        } = output.finish();
        work.matchers = matchers;
        if let Some(refused) = refused {
            ended = ended.and(Err(Failure::job(FailureReason::ScriptFailure, refused)));
        }
        let mut left = self.read_files(sandbox, number).await?;
        left.old_outputs = outputs;
        left.old_state = state;
        if !left.summary.trim().is_empty() {
            let stream = self.console.work();
            stream.line("Summary of the step:");
            stream.line(left.summary.trim_end());
            stream.finish();
        }
        Ok((ended, left))
    }

    /// `PATH` of the place of the job.
    async fn usual_path(&self, sandbox: &dyn Sandbox, work: &mut Work) -> Result<String, Failure> {
        if let Some(known) = &work.usual_path {
            return Ok(known.clone());
        }
        let heard = Collected::default();
        let command = Command {
            env: self.variables.environment(),
            stop: self.control.all(),
            ..Command::script(self.shell.clone(), "printf %s \"$PATH\"")
        };
        sandbox.run(command, &heard).await?;
        let path = String::from_utf8_lossy(&heard.of(Stream::Stdout)).into_owned();
        work.usual_path = Some(path.clone());
        Ok(path)
    }

    /// What actions do after the last step, the last one first.
    pub(super) async fn posts(&self, sandbox: &dyn Sandbox, work: &mut Work, level: &mut Level) -> Result<(), Failure> {
        while let Some(post) = work.posts.pop() {
            work.number += 1;
            let number = work.number;
            let (kind, runs) = match post.what {
                Posted::Script(script) => (node_of(&script), Runs::Here),
                Posted::Container(what) => (node_of(""), Runs::Beside(what)),
            };
            let mut step = Step::new(kind);
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
                    let env = work.env.iter().cloned().chain(post.env).collect();
                    let (ended, left) = self.program(sandbox, &step, runs, env, work, number).await?;
                    let (ended, _) = self.take(ended, &left, work);
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
                if is_withheld(&key) {
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
            for (key, value) in left.old_outputs.iter().cloned().chain(pairs) {
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

/// A variable that steps may not set for later ones: with it any step would run code in every JavaScript action.
fn is_withheld(key: &str) -> bool {
    key.eq_ignore_ascii_case("NODE_OPTIONS")
}

/// The environment of a step as it is now.
pub(super) fn environment(work: &Work, level: &Level, own: &[(String, String)]) -> Vec<(String, String)> {
    work.env.iter().cloned().chain(lasting(level, own)).collect()
}

/// What stays the same from a step to what is done after the last one; the rest is what steps have set by then.
pub(super) fn lasting(level: &Level, own: &[(String, String)]) -> Vec<(String, String)> {
    let mut env: Vec<(String, String)> = level.env.iter().chain(own).cloned().collect();
    if let Some(place) = &level.action_path {
        env.push(("GITHUB_ACTION_PATH".to_owned(), place.clone()));
    }
    env
}

/// `INPUT_<NAME>`: capitals, spaces become `_`, hyphens stay.
pub(super) fn inputs_as_variables(inputs: &BTreeMap<String, Expr>) -> Vec<(String, String)> {
    let one = |(name, value): (&String, &Expr)| {
        let name = format!("INPUT_{}", name.to_uppercase().replace(' ', "_"));
        (name, literal(value).to_text().to_string())
    };
    inputs.iter().map(one).collect()
}

pub(super) fn literal(expr: &Expr) -> Value {
    match expr {
        Expr::Literal(expr::Literal::Text(text)) => Value::text(text.as_str()),
        _ => Value::Null,
    }
}

pub(super) fn node(place: &str, main: &str) -> Step {
    Step::new(node_of(&format!("{place}/{main}")))
}

/// Runs a file with the `node` of the sandbox: at once, since shells drop variables with hyphens in their names.
fn node_of(script: &str) -> StepKind {
    let quoted = script.replace('\'', "'\"'\"'");
    StepKind::Run {
        command: String::new(),
        lines: Vec::new(),
        shell: Some(format!("node '{quoted}' {{0}}")),
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
            env: vec![("A".to_owned(), "old".to_owned())],
            path: vec!["/first".to_owned()],
            ..Work::default()
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
        assert!(take(Ok(()), &left, &mut work).0.is_ok());
        assert!(!work.env.iter().any(|(key, _)| key == "NODE_OPTIONS"));
    }
}
