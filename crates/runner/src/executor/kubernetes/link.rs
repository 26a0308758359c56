//! Programs in the containers of a pod, and files put into them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::api::{AttachParams, Request};
use kube::{Api, Resource as _};
use tasuki_rt::Tasks;

use super::cluster::Cluster;
use super::fault::Fault;
use super::pod;
use super::settings::GuestStart;
use super::watch::Watcher;
use super::wire::{self, Input, Output};

/// A pod whose containers can be worked in.
#[derive(Clone)]
pub(super) struct Link {
    pub(super) cluster: Cluster,
    pub(super) namespace: String,
    pub(super) pod: String,
    pub(super) start: GuestStart,
    pub(super) watcher: Arc<Watcher>,
    pub(super) tasks: Tasks,
}

/// A program that runs in a container.
pub(super) struct Attached {
    pub(super) input: Input,
    pub(super) output: Output,
}

/// How a program's connection ended.
#[derive(Debug)]
pub(super) enum Over {
    /// The program ended by itself.
    Ended { code: i32, noise: String },
    /// The connection did; nothing is known of the program.
    Broken(String),
}

impl Link {
    pub(super) fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    /// Starts a program in a container.
    async fn exec(&self, container: &str, command: &[String]) -> Result<Attached, Fault> {
        let params = AttachParams {
            container: Some(container.to_owned()),
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false,
            ..AttachParams::default()
        };
        let start = async || {
            let pods = Request::new(Pod::url_path(&(), Some(&self.namespace)));
            let words = command.iter().map(String::as_str);
            let request = pods
                .exec(&self.pod, words, &params)
                .map_err(kube::Error::BuildRequest)?;
            self.cluster.client.connect(request).await
        };
        let (input, output) = wire::open(self.cluster.call(start).await?).await;
        Ok(Attached { input, output })
    }

    /// Starts the guest.
    pub(super) async fn guest(&self, container: &str, arguments: &[&str]) -> Result<Attached, Fault> {
        let mut command = pod::guest_command(container, self.start);
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self.exec(container, &command).await
    }
}

impl Attached {
    /// Lets it run for so long, and says how it ended. What it prints is of no interest.
    pub(super) async fn finish(mut self, limit: Duration) -> Over {
        let ended = async { while self.output.next().await.is_some() {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            return Over::Broken(format!("it does not end within {} s", limit.as_secs()));
        }
        self.over()
    }

    /// How it ended. Call it at the end of the output.
    pub(super) fn over(self) -> Over {
        let (status, noise) = self.output.end();
        over(status, noise)
    }
}

fn over(status: Option<Status>, noise: String) -> Over {
    let Some(status) = status else {
        return Over::Broken("the connection broke off".to_owned());
    };
    if status.status.as_deref() == Some("Success") {
        return Over::Ended { code: 0, noise };
    }
    let causes = status.details.and_then(|details| details.causes).unwrap_or_default();
    let code = causes
        .iter()
        .filter(|cause| cause.reason.as_deref() == Some("ExitCode"))
        .find_map(|cause| cause.message.as_deref()?.parse().ok());
    match code {
        Some(code) => Over::Ended { code, noise },
        // The node's own troubles: the program may well go on.
        None => Over::Broken(status.message.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_a_status_with_a_code_is_the_end_of_a_program() {
        let shown = |status: Option<serde_json::Value>| {
            let status = status.map(|status| serde_json::from_value(status).expect("is a status"));
            match over(status, String::new()) {
                Over::Ended { code, .. } => format!("ended with {code}"),
                Over::Broken(why) => format!("broken: {why}"),
            }
        };
        let failed = json!({"status": "Failure", "reason": "NonZeroExitCode", "details": {"causes": [{"reason": "ExitCode", "message": "4"}]}});
        let internal =
            json!({"status": "Failure", "reason": "InternalError", "message": "the container runtime is not there"});
        assert_eq!(shown(Some(json!({"status": "Success"}))), "ended with 0");
        assert_eq!(shown(Some(failed)), "ended with 4");
        assert_eq!(shown(Some(internal)), "broken: the container runtime is not there");
        assert_eq!(shown(None), "broken: the connection broke off");
    }
}
