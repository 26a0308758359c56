//! A configuration has one Plan: `compile`, `exec` and a server make the same of the same start.
//!
//! The configurations are those of the compiler's own cases (`crates/pipeline/tests/cases`, what is expected there does not
//! matter here), its corpus and the examples. Each is compiled in one of the starts below, the examples in all of them, as a
//! folder by the two commands and at its commit by the server; Plans, reasons why there is none and diagnostics must be equal.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::Value;
use tasuki_model::plan::Language;
use tasuki_model::trigger::Source;
use tasuki_pipeline::Input;

use super::hooks::FakeForge;
use super::world::{World, commit, git};
use crate::git::{Git, Worktree};
use crate::triggers::answer::{Answerer, InFolder, Reach, Remote, Source as Own};
use crate::triggers::here::{Kind, Wish};
use crate::triggers::{Circumstances, Read, Start, Want};

/// A configuration with the files beside it.
#[derive(Debug)]
struct Case {
    name: String,
    files: Vec<(String, String)>,
}

/// How it starts.
#[derive(Debug)]
struct Way {
    source: Source,
    name: &'static str,
    kind: Kind,
    variables: &'static [(&'static str, &'static str)],
    inputs: &'static [(&'static str, &'static str)],
    changed: Option<&'static [&'static str]>,
}

const PUSH: Way = Way {
    source: Source::Push,
    name: "main",
    kind: Kind::Branch,
    variables: &[],
    inputs: &[],
    changed: None,
};

const WAYS: &[Way] = &[
    PUSH,
    Way {
        name: "feature/x",
        changed: Some(&["src/a.rs", "docs/page.md"]),
        ..PUSH
    },
    Way {
        name: "v1.0",
        kind: Kind::Tag,
        ..PUSH
    },
    Way {
        source: Source::MergeRequestEvent,
        name: "feature/x",
        changed: Some(&["src/a.rs", "Dockerfile"]),
        ..PUSH
    },
    Way {
        source: Source::Api,
        variables: &[("MODE", "full"), ("DEPLOY", "yes")],
        ..PUSH
    },
    Way {
        source: Source::Web,
        inputs: &[("name", "given"), ("deep", "true")],
        ..PUSH
    },
    Way {
        source: Source::Schedule,
        ..PUSH
    },
];

const CONFIGS: [(Language, &str); 3] = [
    (Language::Gitlab, ".gitlab-ci.yml"),
    (Language::Circleci, ".circleci/config.yml"),
    (Language::Github, ".github/workflows/ci.yml"),
];

fn below(folder: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(folder)
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut all: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    all.sort();
    all
}

/// The cases of a file: what stands between `=== name` and `>>>`, without the lines that set a context.
fn cases_of(path: &Path, config: &str) -> Vec<Case> {
    let text = std::fs::read_to_string(path).unwrap();
    let one = |part: &str| {
        let (name, rest) = part.split_once('\n')?;
        let (given, _) = rest.split_once("\n>>>")?;
        let mut files = vec![(config.to_owned(), String::new())];
        for line in given.lines() {
            match line.strip_prefix("@file ").or_else(|| line.strip_prefix("@ file ")) {
                Some(path) => files.push((path.to_owned(), String::new())),
                None if line.starts_with('@') => {
                    // The configuration itself comes behind the files.
                    if files.len() > 1 {
                        files.push((config.to_owned(), String::new()));
                    }
                }
                None => {
                    let (_, text) = files.last_mut()?;
                    text.push_str(line);
                    text.push('\n');
                }
            }
        }
        files.retain(|(_, text)| !text.is_empty());
        Some(Case {
            name: format!("{}: {name}", path.file_name()?.to_string_lossy()),
            files,
        })
    };
    text.split("=== ").skip(1).filter_map(one).collect()
}

/// The cases of a language that have its configuration.
fn cases(language: &str, config: &str) -> Vec<Case> {
    let mut folder = below("pipeline/tests/cases").join(language);
    if language == "gitlab" {
        folder.push("plan");
    }
    let files = entries(&folder);
    let mut all: Vec<Case> = files.iter().flat_map(|path| cases_of(path, config)).collect();
    if language == "gitlab" {
        let corpus = entries(&below("pipeline/tests/corpus"));
        all.extend(
            corpus
                .iter()
                .filter(|path| path.extension().is_some_and(|ext| ext == "yml"))
                .map(|path| Case {
                    name: path.file_name().unwrap().to_string_lossy().into_owned(),
                    files: vec![(config.to_owned(), std::fs::read_to_string(path).unwrap())],
                }),
        );
    }
    all.retain(|case| case.files.iter().any(|(name, _)| name == config));
    all
}

/// An example with the files of its configuration.
fn example(name: &str) -> Case {
    let root = below("../examples").join(name);
    let mut files = Vec::new();
    let mut open = vec![root.clone()];
    while let Some(folder) = open.pop() {
        for path in entries(&folder) {
            match path.is_dir() {
                true => open.push(path),
                false => files.push((
                    path.strip_prefix(&root).unwrap().to_string_lossy().into_owned(),
                    std::fs::read_to_string(&path).unwrap(),
                )),
            }
        }
    }
    Case {
        name: name.to_owned(),
        files,
    }
}

/// Only a server has other projects; the others say so.
const BEYOND_A_FOLDER: &[&str] = &["exists in a project that may not be read", "exists in another project"];

/// One repository in which one case after the other lies, as a folder and as a project.
struct Bench {
    world: World,
    dir: PathBuf,
    forge: FakeForge,
    project: tasuki_store::projects::Project,
    home: tempfile::TempDir,
    git: Git,
    language: Language,
    config: &'static str,
}

impl Bench {
    async fn new(language: Language, config: &'static str) -> Self {
        let world = World::new().await;
        let dir = world.repository("app", "");
        let forge = FakeForge::serve(&world, &dir).await;
        // Nobody watches it: what is committed makes no pipelines.
        let settings = serde_json::json!({"config_path": config}).to_string();
        let project = world.add_as("local/app", "gitlab", &forge.url, &settings).await;
        let home = tempfile::tempdir().unwrap();
        let git = Git::prepare(home.path()).unwrap();
        Self {
            world,
            dir,
            forge,
            project,
            home,
            git,
            language,
            config,
        }
    }

    async fn put(&self, case: &Case) {
        git(&self.dir, &["checkout", "-q", "main"]);
        git(&self.dir, &["rm", "-rqf", "--ignore-unmatch", "."]);
        for (name, text) in &case.files {
            let path = self.dir.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        commit(&self.dir, &case.name);
        git(&self.dir, &["branch", "-f", "feature/x"]);
        git(&self.dir, &["tag", "-f", "v1.0"]);
        self.forge.publish().await;
    }

    /// What `compile`, `exec` and the server make of it, as JSON.
    async fn three(&self, way: &Way) -> [Value; 3] {
        let wish = Wish {
            source: way.source,
            name: Some(way.name.to_owned()),
            kind: way.kind,
            variables: way
                .variables
                .iter()
                .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
                .collect(),
            inputs: way
                .inputs
                .iter()
                .map(|(key, value)| ((*key).to_owned(), Value::from(*value)))
                .collect(),
            workflow: None,
        };
        let changed = way
            .changed
            .map(|paths| paths.iter().map(|path| (*path).to_owned()).collect::<Vec<_>>());
        assert!(self.home.path().exists());
        let git = self.git.clone();
        let tree = Worktree::read(&git, &self.dir).await.unwrap();

        let mut context = wish.context(&self.dir, Some(&tree), self.config);
        let text: Arc<str> = std::fs::read_to_string(self.dir.join(self.config)).unwrap().into();
        let answerer = Answerer {
            address: format!("127.0.0.1/{}", context.project.path),
            source: Own::Folder(InFolder {
                root: self.dir.clone(),
                git: Some(git.clone()),
                worktree: Some(tree.clone()),
                changed: changed.clone(),
            }),
            projects: None,
            remote: Remote::new(Reach::Anywhere),
            templates: None,
            orbs: None,
            parent: None,
        };
        // Where the server is differs, of course.
        context.server = self.world.triggers.inner.parts.server.clone();
        context.project.url = format!("{}/{}", context.server.url, context.project.path);
        let input = Input {
            lang: self.language,
            file: self.config,
            text: &text,
            context: &context,
        };
        let compiled = Box::pin(answerer.compile(&input))
            .await
            .unwrap()
            .to_json(self.language)
            .unwrap();

        let more = || Circumstances {
            changed: changed.clone(),
            only: Some(self.language),
            ..Circumstances::default()
        };
        let trigger = wish.trigger(Some(&tree), "main");
        let mut folder = Start::asked(
            self.project.clone(),
            trigger.git_ref.clone(),
            Read::Folder {
                worktree: Some(Box::new((git, tree))),
                root: self.dir.clone(),
                trigger: Box::new(trigger),
            },
            Want::by(way.source),
        );
        folder.more = more();
        let executed = Box::pin(self.world.triggers.plans(&folder)).await.unwrap();

        let mut want = Want::by(way.source);
        want.git_ref = Some(match way.kind {
            Kind::Branch => format!("refs/heads/{}", way.name),
            Kind::Tag => format!("refs/tags/{}", way.name),
        });
        want.variables = wish
            .variables
            .iter()
            .map(|(k, v)| tasuki_model::plan::Variable::plain(k, v))
            .collect();
        want.inputs.clone_from(&wish.inputs);
        want.more = more();
        let suppose = self.world.triggers.suppose(self.project.clone(), want);
        let served = Box::pin(suppose).await.unwrap();
        let json = |plans: Vec<crate::triggers::Planned>| {
            assert_eq!(plans.len(), 1, "{plans:?}");
            plans[0].output.to_json(self.language).unwrap()
        };
        [compiled, json(executed), json(served)]
    }

    /// The differences between the three.
    async fn check(&self, case: &Case, way: &Way) -> Vec<String> {
        let [compiled, executed, served] = self.three(way).await;
        let mut found = Vec::new();
        for (who, other) in [("exec", &executed), ("the server", &served)] {
            if let Some(place) = difference(&compiled, other, "plan") {
                let start = format!("{} of {}", way.source.as_str(), way.name);
                found.push(format!("{} ({start}): compile and {who} differ: {place}", case.name));
            }
        }
        found
    }
}

/// Where two values first differ.
fn difference(one: &Value, other: &Value, at: &str) -> Option<String> {
    match (one, other) {
        (Value::Object(a), Value::Object(b)) => {
            let keys = a.keys().chain(b.keys().filter(|key| !a.contains_key(*key)));
            let null = Value::Null;
            keys.into_iter().find_map(|key| {
                let (a, b) = (a.get(key).unwrap_or(&null), b.get(key).unwrap_or(&null));
                difference(a, b, &format!("{at}.{key}"))
            })
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            let items = a.iter().zip(b).enumerate();
            items
                .into_iter()
                .find_map(|(n, (a, b))| difference(a, b, &format!("{at}[{n}]")))
        }
        _ if one == other => None,
        _ => Some(format!("{at}: {one} against {other}")),
    }
}

/// How many cases were compared is part of the promise: a corpus that is not found would pass silently.
async fn compare(language: &str, least: usize) {
    let (lang, config) = CONFIGS.into_iter().find(|(lang, _)| lang.as_str() == language).unwrap();
    let bench = Bench::new(lang, config).await;
    let cases = cases(language, config);
    assert!(cases.len() >= least, "{} cases of {language}", cases.len());
    let mut found = Vec::new();
    for (case, way) in cases.iter().zip(WAYS.iter().cycle()) {
        if BEYOND_A_FOLDER.iter().any(|name| case.name.ends_with(name)) {
            continue;
        }
        bench.put(case).await;
        found.extend(bench.check(case, way).await);
    }
    assert!(
        found.is_empty(),
        "{} of {}:\n{}",
        found.len(),
        cases.len(),
        found.join("\n")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn gitlab_has_one_plan() {
    compare("gitlab", 180).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn circleci_has_one_plan() {
    compare("circleci", 60).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn github_has_one_plan() {
    compare("github", 80).await;
}

/// Each example, started in every way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn examples_have_one_plan_however_they_start() {
    let mut found = Vec::new();
    for (name, (language, usual)) in ["relay", "circleci", "github"].into_iter().zip(CONFIGS) {
        let case = example(name);
        let config = case.files.iter().map(|(name, _)| name).find(|name| match language {
            Language::Github => name.starts_with(".github/workflows/"),
            Language::Gitlab | Language::Circleci => *name == usual,
        });
        let config: &'static str = String::leak(config.unwrap().clone());
        let bench = Bench::new(language, config).await;
        bench.put(&case).await;
        for way in WAYS {
            found.extend(bench.check(&case, way).await);
        }
    }
    assert!(found.is_empty(), "{}", found.join("\n"));
}

/// The comparison sees one variable more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_difference_between_plans_is_seen() {
    let bench = Bench::new(Language::Gitlab, ".gitlab-ci.yml").await;
    let case = Case {
        name: "seen".to_owned(),
        files: vec![(
            ".gitlab-ci.yml".to_owned(),
            "a: {script: x, rules: [{if: $MODE}]}\nb: {script: x}\n".to_owned(),
        )],
    };
    bench.put(&case).await;
    let [pushed, ..] = bench.three(&WAYS[0]).await;
    let [asked, ..] = bench.three(&WAYS[4]).await;
    let place = difference(&pushed, &asked, "plan").unwrap();
    assert!(place.starts_with("plan.workflows[0].jobs"), "{place}");
}
