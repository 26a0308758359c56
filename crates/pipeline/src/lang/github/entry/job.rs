//! `jobs`.

use std::collections::BTreeMap;
use std::fmt::Display;

use tasuki_model::expr::syntax::has_expression;

use super::super::fields::{self, Entry, Field, Wanted};
use super::super::names;
use super::super::read::value;
use super::container::{self, Container, Service};
use super::permissions;
use super::step::{self, Step};
use super::strategy::{self, Strategy};
use super::workflow::{self, Concurrency, Defaults};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node, Span, Value};

const KEYS: &[&str] = &[
    "name",
    "needs",
    "if",
    "permissions",
    "runs-on",
    "environment",
    "concurrency",
    "outputs",
    "env",
    "defaults",
    "steps",
    "timeout-minutes",
    "cancel-timeout-minutes",
    "strategy",
    "continue-on-error",
    "container",
    "services",
    "snapshot",
];
const CALL_KEYS: &[&str] = &[
    "name",
    "needs",
    "if",
    "permissions",
    "uses",
    "with",
    "secrets",
    "strategy",
    "concurrency",
];

/// A job.
#[derive(Debug, Clone)]
pub(crate) struct Job {
    pub(crate) id: String,
    pub(crate) span: Span,
    pub(crate) name: Option<Field>,
    pub(crate) needs: Vec<(String, Span)>,
    pub(crate) condition: Option<Field>,
    pub(crate) permissions: Option<BTreeMap<String, String>>,
    pub(crate) strategy: Option<Strategy>,
    pub(crate) concurrency: Option<Concurrency>,
    pub(crate) kind: JobKind,
}

#[derive(Debug, Clone)]
pub(crate) enum JobKind {
    Steps(Box<Body>),
    Call(Call),
}

/// A job with steps of its own.
#[derive(Debug, Clone)]
pub(crate) struct Body {
    pub(crate) runs_on: RunsOn,
    pub(crate) environment: Option<Environment>,
    pub(crate) outputs: Vec<(String, Field)>,
    pub(crate) env: Vec<Entry>,
    pub(crate) defaults: Defaults,
    pub(crate) steps: Vec<Step>,
    pub(crate) timeout: Option<Field>,
    pub(crate) continue_on_error: Option<Field>,
    pub(crate) container: Option<Container>,
    pub(crate) services: Vec<Service>,
    /// `services` as a whole, where an expression gives them.
    pub(crate) computed_services: Option<Field>,
}

/// `runs-on`: labels, each of which may be an expression that gives a list.
#[derive(Debug, Clone, Default)]
pub(crate) struct RunsOn {
    pub(crate) labels: Vec<Field>,
    pub(crate) group: Option<Field>,
}

#[derive(Debug, Clone)]
pub(crate) struct Environment {
    /// Whether a deployment is recorded.
    pub(crate) deploys: bool,
    pub(crate) name: Field,
    pub(crate) url: Option<Field>,
}

/// A job that is another workflow.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) uses: String,
    pub(crate) span: Span,
    pub(crate) with: Vec<Entry>,
    pub(crate) secrets: Secrets,
}

#[derive(Debug, Clone)]
pub(crate) enum Secrets {
    Inherit,
    Given(Vec<Entry>),
}

/// Reads `jobs`.
pub(super) fn parse_all(session: &Session<'_>, node: &Node) -> Vec<Job> {
    let Some(map) = fields::map(session, node, &"`jobs`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`jobs`");
    if map.is_empty() {
        session.error(&code::GITHUB_FORMAT, node.span, "the workflow has no jobs");
    }
    let one = |(key, node): &(Node, Node)| {
        let id = key.text().map_or("", |text| text);
        fields::check_id(session, id, key.span, "a job");
        job(session, id, key.span, node)
    };
    // Exactly: what is collected while it is filtered may have twice the room, and a job is large.
    let mut jobs = Vec::with_capacity(map.len());
    jobs.extend(map.iter().filter_map(one));
    jobs
}

fn job(session: &Session<'_>, id: &str, span: Span, node: &Node) -> Option<Job> {
    let what = format_args!("job `{id}`");
    let is_call = node.get("uses").is_some();
    let map = fields::keyed(session, node, &what, if is_call { CALL_KEYS } else { KEYS })?;
    let needs = map.get("needs").map(|node| needs(session, node)).unwrap_or_default();
    let kind = match map.get("uses") {
        Some(uses) => JobKind::Call(call(session, uses, map)?),
        None => JobKind::Steps(Box::new(body(session, &what, span, map))),
    };
    Some(Job {
        id: id.to_owned(),
        span,
        name: map
            .get("name")
            .and_then(|node| fields::field(session, node, &"`name`", Wanted::Text, &names::JOB)),
        needs,
        condition: map
            .get("if")
            .and_then(|node| fields::condition(session, node, &"`if`", &names::JOB_IF)),
        permissions: map.get("permissions").map(|node| permissions::parse(session, node)),
        strategy: map.get("strategy").and_then(|node| strategy::parse(session, node)),
        concurrency: map
            .get("concurrency")
            .and_then(|node| workflow::concurrency(session, node, &names::JOB)),
        kind,
    })
}

fn needs(session: &Session<'_>, node: &Node) -> Vec<(String, Span)> {
    let mut found: Vec<(String, Span)> = Vec::new();
    for item in fields::one_or_many(node) {
        if let Some(id) = fields::plain(session, item, &"an entry of `needs`")
            && !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(id))
        {
            found.push((id.to_owned(), item.span));
        }
    }
    found
}

fn body(session: &Session<'_>, what: &dyn Display, span: Span, map: &Map) -> Body {
    let runs_on = match map.get("runs-on") {
        Some(node) => runs_on(session, node),
        None => {
            session.report(
                Problem::new(&code::GITHUB_FORMAT, span, format!("{what} has no `runs-on`"))
                    .hint("name the labels of the runner, or `uses` a reusable workflow"),
            );
            RunsOn::default()
        }
    };
    beyond(session, map);
    Body {
        runs_on,
        environment: map.get("environment").and_then(|node| environment(session, node)),
        outputs: map
            .get("outputs")
            .map(|node| outputs(session, node))
            .unwrap_or_default(),
        env: map
            .get("env")
            .map(|node| fields::entries(session, node, &"`env`", &names::JOB_ENV))
            .unwrap_or_default(),
        defaults: map
            .get("defaults")
            .map(|node| workflow::defaults(session, node, &names::DEFAULTS_RUN))
            .unwrap_or_default(),
        steps: map
            .get("steps")
            .map(|node| step::parse_all(session, node, step::Place::Job))
            .unwrap_or_default(),
        timeout: map
            .get("timeout-minutes")
            .and_then(|node| fields::field(session, node, &"`timeout-minutes`", Wanted::Number, &names::JOB)),
        continue_on_error: map
            .get("continue-on-error")
            .and_then(|node| fields::field(session, node, &"`continue-on-error`", Wanted::Bool, &names::JOB)),
        container: map.get("container").and_then(|node| container::parse(session, node)),
        computed_services: map.get("services").and_then(|node| container::computed(session, node)),
        services: map
            .get("services")
            .map(|node| container::services(session, node))
            .unwrap_or_default(),
    }
}

/// Keys that are good at GitHub and that nothing here can follow.
fn beyond(session: &Session<'_>, map: &Map) {
    if let Some((key, _)) = map.entry("snapshot") {
        let message = "`snapshot` is not supported: images of hosted runners are not made here";
        session.report(Problem::new(&code::UNSUPPORTED, key.span, message).hint("leave it out"));
    }
    if let Some((key, node)) = map.entry("cancel-timeout-minutes") {
        fields::field(session, node, &"`cancel-timeout-minutes`", Wanted::Number, &names::JOB);
        let message = "how long a cancelled job may go on is the runner's setting";
        session.report(Problem::new(&code::GITHUB_NO_EFFECT, key.span, message));
    }
}

/// `group`, which may say whose group it is.
fn runner_group(session: &Session<'_>, node: &Node) -> Option<Field> {
    const OWNERS: [&str; 4] = ["organization", "org", "enterprise", "ent"];
    let field = fields::field(session, node, &"`group`", Wanted::Text, &names::JOB)?;
    let name = node.text().map_or("", |text| text);
    if has_expression(name) {
        return Some(field);
    }
    let good = match name.split_once('/') {
        Some((owner, group)) => OWNERS.contains(&owner) && !group.is_empty() && !group.contains('/'),
        None => !name.is_empty(),
    };
    if !good {
        let problem = Problem::new(
            &code::GITHUB_VALUE,
            node.span,
            format!("`{name}` is no group of runners"),
        );
        session.report(problem.hint("write its name, or `organization/name` or `enterprise/name`"));
    }
    Some(field)
}

fn runs_on(session: &Session<'_>, node: &Node) -> RunsOn {
    let label = |node: &Node| fields::field(session, node, &"a label of `runs-on`", Wanted::Text, &names::JOB);
    let labels = |node: &Node| {
        fields::one_or_many(node)
            .into_iter()
            .filter_map(label)
            .collect::<Vec<_>>()
    };
    match value(node) {
        Value::Map(_) => {
            let Some(map) = fields::keyed(session, node, &"`runs-on`", &["group", "labels"]) else {
                return RunsOn::default();
            };
            if map.is_empty() {
                session.error(
                    &code::GITHUB_FORMAT,
                    node.span,
                    "`runs-on` has neither `group` nor `labels`",
                );
            }
            RunsOn {
                labels: map.get("labels").map(labels).unwrap_or_default(),
                group: map.get("group").and_then(|node| runner_group(session, node)),
            }
        }
        Value::Seq(items) if items.is_empty() => {
            session.error(&code::GITHUB_VALUE, node.span, "`runs-on` names no label");
            RunsOn::default()
        }
        _ => RunsOn {
            labels: labels(node),
            group: None,
        },
    }
}

fn environment(session: &Session<'_>, node: &Node) -> Option<Environment> {
    if !matches!(value(node), Value::Map(_)) {
        let name = fields::field(session, node, &"`environment`", Wanted::Text, &names::JOB)?;
        return Some(Environment {
            name,
            url: None,
            deploys: true,
        });
    }
    let map = fields::keyed(session, node, &"`environment`", &["name", "url", "deployment"])?;
    let Some(name) = map.get("name") else {
        session.error(&code::GITHUB_FORMAT, node.span, "`environment` has no `name`");
        return None;
    };
    let deploys = map
        .get("deployment")
        .is_none_or(|node| fields::flag(session, node, &"`deployment`") != Some(false));
    Some(Environment {
        deploys,
        name: fields::field(session, name, &"`name`", Wanted::Text, &names::JOB)?,
        url: map
            .get("url")
            .and_then(|node| fields::field(session, node, &"`url`", Wanted::Text, &names::ENVIRONMENT_URL)),
    })
}

fn outputs(session: &Session<'_>, node: &Node) -> Vec<(String, Field)> {
    let Some(map) = fields::map(session, node, &"`outputs`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`outputs`");
    let one = |(key, node): &(Node, Node)| {
        let name = key.text().map_or("", |text| text);
        fields::check_id(session, name, key.span, "an output");
        let value = fields::field(
            session,
            node,
            &format_args!("output `{name}`"),
            Wanted::Any,
            &names::JOB_OUTPUT,
        )?;
        Some((name.to_owned(), value))
    };
    map.iter().filter_map(one).collect()
}

fn call(session: &Session<'_>, uses: &Node, map: &Map) -> Option<Call> {
    let text = fields::plain(session, uses, &"`uses`")?;
    let (path, local) = match fields::own_path(text) {
        Some(path) => (path, true),
        None => (text.split_once('@').map_or("", |(path, _)| path), false),
    };
    let (repository, file) = if local {
        (true, path.strip_prefix(".github/workflows/"))
    } else {
        let (repository, file) = path.rsplit_once("/.github/workflows/").unwrap_or_default();
        let good = repository
            .split_once('/')
            .is_some_and(|(owner, name)| !owner.is_empty() && !name.is_empty() && !name.contains('/'));
        (good, Some(file))
    };
    let is_yaml = |file: &str| {
        let stem = file.strip_suffix(".yml").or_else(|| file.strip_suffix(".yaml"));
        stem.is_some_and(|stem| !stem.is_empty() && !stem.contains('/'))
    };
    if !repository || !file.is_some_and(is_yaml) {
        session.report(
            Problem::new(
                &code::GITHUB_USES,
                uses.span,
                format!("`{text}` is no reusable workflow"),
            )
            .hint("write `./.github/workflows/file.yml`, or `owner/repository/.github/workflows/file.yml@ref`"),
        );
        return None;
    }
    if !local {
        session.report(
            Problem::new(
                &code::UNSUPPORTED,
                uses.span,
                format!("workflows of other repositories are not supported yet: `{text}`"),
            )
            .hint("copy the file into `.github/workflows` and use it as `./.github/workflows/…`"),
        );
    }
    let secrets = match map.get("secrets") {
        None => Secrets::Given(Vec::new()),
        Some(node) if value(node) == Value::Text("inherit") => Secrets::Inherit,
        Some(node) => Secrets::Given(fields::entries(session, node, &"`secrets`", &names::JOB_ENV)),
    };
    Some(Call {
        uses: text.to_owned(),
        span: uses.span,
        with: map
            .get("with")
            .map(|node| fields::entries(session, node, &"`with`", &names::JOB))
            .unwrap_or_default(),
        secrets,
    })
}
