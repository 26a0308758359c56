//! Answers to what the compiler asks for: from a commit of a mirror, from a folder, from the network.

mod artifact;
mod commit;
mod folder;
mod orb;
mod remote;

use std::time::Duration;

use tasuki_pipeline::{Answer, Answers, Compile, Input, Origin, Output, Refusal, Request};

pub use artifact::OfParent;
pub use commit::{AtCommit, Comparison, Projects};
pub use folder::InFolder;
pub use remote::{Reach, Remote};

/// Rounds of questions that one compilation may take. Every round answers all that it asks; nested includes need one
/// each, so that more than this many are a loop.
const ROUNDS: usize = 1_000;
/// Longest time for fetching all that one configuration refers to, as GitLab has it.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the pipeline's own project is read from.
#[derive(Debug)]
pub enum Source {
    Commit(AtCommit),
    Folder(InFolder),
}

/// What stands at a path of the own project.
#[derive(Debug)]
pub(super) enum Place {
    File(std::sync::Arc<str>),
    Folder,
    Nothing,
}

/// Answers everything that compiling one configuration asks for.
#[derive(Debug)]
pub struct Answerer {
    pub source: Source,
    /// Other projects of this server.
    pub projects: Option<Projects>,
    pub remote: Remote,
    /// Folder of templates that the operator brings along.
    pub templates: Option<std::path::PathBuf>,
    /// Folder of orbs (CircleCI), `namespace/name/version.yml`.
    pub orbs: Option<std::path::PathBuf>,
    /// Of a child pipeline: what the jobs of its parent left.
    pub parent: Option<OfParent>,
    /// Host and path of the own project: components of it are read where everything else of it is.
    pub address: String,
}

impl Answerer {
    /// Compiles to the end.
    ///
    /// # Errors
    /// The compiler never stops asking; what it asked last.
    pub async fn compile(&self, input: &Input<'_>) -> Result<Output, Box<Request>> {
        self.drive(|answers| tasuki_pipeline::compile(input, answers)).await
    }

    /// Answers until `attempt` has what it needs.
    ///
    /// # Errors
    /// As [`Answerer::compile`].
    pub async fn drive(&self, mut attempt: impl FnMut(&Answers) -> Compile) -> Result<Output, Box<Request>> {
        let mut answers = Answers::new();
        let mut last = None;
        let until = tokio::time::Instant::now() + PATIENCE;
        for _ in 0..ROUNDS {
            let requests = match busy(|| attempt(&answers)) {
                Compile::Done(output) => return Ok(output),
                Compile::Need(requests) => requests,
            };
            last = requests.first().cloned();
            for (request, answer) in self.answer(requests, until).await {
                answers.insert(request, answer);
            }
        }
        Err(Box::new(last.unwrap_or(Request::Tree { origin: Origin::Local })))
    }

    /// What stands at paths of the own project, in the order asked for.
    pub(super) async fn at_paths(&self, paths: &[&str]) -> Vec<Place> {
        let mut all = Vec::with_capacity(paths.len());
        match &self.source {
            Source::Commit(commit) => all = commit.at_paths(paths).await,
            Source::Folder(_) => {
                for path in paths {
                    let file = self.text(path).await.map(Place::File);
                    all.push(match file {
                        Some(file) => file,
                        None if self.has_folder(path).await => Place::Folder,
                        None => Place::Nothing,
                    });
                }
            }
        }
        all
    }

    async fn has_folder(&self, path: &str) -> bool {
        let request = Request::Tree { origin: Origin::Local };
        matches!(self.answer_one(&request).await, Answer::Tree(tree) if tree.has_folder(path))
    }

    /// Paths of the files that lie in a folder of the project, not below.
    pub async fn files_in(&self, folder: &str) -> Vec<String> {
        let request = Request::Tree { origin: Origin::Local };
        let Answer::Tree(tree) = self.answer_one(&request).await else {
            return Vec::new();
        };
        let inside = |path: &str| {
            let rest = path.strip_prefix(folder)?.strip_prefix('/')?;
            (!rest.contains('/')).then(|| path.to_owned())
        };
        tree.files().filter_map(|(path, _)| inside(path)).collect()
    }

    /// The text of a file of the own project; `None` where there is none.
    pub async fn text(&self, path: &str) -> Option<std::sync::Arc<str>> {
        match self.file(&Origin::Local, path).await {
            Answer::File(file) => Some(file.text),
            Answer::Tree(_) | Answer::Changed(_) | Answer::Commits(_) | Answer::Refused(_) => None,
        }
    }

    async fn answer(&self, requests: Vec<Request>, until: tokio::time::Instant) -> Vec<(Request, Answer)> {
        let (own, others): (Vec<_>, Vec<_>) = requests.into_iter().partition(is_own_file);
        let mut all = self.own_files(own).await;
        // Remote files load side by side, four at a time.
        let slow = futures_util::stream::iter(others.into_iter().map(|request| async move {
            let answer = tokio::time::timeout_at(until, self.answer_one(&request)).await;
            (request, answer.unwrap_or_else(|_| late()))
        }));
        all.extend(futures_util::StreamExt::collect::<Vec<_>>(futures_util::StreamExt::buffered(slow, 4)).await);
        all
    }

    /// All files of the own project in one look.
    async fn own_files(&self, requests: Vec<Request>) -> Vec<(Request, Answer)> {
        if requests.is_empty() {
            return Vec::new();
        }
        let paths: Vec<String> = requests.iter().filter_map(|r| path(r).map(str::to_owned)).collect();
        let answers = match &self.source {
            Source::Commit(commit) => commit.files(&paths).await,
            Source::Folder(folder) => folder.files(&paths),
        };
        requests.into_iter().zip(answers).collect()
    }

    async fn answer_one(&self, request: &Request) -> Answer {
        match request {
            Request::File { origin, path } => self.file(origin, path).await,
            Request::Tree { origin: Origin::Local } => match &self.source {
                Source::Commit(commit) => commit.tree().await,
                Source::Folder(folder) => folder.tree().await,
            },
            Request::Tree {
                origin: Origin::Project { project, git_ref },
            } => match &self.projects {
                Some(projects) => projects.tree(project, git_ref).await,
                None => no_server(),
            },
            Request::Tree {
                origin: Origin::Remote | Origin::Template | Origin::Component { .. } | Origin::Artifact { .. },
            } => unsupported("only projects have a list of files"),
            Request::Orb { name, version } => match &self.orbs {
                Some(folder) => orb::find(folder, name, version),
                None => orb::nowhere(),
            },
            Request::Changed { compare_to } => match &self.source {
                Source::Commit(commit) => commit.changed(compare_to.as_deref()).await,
                Source::Folder(folder) => folder.changed(compare_to.as_deref()).await,
            },
            Request::LastCommits { paths } => match &self.source {
                Source::Commit(commit) => commit.last_commits(paths).await,
                Source::Folder(folder) => folder.last_commits(paths).await,
            },
        }
    }

    async fn file(&self, origin: &Origin, path: &str) -> Answer {
        match (origin, &self.projects) {
            (Origin::Local, _) => {
                let only = self
                    .own_files(vec![Request::File {
                        origin: origin.clone(),
                        path: path.to_owned(),
                    }])
                    .await;
                only.into_iter()
                    .next()
                    .map_or(Answer::Refused(Refusal::NotFound), |(_, answer)| answer)
            }
            (Origin::Project { project, git_ref }, Some(projects)) => projects.file(project, git_ref, path).await,
            (Origin::Component { host, version }, projects) => {
                match (&self.source, self.own_component(host, path), projects) {
                    (Source::Folder(folder), Some(name), _) => folder.component(name),
                    (_, _, Some(projects)) => projects.component(host, path, version).await,
                    (_, _, None) => no_server(),
                }
            }
            (Origin::Project { .. }, None) => no_server(),
            (Origin::Remote, _) => self.remote.get(path).await,
            (Origin::Template, _) => self.template(path),
            (Origin::Artifact { job }, _) => match &self.parent {
                Some(parent) => parent.file(job, path).await,
                None => unsupported("only a child pipeline can include what a job left"),
            },
        }
    }

    /// The name of a component of the own project.
    fn own_component<'p>(&self, host: &str, path: &'p str) -> Option<&'p str> {
        let (project, name) = path.rsplit_once('/')?;
        (format!("{host}/{project}") == self.address).then_some(name)
    }

    fn template(&self, name: &str) -> Answer {
        let Some(folder) = &self.templates else {
            return unsupported("this server has no folder of templates");
        };
        match (folder::inside(folder, name), name.ends_with(".gitlab-ci.yml")) {
            (Some(file), true) => folder::read(&file),
            _ => Answer::Refused(Refusal::NotFound),
        }
    }
}

fn is_own_file(request: &Request) -> bool {
    matches!(
        request,
        Request::File {
            origin: Origin::Local,
            ..
        }
    )
}

fn path(request: &Request) -> Option<&str> {
    match request {
        Request::File { path, .. } => Some(path),
        Request::Tree { .. } | Request::Changed { .. } | Request::LastCommits { .. } | Request::Orb { .. } => None,
    }
}

fn unsupported(why: &str) -> Answer {
    Answer::Refused(Refusal::Unsupported(why.to_owned()))
}

fn late() -> Answer {
    let why = format!(
        "the files of the configuration were not there within {} s",
        PATIENCE.as_secs()
    );
    Answer::Refused(Refusal::Unreachable(why))
}

/// Work for the processor: a large configuration must not hold up the other requests of a server.
fn busy<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::try_current().map(|handle| handle.runtime_flavor()) {
        Ok(tokio::runtime::RuntimeFlavor::MultiThread) => tokio::task::block_in_place(work),
        _ => work(),
    }
}

fn no_server() -> Answer {
    unsupported("other projects can only be read by a server that has them")
}

/// A file of a configuration, which is UTF-8 text.
fn text(bytes: Vec<u8>) -> Answer {
    match String::from_utf8(bytes) {
        Ok(text) => Answer::file(text),
        Err(_) => unsupported("it is not UTF-8 text"),
    }
}
