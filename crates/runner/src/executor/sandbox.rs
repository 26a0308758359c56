//! The seam between the job and the place where it runs.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tasuki_model::id::TaskId;
use tasuki_model::plan::{ActionImage, Image, Meeting, Service};
use tasuki_model::reason::FailureReason;
use tasuki_model::secret::Secret;

use super::{Command, Ended, Error, Exit, Interactive, Keyboard, Output, Result, Stop};

/// Makes sandboxes. One value serves all tasks of a `[[runners]]` entry, from several tasks at once.
#[async_trait]
pub trait Executor: Send + Sync {
    /// Name as in `config.toml` (`shell`, `docker`, …); also the `executor` of the runner protocol.
    fn kind(&self) -> &'static str;

    /// Makes the place for one task.
    ///
    /// Called by `runner::job` in the stage `prepare_executor`, up to three times while the error is transient.
    /// A failed or dropped call leaves nothing behind, or what it leaves is found by [`Executor::sweep`]: what will
    /// exist is written down before it is made. What it has to say (image pulls, …) goes to `output`.
    async fn prepare(&self, task: Task, stop: Stop, output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>>;

    /// A task has come. What its place will need, whatever task it is, may be begun while the server is asked whether the
    /// task is still ours. If it is not, that serves the next one.
    fn expect(&self) {}

    /// Removes what earlier lives of this runner left: processes, folders, containers, networks.
    ///
    /// Called once at start before the first `prepare`, and whenever an operator asks. Idempotent, safe beside
    /// running tasks of this and of other live runner processes, and never touches what tasuki did not make.
    async fn sweep(&self) -> Result<Swept>;

    /// Begins what goes on beside the tasks, such as holding room for those to come. It ends with the executor, and leaves nothing.
    ///
    /// Called when a runner is about to ask for tasks, after the sweep; calling it again changes nothing.
    async fn begin(&self) -> Result<()> {
        Ok(())
    }

    /// Room that is held for tasks to come, as it was seen last. `None` where an executor holds none, or has not begun.
    fn held(&self) -> Option<Held> {
        None
    }

    /// Names what exists of sandboxes outside this process, those of living runners too: containers, networks, volumes.
    /// Empty where an executor makes nothing of the kind.
    async fn audit(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}

/// A place for one task. It serves no other task, before or after.
#[async_trait]
pub trait Sandbox: Send + Sync {
    /// Where things are, as seen from inside.
    fn paths(&self) -> &Paths;

    /// Runs one command to its end.
    ///
    /// Called for each stage in turn; more than one call may be under way (background steps). Returns when the main
    /// process has ended and its output is written, or, where background processes keep the output open, at most one
    /// second after; they live on until teardown, their later output is dropped. After a stop or a timeout nothing
    /// that the command started is alive. Dropping the future stops the command as [`Stop::force`] does.
    /// An error means that the command could not be run or that its end is unknown, never that it failed.
    async fn run(&self, command: Command, output: &dyn Output) -> Result<Ended>;

    /// Runs a program on a terminal (pty) of its own to its end, beside the commands of [`Sandbox::run`].
    ///
    /// Called when somebody asks for a terminal in the running job. What is printed goes to `output` as
    /// [`Stream::Stdout`](super::Stream::Stdout), what comes from `keyboard` is typed. The program leads a session whose
    /// controlling terminal that is. When it has ended, by itself or by its stop, nothing that it started is alive.
    /// Dropping the future kills it.
    /// An error means that no terminal could be made or that its end is unknown. The default has none to offer.
    async fn interact(&self, _program: Interactive, _keyboard: Keyboard, _output: &dyn Output) -> Result<Exit> {
        Err(Error::configuration(
            "this runner's executor has no terminals",
            "run the job on a runner whose executor has them",
        ))
    }

    /// Runs a container of its own beside the job's to its end: in the job's network, with the job's folders at their paths.
    ///
    /// Called for actions that are images. Stop, time limit and output are as for [`Sandbox::run`]. When it returns, nothing of
    /// the container is left; an image that was built for it goes with the sandbox. The default has no containers to offer.
    async fn run_container(&self, _what: Contained, _output: &dyn Output) -> Result<Ended> {
        Err(Error::job(
            FailureReason::RunnerUnsupported,
            "this runner's executor runs no containers for steps: use one with the docker executor",
        ))
    }

    /// The containers that a job's expressions may ask for. None by default.
    fn containers(&self) -> Containers {
        Containers::default()
    }

    /// Puts a small file (file variables, keys) into the sandbox; parents are made, an existing file is replaced.
    async fn push(&self, file: PushedFile) -> Result<()>;

    /// Ends the stage `prepare_script`: called once, after its files were pushed and before the first command. What it has
    /// to say goes to `output`. Nothing by default.
    async fn settle(&self, _stop: Stop, _output: &dyn Output) -> Result<()> {
        Ok(())
    }

    /// Reads a file of the sandbox. `None`: there is none. More than `limit` bytes is an error of the job.
    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>>;

    /// Kills every process of the task, removes its files and gives the place back. Consumes the sandbox: nothing can
    /// run afterwards. Called in every case, also after a failure or a cancel, and returns only when nothing of the
    /// task is left. What it could not remove is an error, and stays written down for [`Executor::sweep`].
    /// A sandbox that is dropped without it is removed by the next sweep.
    async fn teardown(self: Box<Self>) -> Result<()>;
}

/// Stands for the builds folder in [`Task::clone_path`]: only the executor knows where that is.
pub const BUILDS: &str = "$CI_BUILDS_DIR";

/// What an executor must know to make a place. All text is expanded already.
#[derive(Debug, Clone)]
pub struct Task {
    pub id: TaskId,
    /// First characters of the runner's token, as `CI_RUNNER_SHORT_TOKEN` shows them.
    pub runner_short_token: String,
    /// Lowest free slot of the runner entry (`CI_CONCURRENT_ID`).
    pub concurrent_id: u32,
    /// Lowest free slot of the runner entry and project (`CI_CONCURRENT_PROJECT_ID`).
    pub concurrent_project_id: u32,
    /// Path of the repository URL without `.git`, `group/project`; the executor refuses `..` in it.
    pub project_slug: String,
    pub project_id: i64,
    /// `GIT_STRATEGY: empty` and other reasons for a folder of another name.
    pub folder_suffix: Option<String>,
    /// `GIT_CLONE_PATH`: a folder for the source in place of the executor's own. [`BUILDS`] in it stands for the builds folder.
    pub clone_path: Option<String>,
    /// The job's environment, for what the executor itself reads (image variables, overwrites, services).
    pub variables: Vec<(String, String)>,
    /// Those of them that containers themselves and services may have: who can look at a container sees them.
    pub public_variables: Vec<(String, String)>,
    /// File variables by what is in them.
    pub file_variables: Vec<(String, String)>,
    /// The server's whole answer as JSON, where the executor passes it on.
    pub payload: Option<Secret>,
    pub image: Option<Image>,
    pub services: Vec<Service>,
    /// How they meet.
    pub meeting: Meeting,
    pub registry_logins: Vec<RegistryLogin>,
    /// How long the job may take.
    pub timeout: Duration,
    pub origin: Origin,
}

impl Task {
    /// The value of a variable; the last of a name counts.
    #[must_use]
    pub fn variable(&self, key: &str) -> Option<&str> {
        let found = self.variables.iter().rev().find(|(name, _)| name == key);
        found.map(|(_, value)| value.as_str())
    }

    /// A feature flag: what the runner's configuration says of it (`[runners.feature_flags]`), else the job's variable, else the
    /// default.
    pub(crate) fn flag(&self, name: &str, set: &BTreeMap<String, bool>, default: bool) -> bool {
        let set = set.get(name).copied();
        set.or_else(|| crate::job::truth(self.variable(name)?))
            .unwrap_or(default)
    }
}

/// Where a job comes from by the server's own word. Variables say the same, but whoever writes a job can set those.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    pub job_name: String,
    pub project_name: String,
    /// `group/subgroup/project`.
    pub project_path: String,
    /// 0 = unknown.
    pub namespace_id: i64,
    /// 0 = unknown.
    pub root_namespace_id: i64,
}

/// Credentials for pulling images.
#[derive(Debug, Clone)]
pub struct RegistryLogin {
    pub registry: String,
    pub user: String,
    pub password: Secret,
}

/// Folders of a sandbox as its own processes see them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paths {
    /// `CI_BUILDS_DIR`.
    pub builds: PathBuf,
    /// `CI_PROJECT_DIR`: where the source goes.
    pub project: PathBuf,
    /// The project folder's name + `.tmp`: file variables, the `GITLAB_ENV` file (`RUNNER_TEMP_PROJECT_DIR`).
    /// Outside the source, gone after the task.
    pub temp: PathBuf,
    /// Local caches. Outlives the task.
    pub cache: PathBuf,
    /// `HOME` of the task.
    pub home: PathBuf,
}

/// One container to run beside the job's own.
#[derive(Debug, Clone)]
pub struct Contained {
    pub image: ActionImage,
    /// In place of the image's entrypoint.
    pub entrypoint: Option<String>,
    /// In place of the image's command.
    pub args: Option<Vec<String>>,
    /// Over what the image sets. Who looks at the container does not see it.
    pub env: Vec<(String, String)>,
    /// Symbolic links that are made in it: path, what it stands for.
    pub links: Vec<(PathBuf, PathBuf)>,
    /// Working directory.
    pub cwd: PathBuf,
    pub timeout: Option<Duration>,
    pub stop: Stop,
}

/// Containers of a job.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Containers {
    /// The one that the job asked for.
    pub job: Option<ContainerFacts>,
    /// By the first name of each service.
    pub services: Vec<(String, ContainerFacts)>,
}

/// What is known of a container.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ContainerFacts {
    pub id: String,
    /// Name of its network.
    pub network: String,
    /// Port in the container → port of the machine.
    pub ports: BTreeMap<String, String>,
}

/// A file for [`Sandbox::push`].
#[derive(Debug, Clone)]
pub struct PushedFile {
    /// Absolute, or relative to [`Paths::temp`].
    pub path: PathBuf,
    /// Unix permission bits. Belongs to the user that runs the scripts.
    pub mode: u32,
    pub bytes: Bytes,
}

/// Places that are held for tasks to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// How many there should be.
    pub wanted: u32,
    /// How many there are.
    pub ready: u32,
}

/// What a sweep removed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Swept {
    /// Sandboxes of dead runners.
    pub sandboxes: usize,
    /// Processes that were still alive.
    pub processes: usize,
}
