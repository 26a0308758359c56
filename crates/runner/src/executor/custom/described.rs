//! What `config_exec` says of the place.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::settings::Settings;
use crate::executor::shell::folders::{beside, clean_slug, clone_path, safe_name};
use crate::executor::{Error, Paths, Result, ShellKind, Task};

/// The JSON object that `config_exec` prints. All of it is optional; keys that are not known are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct Described {
    pub(super) driver: DriverInfo,
    /// Shown in the job's log.
    pub(super) hostname: Option<String>,
    pub(super) builds_dir: Option<String>,
    pub(super) cache_dir: Option<String>,
    /// Other jobs see the same `builds_dir`.
    pub(super) builds_dir_is_shared: Option<bool>,
    /// Further environment of the driver's programs.
    pub(super) job_env: Option<BTreeMap<String, String>>,
    pub(super) shell: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub(super) struct DriverInfo {
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
}

impl Described {
    /// # Errors
    /// The text is neither empty nor such an object.
    pub(super) fn parse(text: &[u8]) -> Result<Self> {
        if text.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let object = serde_json::from_slice::<serde_json::Map<_, _>>(text);
        let read = object.and_then(|object| serde_json::from_value(object.into()));
        read.map_err(|error| {
            Error::configuration(
                format!("config_exec prints what is no configuration: {error}"),
                "let its standard output be one JSON object, or nothing; what people should read belongs to standard error",
            )
        })
    }

    /// The line of the log that names the driver.
    pub(super) fn greeting(&self) -> String {
        let words = [&self.driver.name, &self.driver.version];
        let words: Vec<&str> = words
            .into_iter()
            .flatten()
            .map(String::as_str)
            .filter(|word| !word.is_empty())
            .collect();
        if words.is_empty() {
            "Using Custom executor...\n".to_owned()
        } else {
            format!("Using Custom executor with driver {}...\n", words.join(" "))
        }
    }

    /// The shell in place of the runner's own.
    ///
    /// # Errors
    /// One that scripts are not written for.
    pub(super) fn shell(&self) -> Result<Option<ShellKind>> {
        match self.shell.as_deref() {
            None | Some("") => Ok(None),
            Some("bash") => Ok(Some(ShellKind::Bash)),
            Some("sh") => Ok(Some(ShellKind::Sh)),
            Some(other) => Err(Error::configuration(
                format!("config_exec says shell = {other:?}"),
                "this version writes scripts for \"bash\" and \"sh\"",
            )),
        }
    }

    /// Where things are in the place.
    ///
    /// # Errors
    /// A folder that nobody names, or a relative one.
    pub(super) fn paths(&self, settings: &Settings, task: &Task) -> Result<Paths> {
        let builds = folder("builds_dir", self.builds_dir.as_deref(), &settings.builds_dir)?;
        let cache = folder("cache_dir", self.cache_dir.as_deref(), &settings.cache_dir)?;
        let suffix = task.folder_suffix.as_deref().unwrap_or_default();
        let by_id = format!("project-{}", task.project_id);
        let slug = clean_slug(&task.project_slug, suffix).unwrap_or_else(|| by_id.into());
        let project = match clone_path(&builds, task)? {
            Some(named) => named,
            None if self.builds_dir_is_shared.unwrap_or(false) => builds
                .join(safe_name(&task.runner_short_token))
                .join(task.concurrent_project_id.to_string())
                .join(slug),
            None => builds.join(slug),
        };
        let temp = beside(&project);
        let home = self.job_env.as_ref().and_then(|env| env.get("HOME"));
        Ok(Paths {
            home: home.map_or_else(|| temp.join("home"), Into::into),
            builds,
            project,
            temp,
            cache,
        })
    }
}

fn folder(key: &str, described: Option<&str>, configured: &str) -> Result<std::path::PathBuf> {
    let given = described.filter(|folder| !folder.is_empty()).unwrap_or(configured);
    let remedy = "name an absolute folder inside the driver's place, in the runner's section or by config_exec";
    match given {
        "" => Err(Error::configuration(format!("there is no {key}"), remedy)),
        absolute if absolute.starts_with('/') => Ok(absolute.into()),
        relative => Err(Error::configuration(format!("{key} {relative:?} is relative"), remedy)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_is_read() {
        let text = br#"{"driver": {"name": "lxd", "version": "v1"}, "builds_dir": "/b", "cache_dir": "/c",
            "builds_dir_is_shared": true, "hostname": "h", "job_env": {"K": "v"}, "shell": "sh", "later": 1}"#;
        let read = Described::parse(text).expect("is whole");
        assert_eq!(read.greeting(), "Using Custom executor with driver lxd v1...\n");
        assert_eq!(read.shell().expect("is known"), Some(ShellKind::Sh));
        assert_eq!(
            read.job_env.as_ref().and_then(|env| env.get("K")),
            Some(&"v".to_owned())
        );
        for nothing in ["", " \n"] {
            assert_eq!(
                Described::parse(nothing.as_bytes()).expect("is nothing"),
                Described::default()
            );
        }
        assert_eq!(Described::default().greeting(), "Using Custom executor...\n");
        for wrong in ["no JSON", "[]", r#"{"builds_dir": 5}"#, "{}\ntrailing"] {
            let error = Described::parse(wrong.as_bytes()).expect_err(wrong);
            assert!(error.to_string().contains("config_exec prints"), "{error}");
        }
        let pwsh = Described {
            shell: Some("pwsh".to_owned()),
            ..Described::default()
        };
        pwsh.shell().expect_err("no scripts for it");
    }
}
