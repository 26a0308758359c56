//! What all rooms share while a configuration is expanded.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use foldhash::{HashMap, HashSet};

use crate::Session;
use crate::diag::{Code, Problem, code};
use crate::yaml::{Node, Span};

use super::condition::Matches;
use super::element::{Expanded, Setting};
use super::package::{Kind, Package};
use super::parameter::Declaration;
use super::values::Values;

/// Steps of all jobs together: commands that call commands multiply.
const MOST_STEPS: usize = 500_000;

pub(super) struct Compiler<'s, 'a> {
    pub(super) session: &'s Session<'a>,
    pub(super) values: Values,
    /// A package that defines nothing.
    pub(super) nowhere: Rc<Package>,
    pub(super) matches: Matches,
    /// Executors without arguments, which are the same wherever they are used.
    pub(super) settings: RefCell<HashMap<Span, Setting>>,
    /// The same of commands that jobs call.
    pub(super) expanded: RefCell<HashMap<Span, Expanded>>,
    steps: Cell<usize>,
    /// The job `build` is the whole pipeline.
    pub(super) build_alone: Cell<bool>,
    /// Parameters by the place of the element, so that each declaration is read once.
    pub(super) declared: RefCell<HashMap<Span, Rc<Vec<Declaration>>>>,
    /// Places of elements that were expanded.
    used: RefCell<HashSet<Span>>,
}

impl<'s, 'a> Compiler<'s, 'a> {
    pub(super) fn new(session: &'s Session<'a>, values: Values) -> Self {
        Self {
            session,
            values,
            nowhere: Rc::new(Package::empty()),
            matches: Matches::default(),
            settings: RefCell::default(),
            expanded: RefCell::default(),
            steps: Cell::new(0),
            build_alone: Cell::new(false),
            declared: RefCell::default(),
            used: RefCell::default(),
        }
    }

    pub(super) fn error(&self, code: &'static Code, span: Span, message: impl Into<String>) {
        self.session.error(code, span, message);
    }

    pub(super) fn report(&self, problem: Problem) {
        self.session.report(problem);
    }

    /// Something valid that changes nothing here.
    pub(super) fn no_effect(&self, span: Span, message: impl Into<String>) {
        self.session.error(&code::CIRCLECI_NO_EFFECT, span, message);
    }

    /// Counts a step; false where there are too many.
    pub(super) fn count_step(&self, span: Span) -> bool {
        self.count_steps(1, span)
    }

    /// Counts steps that were made before and are used again.
    pub(super) fn count_steps(&self, number: usize, span: Span) -> bool {
        let before = self.steps.get();
        let steps = before + number;
        self.steps.set(steps);
        if before <= MOST_STEPS && steps > MOST_STEPS {
            let message = format!("the jobs have more than {MOST_STEPS} steps after all commands are expanded");
            self.error(&code::CIRCLECI_TOO_MANY, span, message);
        }
        steps <= MOST_STEPS
    }

    pub(super) fn mark_used(&self, element: &Node) {
        self.used.borrow_mut().insert(element.span);
    }

    fn is_used(&self, element: &Node) -> bool {
        self.used.borrow().contains(&element.span)
    }

    /// Expands what no workflow uses, with unknown arguments, to find its mistakes. Orbs of a registry were checked
    /// when they were published.
    pub(super) fn check_unused(&self, package: &Rc<Package>) {
        for (name, node) in package.elements(Kind::Job) {
            if !self.is_used(node) {
                self.try_job(package, name, node);
            }
        }
        for (name, node) in package.elements(Kind::Executor) {
            if !self.is_used(node) {
                self.try_executor(package, name, node);
            }
        }
        for (name, node) in package.elements(Kind::Command) {
            if !self.is_used(node) {
                self.try_command(package, name, node);
            }
        }
        for orb in package.inline_orbs() {
            self.check_unused(orb);
        }
    }
}
