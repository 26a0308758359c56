//! Steps that run in a container of their own: actions that are images.

use std::path::{Path, PathBuf};

use tasuki_model::expr::{self, Expr, Value, evaluate};
use tasuki_model::plan::{Step, StepKind, words};
use tasuki_model::reason::FailureReason;

use super::program::{Post, Posted, Runs, inputs_as_variables, lasting, literal};
use super::run::{Level, Work, action_name};
use crate::executor::{Contained, Sandbox, Stop};
use crate::job::build::Build;
use crate::job::failure::Failure;

/// Folders that actions know by these names.
const WORKSPACE: &str = "/github/workspace";
const HOME: &str = "/github/home";
const TEMP: &str = "/github/runner_temp";
const FILES: &str = "/github/file_commands";
const EVENT: &str = "/github/workflow/event.json";

/// How a step ended, and its outputs.
type Outcome = (Result<(), Failure>, Vec<(String, String)>);

impl Build<'_> {
    /// Runs the container of a step that is settled. The outer error is ours.
    pub(super) async fn contained(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        own: Vec<(String, String)>,
        work: &mut Work,
        level: &Level,
        number: usize,
    ) -> Result<Outcome, Failure> {
        let StepKind::Container {
            inputs,
            post,
            post_condition,
            ..
        } = &step.kind
        else {
            return Ok((Ok(()), Vec::new()));
        };
        let mut env = lasting(level, &own);
        env.extend(inputs_as_variables(inputs));
        env.push(("GITHUB_ACTION".to_owned(), action_name(step, work)));
        let with_set = |env: &[(String, String)], work: &Work| work.env.iter().chain(env).cloned().collect::<Vec<_>>();
        let (what, of_action) = match self.container_of(sandbox, step, work, &with_set(&env, work)) {
            Ok(made) => made,
            Err(problem) => {
                let message = format!("{}: {problem}", super::super::title(step));
                return Ok((Err(Failure::job(FailureReason::ScriptFailure, message)), Vec::new()));
            }
        };
        // What the step sets counts before what its action does.
        let given: Vec<(String, String)> = of_action
            .into_iter()
            .filter(|(key, _)| !own.iter().any(|(known, _)| known == key))
            .collect();
        env.extend(given);
        let runs = Runs::Beside(Box::new(what.clone()));
        let now = with_set(&env, work);
        let (ended, left) = self.program(sandbox, step, runs, now, work, number).await?;
        if let Some(entrypoint) = post {
            env.extend(left.kept_state());
            let what = Contained {
                entrypoint: Some(entrypoint.clone()),
                ..what
            };
            work.posts.push(Post {
                title: format!("Post {}", super::super::title(step)),
                what: Posted::Container(Box::new(what)),
                condition: post_condition.clone(),
                env,
            });
        }
        Ok(self.take(ended, &left, work))
    }

    /// The container, and what the action itself puts into its environment.
    fn container_of(
        &self,
        sandbox: &dyn Sandbox,
        step: &Step,
        work: &Work,
        env: &[(String, String)],
    ) -> Result<(Contained, Vec<(String, String)>), String> {
        let StepKind::Container {
            image,
            entrypoint,
            args,
            line,
            action_env: of_action,
            inputs,
            ..
        } = &step.kind
        else {
            return Err("it runs no container".to_owned());
        };
        let values = inputs.iter().map(|(key, value)| (key.as_str(), literal(value)));
        let inner = Level::new(Some(Value::object(values)), Vec::new(), None);
        let scope = self.scope(work, &inner, env);
        let text = |value: &Expr| -> Result<String, expr::Error> { Ok(evaluate(value, &scope)?.to_text().to_string()) };
        let said = |error: expr::Error| error.to_string();
        let args = match (line, args) {
            (Some(line), _) => {
                let line = text(line).map_err(said)?;
                let words = words(&line);
                Some(words.ok_or_else(|| format!("`args`: {line:?} has a quotation mark that is not closed"))?)
            }
            (None, Some(args)) => Some(args.iter().map(text).collect::<Result<_, _>>().map_err(said)?),
            (None, None) => None,
        };
        // Nothing behind its name leaves an image its own command.
        let args = args.filter(|args: &Vec<String>| !args.is_empty());
        let entrypoint = entrypoint.as_ref().map(text).transpose().map_err(said)?;
        let of_action = of_action.iter().map(|(key, value)| Ok((key.clone(), text(value)?)));
        let paths = sandbox.paths();
        let link = |name: &str, target: &Path| (PathBuf::from(name), target.to_owned());
        let what = Contained {
            image: image.clone(),
            entrypoint: entrypoint.filter(|entrypoint| !entrypoint.is_empty()),
            args,
            env: places(),
            links: vec![
                link(WORKSPACE, &paths.project),
                link(HOME, &paths.temp.join("home")),
                link(TEMP, &paths.temp),
                link(FILES, &paths.temp),
                link(EVENT, &paths.temp.join(".event.json")),
            ],
            cwd: PathBuf::from(WORKSPACE),
            timeout: None,
            stop: Stop::new(),
        };
        let of_action = of_action.collect::<Result<_, expr::Error>>().map_err(said)?;
        Ok((what, of_action))
    }
}

/// Where the container has what every step has.
fn places() -> Vec<(String, String)> {
    let all = [
        ("GITHUB_WORKSPACE", WORKSPACE),
        ("HOME", HOME),
        ("RUNNER_TEMP", TEMP),
        ("GITHUB_EVENT_PATH", EVENT),
    ];
    all.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec()
}
