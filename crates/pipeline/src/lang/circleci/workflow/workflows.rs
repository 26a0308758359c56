//! What stands below `workflows`.

use std::rc::Rc;

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
        for (key, value) in map.iter() {
            if key.text().is_some_and(|text| &**text == "version") {
                continue;
            }
            let Some(name) = check_title(self.session, key, "workflow") else {
                continue;
            };
            let Some(workflow) = self.workflow(main, name, key, value) else {
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
        if !matches!(main.find(Kind::Job, "build"), Found::Element(..)) {
            let problem = Problem::new(
                &code::CIRCLECI_FORMAT,
                root.span,
                "there are no workflows, and no job `build`",
            );
            self.report(problem.hint("list the jobs that shall run below `workflows.<name>.jobs`"));
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

    fn workflow(&self, main: &Rc<Package>, name: &str, key: &Node, node: &Node) -> Option<Workflow> {
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
        let items = self.seq(list, &format!("`jobs` of {what}"))?;
        let mut entries = self.entries(items, &scope);
        self.name(&mut entries);
        self.connect(&mut entries, &what, key.span);
        self.serial_once(&entries, &what);
        let jobs = entries.iter().filter_map(|entry| self.entry_job(entry, &entries));
        let jobs: Vec<Job> = jobs.collect();
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

    fn entry_job(&self, entry: &Entry, all: &[Entry]) -> Option<Job> {
        if !entry.kept {
            return None;
        }
        let mut job = match &entry.work {
            Work::Job => self.job(&Use {
                name: &entry.job,
                span: entry.span,
                arguments: &entry.arguments,
                scope: &entry.scope,
                pre: entry.pre.as_ref().and_then(Node::as_seq),
                post: entry.post.as_ref().and_then(Node::as_seq),
            })?,
            Work::Approval => approval(&entry.job),
            Work::Nothing => Job {
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
