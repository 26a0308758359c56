//! Settings of the server, as read from its configuration file and the command line.
//!
//! Every field has a default that works for one machine without any set-up. The doc comments are the text of
//! the configuration reference, which is generated from the schema.

mod limits;
mod project;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tasuki_model::secret::Secret;
use tasuki_model::time::Timestamp;

pub use limits::{Limits, Retention};
pub use project::ProjectSettings;

/// Settings of a server process. Since 0.1.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Address and port to listen on; port 0 takes a free one. Since 0.1.
    pub listen: SocketAddr,
    /// Folder for the database, blobs, mirrors and keys; made if it is absent. Since 0.1.
    pub data_dir: PathBuf,
    /// `postgres://…` for several servers; absent = an SQLite file in `data_dir`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub database_url: Option<String>,
    /// `s3://bucket/prefix?endpoint=…&region=…` for artifacts, caches and old logs; absent = a folder in `data_dir`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob_url: Option<String>,
    /// Credentials for `blob_url`. Given by the environment (`AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`), never by the
    /// file. Since 0.1.
    #[serde(skip)]
    pub blob_credentials: Option<BlobCredentials>,
    /// How runners, browsers and forges reach this server, e.g. `https://ci.example.org`; absent = from `listen`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub external_url: Option<String>,
    /// Lets `include: remote` lead to addresses that are not public. Since 0.1.
    pub include_private_addresses: bool,
    /// Folder of CircleCI orbs, `namespace/name/version.yml`; absent = `TASUKI_CIRCLECI_ORBS`, or none. Since 0.2.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circleci_orbs: Option<PathBuf>,
    /// Token that registers runners through `POST /api/v4/runners`; absent = only tokens made with `runner create`. Since 0.1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registration_token: Option<String>,
    /// Seconds that a runner's token lives; gitlab-runner and our own take a new one at 75 % of it. 0 = for ever.
    /// Since 0.1.
    pub runner_token_lifetime_s: u64,
    /// Seconds for which a request for a job is held while there is none; 0 answers at once. Since 0.1.
    pub long_poll_s: u64,
    /// Seconds that `job shell` waits for the job's runner, which looks every 3 seconds; 0 = no terminals in jobs. Since 0.2.
    pub terminal_wait_s: u64,
    /// Seconds after which a log-in of the web UI ends. Since 0.1.
    pub session_lifetime_s: u64,
    /// Seconds that a shutdown waits for requests under way. Since 0.1.
    pub shutdown_grace_s: u64,
    /// Seconds without a sign of life after which one of our own runners counts as dead. Since 0.1.
    pub lease_s: u64,
    /// The same for a stock gitlab-runner, which may be silent for 30 seconds by design. Since 0.1.
    pub foreign_lease_s: u64,
    /// What is kept, and for how long. Since 0.1.
    pub retention: Retention,
    /// Sizes and rates that one caller may use. Since 0.1.
    pub limits: Limits,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8700)),
            data_dir: PathBuf::from("tasuki-data"),
            database_url: None,
            blob_url: None,
            blob_credentials: None,
            external_url: None,
            include_private_addresses: false,
            circleci_orbs: None,
            registration_token: None,
            runner_token_lifetime_s: 0,
            long_poll_s: 50,
            terminal_wait_s: 30,
            session_lifetime_s: 12 * 3600,
            shutdown_grace_s: 10,
            lease_s: 10,
            foreign_lease_s: 120,
            retention: Retention::default(),
            limits: Limits::default(),
        }
    }
}

/// Access to an S3-compatible store.
#[derive(Debug, Clone)]
pub struct BlobCredentials {
    pub key_id: String,
    pub secret_key: Secret,
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{key}: {problem}; {hint}")]
    Invalid {
        key: &'static str,
        problem: String,
        hint: &'static str,
    },
}

impl Config {
    /// Defaults with another data folder and a free port on the loopback address: for `up`, `exec` and tests.
    #[must_use]
    pub fn in_dir(data_dir: impl Into<PathBuf>) -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            data_dir: data_dir.into(),
            ..Self::default()
        }
    }

    /// Checks what the types cannot. Names the key and the remedy.
    pub fn check(&self) -> Result<(), Error> {
        if let Some(url) = &self.external_url {
            let parsed = url::Url::parse(url).map_err(|e| Error::Invalid {
                key: "external_url",
                problem: e.to_string(),
                hint: "write it with its scheme, like https://ci.example.org",
            })?;
            if !matches!(parsed.scheme(), "http" | "https") || parsed.host_str().is_none() {
                return Err(Error::Invalid {
                    key: "external_url",
                    problem: format!("{url:?} is not a web address"),
                    hint: "only http and https with a host are possible",
                });
            }
        }
        if self.long_poll_s > 600 {
            return Err(Error::Invalid {
                key: "long_poll_s",
                problem: format!("{} is more than 600", self.long_poll_s),
                hint: "runners give up waiting for an answer after ten minutes",
            });
        }
        if self.lease_s < 4 || self.foreign_lease_s < 60 {
            return Err(Error::Invalid {
                key: "lease_s",
                problem: "a lease is shorter than the pause between two signs of life".into(),
                hint: "use at least 4 for our own runners and 60 for a stock gitlab-runner",
            });
        }
        let pause = u64::from(self.limits.log_interval_s);
        if !(1..=60).contains(&pause) || self.foreign_lease_s < 2 * pause {
            return Err(Error::Invalid {
                key: "limits.log_interval_s",
                problem: format!("{pause} seconds with a lease of {} seconds", self.foreign_lease_s),
                hint: "use 1 to 60, and not more than half of foreign_lease_s: a runner may miss one contact",
            });
        }
        Ok(())
    }

    /// How long a request for a job is held.
    #[must_use]
    pub fn long_poll(&self) -> Duration {
        Duration::from_secs(self.long_poll_s)
    }

    /// When the token of a runner that is made or reset now ends; `None` = never.
    #[must_use]
    pub fn runner_token_expiry(&self, now: Timestamp) -> Option<Timestamp> {
        let lifetime = Duration::from_secs(self.runner_token_lifetime_s);
        (!lifetime.is_zero()).then(|| now.after(lifetime))
    }

    /// The file with the administrator's token, readable only by the owner of the data folder.
    #[must_use]
    pub fn admin_token_file(&self) -> PathBuf {
        self.data_dir.join("admin.token")
    }

    /// A folder inside the data folder.
    #[must_use]
    pub fn dir(&self, name: impl AsRef<Path>) -> PathBuf {
        self.data_dir.join(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_types_cannot_say_is_checked() {
        let check = |change: fn(&mut Config), expected: Option<&str>| {
            let mut config = Config::default();
            change(&mut config);
            let found = config.check().err().map(|Error::Invalid { key, .. }| key);
            assert_eq!(found, expected);
        };
        check(|_| {}, None);
        check(|c| c.external_url = Some("https://ci.example.org/".into()), None);
        check(|c| c.external_url = Some("ci.example.org".into()), Some("external_url"));
        check(
            |c| c.external_url = Some("ftp://ci.example.org".into()),
            Some("external_url"),
        );
        check(|c| c.long_poll_s = 601, Some("long_poll_s"));
        check(|c| c.lease_s = 1, Some("lease_s"));
        check(|c| c.foreign_lease_s = 30, Some("lease_s"));
        check(|c| c.limits.log_interval_s = 60, None);
        check(|c| c.limits.log_interval_s = 0, Some("limits.log_interval_s"));
        check(|c| c.limits.log_interval_s = 61, Some("limits.log_interval_s"));
        let tight = |c: &mut Config| (c.limits.log_interval_s, c.foreign_lease_s) = (40, 79);
        check(tight, Some("limits.log_interval_s"));
    }
}
