//! What the guest is asked to do, made from the payload and the job's variables.

use std::path::PathBuf;
use std::time::Duration;

use tasuki_model::secret::Secret;
use tasuki_proto::gitlab::{ArtifactFormat, ArtifactSpec, Cache, JobResponse, When};
use url::Url;

use super::cache_key;
use super::cache_store::{CacheStore, Signed, object_name};
use super::host::Host;
use super::options::flag;
use super::variables::Variables;
use crate::executor::Paths;
use crate::guest;

/// Everything that requests are made from.
pub(super) struct Source<'a> {
    pub(super) host: &'a Host,
    pub(super) job: &'a JobResponse,
    pub(super) variables: &'a Variables,
    pub(super) paths: &'a Paths,
}

/// A cache with what the log says about it.
pub(super) struct CacheRequest<T> {
    pub(super) request: T,
    pub(super) key: String,
}

impl Source<'_> {
    /// `GIT_STRATEGY`, with a warning for a word that is none.
    pub(super) fn strategy(&self) -> (guest::Strategy, Option<String>) {
        strategy(self.job, self.variables)
    }

    /// Stage `get_sources`.
    pub(super) fn checkout(&self) -> guest::Request {
        let git = &self.job.git_info;
        let text = |key: &str| self.variables.value(key);
        let depth = match text("GIT_DEPTH").trim().parse() {
            Ok(depth) => depth,
            Err(_) => u32::try_from(git.depth).unwrap_or(0),
        };
        let kind = self.host.executor.kind();
        guest::Request::Checkout(Box::new(guest::Checkout {
            project: self.paths.project.clone(),
            temp: self.paths.temp.clone(),
            url: self.repository_url(),
            credentials: None,
            sha: git.sha.clone(),
            git_ref: git.git_ref.clone(),
            refspecs: git.refspecs.clone(),
            depth,
            object_format: git.repo_object_format.clone(),
            strategy: self.strategy().0,
            checkout: text("GIT_CHECKOUT").is_empty() || self.variables.is_true("GIT_CHECKOUT"),
            clean_flags: flags(&text("GIT_CLEAN_FLAGS"), "-ffdx"),
            fetch_flags: flags(&text("GIT_FETCH_EXTRA_FLAGS"), "--prune --quiet").unwrap_or_default(),
            submodules: self.submodules(depth),
            lfs: !self.variables.is_true("GIT_LFS_SKIP_SMUDGE"),
            clean_config: self.host.config.clean_git_config.unwrap_or(kind != "shell"),
            safe_directory: self
                .host
                .config
                .safe_directory_checkout
                .unwrap_or(!matches!(kind, "shell" | "ssh")),
            user_agent: user_agent(),
            tls: self.tls(),
        }))
    }

    /// Stage `get_sources` of a job whose source is a folder.
    pub(super) fn snapshot(&self, from: &str) -> guest::Request {
        guest::Request::Snapshot(guest::Snapshot {
            from: PathBuf::from(from),
            project: self.paths.project.clone(),
            sha: self.job.git_info.sha.clone(),
        })
    }

    fn submodules(&self, depth: u32) -> guest::Submodules {
        let text = |key: &str| self.variables.value(key);
        guest::Submodules {
            strategy: match text("GIT_SUBMODULE_STRATEGY").as_str() {
                "normal" => guest::SubmoduleStrategy::Normal,
                "recursive" => guest::SubmoduleStrategy::Recursive,
                _ => guest::SubmoduleStrategy::None,
            },
            depth: text("GIT_SUBMODULE_DEPTH").trim().parse().unwrap_or(depth),
            paths: words(&text("GIT_SUBMODULE_PATHS")),
            update_flags: words(&text("GIT_SUBMODULE_UPDATE_FLAGS")),
            force_https: self.variables.is_true("GIT_SUBMODULE_FORCE_HTTPS"),
        }
    }

    /// The payload's address, or the same repository below the runner's `clone_url`.
    fn repository_url(&self) -> String {
        let given = &self.job.git_info.repo_url;
        if self.host.config.clone_url.is_empty() {
            return given.clone();
        }
        let (Ok(given), Ok(mut base)) = (Url::parse(given), Url::parse(&self.host.config.clone_url)) else {
            return given.clone();
        };
        let path = format!("{}{}", base.path().trim_end_matches('/'), given.path());
        base.set_path(&path);
        // An address without host takes no user; then the clone goes without.
        let _ = base.set_username(given.username());
        let _ = base.set_password(given.password());
        base.into()
    }

    fn tls(&self) -> guest::Tls {
        let files = self.host.client.transport().tls_files();
        guest::Tls {
            ca_file: files.ca.clone(),
            cert_file: files.cert.clone(),
            key_file: files.key.clone(),
        }
    }

    pub(super) fn coordinator(&self) -> guest::Coordinator {
        let artifact = &self.host.config.artifact;
        guest::Coordinator {
            api: self.host.client.base().as_str().trim_end_matches('/').to_owned(),
            tls: self.tls(),
            user_agent: user_agent(),
            timeout_s: artifact.upload_timeout.map_or(0, |limit| limit.0.as_secs()),
            response_timeout_s: artifact.response_header_timeout.map_or(0, |limit| limit.0.as_secs()),
        }
    }

    /// Stage `download_artifacts`; `None`: there is nothing to fetch.
    pub(super) fn dependencies(&self) -> Option<guest::Request> {
        let there = self
            .job
            .dependencies
            .iter()
            .filter(|dependency| !dependency.artifacts_file.filename.is_empty());
        let dependencies: Vec<_> = there
            .map(|dependency| guest::Dependency {
                id: dependency.id,
                name: dependency.name.clone(),
                token: dependency.token.clone(),
                source: None,
                file: None,
            })
            .collect();
        (!dependencies.is_empty()).then(|| {
            guest::Request::DownloadArtifacts(guest::DownloadArtifacts {
                project: self.paths.project.clone(),
                coordinator: self.coordinator(),
                dependencies,
                direct: flag("FF_USE_DIRECT_DOWNLOAD", &self.host.config, self.variables),
            })
        })
    }

    /// Stage `upload_artifacts_on_*`: one request for each artifact of that result.
    pub(super) fn uploads(&self, succeeded: bool) -> Vec<guest::Request> {
        let wanted = self
            .job
            .artifacts
            .iter()
            .filter(|artifact| applies(artifact.when, succeeded));
        wanted.map(|artifact| self.upload(artifact)).collect()
    }

    fn upload(&self, artifact: &ArtifactSpec) -> guest::Request {
        let expand = |text: &String| self.variables.expand(text);
        guest::Request::UploadArtifacts(Box::new(guest::UploadArtifacts {
            project: self.paths.project.clone(),
            coordinator: self.coordinator(),
            task_id: self.job.id,
            token: self.job.token.clone(),
            selection: guest::Selection {
                paths: artifact.paths.iter().map(expand).collect(),
                exclude: artifact.exclude.iter().map(expand).collect(),
                untracked: artifact.untracked,
            },
            name: expand(&artifact.name),
            format: match artifact.artifact_format {
                ArtifactFormat::Zip => guest::Format::Zip,
                ArtifactFormat::Gzip => guest::Format::Gzip,
                ArtifactFormat::Raw => guest::Format::Raw,
                ArtifactFormat::Tarzstd => guest::Format::TarZstd,
                ArtifactFormat::Zipzstd => guest::Format::ZipZstd,
            },
            compression: compression(&self.variables.value("ARTIFACT_COMPRESSION_LEVEL")),
            artifact_type: artifact.artifact_type.clone(),
            expire_in: expand(&artifact.expire_in),
        }))
    }

    /// Stage `restore_cache`: caches that are pulled. `Err`: the warning for one that cannot be.
    pub(super) fn restores(&self) -> Vec<Result<CacheRequest<guest::Request>, String>> {
        let pulled = self.caches().filter(|(_, cache)| self.policy(cache) != Policy::Push);
        pulled
            .map(|(index, cache)| {
                let key = self.cache_key(index, cache)?;
                let mut keys = vec![key.clone()];
                keys.extend(
                    cache
                        .fallback_keys
                        .iter()
                        .map(|key| cache_key::clean(&self.variables.expand(key))),
                );
                let global = self.variables.value("CACHE_FALLBACK_KEY");
                if cache_key::allowed_as_global_fallback(&global) {
                    keys.push(cache_key::clean(&global));
                }
                keys.retain(|key| !key.is_empty());
                let request = guest::Request::RestoreCache(guest::RestoreCache {
                    project: self.paths.project.clone(),
                    entries: keys.iter().map(|key| self.cache_entry(key, Direction::Read)).collect(),
                    timeout_s: self.cache_timeout(),
                });
                Ok(CacheRequest { request, key })
            })
            .collect()
    }

    /// Stage `archive_cache*`: caches that are pushed after that result.
    pub(super) fn saves(&self, succeeded: bool) -> Vec<Result<CacheRequest<guest::Request>, String>> {
        let pushed = self
            .caches()
            .filter(|(_, cache)| self.policy(cache) != Policy::Pull && applies(cache.when, succeeded));
        pushed
            .map(|(index, cache)| {
                let key = self.cache_key(index, cache)?;
                let request = guest::Request::SaveCache(guest::SaveCache {
                    project: self.paths.project.clone(),
                    entry: self.cache_entry(&key, Direction::Write),
                    selection: guest::Selection {
                        paths: cache.paths.iter().map(|path| self.variables.expand(path)).collect(),
                        exclude: Vec::new(),
                        untracked: cache.untracked,
                    },
                    format: match self.variables.value("CACHE_COMPRESSION_FORMAT").as_str() {
                        "tarzstd" => guest::Format::TarZstd,
                        "zipzstd" => guest::Format::ZipZstd,
                        _ => guest::Format::Zip,
                    },
                    compression: compression(&self.variables.value("CACHE_COMPRESSION_LEVEL")),
                    max_bytes: self.host.config.cache.max_uploaded_archive_size,
                    timeout_s: self.cache_timeout(),
                });
                Ok(CacheRequest { request, key })
            })
            .collect()
    }

    /// Caches that hold something.
    fn caches(&self) -> impl Iterator<Item = (usize, &Cache)> {
        let filled = |cache: &&Cache| cache.untracked || !cache.paths.is_empty();
        self.job.cache.iter().filter(filled).enumerate()
    }

    fn policy(&self, cache: &Cache) -> Policy {
        match self.variables.expand(&cache.policy).as_str() {
            "pull" => Policy::Pull,
            "push" => Policy::Push,
            _ => Policy::PullPush,
        }
    }

    fn cache_key(&self, index: usize, cache: &Cache) -> Result<String, String> {
        let given = self.variables.expand(&cache.key);
        let given = if cache.key.is_empty() {
            let plain = format!("{}/{}", self.job.job_info.name, self.job.git_info.git_ref);
            if index == 0 { plain } else { format!("{plain}-{index}") }
        } else {
            given
        };
        let clean = cache_key::clean(&given);
        if clean.is_empty() {
            return Err(format!(
                "the cache key {:?} is empty after expansion: this cache is skipped",
                cache.key
            ));
        }
        Ok(clean)
    }

    fn cache_entry(&self, key: &str, direction: Direction) -> guest::CacheEntry {
        let name = if flag("FF_HASH_CACHE_KEYS", &self.host.config, self.variables) {
            cache_key::hashed(key)
        } else {
            key.to_owned()
        };
        let file = self.paths.cache.join(slug(self.job)).join(&name).join("cache.zip");
        let signed = self.signed(key, &name, direction).or_else(|| self.own_store(&name));
        let (url, headers) = signed.map_or((None, Vec::new()), |signed| (Some(signed.url), signed.headers));
        guest::CacheEntry {
            key: key.to_owned(),
            file,
            url,
            headers,
        }
    }

    /// In the store of `[runners.cache]`. One that cannot be used is warned of at the stage's beginning.
    fn signed(&self, key: &str, name: &str, direction: Direction) -> Option<Signed> {
        let config = &self.host.config.cache;
        let store = CacheStore::of(config, &self.host.keyring).ok().flatten()?;
        let object = object_name(
            config,
            self.host.config.short_token(),
            self.job.job_info.project_id,
            name,
        );
        let now = jiff::Timestamp::from_millisecond(self.host.clock.now_ms()).ok()?;
        let valid = self.cache_validity();
        let signed = match direction {
            Direction::Read => store.read(&object, valid, now),
            Direction::Write => store.write(&object, key, valid, now),
        };
        signed
            .inspect_err(|error| tracing::warn!(%error, "the address of a cache cannot be signed"))
            .ok()
    }

    /// On the tasuki server that the job is from.
    fn own_store(&self, name: &str) -> Option<Signed> {
        let base = self.job.tasuki.as_ref()?.cache_url.as_deref()?;
        Some(Signed {
            url: Secret::new(format!("{}/{}", base.trim_end_matches('/'), path_of(name))),
            headers: vec![(
                tasuki_proto::gitlab::headers::JOB_TOKEN.to_owned(),
                self.job.token.clone(),
            )],
        })
    }

    /// How long the address of a cache is good for.
    pub(super) fn cache_validity(&self) -> Duration {
        Duration::from_secs(self.cache_timeout().max(60))
    }

    /// `CACHE_REQUEST_TIMEOUT` is in minutes.
    fn cache_timeout(&self) -> u64 {
        let minutes: u64 = self
            .variables
            .value("CACHE_REQUEST_TIMEOUT")
            .trim()
            .parse()
            .unwrap_or(10);
        minutes.saturating_mul(60)
    }
}

#[derive(Clone, Copy)]
enum Direction {
    Read,
    Write,
}

#[derive(PartialEq, Eq)]
enum Policy {
    PullPush,
    Pull,
    Push,
}

/// `GIT_STRATEGY`: as set, else by the project's setting.
pub(super) fn strategy(job: &JobResponse, variables: &Variables) -> (guest::Strategy, Option<String>) {
    let default = if job.allow_git_fetch {
        guest::Strategy::Fetch
    } else {
        guest::Strategy::Clone
    };
    match variables.value("GIT_STRATEGY").as_str() {
        "" => (default, None),
        "fetch" => (guest::Strategy::Fetch, None),
        "clone" => (guest::Strategy::Clone, None),
        "none" => (guest::Strategy::None, None),
        "empty" => (guest::Strategy::Empty, None),
        other => (
            default,
            Some(format!(
                "GIT_STRATEGY: {other:?} is none of fetch, clone, none, empty; it is ignored"
            )),
        ),
    }
}

/// `group/project`: the path of the repository's address without `.git`.
pub(super) fn slug(job: &JobResponse) -> String {
    let fallback = || format!("project-{}", job.job_info.project_id);
    let from_url = || {
        let url = Url::parse(&job.git_info.repo_url).ok()?;
        let path = url.path().trim_matches('/');
        Some(path.strip_suffix(".git").unwrap_or(path).to_owned())
    };
    // A tasuki server serves its mirrors below another path than the project's.
    let given = if job.tasuki.is_some() && !job.job_info.project_full_path.is_empty() {
        Some(job.job_info.project_full_path.clone())
    } else {
        from_url()
    };
    match given {
        Some(slug) if !slug.is_empty() && !slug.split('/').any(|part| part == "..") => slug,
        _ => fallback(),
    }
}

fn applies(when: When, succeeded: bool) -> bool {
    match when {
        When::Always => true,
        When::OnSuccess => succeeded,
        When::OnFailure => !succeeded,
    }
}

fn compression(level: &str) -> guest::Compression {
    match level {
        "fastest" => guest::Compression::Fastest,
        "fast" => guest::Compression::Fast,
        "slow" => guest::Compression::Slow,
        "slowest" => guest::Compression::Slowest,
        _ => guest::Compression::Default,
    }
}

/// Flags of a variable: its words, the default's where it is not set, nothing for `none`.
fn flags(given: &str, default: &str) -> Option<Vec<String>> {
    match given.trim() {
        "" => Some(words(default)),
        "none" => None,
        set => Some(words(set)),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

/// A key as path of an address.
fn path_of(name: &str) -> String {
    let segment = |part: &str| {
        url::form_urlencoded::byte_serialize(part.as_bytes())
            .collect::<String>()
            .replace('+', "%20")
    };
    name.split('/').map(segment).collect::<Vec<_>>().join("/")
}

fn user_agent() -> String {
    format!(
        "tasuki/{} {}/{}",
        env!("CARGO_PKG_VERSION"),
        std::env::consts::OS,
        super::host::go_architecture()
    )
}
