//! What a guest can be asked to do. JSON on its standard input.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;

/// One piece of work.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Puts a commit of a repository into the project folder (stage `get_sources`).
    Checkout(Box<Checkout>),
    /// Puts a copy of a dirty folder into the project folder (`tasuki exec`).
    Snapshot(Snapshot),
    /// Removes tracked and untracked files before `get_sources` is tried again.
    ClearWorktree(ClearWorktree),
    RestoreCache(RestoreCache),
    SaveCache(SaveCache),
    UploadArtifacts(Box<UploadArtifacts>),
    DownloadArtifacts(DownloadArtifacts),
    RestoreKeyed(Box<RestoreKeyed>),
    SaveKeyed(Box<SaveKeyed>),
    StorePath(Box<StorePath>),
    /// Makes a folder and its parents.
    MakeFolder {
        folder: PathBuf,
    },
    DigestFiles(DigestFiles),
}

/// One digest of the files that patterns choose (`hashFiles`): [`super::Report::digest`], absent where none is chosen.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DigestFiles {
    pub folder: PathBuf,
    /// Relative to the folder; one that starts with `!` takes files out.
    pub patterns: Vec<String>,
}

/// Stage `get_sources`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Checkout {
    pub project: PathBuf,
    /// For files that must not lie in the source (git's own configuration). Made when missing.
    pub temp: PathBuf,
    /// May hold `user:password@`: it is taken out before git sees the URL.
    pub url: String,
    #[serde(default)]
    pub credentials: Option<Credentials>,
    pub sha: String,
    /// Branch or tag, for messages.
    #[serde(default)]
    pub git_ref: String,
    #[serde(default)]
    pub refspecs: Vec<String>,
    /// 0 = the whole history.
    #[serde(default)]
    pub depth: u32,
    /// `sha1` (also when empty) or `sha256`.
    #[serde(default)]
    pub object_format: String,
    #[serde(default)]
    pub strategy: Strategy,
    /// `GIT_CHECKOUT`: off leaves the working tree as it is.
    #[serde(default = "yes")]
    pub checkout: bool,
    /// `GIT_CLEAN_FLAGS`; absent = no cleaning.
    #[serde(default)]
    pub clean_flags: Option<Vec<String>>,
    /// `GIT_FETCH_EXTRA_FLAGS`.
    #[serde(default)]
    pub fetch_flags: Vec<String>,
    #[serde(default)]
    pub submodules: Submodules,
    /// Whether LFS objects are fetched when the repository has some and git-lfs is installed
    /// (off: `GIT_LFS_SKIP_SMUDGE`).
    #[serde(default = "yes")]
    pub lfs: bool,
    /// Wipe hooks and configuration that an earlier job may have left in a re-used repository.
    #[serde(default = "yes")]
    pub clean_config: bool,
    /// Mark the project folder as safe although it belongs to another user.
    #[serde(default)]
    pub safe_directory: bool,
    #[serde(default)]
    pub user_agent: String,
    #[serde(default)]
    pub tls: Tls,
}

fn yes() -> bool {
    true
}

/// `GIT_STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Re-uses a repository that is there.
    Fetch,
    /// Starts from nothing.
    #[default]
    Clone,
    /// Touches nothing.
    None,
    /// An empty folder, whatever was there.
    Empty,
}

/// Submodule settings (`GIT_SUBMODULE_*`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Submodules {
    #[serde(default)]
    pub strategy: SubmoduleStrategy,
    #[serde(default)]
    pub depth: u32,
    /// Path specifications, `:(exclude)path` too. Empty = all.
    #[serde(default)]
    pub paths: Vec<String>,
    #[serde(default)]
    pub update_flags: Vec<String>,
    /// Fetch `git@host:` and `ssh://git@host/` URLs of the repository's host over HTTPS.
    #[serde(default)]
    pub force_https: bool,
}

/// `GIT_SUBMODULE_STRATEGY`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SubmoduleStrategy {
    #[default]
    None,
    Normal,
    Recursive,
}

/// A log-in for git over HTTP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    pub user: String,
    pub password: Secret,
}

/// Certificates for HTTPS: paths of PEM files inside the sandbox.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tls {
    /// Trusted besides the system's own.
    #[serde(default)]
    pub ca_file: Option<PathBuf>,
    #[serde(default)]
    pub cert_file: Option<PathBuf>,
    #[serde(default)]
    pub key_file: Option<PathBuf>,
}

/// The source of `tasuki exec`: the folder as it is, uncommitted changes included.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Snapshot {
    /// The work tree to copy: tracked files as they are now, and untracked ones that no ignore rule names.
    pub from: PathBuf,
    pub project: PathBuf,
    /// The commit that `HEAD` of the copy shows; empty = the folder's own `HEAD`.
    #[serde(default)]
    pub sha: String,
}

/// Removes tracked and untracked files.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ClearWorktree {
    pub project: PathBuf,
}

/// Which files of the project folder. Patterns are relative to it (or absolute and inside), with `*`, `?`, `[…]`,
/// `{a,b}` and `**`; variables are expanded already.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Selection {
    #[serde(default)]
    pub paths: Vec<String>,
    #[serde(default)]
    pub exclude: Vec<String>,
    /// All files that git does not track.
    #[serde(default)]
    pub untracked: bool,
}

/// `CACHE_COMPRESSION_LEVEL`, `ARTIFACT_COMPRESSION_LEVEL`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Compression {
    Fastest,
    Fast,
    #[default]
    Default,
    Slow,
    Slowest,
}

/// Form of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Zip with deflate.
    #[default]
    Zip,
    /// Zip with zstd inside: parallel in both directions.
    ZipZstd,
    /// Tar, compressed with zstd.
    TarZstd,
    /// The files' contents one after the other, each a gzip member: what reports are sent as.
    Gzip,
    /// Exactly one file as it is.
    Raw,
}

/// Restores the first of the caches that exists.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreCache {
    pub project: PathBuf,
    /// In order: the key itself, then its fallbacks.
    pub entries: Vec<CacheEntry>,
    /// Seconds for a download as a whole (`CACHE_REQUEST_TIMEOUT`); 0 = 10 minutes.
    #[serde(default)]
    pub timeout_s: u64,
}

/// One cache archive: where it lies on this machine, and where in the object store.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct CacheEntry {
    /// For messages.
    pub key: String,
    /// `<cache_dir>/<project slug>/<key>/cache.zip`.
    pub file: PathBuf,
    /// Pre-signed URL in the object store: GET to restore, PUT to save.
    #[serde(default)]
    pub url: Option<Secret>,
    #[serde(default)]
    pub headers: Vec<(String, Secret)>,
}

/// Makes or replaces a cache.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveCache {
    pub project: PathBuf,
    pub entry: CacheEntry,
    pub selection: Selection,
    #[serde(default)]
    pub format: Format,
    #[serde(default)]
    pub compression: Compression,
    /// Larger archives are not kept; 0 = no limit.
    #[serde(default)]
    pub max_bytes: u64,
    #[serde(default)]
    pub timeout_s: u64,
}

/// Where artifacts go to and come from.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Coordinator {
    /// Base URL of the API, with `/api/v4` and no slash at its end.
    pub api: String,
    #[serde(default)]
    pub tls: Tls,
    #[serde(default)]
    pub user_agent: String,
    /// Seconds for a whole transfer; 0 = one hour.
    #[serde(default)]
    pub timeout_s: u64,
    /// Seconds until the answer's head; 0 = ten minutes.
    #[serde(default)]
    pub response_timeout_s: u64,
}

/// Uploads one artifact of the task.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct UploadArtifacts {
    pub project: PathBuf,
    pub coordinator: Coordinator,
    pub task_id: i64,
    pub token: Secret,
    pub selection: Selection,
    /// Name of the archive without its ending; empty = `artifacts` (or the report's type).
    #[serde(default)]
    pub name: String,
    #[serde(default)]
    pub format: Format,
    #[serde(default)]
    pub compression: Compression,
    /// `archive`, `junit`, `dotenv`, …
    #[serde(default)]
    pub artifact_type: String,
    #[serde(default)]
    pub expire_in: String,
}

/// Fetches the artifacts of the jobs before, in order; later ones overwrite earlier ones.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DownloadArtifacts {
    pub project: PathBuf,
    pub coordinator: Coordinator,
    pub dependencies: Vec<Dependency>,
    /// Lets the server redirect to its object store (`FF_USE_DIRECT_DOWNLOAD`).
    #[serde(default = "yes")]
    pub direct: bool,
}

/// A job whose artifacts are fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Dependency {
    pub id: i64,
    pub name: String,
    pub token: Secret,
    #[serde(default)]
    pub source: Option<ArtifactSource>,
    /// Another of its files than the archive.
    #[serde(default)]
    pub file: Option<ArtifactFile>,
}

/// One file that a task left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArtifactFile {
    pub artifact_type: String,
    pub filename: String,
}

/// Where an artifact can be had besides the coordinator.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ArtifactSource {
    /// A pre-signed URL.
    Url(Secret),
}

/// What the paths of a cache by key begin from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyedPlace {
    /// Of relative paths.
    pub project: PathBuf,
    /// Of `~`.
    pub home: PathBuf,
}

/// The server's store of caches.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct KeyedStore {
    /// Base address; a key is put behind it.
    pub url: Secret,
    pub token: Secret,
}

/// Restores the first cache that a key finds (a step of a job).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RestoreKeyed {
    pub store: KeyedStore,
    pub place: KeyedPlace,
    /// In order.
    pub keys: Vec<String>,
    /// Keys are beginnings of keys: the newest cache counts.
    #[serde(default)]
    pub prefix: bool,
    /// `{{ … }}` in keys is evaluated; files of checksums lie below `folder`.
    #[serde(default)]
    pub template: bool,
    pub folder: PathBuf,
}

/// Saves paths under a key (a step of a job).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SaveKeyed {
    pub store: KeyedStore,
    pub place: KeyedPlace,
    pub key: String,
    /// Relative to the project folder, `~/…`, or absolute.
    pub paths: Vec<String>,
    /// A cache of that key is left as it is.
    #[serde(default)]
    pub immutable: bool,
    #[serde(default)]
    pub template: bool,
    pub folder: PathBuf,
}

/// What a stored path is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StoredAs {
    /// A file as it is, a folder as an archive.
    Artifact,
    /// A JUnit file, or a folder of them.
    TestResults,
}

/// Uploads a file or folder (a step of a job).
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct StorePath {
    pub coordinator: Coordinator,
    pub task_id: i64,
    pub token: Secret,
    /// Absolute.
    pub path: PathBuf,
    pub stored_as: StoredAs,
    /// Name of the artifact without its ending; slashes become dashes.
    pub name: String,
}
