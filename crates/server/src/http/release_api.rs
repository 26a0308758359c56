//! GitLab's releases API as far as `release-cli`, which the `release` keyword runs, asks for it: a job that runs makes,
//! reads and changes releases of its own project with its own token. Errors are `{"message": …}`, as GitLab gives them.

use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};
use tasuki_model::id::JobId;
use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::headers::JOB_TOKEN;
use tasuki_proto::rest::{Release, ReleaseLink, Time};
use tasuki_store::projects::Project;
use tasuki_store::releases::{self, Content, NewRelease};
use tasuki_store::{Tx, projects, tasks};

use super::rest::{release_page, view};
use super::trigger_api::Refused;
use crate::app::App;
use crate::identity::token;

/// Characters of a name or tag.
const LONGEST_NAME: usize = 255;
/// Links, or milestones, of one release.
const MOST: usize = 100;
/// Releases in one answer.
const PAGE: u32 = 100;

type Result<T> = std::result::Result<T, Refused>;

/// The routes below `/api/v4`.
pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/projects/{id}/releases", get(list).post(create))
        .route("/projects/{id}/releases/{tag}", get(show).put(change))
}

/// What a request says of a release. Other fields are ignored, as GitLab does.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Asked {
    tag_name: String,
    name: Option<String>,
    description: Option<String>,
    released_at: Option<String>,
    milestones: Option<Vec<String>>,
    assets: Assets,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Assets {
    links: Vec<Link>,
}

#[derive(Debug, Deserialize)]
struct Link {
    name: String,
    url: String,
    #[serde(alias = "direct_asset_path")]
    filepath: Option<String>,
    link_type: Option<String>,
}

fn wrong(message: impl Into<String>) -> Refused {
    Refused::new(StatusCode::BAD_REQUEST, message.into())
}

fn asked(body: &[u8]) -> Result<Asked> {
    let asked: Asked = serde_json::from_slice(body).map_err(|problem| wrong(format!("400 Bad Request: {problem}")))?;
    let milestones = asked.milestones.as_deref().unwrap_or_default();
    if asked.assets.links.len() > MOST || milestones.len() > MOST {
        return Err(wrong(format!(
            "a release has at most {MOST} links and {MOST} milestones"
        )));
    }
    let named = [Some(asked.tag_name.as_str()), asked.name.as_deref()];
    let texts = named.into_iter().flatten().chain(milestones.iter().map(String::as_str));
    if texts.map(|text| text.chars().count()).max() > Some(LONGEST_NAME) {
        return Err(wrong(format!("names have at most {LONGEST_NAME} characters")));
    }
    for link in &asked.assets.links {
        let web = url::Url::parse(&link.url).is_ok_and(|url| matches!(url.scheme(), "http" | "https" | "ftp"));
        if !web {
            return Err(wrong(format!(
                "the link `{}` must be an http, https or ftp address",
                link.name
            )));
        }
    }
    Ok(asked)
}

/// When it counts as released: now, where nothing is said. A day begins at midnight UTC.
fn released(said: Option<&str>, otherwise: Timestamp) -> Result<Timestamp> {
    let Some(text) = said.filter(|text| !text.is_empty()) else {
        return Ok(otherwise);
    };
    let day = || {
        text.parse::<jiff::civil::Date>()
            .ok()?
            .to_zoned(jiff::tz::TimeZone::UTC)
            .ok()
    };
    let at = text.parse().ok().or_else(|| day().map(|day| day.timestamp()));
    let at: jiff::Timestamp = at.ok_or_else(|| wrong("released_at is invalid"))?;
    Ok(Timestamp(at.as_millisecond()))
}

/// The project, where the token is that of one of its jobs that runs. Whether there is such a project is told to nobody
/// else; what a fork brings makes no releases.
fn opened(tx: &mut Tx<'_>, id: &str, hash: &str) -> tasuki_store::Result<Option<(Project, JobId)>> {
    let project = match id.parse() {
        Ok(number) => projects::get(tx, tasuki_model::id::ProjectId(number))?,
        Err(_) => projects::by_path(tx, id)?,
    };
    let task = tasks::by_token_hash(tx, hash)?;
    let (Some(project), Some(task)) = (project, task) else {
        return Ok(None);
    };
    let own = task.project_id == project.id && !view::trigger(tx, task.pipeline_id)?.is_from_fork();
    Ok(own.then_some((project, task.job_id)))
}

async fn open(app: &App, id: String, headers: &HeaderMap) -> Result<(Project, JobId)> {
    let shown = headers.get(JOB_TOKEN).and_then(|value| value.to_str().ok());
    let Some(shown) = shown.filter(|shown| !shown.is_empty()) else {
        let message = "401 Unauthorized: show the job's token in the header JOB-TOKEN";
        return Err(Refused::new(StatusCode::UNAUTHORIZED, message));
    };
    let hash = token::digest(shown);
    let found = app.store().read(move |tx| opened(tx, &id, &hash)).await;
    found.map_err(|failed| Refused::internal(&failed))?.ok_or_else(missing)
}

fn missing() -> Refused {
    Refused::new(StatusCode::NOT_FOUND, "404 Not Found")
}

async fn create(
    State(app): State<App>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Response> {
    let (project, job) = open(&app, id, &headers).await?;
    let asked = asked(&body)?;
    if asked.tag_name.is_empty() {
        return Err(wrong("tag_name is missing"));
    }
    let found = app.triggers().tag(&project, &asked.tag_name).await;
    let Some(commit) = found.map_err(|failed| Refused::internal(&failed))? else {
        let message = format!(
            "the tag `{}` does not exist, and tasuki makes no tags in the repository: push it first (`git tag` and `git push` \
             in the script), or make the release in the pipeline of the tag",
            asked.tag_name
        );
        return Err(Refused::new(StatusCode::UNPROCESSABLE_ENTITY, message));
    };
    let now = app.now();
    let released_ms = released(asked.released_at.as_deref(), now)?;
    let link = |link: Link| ReleaseLink {
        name: link.name,
        url: link.url,
        filepath: link.filepath,
        link_type: link.link_type,
    };
    let links: Vec<ReleaseLink> = asked.assets.links.into_iter().map(link).collect();
    let (links, milestones) = (
        json!(links).to_string(),
        json!(asked.milestones.unwrap_or_default()).to_string(),
    );
    let (tag, url) = (asked.tag_name, app.url().to_owned());
    let made = app.store().write(move |tx| {
        let new = NewRelease {
            project_id: project.id,
            tag: &tag,
            sha: commit.as_str(),
            links_json: &links,
            job_id: job,
            content: Content {
                name: asked.name.as_deref().filter(|name| !name.is_empty()).unwrap_or(&tag),
                description: asked.description.as_deref().unwrap_or_default(),
                milestones_json: &milestones,
                released_ms,
            },
        };
        let Some(id) = releases::create(tx, &new, now)? else {
            return Ok(None);
        };
        let row = releases::get(tx, id)?;
        row.map(|row| view::release(tx, row, &url)).transpose()
    });
    match made.await.map_err(|failed| Refused::internal(&failed))? {
        Some(release) => Ok((StatusCode::CREATED, Json(shown(&release, now))).into_response()),
        None => Err(Refused::new(StatusCode::CONFLICT, "Release already exists")),
    }
}

async fn change(
    State(app): State<App>,
    Path((id, tag)): Path<(String, String)>,
    headers: HeaderMap,
    body: axum::body::Bytes,
) -> Result<Json<Value>> {
    let (project, _) = open(&app, id, &headers).await?;
    let asked = asked(&body)?;
    // Checked before the release is looked for; what is not said stays as it is.
    let said = match &asked.released_at {
        Some(text) => Some(released(Some(text), app.now())?),
        None => None,
    };
    let url = app.url().to_owned();
    let changed = app.store().write(move |tx| {
        let Some(row) = releases::of_tag(tx, project.id, &tag)? else {
            return Ok(None);
        };
        let milestones = asked.milestones.map(|milestones| json!(milestones).to_string());
        let content = Content {
            name: asked.name.as_deref().unwrap_or(&row.name),
            description: asked.description.as_deref().unwrap_or(&row.description),
            milestones_json: milestones.as_deref().unwrap_or(&row.milestones_json),
            released_ms: said.unwrap_or(row.released_ms),
        };
        releases::change(tx, row.id, &content)?;
        let row = releases::get(tx, row.id)?;
        row.map(|row| view::release(tx, row, &url)).transpose()
    });
    let release = changed
        .await
        .map_err(|failed| Refused::internal(&failed))?
        .ok_or_else(missing)?;
    Ok(Json(shown(&release, app.now())))
}

async fn show(
    State(app): State<App>,
    Path((id, tag)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Json<Value>> {
    let (project, _) = open(&app, id, &headers).await?;
    let url = app.url().to_owned();
    let found = app.store().read(move |tx| {
        let row = releases::of_tag(tx, project.id, &tag)?;
        row.map(|row| view::release(tx, row, &url)).transpose()
    });
    let release = found
        .await
        .map_err(|failed| Refused::internal(&failed))?
        .ok_or_else(missing)?;
    Ok(Json(shown(&release, app.now())))
}

async fn list(State(app): State<App>, Path(id): Path<String>, headers: HeaderMap) -> Result<Json<Vec<Value>>> {
    let (project, _) = open(&app, id, &headers).await?;
    let url = app.url().to_owned();
    let page = app
        .store()
        .read(move |tx| release_page(tx, project.id, None, PAGE, &url));
    let page = page.await.map_err(|failed| Refused::internal(&failed))?;
    let now = app.now();
    Ok(Json(page.items.iter().map(|release| shown(release, now)).collect()))
}

/// A release as GitLab shows it.
fn shown(release: &Release, now: Timestamp) -> Value {
    let links: Vec<Value> = release
        .links
        .iter()
        .map(|link| {
            json!({
                "name": link.name, "url": link.url, "direct_asset_url": link.url,
                "link_type": link.link_type.as_deref().unwrap_or("other"),
            })
        })
        .collect();
    let milestones: Vec<Value> = release.milestones.iter().map(|title| json!({"title": title})).collect();
    let short: String = release.sha.chars().take(8).collect();
    json!({
        "tag_name": release.tag, "name": release.name, "description": release.description,
        "created_at": release.created_at, "released_at": release.released_at,
        "upcoming_release": release.released_at > Time(now),
        "commit": {"id": release.sha, "short_id": short},
        "milestones": milestones,
        "assets": {"count": links.len(), "sources": [], "links": links},
        "evidences": [],
        "_links": {"self": release.web_url},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_release_says_is_checked() {
        let check = |body: &str, expected: Option<&str>| {
            let refused = asked(body.as_bytes()).err().map(|refused| refused.1.to_string());
            match expected {
                None => assert_eq!(refused, None, "{body}"),
                Some(part) => assert!(refused.is_some_and(|text| text.contains(part)), "{body}"),
            }
        };
        check(
            r#"{"tag_name":"v1","id":7,"assets":{"links":[{"name":"a","url":"https://x/y","direct_asset_path":"/b"}]}}"#,
            None,
        );
        check("{}", None);
        check("tag_name=v1", Some("400"));
        check(
            r#"{"assets":{"links":[{"name":"a","url":"javascript:alert(1)"}]}}"#,
            Some("http"),
        );
        check(&json!({"tag_name": "v".repeat(256)}).to_string(), Some("255"));
        check(&json!({"milestones": vec!["m"; 101]}).to_string(), Some("100"));
    }

    #[test]
    fn times_are_read() {
        let check = |text: Option<&str>, expected: Option<i64>| {
            let found = released(text, Timestamp(1)).ok().map(|at| at.0);
            assert_eq!(found, expected, "{text:?}");
        };
        check(None, Some(1));
        check(Some(""), Some(1));
        check(Some("1970-01-01T01:00:02+01:00"), Some(2000));
        check(Some("1970-01-02"), Some(86_400_000));
        check(Some("tomorrow"), None);
    }
}
