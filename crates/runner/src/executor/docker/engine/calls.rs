//! The calls.

use futures_util::StreamExt as _;
use reqwest::Method;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;
use url::form_urlencoded::byte_serialize;

use super::attach::Attached;
use super::client::Engine;
use super::error::{Error, Result};
use super::types::{Container, ExecState, ImageInfo, Info, Summary};

/// What is pulled.
#[derive(Debug, Clone)]
pub(in crate::executor::docker) struct Pull<'a> {
    /// Repository and tag or digest.
    pub(in crate::executor::docker) image: &'a str,
    pub(in crate::executor::docker) platform: Option<&'a str>,
    /// Value of `X-Registry-Auth`; it travels in a header, never in an address or an argument.
    pub(in crate::executor::docker) auth: Option<String>,
}

/// Whether an image goes although it has a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::executor::docker) enum Force {
    Yes,
    No,
}

#[derive(Deserialize)]
struct Created {
    #[serde(rename = "Id")]
    id: String,
}

impl Engine {
    pub(in crate::executor::docker) async fn info(&self) -> Result<Info> {
        self.json(Method::GET, "/info", None).await
    }

    /// Creates a container; its id.
    pub(in crate::executor::docker) async fn create_container(
        &self,
        name: &str,
        platform: Option<&str>,
        body: &Value,
    ) -> Result<String> {
        let platform = platform.map(|platform| format!("&platform={}", escape(platform)));
        let path = format!(
            "/containers/create?name={}{}",
            escape(name),
            platform.unwrap_or_default()
        );
        let created: Created = self.json(Method::POST, &path, Some(body)).await?;
        Ok(created.id)
    }

    pub(in crate::executor::docker) async fn start_container(&self, id: &str) -> Result<()> {
        self.call(Method::POST, &format!("/containers/{id}/start"), None).await
    }

    pub(in crate::executor::docker) async fn container(&self, id: &str) -> Result<Container> {
        self.json(Method::GET, &format!("/containers/{}/json", escape(id)), None)
            .await
    }

    /// Waits until a container has ended; its exit code.
    pub(in crate::executor::docker) async fn wait_container(&self, id: &str) -> Result<i64> {
        #[derive(Deserialize)]
        struct Waited {
            #[serde(rename = "StatusCode")]
            status: i64,
        }
        let request = self.request(Method::POST, &format!("/containers/{id}/wait"));
        let bytes = self.send(request).await?.bytes().await;
        let unknown = |source: Box<dyn std::error::Error + Send + Sync>| Error::Answer {
            call: "wait".to_owned(),
            source,
        };
        let waited: Waited = serde_json::from_slice(&bytes.map_err(|error| unknown(error.into()))?)
            .map_err(|error| unknown(error.into()))?;
        Ok(waited.status)
    }

    /// Kills and removes a container with its anonymous volumes. One that is gone is no error.
    pub(in crate::executor::docker) async fn remove_container(&self, id: &str) -> Result<()> {
        let path = format!("/containers/{}?force=true&v=true", escape(id));
        for _ in 0..50 {
            match self.call(Method::DELETE, &path, None).await {
                Err(error) if error.is_missing() => return Ok(()),
                // Somebody else is at it: it must be gone when we return.
                Err(error) if error.is_conflict() => tokio::time::sleep(std::time::Duration::from_millis(100)).await,
                other => return other,
            }
        }
        self.call(Method::DELETE, &path, None).await
    }

    /// All three channels of a container's main process, from now on.
    pub(in crate::executor::docker) async fn attach(&self, id: &str) -> Result<Attached> {
        let path = format!("/containers/{id}/attach?stream=1&stdin=1&stdout=1&stderr=1");
        self.upgrade(&path, None).await
    }

    /// What a container has printed and prints.
    pub(in crate::executor::docker) async fn follow(&self, id: &str) -> Result<Attached> {
        let path = format!("/containers/{id}/attach?logs=1&stream=1&stdout=1&stderr=1");
        self.upgrade(&path, None).await
    }

    /// What a container has printed so far, at most `tail` lines.
    pub(in crate::executor::docker) async fn logs(&self, id: &str, tail: u32) -> Result<Vec<u8>> {
        let path = format!("/containers/{id}/logs?stdout=1&stderr=1&timestamps=1&tail={tail}");
        let response = self.answer(Method::GET, &path, None).await?;
        let bytes = response.bytes().await.map_err(|source| Error::Answer {
            call: "logs".to_owned(),
            source: source.into(),
        })?;
        Ok(without_heads(&bytes))
    }

    /// Prepares a process in a container; its id.
    pub(in crate::executor::docker) async fn create_exec(&self, container: &str, body: &Value) -> Result<String> {
        let path = format!("/containers/{container}/exec");
        let created: Created = self.json(Method::POST, &path, Some(body)).await?;
        Ok(created.id)
    }

    pub(in crate::executor::docker) async fn start_exec(&self, id: &str) -> Result<Attached> {
        let body = json!({"Detach": false, "Tty": false});
        self.upgrade(&format!("/exec/{id}/start"), Some(&body)).await
    }

    pub(in crate::executor::docker) async fn exec(&self, id: &str) -> Result<ExecState> {
        self.json(Method::GET, &format!("/exec/{id}/json"), None).await
    }

    /// The image as it is here; `None`: it is not.
    pub(in crate::executor::docker) async fn image(&self, name: &str) -> Result<Option<ImageInfo>> {
        let found = self
            .json(Method::GET, &format!("/images/{}/json", escape(name)), None)
            .await;
        match found {
            Ok(image) => Ok(Some(image)),
            Err(error) if error.is_missing() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Pulls an image to the end.
    pub(in crate::executor::docker) async fn pull(&self, pull: Pull<'_>) -> Result<()> {
        let platform = pull.platform.map(|platform| format!("&platform={}", escape(platform)));
        let path = format!(
            "/images/create?fromImage={}{}",
            escape(pull.image),
            platform.unwrap_or_default()
        );
        let mut request = self.request(Method::POST, &path);
        if let Some(auth) = pull.auth {
            request = request.header("X-Registry-Auth", auth);
        }
        self.progress(request).await
    }

    /// Makes an image of a tar archive.
    pub(in crate::executor::docker) async fn import(&self, name: &str, changes: &[&str], tar: Vec<u8>) -> Result<()> {
        let (repository, tag) = name.rsplit_once(':').unwrap_or((name, "latest"));
        let changes: String = changes
            .iter()
            .map(|change| format!("&changes={}", escape(change)))
            .collect();
        let path = format!(
            "/images/create?fromSrc=-&repo={}&tag={}{changes}",
            escape(repository),
            escape(tag)
        );
        let request = self
            .request(Method::POST, &path)
            .header("Content-Type", "application/x-tar")
            .body(tar);
        self.progress(request).await
    }

    /// Reads a stream of progress messages to its end.
    async fn progress(&self, request: reqwest::RequestBuilder) -> Result<()> {
        self.messages(request, |_| ()).await
    }

    /// Reads a stream of messages; one of them may be an error although the answer's head was good.
    async fn messages(&self, request: reqwest::RequestBuilder, mut each: impl FnMut(&Value)) -> Result<()> {
        let mut body = self.send(request).await?.bytes_stream();
        let mut text = Vec::new();
        let mut failed = None;
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|source| Error::Answer {
                call: "images/create".to_owned(),
                source: source.into(),
            })?;
            text.extend_from_slice(&piece);
            while let Some(end) = text.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = text.drain(..=end).collect();
                failed = failed.or_else(|| error_of(&line, &mut each));
            }
        }
        match failed.or_else(|| error_of(&text, &mut each)) {
            Some(message) => Err(Error::Refused { status: 500, message }),
            None => Ok(()),
        }
    }

    /// Puts files into a container, which need not run.
    pub(in crate::executor::docker) async fn put_files(&self, id: &str, tar: Vec<u8>) -> Result<()> {
        let request = self
            .request(Method::PUT, &format!("/containers/{}/archive?path=%2F", escape(id)))
            .header("Content-Type", "application/x-tar")
            .body(tar);
        self.send(request).await.map(drop)
    }

    /// Builds an image of a folder of a container. Each message of the engine goes to `heard`. Gives the image's id.
    pub(in crate::executor::docker) async fn build(
        &self,
        container: &str,
        folder: &str,
        how: &[(&str, String)],
        logins: Option<String>,
        heard: &mpsc::UnboundedSender<String>,
    ) -> Result<String> {
        // With the point behind it, what is in the folder stands at the root of the archive.
        let path = format!(
            "/containers/{}/archive?path={}",
            escape(container),
            escape(&format!("{folder}/."))
        );
        let context = self.send(self.request(Method::GET, &path)).await?;
        let query: Vec<String> = how
            .iter()
            .map(|(key, value)| format!("{key}={}", escape(value)))
            .collect();
        let mut request = self
            .request(Method::POST, &format!("/build?{}", query.join("&")))
            .header("Content-Type", "application/x-tar")
            .body(reqwest::Body::wrap_stream(context.bytes_stream()));
        if let Some(logins) = logins {
            request = request.header("X-Registry-Config", logins);
        }
        let mut built = None;
        self.messages(request, |message| {
            if let Some(text) = message.get("stream").and_then(Value::as_str) {
                let _ = heard.send(text.to_owned());
            }
            if let Some(id) = message.pointer("/aux/ID").and_then(Value::as_str) {
                built = Some(id.to_owned());
            }
        })
        .await?;
        built.ok_or_else(|| Error::Answer {
            call: "build".to_owned(),
            source: "it names no image".into(),
        })
    }

    /// Images that carry this label.
    pub(in crate::executor::docker) async fn images(&self, label: &str) -> Result<Vec<Summary>> {
        self.json(
            Method::GET,
            &format!("/images/json?all=true&filters={}", labelled(label)),
            None,
        )
        .await
    }

    /// Removes an image, and what it was built on as far as nothing else needs it.
    pub(in crate::executor::docker) async fn remove_image(&self, id: &str, force: Force) -> Result<()> {
        let force = force == Force::Yes;
        let path = format!("/images/{}?force={force}", escape(id));
        ignore_missing(self.call(Method::DELETE, &path, None).await)
    }

    pub(in crate::executor::docker) async fn create_network(&self, body: &Value) -> Result<String> {
        let created: Created = self.json(Method::POST, "/networks/create", Some(body)).await?;
        Ok(created.id)
    }

    pub(in crate::executor::docker) async fn remove_network(&self, id: &str) -> Result<()> {
        ignore_missing(
            self.call(Method::DELETE, &format!("/networks/{}", escape(id)), None)
                .await,
        )
    }

    /// Creates a volume; one of that name that is there stays as it is.
    pub(in crate::executor::docker) async fn create_volume(&self, body: &Value) -> Result<()> {
        self.call(Method::POST, "/volumes/create", Some(body)).await
    }

    pub(in crate::executor::docker) async fn remove_volume(&self, name: &str) -> Result<()> {
        ignore_missing(
            self.call(Method::DELETE, &format!("/volumes/{}?force=true", escape(name)), None)
                .await,
        )
    }

    pub(in crate::executor::docker) async fn has_volume(&self, name: &str) -> Result<bool> {
        let path = format!("/volumes/{}", escape(name));
        match self.call(Method::GET, &path, None).await {
            Ok(()) => Ok(true),
            Err(error) if error.is_missing() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Containers, running or not, that carry this label.
    pub(in crate::executor::docker) async fn containers(&self, label: &str) -> Result<Vec<Summary>> {
        self.json(
            Method::GET,
            &format!("/containers/json?all=true&filters={}", labelled(label)),
            None,
        )
        .await
    }

    pub(in crate::executor::docker) async fn networks(&self, label: &str) -> Result<Vec<Summary>> {
        self.json(Method::GET, &format!("/networks?filters={}", labelled(label)), None)
            .await
    }

    pub(in crate::executor::docker) async fn volumes(&self, label: &str) -> Result<Vec<Summary>> {
        #[derive(Deserialize)]
        struct Volumes {
            #[serde(rename = "Volumes")]
            volumes: Option<Vec<Summary>>,
        }
        let path = format!("/volumes?filters={}", labelled(label));
        let found: Volumes = self.json(Method::GET, &path, None).await?;
        Ok(found.volumes.unwrap_or_default())
    }
}

/// Both streams as one: each piece has a head of eight bytes, the last four its length.
fn without_heads(mut bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    while let Some((head, rest)) = bytes.split_first_chunk::<8>() {
        let length = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        let (piece, next) = rest.split_at(length.min(rest.len()));
        text.extend_from_slice(piece);
        bytes = next;
    }
    text
}

fn labelled(label: &str) -> String {
    escape(&json!({"label": [label]}).to_string())
}

fn ignore_missing(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_missing() => Ok(()),
        other => other,
    }
}

fn error_of(line: &[u8], each: &mut impl FnMut(&Value)) -> Option<String> {
    let value: Value = serde_json::from_slice(line).ok()?;
    each(&value);
    value.get("error")?.as_str().map(str::to_owned)
}

fn escape(text: &str) -> String {
    byte_serialize(text.as_bytes()).collect()
}
