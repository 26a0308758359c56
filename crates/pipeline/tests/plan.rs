//! Compiling GitLab configurations: each file of `cases/gitlab/plan` holds cases about one subject.
//!
//! A case starts with a line `=== name`. Lines that start with `@` set the context (see [`World::set`]), then comes
//! the configuration, then a line `>>>`, then what is expected:
//!
//! - `jobs = a, b`: the jobs of the Plan in order;
//! - `job | path = JSON`: a value in a job of the Plan (`null` where it is absent); `plan | path = JSON` in the Plan;
//! - `skipped = reason`;
//! - `error 3:5 code text` and `warning …`: a diagnostic at that place with that text in message or hint. All
//!   diagnostics must be listed, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::{GitRef, MergeRequest, Source};
use tasuki_pipeline::{
    Answer, Context, Input, Mode, Origin, Output, Refusal, Request, ScopedVariable, Tree, VariableLevel, compile_with,
};

struct World {
    context: Context,
    mode: Mode,
    changed: Option<Vec<String>>,
    /// `compare_to` → changed paths.
    compared: BTreeMap<String, Vec<String>>,
    files: Vec<String>,
    commits: BTreeMap<String, String>,
}

impl World {
    fn new() -> Self {
        let mut context = Context::default();
        context.project.path = "group/project".to_owned();
        context.trigger.commit.before_sha = "b".repeat(40);
        context.trigger.commit.sha = "a".repeat(40);
        Self {
            context,
            mode: Mode::Create,
            changed: None,
            compared: BTreeMap::new(),
            files: Vec::new(),
            commits: BTreeMap::new(),
        }
    }

    fn set(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let words = || rest.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
        let pair = || rest.split_once('=').unwrap_or((rest, ""));
        let trigger = &mut self.context.trigger;
        match word {
            "lint" => self.mode = Mode::Lint,
            "branch" => trigger.git_ref = GitRef::Branch(rest.to_owned()),
            "tag" => trigger.git_ref = GitRef::Tag(rest.to_owned()),
            "event" => trigger.source = Source::parse(rest).unwrap_or_else(|| panic!("event {rest}")),
            "merge-request" => {
                let (source, target) = rest.split_once(' ').unwrap_or((rest, "main"));
                trigger.source = Source::MergeRequestEvent;
                trigger.git_ref = GitRef::MergeRequest {
                    iid: 7,
                    kind: "head".to_owned(),
                };
                trigger.merge_request = Some(MergeRequest {
                    id: 70,
                    iid: 7,
                    source_branch: source.to_owned(),
                    target_branch: target.to_owned(),
                    event_type: "detached".to_owned(),
                    ..MergeRequest::default()
                });
            }
            "message" => rest.clone_into(&mut trigger.commit.message),
            "user" => trigger.user = Some((rest.to_owned(), rest.to_owned(), format!("{rest}@example.com"))),
            "var" => trigger.variables.push(Variable::plain(pair().0, pair().1)),
            "protected" => self.context.pipeline.protected_ref = true,
            "setting" => self.context.variables.push(ScopedVariable {
                level: VariableLevel::Project,
                environment_scope: "*".to_owned(),
                variable: Variable::plain(pair().0, pair().1),
            }),
            "scoped" => {
                let (scope, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let (key, value) = rest.split_once('=').unwrap_or((rest, ""));
                self.context.variables.push(ScopedVariable {
                    level: VariableLevel::Project,
                    environment_scope: scope.to_owned(),
                    variable: Variable::plain(key, value),
                });
            }
            "changed" => self.changed = Some(words()),
            "compared" => {
                let (to, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                self.compared
                    .insert(to.to_owned(), rest.split_whitespace().map(str::to_owned).collect());
            }
            "files" => self.files.extend(words()),
            "commit" => drop(self.commits.insert(pair().0.to_owned(), pair().1.to_owned())),
            _ => panic!("unknown context: {line}"),
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        let shared = |paths: &[String]| Answer::Changed(Some(Arc::from(paths)));
        match request {
            Request::Changed { compare_to: None } => self.changed.as_deref().map_or(Answer::Changed(None), shared),
            Request::Changed { compare_to: Some(to) } => {
                let known = self.compared.get(to).map(|paths| shared(paths));
                known.unwrap_or(Answer::Refused(Refusal::BadRef))
            }
            Request::Tree { origin: Origin::Local } => {
                let blob = |path: &String| (path.clone(), format!("blob-of-{path}"));
                Answer::Tree(Arc::new(self.files.iter().map(blob).collect::<Tree>()))
            }
            Request::Tree {
                origin: Origin::Project { project, git_ref },
            } if project == "group/other" => Answer::Tree(Arc::new(
                [(format!("only-at-{git_ref}"), "x".to_owned())]
                    .into_iter()
                    .collect::<Tree>(),
            )),
            Request::LastCommits { paths } => {
                let known = paths
                    .iter()
                    .filter_map(|path| Some((path.clone(), self.commits.get(path)?.clone())));
                Answer::Commits(known.collect())
            }
            Request::Tree { .. } => Answer::Refused(Refusal::Denied),
            Request::File { .. } => Answer::Refused(Refusal::NotFound),
        }
    }

    fn compile(&self, text: &str) -> Output {
        let input = Input {
            lang: Language::Gitlab,
            file: ".gitlab-ci.yml",
            text,
            context: &self.context,
        };
        compile_with(&input, self.mode, |request| self.answer(request))
    }
}

/// Runs a case; the faults found, one by line.
fn run(case: &str) -> Vec<String> {
    let (head, expected) = case.split_once("\n>>>").unwrap_or((case, ""));
    let mut world = World::new();
    let mut text = String::new();
    for line in head.lines() {
        match line.strip_prefix('@') {
            Some(setting) if text.is_empty() => world.set(setting.trim()),
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    let output = world.compile(&text);
    let plan = serde_json::to_value(&output.plan).unwrap();
    let jobs = plan
        .pointer("/workflows/0/jobs")
        .and_then(Json::as_array)
        .cloned()
        .unwrap_or_default();
    let mut faults = Vec::new();
    let mut left: Vec<String> = output
        .diagnostics
        .iter()
        .map(|d| {
            let hint = d
                .hint
                .as_deref()
                .map_or_else(String::new, |hint| format!(" (hint: {hint})"));
            format!(
                "{} {}:{} {} {}{hint}",
                d.severity.as_str(),
                d.line,
                d.column,
                d.code,
                d.message
            )
        })
        .collect();
    let mut skipped = String::new();
    for line in expected.lines().map(str::trim).filter(|line| !line.is_empty()) {
        if line.starts_with("error ") || line.starts_with("warning ") {
            let mut parts = line.splitn(4, ' ');
            let head: Vec<&str> = parts.by_ref().take(3).collect();
            let (head, text) = (head.join(" "), parts.next().unwrap_or_default());
            match left
                .iter()
                .position(|found| found.starts_with(&head) && found.contains(text))
            {
                Some(at) => drop(left.remove(at)),
                None => faults.push(format!("missing: {line}")),
            }
        } else if let Some(names) = line.strip_prefix("jobs = ") {
            let found: Vec<&str> = jobs.iter().filter_map(|job| job["name"].as_str()).collect();
            if found.join(", ") != names {
                faults.push(format!("jobs are {}, not {names}", found.join(", ")));
            }
        } else if let Some(reason) = line.strip_prefix("skipped = ") {
            reason.clone_into(&mut skipped);
        } else if let Some((of, rest)) = line.split_once(" | ") {
            let (path, wanted) = rest.split_once(" = ").unwrap_or((rest, "null"));
            let root = if of == "plan" {
                Some(&plan)
            } else {
                jobs.iter().find(|job| job["name"] == of)
            };
            let Some(root) = root else {
                faults.push(format!("no job `{of}`"));
                continue;
            };
            let pointer = format!("/{}", path.replace('.', "/"));
            let found = root.pointer(&pointer).unwrap_or(&Json::Null);
            match serde_json::from_str::<Json>(wanted) {
                Ok(wanted) if *found == wanted => {}
                Ok(_) => faults.push(format!("{of} | {path} is {found}, not {wanted}")),
                Err(err) => faults.push(format!("{line}: {err}")),
            }
        } else {
            faults.push(format!("cannot read: {line}"));
        }
    }
    let found = output
        .skipped
        .map(|skip| serde_json::to_value(skip).unwrap())
        .unwrap_or_default();
    if found.as_str().unwrap_or_default() != skipped {
        faults.push(format!("skipped is {found}, not `{skipped}`"));
    }
    if output.plan.is_none() && output.skipped.is_none() && !output.has_errors() && world.mode == Mode::Create {
        faults.push("neither plan nor reason".to_owned());
    }
    faults.extend(left.into_iter().map(|found| format!("unexpected: {found}")));
    faults
}

fn check(file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/gitlab/plan")
        .join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut faults = Vec::new();
    let mut count = 0;
    for case in text.split("\n=== ").skip(1) {
        let (name, body) = case.split_once('\n').unwrap_or((case, ""));
        count += 1;
        let found = run(body);
        if !found.is_empty() {
            faults.push(format!("{name}\n    {}", found.join("\n    ")));
        }
    }
    assert!(count > 0, "{file} has no cases");
    assert!(
        faults.is_empty(),
        "{file}: {} of {count} cases failed\n  {}",
        faults.len(),
        faults.join("\n  ")
    );
}

macro_rules! subjects {
    ($($name:ident),* $(,)?) => {$(
        #[test]
        fn $name() {
            check(concat!(stringify!($name), ".txt"));
        }
    )*};
}

subjects! {
    traps, keywords, rules, needs, parallel, variables, environments, workflow, policies, limits, bridges, steps,
}

/// Every subject's file has a test.
#[test]
fn no_case_is_forgotten() {
    let source = include_str!("plan.rs");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/gitlab/plan");
    for entry in std::fs::read_dir(folder).unwrap() {
        let name = entry
            .unwrap()
            .path()
            .file_stem()
            .unwrap()
            .to_string_lossy()
            .into_owned();
        assert!(source.contains(&format!(" {name},")), "{name}.txt has no test");
    }
}

/// Realistic files of many kinds of projects compile for every kind of event without a word.
#[test]
fn the_corpus_is_clean() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    assert!(files.len() >= 20, "{} files", files.len());
    for path in files {
        let text = std::fs::read_to_string(&path).unwrap();
        let mut plans = 0;
        for settings in [
            "",
            "tag v1.2.3",
            "merge-request feature",
            "event schedule",
            "event web",
            "lint",
            "branch a/b",
        ] {
            let mut world = World::new();
            world.set("files Dockerfile Gemfile.lock Cargo.lock package-lock.json");
            world.set("changed packages/api/x.ts docs/index.md src/a.py");
            if !settings.is_empty() {
                world.set(settings);
            }
            let output = world.compile(&text);
            assert!(
                output.diagnostics.is_empty(),
                "{path:?} ({settings}): {:#?}",
                output.diagnostics
            );
            if let Some(plan) = &output.plan {
                plans += 1;
                let json = serde_json::to_string(plan).unwrap();
                let again: tasuki_model::plan::Plan = serde_json::from_str(&json).unwrap();
                assert_eq!(again, *plan, "{path:?} ({settings})");
            }
        }
        assert!(plans > 0, "{path:?} never makes a pipeline");
    }
}

/// Whatever is cut out of a good file or put into it: there is a plan, or a reason, and never a panic.
#[test]
fn mutated_files_get_a_plan_or_a_reason() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/corpus");
    let values = [
        "",
        "~",
        "3",
        "on",
        "[]",
        "{}",
        "[[a]]",
        "{a: b}",
        "$X",
        "'%'",
        "!reference [a]",
        "-1",
        "1.5",
    ];
    let mut plans = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let text = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        for at in 0..lines.len() {
            let mut without = lines.clone();
            without.remove(at);
            let mut texts = vec![without.join("\n")];
            if let Some((key, _)) = lines[at].split_once(": ") {
                let value = values[at % values.len()];
                let mut replaced = lines.clone();
                let line = format!("{key}: {value}");
                replaced[at] = &line;
                texts.push(replaced.join("\n"));
            }
            for text in texts {
                let output = World::new().compile(&text);
                let reasons = output.has_errors() || output.skipped.is_some();
                assert!(output.plan.is_some() != reasons, "neither or both:\n{text}");
                plans += usize::from(output.plan.is_some());
            }
        }
    }
    assert!(plans > 100, "{plans}");
}
