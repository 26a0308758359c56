//! Execution environments: written in a job, or named.

use std::rc::Rc;

use tasuki_model::plan::{Image, Machine, MachineKind, Service};

use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::{Found, Kind, Package};
use crate::lang::circleci::parameter::{Given, Owner, Resolved, whole};
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node, Text};

const KEYS: [&str; 9] = [
    "description",
    "parameters",
    "docker",
    "machine",
    "macos",
    "resource_class",
    "shell",
    "working_directory",
    "environment",
];

/// Where a job runs, and what its executor says of it.
#[derive(Debug, Clone, Default)]
pub(in crate::lang::circleci) struct Setting {
    pub(super) image: Option<Image>,
    pub(super) services: Vec<Service>,
    pub(super) machine: Option<Machine>,
    /// `namespace/name`.
    pub(super) resource_class: Option<String>,
    pub(super) shell: Option<String>,
    pub(super) working_directory: Option<String>,
    pub(super) environment: Vec<(String, String)>,
    /// Whether docker, machine or macos was said.
    pub(super) is_set: bool,
}

impl Compiler<'_, '_> {
    /// Puts what a map (of a job or executor, interpolated) says over a setting: its keys win, environments are merged.
    pub(super) fn set(&self, setting: &mut Setting, map: &Map, what: &str) {
        let mut class = map.get("resource_class");
        let mut kind = setting.machine.as_ref().map(|machine| machine.kind);
        if let Some(node) = map.get("docker") {
            let containers = self.docker(node, what);
            setting.image = containers.primary;
            setting.services = containers.services;
            setting.machine = None;
            merge(&mut setting.environment, containers.environment);
            kind = Some(MachineKind::Docker);
        }
        let declared = [
            map.get("machine").map(|node| self.machine(node, what)),
            map.get("macos").map(|node| self.macos(node, what)),
        ];
        for declared in declared.into_iter().flatten().flatten() {
            kind = Some(declared.machine.kind);
            setting.image = None;
            setting.services = Vec::new();
            setting.machine = Some(declared.machine);
            setting.shell = declared.shell.or(setting.shell.take());
            if let (Some(inner), Some(outer)) = (declared.resource_class, class) {
                let problem = Problem::new(&code::CIRCLECI_EXECUTOR, inner.span, "`resource_class` is said twice");
                let place = self.session.place(outer.span);
                self.report(problem.hint(format!("it is also at {place}: keep one of them")));
            }
            class = class.or(declared.resource_class);
        }
        if let Some(node) = class
            && let Some(class) = self.text(node, format_args!("`resource_class` of {what}"))
            && !class.is_empty()
        {
            self.fits_kind(setting.machine.as_ref(), &class, node, what);
            self.take_class(setting, class, kind.unwrap_or(MachineKind::Docker));
        }
        let text = |key: &str| {
            map.get(key)
                .filter(|node| !is_null(node))
                .and_then(|node| self.text(node, format_args!("`{key}` of {what}")))
        };
        if let Some(shell) = text("shell") {
            setting.shell = Some(shell);
        }
        if let Some(directory) = text("working_directory") {
            setting.working_directory = Some(directory);
        }
        if let Some(node) = map.get("environment") {
            merge(&mut setting.environment, self.environment(node, what));
        }
        setting.is_set |= kind.is_some();
    }

    /// `namespace/name` is a pool of runners; anything else is the size of a machine.
    fn take_class(&self, setting: &mut Setting, class: String, kind: MachineKind) {
        if class.contains('/') {
            setting.resource_class = Some(class);
            return;
        }
        setting.resource_class = None;
        let machine = setting.machine.get_or_insert(Machine {
            kind,
            size: None,
            image: None,
            xcode: None,
            docker_layer_caching: false,
        });
        machine.size = Some(class);
    }

    /// At most one of the environments may be written. One beside `executor` stands for the executor's own.
    pub(super) fn one_environment(&self, map: &Map, what: &str) {
        let said: Vec<&(Node, Node)> = ["docker", "machine", "macos"]
            .iter()
            .filter_map(|key| map.entry(key))
            .collect();
        if let [first, second, ..] = said[..] {
            let word = |entry: &(Node, Node)| entry.0.text().map_or_else(String::new, |text| text.to_string());
            let message = format!(
                "{what} has both `{}` and `{}`: keep one of them",
                word(first),
                word(second)
            );
            self.error(&code::CIRCLECI_EXECUTOR, second.0.span, message);
        }
    }

    /// The setting of `executor: …`, as written at the place of `scope`.
    pub(super) fn executor(&self, node: &Node, scope: &Rc<Scope>, what: &str) -> Setting {
        let mut node = node.clone();
        let mut scope = scope.clone();
        // A parameter of the type executor brings along where its name belongs.
        if let Some(path) = node.text().and_then(|text| whole(text)) {
            match self.resolve(path, &scope, node.span) {
                Some(Resolved::Executor(executor)) => {
                    node = executor.node.clone();
                    scope = executor.scope.clone();
                }
                Some(Resolved::Node(found)) => node = found,
                Some(Resolved::Steps(_)) => self.wrong_type(&node, format_args!("`executor` of {what}"), "an executor"),
                None => return unknown(),
            }
        } else if let Some((key, name)) = node.as_map().and_then(|map| map.entry("name"))
            && let Some(path) = name.text().and_then(|text| whole(text))
            && let Some(Resolved::Executor(executor)) = self.resolve(path, &scope, name.span)
        {
            return self.executor_with(&node, (key, &executor.node), &scope, &executor.scope.clone(), what);
        }
        match node.as_map() {
            Some(map) => match map.entry("name") {
                Some((key, name)) => {
                    let name = self.interpolate(name, &scope);
                    self.executor_with(&node, (key, &name), &scope, &scope, what)
                }
                None => {
                    let message = format!("`executor` of {what} lacks `name`");
                    self.error(&code::CIRCLECI_MISSING_KEY, node.span, message);
                    unknown()
                }
            },
            None => {
                let name = self.interpolate(&node, &scope);
                self.named_executor(&name, &[], &scope, &scope, what)
            }
        }
    }

    /// A map with `name` and arguments; the name belongs to another place than they, where it came by a parameter.
    fn executor_with(
        &self,
        node: &Node,
        (key, name): (&Node, &Node),
        scope: &Rc<Scope>,
        home: &Rc<Scope>,
        what: &str,
    ) -> Setting {
        let entries: Vec<(Node, Node)> = node
            .as_map()
            .map(|map| {
                map.iter()
                    .filter(|(other, _)| other.text() != key.text())
                    .cloned()
                    .collect()
            })
            .unwrap_or_default();
        self.named_executor(name, &entries, scope, home, what)
    }

    fn named_executor(
        &self,
        name: &Node,
        entries: &[(Node, Node)],
        scope: &Rc<Scope>,
        home: &Rc<Scope>,
        what: &str,
    ) -> Setting {
        if is_unknown(name) {
            return unknown();
        }
        if let Some(map) = name.as_map() {
            // The value of a parameter that is a map itself.
            let inner = map.get("name").cloned();
            return match inner {
                Some(inner) => {
                    let more = map
                        .iter()
                        .filter(|(key, _)| key.text().is_some_and(|text| &**text != "name"));
                    let more: Vec<(Node, Node)> = more.cloned().collect();
                    self.named_executor(&inner, &more, home, home, what)
                }
                None => unknown(),
            };
        }
        let Some(text) = self.text(name, format_args!("`executor` of {what}")) else {
            return unknown();
        };
        let package = home.package.clone();
        let (owner, element) = match package.find(Kind::Executor, &text) {
            Found::Element(owner, element) => (owner.clone(), element.clone()),
            Found::Lost => return unknown(),
            Found::Nothing => {
                let message = format!("{what} uses the executor `{text}`, which is not defined");
                let problem = Problem::new(&code::CIRCLECI_UNDEFINED, name.span, message);
                let known = package.names(Kind::Executor);
                self.report(problem.suggest(&text, known.iter().map(String::as_str)));
                return unknown();
            }
        };
        self.mark_used(&element);
        if let Some(known) = self.settings.borrow().get(&element.span).filter(|_| entries.is_empty()) {
            return known.clone();
        }
        let given = Given::Arguments { entries, scope };
        let before = self.session.errors();
        let setting = self.expand_executor(&owner, &text, &element, &given, name);
        // What was found wrong may depend on who uses it.
        if entries.is_empty() && self.session.errors() == before {
            self.settings.borrow_mut().insert(element.span, setting.clone());
        }
        setting
    }

    fn expand_executor(
        &self,
        owner: &Rc<Package>,
        name: &str,
        element: &Node,
        given: &Given<'_>,
        at: &Node,
    ) -> Setting {
        let what = format!("executor `{name}`");
        let mut setting = Setting::default();
        let Some(map) = self.map(element, &what) else {
            return unknown();
        };
        self.only(map, &what, &KEYS);
        self.one_environment(map, &what);
        let declared = self.declarations(element, Owner::Executor);
        let scope = self.bind(&declared, given, Scope::of(owner, what.clone()), at.span);
        let body = self.interpolate(&without_parameters(map, element), &scope);
        if let Some(map) = body.as_map() {
            self.set(&mut setting, map, &what);
        }
        if !setting.is_set {
            let message = format!("{what} has none of `docker`, `machine`, `macos`");
            self.error(&code::CIRCLECI_EXECUTOR, element.span, message);
            setting.is_set = true;
        }
        setting
    }

    /// Checks an executor that nothing uses.
    pub(in crate::lang::circleci) fn try_executor(&self, package: &Rc<Package>, name: &Text, element: &Node) {
        self.expand_executor(package, name, element, &Given::Unknown, element);
    }
}

/// Something that was found wrong, or is not known: what follows from it is not blamed.
fn unknown() -> Setting {
    Setting {
        is_set: true,
        ..Setting::default()
    }
}

/// Declarations are no part of what is expanded.
fn without_parameters(map: &Map, node: &Node) -> Node {
    if map.get("parameters").is_none() {
        return node.clone();
    }
    let rest = map
        .iter()
        .filter(|(key, _)| key.text().is_some_and(|text| &**text != "parameters"));
    Node::map_of(Map::from_unique(rest.cloned().collect()), node.span)
}

/// Later variables win and keep the place of earlier ones.
fn merge(all: &mut Vec<(String, String)>, more: Vec<(String, String)>) {
    for (key, value) in more {
        match all.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => all.push((key, value)),
        }
    }
}
