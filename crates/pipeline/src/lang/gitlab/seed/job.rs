//! One job of the pipeline: its rules are evaluated, its names expanded, and it is written into the Plan.

use std::borrow::Cow;

use tasuki_model::plan::{
    Downstream, DownstreamTarget, Environment, Gate, IdToken, Job, ManualGate, Need, NeedSource, ResourceGroup,
    Variable, When,
};

use super::budget::Budget;
use super::cache_key;
use super::environment::resource_group;
use super::facts::Facts;
use super::graph::{Edge, Graph};
use super::layers::{Layers, put};
use super::members::Member;
use super::select::{Selected, select};
use super::steps::steps;
use super::world::World;
use crate::Session;
use crate::diag::{Problem, code};
use crate::lang::gitlab::entry;
use crate::lang::gitlab::entry::{Build, NeedEntry, NeedForm, Pages, Work};
use crate::lang::gitlab::slug::slug;
use crate::lang::gitlab::variables::{Layer, Scope};

/// What all jobs share while they are made.
pub(super) struct Seeder<'s, 'd> {
    pub(super) session: &'s Session<'s>,
    pub(super) layers: &'s Layers<'s>,
    pub(super) facts: &'s Facts<'s>,
    pub(super) graph: &'s Graph<'d>,
    pub(super) budget: Budget,
}

/// A job that is part of the pipeline.
pub(super) struct Drawn<'d> {
    selected: Selected<'d>,
    /// Needs in the same pipeline, those that may be absent included.
    pub(super) edges: Option<Cow<'d, [Edge]>>,
    pub(super) environment: Option<Box<Environment>>,
    variables: Vec<Variable>,
    resource_group: Option<String>,
    tags: Vec<String>,
    id_tokens: Vec<IdToken>,
    downstream: Option<Box<Downstream>>,
    caches: Vec<tasuki_model::plan::Cache>,
    pages_prefix: Option<String>,
}

impl Drawn<'_> {
    /// The needs are those of the rule that held.
    pub(super) fn has_needs_of_rule(&self) -> bool {
        self.selected.needs.is_some()
    }
}

impl<'s, 'd: 's> Seeder<'s, 'd> {
    /// Evaluates the rules of a member; `None` where it is not part of the pipeline.
    pub(super) fn draw(&self, at: usize) -> Option<Drawn<'s>> {
        let member: &'s Member<'d> = &self.graph.members.list[at];
        let entry = member.entry;
        let root = self.layers.root(&entry.inherit_variables);
        let own = Layer::new(own_variables(member, &[]));
        if !self.check_variables(member, &root, &own) {
            return None;
        }
        let context = self.session.input.context;
        let world = World::of(self.layers, member, &root, &own, entry.when);
        let scope = self.layers.scope(&world.job, &root, &own, &world.settings);
        let selected = select(entry, context, &scope, self.facts)?;
        self.check_delay(member, &selected);
        // What follows is expanded with the variables of the rule in place.
        let (own, world) = if selected.variables.is_empty() && selected.when == entry.when.unwrap_or_default() {
            (own, world)
        } else {
            let with_rule = Layer::new(own_variables(member, selected.variables));
            if !self.check_variables(member, &root, &with_rule) {
                return None;
            }
            let world = World::of(self.layers, member, &root, &with_rule, Some(selected.when));
            (with_rule, world)
        };
        for problem in &world.problems {
            self.session.report(problem.clone());
        }
        let scope = self.layers.scope(&world.job, &root, &own, &world.settings);
        if !self.check_scoped(member, &scope, &world) {
            return None;
        }
        let edges = match selected.needs {
            Some(needs) => Some(Cow::Owned(self.graph.edges(self.session, at, needs))),
            None => self.graph.needs[at].as_deref().map(Cow::Borrowed),
        };
        let build = match &entry.work {
            Work::Build(build) => Some(&**build),
            Work::Bridge(_) => None,
        };
        let resource_group = resource_group(entry, &scope, self.session);
        let pages_prefix = build
            .and_then(|build| build.pages.as_ref()?.path_prefix.as_deref())
            .map(|prefix| slug(&scope.expand(prefix)))
            .filter(|prefix| !prefix.is_empty());
        let tags = build.map_or_else(Vec::new, |build| {
            build.tags.iter().map(|tag| scope.expand_existing(tag)).collect()
        });
        let id_tokens = build.map_or_else(Vec::new, |build| id_tokens(build, &scope));
        let downstream = match &entry.work {
            Work::Bridge(Some(downstream)) => Some(Box::new(expanded(downstream, &scope))),
            Work::Bridge(None) | Work::Build(_) => None,
        };
        if !self.budget.take(self.session, entry, &root, &own) {
            return None;
        }
        let mut variables = Vec::with_capacity(root.list().len() + own.list().len());
        variables.extend_from_slice(root.list());
        for variable in own.into_list() {
            put(&mut variables, variable);
        }
        Some(Drawn {
            edges,
            resource_group,
            tags,
            id_tokens,
            caches: build.map_or_else(Vec::new, |build| self.caches(member, build)),
            downstream,
            environment: world.job.environment.map(Box::new),
            pages_prefix,
            variables,
            selected,
        })
    }

    fn check_delay(&self, member: &Member<'_>, selected: &Selected<'_>) {
        if selected.when == When::Delayed && selected.start_in.is_none() {
            let text = format!("jobs:{} start in should be a duration", member.entry.name);
            let problem = Problem::new(&code::GITLAB_MISSING_KEY, member.entry.span, text);
            self.session
                .report(problem.hint("with `rules`, write `when: delayed` and `start_in` into the same rule"));
        }
    }

    /// A fault that the job's own variables lead into. They must not be expanded then.
    fn check_variables(&self, member: &Member<'_>, root: &Layer, own: &Layer) -> bool {
        let referring = own.list().iter().filter(|v| !v.raw && v.value.contains(['$', '%']));
        let mut referring = referring.map(|v| v.key.as_str()).peekable();
        if referring.peek().is_none() {
            return true;
        }
        let settings = self.layers.settings(None);
        let nothing = Layer::default();
        let scope = self.layers.scope(&nothing, root, own, &settings);
        self.is_faultless(member, &scope, referring)
    }

    /// The same for variables of the settings that only the environments of some jobs have.
    fn check_scoped(&self, member: &Member<'_>, scope: &Scope<'_>, world: &World<'_>) -> bool {
        if world.job.environment.is_none() || !self.layers.is_scoped() {
            return true;
        }
        let names = world.settings.list().iter().map(|variable| variable.key.as_str());
        self.is_faultless(member, scope, names)
    }

    /// Reports the first fault that one of these variables leads into.
    fn is_faultless<'n>(&self, member: &Member<'_>, scope: &Scope<'_>, names: impl Iterator<Item = &'n str>) -> bool {
        let Some(fault) = scope.fault(names) else {
            return true;
        };
        let text = format!("{} job: {fault}", member.name);
        self.session
            .error(&code::GITLAB_CIRCULAR_VARIABLES, member.entry.span, text);
        false
    }

    fn caches(&self, member: &Member<'_>, build: &Build) -> Vec<tasuki_model::plan::Cache> {
        let caches = build.caches.iter().enumerate();
        caches
            .map(|(index, cache)| cache_key::resolved(cache, index, self.facts, member.entry.span))
            .collect()
    }

    /// Writes the job. `present` tells which members are part of the pipeline.
    pub(super) fn finish(&self, at: usize, drawn: Drawn<'_>, present: &dyn Fn(usize) -> bool) -> Job {
        let member = &self.graph.members.list[at];
        let entry = member.entry;
        let empty = Build::default();
        let build = match &entry.work {
            Work::Build(build) => build,
            Work::Bridge(_) => &empty,
        };
        let selected = drawn.selected;
        let written: &[NeedEntry] = selected.needs.or(entry.needs.as_deref()).unwrap_or_default();
        let needs = drawn.edges.as_ref().map(|edges| {
            let here = edges.iter().filter(|edge| present(edge.to)).map(|edge| Need {
                job: self.graph.members.list[edge.to].name.to_string(),
                artifacts: edge.artifacts,
                optional: edge.optional,
                statuses: Vec::new(),
                source: None,
            });
            here.chain(written.iter().filter_map(elsewhere)).collect()
        });
        Job {
            name: member.name.to_string(),
            base_name: entry.name.to_string(),
            stage: entry.stage.text.clone(),
            needs,
            dependencies: entry
                .dependencies
                .as_deref()
                .map(|names| self.dependencies(names, present)),
            when: selected.when,
            allow_failure: selected.allow_failure,
            gate: gate(selected.when, selected.start_in, entry.manual_confirmation.as_deref()),
            condition: None,
            resource_group: drawn.resource_group.map(|key| ResourceGroup {
                key,
                mode: Default::default(),
                cancel_in_progress: false,
            }),
            image: build.image.clone(),
            services: build.services.clone(),
            tags: drawn.tags,
            resource_class: None,
            machine: None,
            parallel_index: member.parallel.map(|(index, _)| index),
            parallel_total: member.parallel.map(|(_, total)| total),
            parallelism: 1,
            variables: drawn.variables,
            steps: steps(build),
            timeout_s: build.timeout,
            retry: build.retry.clone(),
            interruptible: selected.interruptible,
            environment: drawn.environment,
            caches: drawn.caches,
            artifacts: build.artifacts.clone(),
            outputs: Default::default(),
            strategy: None,
            downstream: drawn.downstream,
            release: build.release.clone(),
            id_tokens: drawn.id_tokens,
            secrets: build.secrets.clone(),
            coverage: build.coverage.clone(),
            pre_get_sources: build.hooks.as_deref().unwrap_or_default().to_vec(),
            pages: build.pages.as_ref().map(|pages| pages.folder.clone()),
            pages_expire_in_s: build
                .pages
                .as_ref()
                .and_then(|pages| lifetime(pages, drawn.pages_prefix.as_deref())),
            pages_prefix: drawn.pages_prefix,
            permissions: Default::default(),
            contexts: Vec::new(),
            no_op: false,
            continues: false,
        }
    }

    fn dependencies(&self, names: &[entry::Located], present: &dyn Fn(usize) -> bool) -> Vec<String> {
        let members = &self.graph.members;
        let all = names
            .iter()
            .flat_map(|name| members.named(&name.text))
            .filter(|at| present(*at));
        all.map(|at| members.list[at].name.to_string()).collect()
    }
}

/// Seconds that pages are shown: those below a prefix a day, where nothing is said.
fn lifetime(pages: &Pages, prefix: Option<&str>) -> Option<u64> {
    const DAY: u64 = 86_400;
    match (pages.expire_in, prefix) {
        (Some(0), _) | (None, None) => None,
        (Some(seconds), _) => Some(seconds),
        (None, Some(_)) => Some(DAY),
    }
}

/// Of the job, its matrix and the rule that held.
fn own_variables(member: &Member<'_>, rule: &[Variable]) -> Vec<Variable> {
    let mut own = member.entry.variables.clone();
    for (key, value) in &member.cell {
        put(&mut own, Variable::plain(key, value));
    }
    for variable in rule {
        put(&mut own, variable.clone());
    }
    own
}

fn gate(when: When, start_in: Option<u64>, confirmation: Option<&str>) -> Option<Gate> {
    match when {
        When::Manual => Some(Gate::Manual(ManualGate {
            confirmation: confirmation.map(str::to_owned),
        })),
        When::Delayed => Some(Gate::Delay {
            seconds: start_in.unwrap_or(0),
        }),
        When::OnSuccess | When::OnFailure | When::Always => None,
    }
}

fn id_tokens(build: &Build, scope: &Scope<'_>) -> Vec<IdToken> {
    let tokens = build.id_tokens.iter();
    tokens
        .map(|token| IdToken {
            name: token.name.clone(),
            audiences: token.audiences.iter().map(|aud| scope.expand(aud)).collect(),
        })
        .collect()
}

fn expanded(downstream: &Downstream, scope: &Scope<'_>) -> Downstream {
    let mut downstream = downstream.clone();
    if let DownstreamTarget::Project { path, branch } = &mut downstream.target {
        *path = scope.expand(path);
        *branch = branch
            .as_ref()
            .map(|branch| scope.expand(branch))
            .filter(|branch| !branch.is_empty());
    }
    downstream
}

/// A need outside the pipeline. Variables in it are expanded when the task is claimed.
fn elsewhere(need: &NeedEntry) -> Option<Need> {
    let of = |job: &str, artifacts, optional, source| Need {
        job: job.to_owned(),
        artifacts,
        optional,
        statuses: Vec::new(),
        source: Some(source),
    };
    Some(match &need.form {
        NeedForm::Job { .. } => return None,
        NeedForm::Pipeline {
            pipeline,
            job,
            artifacts,
            optional,
        } => of(
            job,
            *artifacts,
            *optional,
            NeedSource::Pipeline { id: pipeline.clone() },
        ),
        NeedForm::Project {
            project,
            git_ref,
            job,
            artifacts,
        } => of(
            job,
            *artifacts,
            false,
            NeedSource::Project {
                path: project.clone(),
                git_ref: git_ref.clone(),
            },
        ),
        NeedForm::Mirror { project } => of(
            "",
            false,
            false,
            NeedSource::Mirror {
                project: project.clone(),
            },
        ),
    })
}
