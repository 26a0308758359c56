//! A job with steps → jobs of the Plan.

use std::rc::Rc;
use std::sync::Arc;

use tasuki_model::expr::BinaryOp::And;
use tasuki_model::expr::{Expr, Literal, Value};
use tasuki_model::plan::{self, AllowFailure, Need, Variable, seconds};

use super::super::entry::{self, Body, Container, Job};
use super::super::fields::Field;
use super::super::fold;
use super::container::{self, Whose};
use super::login;
use super::matrix::{self, Member};
use super::ports;
use super::scope::{NeedScope, Scope, binary, call};
use super::steps::Frame;
use super::workflow::{Level, Maker, group};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::Span;

/// Minutes that a job may take where it does not say.
const USUAL_MINUTES: f64 = 360.0;
/// Characters of a job's name.
const MOST_NAME: usize = 100;

impl Maker<'_, '_> {
    /// The members of a job's matrix, or the one job without; each with what `matrix` and `strategy` are in it.
    pub(super) fn members(&self, job: &Job, scope: &Scope<'_>) -> Vec<(Member, Value, Value)> {
        let Some(strategy) = &job.strategy else {
            let only = Member {
                values: Vec::new(),
                suffix: String::new(),
            };
            return vec![(only, Value::Null, Value::Null)];
        };
        let expanded = match &strategy.matrix {
            Some(given) => matrix::expand(self.session, given, scope),
            None => None,
        };
        let Some(members) = expanded else { return Vec::new() };
        let rules = rules(self.session, job, scope);
        let total = members.len();
        let number = |n: usize| Value::Number(f64::from(u32::try_from(n).unwrap_or(u32::MAX)));
        let fail_fast = Value::Bool(rules.as_ref().is_none_or(|rules| rules.fail_fast));
        let most = rules.as_ref().and_then(|rules| rules.max_parallel);
        let most = number(most.map_or(total, |most| most as usize));
        let keys = ["fail-fast", "job-index", "job-total", "max-parallel"].map(Arc::<str>::from);
        let one = |(index, member): (usize, Member)| {
            let values = [fail_fast.clone(), number(index), number(total), most.clone()];
            let strategy = keys.iter().cloned().zip(values);
            let values = Value::object(member.values.iter().cloned());
            (member, values, Value::object(strategy))
        };
        members.into_iter().enumerate().map(one).collect()
    }

    /// Makes a job with steps of its own.
    pub(super) fn own(
        &mut self,
        workflow: &entry::Workflow,
        job: &Job,
        body: &Body,
        needs: Vec<NeedScope>,
        level: &Level<'_>,
    ) -> NeedScope {
        let session = self.session;
        let ground = Rc::clone(&self.ground);
        let scope = ground.of_job(job, &needs, level);
        if self.is_later(job, level) && self.waits(job, &scope) {
            return self.later(job, &needs, level);
        }
        let own_condition = job
            .condition
            .as_ref()
            .and_then(|field| condition(session, field, &scope));
        let condition = both(level.condition.clone(), own_condition, &needs);
        let strategy = job.strategy.as_ref().and_then(|_| rules(session, job, &scope));
        let members = self.members(job, &scope);
        let total = u32::try_from(members.len()).unwrap_or(u32::MAX);
        let mut names = Vec::with_capacity(members.len());
        for (index, (member, matrix, strategy_value)) in members.into_iter().enumerate() {
            let scope = Scope {
                matrix,
                strategy: strategy_value,
                ..ground.of_job(job, &needs, level)
            };
            let name = self.name(job, &member, &scope, level);
            let mut made = plan::Job::new(name.clone());
            made.base_name = format!("{}{}", level.id_prefix, job.id);
            made.needs = Some(edges(&needs, level));
            made.condition.clone_from(&condition);
            made.strategy.clone_from(&strategy);
            if job.strategy.is_some() {
                made.parallel_index = u32::try_from(index + 1).ok();
                made.parallel_total = Some(total);
            }
            if let Some(permissions) = job
                .permissions
                .as_ref()
                .or(workflow.permissions.as_ref())
                .or(level.permissions)
            {
                made.permissions.clone_from(permissions);
            }
            made.resource_group = job.concurrency.as_ref().and_then(|given| group(session, &scope, given));
            self.fill(&mut made, workflow, body, &scope, job.span);
            names.push(name);
            self.jobs.push(made);
        }
        NeedScope {
            id: job.id.clone(),
            members: names,
            outputs: None,
        }
    }

    /// The display name, which no other job of the workflow has.
    pub(super) fn name(&mut self, job: &Job, member: &Member, scope: &Scope<'_>, level: &Level<'_>) -> String {
        let (base, says_matrix) = match &job.name {
            Some(field) => (
                scope.text(self.session, field, "`name`").unwrap_or_default(),
                fold::names_context(&field.expr, "matrix"),
            ),
            None => (job.id.clone(), false),
        };
        let suffix = if says_matrix { "" } else { &member.suffix };
        self.unique(&format!("{}{base}{suffix}", level.prefix), &job.id)
    }

    /// The name, cut to its length, with the id behind it where another job has it.
    pub(super) fn unique(&mut self, name: &str, id: &str) -> String {
        let mut name = cut(name);
        if self.names.contains(&name) {
            let stem = format!("{name} [{id}]");
            name.clone_from(&stem);
            let mut number = 2;
            while self.names.contains(&name) {
                name = format!("{stem} {number}");
                number += 1;
            }
        }
        self.names.insert(name.clone());
        name
    }

    fn fill(&mut self, made: &mut plan::Job, workflow: &entry::Workflow, body: &Body, scope: &Scope<'_>, span: Span) {
        let session = self.session;
        runs_on(session, made, body, scope);
        let minutes = body
            .timeout
            .as_ref()
            .and_then(|field| scope.value(session, field, "`timeout-minutes`"));
        let minutes = minutes.map_or(USUAL_MINUTES, |value| value.to_number());
        made.timeout_s = seconds(minutes);
        if made.timeout_s.is_none() {
            let at = body.timeout.as_ref().map_or(span, |field| field.span);
            session.error(&code::GITHUB_VALUE, at, "`timeout-minutes` must be a number above zero");
        }
        if let Some(field) = &body.continue_on_error
            && let Some(value) = scope.value(session, field, "`continue-on-error`")
        {
            made.allow_failure = AllowFailure::Flag(value.is_truthy());
        }
        made.environment = body
            .environment
            .as_ref()
            .and_then(|given| environment(session, given, scope))
            .map(Box::new);
        let container = body.container.as_ref();
        made.image = container
            .and_then(|given| image(session, given, scope, Whose::Job))
            .map(Box::new);
        if let Some(field) = &body.computed_services
            && let Some(value) = scope.value(session, field, "`services`")
        {
            made.services = container::services(session, field.span, &value);
        }
        for service in &body.services {
            if let Some(image) = image(session, &service.container, scope, Whose::Service) {
                made.services.push(plan::Service {
                    image,
                    aliases: vec![service.id.clone()],
                });
            }
        }
        let mut env = scope.entries(session, &workflow.env, "`env`");
        for (key, expr) in scope.entries(session, &body.env, "`env`") {
            env.retain(|(known, _)| *known != key);
            env.push((key, expr));
        }
        let mut late = Vec::new();
        for (key, expr) in env {
            match fold::known_text(&expr) {
                Some(value) => made.variables.push(raw(key, value)),
                None => late.push((key, expr)),
            }
        }
        let frame = Frame {
            scope,
            shell: body.defaults.shell.as_ref().or(workflow.defaults.shell.as_ref()),
            directory: body
                .defaults
                .directory
                .as_ref()
                .or(workflow.defaults.directory.as_ref()),
            env: &late,
            in_container: made.image.is_some(),
            depth: 0,
        };
        made.steps = self.steps(&body.steps, &frame);
        for (name, field) in &body.outputs {
            made.outputs.insert(name.clone(), scope.fold(session, field));
        }
    }
}

/// A variable that is never expanded: `$` has no meaning in `env`.
fn raw(key: String, value: String) -> Variable {
    Variable {
        raw: true,
        ..Variable::plain(key, value)
    }
}

fn cut(name: &str) -> String {
    if name.chars().count() <= MOST_NAME {
        return name.to_owned();
    }
    let mut name: String = name.chars().take(MOST_NAME - 3).collect();
    name.push_str("...");
    name
}

fn rules(session: &Session<'_>, job: &Job, scope: &Scope<'_>) -> Option<plan::Strategy> {
    let given = job.strategy.as_ref()?;
    let read = |field: &Option<Field>, what: &str| field.as_ref().and_then(|field| scope.value(session, field, what));
    let most = read(&given.max_parallel, "`max-parallel`").map(|value| value.to_number());
    if most.is_some_and(|most| most.is_nan() || most < 1.0) {
        let span = given.max_parallel.as_ref().map_or(job.span, |field| field.span);
        session.error(&code::GITHUB_VALUE, span, "`max-parallel` must be a number from 1 on");
    }
    Some(plan::Strategy {
        fail_fast: read(&given.fail_fast, "`fail-fast`").is_none_or(|value| value.is_truthy()),
        // A float that is too big becomes the biggest number.
        max_parallel: most.map(|most| most as u32),
    })
}

/// The condition of a job, with `success()` added where it does not ask how the work went.
pub(super) fn condition(session: &Session<'_>, field: &Field, scope: &Scope<'_>) -> Option<Expr> {
    let folded = scope.fold(session, field);
    let misplaced = |expr: &Expr| matches!(expr, Expr::Context(name) if name != "needs");
    if fold::any(&folded, &misplaced) {
        let message = "the condition depends on what only the runner knows";
        session.report(Problem::new(&code::UNSUPPORTED, field.span, message).hint("ask it in `if` of the steps"));
        return None;
    }
    if fold::asks_status(&field.expr) {
        return Some(folded);
    }
    match fold::known(&folded) {
        Some(value) if value.is_truthy() => None,
        Some(_) => Some(Expr::Literal(Literal::Bool(false))),
        None => Some(binary(And, call("success", &[]), folded)),
    }
}

/// The condition of a job in a reusable workflow, together with the caller's. A job that needs nothing there asks
/// only the caller's condition how the work before went.
pub(super) fn both(outer: Option<Expr>, own: Option<Expr>, needs: &[NeedScope]) -> Option<Expr> {
    let Some(outer) = outer else { return own };
    let own = match own {
        Some(own) if needs.is_empty() => Some(asked_of(own, &[])),
        None if !needs.is_empty() => Some(call("success", &[])),
        own => own,
    };
    Some(match own {
        Some(own) => binary(And, outer, own),
        None => outer,
    })
}

/// The condition with its questions put to these jobs instead of to all before it.
pub(super) fn asked_of(expr: Expr, members: &[String]) -> Expr {
    let inner = |expr: Box<Expr>| Box::new(asked_of(*expr, members));
    let all = |parts: Vec<Expr>| parts.into_iter().map(|part| asked_of(part, members)).collect();
    match expr {
        Expr::Call { function, arguments } if arguments.is_empty() => match (function.as_str(), members) {
            ("success", []) => Expr::Literal(Literal::Bool(true)),
            ("failure" | "cancelled", []) => Expr::Literal(Literal::Bool(false)),
            ("success" | "failure" | "cancelled", members) => call(&function, members),
            _ => Expr::Call { function, arguments },
        },
        Expr::Call { function, arguments } => Expr::Call {
            function,
            arguments: all(arguments),
        },
        Expr::Concat(parts) => Expr::Concat(all(parts)),
        Expr::Not(of) => Expr::Not(inner(of)),
        Expr::Filter(of) => Expr::Filter(inner(of)),
        Expr::Index { of, index } => Expr::Index {
            of: inner(of),
            index: inner(index),
        },
        Expr::Binary { op, left, right } => Expr::Binary {
            op,
            left: inner(left),
            right: inner(right),
        },
        Expr::Literal(_) | Expr::Context(_) => expr,
    }
}

/// Edges to all members of the needs, and to the caller's.
pub(super) fn edges(needs: &[NeedScope], level: &Level<'_>) -> Vec<Need> {
    let members = needs.iter().chain(&level.needs).flat_map(|need| &need.members);
    let mut all: Vec<Need> = Vec::new();
    for job in members {
        if !all.iter().any(|need| need.job == *job) {
            all.push(Need {
                job: job.clone(),
                artifacts: false,
                optional: false,
                statuses: Vec::new(),
                source: None,
            });
        }
    }
    all
}

fn runs_on(session: &Session<'_>, made: &mut plan::Job, body: &Body, scope: &Scope<'_>) {
    for field in &body.runs_on.labels {
        if let Expr::Literal(Literal::Text(label)) = &field.expr
            && !label.is_empty()
        {
            made.tags.push(label.clone());
            continue;
        }
        let Some(value) = scope.value(session, field, "`runs-on`") else {
            continue;
        };
        let labels: Vec<String> = match &value {
            Value::Array(array) => array.items.iter().map(|item| item.to_text().to_string()).collect(),
            Value::Object(object) => {
                if let Some(group) = object.get("group") {
                    made.resource_class = Some(group.to_text().to_string());
                }
                match object.get("labels") {
                    Some(Value::Array(array)) => array.items.iter().map(|item| item.to_text().to_string()).collect(),
                    Some(one) => vec![one.to_text().to_string()],
                    None => Vec::new(),
                }
            }
            one => vec![one.to_text().to_string()],
        };
        if !matches!(value, Value::Object(_)) && (labels.is_empty() || labels.iter().any(String::is_empty)) {
            session.error(&code::GITHUB_VALUE, field.span, "`runs-on` names no label");
        }
        made.tags.extend(labels);
    }
    // Labels ignore case at GitHub, and these are the ones that are written in both ways.
    for label in &mut made.tags {
        let usual = ["linux", "macos", "windows", "x64", "arm", "arm64"];
        if usual.iter().any(|word| label.eq_ignore_ascii_case(word)) {
            label.make_ascii_lowercase();
        }
    }
    // Every runner of tasuki is one's own.
    made.tags.retain(|label| !label.eq_ignore_ascii_case("self-hosted"));
    if let Some(group) = &body.runs_on.group {
        made.resource_class = scope.text(session, group, "`group`");
    }
}

fn environment(session: &Session<'_>, given: &entry::Environment, scope: &Scope<'_>) -> Option<plan::Environment> {
    let name = scope
        .text(session, &given.name, "`environment`")
        .filter(|name| !name.is_empty())?;
    let url = given.url.as_ref().and_then(|field| {
        let folded = scope.fold(session, field);
        let value = fold::known(&folded);
        if value.is_none() {
            let message = "the address of an environment cannot depend on steps yet";
            session.error(&code::UNSUPPORTED, field.span, message);
        }
        value.map(|value| value.to_text().to_string())
    });
    Some(plan::Environment {
        name,
        url,
        action: if given.deploys {
            plan::EnvironmentAction::Start
        } else {
            plan::EnvironmentAction::Access
        },
        on_stop: None,
        auto_stop_in_s: None,
        tier: None,
    })
}

/// The image of a container; none where its name is empty.
fn image(session: &Session<'_>, given: &Container, scope: &Scope<'_>, whose: Whose) -> Option<plan::Image> {
    let value = scope.value(session, &given.image, "`image`")?;
    if matches!(value, Value::Object(_) | Value::Array(_)) {
        return container::image(session, given.image.span, &value, "a container", whose);
    }
    let name = Some(value.to_text().to_string()).filter(|name| !name.is_empty())?;
    let text = |field: &Field, what: &str| scope.text(session, field, what);
    let words = |field: &Option<Field>, what: &str| {
        let field = field.as_ref()?;
        container::words(session, field.span, &text(field, what)?, what)
    };
    let env = scope.entries(session, &given.env, "`env`");
    let mut variables = Vec::with_capacity(env.len());
    for (key, expr) in env {
        match (fold::known(&expr), login::secret(&expr)) {
            (Some(value), _) => variables.push(raw(key, value.to_text().to_string())),
            // A reference, whose value is put in its place when a runner takes the job.
            (None, Some(name)) => variables.push(Variable {
                masked: true,
                ..Variable::plain(key, format!("${name}"))
            }),
            (None, None) => {
                let message =
                    format!("`{key}` of a container is neither known when the pipeline starts nor one secret");
                let problem = Problem::new(&code::UNSUPPORTED, given.image.span, message);
                session.report(problem.hint("write `${{ secrets.NAME }}` and nothing else"));
            }
        }
    }
    let credentials = given.credentials.as_ref();
    let credentials = credentials.and_then(|given| login::of(session, given, scope));
    Some(plan::Image {
        name,
        entrypoint: words(&given.entrypoint, "`entrypoint`"),
        command: words(&given.command, "`command`"),
        ports: given
            .ports
            .iter()
            .flat_map(|field| ports::of(session, field, scope))
            .collect(),
        variables,
        credentials,
        volumes: given
            .volumes
            .iter()
            .filter_map(|field| Some((field.span, text(field, "`volumes`")?)))
            .inspect(|(span, text)| container::check_volume(session, *span, text))
            .map(|(_, text)| text)
            .collect(),
        options: given.options.as_ref().and_then(|field| {
            let text = text(field, "`options`")?;
            container::check_options(session, field.span, &text, whose);
            Some(text)
        }),
        ..plan::Image::default()
    })
}
