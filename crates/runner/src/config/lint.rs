//! What is wrong with a configuration, all of it at once.

use std::collections::BTreeMap;

use super::document::Document;
use super::schema::nearest;
use super::{Config, Environment, ExecutorKind, Place, Problem, RunnerConfig, ShellWord};

/// Checks a text as the runner reads it: syntax, names of keys, types and values. In the order of the places.
#[must_use]
pub fn lint(text: &str, environment: &Environment) -> Vec<Problem> {
    let document = match Document::parse_or_problems(text) {
        Ok(document) => document,
        Err(problems) => return problems,
    };
    let (config, mut problems) = document.typed();
    for key in document.unknown() {
        problems.push(Problem {
            place: key.place,
            message: format!("nothing reads the key {}", key.path),
            hint: key.hint.map(|hint| format!("did you mean {hint}?")),
        });
    }
    let wrong_type: Vec<Place> = problems.iter().map(|problem| problem.place).collect();
    let mut values = values(&document, &config, environment);
    // A key with a value of the wrong type is read as if it were missing; one word about it is enough.
    values.retain(|problem| !wrong_type.contains(&problem.place));
    problems.append(&mut values);
    problems.sort_by_key(|problem| problem.place);
    problems
}

/// Values that the runner refuses, when it starts or when a job comes.
fn values(document: &Document<'_>, config: &Config, environment: &Environment) -> Vec<Problem> {
    let mut found = Vec::new();
    let mut say = |runner: Option<usize>, key: &str, message: String, hint: Option<String>| {
        found.push(Problem {
            place: document.place(runner, key),
            message,
            hint,
        });
    };
    if config.concurrent == 0 {
        let hint = "set it to the number of jobs at a time".to_owned();
        say(
            None,
            "concurrent",
            "concurrent = 0 would run nothing".to_owned(),
            Some(hint),
        );
    }
    if let Some(message) = bad_label(&config.labels) {
        say(None, "labels", message, None);
    }
    if config.runners.is_empty() {
        let hint = "add one with `tasuki runner register`".to_owned();
        say(
            None,
            "runners",
            "there is no [[runners]] section".to_owned(),
            Some(hint),
        );
    }
    for (index, runner) in config.runners.iter().enumerate() {
        for Finding { key, message, hint } in findings(runner, config, environment) {
            say(Some(index), key, format!("runners[{index}]: {message}"), hint);
        }
    }
    found
}

struct Finding {
    key: &'static str,
    message: String,
    hint: Option<String>,
}

fn findings(runner: &RunnerConfig, config: &Config, environment: &Environment) -> Vec<Finding> {
    let mut found = Vec::new();
    let mut say = |key, message: String, hint: Option<&str>| {
        found.push(Finding {
            key,
            message,
            hint: hint.map(str::to_owned),
        });
    };
    let url = environment.expand(&runner.url);
    match (runner.url.is_empty(), url.is_empty()) {
        (true, _) => say(
            "url",
            "url is missing".to_owned(),
            Some("set it to the server's address"),
        ),
        // The variable belongs to the environment that the runner is started with.
        (false, true) => {}
        (false, false) => {
            if let Err(error) = tasuki_proto::client::api_base(&url) {
                say("url", crate::trace::chain(&error), None);
            }
        }
    }
    if runner.token.expose().is_empty() {
        let hint = "get one with `tasuki runner register`";
        say(
            "token",
            "token is missing: the runner is left out".to_owned(),
            Some(hint),
        );
    }
    if runner.executor.is_empty() {
        let hint = format!("set executor to one of {}", ExecutorKind::WORDS.join(", "));
        say("executor", "executor is missing".to_owned(), Some(&hint));
    } else if let Err(error) = runner.executor.parse::<ExecutorKind>() {
        let near = nearest(&runner.executor, ExecutorKind::WORDS.iter().copied());
        let hint = near.map(|word| format!("did you mean {word:?}?"));
        say("executor", error.to_string(), hint.as_deref());
    }
    let driver = runner.custom.as_ref().map_or("", |custom| custom.run_exec.as_str());
    if runner.executor == "custom" && driver.is_empty() {
        let hint = "name the driver's program that runs scripts";
        say("custom", "[runners.custom] has no run_exec".to_owned(), Some(hint));
    }
    if let Err(error) = runner.shell.parse::<ShellWord>() {
        say("shell", error.to_string(), None);
    }
    for entry in &runner.environment {
        if !entry.contains('=') {
            // The text itself may be a secret without its name.
            let hint = "write each as \"KEY=value\"";
            say(
                "environment",
                "environment has an entry without `=`".to_owned(),
                Some(hint),
            );
        }
    }
    if let Some(message) = crate::job::cache_problem(&runner.cache) {
        say("cache", message, None);
    }
    for fault in runner.kubernetes.iter().flat_map(super::kubernetes::faults) {
        say(
            "kubernetes",
            format!("kubernetes.{}: {}", fault.key, fault.message),
            None,
        );
    }
    let mut labels = config.labels.clone();
    labels.extend(runner.labels.clone());
    if let Some(message) = bad_label(&runner.labels).or_else(|| too_many(&labels)) {
        say("labels", message, None);
    }
    found
}

/// Labels that a GitLab server does not take.
pub(super) fn label_fault(config: &Config) -> Option<String> {
    let of_runner = |runner: &RunnerConfig| {
        let mut labels = config.labels.clone();
        labels.extend(runner.labels.clone());
        bad_label(&labels).or_else(|| too_many(&labels))
    };
    bad_label(&config.labels).or_else(|| config.runners.iter().find_map(of_runner))
}

fn bad_label(labels: &BTreeMap<String, String>) -> Option<String> {
    let inner = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let key_is_good = |key: &str| {
        (3..=65).contains(&key.len())
            && key.chars().all(inner)
            && key.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
    };
    labels.iter().find_map(|(key, value)| {
        if !key_is_good(key) {
            return Some(format!(
                "the label {key:?} has a bad name: 3 to 65 letters, digits, `_`, `.`, `-`, the first a letter, digit or `_`"
            ));
        }
        let good = (1..=256).contains(&value.len()) && value.chars().all(inner);
        (!good).then(|| format!("the label {key:?} has a bad value: 1 to 256 letters, digits, `_`, `.`, `-`"))
    })
}

fn too_many(labels: &BTreeMap<String, String>) -> Option<String> {
    let count = labels.len();
    (count > 32).then(|| format!("{count} labels, with those of all runners; 32 are allowed"))
}
