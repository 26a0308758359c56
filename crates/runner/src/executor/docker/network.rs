//! The network that a job's containers meet in.

use serde_json::{Value, json};

use super::engine::{self, Engine};
use super::names::{Names, Role};
use crate::config::DockerConfig;
use crate::executor::{Error, Result};

/// A network of the job's own, or what `network_mode` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Network {
    mode: String,
    kind: Kind,
    /// The container whose interfaces the job's and its services' are, where they are at `localhost` of one another.
    together: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Made for this job: names work.
    Own,
    /// Somebody's: names work.
    Named,
    /// The engine's default bridge: only links work.
    Bridge,
    /// No network of containers at all.
    Other,
}

/// Whether containers have interfaces of their own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    Apart,
    Together,
}

impl Network {
    pub(super) fn plan(config: &DockerConfig, names: &Names, way: Way) -> Self {
        let mode = config.network_mode.as_str();
        let kind = match mode {
            "" => Kind::Own,
            "bridge" | "default" => Kind::Bridge,
            "host" | "none" => Kind::Other,
            _ if mode.starts_with("container:") => Kind::Other,
            _ => Kind::Named,
        };
        let mode = if kind == Kind::Own {
            format!("{}-network", names.base)
        } else {
            mode.to_owned()
        };
        // Somebody's container has its interfaces for all of them already.
        let is_new = way == Way::Together && !mode.starts_with("container:");
        let together = is_new.then(|| format!("{}-together", names.base));
        Self { mode, kind, together }
    }

    /// Its name: `NetworkMode` of containers that have interfaces of their own.
    pub(super) fn mode(&self) -> &str {
        &self.mode
    }

    /// `NetworkMode` of a container.
    pub(super) fn mode_of(&self, role: Role<'_>) -> String {
        match (&self.together, role) {
            (Some(name), Role::Build | Role::Service(_) | Role::Wait) => format!("container:{name}"),
            _ => self.mode.clone(),
        }
    }

    /// The container that has the interfaces of all.
    pub(super) fn together(&self) -> Option<&str> {
        self.together.as_deref()
    }

    /// Whether containers find one another by name.
    pub(super) fn has_names(&self) -> bool {
        matches!(self.kind, Kind::Own | Kind::Named)
    }

    /// Whether services are reached by links.
    pub(super) fn needs_links(&self) -> bool {
        self.kind == Kind::Bridge
    }

    /// Makes the job's own network.
    pub(super) async fn create(&self, engine: &Engine, names: &Names, config: &DockerConfig) -> Result<()> {
        if self.kind != Kind::Own {
            return Ok(());
        }
        let mut body = json!({
            "Name": self.mode, "Labels": names.labels(), "EnableIPv6": config.enable_ipv6, "CheckDuplicate": true,
        });
        if config.network_mtu > 0 {
            body["Options"] = json!({"com.docker.network.driver.mtu": config.network_mtu.to_string()});
        }
        let made = engine.create_network(&body).await;
        made.map_err(|error| Error::system(failed_to_make(&error), error))
            .map(drop)
    }

    /// Puts a container into it under these names.
    pub(super) fn join(&self, body: &mut Value, aliases: &[String]) {
        if self.has_names() {
            body["NetworkingConfig"] = json!({"EndpointsConfig": {(self.mode.as_str()): {"Aliases": aliases}}});
        }
    }

    /// Gives it links to other containers.
    pub(super) fn link(&self, body: &mut Value, links: &[String]) {
        if links.is_empty() {
            return;
        }
        if self.has_names() {
            body["NetworkingConfig"]["EndpointsConfig"][self.mode.as_str()]["Links"] = json!(links);
        } else {
            body["HostConfig"]["Links"] = json!(links);
        }
    }

    /// Gives it an address of its own.
    pub(super) fn address(&self, body: &mut Value, mac: &str) {
        if mac.is_empty() {
            return;
        }
        // Engines before API 1.44 read the first, later ones the second.
        body["MacAddress"] = json!(mac);
        if self.has_names() {
            body["NetworkingConfig"]["EndpointsConfig"][self.mode.as_str()]["MacAddress"] = json!(mac);
        }
    }
}

/// Engines have some dozens of ranges of addresses, one for each network.
fn failed_to_make(error: &engine::Error) -> String {
    let text = error.to_string();
    let full = ["address pool", "address spaces", "no available network"];
    let remedy = if full.iter().any(|words| text.contains(words)) {
        " (each job has one: run fewer jobs at a time, remove networks that nobody uses with `docker network prune`, give          the engine more `default-address-pools`, or set network_mode)"
    } else {
        ""
    };
    format!("make the job's network{remedy}")
}
