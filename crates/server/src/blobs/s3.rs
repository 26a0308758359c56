//! Bytes in an S3-compatible object store.
//!
//! Up to one part goes with a single request, more with a multipart upload, part after part. Every request with
//! bytes carries their MD5, which the store checks. What an upload that never ended leaves there is up to
//! the bucket's lifecycle rule for incomplete uploads, as everywhere with S3.

use std::ops::Range;
use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt as _, TryStreamExt as _};
use md5::Md5;
use reqwest::{Response, StatusCode};
use rusty_s3::actions::CreateMultipartUpload;
use rusty_s3::{Bucket, Credentials, S3Action, UrlStyle};
use sha2::{Digest as _, Sha256};
use tasuki_model::time::Timestamp;
use tasuki_rt::Clock;
use url::Url;

use super::key::hex;
use super::store::{BlobStore, Body, Content, Stored, clamp};
use super::verify::verified;
use super::{Error, Key, S3Location};

/// Bytes of one part; S3 takes 10,000 of them, so an object can have 78 GiB.
const PART: usize = 8 * 1024 * 1024;
/// For how long our own requests are signed.
const SIGNED: Duration = Duration::from_secs(15 * 60);
/// A request that failed on the way, or with a fault of the store, is made so many times in all.
const TRIES: u32 = 4;
const FIRST_DELAY: Duration = Duration::from_millis(100);

/// A [`BlobStore`] in a bucket.
pub struct S3 {
    bucket: Bucket,
    credentials: Credentials,
    prefix: String,
    client: reqwest::Client,
    clock: Clock,
}

impl std::fmt::Debug for S3 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3")
            .field("url", self.bucket.base_url())
            .finish_non_exhaustive()
    }
}

impl S3 {
    /// Uses a bucket that exists. Makes no request.
    ///
    /// # Errors
    /// [`Error::Location`] when the endpoint is not usable.
    pub fn open(location: &S3Location, clock: Clock) -> Result<Self, Error> {
        let bad = |problem: String| Error::Location { problem };
        tasuki_proto::tls::install();
        let style = if location.path_style {
            UrlStyle::Path
        } else {
            UrlStyle::VirtualHost
        };
        let bucket = Bucket::new(
            location.endpoint.clone(),
            style,
            location.bucket.clone(),
            location.region.clone(),
        )
        .map_err(|e| bad(e.to_string()))?;
        let client = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(10))
            .read_timeout(Duration::from_secs(60))
            .build()
            .map_err(|e| bad(e.to_string()))?;
        Ok(Self {
            bucket,
            credentials: Credentials::new(location.key_id.clone(), location.secret_key.expose()),
            prefix: location.prefix.clone(),
            client,
            clock,
        })
    }

    fn name(&self, key: &Key) -> String {
        format!("{}{key}", self.prefix)
    }

    fn sign<'a>(&self, action: &impl S3Action<'a>) -> Url {
        sign_at(action, Timestamp(self.clock.now_ms()), SIGNED)
    }

    /// Sends a request until it gets an answer that is no fault of the store or the way.
    async fn send(
        &self,
        operation: &'static str,
        build: impl Fn(&reqwest::Client) -> reqwest::RequestBuilder + Send + Sync,
    ) -> Result<Response, Error> {
        let mut delay = FIRST_DELAY;
        let mut left = TRIES;
        loop {
            left -= 1;
            let answer = build(&self.client).send().await;
            let again = match &answer {
                Ok(response) => {
                    response.status().is_server_error() || response.status() == StatusCode::TOO_MANY_REQUESTS
                }
                Err(_) => true,
            };
            if !again || left == 0 {
                // The URL carries the signature: it does not belong into a message.
                return answer.map_err(|e| Error::Unreachable {
                    operation,
                    source: e.without_url(),
                });
            }
            tokio::time::sleep(delay).await;
            delay *= 2;
        }
    }

    async fn put_whole(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        let md5 = md5_of(&bytes);
        let mut action = self.bucket.put_object(Some(&self.credentials), name);
        action.headers_mut().insert("content-md5", md5.clone());
        let url = self.sign(&action);
        let response = self
            .send("PutObject", |client| {
                client.put(url.clone()).header("content-md5", &md5).body(bytes.clone())
            })
            .await?;
        check("PutObject", response).await.map(|_| ())
    }

    async fn put_part(&self, name: &str, upload: &str, number: u16, bytes: Bytes) -> Result<String, Error> {
        let md5 = md5_of(&bytes);
        let mut action = self.bucket.upload_part(Some(&self.credentials), name, number, upload);
        action.headers_mut().insert("content-md5", md5.clone());
        let url = self.sign(&action);
        let response = self
            .send("UploadPart", |client| {
                client.put(url.clone()).header("content-md5", &md5).body(bytes.clone())
            })
            .await?;
        let response = check("UploadPart", response).await?;
        let tag = response.headers().get("etag").and_then(|tag| tag.to_str().ok());
        tag.map(str::to_owned)
            .ok_or_else(|| refused("UploadPart", 200, "no ETag".to_owned()))
    }

    async fn start_upload(&self, name: &str) -> Result<String, Error> {
        let url = self.sign(&self.bucket.create_multipart_upload(Some(&self.credentials), name));
        let response = self
            .send("CreateMultipartUpload", |client| client.post(url.clone()))
            .await?;
        let text = text("CreateMultipartUpload", check("CreateMultipartUpload", response).await?).await?;
        let parsed = CreateMultipartUpload::parse_response(&text)
            .map_err(|e| refused("CreateMultipartUpload", 200, e.to_string()))?;
        Ok(parsed.upload_id().to_owned())
    }

    async fn complete(&self, name: &str, upload: &str, tags: &[String]) -> Result<(), Error> {
        let tags = tags.iter().map(String::as_str);
        let action = self
            .bucket
            .complete_multipart_upload(Some(&self.credentials), name, upload, tags);
        let url = self.sign(&action);
        let body = action.body();
        let response = self
            .send("CompleteMultipartUpload", |client| {
                client.post(url.clone()).body(body.clone())
            })
            .await?;
        let text = text(
            "CompleteMultipartUpload",
            check("CompleteMultipartUpload", response).await?,
        )
        .await?;
        // S3 may answer 200 first and find out after.
        if text.contains("<Error>") {
            return Err(refused("CompleteMultipartUpload", 200, text));
        }
        Ok(())
    }

    async fn abort(&self, name: &str, upload: &str) {
        let url = self.sign(
            &self
                .bucket
                .abort_multipart_upload(Some(&self.credentials), name, upload),
        );
        if let Err(error) = self
            .send("AbortMultipartUpload", |client| client.delete(url.clone()))
            .await
        {
            tracing::warn!(%error, "parts of an upload that failed are left in the object store");
        }
    }

    /// Sends the first full part and all that follow.
    async fn put_parts(&self, name: &str, upload: &str, first: Bytes, parts: &mut Parts) -> Result<(), Error> {
        let mut tags = vec![self.put_part(name, upload, 1, first).await?];
        while let Some(part) = parts.next().await? {
            let number = u16::try_from(tags.len() + 1).unwrap_or(u16::MAX);
            if number > 10_000 {
                return Err(Error::TooLarge {
                    limit: 10_000 * PART as u64,
                });
            }
            tags.push(self.put_part(name, upload, number, part).await?);
        }
        self.complete(name, upload, &tags).await
    }
}

#[async_trait::async_trait]
impl BlobStore for S3 {
    async fn put(&self, key: &Key, body: Body, limit: u64) -> Result<Stored, Error> {
        let name = self.name(key);
        let mut parts = Parts {
            body,
            limit,
            size: 0,
            digest: Sha256::new(),
            over: false,
        };
        let first = parts.next().await?.unwrap_or_default();
        if first.len() < PART {
            self.put_whole(&name, first).await?;
        } else {
            let upload = self.start_upload(&name).await?;
            if let Err(error) = self.put_parts(&name, &upload, first, &mut parts).await {
                self.abort(&name, &upload).await;
                return Err(error);
            }
        }
        Ok(Stored {
            size: parts.size,
            sha256: hex(&parts.digest.finalize()),
        })
    }

    async fn get(&self, key: &Key, range: Option<Range<u64>>, sha256: Option<&str>) -> Result<Content, Error> {
        if let Some(range) = range {
            let size = self
                .size(key)
                .await?
                .ok_or_else(|| Error::NotFound { key: key.to_string() })?;
            let range = clamp(key, Some(range), size)?;
            if range.is_empty() {
                return Ok(Content {
                    size,
                    range,
                    body: super::body_of(Bytes::new()),
                });
            }
            let url = self.sign(&self.bucket.get_object(Some(&self.credentials), &self.name(key)));
            let header = format!("bytes={}-{}", range.start, range.end - 1);
            let response = self
                .send("GetObject", |client| client.get(url.clone()).header("range", &header))
                .await?;
            let response = found("GetObject", key, response).await?;
            if response.status() != StatusCode::PARTIAL_CONTENT {
                return Err(refused(
                    "GetObject",
                    response.status().as_u16(),
                    "no partial content".to_owned(),
                ));
            }
            return Ok(Content {
                size,
                range,
                body: body(response),
            });
        }
        let url = self.sign(&self.bucket.get_object(Some(&self.credentials), &self.name(key)));
        let response = self.send("GetObject", |client| client.get(url.clone())).await?;
        let response = found("GetObject", key, response).await?;
        let size = response
            .content_length()
            .ok_or_else(|| refused("GetObject", response.status().as_u16(), "no Content-Length".to_owned()))?;
        let body = body(response);
        let body = match sha256 {
            Some(sha256) => verified(body, key, size, sha256),
            None => body,
        };
        Ok(Content {
            size,
            range: 0..size,
            body,
        })
    }

    async fn size(&self, key: &Key) -> Result<Option<u64>, Error> {
        let url = self.sign(&self.bucket.head_object(Some(&self.credentials), &self.name(key)));
        let response = self.send("HeadObject", |client| client.head(url.clone())).await?;
        match found("HeadObject", key, response).await {
            // Not `content_length`, which tells of the (empty) body of this very answer.
            Ok(response) => {
                let length = response
                    .headers()
                    .get("content-length")
                    .and_then(|v| v.to_str().ok()?.parse().ok());
                length
                    .map(Some)
                    .ok_or_else(|| refused("HeadObject", 200, "no Content-Length".to_owned()))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    async fn remove(&self, key: &Key) -> Result<(), Error> {
        let url = self.sign(&self.bucket.delete_object(Some(&self.credentials), &self.name(key)));
        let response = self.send("DeleteObject", |client| client.delete(url.clone())).await?;
        match found("DeleteObject", key, response).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn sweep(&self, _: Timestamp) -> Result<(), Error> {
        Ok(())
    }

    fn presigned_get(&self, key: &Key, now: Timestamp, lifetime: Duration) -> Option<Url> {
        Some(sign_at(
            &self.bucket.get_object(Some(&self.credentials), &self.name(key)),
            now,
            lifetime,
        ))
    }

    fn presigned_put(&self, key: &Key, now: Timestamp, lifetime: Duration) -> Option<Url> {
        Some(sign_at(
            &self.bucket.put_object(Some(&self.credentials), &self.name(key)),
            now,
            lifetime,
        ))
    }
}

fn sign_at<'a>(action: &impl S3Action<'a>, now: Timestamp, lifetime: Duration) -> Url {
    let now = jiff::Timestamp::from_millisecond(now.0).unwrap_or_default();
    action.sign_with_time(lifetime, &now)
}

/// A body cut into parts of one size (the last may be smaller), measured on the way.
struct Parts {
    body: Body,
    limit: u64,
    size: u64,
    digest: Sha256,
    over: bool,
}

impl Parts {
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        let mut part = BytesMut::new();
        while !self.over && part.len() < PART {
            let Some(piece) = self.body.next().await else {
                self.over = true;
                break;
            };
            let piece = piece.map_err(Error::Body)?;
            self.size += piece.len() as u64;
            if self.size > self.limit {
                return Err(Error::TooLarge { limit: self.limit });
            }
            self.digest.update(&piece);
            part.extend_from_slice(&piece);
        }
        Ok((!part.is_empty()).then(|| part.freeze()))
    }
}

fn md5_of(bytes: &[u8]) -> String {
    base64::engine::general_purpose::STANDARD.encode(Md5::digest(bytes))
}

fn body(response: Response) -> Body {
    Box::pin(
        response
            .bytes_stream()
            .map_err(|e| std::io::Error::other(e.without_url())),
    )
}

fn refused(operation: &'static str, status: u16, message: String) -> Error {
    Error::Refused {
        operation,
        status,
        message,
    }
}

async fn text(operation: &'static str, response: Response) -> Result<String, Error> {
    response.text().await.map_err(|e| Error::Unreachable {
        operation,
        source: e.without_url(),
    })
}

async fn check(operation: &'static str, response: Response) -> Result<Response, Error> {
    if response.status().is_success() {
        return Ok(response);
    }
    let status = response.status().as_u16();
    let mut message = text(operation, response).await.unwrap_or_default();
    if let Some((cut, _)) = message.char_indices().nth(500) {
        message.truncate(cut);
    }
    Err(refused(operation, status, message))
}

async fn found(operation: &'static str, key: &Key, response: Response) -> Result<Response, Error> {
    if response.status() == StatusCode::NOT_FOUND {
        return Err(Error::NotFound { key: key.to_string() });
    }
    check(operation, response).await
}
