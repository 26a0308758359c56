//! The list of runners.

use askama::Template;
use axum::Router;
use axum::extract::State;
use axum::routing::get;
use tasuki_proto::rest::Runner;
use tasuki_store::runners;

use super::frame::{self, Frame, Result};
use super::show::StatusView;
use crate::app::App;
use crate::http::rest::view;
use crate::identity::Caller;

pub(super) fn router() -> Router<App> {
    Router::new().route("/runners", get(list))
}

#[derive(Template)]
#[template(path = "runners.html")]
struct RunnersPage {
    frame: Frame,
    server_url: String,
    runners: Vec<Row>,
}

struct Row {
    id: i64,
    name: String,
    about: String,
    status: StatusView,
    tags: String,
    running: u64,
    contact: Option<String>,
}

async fn list(State(app): State<App>, caller: Caller) -> Result {
    let now = app.now();
    let runners = app
        .store()
        .read(move |tx| {
            runners::all(tx)?
                .iter()
                .map(|row| view::runner(tx, row, now))
                .collect::<tasuki_store::Result<Vec<_>>>()
        })
        .await?;
    Ok(frame::page(&RunnersPage {
        frame: Frame::new("runners", &caller).live("/api/v1/events"),
        server_url: app.url().to_owned(),
        runners: runners.into_iter().map(row).collect(),
    }))
}

fn row(runner: Runner) -> Row {
    let status = match (runner.paused, runner.online) {
        (true, _) => StatusView {
            class: "manual",
            word: "paused",
        },
        (false, true) => StatusView {
            class: "success",
            word: "online",
        },
        (false, false) => StatusView {
            class: "created",
            word: "offline",
        },
    };
    let newest = runner.managers.first();
    let about = newest.map_or_else(
        || "no process yet".to_owned(),
        |m| {
            format!(
                "{} {} on {}/{}",
                if m.tasuki { "tasuki" } else { "gitlab-runner" },
                m.version,
                m.platform,
                m.architecture
            )
        },
    );
    let mut tags = runner.tags.join(", ");
    if runner.run_untagged {
        tags = if tags.is_empty() {
            "jobs without tags".to_owned()
        } else {
            format!("{tags} and jobs without tags")
        };
    }
    Row {
        id: runner.id,
        name: if runner.name.is_empty() {
            format!("Runner {}", runner.id)
        } else {
            runner.name
        },
        about,
        status,
        tags,
        running: runner.running,
        contact: runner.contacted_at.map(|at| at.to_string()),
    }
}
