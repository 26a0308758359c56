//! What the fuzz targets and the replay of their corpus do with one input, so that both run the same code.
//!
//! An input is a configuration and, each behind a line `~~~ name`, the files, orbs and actions that it may refer to. A
//! request is answered with the section that it names, else with one chosen by its name: so that what is included
//! can include, and so that the fuzzer need not guess names.

use tasuki_model::plan::{Language, Plan};
use tasuki_model::trigger::{GitRef, MergeRequest, Source};
use tasuki_pipeline::diag::{Colour, Excerpts, code_quality, github, human, sarif};
use tasuki_pipeline::yaml::{FileId, Limits, MergeKeys, Options, Schema, parse, split};
use tasuki_pipeline::{Answer, Context, FileAnswer, Input, Mode, Origin, Output, Refusal, Request, Tree, compile_with};

/// Panics where a promise of the compiler is broken.
pub(crate) type Trial = fn(&str);

/// What is tried on an input, by the name of the fuzz target and of the folder of its corpus.
pub(crate) const TARGETS: [(&str, Trial); 5] = [
    ("yaml", read),
    ("gitlab", |text| {
        compile_all(Language::Gitlab, &[".gitlab-ci.yml"], text);
    }),
    ("circleci", |text| {
        compile_all(Language::Circleci, &[".circleci/config.yml"], text);
    }),
    ("github", |text| {
        compile_all(
            Language::Github,
            &[".github/workflows/a.yml", ".github/workflows"],
            text,
        );
    }),
    ("expression", express),
];

/// Tries an input; panics where a promise of the compiler is broken.
pub(crate) fn run(target: &str, text: &str) {
    let known = TARGETS.iter().find(|(name, _)| *name == target);
    let (_, tried) = known.expect("a target of that name");
    tried(text);
}

/// Any text is read or refused.
fn read(text: &str) {
    for document in split(text) {
        for (schema, merge) in [
            (Schema::Yaml11, MergeKeys::InPlace),
            (Schema::Yaml11, MergeKeys::Below),
            (Schema::Core, MergeKeys::Off),
        ] {
            let options = Options {
                file: FileId(0),
                schema,
                merge,
                limits: Limits::default(),
            };
            if let Ok(Some(node)) = parse(document, options, &mut Vec::new()) {
                assert!(node.weight() <= options.limits.nodes, "a tree beyond the limit");
            }
        }
    }
}

/// A text as an expression wherever a language has one.
fn express(text: &str) {
    let quoted = serde_json::to_string(text).unwrap_or_default();
    let block = serde_json::to_string(&format!("${{{{ {text} }}}}")).unwrap_or_default();
    let angle = serde_json::to_string(&format!("<< {text} >>")).unwrap_or_default();
    let square = serde_json::to_string(&format!("$[[ {text} ]]")).unwrap_or_default();
    let gitlab = format!(
        "spec: {{inputs: {{a: {{default: [x, {{b: c}}], type: array}}, s: {{default: 'x $CI y'}}}}}}\n---\n\
         j:\n  script: [{square}, {quoted}]\n  variables: {{A: {quoted}, B: $A}}\n  coverage: {quoted}\n  \
         rules: [{{if: {quoted}, changes: [{quoted}], exists: [{quoted}]}}, {{when: always}}]\n  \
         environment: {{name: {quoted}, auto_stop_in: {quoted}}}\n  artifacts: {{expire_in: {quoted}}}\n  timeout: {quoted}\n\
         k: {{script: x, only: {{refs: [{quoted}], variables: [{quoted}]}}}}\n"
    );
    let circleci = format!(
        "version: 2.1\nparameters: {{p: {{type: string, default: {quoted}}}}}\n\
         jobs:\n  j:\n    docker: [{{image: {quoted}}}]\n    steps:\n    - when: {{condition: {angle}, steps: [checkout]}}\n    \
         - when: {{condition: {quoted}, steps: [checkout]}}\n    - run: {angle}\n    - run: {{command: x, no_output_timeout: {quoted}}}\n    \
         - save_cache: {{key: {quoted}, paths: [x]}}\n\
         workflows:\n  w:\n    when: {quoted}\n    jobs: [j: {{filters: {{branches: {{only: {quoted}}}}}}}, j: {{filters: {quoted}, name: k}}]\n"
    );
    let github = format!(
        "on: {{push: {{branches: [{quoted}], paths: [{quoted}]}}, schedule: [{{cron: {quoted}}}]}}\nrun-name: {block}\n\
         env: {{A: {block}}}\njobs:\n  j:\n    if: {quoted}\n    runs-on: {block}\n    strategy: {{matrix: {{x: [1, {quoted}]}}}}\n    \
         outputs: {{o: {block}}}\n    steps: [{{run: {block}, if: {block}, env: {{B: {quoted}}}}}]\n"
    );
    compile_all(Language::Gitlab, &[".gitlab-ci.yml"], &gitlab);
    compile_all(Language::Circleci, &[".circleci/config.yml"], &circleci);
    compile_all(Language::Github, &[".github/workflows/a.yml"], &github);
}

/// Compiles for a push and for a merge request, and checks without either.
fn compile_all(language: Language, files: &[&str], text: &str) {
    let world = World::new(text);
    let mut request = Context::default();
    request.trigger.source = Source::MergeRequestEvent;
    request.trigger.git_ref = GitRef::MergeRequest {
        iid: 7,
        kind: "head".to_owned(),
    };
    request.trigger.merge_request = Some(MergeRequest {
        iid: 7,
        source_branch: "topic".to_owned(),
        target_branch: "main".to_owned(),
        ..MergeRequest::default()
    });
    let push = Context::default();
    for file in files {
        for (context, mode) in [(&push, Mode::Create), (&request, Mode::Create), (&push, Mode::Lint)] {
            let input = Input {
                lang: language,
                file,
                text: world.sections[0].1,
                context,
            };
            let output = compile_with(&input, mode, |request| world.answer(request));
            world.check(file, &output);
        }
    }
}

/// An input, taken apart.
struct World<'t> {
    /// Names and texts; the first one is the configuration.
    sections: Vec<(&'t str, &'t str)>,
}

impl<'t> World<'t> {
    fn new(text: &'t str) -> Self {
        let mut parts = text.split("\n~~~ ");
        let mut sections = vec![("", parts.next().unwrap_or_default())];
        sections.extend(parts.take(20).map(|part| part.split_once('\n').unwrap_or((part, ""))));
        Self { sections }
    }

    /// The section of that name, or another one.
    fn section(&self, name: &str) -> &'t str {
        if let Some((_, text)) = self.sections.iter().skip(1).find(|(known, _)| *known == name) {
            return text;
        }
        let sum: usize = name.bytes().map(usize::from).sum();
        self.sections[sum % self.sections.len()].1
    }

    fn paths(&self) -> impl Iterator<Item = &'t str> {
        let named = self.sections.iter().skip(1).map(|(name, _)| *name);
        named.chain(["a.yml", "ci/b.yml", ".github/workflows/a.yml"])
    }

    fn answer(&self, request: &Request) -> Answer {
        match request {
            Request::File { path, .. } if path.ends_with("missing") => Answer::Refused(Refusal::NotFound),
            Request::File { origin, path } => Answer::File(FileAnswer {
                text: self.section(path).into(),
                origin: match origin {
                    Origin::Component { .. } => Some(Origin::Project {
                        project: "group/components".to_owned(),
                        git_ref: "0".repeat(40),
                    }),
                    _ => None,
                },
                path: None,
            }),
            Request::Orb { name, version } => {
                let found = format!("{name}@{version}");
                Answer::File(FileAnswer {
                    text: self.section(&found).into(),
                    origin: None,
                    path: Some(found),
                })
            }
            Request::Tree { .. } => Answer::Tree(self.paths().map(|path| (path, "1")).collect::<Tree>().into()),
            Request::Changed { compare_to: None } => Answer::Changed(Some(self.paths().map(str::to_owned).collect())),
            Request::Changed { .. } => Answer::Refused(Refusal::BadRef),
            Request::LastCommits { paths } => {
                Answer::Commits(paths.iter().map(|path| (path.clone(), "2".repeat(40))).collect())
            }
        }
    }

    /// What holds of every output.
    fn check(&self, file: &str, output: &Output) {
        assert!(
            !(output.has_errors() && output.plan.is_some()),
            "a plan in spite of errors: {:?}",
            output.diagnostics
        );
        if let Some(plan) = &output.plan {
            // It is stored as JSON and must come back.
            let json = serde_json::to_string(plan).expect("a plan is JSON");
            let read: Plan = serde_json::from_str(&json).expect("a plan is read again");
            let again = serde_json::to_string(&read).expect("a plan is JSON");
            assert_eq!(json, again, "a plan is another one when it was stored");
        }
        let longest = self.sections.iter().map(|(_, text)| text.split('\n').count()).max();
        for diagnostic in &output.diagnostics {
            let lines = longest.unwrap_or_default() + 1;
            assert!(
                diagnostic.line as usize <= lines,
                "{file}: no such line: {diagnostic:?}"
            );
            let _ = human(diagnostic, self, Colour::Always);
        }
        let found = sarif(&output.diagnostics);
        assert_eq!(
            found["runs"][0]["results"].as_array().map(Vec::len),
            Some(output.diagnostics.len())
        );
        let _ = (code_quality(&output.diagnostics), github(&output.diagnostics));
    }
}

impl Excerpts for World<'_> {
    fn line(&self, file: &str, line: u32) -> Option<&str> {
        self.section(file).lines().nth((line as usize).checked_sub(1)?)
    }
}
