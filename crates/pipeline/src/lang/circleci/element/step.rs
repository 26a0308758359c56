//! Lists of steps, with commands, conditions and parameters expanded.

use std::rc::Rc;

use tasuki_model::plan::{Step, StepKind};

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::{Found, Kind, Package};
use crate::lang::circleci::parameter::{Given, Owner, Resolved, whole};
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::lang::circleci::scope::{Call, Scope};
use crate::yaml::{Node, Seq, Text};

/// Commands that call commands.
const DEEPEST: u16 = 50;

/// The steps that the language has.
const BUILT_IN: [&str; 16] = [
    "run",
    "checkout",
    "setup_remote_docker",
    "save_cache",
    "restore_cache",
    "store_artifacts",
    "store_test_results",
    "persist_to_workspace",
    "attach_workspace",
    "add_ssh_keys",
    "when",
    "unless",
    "steps",
    "deploy",
    "install_signing_bundle",
    "type",
];

/// Takes the steps of a job.
#[derive(Debug)]
pub(super) struct Sink {
    pub(super) steps: Vec<Step>,
    /// Working directory of the job, `.` for the project folder.
    pub(super) directory: String,
    /// Shell of the job.
    pub(super) shell: Option<String>,
}

impl Sink {
    pub(super) fn new(directory: String, shell: Option<String>) -> Self {
        Self {
            steps: Vec::new(),
            directory,
            shell,
        }
    }
}

/// What a command without arguments became, which it becomes in every job whose steps run in the same place.
#[derive(Debug)]
pub(in crate::lang::circleci) struct Expanded {
    directory: String,
    shell: Option<String>,
    steps: Vec<Step>,
}

impl Expanded {
    fn suits(&self, sink: &Sink) -> bool {
        self.directory == sink.directory && self.shell == sink.shell
    }
}

impl Compiler<'_, '_> {
    /// Expands what stands below a `steps` key.
    pub(super) fn steps(&self, node: &Node, scope: &Rc<Scope>, sink: &mut Sink) {
        if let Some(path) = node.text().and_then(|text| whole(text)) {
            self.parameter_steps(path, node, scope, sink);
        } else if let Some(items) = self.seq(node, format_args!("`steps` of {}", scope.what)) {
            self.step_list(items, scope, sink);
        }
    }

    pub(super) fn step_list(&self, items: &Seq, scope: &Rc<Scope>, sink: &mut Sink) {
        for item in items.iter() {
            if !self.count_step(item.span) {
                return;
            }
            self.step(item, scope, sink);
        }
    }

    fn parameter_steps(&self, path: &str, node: &Node, scope: &Rc<Scope>, sink: &mut Sink) {
        match self.resolve(path, scope, node.span) {
            Some(Resolved::Steps(steps)) => {
                if let Some(items) = &steps.items {
                    self.step_list(items, &steps.scope, sink);
                }
            }
            Some(Resolved::Node(_) | Resolved::Executor(_)) => {
                let message = format!("`{path}` is used as steps, but is no parameter of the type steps");
                self.error(&code::CIRCLECI_TYPE, node.span, message);
            }
            None => {}
        }
    }

    fn step(&self, item: &Node, scope: &Rc<Scope>, sink: &mut Sink) {
        match (item.as_map(), item.text()) {
            (None, Some(text)) => {
                if let Some(path) = whole(text)
                    && !path.starts_with("pipeline.")
                {
                    return self.parameter_steps(path, item, scope, sink);
                }
                let name = self.interpolate(item, scope);
                self.named_step(&name, None, scope, sink);
            }
            (Some(map), _) => {
                let [(key, value)] = &map[..] else {
                    let message = format!("a step is one name with its arguments, but this has {} keys", map.len());
                    let problem = Problem::new(&code::CIRCLECI_STEP, item.span, message);
                    self.report(problem.hint("indent the arguments deeper than the name of the step"));
                    return;
                };
                let key = self.interpolate(key, scope);
                self.named_step(&key, Some(value).filter(|value| !is_null(value)), scope, sink);
            }
            (None, None) => self.wrong_type(item, "a step", "a name or a map"),
        }
    }

    fn named_step(&self, key: &Node, value: Option<&Node>, scope: &Rc<Scope>, sink: &mut Sink) {
        if is_unknown(key) {
            return;
        }
        let Some(name) = key.text() else {
            return self.wrong_type(key, "the name of a step", "a string");
        };
        match scope.package.find(Kind::Command, name) {
            Found::Element(owner, element) => self.command(owner, name, element, (key, value), scope, sink),
            Found::Lost => {}
            Found::Nothing => self.built_in(key, name, value, scope, sink),
        }
    }

    /// A step that the runner will refuse, with what to write instead.
    fn refused(&self, key: &Node, instead: &str) {
        let name = key.text().map_or("", |text| text);
        let message = format!("no runner does `{name}`: the job will be refused there");
        self.report(Problem::new(&code::CIRCLECI_STEP_REFUSED, key.span, message).hint(instead));
    }

    fn command(
        &self,
        owner: &Rc<Package>,
        name: &Text,
        element: &Node,
        (key, value): (&Node, Option<&Node>),
        scope: &Rc<Scope>,
        sink: &mut Sink,
    ) {
        self.mark_used(element);
        let again = scope.is_inside(element.span);
        if again || scope.depth >= DEEPEST {
            let message = if again {
                format!("command `{name}` calls itself")
            } else {
                format!("command `{name}` is called deeper than {DEEPEST} levels")
            };
            self.error(&code::CIRCLECI_RECURSION, key.span, message);
            return;
        }
        let entries = match value {
            None => &[][..],
            Some(value) => match value.as_map() {
                Some(map) => &map[..],
                None => {
                    self.wrong_type(value, format_args!("the arguments of command `{name}`"), "a map");
                    return;
                }
            },
        };
        let given = Given::Arguments { entries, scope };
        // Within other commands it counts how deep they are.
        if !entries.is_empty() || scope.depth > 0 {
            return self.expand_command(owner, name, element, &given, (key, Some(scope)), sink);
        }
        if let Some(known) = self
            .expanded
            .borrow()
            .get(&element.span)
            .filter(|known| known.suits(sink))
        {
            if self.count_steps(known.steps.len(), key.span) {
                sink.steps.extend_from_slice(&known.steps);
            }
            return;
        }
        let (errors, start) = (self.session.errors(), sink.steps.len());
        self.expand_command(owner, name, element, &given, (key, Some(scope)), sink);
        if self.session.errors() == errors {
            let expanded = Expanded {
                directory: sink.directory.clone(),
                shell: sink.shell.clone(),
                steps: sink.steps[start..].to_vec(),
            };
            self.expanded.borrow_mut().insert(element.span, expanded);
        }
    }

    fn expand_command(
        &self,
        owner: &Rc<Package>,
        name: &str,
        element: &Node,
        given: &Given<'_>,
        (at, caller): (&Node, Option<&Scope>),
        sink: &mut Sink,
    ) {
        let what = format!("command `{name}`");
        let Some(map) = self.map(element, &what) else { return };
        self.only(map, &what, &["description", "parameters", "steps"]);
        let declared = self.declarations(element, Owner::Command);
        let inner = Scope {
            depth: caller.map_or(0, |caller| caller.depth + 1),
            calls: Some(Rc::new(Call {
                element: element.span,
                outer: caller.and_then(|caller| caller.calls.clone()),
            })),
            ..Scope::of(owner, what.clone())
        };
        let scope = self.bind(&declared, given, inner, at.span);
        if let Some(steps) = self.required(map, "steps", &what, element.span) {
            self.steps(steps, &scope, sink);
        }
    }

    /// Checks a command that nothing uses.
    pub(in crate::lang::circleci) fn try_command(&self, package: &Rc<Package>, name: &Text, element: &Node) {
        let mut sink = Sink::new(".".to_owned(), None);
        self.expand_command(package, name, element, &Given::Unknown, (element, None), &mut sink);
    }

    fn built_in(&self, key: &Node, name: &str, value: Option<&Node>, scope: &Rc<Scope>, sink: &mut Sink) {
        match name {
            "when" | "unless" => return self.conditional(key, name, value, scope, sink),
            "steps" => {
                match value {
                    Some(value) => self.steps(value, scope, sink),
                    None => self.wrong_type(key, "`steps`", "given a list"),
                }
                return;
            }
            _ => {}
        }
        let value = value.map(|value| self.interpolate(value, scope));
        let value = value.as_ref();
        let step = match name {
            "run" | "deploy" => self.run(key, value, sink),
            "checkout" => self.checkout(value, sink),
            // The hyphen is no longer documented, but CircleCI takes it.
            "save_cache" | "save-cache" => self.save_cache(key, value, sink),
            "restore_cache" | "restore-cache" => self.restore_cache(key, value),
            "persist_to_workspace" => self.persist(key, value, sink),
            "attach_workspace" => self.attach(key, value, sink),
            "store_artifacts" => self.store_artifacts(key, value, sink),
            "store_test_results" => self.store_test_results(key, value, sink),
            "add_ssh_keys" => {
                self.refused(
                    key,
                    "put the key into a variable of the kind file and load it in a `run` step",
                );
                self.add_ssh_keys(value)
            }
            "setup_remote_docker" => {
                self.refused(key, "leave it out: the jobs of a runner use the docker of its machine");
                self.setup_remote_docker(value)
            }
            "install_signing_bundle" => {
                let message = "`install_signing_bundle` is not supported: import the certificate in a `run` step";
                self.error(&code::UNSUPPORTED, key.span, message);
                None
            }
            _ => {
                self.unknown_step(key, name, scope);
                None
            }
        };
        sink.steps.extend(step);
    }

    fn unknown_step(&self, key: &Node, name: &str, scope: &Scope) {
        let message = format!("`{name}` is neither a step nor a command that is defined");
        let problem = Problem::new(&code::CIRCLECI_UNDEFINED, key.span, message);
        let mut known = scope.package.names(Kind::Command);
        known.extend(BUILT_IN[..15].iter().map(|&name| name.to_owned()));
        let mut problem = problem.suggest(name, known.iter().map(String::as_str));
        if let (None, Some((orb, _))) = (&problem.hint, name.split_once('/')) {
            problem = problem.hint(format!(
                "commands of an orb need the orb: `orbs: {{{orb}: namespace/name@version}}`"
            ));
        }
        self.report(problem);
    }

    fn conditional(&self, key: &Node, word: &str, value: Option<&Node>, scope: &Rc<Scope>, sink: &mut Sink) {
        let what = format!("`{word}`");
        let Some(value) = value else {
            return self.wrong_type(key, &what, "a map with `condition` and `steps`");
        };
        let Some(map) = self.map(value, &what) else { return };
        self.only(map, &what, &["condition", "steps"]);
        let condition = self.required(map, "condition", &what, key.span);
        let steps = self.required(map, "steps", &what, key.span);
        let (Some(condition), Some(steps)) = (condition, steps) else {
            return;
        };
        let holds = self.logic(&self.interpolate(condition, scope));
        let wanted = word == "when";
        if holds.is_none_or(|holds| holds == wanted) {
            self.steps(steps, scope, sink);
        } else {
            // Left out of the job, but not of the check; the values at hand need not suit steps that do not run.
            let mut aside = Sink::new(sink.directory.clone(), sink.shell.clone());
            self.steps(steps, &Rc::new(scope.with_unknown_values()), &mut aside);
        }
    }
}

/// A step of a kind with a name.
pub(super) fn step(kind: StepKind, name: Option<String>) -> Step {
    Step {
        name: name.unwrap_or_default(),
        ..Step::new(kind)
    }
}
