//! Jobs.

use std::rc::Rc;

use tasuki_model::plan::{Approval, Gate, Job};

use super::executor::Setting;
use super::image::variable;
use super::place;
use super::step::Sink;
use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::package::{Found, Kind, Package};
use crate::lang::circleci::parameter::{Given, Owner};
use crate::lang::circleci::read::{is_null, is_unknown};
use crate::lang::circleci::scope::Scope;
use crate::yaml::{Map, Node, Seq, Span, Text};

const KEYS: [&str; 20] = [
    "description",
    "type",
    "parallelism",
    "macos",
    "machine",
    "docker",
    "executor",
    "resource_class",
    "steps",
    "working_directory",
    "shell",
    "environment",
    "parameters",
    "circleci_ip_ranges",
    "retention",
    "branches",
    "plan_name",
    "validation",
    "pre-steps",
    "post-steps",
];

const MOST_PARTS: i64 = 1_000;

/// A job as an entry of a workflow uses it.
pub(in crate::lang::circleci) struct Use<'u> {
    /// As written in the entry.
    pub(in crate::lang::circleci) name: &'u str,
    pub(in crate::lang::circleci) span: Span,
    /// Arguments of its parameters, and where they belong.
    pub(in crate::lang::circleci) arguments: &'u [(Node, Node)],
    pub(in crate::lang::circleci) scope: &'u Rc<Scope>,
    pub(in crate::lang::circleci) pre: Option<&'u Seq>,
    pub(in crate::lang::circleci) post: Option<&'u Seq>,
}

/// Seconds that an approval may be waited for: 90 days.
const APPROVAL_S: u64 = 90 * 86_400;

/// A job that waits for somebody and runs nothing.
pub(in crate::lang::circleci) fn approval(name: &str) -> Job {
    Job {
        gate: Some(Gate::Approval(Approval {
            expires_s: Some(APPROVAL_S),
        })),
        ..Job::new(name)
    }
}

/// Where a job's definition is.
type Definition = (Rc<Package>, Node);

impl Compiler<'_, '_> {
    /// The job of an entry, named as its definition; `None` where there is none.
    pub(in crate::lang::circleci) fn job(&self, used: &Use<'_>) -> Option<Job> {
        let (package, element) = self.definition(&used.scope.package, used.name, used.span)?;
        let given = Given::Arguments {
            entries: used.arguments,
            scope: used.scope,
        };
        let around = Around {
            scope: used.scope,
            pre: used.pre,
            post: used.post,
        };
        self.expand_job(&package, used.name, &element, &given, used.span, Some(&around))
    }

    /// Follows `job: other`, which gives another job a second name.
    fn definition(&self, package: &Rc<Package>, name: &str, span: Span) -> Option<Definition> {
        let mut package = package.clone();
        let mut name = name.to_owned();
        for _ in 0..10 {
            let (owner, element) = match package.find(Kind::Job, &name) {
                Found::Element(owner, element) => (owner.clone(), element.clone()),
                Found::Lost => return None,
                Found::Nothing => {
                    let message = format!("cannot find a definition for the job `{name}`");
                    let problem = Problem::new(&code::CIRCLECI_UNDEFINED, span, message);
                    let known = package.names(Kind::Job);
                    self.report(problem.suggest(&name, known.iter().map(String::as_str)));
                    return None;
                }
            };
            self.mark_used(&element);
            match element.text().filter(|_| !is_null(&element)) {
                Some(other) => {
                    name = other.to_string();
                    package = owner;
                }
                None => return Some((owner, element)),
            }
        }
        let message = format!("the job `{name}` is another name of itself");
        self.error(&code::CIRCLECI_RECURSION, span, message);
        None
    }

    fn expand_job(
        &self,
        package: &Rc<Package>,
        name: &str,
        element: &Node,
        given: &Given<'_>,
        span: Span,
        around: Option<&Around<'_>>,
    ) -> Option<Job> {
        let what = format!("job `{name}`");
        let map = self.map(element, &what)?;
        self.only(map, &what, &KEYS);
        self.one_environment(map, &what);
        let declared = self.declarations(element, Owner::Job);
        let scope = self.bind(&declared, given, Scope::of(package, what.clone()), span);
        let mut job = Job::new(name);
        let kind = map.get("type").map(|node| self.interpolate(node, &scope));
        let types = ["build", "release", "no-op", "approval", "lock", "unlock"];
        let kind = kind.and_then(|node| self.one_of(&node, format_args!("`type` of {what}"), &types));
        match kind.as_deref() {
            Some("no-op") => {
                job.no_op = true;
                return Some(job);
            }
            Some("approval") => return Some(approval(name)),
            Some(other @ ("release" | "lock" | "unlock")) => {
                let message = format!("jobs of the type `{other}` are not supported");
                self.error(&code::UNSUPPORTED, element.span, message);
                return None;
            }
            _ => {}
        }
        self.unused_keys(map, &what);
        let setting = self.setting(map, element, &scope, &what);
        if let Some(node) = map.get("parallelism").filter(|node| !is_null(node)) {
            let node = self.interpolate(node, &scope);
            let parts = self.integer(&node, format_args!("`parallelism` of {what}"), 1, MOST_PARTS);
            job.parallelism = parts.and_then(|parts| u32::try_from(parts).ok()).unwrap_or(1);
        }
        let directory = setting
            .working_directory
            .as_deref()
            .map_or(".".to_owned(), place::directory);
        let mut sink = Sink::new(directory, setting.shell.clone());
        if let Some((around, pre)) = around.and_then(|around| Some((around, around.pre?))) {
            self.step_list(pre, around.scope, &mut sink);
        }
        match map.get("steps") {
            Some(steps) => self.steps(steps, &scope, &mut sink),
            None => self.error(
                &code::CIRCLECI_MISSING_KEY,
                element.span,
                format!("{what} lacks `steps`"),
            ),
        }
        if let Some((around, post)) = around.and_then(|around| Some((around, around.post?))) {
            self.step_list(post, around.scope, &mut sink);
        }
        job.steps = sink.steps;
        job.image = setting.image.map(Box::new);
        job.services = setting.services;
        job.machine = setting.machine.map(Box::new);
        job.resource_class = setting.resource_class;
        job.variables = setting
            .environment
            .into_iter()
            .map(|(key, value)| variable(key, value))
            .collect();
        Some(job)
    }

    /// What is said of the machine: of the executor, then of the job itself.
    fn setting(&self, map: &Map, element: &Node, scope: &Rc<Scope>, what: &str) -> Setting {
        let mut setting = match map.get("executor") {
            Some(node) => self.executor(node, scope, what),
            None => Setting::default(),
        };
        let said = [
            "docker",
            "machine",
            "macos",
            "resource_class",
            "shell",
            "working_directory",
            "environment",
        ];
        let own = map
            .iter()
            .filter(|(key, _)| key.text().is_some_and(|text| said.contains(&&**text)));
        let own = Node::map_of(Map::from_unique(own.cloned().collect()), element.span);
        let own = self.interpolate(&own, scope);
        if let Some(own) = own.as_map() {
            self.set(&mut setting, own, what);
        }
        if !setting.is_set {
            let message =
                format!("{what} has no execution environment: one of `docker`, `machine`, `macos`, `executor`");
            self.error(&code::CIRCLECI_EXECUTOR, element.span, message);
        }
        setting
    }

    /// Keys that are known and change nothing here.
    fn unused_keys(&self, map: &Map, what: &str) {
        for (key, why) in [
            ("circleci_ip_ranges", "addresses are those of your own runners"),
            ("retention", "how long caches are kept is a setting of the server"),
            ("plan_name", "it belongs to `type: release`"),
            ("validation", "it is not known to the public"),
        ] {
            if let Some((key, _)) = map.entry(key) {
                let word = key.text().map_or("", |text| text);
                self.no_effect(key.span, format!("`{word}` of {what} does nothing here: {why}"));
            }
        }
        if let Some((key, _)) = map.entry("branches").filter(|_| !self.build_alone.get()) {
            let message = format!("`branches` of {what} does nothing where there are workflows: use `filters` there");
            self.no_effect(key.span, message);
        }
        for word in ["pre-steps", "post-steps"] {
            if let Some((key, _)) = map.entry(word) {
                let message = format!("`{word}` belongs to the entry of a workflow, not to {what}");
                self.error(&code::CIRCLECI_UNKNOWN_KEY, key.span, message);
            }
        }
    }

    /// Checks a job that no workflow uses.
    pub(in crate::lang::circleci) fn try_job(&self, package: &Rc<Package>, name: &Text, element: &Node) {
        if element.text().is_some() {
            if !is_null(element) && !is_unknown(element) {
                self.definition(package, name, element.span);
            }
            return;
        }
        self.expand_job(package, name, element, &Given::Unknown, element.span, None);
    }
}

/// What an entry puts around a job's steps.
struct Around<'u> {
    scope: &'u Rc<Scope>,
    pre: Option<&'u Seq>,
    post: Option<&'u Seq>,
}
