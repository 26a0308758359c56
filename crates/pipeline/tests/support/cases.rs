//! Compiling configurations: each file of `cases/<language>` holds cases about one subject.
//!
//! A case starts with a line `=== name`. Lines that start with `@` set the context (see [`World::set`]), then comes
//! the configuration, then a line `>>>`, then what is expected:
//!
//! - `jobs = a, b`: the jobs of the Plan in order, of all workflows; `workflows = a, b`;
//! - `job | path = JSON`: a value in a job of the Plan (`null` where it is absent); `plan | path = JSON` in the Plan;
//! - `skipped = reason`;
//! - `error 3:5 code text` and `warning …`: a diagnostic at that place with that text in message or hint. All
//!   diagnostics must be listed, and nothing else.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde_json::Value as Json;
use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::{GitRef, MergeRequest, Source};
use tasuki_pipeline::{
    Answer, Context, FileAnswer, Input, Mode, Origin, Output, Refusal, Request, ScopedVariable, Tree, VariableLevel,
    compile_with,
};

pub(crate) struct World {
    language: Language,
    context: Context,
    mode: Mode,
    changed: Option<Vec<String>>,
    /// `compare_to` → changed paths.
    compared: BTreeMap<String, Vec<String>>,
    files: Vec<String>,
    commits: BTreeMap<String, String>,
    /// `namespace/name@version` → source.
    orbs: BTreeMap<String, String>,
}

impl World {
    pub(crate) fn new(language: Language) -> Self {
        let mut context = Context::default();
        context.project.path = "group/project".to_owned();
        context.trigger.commit.before_sha = "b".repeat(40);
        context.trigger.commit.sha = "a".repeat(40);
        Self {
            language,
            orbs: BTreeMap::new(),
            context,
            mode: Mode::Create,
            changed: None,
            compared: BTreeMap::new(),
            files: Vec::new(),
            commits: BTreeMap::new(),
        }
    }

    pub(crate) fn set(&mut self, line: &str) {
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
            "param" => {
                let (key, value) = pair();
                let json = serde_json::from_str(value).unwrap_or_else(|_| Json::from(value));
                trigger.inputs.push((key.to_owned(), json));
            }
            "orb" => {
                let (name, source) = rest.split_once(' ').unwrap_or((rest, ""));
                self.orbs.insert(name.to_owned(), source.replace("\\n", "\n"));
            }
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
            Request::Orb { name, version } => {
                let known = self.orbs.iter().find(|(key, _)| **key == format!("{name}@{version}"));
                known.map_or(Answer::Refused(Refusal::NotFound), |(key, source)| {
                    Answer::File(FileAnswer {
                        text: Arc::from(source.as_str()),
                        origin: None,
                        path: Some(key.clone()),
                    })
                })
            }
            Request::Tree { .. } => Answer::Refused(Refusal::Denied),
            Request::File { .. } => Answer::Refused(Refusal::NotFound),
        }
    }

    pub(crate) fn compile(&self, text: &str) -> Output {
        let input = Input {
            lang: self.language,
            file: match self.language {
                Language::Gitlab => ".gitlab-ci.yml",
                Language::Circleci => ".circleci/config.yml",
                Language::Github => ".github/workflows/ci.yml",
            },
            text,
            context: &self.context,
        };
        compile_with(&input, self.mode, |request| self.answer(request))
    }
}

/// Runs a case; the faults found, one by line.
fn run(language: Language, case: &str) -> Vec<String> {
    let (head, expected) = case.split_once("\n>>>").unwrap_or((case, ""));
    let mut world = World::new(language);
    let mut text = String::new();
    for line in head.lines() {
        match line.strip_prefix('@') {
            Some(setting) if text.is_empty() => world.set(setting.trim()),
            _ => text.push_str(&format!("{line}\n")),
        }
    }
    let output = world.compile(&text);
    let plan = serde_json::to_value(&output.plan).unwrap();
    let workflows = plan["workflows"].as_array().cloned().unwrap_or_default();
    let jobs: Vec<Json> = workflows
        .iter()
        .filter_map(|workflow| workflow["jobs"].as_array())
        .flatten()
        .cloned()
        .collect();
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
        } else if let Some(names) = line.strip_prefix("workflows = ") {
            let found: Vec<&str> = workflows
                .iter()
                .filter_map(|workflow| workflow["name"].as_str())
                .collect();
            if found.join(", ") != names {
                faults.push(format!("workflows are {}, not {names}", found.join(", ")));
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

/// Runs all cases of a file below `cases`.
pub(crate) fn check(language: Language, file: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases").join(file);
    let text = std::fs::read_to_string(&path).unwrap();
    let mut faults = Vec::new();
    let mut count = 0;
    for case in text.split("\n=== ").skip(1) {
        let (name, body) = case.split_once('\n').unwrap_or((case, ""));
        count += 1;
        let found = run(language, body);
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
