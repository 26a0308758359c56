//! Which volumes a job's containers have.

use std::cell::RefCell;

use tasuki_model::reason::FailureReason;

use super::names;
use crate::config::DockerConfig;
use crate::executor::{Error, Result, Task};

/// What is mounted, and what has to be made first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Volumes {
    /// `source:target[:options]`, for the build, predefined and service containers.
    pub(super) binds: Vec<String>,
    /// Volumes of this job alone.
    pub(super) own: Vec<String>,
    /// Volumes that stay for later jobs.
    pub(super) caches: Vec<String>,
    /// The builds folder lies on a mount of the configuration, and is shared with other jobs.
    pub(super) shares_builds: bool,
}

/// Decides for a task: `builds` and `cache` are folders inside.
pub(super) fn plan(
    config: &DockerConfig,
    task: &Task,
    base: &str,
    system_id: &str,
    (builds, cache): (&str, &str),
) -> Result<Volumes> {
    let mut volumes = Volumes::default();
    let mut covered = Vec::new();
    for text in &config.volumes {
        let text = expand(text, task)?;
        match parse(&text)? {
            Parsed::Bind { target } => {
                covered.push(target.to_owned());
                volumes.binds.push(text);
            }
            Parsed::Inside(target) => {
                covered.push(target.to_owned());
                volumes.inside(config, task, base, system_id, target);
            }
        }
    }
    let covers = |path: &str| covered.iter().any(|target| is_below(path, target));
    volumes.shares_builds = covers(builds);
    if !volumes.shares_builds {
        let name = format!("{base}-builds");
        volumes.binds.push(format!("{name}:{builds}"));
        volumes.own.push(name);
    }
    if !covers(cache) {
        volumes.inside(config, task, base, system_id, cache);
    }
    Ok(volumes)
}

/// Folders of the engine's machine that the configuration mounts, and whether for reading only.
pub(super) fn mounted(config: &DockerConfig, task: &Task) -> Result<Vec<(String, bool)>> {
    let mut all = Vec::new();
    for text in &config.volumes {
        let text = expand(text, task)?;
        let parts: Vec<&str> = text.split(':').collect();
        if let [source, _, options @ ..] = &parts[..]
            && source.starts_with('/')
        {
            let read_only = options.iter().any(|all| all.split(',').any(|one| one == "ro"));
            all.push(((*source).to_owned(), read_only));
        }
    }
    Ok(all)
}

impl Volumes {
    /// A folder of which only the inner side is named: a cache.
    fn inside(&mut self, config: &DockerConfig, task: &Task, base: &str, system_id: &str, target: &str) {
        let target = target.trim_end_matches('/');
        if config.disable_cache {
            let name = format!("{base}-{}", &names::hex(target.as_bytes())[..16]);
            self.binds.push(format!("{name}:{target}"));
            self.own.push(name);
            return;
        }
        let name = names::cache_volume(task, system_id, target);
        if config.cache_dir.is_empty() {
            self.binds.push(format!("{name}:{target}"));
            self.caches.push(name);
        } else {
            let folder = config.cache_dir.trim_end_matches('/');
            self.binds.push(format!("{folder}/{name}:{target}"));
        }
    }
}

/// With the job's variables in it. A job sets them: one must not lead out of the folder that the configuration puts it into,
/// nor say what is mounted where.
///
/// # Errors
/// A variable that does.
fn expand(text: &str, task: &Task) -> Result<String> {
    let wrong = RefCell::new(None);
    let expanded = crate::job::expand(text, |name| {
        let value = task.variable(name).unwrap_or_default();
        if value.contains([':', '\0', '\n']) || value.split('/').any(|part| part == "..") {
            *wrong.borrow_mut() = Some(name.to_owned());
        }
        value.to_owned()
    });
    let mut wrong = wrong.into_inner();
    // Neither may two of them, next to one another, make what none of them is alone.
    let climbs = |text: &str| text.split([':', '/']).filter(|part| *part == "..").count();
    if climbs(&expanded) > climbs(text) {
        wrong.get_or_insert_with(|| "of the job".to_owned());
    }
    match wrong {
        None => Ok(expanded),
        Some(name) => {
            let message = format!(
                "the runner's volume {text:?} cannot be mounted: the variable {name} holds a colon, a line end or \"..\", which could \
                 mount something else"
            );
            Err(Error::job(FailureReason::RunnerConfigurationError, message))
        }
    }
}

enum Parsed<'a> {
    /// `source:target[:options]`
    Bind { target: &'a str },
    /// `/target`
    Inside(&'a str),
}

fn parse(text: &str) -> Result<Parsed<'_>> {
    let parts: Vec<&str> = text.split(':').collect();
    let absolute = |path: &str| path.starts_with('/');
    match parts[..] {
        [target] if absolute(target) => Ok(Parsed::Inside(target)),
        [source, target] | [source, target, _] if !source.is_empty() && absolute(target) => Ok(Parsed::Bind { target }),
        _ => Err(Error::configuration(
            format!("volumes holds {text:?}"),
            "write \"/folder\", \"/host:/folder\" or \"/host:/folder:ro\"",
        )),
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    std::path::Path::new(path).starts_with(folder)
}

/// A task for tests.
#[cfg(test)]
pub(super) fn some_task() -> Task {
    Task {
        id: tasuki_model::id::TaskId(1),
        runner_short_token: "short".to_owned(),
        concurrent_id: 0,
        concurrent_project_id: 0,
        project_slug: "g/p".to_owned(),
        project_id: 3,
        folder_suffix: None,
        clone_path: None,
        variables: vec![("DIR".to_owned(), "/srv".to_owned())],
        public_variables: Vec::new(),
        file_variables: Vec::new(),
        payload: None,
        image: None,
        services: Vec::new(),
        meeting: tasuki_model::plan::Meeting::Names,
        registry_logins: Vec::new(),
        timeout: std::time::Duration::from_secs(3600),
        origin: crate::executor::Origin::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use super::some_task as task;

    fn check(volumes: &[&str], disable_cache: bool, cache_dir: &str, wanted: &[&str], shared: bool) {
        let config = DockerConfig {
            volumes: volumes.iter().map(|&one| one.to_owned()).collect(),
            disable_cache,
            cache_dir: cache_dir.to_owned(),
            ..DockerConfig::default()
        };
        let planned = plan(&config, &task(), "base", "s_1", ("/builds", "/cache")).expect("is planned");
        let cache = names::cache_volume(&task(), "s_1", "/cache");
        let shown: Vec<String> = planned.binds.iter().map(|bind| bind.replace(&cache, "CACHE")).collect();
        assert_eq!(shown, wanted, "{volumes:?}");
        assert_eq!(planned.shares_builds, shared, "{volumes:?}");
        let own = |name: &&String| name.starts_with("base-");
        assert_eq!(planned.own.iter().filter(own).count(), planned.own.len());
    }

    /// Covers: GM-DOCK-04
    #[test]
    fn caches_outlive_jobs_unless_disabled() {
        check(&[], false, "", &["base-builds:/builds", "CACHE:/cache"], false);
        check(&["/cache"], false, "", &["CACHE:/cache", "base-builds:/builds"], false);
        check(
            &[],
            false,
            "/srv/c/",
            &["base-builds:/builds", "/srv/c/CACHE:/cache"],
            false,
        );
        check(
            &["$DIR/x:/x:ro"],
            false,
            "",
            &["/srv/x:/x:ro", "base-builds:/builds", "CACHE:/cache"],
            false,
        );
        check(
            &["/srv:/builds", "named:/cache"],
            false,
            "",
            &["/srv:/builds", "named:/cache"],
            true,
        );
        let config = DockerConfig {
            disable_cache: true,
            ..DockerConfig::default()
        };
        let planned = plan(&config, &task(), "base", "s_1", ("/builds", "/cache")).expect("is planned");
        assert!(planned.caches.is_empty());
        assert_eq!(planned.own.len(), 2, "both go with the job");
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["", "relative", "a:b", ":/x", "/a:/b:ro:z", "$NOTHING"] {
            let config = DockerConfig {
                volumes: vec![text.to_owned()],
                ..DockerConfig::default()
            };
            plan(&config, &task(), "base", "s_1", ("/builds", "/cache")).expect_err(text);
        }
    }

    #[test]
    fn variables_of_a_job_mount_nothing_else() {
        let check = |text: &str, values: &[(&str, &str)], wanted: Option<&str>| {
            let mut task = task();
            let given = values.iter().map(|&(key, value)| (key.to_owned(), value.to_owned()));
            task.variables.extend(given);
            let config = DockerConfig {
                volumes: vec![text.to_owned()],
                ..DockerConfig::default()
            };
            let planned = plan(&config, &task, "base", "s_1", ("/builds", "/cache"));
            match (planned, wanted) {
                (Ok(planned), Some(wanted)) => assert_eq!(planned.binds[0], wanted, "{text} {values:?}"),
                (Err(error), None) => assert_eq!(error.reason(), FailureReason::RunnerConfigurationError, "{error}"),
                (other, wanted) => panic!("{text} {values:?}: {other:?}, not {wanted:?}"),
            }
        };
        check("/srv/$X:/x", &[("X", "a/b")], Some("/srv/a/b:/x"));
        check("/srv/$X:/x", &[("X", "a..b")], Some("/srv/a..b:/x"));
        check("/srv/../$X:/x", &[("X", "a")], Some("/srv/../a:/x"));
        check("/srv/$X:/x", &[("X", "../../etc")], None);
        check("/srv/$X:/x", &[("X", "a:/etc")], None);
        check("/srv/$X$Y:/x", &[("X", "."), ("Y", "./etc")], None);
        check("/srv/.$X/etc:/x", &[("X", ".")], None);
        check("/srv/$X:/x", &[("X", "a\nb")], None);
        check("$X:/x", &[("X", "/etc:/x:ro")], None);
    }

    #[test]
    fn protected_refs_have_caches_of_their_own() {
        let mut protected = task();
        protected
            .variables
            .push(("CI_COMMIT_REF_PROTECTED".to_owned(), "true".to_owned()));
        let (open, closed) = (
            names::cache_volume(&task(), "s", "/c"),
            names::cache_volume(&protected, "s", "/c"),
        );
        assert_eq!(closed, format!("{open}-protected"));
    }
}
