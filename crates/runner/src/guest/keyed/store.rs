//! The server's store of caches.

use std::fs::File;
use std::io::{Seek as _, SeekFrom, Write as _};
use std::time::Duration;

use futures_util::{StreamExt as _, TryStreamExt as _};
use reqwest::StatusCode;
use reqwest::header::{CONTENT_LENGTH, IF_NONE_MATCH};
use tasuki_proto::gitlab::headers;

use super::part::Part;
use crate::guest::error::{Error, Result};
use crate::guest::http::{Failed, Http};
use crate::guest::{Context, KeyedStore, Tls};

const LIMIT: Duration = Duration::from_secs(600);
const ATTEMPTS: u32 = 3;

/// How a key is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Match {
    Exact,
    /// The newest cache whose key begins so.
    Prefix,
}

/// What came of an attempt to write.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Written {
    Stored,
    /// There is one of that key.
    Exists,
}

pub(super) struct Store<'a> {
    request: &'a KeyedStore,
    context: &'a Context,
    http: Http,
}

impl<'a> Store<'a> {
    pub(super) fn open(request: &'a KeyedStore, context: &'a Context) -> Result<Self> {
        Ok(Self {
            request,
            context,
            http: Http::new(&Tls::default(), "")?,
        })
    }

    fn url(&self, part: Part, key: &str, how: Match) -> Result<url::Url> {
        let mut url = url::Url::parse(self.request.url.expose())
            .map_err(|error| Error::job(format!("the address of the caches is unusable: {error}")))?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push(key);
        }
        url.query_pairs_mut().append_pair("space", part.word());
        if how == Match::Prefix {
            url.query_pairs_mut().append_pair("match", "prefix");
        }
        Ok(url)
    }

    /// Whether there is a whole cache of exactly that key.
    pub(super) fn has(&self, key: &str) -> Result<bool> {
        let url = self.url(Part::Project, key, Match::Exact)?;
        self.attempts(|| {
            self.http.run(self.context, LIMIT, async {
                let asking = self.http.client.head(url.clone());
                let response = self.with_token(asking).send().await.map_err(Failed::network)?;
                match response.status() {
                    StatusCode::OK => Ok(true),
                    StatusCode::NOT_FOUND => Ok(false),
                    _ => Err(Failed::status(response).await),
                }
            })
        })
    }

    /// Brings a part. `None`: there is none; else its own key, and its bytes in a file without a name.
    pub(super) fn get(&self, part: Part, key: &str, how: Match) -> Result<Option<(String, File, u64)>> {
        let url = self.url(part, key, how)?;
        self.attempts(|| {
            let local = |what: &'static str| move |error| Failed::Local(Error::io(what)(error));
            let mut file = tempfile::tempfile_in(scratch(self.context)).map_err(local("make a temporary file"))?;
            let found = self.http.run(self.context, LIMIT, async {
                let asking = self.http.client.get(url.clone());
                let response = self.with_token(asking).send().await.map_err(Failed::network)?;
                match response.status() {
                    StatusCode::OK => {}
                    StatusCode::NOT_FOUND => return Ok(None),
                    _ => return Err(Failed::status(response).await),
                }
                let found = response.headers().get(headers::CACHE_KEY);
                let found = found.and_then(|value| url::form_urlencoded::parse(value.as_bytes()).next());
                let name = found.map_or_else(|| key.to_owned(), |(name, _)| name.into_owned());
                let wanted = response.content_length();
                let mut body = response.bytes_stream();
                let mut bytes = 0;
                while let Some(piece) = body.next().await {
                    let piece = piece.map_err(Failed::network)?;
                    file.write_all(&piece).map_err(local("write a temporary file"))?;
                    bytes += piece.len() as u64;
                }
                if wanted.is_some_and(|wanted| wanted != bytes) {
                    return Err(Failed::Network("the answer was cut short".to_owned()));
                }
                Ok(Some((name, bytes)))
            })?;
            file.seek(SeekFrom::Start(0)).map_err(local("read a temporary file"))?;
            Ok(found.map(|(name, bytes)| (name, file, bytes)))
        })
    }

    /// Writes a part.
    pub(super) fn put(&self, part: Part, key: &str, file: &File, size: u64, immutable: bool) -> Result<Written> {
        let url = self.url(part, key, Match::Exact)?;
        self.attempts(|| {
            let local = |error| Failed::Local(Error::io("read the cache")(error));
            let mut file = file.try_clone().map_err(local)?;
            file.seek(SeekFrom::Start(0)).map_err(local)?;
            self.http.run(self.context, LIMIT, async {
                let pieces = tokio_util::io::ReaderStream::with_capacity(tokio::fs::File::from_std(file), 256 << 10);
                let mut sending = self.http.client.put(url.clone()).header(CONTENT_LENGTH, size);
                if immutable {
                    sending = sending.header(IF_NONE_MATCH, "*");
                }
                let sending = self.with_token(sending);
                let sending = sending.body(reqwest::Body::wrap_stream(pieces.into_stream()));
                let response = sending.send().await.map_err(Failed::network)?;
                match response.status() {
                    StatusCode::PRECONDITION_FAILED => Ok(Written::Exists),
                    status if status.is_success() => Ok(Written::Stored),
                    _ => Err(Failed::status(response).await),
                }
            })
        })
    }

    fn with_token(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        request.header(headers::JOB_TOKEN, self.request.token.expose())
    }

    fn attempts<T>(&self, mut once: impl FnMut() -> std::result::Result<T, Failed>) -> Result<T> {
        let mut attempt = 1;
        loop {
            match once() {
                Ok(done) => return Ok(done),
                Err(Failed::Stopped | Failed::Local(Error::Stopped)) => return Err(Error::Stopped),
                Err(Failed::Local(error)) => return Err(error),
                Err(failed @ Failed::Network(_)) if attempt < ATTEMPTS => {
                    attempt += 1;
                    let text = failed.text();
                    self.context
                        .say(&format!("WARNING: {text}; attempt {attempt} of {ATTEMPTS}"));
                    Http::pause(self.context, Duration::from_secs(1))?;
                }
                Err(failed) => return Err(Error::External { message: failed.text() }),
            }
        }
    }
}

/// Where temporary files go.
pub(super) fn scratch(context: &Context) -> &str {
    let found = context.env().iter().rev().find(|(key, _)| key == "TMPDIR");
    found.map_or("/tmp", |(_, value)| value)
}
