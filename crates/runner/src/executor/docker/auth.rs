//! Log-ins for registries.
//!
//! The first that has one for the image's registry wins, GitLab's order: `DOCKER_AUTH_CONFIG` of the job (or of the
//! runner's `environment`, which a job's variable of that name hides), `config.json` of the runner's user, the credentials
//! of the job's payload. Inside a source a credential helper goes before the store before `auths`; of several entries for
//! one host the one with the longest path that the image lies below.

use std::collections::BTreeMap;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE};
use serde::Deserialize;
use serde_json::{Value, json};
use tasuki_model::secret::Secret;

use crate::executor::reference::Reference;
use crate::executor::{RegistryLogin, Stop, Task};
use crate::process::{Binary, Collected, Exit, Limits, Nets, Running, Spec, Stdin, Stream};
use tasuki_rt::Tasks;

/// How long a credential helper may take.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// A `config.json`. Nothing of it is ever printed.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct AuthFile {
    auths: BTreeMap<String, Entry>,
    creds_store: String,
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
}

/// A log-in that was found, ready for the engine.
pub(super) struct Found {
    /// Value of the `X-Registry-Auth` header.
    pub(super) header: Secret,
    /// Where it comes from, for the log.
    pub(super) source: &'static str,
}

/// What helpers are started with.
pub(super) struct Helpers<'a> {
    pub(super) binary: &'a Binary,
    pub(super) path: &'a str,
    pub(super) home: Option<&'a str>,
}

/// Finds the log-in for an image. What cannot be read is told in `warn`.
pub(super) async fn find(
    image: &Reference<'_>,
    task: &Task,
    config_dir: Option<&Path>,
    helpers: &Helpers<'_>,
    warn: &mut Vec<String>,
) -> Option<Found> {
    if let Some(text) = task
        .variable("DOCKER_AUTH_CONFIG")
        .filter(|text| !text.trim().is_empty())
    {
        match serde_json::from_str::<AuthFile>(text) {
            Ok(file) => {
                if let Some(header) = file.login(image, helpers, warn).await {
                    let source = "DOCKER_AUTH_CONFIG";
                    return Some(Found { header, source });
                }
            }
            // The error's text could quote a password.
            Err(error) => warn.push(format!(
                "DOCKER_AUTH_CONFIG is not a Docker configuration (line {}, column {}); it is ignored",
                error.line(),
                error.column()
            )),
        }
    }
    let file = config_dir.map(|folder| folder.join("config.json"));
    if let Some(text) = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok()) {
        match serde_json::from_str::<AuthFile>(&text) {
            Ok(file) => {
                if let Some(header) = file.login(image, helpers, warn).await {
                    let source = "the runner's config.json";
                    return Some(Found { header, source });
                }
            }
            Err(error) => warn.push(format!(
                "the runner's config.json cannot be read (line {}, column {}); it is ignored",
                error.line(),
                error.column()
            )),
        }
    }
    of_payload(image, &task.registry_logins)
}

fn of_payload(image: &Reference<'_>, logins: &[RegistryLogin]) -> Option<Found> {
    let login = best(image, logins.iter().map(|login| (login.registry.as_str(), login)))?;
    let header = encode(&json!({
        "username": login.user,
        "password": login.password.expose(),
        "serveraddress": login.registry,
    }));
    let source = "the job's credentials";
    Some(Found { header, source })
}

impl AuthFile {
    async fn login(&self, image: &Reference<'_>, helpers: &Helpers<'_>, warn: &mut Vec<String>) -> Option<Secret> {
        let helper = best(image, self.cred_helpers.iter().map(|(key, name)| (key.as_str(), name)));
        let stored = Some(&self.creds_store).filter(|name| !name.is_empty());
        for name in helper.into_iter().chain(stored) {
            match ask(name, &server_address(image), helpers).await {
                Ok(Some(header)) => return Some(header),
                Ok(None) => {}
                Err(message) => warn.push(message),
            }
        }
        let entry = best(image, self.auths.iter().map(|(key, entry)| (key.as_str(), entry)))?;
        entry.header(&server_address(image))
    }
}

impl Entry {
    fn header(&self, server: &str) -> Option<Secret> {
        if !self.identitytoken.is_empty() {
            return Some(encode(
                &json!({"identitytoken": self.identitytoken, "serveraddress": server}),
            ));
        }
        let decoded = BASE64_STANDARD
            .decode(self.auth.trim())
            .ok()
            .and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = match &decoded {
            Some(text) if !self.auth.is_empty() => text.trim_end_matches('\0').split_once(':')?,
            _ => (self.username.as_str(), self.password.as_str()),
        };
        (!user.is_empty()).then(|| encode(&json!({"username": user, "password": password, "serveraddress": server})))
    }
}

/// The entry for the image's registry with the longest path that it lies below.
fn best<'a, T>(image: &Reference<'_>, entries: impl Iterator<Item = (&'a str, T)>) -> Option<T> {
    entries
        .filter_map(|(key, value)| {
            let (host, path) = host_and_path(key);
            let below = path.is_empty() || image.path == path || image.path.starts_with(&format!("{path}/"));
            (host == image.host() && below).then_some((path.len(), value))
        })
        .max_by_key(|(length, _)| *length)
        .map(|(_, value)| value)
}

/// `https://index.docker.io/v1/` and `registry.example.com:5000/group` as host and path.
fn host_and_path(key: &str) -> (&str, &str) {
    let bare = key
        .trim_start_matches("https://")
        .trim_start_matches("http://")
        .trim_end_matches('/');
    let (host, path) = bare.split_once('/').unwrap_or((bare, ""));
    let host = match host {
        "index.docker.io" | "registry-1.docker.io" => "docker.io",
        other => other,
    };
    // Versions of the API, as `docker login` writes them.
    (host, if matches!(path, "v1" | "v2") { "" } else { path })
}

fn server_address(image: &Reference<'_>) -> String {
    match image.host() {
        "docker.io" => "https://index.docker.io/v1/".to_owned(),
        host => host.to_owned(),
    }
}

fn encode(login: &Value) -> Secret {
    Secret::new(BASE64_URL_SAFE.encode(login.to_string()))
}

/// Asks `docker-credential-NAME` for a log-in. The registry goes through its standard input.
async fn ask(name: &str, server: &str, helpers: &Helpers<'_>) -> Result<Option<Secret>, String> {
    #[derive(Deserialize)]
    #[serde(rename_all = "PascalCase")]
    struct Answer {
        username: String,
        secret: String,
    }
    let clean = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
    if !clean {
        return Err(format!(
            "the credential helper {name:?} is not called: that is no name of one"
        ));
    }
    let program = format!("docker-credential-{name}");
    let mut env = vec![("PATH".to_owned(), helpers.path.to_owned())];
    env.extend(helpers.home.map(|home| ("HOME".to_owned(), home.to_owned())));
    let spec = Spec {
        argv: vec![program.clone(), "get".to_owned()],
        env,
        cwd: "/".into(),
        stdin: Stdin::Text(server.to_owned()),
        user: None,
    };
    let limits = Limits {
        timeout: Some(PATIENCE),
        grace: std::time::Duration::from_secs(1),
        patience: Limits::PATIENCE,
        stop: Stop::new(),
    };
    let output = Collected::default();
    let ran = async {
        Running::start(helpers.binary, &Nets::default(), spec)
            .await?
            .finish(&limits, &output, &Tasks::new())
            .await
    };
    let finished = ran
        .await
        .map_err(|error| format!("{program}: {}", crate::trace::chain(&error)))?;
    match finished.exit {
        Exit::Code(0) => {}
        // It has none for this registry.
        Exit::Code(_) => return Ok(None),
        other => return Err(format!("{program} did not end by itself ({other:?})")),
    }
    let answer: Answer = serde_json::from_slice(&output.of(Stream::Stdout))
        .map_err(|_| format!("{program} answers with what is no log-in"))?;
    Ok(Some(if answer.username == "<token>" {
        encode(&json!({"identitytoken": answer.secret, "serveraddress": server}))
    } else {
        encode(&json!({"username": answer.username, "password": answer.secret, "serveraddress": server}))
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn user(header: &Secret) -> String {
        let json = BASE64_URL_SAFE.decode(header.expose()).expect("is base64");
        let value: Value = serde_json::from_slice(&json).expect("is JSON");
        value["username"].as_str().unwrap_or("?").to_owned()
    }

    #[tokio::test]
    async fn the_longest_path_wins() {
        let text = json!({"auths": {
            "https://index.docker.io/v1/": {"auth": BASE64_STANDARD.encode("hub:x")},
            "r.test:5000": {"auth": BASE64_STANDARD.encode("whole:x:y")},
            "r.test:5000/group": {"username": "group", "password": "x"},
            "https://r.test:5000/group/project": {"username": "project", "password": "x"},
            "empty.test": {},
        }});
        let file: AuthFile = serde_json::from_value(text).expect("is read");
        let binary = Binary::current();
        let helpers = Helpers {
            binary: &binary,
            path: "",
            home: None,
        };
        for (image, wanted) in [
            ("ruby:3", Some("hub")),
            ("r.test:5000/a", Some("whole")),
            ("r.test:5000/group/a", Some("group")),
            ("r.test:5000/groupies/a", Some("whole")),
            ("r.test:5000/group/project:1", Some("project")),
            ("r.test/a", None),
            ("empty.test/a", None),
        ] {
            let login = file.login(&Reference::parse(image), &helpers, &mut Vec::new()).await;
            assert_eq!(login.as_ref().map(user).as_deref(), wanted, "{image}");
        }
    }

    #[tokio::test]
    async fn helpers_have_names_only() {
        let binary = Binary::current();
        let helpers = Helpers {
            binary: &binary,
            path: "",
            home: None,
        };
        for name in ["../../bin/sh", "a b", "x;y", ""] {
            assert!(ask(name, "r.test", &helpers).await.is_err(), "{name}");
        }
    }
}
