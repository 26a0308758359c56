//! GitLab's `POST /api/v4/projects/{id}/trigger/pipeline`: starting a pipeline with a trigger token, or with the token of
//! a job that runs. Errors are `{"message": …}`, as GitLab gives them.

use std::collections::BTreeMap;

use axum::body::Bytes;
use axum::extract::{FromRequest as _, Multipart, Path, RawQuery, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode, header};
use serde_json::{Value, json};
use tasuki_model::id::PipelineId;
use tasuki_model::plan::Variable;
use tasuki_model::trigger::{Source, Upstream};
use tasuki_store::projects::Project;
use tasuki_store::{Tx, pipelines, projects, tasks, tokens};

use super::rest::view;
use crate::app::App;
use crate::identity::token;
use crate::triggers::{Circumstances, Error, NoPipeline, Started, Want, first};

/// Most variables that one request may give.
const MOST_VARIABLES: usize = 200;

/// The routes below `/api/v4`.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/projects/{id}/trigger/pipeline", post(plain))
        .route("/projects/{id}/ref/{ref}/trigger/pipeline", post(of_ref))
}

/// What a request asks for.
#[derive(Debug, Default, PartialEq)]
struct Asked {
    token: String,
    git_ref: String,
    variables: BTreeMap<String, String>,
    inputs: Vec<(String, Value)>,
}

/// A refusal in GitLab's form.
pub(super) struct Refused(pub(super) StatusCode, pub(super) Value);

impl Refused {
    pub(super) fn new(status: StatusCode, message: impl Into<Value>) -> Self {
        Self(status, message.into())
    }

    pub(super) fn internal(failed: &dyn std::error::Error) -> Self {
        tracing::error!(error = %failed, "a request of GitLab's API could not be answered");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "500 Internal Server Error")
    }
}

impl axum::response::IntoResponse for Refused {
    fn into_response(self) -> Response {
        (self.0, Json(json!({"message": self.1}))).into_response()
    }
}

/// Who shows the token.
enum Bearer {
    Trigger(i64),
    Job(Upstream),
}

async fn plain(
    State(app): State<App>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    let mut asked = Asked::default();
    asked.add_form(query.as_deref().unwrap_or_default().as_bytes());
    let kind = content_type(request.headers());
    if kind.starts_with("multipart/form-data") {
        let broken = |_| Refused::new(StatusCode::BAD_REQUEST, "400 Bad Request: the form cannot be read");
        let mut form = Multipart::from_request(request, &app)
            .await
            .map_err(|_| Refused::new(StatusCode::BAD_REQUEST, "400 Bad Request: the form cannot be read"))?;
        while let Some(field) = form.next_field().await.map_err(broken)? {
            let name = field.name().unwrap_or_default().to_owned();
            let value = field.text().await.map_err(broken)?;
            asked.add(&name, value);
        }
    } else {
        let body = body(&app, request).await?;
        if kind.starts_with("application/json") {
            asked.add_json(&body)?;
        } else {
            asked.add_form(&body);
        }
    }
    start(&app, &id, asked, None).await
}

/// For webhooks of others: the ref stands in the address, the token in the query, the body is the payload.
async fn of_ref(
    State(app): State<App>,
    Path((id, git_ref)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Result<Response, Refused> {
    let mut asked = Asked::default();
    asked.add_form(query.as_deref().unwrap_or_default().as_bytes());
    asked.git_ref = git_ref;
    let body = body(&app, request).await?;
    let payload = serde_json::from_slice(&body).ok();
    start(&app, &id, asked, payload).await
}

async fn body(app: &App, request: Request) -> Result<Bytes, Refused> {
    Bytes::from_request(request, app)
        .await
        .map_err(|refused| Refused::new(refused.status(), "the body cannot be read"))
}

fn content_type(headers: &HeaderMap) -> String {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    kind.unwrap_or_default().to_ascii_lowercase()
}

impl Asked {
    /// One field of a form: `token`, `ref`, `variables[KEY]`, `inputs[KEY]`.
    fn add(&mut self, name: &str, value: String) {
        let inner = |prefix: &str| name.strip_prefix(prefix)?.strip_suffix(']').map(str::to_owned);
        match name {
            "token" => self.token = value,
            "ref" => self.git_ref = value,
            _ => {
                if let Some(key) = inner("variables[") {
                    self.variables.insert(key, value);
                } else if let Some(key) = inner("inputs[") {
                    self.inputs.push((key, Value::from(value)));
                }
            }
        }
    }

    fn add_form(&mut self, text: &[u8]) {
        for (name, value) in url::form_urlencoded::parse(text) {
            self.add(&name, value.into_owned());
        }
    }

    fn add_json(&mut self, text: &[u8]) -> Result<(), Refused> {
        let wrong = |_| Refused::new(StatusCode::BAD_REQUEST, "400 Bad Request: the body is not JSON");
        let body: Value = serde_json::from_slice(text).map_err(wrong)?;
        let plain = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        for name in ["token", "ref"] {
            if let Some(value) = body[name].as_str() {
                self.add(name, value.to_owned());
            }
        }
        for (key, value) in body["variables"].as_object().into_iter().flatten() {
            self.variables.insert(key.clone(), plain(value));
        }
        for (key, value) in body["inputs"].as_object().into_iter().flatten() {
            self.inputs.push((key.clone(), value.clone()));
        }
        Ok(())
    }
}

/// The project, where the token opens it. Whether there is such a project is told to nobody else.
fn opened(tx: &mut Tx<'_>, id: &str, hash: &str, now: tasuki_model::time::Timestamp) -> Opened {
    let project = match id.parse() {
        Ok(number) => projects::get(tx, tasuki_model::id::ProjectId(number))?,
        Err(_) => projects::by_path(tx, id)?,
    };
    let Some(project) = project else { return Ok(None) };
    if let Some(token) = tokens::by_hash(tx, hash, now)? {
        let opens = token.kind == "trigger" && token.project_id == Some(project.id);
        return Ok(opens.then_some((project, Bearer::Trigger(token.id))));
    }
    let task = tasks::by_token_hash(tx, hash)?.filter(|task| task.project_id == project.id);
    // What a fork brings could have the project's own pipelines run with variables of its choice.
    let task = match task {
        Some(task) if view::trigger(tx, task.pipeline_id)?.is_from_fork() => None,
        other => other,
    };
    Ok(task.map(|task| {
        let upstream = Upstream {
            project: project.id.0,
            pipeline: task.pipeline_id.0,
            job: task.job_id.0,
        };
        (project, Bearer::Job(upstream))
    }))
}

type Opened = tasuki_store::Result<Option<(Project, Bearer)>>;

async fn start(app: &App, id: &str, asked: Asked, payload: Option<Value>) -> Result<Response, Refused> {
    let missing = |what: &str| Refused::new(StatusCode::BAD_REQUEST, json!({"error": format!("{what} is missing")}));
    if asked.token.is_empty() {
        return Err(missing("token"));
    }
    if asked.git_ref.is_empty() {
        return Err(missing("ref"));
    }
    let (hash, id, now) = (token::digest(&asked.token), id.to_owned(), app.now());
    let found = app.store().read(move |tx| opened(tx, &id, &hash, now)).await;
    let Some((project, bearer)) = found.map_err(|failed| Refused::internal(&failed))? else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "404 Not Found"));
    };
    let variables = variables(asked.variables)?;
    let (source, more) = match bearer {
        Bearer::Trigger(used) => {
            let touched = app.store().write(move |tx| tokens::touch(tx, used, now)).await;
            touched.map_err(|failed| Refused::internal(&failed))?;
            let more = Circumstances {
                by_token: true,
                ..Circumstances::default()
            };
            (Source::Trigger, more)
        }
        Bearer::Job(upstream) => {
            let more = Circumstances {
                upstream: Some(upstream),
                ..Circumstances::default()
            };
            (Source::Pipeline, more)
        }
    };
    let want = Want {
        source,
        git_ref: Some(asked.git_ref),
        commit: None,
        variables,
        inputs: asked.inputs,
        user: None,
        key: None,
        payload,
        more,
    };
    match app.triggers().run(project, want).await.map(first) {
        Ok(Started::New { id, .. } | Started::Existing(id)) => created(app, id).await,
        Ok(Started::None(why)) => Err(Refused::new(StatusCode::BAD_REQUEST, json!({"base": said(why)}))),
        Err(Error::NoRef(_) | Error::Empty) => Err(Refused::new(
            StatusCode::BAD_REQUEST,
            json!({"base": ["Reference not found"]}),
        )),
        Err(failed) => Err(Refused::internal(&failed)),
    }
}

fn variables(given: BTreeMap<String, String>) -> Result<Vec<Variable>, Refused> {
    let named =
        |key: &str| (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if given.len() > MOST_VARIABLES || !given.keys().all(|key| named(key)) {
        let message = "variables needs to be a map of key-valued strings";
        return Err(Refused::new(StatusCode::BAD_REQUEST, message));
    }
    Ok(given
        .into_iter()
        .map(|(key, value)| Variable::plain(&key, value))
        .collect())
}

fn said(why: NoPipeline) -> Vec<String> {
    match why {
        NoPipeline::Missing(_) => vec!["Missing CI config file".to_owned()],
        NoPipeline::Skipped(skip) => vec![skip.title().to_owned()],
        NoPipeline::Unwanted => vec!["no pipeline was wanted".to_owned()],
        NoPipeline::Invalid(found) => found.into_iter().filter(|d| d.is_error()).map(|d| d.message).collect(),
    }
}

/// The pipeline as GitLab shows it.
async fn created(app: &App, id: PipelineId) -> Result<Response, Refused> {
    let row = app.store().read(move |tx| pipelines::get(tx, id)).await;
    let row = row.map_err(|failed| Refused::internal(&failed))?;
    let Some(row) = row else {
        return Err(Refused::new(StatusCode::NOT_FOUND, "404 Not Found"));
    };
    let shown = json!({
        "id": row.id.0, "iid": row.iid, "project_id": row.project_id.0, "sha": row.sha, "ref": row.ref_name,
        "status": row.state, "source": row.source, "tag": row.ref_kind == "tag", "name": row.name,
        "created_at": tasuki_proto::rest::Time(row.created_ms),
        "web_url": format!("{}/pipelines/{}", app.url(), row.id),
    });
    Ok((StatusCode::CREATED, Json(shown)).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_and_json_say_the_same() {
        let mut form = Asked::default();
        form.add_form(b"token=t&ref=main&variables[A]=1&variables[B]=x%20y&inputs[env]=prod&other=z");
        let mut json = Asked::default();
        let text = br#"{"token":"t","ref":"main","variables":{"A":1,"B":"x y"},"inputs":{"env":"prod"},"other":1}"#;
        assert!(json.add_json(text).is_ok());
        assert_eq!(form, json);
        assert_eq!(form.variables.len(), 2);
    }
}
