//! Actions of the own repository: read at the commit that is built, and put in the place of the step that uses them.

use std::collections::BTreeMap;
use std::rc::Rc;

use tasuki_model::expr::Expr;
use tasuki_model::plan::{self, ActionImage, StepKind};

use super::super::entry::{self, Action, ActionContainer, Runs};
use super::super::fields::Entry;
use super::super::fold;
use super::scope::Scope;
use super::steps::{Frame, post_condition};
use super::workflow::Maker;
use crate::diag::{Problem, code};
use crate::request::{Answer, Origin, Refusal, Request};
use crate::yaml::Span;

/// Inputs that say how a container is started, whatever its action declares.
const ENTRYPOINT: &str = "entrypoint";
const ARGS: &str = "args";

/// Actions within actions.
const MOST_LEVELS: usize = 10;

impl Maker<'_, '_> {
    /// The step that stands for the action in a folder.
    pub(super) fn action(&mut self, path: &str, span: Span, with: &[Entry], frame: &Frame<'_>) -> Option<StepKind> {
        let session = self.session;
        if frame.depth >= MOST_LEVELS {
            let message = format!("actions are used within actions more than {MOST_LEVELS} times");
            session.error(&code::GITHUB_USES, span, message);
            return None;
        }
        let action = match self.actions.get(path) {
            Some(known) => known.clone(),
            None => {
                let read = self.read_action(path, span);
                if !session.is_waiting() {
                    self.actions.insert(path.to_owned(), read.clone());
                }
                read
            }
        }?;
        let inputs = inputs(self, &action, path, span, with, frame);
        let folder = path.to_owned();
        Some(match &action.runs {
            Runs::Node { main, post, post_if } => StepKind::Node {
                main: main.clone(),
                post: post.clone(),
                post_condition: post_if
                    .as_ref()
                    .and_then(|field| post_condition(session, field, frame.scope)),
                inputs,
                folder,
            },
            Runs::Container(container) => {
                let given = frame.scope.entries(session, with, "`with`");
                self.container(container, &folder, &given, inputs, frame)
            }
            Runs::Composite(steps) => {
                let scope = Scope {
                    inputs: None,
                    ..frame.scope.clone()
                };
                let inner = Frame {
                    scope: &scope,
                    shell: None,
                    directory: None,
                    env: &[],
                    in_container: frame.in_container,
                    depth: frame.depth + 1,
                };
                let outputs = action
                    .outputs
                    .iter()
                    .map(|(name, field)| (name.clone(), scope.fold(session, field)));
                StepKind::Composite {
                    outputs: outputs.collect(),
                    steps: self.steps(steps, &inner),
                    inputs,
                    folder,
                }
            }
        })
    }

    /// The step that runs an image of a registry.
    pub(super) fn image(&self, name: &str, span: Span, with: &[Entry], frame: &Frame<'_>) -> StepKind {
        let given = frame.scope.entries(self.session, with, "`with`");
        if plan::words(name).is_none_or(|words| words.len() != 1) {
            let message = format!("`docker://{name}` names no image");
            self.session.error(&code::GITHUB_USES, span, message);
        }
        let inputs = given
            .iter()
            .map(|(key, expr)| (key.clone(), as_text(expr.clone())))
            .collect();
        StepKind::Container {
            image: ActionImage::Named(name.to_owned()),
            entrypoint: input(&given, ENTRYPOINT),
            args: None,
            line: input(&given, ARGS),
            action_env: BTreeMap::new(),
            post: None,
            post_condition: None,
            inputs,
        }
    }

    fn container(
        &self,
        action: &ActionContainer,
        folder: &str,
        given: &[(String, Expr)],
        inputs: BTreeMap<String, Expr>,
        frame: &Frame<'_>,
    ) -> StepKind {
        let session = self.session;
        let scope = Scope {
            inputs: None,
            ..frame.scope.clone()
        };
        let image = match action.image.strip_prefix("docker://") {
            Some(name) => ActionImage::Named(name.to_owned()),
            None => ActionImage::Built {
                folder: folder.to_owned(),
                file: action.image.clone(),
            },
        };
        let own = action.entrypoint.as_deref().map(super::scope::text);
        let args = action.args.as_ref();
        StepKind::Container {
            image,
            entrypoint: input(given, ENTRYPOINT).or(own),
            args: args.map(|args| args.iter().map(|field| as_text(scope.fold(session, field))).collect()),
            line: input(given, ARGS),
            action_env: scope
                .entries(session, &action.env, "`env`")
                .into_iter()
                .map(|(key, expr)| (key, as_text(expr)))
                .collect(),
            post: action.post.clone(),
            post_condition: action
                .post_if
                .as_ref()
                .and_then(|field| post_condition(session, field, frame.scope)),
            inputs,
        }
    }

    fn read_action(&self, path: &str, span: Span) -> Option<Rc<Action>> {
        let session = self.session;
        let within = |file: &str| match path {
            "" | "." => file.to_owned(),
            _ => format!("{}/{file}", path.trim_start_matches("./")),
        };
        for file in ["action.yml", "action.yaml"] {
            let name = within(file);
            let request = Request::File {
                origin: Origin::Local,
                path: name.clone(),
            };
            match session.ask(request)? {
                Answer::File(found) => {
                    let node = super::super::document(session, &name, &found.text)?;
                    session.included(node.span.file, span);
                    return entry::parse_action(session, &node).map(Rc::new);
                }
                Answer::Refused(Refusal::NotFound) => {}
                Answer::Refused(refusal) => {
                    let message = format!("the action `./{path}` {}", refusal.explain());
                    session.error(&code::GITHUB_USES, span, message);
                    return None;
                }
                _ => return None,
            }
        }
        session.report(
            Problem::new(
                &code::GITHUB_USES,
                span,
                format!(
                    "there is neither `{}` nor `{}`",
                    within("action.yml"),
                    within("action.yaml")
                ),
            )
            .hint("actions of the own repository are read at the commit that is built"),
        );
        None
    }
}

/// What `inputs` is in the action: texts, given or by default.
fn inputs(
    maker: &Maker<'_, '_>,
    action: &Action,
    path: &str,
    span: Span,
    with: &[Entry],
    frame: &Frame<'_>,
) -> BTreeMap<String, Expr> {
    let session = maker.session;
    let given = frame.scope.entries(session, with, "`with`");
    let of_containers = |name: &str| {
        let known = [ENTRYPOINT, ARGS].iter().any(|known| name.eq_ignore_ascii_case(known));
        known && matches!(action.runs, Runs::Container(_))
    };
    for (name, _) in given.iter().filter(|(name, _)| !of_containers(name)) {
        if !action.inputs.iter().any(|input| input.name.eq_ignore_ascii_case(name)) {
            session.report(
                Problem::new(
                    &code::GITHUB_ACTION,
                    span,
                    format!("the action `./{path}` has no input `{name}`"),
                )
                .suggest(name, action.inputs.iter().map(|input| input.name.as_str())),
            );
        }
    }
    let mut all = BTreeMap::new();
    for input in &action.inputs {
        let own = given.iter().find(|(name, _)| name.eq_ignore_ascii_case(&input.name));
        let value = match (own, &input.default) {
            (Some((_, expr)), _) => expr.clone(),
            (None, Some(default)) => frame.scope.fold(session, default),
            (None, None) => super::scope::text(""),
        };
        all.insert(input.name.clone(), as_text(value));
    }
    for (name, expr) in given {
        if !all.keys().any(|known| known.eq_ignore_ascii_case(&name)) {
            all.insert(name, as_text(expr));
        }
    }
    all
}

/// Inputs of actions are texts.
fn as_text(expr: Expr) -> Expr {
    match fold::known(&expr) {
        Some(value) => super::scope::text(&value.to_text()),
        None => Expr::Concat(vec![expr]),
    }
}

/// What was given under a name that ignores case.
fn input(given: &[(String, Expr)], name: &str) -> Option<Expr> {
    let found = given.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
    found.map(|(_, expr)| as_text(expr.clone()))
}
