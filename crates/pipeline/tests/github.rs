//! Compiling GitHub workflows: each file of `cases/github` holds cases about one subject.
//!
//! A case starts with a line `=== name`. Lines that start with `@` set the context, `@file path` starts another file
//! of the repository that goes up to the next such line, then comes the workflow, then a line `>>>`, then what is
//! expected:
//!
//! - `jobs = a, b`: the names of the jobs of the Plan in order;
//! - `job | path = JSON`: a value in a job of the Plan (`null` where it is absent); `plan | path = JSON` in the Plan;
//! - `skipped = reason`;
//! - `error 3:5 code text` and `warning …`: a diagnostic at that place with that text in message or hint. All
//!   diagnostics must be listed, and nothing else.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value as Json;
use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::{GitRef, MergeRequest, Source};
use tasuki_pipeline::{
    Answer, Context, Input, Mode, Output, Refusal, Request, ScopedVariable, Tree, VariableLevel, compile_with,
};

const FILE: &str = ".github/workflows/ci.yml";

struct World {
    context: Context,
    mode: Mode,
    file: String,
    changed: Option<Vec<String>>,
    files: BTreeMap<String, String>,
}

impl World {
    fn new() -> Self {
        let mut context = Context::default();
        context.project.path = "group/project".to_owned();
        context.trigger.commit.before_sha = "b".repeat(40);
        context.trigger.commit.sha = "a".repeat(40);
        context.trigger.user = Some(("mona".to_owned(), "Mona".to_owned(), "mona@example.com".to_owned()));
        context.pipeline.iid = 7;
        Self {
            context,
            mode: Mode::Create,
            file: FILE.to_owned(),
            changed: None,
            files: BTreeMap::new(),
        }
    }

    fn set(&mut self, line: &str) {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        let pair = || rest.split_once('=').unwrap_or((rest, ""));
        let trigger = &mut self.context.trigger;
        let setting = |masked: bool| ScopedVariable {
            level: VariableLevel::Project,
            environment_scope: "*".to_owned(),
            variable: Variable {
                masked,
                ..Variable::plain(pair().0, pair().1)
            },
        };
        match word {
            "lint" => self.mode = Mode::Lint,
            "folder" => self.file = ".github/workflows".to_owned(),
            "branch" => trigger.git_ref = GitRef::Branch(rest.to_owned()),
            "part" => {
                self.context.part = Some(tasuki_pipeline::Part {
                    file: FILE.to_owned(),
                    job: rest.split(' ').next().unwrap().to_owned(),
                    needs: serde_json::from_str(rest.split_once(' ').unwrap().1).unwrap(),
                });
            }
            "tag" => trigger.git_ref = GitRef::Tag(rest.to_owned()),
            "event" => trigger.source = Source::parse(rest).unwrap_or_else(|| panic!("event {rest}")),
            "pull-request" => {
                trigger.source = Source::MergeRequestEvent;
                trigger.git_ref = GitRef::MergeRequest {
                    iid: 7,
                    kind: "head".to_owned(),
                };
                trigger.merge_request = Some(MergeRequest {
                    iid: 7,
                    source_branch: "feature".to_owned(),
                    target_branch: rest.to_owned(),
                    ..MergeRequest::default()
                });
            }
            "action" => trigger.payload = Some(serde_json::json!({"action": rest})),
            "message" => rest.clone_into(&mut trigger.commit.message),
            "input" => {
                let value = serde_json::from_str(pair().1).unwrap_or_else(|_| Json::from(pair().1));
                trigger.inputs.push((pair().0.to_owned(), value));
            }
            "setting" => self.context.variables.push(setting(false)),
            "secret" => self.context.variables.push(setting(true)),
            "changed" => self.changed = Some(rest.split_whitespace().map(str::to_owned).collect()),
            _ => panic!("unknown context: {line}"),
        }
    }

    fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::Changed { .. } => Answer::Changed(self.changed.as_deref().map(Arc::from)),
            Request::Tree { .. } => {
                let blob = |path: &String| (path.clone(), "blob".to_owned());
                Answer::Tree(Arc::new(self.files.keys().map(blob).collect::<Tree>()))
            }
            Request::File { path, .. } => match self.files.get(path) {
                Some(text) => Answer::file(text.as_str()),
                None => Answer::Refused(Refusal::NotFound),
            },
            Request::LastCommits { .. } | Request::Orb { .. } => Answer::Refused(Refusal::NotFound),
        }
    }

    fn compile(&self, text: &str) -> Output {
        let input = Input {
            lang: Language::Github,
            file: &self.file,
            text,
            context: &self.context,
        };
        compile_with(&input, self.mode, |request| self.answer(request))
    }
}

/// The world, and the text of the workflow.
fn read(head: &str) -> (World, String) {
    let mut world = World::new();
    let mut text = String::new();
    let mut file: Option<String> = None;
    for line in head.lines() {
        if let Some(path) = line.strip_prefix("@file ") {
            file = Some(path.to_owned());
            world.files.insert(path.to_owned(), String::new());
        } else if line == "@end" {
            file = None;
        } else if let Some(setting) = line.strip_prefix('@') {
            world.set(setting.trim());
        } else if let Some(path) = &file {
            world.files.get_mut(path).unwrap().push_str(&format!("{line}\n"));
        } else {
            text.push_str(&format!("{line}\n"));
        }
    }
    (world, text)
}

fn told(output: &Output) -> Vec<String> {
    let one = |d: &tasuki_pipeline::Diagnostic| {
        let hint = d
            .hint
            .as_deref()
            .map_or_else(String::new, |hint| format!(" (hint: {hint})"));
        let file = if d.file == FILE {
            String::new()
        } else {
            format!("{}:", d.file)
        };
        format!(
            "{} {file}{}:{} {} {}{hint}",
            d.severity.as_str(),
            d.line,
            d.column,
            d.code,
            d.message
        )
    };
    output.diagnostics.iter().map(one).collect()
}

/// Runs a case; the faults found, one by line.
fn run(case: &str) -> Vec<String> {
    let (head, expected) = case.split_once("\n>>>").unwrap_or((case, ""));
    let (world, text) = read(head);
    let output = world.compile(&text);
    let plan = serde_json::to_value(&output.plan).unwrap();
    let workflows = plan["workflows"].as_array().cloned().unwrap_or_default();
    let jobs: Vec<&Json> = workflows.iter().flat_map(|w| w["jobs"].as_array().unwrap()).collect();
    let mut faults = Vec::new();
    let mut left = told(&output);
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
                jobs.iter().copied().find(|job| job["name"] == of)
            };
            let Some(root) = root else {
                faults.push(format!("no job `{of}`"));
                continue;
            };
            let found = root
                .pointer(&format!("/{}", path.replace('.', "/")))
                .unwrap_or(&Json::Null);
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

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases/github")
}

fn check(file: &str) {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
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
    actions, calls, conditions, errors, expressions, files, filters, jobs, late, matrix, steps, triggers,
}

/// Every subject's file has a test.
#[test]
fn no_case_is_forgotten() {
    let source = include_str!("github.rs");
    for entry in std::fs::read_dir(folder()).unwrap() {
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

/// Whatever is cut out of a good file or put into it: there is a plan, or a reason, and never a panic.
#[test]
fn mutated_files_get_a_plan_or_a_reason() {
    let values = [
        "",
        "~",
        "3",
        "on",
        "[]",
        "{}",
        "[[a]]",
        "{a: b}",
        "${{ x }}",
        "${{ github }}",
        "'%'",
        "-1",
        "1.5",
    ];
    let mut plans = 0;
    for entry in std::fs::read_dir(folder()).unwrap() {
        let cases = std::fs::read_to_string(entry.unwrap().path()).unwrap();
        for case in cases.split("\n=== ").skip(1) {
            let body = case.split_once('\n').map_or("", |(_, body)| body);
            let (world, text) = read(body.split_once("\n>>>").map_or(body, |(head, _)| head));
            let lines: Vec<&str> = text.lines().collect();
            for at in 0..lines.len() {
                let mut without = lines.clone();
                without.remove(at);
                let mut texts = vec![without.join("\n")];
                if let Some((key, _)) = lines[at].split_once(": ") {
                    let line = format!("{key}: {}", values[at % values.len()]);
                    let mut replaced = lines.clone();
                    replaced[at] = &line;
                    texts.push(replaced.join("\n"));
                }
                for text in texts {
                    let output = world.compile(&text);
                    let reasons = output.has_errors() || output.skipped.is_some() || world.mode == Mode::Lint;
                    assert!(output.plan.is_some() != reasons, "neither or both:\n{text}");
                    plans += usize::from(output.plan.is_some());
                }
            }
        }
    }
    assert!(plans > 100, "{plans}");
}
