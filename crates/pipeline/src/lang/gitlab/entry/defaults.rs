//! `default`, the deprecated keywords of the root, `inherit`.

use tasuki_model::plan::{Artifacts, Cache, IdToken, Image, Retry, Service};

use super::build::tags;
use super::check::{Check, value};
use super::script::{self, Lines};
use super::{artifacts, cache, image, retry, tokens};
use crate::diag::code;
use crate::lang::gitlab::load::Config;
use crate::yaml::{Map, Node, Value};

/// What a job has where it says nothing itself: copied whole, never merged.
#[derive(Debug, Default)]
pub(crate) struct Defaults {
    pub(super) before_script: Option<Lines>,
    pub(super) after_script: Option<Lines>,
    pub(super) hooks: Option<Lines>,
    pub(super) cache: Option<Vec<Cache>>,
    pub(super) image: Option<Image>,
    pub(super) services: Option<Vec<Service>>,
    pub(super) interruptible: Option<bool>,
    pub(super) retry: Option<Retry>,
    pub(super) tags: Option<Vec<String>>,
    pub(super) artifacts: Option<Artifacts>,
    pub(super) id_tokens: Option<Vec<IdToken>>,
}

pub(super) const KEYS: &[&str] = &[
    "before_script",
    "after_script",
    "hooks",
    "cache",
    "image",
    "services",
    "interruptible",
    "timeout",
    "retry",
    "tags",
    "artifacts",
    "id_tokens",
    "identity",
];
/// Those that may stand at the root, too.
const ROOT_KEYS: &[&str] = &["image", "services", "cache", "before_script", "after_script"];

pub(super) fn defaults(check: &mut Check<'_>, config: &Config) -> Defaults {
    let mut all = Defaults::default();
    let given = config.get("default").filter(|node| value(node) != Value::Null);
    let map = given.and_then(|node| check.within("default", |check| check.map(node, KEYS)));
    for key in ROOT_KEYS {
        let Some((key_node, node)) = config.root.entry(key).filter(|(_, node)| value(node) != Value::Null) else {
            continue;
        };
        if map.is_some_and(|map| map.get(key).is_some_and(|node| value(node) != Value::Null)) {
            let text = format!("{key} is defined in top-level and `default:` entry");
            let problem = crate::diag::Problem::new(&code::GITLAB_EXCLUSIVE_KEYS, key_node.span, text);
            check.report(problem.hint(format!("keep `default:{key}`: the top-level one is deprecated")));
            continue;
        }
        check.within(*key, |check| one(check, key, node, &mut all));
    }
    check.within("default", |check| {
        for (key, node) in map.into_iter().flat_map(|map| map.iter()) {
            let Some(key) = key.text().filter(|_| value(node) != Value::Null) else {
                continue;
            };
            check.within(key, |check| one(check, key, node, &mut all));
        }
    });
    all
}

fn one(check: &mut Check<'_>, key: &str, node: &Node, all: &mut Defaults) {
    match key {
        "before_script" => all.before_script = script::script(check, node),
        "after_script" => all.after_script = script::script(check, node),
        "hooks" => all.hooks = script::hooks(check, node),
        "cache" => all.cache = cache::caches(check, node),
        "image" => all.image = image::image(check, node),
        "services" => all.services = image::services(check, node),
        "interruptible" => all.interruptible = check.boolean(node),
        "retry" => all.retry = retry::retry(check, node),
        "tags" => all.tags = tags(check, node),
        "artifacts" => all.artifacts = artifacts::artifacts(check, node),
        "id_tokens" => all.id_tokens = tokens::id_tokens(check, node),
        "timeout" => {
            check.duration(node, None);
            let text = "config has no effect: GitLab never applies it";
            let problem = check.problem(&code::GITLAB_NO_EFFECT, node.span, text);
            check.report(problem.hint("set `timeout` in the jobs, or in the settings of the project"));
        }
        "identity" => check.unsupported(node.span, "`identity`"),
        _ => {}
    }
}

/// What a job takes from the defaults or from the variables of the root.
#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) enum Inherit {
    #[default]
    All,
    Nothing,
    Only(Vec<String>),
}

impl Inherit {
    pub(crate) fn takes(&self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Nothing => false,
            Self::Only(names) => names.iter().any(|known| known == name),
        }
    }
}

/// The defaults as one job sees them.
pub(super) struct Inheritance<'a> {
    pub(super) defaults: &'a Defaults,
    pub(super) takes: Inherit,
}

impl Inheritance<'_> {
    /// A default, where there is one and the job takes it.
    pub(super) fn of<T: Clone>(&self, key: &str, get: impl Fn(&Defaults) -> &Option<T>) -> Option<T> {
        self.takes.takes(key).then(|| get(self.defaults).clone()).flatten()
    }
}

/// `inherit`: of the defaults, of the variables.
pub(super) fn inherit(check: &mut Check<'_>, map: &Map) -> (Inherit, Inherit) {
    let both = check.key(map, "inherit", |check, node| {
        let map = check.map(node, &["default", "variables"])?;
        let default = check.key(map, "default", |check, node| set(check, node, Some(KEYS)));
        let variables = check.key(map, "variables", |check, node| set(check, node, None));
        Some((default.unwrap_or_default(), variables.unwrap_or_default()))
    });
    both.unwrap_or_default()
}

fn set(check: &mut Check<'_>, node: &Node, known: Option<&[&str]>) -> Option<Inherit> {
    match value(node) {
        Value::Bool(true) => Some(Inherit::All),
        Value::Bool(false) => Some(Inherit::Nothing),
        Value::Seq(_) => {
            let names = check.strings(node)?;
            for name in &names {
                let Some(known) = known.filter(|known| !known.contains(&name.text.as_str())) else {
                    continue;
                };
                let text = format!("config contains unknown values: {}", name.text);
                let problem = check.problem(&code::GITLAB_VALUE, name.span, &text);
                check.report(problem.suggest(&name.text, known.iter().copied()));
            }
            Some(Inherit::Only(names.into_iter().map(|name| name.text).collect()))
        }
        _ => {
            check.wrong_type(node, "a bool or an array of strings");
            None
        }
    }
}
