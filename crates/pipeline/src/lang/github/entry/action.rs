//! `action.yml`.

use super::super::fields::{self, Entry, Field, Wanted};
use super::super::names;
use super::step::{self, Step};
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Map, Node};

const KEYS: &[&str] = &["name", "description", "author", "branding", "inputs", "outputs", "runs"];

/// An action of the own repository.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) inputs: Vec<ActionInput>,
    /// What a composite action gives.
    pub(crate) outputs: Vec<(String, Field)>,
    pub(crate) runs: Runs,
}

#[derive(Debug, Clone)]
pub(crate) struct ActionInput {
    pub(crate) name: String,
    pub(crate) default: Option<Field>,
}

#[derive(Debug, Clone)]
pub(crate) enum Runs {
    Composite(Vec<Step>),
    Node {
        main: String,
        post: Option<String>,
        post_if: Option<Field>,
    },
    Container(Container),
}

/// An action that is an image.
#[derive(Debug, Clone)]
pub(crate) struct Container {
    /// `docker://image`, or a file of the action that the image is built by.
    pub(crate) image: String,
    pub(crate) entrypoint: Option<String>,
    pub(crate) args: Option<Vec<Field>>,
    pub(crate) env: Vec<Entry>,
    pub(crate) post: Option<String>,
    pub(crate) post_if: Option<Field>,
}

/// Reads an action; `None` where it cannot be used, which has been told.
pub(crate) fn parse(session: &Session<'_>, node: &Node) -> Option<Action> {
    let Some(root) = node.as_map() else {
        session.error(
            &code::GITHUB_FORMAT,
            node.span,
            "an action is a map with `name`, `description` and `runs`",
        );
        return None;
    };
    fields::keyed(session, node, &"an action", KEYS);
    for key in ["name", "description", "author"] {
        if let Some(node) = root.get(key) {
            fields::plain(session, node, &format_args!("`{key}`"));
        }
    }
    if let Some(node) = root.get("branding") {
        fields::keyed(session, node, &"`branding`", &["color", "icon"]);
    }
    let Some(runs) = root.get("runs") else {
        session.error(&code::GITHUB_FORMAT, node.span, "the action has no `runs`");
        return None;
    };
    let inputs = root.get("inputs").map(|node| inputs(session, node)).unwrap_or_default();
    let is_composite = runs
        .get("using")
        .and_then(Node::text)
        .is_some_and(|using| &**using == "composite");
    let outputs = root
        .get("outputs")
        .map(|node| outputs(session, node, is_composite))
        .unwrap_or_default();
    Some(Action {
        inputs,
        outputs,
        runs: runs_of(session, runs)?,
    })
}

fn inputs(session: &Session<'_>, node: &Node) -> Vec<ActionInput> {
    let Some(map) = fields::map(session, node, &"`inputs`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`inputs`");
    let known = ["description", "required", "default", "deprecationMessage"];
    let one = |(key, node): &(Node, Node)| {
        let name = key.text().map_or("", |text| text);
        let map = fields::keyed(session, node, &format_args!("input `{name}`"), &known)?;
        let default = map
            .get("default")
            .and_then(|node| fields::field(session, node, &"`default`", Wanted::Any, &names::ACTION_DEFAULT));
        Some(ActionInput {
            name: name.to_owned(),
            default,
        })
    };
    map.iter().filter_map(one).collect()
}

fn outputs(session: &Session<'_>, node: &Node, is_composite: bool) -> Vec<(String, Field)> {
    let Some(map) = fields::map(session, node, &"`outputs`") else {
        return Vec::new();
    };
    fields::unique(session, map, &"`outputs`");
    let mut found = Vec::new();
    for (key, node) in map.iter() {
        let name = key.text().map_or("", |text| text);
        let Some(map) = fields::keyed(
            session,
            node,
            &format_args!("output `{name}`"),
            &["description", "value"],
        ) else {
            continue;
        };
        match map.get("value") {
            Some(value) => {
                let value = fields::field(session, value, &"`value`", Wanted::Any, &names::ACTION_OUTPUT);
                found.extend(value.map(|value| (name.to_owned(), value)));
            }
            None if is_composite => {
                session.error(
                    &code::GITHUB_FORMAT,
                    key.span,
                    format!("output `{name}` has no `value`"),
                );
            }
            None => {}
        }
    }
    found
}

fn runs_of(session: &Session<'_>, node: &Node) -> Option<Runs> {
    let map = fields::map(session, node, &"`runs`")?;
    let Some(using) = map.get("using") else {
        session.error(&code::GITHUB_FORMAT, node.span, "`runs` has no `using`");
        return None;
    };
    match fields::plain(session, using, &"`using`")? {
        "composite" => {
            fields::keyed(session, node, &"`runs` of a composite action", &["using", "steps"]);
            let Some(steps) = map.get("steps") else {
                session.error(&code::GITHUB_FORMAT, node.span, "the composite action has no `steps`");
                return None;
            };
            Some(Runs::Composite(step::parse_all(session, steps, step::Place::Action)))
        }
        "node12" | "node16" | "node20" | "node24" => {
            let known = ["using", "main", "pre", "pre-if", "post", "post-if"];
            fields::keyed(session, node, &"`runs` of a JavaScript action", &known);
            node_of(session, node, map)
        }
        "docker" => {
            let known = [
                "using",
                "image",
                "entrypoint",
                "args",
                "env",
                "pre-entrypoint",
                "post-entrypoint",
                "pre-if",
                "post-if",
            ];
            fields::keyed(session, node, &"`runs` of a container action", &known);
            container_of(session, node, map)
        }
        other => {
            let message = format!("`{other}` is nothing that an action can use");
            session.report(
                Problem::new(&code::GITHUB_VALUE, using.span, message)
                    .hint("it is composite, node20, node24 or docker"),
            );
            None
        }
    }
}

fn node_of(session: &Session<'_>, node: &Node, map: &Map) -> Option<Runs> {
    let text = |key: &str| {
        map.get(key)
            .and_then(|node| fields::plain(session, node, &format_args!("`{key}`")))
    };
    let Some(main) = text("main") else {
        session.error(&code::GITHUB_FORMAT, node.span, "the JavaScript action has no `main`");
        return None;
    };
    no_pre(session, map, "pre");
    for key in ["pre-if", "post-if"] {
        if let Some(node) = map.get(key) {
            fields::condition(session, node, &format_args!("`{key}`"), &names::ACTION_IF);
        }
    }
    Some(Runs::Node {
        main: main.to_owned(),
        post: text("post").map(str::to_owned),
        post_if: map
            .get("post-if")
            .and_then(|node| fields::condition(session, node, &"`post-if`", &names::ACTION_IF)),
    })
}

/// What would run before the first step is not known then.
fn no_pre(session: &Session<'_>, map: &Map, key: &str) {
    if let Some((node, _)) = map.entry(key) {
        let message = format!("`{key}` is not run for actions of the own repository");
        session.report(
            Problem::new(&code::GITHUB_ACTION, node.span, message)
                .hint("the action is known only once the repository is checked out"),
        );
    }
}

fn container_of(session: &Session<'_>, node: &Node, map: &Map) -> Option<Runs> {
    let text = |key: &str| {
        let found = map.get(key)?;
        fields::plain(session, found, &format_args!("`{key}`")).map(str::to_owned)
    };
    let Some(image) = text("image") else {
        session.error(&code::GITHUB_FORMAT, node.span, "the container action has no `image`");
        return None;
    };
    if !image.starts_with("docker://") && (image.starts_with('/') || image.split('/').any(|part| part == "..")) {
        let span = map.get("image").map_or(node.span, |node| node.span);
        let message = format!("`{image}` is no file of the action");
        session
            .report(Problem::new(&code::GITHUB_VALUE, span, message).hint("write `Dockerfile`, or `docker://image`"));
        return None;
    }
    no_pre(session, map, "pre-entrypoint");
    let condition = |key: &str| {
        let found = map.get(key)?;
        fields::condition(session, found, &format_args!("`{key}`"), &names::ACTION_IF)
    };
    condition("pre-if");
    let args = map.get("args").and_then(|node| {
        let Some(items) = node.as_seq() else {
            fields::wrong(session, node, &"`args`", "a list");
            return None;
        };
        let one = |item| fields::field(session, item, &"an entry of `args`", Wanted::Text, &names::ACTION_STEP);
        Some(items.iter().filter_map(one).collect())
    });
    Some(Runs::Container(Container {
        image,
        entrypoint: text("entrypoint"),
        args,
        env: map
            .get("env")
            .map(|env| fields::entries(session, env, &"`env`", &names::ACTION_STEP))
            .unwrap_or_default(),
        post: text("post-entrypoint"),
        post_if: condition("post-if"),
    }))
}
