//! What stands below `workflows`.

use std::rc::Rc;

use foldhash::HashMap;
use tasuki_model::plan::{Job, Need, ProcessMode, ResourceGroup, Workflow};

use super::entry::{Entry, Work};
use crate::Mode;
use crate::diag::{Problem, code};
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::element::{Use, approval};
use crate::lang::circleci::package::{Found, Kind, Package, check_title};
use crate::lang::circleci::parameter::whole;
use crate::lang::circleci::read::{SCHEMA, is_null};
use crate::lang::circleci::scope::Scope;
use crate::lang::circleci::values::branch_and_tag;
use crate::yaml::{Map, Node, Style, Value};

const KEYS: [&str; 6] = ["jobs", "when", "unless", "max_auto_reruns", "triggers", "description"];

impl Compiler<'_, '_> {
    /// The workflows of the pipeline: those whose conditions hold and that have jobs left.
    pub(in crate::lang::circleci) fn workflows(&self, main: &Rc<Package>, root: &Node) -> Vec<Workflow> {
        let Some(node) = root.get("workflows").filter(|node| !is_null(node)) else {
            return self.implicit(main, root);
        };
        let Some(map) = self.map(node, "`workflows`") else {
            return Vec::new();
        };
        let mut all = Vec::new();
        let mut jobs = 0;
        let mut twins = Twins::default();
        for (key, value) in map.iter() {
            if key.text().is_some_and(|text| &**text == "version") {
                continue;
            }
            let Some(name) = check_title(self.session, key, "workflow") else {
                continue;
            };
            let Some(workflow) = self.workflow(main, (name, key, value), &mut twins, &all) else {
                continue;
            };
            jobs += workflow.jobs.len();
            let most = self.session.input.context.limits.jobs;
            if jobs > most {
                let message = format!("the workflows have more than {most} jobs together");
                self.error(&code::CIRCLECI_TOO_MANY, key.span, message);
                break;
            }
            if !workflow.jobs.is_empty() {
                all.push(workflow);
            }
        }
        all
    }

    /// Without `workflows` the job `build` is one.
    fn implicit(&self, main: &Rc<Package>, root: &Node) -> Vec<Workflow> {
        let Found::Element(_, element) = main.find(Kind::Job, "build") else {
            let problem = Problem::new(
                &code::CIRCLECI_FORMAT,
                root.span,
                "there are no workflows, and no job `build`",
            );
            self.report(problem.hint("list the jobs that shall run below `workflows.<name>.jobs`"));
            return Vec::new();
        };
        self.build_alone.set(true);
        let (branch, tag) = branch_and_tag(&self.session.input.context.trigger);
        let branches = element.get("branches").filter(|node| !is_null(node));
        let wanted = branches
            .is_none_or(|node| self.matches_filter(node, branch, "`branches` of job `build`") && tag.is_empty());
        if !wanted && self.session.mode == Mode::Create {
            return Vec::new();
        }
        let scope = Rc::new(Scope::of(main, "the workflow"));
        let used = Use {
            name: "build",
            span: root.span,
            arguments: &[],
            scope: &scope,
            pre: None,
            post: None,
        };
        let jobs: Vec<Job> = self.job(&used).into_iter().collect();
        vec![workflow("workflow", jobs, 0)]
    }

    fn workflow(
        &self,
        main: &Rc<Package>,
        (name, key, node): (&str, &Node, &Node),
        twins: &mut Twins,
        before: &[Workflow],
    ) -> Option<Workflow> {
        let what = format!("workflow `{name}`");
        let map = self.map(node, &what)?;
        self.only(map, &what, &KEYS);
        let scope = Rc::new(Scope::of(main, what.clone()));
        let runs = self.runs(map, &scope, &what) && self.is_scheduled(map, &what);
        if !runs && self.session.mode == Mode::Create {
            // Its arguments may make sense only where it runs.
            return None;
        }
        let reruns = map.get("max_auto_reruns").map(|node| self.interpolate(node, &scope));
        let reruns = reruns
            .and_then(|node| self.integer(&node, "`max_auto_reruns`", 1, 5))
            .unwrap_or(0);
        let list = self.required(map, "jobs", &what, key.span)?;
        let items = self.seq(list, format_args!("`jobs` of {what}"))?;
        let mut entries = self.entries(items, &scope);
        self.name(&mut entries);
        self.connect(&mut entries, &what, key.span);
        self.serial_once(&entries, &what);
        let mut jobs: Vec<Job> = Vec::with_capacity(entries.len());
        for entry in &entries {
            let errors = self.session.errors();
            let made = self.entry_job(entry, &entries, twins.of(entry, before, &jobs));
            if self.session.errors() == errors && made.is_some() {
                twins.add(entry, (before.len(), jobs.len()));
            }
            jobs.extend(made);
        }
        Some(workflow(name, jobs, u32::try_from(reruns).unwrap_or(0)))
    }

    /// A job that waits for a lock which a job behind it holds would wait for ever.
    fn serial_once(&self, entries: &[Entry], what: &str) {
        let mut seen: Vec<&str> = Vec::new();
        for entry in entries.iter().filter(|entry| entry.kept) {
            let Some(key) = entry.serial.as_deref().filter(|key| !key.is_empty()) else {
                continue;
            };
            if seen.contains(&key) {
                let message = format!("{what} has the `serial-group` `{key}` more than once");
                let problem = Problem::new(&code::CIRCLECI_VALUE, entry.span, message);
                self.report(problem.hint("jobs of one workflow are put in order by `requires`"));
            } else {
                seen.push(key);
            }
        }
    }

    /// `when` and `unless`.
    fn runs(&self, map: &Map, scope: &Scope, what: &str) -> bool {
        let holds = |key: &str| map.get(key).map(|node| self.condition(node, scope, what));
        holds("when").unwrap_or(true) && !holds("unless").unwrap_or(false)
    }

    /// A logic statement, or an expression in a string.
    fn condition(&self, node: &Node, scope: &Scope, what: &str) -> bool {
        let is_text = matches!(node.value(SCHEMA), Value::Text(_));
        match node.text().filter(|text| is_text && whole(text).is_none()) {
            Some(text) if !text.trim().is_empty() => self.expression(text, node.span).unwrap_or(false),
            _ => {
                let node = self.interpolate(node, scope);
                if let Some((key, _)) = node.as_map().and_then(|map| map.entry("condition")) {
                    let message = format!("`condition` belongs to steps; {what} has the statement itself");
                    self.error(&code::CIRCLECI_CONDITION, key.span, message);
                    return false;
                }
                self.logic(&node).unwrap_or(false)
            }
        }
    }

    fn entry_job(&self, entry: &Entry, all: &[Entry], twin: Option<&Job>) -> Option<Job> {
        if !entry.kept {
            return None;
        }
        let mut job = match (&entry.work, twin) {
            (Work::Job, Some(twin)) if self.count_steps(twin.steps.len(), entry.span) => twin.clone(),
            (Work::Job, _) => self.job(&Use {
                name: &entry.job,
                span: entry.span,
                arguments: &entry.arguments,
                scope: &entry.scope,
                pre: entry.pre.as_ref().and_then(Node::as_seq),
                post: entry.post.as_ref().and_then(Node::as_seq),
            })?,
            (Work::Approval, _) => approval(&entry.job),
            (Work::Nothing, _) => Job {
                no_op: true,
                ..Job::new(entry.job.as_str())
            },
        };
        job.name.clone_from(&entry.name);
        let needs = entry.edges.iter().map(|edge| Need {
            job: all[edge.to].name.clone(),
            artifacts: false,
            optional: false,
            statuses: edge.statuses.clone(),
            source: None,
        });
        job.needs = Some(needs.collect());
        job.contexts.clone_from(&entry.contexts);
        job.parallel_index = entry.member.map(|(index, _)| index);
        job.parallel_total = entry.member.map(|(_, total)| total);
        job.resource_group = entry.serial.as_ref().map(|key| ResourceGroup {
            key: key.clone(),
            mode: ProcessMode::SerialNewerWins,
            cancel_in_progress: false,
        });
        Some(job)
    }
}

/// Jobs that entries use without arguments: they are the same each time.
#[derive(Default)]
struct Twins(HashMap<String, (usize, usize)>);

impl Twins {
    fn is_one(entry: &Entry) -> bool {
        entry.work == Work::Job && entry.arguments.is_empty() && entry.pre.is_none() && entry.post.is_none()
    }

    /// The job that was made of the same definition, in an earlier workflow or in this one.
    fn of<'j>(&self, entry: &Entry, before: &'j [Workflow], jobs: &'j [Job]) -> Option<&'j Job> {
        let (workflow, job) = *self.0.get(&entry.job).filter(|_| Self::is_one(entry))?;
        before.get(workflow).map_or(jobs, |workflow| &workflow.jobs).get(job)
    }

    fn add(&mut self, entry: &Entry, place: (usize, usize)) {
        if Self::is_one(entry) && !self.0.contains_key(&entry.job) {
            self.0.insert(entry.job.clone(), place);
        }
    }
}

fn workflow(name: &str, jobs: Vec<Job>, max_auto_reruns: u32) -> Workflow {
    Workflow {
        file: String::new(),
        name: name.to_owned(),
        stages: Vec::new(),
        jobs,
        condition: None,
        concurrency: None,
        outputs: Default::default(),
        max_auto_reruns,
    }
}

/// Whether a scalar was written without quotes.
pub(super) fn is_plain(node: &Node) -> bool {
    matches!(node.kind, crate::yaml::Kind::Scalar(_, Style::Plain))
}
