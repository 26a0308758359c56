//! Loading of GitLab configurations, and every error that they can have: each file of `cases/gitlab/load` and
//! `cases/gitlab/errors` is a case.
//!
//! A case is a text of sections `-- name --`. The first section is the configuration (of a child pipeline where its
//! name is `child`); others are files that it may
//! include (`ci/a.yml`, `project group/p@ref:ci.yml`, `remote https://…`, `template X.gitlab-ci.yml`,
//! `component host/group/p/name@1.0`), `variables` and `inputs` (`K=V` by line), and what is expected: `merged`
//! (one line of JSON for each key at the top) and `diagnostics` (one line each, more lines for hint and trail).
//! `UPDATE_CASES=1 cargo test` writes the found results into the files; look at the difference before committing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::Source;
use tasuki_pipeline::yaml::Schema;
use tasuki_pipeline::{
    Answer, Compile, Context, Input, Mode, Origin, Output, Refusal, Request, Tree, compile_with, lint,
};

struct Case {
    sections: Vec<(String, String)>,
}

impl Case {
    fn parse(text: &str) -> Self {
        let mut sections: Vec<(String, String)> = Vec::new();
        for line in text.split_inclusive('\n') {
            let name = line
                .trim_end()
                .strip_prefix("-- ")
                .and_then(|rest| rest.strip_suffix(" --"));
            match (name, sections.last_mut()) {
                (Some(name), _) => sections.push((name.to_owned(), String::new())),
                (None, Some((_, body))) => body.push_str(line),
                (None, None) => {}
            }
        }
        Self { sections }
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.sections
            .iter()
            .find(|(known, _)| known == name)
            .map(|(_, body)| body.as_str())
    }

    fn pairs(&self, name: &str) -> Vec<(String, String)> {
        let lines = self.get(name).unwrap_or_default().lines();
        lines
            .filter_map(|line| line.split_once('='))
            .map(|(k, v)| (k.to_owned(), v.to_owned()))
            .collect()
    }

    fn answer(&self, request: &Request) -> Answer {
        let refused = || Answer::Refused(Refusal::NotFound);
        match request {
            Request::File { origin, path } => {
                let section = match origin {
                    Origin::Local => path.clone(),
                    Origin::Project { project, git_ref } => format!("project {project}@{git_ref}:{path}"),
                    Origin::Remote => format!("remote {path}"),
                    Origin::Template => format!("template {path}"),
                    Origin::Artifact { job } => format!("artifact {job}:{path}"),
                    Origin::Component { host, version } => format!("component {host}/{path}@{version}"),
                };
                self.get(&section).map_or_else(refused, Answer::file)
            }
            Request::Tree { origin: Origin::Local } => {
                let files = self
                    .sections
                    .iter()
                    .map(|(name, body)| (name.clone(), body.len().to_string()));
                Answer::Tree(files.collect::<Tree>().into())
            }
            Request::Changed { compare_to: None } => match self.get("changed") {
                None => Answer::Changed(None),
                Some(paths) => Answer::Changed(Some(paths.lines().map(str::to_owned).collect())),
            },
            Request::Changed { .. } => Answer::Refused(Refusal::BadRef),
            Request::Tree { .. } | Request::LastCommits { .. } | Request::Orb { .. } => refused(),
        }
    }

    fn run(&self) -> Output {
        let mut context = Context::default();
        for (key, value) in self.pairs("variables") {
            context.trigger.variables.push(match key.strip_prefix("masked ") {
                None => Variable::plain(key, value),
                Some(key) => Variable {
                    masked: true,
                    ..Variable::plain(key, value)
                },
            });
        }
        for (key, value) in self.pairs("inputs") {
            let value = serde_json::from_str(&value).unwrap_or_else(|_| value.into());
            context.trigger.inputs.push((key, value));
        }
        let (file, text) = &self.sections[0];
        if file == "child" {
            context.trigger.source = Source::ParentPipeline;
        }
        let input = Input {
            lang: Language::Gitlab,
            file,
            text,
            context: &context,
        };
        compile_with(&input, Mode::Create, |request| self.answer(request))
    }
}

fn merged(output: &Output) -> String {
    let mut lines = String::new();
    let json = output.merged.as_ref().map(|node| node.to_json(Schema::Yaml11));
    for (key, value) in json.as_ref().and_then(|json| json.as_object()).into_iter().flatten() {
        let _ = writeln!(lines, "{key}: {value}");
    }
    lines
}

fn diagnostics(output: &Output) -> String {
    let mut lines = String::new();
    for d in &output.diagnostics {
        let _ = writeln!(
            lines,
            "{} {}:{}:{} {}: {}",
            d.severity.as_str(),
            d.file,
            d.line,
            d.column,
            d.code,
            d.message
        );
        if let Some(hint) = &d.hint {
            let _ = writeln!(lines, "  hint: {hint}");
        }
        for step in &d.trail {
            let _ = writeln!(lines, "  {step}");
        }
    }
    lines
}

/// Codes that come from what is checked after loading; the cases here are about loading only.
fn about_loading(output: &mut Output) {
    output.diagnostics.retain(|d| {
        let loading = [
            "yaml-",
            "gitlab-header",
            "gitlab-input",
            "gitlab-interpolation",
            "gitlab-include",
            "gitlab-extends",
            "gitlab-reference",
            "gitlab-stages",
            "gitlab-documents",
            "gitlab-missing-config",
            "gitlab-format",
            "gitlab-key-type",
        ];
        loading.iter().any(|code| d.code.starts_with(code))
    });
}

fn check(path: &Path, kind: Kind, update: bool) -> Result<(), String> {
    let text = std::fs::read_to_string(path).expect("the case can be read");
    let case = Case::parse(&text);
    let mut output = case.run();
    let merged = match kind {
        Kind::Errors => String::new(),
        Kind::Load => {
            about_loading(&mut output);
            merged(&output)
        }
    };
    let found = [("merged", merged), ("diagnostics", diagnostics(&output))];
    if update {
        let kept = case
            .sections
            .iter()
            .filter(|(name, _)| name != "merged" && name != "diagnostics");
        let all = kept.map(|(name, body)| (name.as_str(), body.clone()));
        let all = all.chain(found.into_iter().filter(|(_, body)| !body.is_empty()));
        let text: String = all.map(|(name, body)| format!("-- {name} --\n{body}")).collect();
        std::fs::write(path, text).expect("the case can be written");
        return Ok(());
    }
    for (name, body) in found {
        let expected = case.get(name).unwrap_or_default();
        if expected != body {
            return Err(format!(
                "{}: {name}\nexpected:\n{expected}\nfound:\n{body}",
                path.display()
            ));
        }
    }
    Ok(())
}

#[derive(Clone, Copy)]
enum Kind {
    /// What is merged, and the diagnostics of loading.
    Load,
    /// All diagnostics of the compiler.
    Errors,
}

#[expect(clippy::disallowed_methods, reason = "a switch for people who change the cases")]
fn check_all(folder: &str, kind: Kind) {
    let update = std::env::var("UPDATE_CASES").is_ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/cases/gitlab")
        .join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the cases are there")
        .map(|entry| entry.expect("a case").path())
        .collect();
    paths.sort();
    assert!(paths.len() >= 20, "the cases are gone");
    let failed: Vec<String> = paths
        .iter()
        .filter_map(|path| check(path, kind, update).err())
        .collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn files_are_loaded_and_merged() {
    check_all("load", Kind::Load);
}

#[test]
fn errors_name_the_place_and_the_remedy() {
    check_all("errors", Kind::Errors);
}

#[test]
fn everything_that_is_needed_is_asked_for_at_once() {
    let text = "include: [a.yml, b.yml, {remote: 'https://x.org/c.yml'}, {local: 'd/*.yml'}]\n";
    let answers = tasuki_pipeline::Answers::new();
    match lint(Language::Gitlab, ".gitlab-ci.yml", text, &answers) {
        Compile::Need(requests) => assert_eq!(requests.len(), 4, "{requests:?}"),
        Compile::Done(output) => panic!("{output:?}"),
    }
}

#[test]
fn a_file_that_includes_itself_ends_at_the_limit() {
    let context = Context::default();
    let text = "include: /.gitlab-ci.yml\n";
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text,
        context: &context,
    };
    let output = compile_with(&input, Mode::Create, |_| Answer::file(text));
    let codes: BTreeMap<_, usize> = output.diagnostics.iter().map(|d| (d.code, 1)).collect();
    assert_eq!(
        codes.into_keys().collect::<Vec<_>>(),
        ["gitlab-include-limit"],
        "{:?}",
        output.diagnostics
    );
}
