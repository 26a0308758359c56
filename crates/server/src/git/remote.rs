//! Where a mirror fetches from, and with what credential.

use std::ffi::OsString;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use tasuki_model::secret::Secret;

use super::{Error, Git};

/// A repository to fetch from: an absolute path, an `https`, `http` or `ssh` URL, or `user@host:path`.
#[derive(Debug, Clone)]
pub struct Remote {
    address: String,
    credential: Credential,
}

/// What opens a remote repository.
#[derive(Debug, Clone, Default)]
pub enum Credential {
    #[default]
    None,
    /// A private key in OpenSSH's text form (a deploy key).
    SshKey(Secret),
    /// User name and token for `https`.
    Token { user: String, token: Secret },
}

impl Remote {
    /// Checks the address: only forms that cannot run a program or hold a password are accepted.
    ///
    /// # Errors
    /// The address is of another form; the reason says which.
    pub fn new(address: &str, credential: Credential) -> Result<Self, Error> {
        let refuse = |reason| {
            Err(Error::Address {
                address: without_password(address),
                reason,
            })
        };
        if address.is_empty() || address.starts_with('-') || address.chars().any(char::is_control) {
            return refuse("it is empty, starts with '-' or holds control characters");
        }
        if address.starts_with('/') {
            return Ok(Self {
                address: address.to_owned(),
                credential: Credential::None,
            });
        }
        if let Some((scheme, rest)) = address.split_once("://") {
            if !matches!(scheme, "https" | "http" | "ssh") {
                return refuse("only https, http and ssh URLs, user@host:path and absolute paths are fetched from");
            }
            let authority = rest.split('/').next().unwrap_or_default();
            let (user, host) = authority.rsplit_once('@').unwrap_or(("", authority));
            if host.is_empty() || host.starts_with('-') || user.starts_with('-') {
                return refuse("it has no host");
            }
            if user.contains(':') || (scheme != "ssh" && !user.is_empty()) {
                return refuse("take the credential out of the URL and give it with --token-file");
            }
            return Ok(Self {
                address: address.to_owned(),
                credential,
            });
        }
        match address.split_once(':') {
            Some((host, path)) if !host.contains('/') && !path.is_empty() && !path.starts_with(':') => Ok(Self {
                address: address.to_owned(),
                credential,
            }),
            _ => refuse("it is neither a URL, nor user@host:path, nor an absolute path"),
        }
    }

    /// The address as given; it holds no secret.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The environment that hands the credential to git, and a guard that keeps the key's file as long as it is needed.
    pub(super) fn access(&self, git: &Git) -> Result<Access, Error> {
        let mut env: Vec<(&'static str, OsString)> = Vec::new();
        let mut key = None;
        match &self.credential {
            Credential::None => {}
            Credential::SshKey(secret) => {
                let file = key_file(git.home(), secret)?;
                env.push(("GIT_SSH_COMMAND", ssh_command(git.home(), Some(file.path())).into()));
                env.push(("GIT_SSH_VARIANT", "ssh".into()));
                key = Some(file);
            }
            Credential::Token { user, token } => {
                // The helper is a shell function of git's own: the values stay in the environment of our processes.
                let helper = "!f() { test \"$1\" = get && printf 'username=%s\\npassword=%s\\n' \
                              \"$TASUKI_GIT_USER\" \"$TASUKI_GIT_TOKEN\"; }; f";
                env.extend([
                    ("GIT_CONFIG_COUNT", "1".into()),
                    ("GIT_CONFIG_KEY_0", "credential.helper".into()),
                    ("GIT_CONFIG_VALUE_0", helper.into()),
                    ("TASUKI_GIT_USER", user.into()),
                    ("TASUKI_GIT_TOKEN", token.expose().into()),
                ]);
            }
        }
        if key.is_none() {
            env.push(("GIT_SSH_COMMAND", ssh_command(git.home(), None).into()));
        }
        Ok(Access { env, _key: key })
    }
}

/// What a call needs to use a remote.
pub(super) struct Access {
    pub(super) env: Vec<(&'static str, OsString)>,
    _key: Option<KeyFile>,
}

/// A private key on disk (0600) for as long as one call lasts.
struct KeyFile(tempfile::TempPath);

impl KeyFile {
    fn path(&self) -> &Path {
        &self.0
    }
}

fn key_file(home: &Path, secret: &Secret) -> Result<KeyFile, Error> {
    let failed = || Error::file("write", home);
    let mut options = std::fs::OpenOptions::new();
    options.mode(0o600);
    let mut file = tempfile::Builder::new()
        .prefix("key-")
        .tempfile_in(home)
        .map_err(failed())?;
    // OpenSSH refuses a key without a line feed at its end.
    let text = format!("{}\n", secret.expose().trim_end());
    file.write_all(text.as_bytes()).map_err(failed())?;
    Ok(KeyFile(file.into_temp_path()))
}

/// A host seen for the first time is remembered; a changed host key is refused.
fn ssh_command(home: &Path, key: Option<&Path>) -> String {
    let known = quoted(&home.join("known_hosts"));
    let key = key
        .map(|key| format!(" -i {} -o IdentitiesOnly=yes", quoted(key)))
        .unwrap_or_default();
    format!(
        "ssh -F /dev/null -o BatchMode=yes -o ConnectTimeout=20 -o StrictHostKeyChecking=accept-new \
         -o UserKnownHostsFile={known}{key}"
    )
}

/// For the shell that git hands `GIT_SSH_COMMAND` to.
fn quoted(path: &Path) -> String {
    format!("'{}'", PathBuf::from(path).display().to_string().replace('\'', "'\\''"))
}

fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_harmless_addresses_are_accepted() {
        for good in [
            "/srv/git/a b.git",
            "https://example.org/a/b.git",
            "http://127.0.0.1:3000/a/b",
            "ssh://git@example.org:2222/a.git",
            "git@example.org:a/b.git",
            "example.org:a.git",
        ] {
            assert!(Remote::new(good, Credential::None).is_ok(), "{good}");
        }
        for bad in [
            "",
            "-oProxyCommand=x",
            "ext::sh -c id",
            "ext::sh",
            "file:///etc",
            "git://example.org/a",
            "https://user:word@example.org/a",
            "https://token@example.org/a",
            "ssh://-oProxyCommand=x/a",
            "https:///a",
            "relative/path",
            "./a:b",
            "https://example.org/a\nb",
            "fd::17",
        ] {
            assert!(Remote::new(bad, Credential::None).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_refusal_does_not_repeat_the_password() {
        let refused = Remote::new("https://me:hunter2@example.org/a", Credential::None).unwrap_err();
        assert!(!refused.to_string().contains("hunter2"), "{refused}");
        assert!(refused.to_string().contains("example.org"), "{refused}");
    }

    #[test]
    fn paths_survive_the_shell() {
        assert_eq!(quoted(Path::new("/a b/it's")), r"'/a b/it'\''s'");
    }
}
