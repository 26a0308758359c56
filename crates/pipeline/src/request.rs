//! What the compiler asks for, and the answers.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// Something outside the configuration text that the compiler has to know.
///
/// The caller answers from wherever it has it: the server from its git mirror, `exec` and `lint` from the
/// folder, tests from a map.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "ask", rename_all = "snake_case")]
pub enum Request {
    /// The text of a file. Answer: [`Answer::File`].
    File { origin: Origin, path: String },
    /// All files of a commit with the ids of their blobs. Answer: [`Answer::Tree`].
    Tree { origin: Origin },
    /// Paths that the pipeline's commit changed: against its push or merge request, or since the merge base
    /// with `compare_to`. Answer: [`Answer::Changed`].
    Changed { compare_to: Option<String> },
    /// For each path the id of the last commit that changed it. Answer: [`Answer::Commits`].
    LastCommits { paths: Vec<String> },
    /// The source of an orb of a registry (CircleCI): `namespace/name`, and a version `1.2.3`, `1.2`, `1`, `volatile` or
    /// `dev:name`, of which the newest that matches is meant. Answer: [`Answer::File`] with the path that was read.
    Orb { name: String, version: String },
}

/// Whose file it is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "from", rename_all = "snake_case")]
pub enum Origin {
    /// The pipeline's own project at the pipeline's commit.
    Local,
    /// Another project of the same server; the user who starts the pipeline must be able to read it.
    Project { project: String, git_ref: String },
    /// A URL; the path of the request is the whole URL. No credentials may be sent.
    Remote,
    /// A template that the server brings along; the path is its name.
    Template,
    /// A component; the path of the request is its address without host and version, e.g. `group/project/lint`.
    Component { host: String, version: String },
    /// The archive that a job of the parent pipeline left, for child pipelines.
    Artifact { job: String },
}

/// An answer to a [`Request`].
#[derive(Debug, Clone)]
pub enum Answer {
    File(FileAnswer),
    Tree(Arc<Tree>),
    /// `None`: there is nothing to compare with (new branch, tag, schedule, …).
    Changed(Option<Arc<[String]>>),
    /// Path → commit; paths that no commit has are absent.
    Commits(BTreeMap<String, String>),
    /// It could not be had.
    Refused(Refusal),
}

/// The text of a file, and where it turned out to be.
#[derive(Debug, Clone)]
pub struct FileAnswer {
    pub text: Arc<str>,
    /// Origin for what this file includes itself: the same project at the commit that was read. `None` = the
    /// origin that was asked for.
    pub origin: Option<Origin>,
    /// Path that was read, where it differs from the one asked for (components).
    pub path: Option<String>,
}

/// Why something could not be had. The message of the diagnostic names the place where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refusal {
    NotFound,
    /// It may or may not exist; the user must not know.
    Denied,
    /// Git refuses the name (bad `compare_to`, unknown ref).
    BadRef,
    /// The network or the other side failed; what it said.
    Unreachable(String),
    /// The caller has no way to answer this kind of request; why.
    Unsupported(String),
}

/// Files of a commit: path → blob id, sorted by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// The blob id of a file.
    #[must_use]
    pub fn blob(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// All files with their blob ids, sorted by path.
    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, blob)| (path.as_str(), blob.as_str()))
    }

    /// Whether a folder of that path (without a trailing slash) exists.
    #[must_use]
    pub fn has_folder(&self, path: &str) -> bool {
        let prefix = format!("{}/", path.trim_end_matches('/'));
        self.files
            .range(prefix.clone()..)
            .next()
            .is_some_and(|(path, _)| path.starts_with(&prefix))
    }
}

impl<P: Into<String>, B: Into<String>> FromIterator<(P, B)> for Tree {
    fn from_iter<I: IntoIterator<Item = (P, B)>>(files: I) -> Self {
        Self {
            files: files
                .into_iter()
                .map(|(path, blob)| (path.into(), blob.into()))
                .collect(),
        }
    }
}

/// Answers given so far. One per pipeline that is made; files in it are parsed once, however often
/// [`compile`](crate::compile) is called with it.
#[derive(Debug, Default)]
pub struct Answers {
    given: HashMap<Request, Answer>,
    pub(crate) parsed: crate::session::Parsed,
}

impl Answers {
    /// No answers.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds or replaces an answer.
    pub fn insert(&mut self, request: Request, answer: Answer) {
        self.given.insert(request, answer);
    }

    /// The answer to a request, if it was given.
    #[must_use]
    pub fn get(&self, request: &Request) -> Option<&Answer> {
        self.given.get(request)
    }
}

impl Answer {
    /// A file as it was asked for.
    pub fn file(text: impl Into<Arc<str>>) -> Self {
        Self::File(FileAnswer {
            text: text.into(),
            origin: None,
            path: None,
        })
    }
}
