//! `steps`.

use tasuki_model::expr::syntax::Names;

use super::super::fields::{self, Entry, Field, Wanted};
use super::super::names;
use super::super::read::value;
use crate::Session;
use crate::diag::{Problem, code, did_you_mean};
use crate::yaml::{Map, Node, Span, Value};

const RUN: &[&str] = &[
    "name",
    "id",
    "if",
    "env",
    "continue-on-error",
    "timeout-minutes",
    "run",
    "shell",
    "working-directory",
    "background",
];
const USES: &[&str] = &[
    "name",
    "id",
    "if",
    "env",
    "continue-on-error",
    "timeout-minutes",
    "uses",
    "with",
    "background",
];
/// The keys of which a step has exactly one.
const KINDS: [&str; 6] = ["run", "uses", "wait", "wait-all", "cancel", "parallel"];

/// Where the steps stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Job,
    /// A composite action: no secrets, `shell` must be said, no steps in the background.
    Action,
}

impl Place {
    fn names(self) -> &'static Names<'static> {
        match self {
            Self::Job => &names::STEP,
            Self::Action => &names::ACTION_STEP,
        }
    }

    fn condition_names(self) -> &'static Names<'static> {
        match self {
            Self::Job => &names::STEP_IF,
            Self::Action => &names::ACTION_IF,
        }
    }
}

/// A step.
#[derive(Debug, Clone)]
pub(crate) struct Step {
    pub(crate) span: Span,
    pub(crate) id: Option<String>,
    pub(crate) name: Option<Field>,
    pub(crate) condition: Option<Field>,
    pub(crate) env: Vec<Entry>,
    pub(crate) continue_on_error: Option<Field>,
    pub(crate) timeout: Option<Field>,
    pub(crate) is_background: bool,
    pub(crate) kind: StepKind,
}

#[derive(Debug, Clone)]
pub(crate) enum StepKind {
    Run {
        script: Field,
        shell: Option<Field>,
        directory: Option<Field>,
    },
    Uses {
        uses: Uses,
        with: Vec<Entry>,
    },
    /// Waits for background steps of these ids; `None` = all.
    Wait(Option<Vec<String>>),
    Cancel(String),
    Parallel(Vec<Step>),
}

/// What `uses` names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Uses {
    /// `actions/checkout`.
    Checkout,
    /// Folder of the own repository, without `./`.
    Local { path: String, span: Span },
    /// An image, by its name.
    Image { name: String, span: Span },
    /// Something that cannot be had; it has been told.
    Unknown,
}

/// Reads `steps`.
pub(super) fn parse_all(session: &Session<'_>, node: &Node, place: Place) -> Vec<Step> {
    let Some(items) = node.as_seq() else {
        fields::wrong(session, node, &"`steps`", "a list of steps");
        return Vec::new();
    };
    // Exactly: what is collected while it is filtered has room for four, and a step is large.
    let mut steps = Vec::with_capacity(items.len());
    steps.extend(items.iter().filter_map(|item| step(session, item, place)));
    let mut seen = Vec::new();
    check_ids(session, &steps, &mut seen);
    steps
}

fn check_ids(session: &Session<'_>, steps: &[Step], seen: &mut Vec<String>) {
    for step in steps {
        if let Some(id) = &step.id {
            let folded = id.to_ascii_lowercase();
            if seen.contains(&folded) {
                session.error(
                    &code::GITHUB_VALUE,
                    step.span,
                    format!("the id `{id}` is used by an earlier step"),
                );
            }
            seen.push(folded);
        }
        match &step.kind {
            StepKind::Parallel(inner) => check_ids(session, inner, seen),
            StepKind::Wait(Some(ids)) => ids.iter().for_each(|id| known(session, id, step.span, seen)),
            StepKind::Cancel(id) => known(session, id, step.span, seen),
            StepKind::Run { .. } | StepKind::Uses { .. } | StepKind::Wait(None) => {}
        }
    }
}

fn known(session: &Session<'_>, id: &str, span: Span, seen: &[String]) {
    if !seen.iter().any(|known| known.eq_ignore_ascii_case(id)) {
        session.error(&code::GITHUB_VALUE, span, format!("no earlier step has the id `{id}`"));
    }
}

fn step(session: &Session<'_>, node: &Node, place: Place) -> Option<Step> {
    let map = fields::map(session, node, &"a step")?;
    let kinds: Vec<&str> = KINDS.into_iter().filter(|kind| map.get(kind).is_some()).collect();
    let [kind] = kinds.as_slice() else {
        let message = match kinds.as_slice() {
            [] => "the step has neither `run` nor `uses`".to_owned(),
            [first, second, ..] => format!("the step has both `{first}` and `{second}`"),
            [_] => return None,
        };
        let mut problem = Problem::new(&code::GITHUB_FORMAT, node.span, message);
        let keys = map.iter().filter_map(|(key, _)| key.text());
        let mut unknown = keys.filter(|key| kinds.is_empty() && !KINDS.contains(&&***key));
        let near = unknown.find_map(|key| Some((key, did_you_mean(key, KINDS)?)));
        problem = problem.hint(match near {
            Some((key, near)) => format!("did you mean `{near}` instead of `{key}`?"),
            None if kinds.is_empty() => "a step needs `run: …`, or `uses: …` with an action".to_owned(),
            None => "make two steps of it".to_owned(),
        });
        session.report(problem);
        return None;
    };
    let control = ["name", *kind];
    let known = match *kind {
        "run" => RUN,
        "uses" => USES,
        _ => &control,
    };
    let map = fields::keyed(session, node, &format_args!("a step with `{kind}`"), known)?;
    let names = place.names();
    let field = |key: &str, wanted| fields::field(session, map.get(key)?, &format_args!("`{key}`"), wanted, names);
    let id = map.get("id").and_then(|node| {
        let id = fields::plain(session, node, &"`id`")?;
        fields::check_id(session, id, node.span, "a step");
        Some(id.to_owned())
    });
    let is_background = match map.get("background") {
        Some(node) => fields::flag(session, node, &"`background`")?,
        None => false,
    };
    if place == Place::Action && (is_background || !matches!(*kind, "run" | "uses")) {
        session.error(
            &code::GITHUB_FORMAT,
            node.span,
            "steps of an action cannot run in the background",
        );
    }
    Some(Step {
        span: node.span,
        id,
        name: field("name", Wanted::Text),
        condition: map
            .get("if")
            .and_then(|node| fields::condition(session, node, &"`if`", place.condition_names())),
        env: map
            .get("env")
            .map(|node| fields::entries(session, node, &"`env`", names))
            .unwrap_or_default(),
        continue_on_error: field("continue-on-error", Wanted::Bool),
        timeout: field("timeout-minutes", Wanted::Number),
        is_background,
        kind: kind_of(session, kind, node, map, place)?,
    })
}

fn kind_of(session: &Session<'_>, kind: &str, node: &Node, map: &Map, place: Place) -> Option<StepKind> {
    let names = place.names();
    let text = |key: &str| fields::field(session, map.get(key)?, &format_args!("`{key}`"), Wanted::Text, names);
    let of_kind = map.get(kind)?;
    Some(match kind {
        "run" => {
            let shell = text("shell");
            if place == Place::Action && map.get("shell").is_none() {
                session.report(
                    Problem::new(
                        &code::GITHUB_FORMAT,
                        node.span,
                        "a `run` step of an action has no `shell`",
                    )
                    .hint("add `shell: bash`"),
                );
            }
            StepKind::Run {
                script: text("run")?,
                shell,
                directory: text("working-directory"),
            }
        }
        "uses" => StepKind::Uses {
            uses: uses(session, of_kind)?,
            with: map
                .get("with")
                .map(|node| fields::entries(session, node, &"`with`", names))
                .unwrap_or_default(),
        },
        "wait" => {
            let ids = fields::one_or_many(of_kind)
                .into_iter()
                .filter_map(|node| fields::plain(session, node, &"an id of `wait`").map(str::to_owned));
            StepKind::Wait(Some(ids.collect()))
        }
        "wait-all" => {
            if !matches!(value(of_kind), Value::Null | Value::Bool(true)) {
                fields::wrong(session, of_kind, &"`wait-all`", "empty");
            }
            StepKind::Wait(None)
        }
        "cancel" => StepKind::Cancel(fields::plain(session, of_kind, &"`cancel`")?.to_owned()),
        _ => StepKind::Parallel(parse_parallel(session, of_kind, place)),
    })
}

fn parse_parallel(session: &Session<'_>, node: &Node, place: Place) -> Vec<Step> {
    let Some(items) = node.as_seq() else {
        fields::wrong(session, node, &"`parallel`", "a list of steps");
        return Vec::new();
    };
    let one = |item: &Node| {
        if item.get("parallel").is_some() {
            session.error(&code::GITHUB_FORMAT, item.span, "`parallel` cannot stand in `parallel`");
            return None;
        }
        step(session, item, place)
    };
    items.iter().filter_map(one).collect()
}

fn uses(session: &Session<'_>, node: &Node) -> Option<Uses> {
    let text = fields::plain(session, node, &"`uses`")?;
    let unsupported = |message: String, hint: &str| {
        session.report(Problem::new(&code::UNSUPPORTED, node.span, message).hint(hint));
        Some(Uses::Unknown)
    };
    if let Some(path) = fields::own_path(text) {
        let path = path.trim_end_matches('/').to_owned();
        if path.split('/').any(|part| part == "..") {
            session.error(
                &code::GITHUB_USES,
                node.span,
                format!("`{text}` leads out of the repository"),
            );
            return None;
        }
        return Some(Uses::Local { path, span: node.span });
    }
    if let Some(name) = text.strip_prefix("docker://").filter(|image| !image.is_empty()) {
        return Some(Uses::Image {
            name: name.to_owned(),
            span: node.span,
        });
    }
    let repository = text.split_once('@').filter(|(name, git_ref)| {
        let parts: Vec<&str> = name.split('/').collect();
        parts.len() >= 2 && parts.iter().all(|part| !part.is_empty()) && !git_ref.is_empty()
    });
    match repository {
        Some((name, _)) if name.eq_ignore_ascii_case("actions/checkout") => Some(Uses::Checkout),
        Some(_) => unsupported(
            format!("actions of other repositories cannot be fetched yet: `{text}`"),
            "copy the action into the repository and use it as `./path/of/it`; `actions/checkout` is built in",
        ),
        None => {
            session.report(
                Problem::new(&code::GITHUB_USES, node.span, format!("`{text}` is no action"))
                    .hint("write `./path`, `owner/repository@ref` or `docker://image`"),
            );
            None
        }
    }
}
