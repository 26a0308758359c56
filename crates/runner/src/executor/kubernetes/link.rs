//! Programs in the containers of a pod, and files put into them.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Status;
use kube::Api;
use kube::api::{AttachParams, AttachedProcess};
use tasuki_rt::Tasks;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;

use super::cluster::Cluster;
use super::fault::Fault;
use super::pod;
use super::settings::GuestStart;
use super::watch::Watcher;

/// What waits in each direction of a connection.
const BUFFER: usize = 256 << 10;

/// How much a guest's own standard error may say when it fails.
const MAX_NOISE: usize = 4 << 10;

/// How long the status of a program may take that prints no more.
const EPILOGUE: Duration = Duration::from_secs(10);

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
    process: AttachedProcess,
    input: Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>,
    output: Box<dyn AsyncRead + Send + Unpin>,
    noise: Box<dyn AsyncRead + Send + Unpin>,
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
    pub(super) async fn exec(&self, container: &str, command: &[String]) -> Result<Attached, Fault> {
        let pods = self.pods();
        let params = AttachParams {
            container: Some(container.to_owned()),
            stdin: true,
            stdout: true,
            stderr: true,
            tty: false,
            max_stdin_buf_size: Some(BUFFER),
            max_stdout_buf_size: Some(BUFFER),
            // Who says more than this says nothing that the guest says.
            max_stderr_buf_size: Some(BUFFER),
        };
        let mut process = self
            .cluster
            .call(|| pods.exec(&self.pod, command.iter().map(String::as_str), &params))
            .await?;
        let input = process
            .stdin()
            .map(|input| Box::new(input) as Box<dyn AsyncWrite + Send + Unpin>);
        let output = process.stdout().map_or_else(empty, |output| Box::new(output) as Box<_>);
        let noise = process.stderr().map_or_else(empty, |noise| Box::new(noise) as Box<_>);
        Ok(Attached {
            process,
            input: Mutex::new(input),
            output,
            noise,
        })
    }

    /// Starts the guest.
    pub(super) async fn guest(&self, container: &str, arguments: &[&str]) -> Result<Attached, Fault> {
        let mut command = pod::guest_command(container, self.start);
        command.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self.exec(container, &command).await
    }
}

fn empty() -> Box<dyn AsyncRead + Send + Unpin> {
    Box::new(tokio::io::empty())
}

/// Both directions of a connection, for use at the same time.
pub(super) struct Ends<'a> {
    pub(super) input: &'a Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>,
    pub(super) output: &'a mut (dyn AsyncRead + Send + Unpin),
}

impl Attached {
    pub(super) fn ends(&mut self) -> Ends<'_> {
        Ends {
            input: &self.input,
            output: &mut *self.output,
        }
    }

    /// Lets it run for so long, and says how it ended. What it prints is of no interest.
    pub(super) async fn finish(mut self, limit: Duration) -> Over {
        let mut rest = vec![0; 1024];
        let ended = async { while matches!(self.output.read(&mut rest).await, Ok(1..)) {} };
        if tokio::time::timeout(limit, ended).await.is_err() {
            return Over::Broken(format!("it does not end within {} s", limit.as_secs()));
        }
        self.over().await
    }

    /// How it ended. Call it at the end of the output.
    pub(super) async fn over(mut self) -> Over {
        let told = async {
            let status = match self.process.take_status() {
                Some(status) => status.await,
                None => None,
            };
            let mut noise = Vec::new();
            let _ = (&mut self.noise).take(MAX_NOISE as u64).read_to_end(&mut noise).await;
            over(status, String::from_utf8_lossy(&noise).trim().to_owned())
        };
        let told = tokio::time::timeout(EPILOGUE, told).await;
        told.unwrap_or_else(|_| Over::Broken("nobody says how it ended".to_owned()))
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

impl Ends<'_> {
    /// Writes, and says whether it could. A program that is gone is seen by the end of its output.
    pub(super) async fn write(input: &Mutex<Option<Box<dyn AsyncWrite + Send + Unpin>>>, bytes: &[u8]) -> bool {
        match &mut *input.lock().await {
            Some(input) => input.write_all(bytes).await.is_ok() && input.flush().await.is_ok(),
            None => false,
        }
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
