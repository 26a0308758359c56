//! The form that starts a pipeline by hand: branch, variables, and what each configuration asks for.

use askama::Template;
use axum::extract::{Query, State};
use axum::response::{IntoResponse as _, Redirect};
use axum::routing::{get, post};
use axum::{Form, Router};
use serde::Deserialize;
use serde_json::{Map, Value};
use tasuki_model::id::ProjectId;
use tasuki_model::trigger::Source;
use tasuki_proto::rest::{self as api, NewPipeline, VariableInput};
use tasuki_store::projects;

use super::frame::{self, Frame, Result, not_found};
use crate::app::App;
use crate::http::extract::Id;
use crate::http::rest::{self, Asked};
use crate::identity::Caller;

pub(super) fn router() -> Router<App> {
    Router::new()
        .route("/projects/{id}/run", get(show))
        .route("/projects/{id}/pipelines", post(run))
}

#[derive(Template)]
#[template(path = "run.html")]
struct RunPage {
    frame: Frame,
    project: String,
    url: String,
    git_ref: String,
    forms: Vec<Sheet>,
}

/// The form of one configuration.
struct Sheet {
    title: String,
    file: String,
    language: String,
    /// To be sent back, where the file is a workflow.
    workflow: Option<String>,
    fields: Vec<Entry>,
}

struct Entry {
    /// `input.NAME` or `variable.NAME`.
    id: String,
    name: String,
    kind: &'static str,
    options: Vec<String>,
    description: String,
    value: String,
    required: bool,
}

impl Entry {
    fn new(group: &str, field: api::FormField) -> Self {
        let mut options = field.options;
        let kind = match field.kind.as_str() {
            "boolean" => {
                options = ["true", "false"].map(str::to_owned).to_vec();
                "select"
            }
            "choice" => "select",
            "number" => "number",
            _ => "text",
        };
        if kind == "select" && field.default.is_none() {
            options.insert(0, String::new());
        }
        Self {
            id: format!("{group}.{}", field.name),
            name: field.name,
            kind,
            options,
            description: field.description.unwrap_or_default(),
            value: field.default.unwrap_or_default(),
            required: field.required,
        }
    }
}

impl Sheet {
    fn new(form: api::Form) -> Self {
        let inputs = form.inputs.into_iter().map(|field| Entry::new("input", field));
        let variables = form.variables.into_iter().map(|field| Entry::new("variable", field));
        Self {
            title: form.workflow.clone().unwrap_or_else(|| form.file.clone()),
            workflow: (form.language == "github").then(|| form.file.clone()),
            file: form.file,
            language: form.language,
            fields: inputs.chain(variables).collect(),
        }
    }
}

#[derive(Deserialize)]
struct Place {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

async fn show(State(app): State<App>, caller: Caller, Id(id): Id, Query(place): Query<Place>) -> Result {
    let found = app.store().read(move |tx| projects::get(tx, ProjectId(id))).await?;
    let Some(project) = found else {
        return Err(not_found("project"));
    };
    let git_ref = place.git_ref.filter(|name| !name.trim().is_empty());
    let git_ref = git_ref.unwrap_or_else(|| project.default_branch.clone());
    let forms = rest::forms_of(&app, id.to_string(), Some(git_ref.trim())).await?;
    Ok(frame::page(&RunPage {
        frame: Frame::new("projects", &caller),
        project: project.path,
        url: format!("/projects/{id}"),
        git_ref,
        forms: forms.into_iter().map(Sheet::new).collect(),
    }))
}

/// What a browser sends: `ref`, `language`, `workflow`, `input.NAME`, `variable.NAME`, and one more variable as `key` and
/// `value`.
async fn run(State(app): State<App>, caller: Caller, Id(id): Id, Form(fields): Form<Vec<(String, String)>>) -> Result {
    let asked = Asked {
        project: id.to_string(),
        pipeline: asked_for(fields),
        source: Source::Web,
        key: None,
    };
    let made = rest::start_pipeline(&app, &caller, asked).await?;
    Ok(Redirect::to(&format!("/pipelines/{}", made.id)).into_response())
}

/// A field that was left empty is not given: its default counts.
fn asked_for(fields: Vec<(String, String)>) -> NewPipeline {
    let mut pipeline = NewPipeline::default();
    let (mut inputs, mut key, mut value) = (Map::new(), String::new(), String::new());
    let variable = |key: &str, value: String| VariableInput {
        key: key.to_owned(),
        value,
        file: false,
        masked: false,
        raw: false,
    };
    for (name, text) in fields {
        let given = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
        match name.as_str() {
            "ref" => pipeline.git_ref = given,
            "language" => pipeline.language = given,
            "workflow" => pipeline.workflow = given,
            "key" => key = given.unwrap_or_default(),
            "value" => value = text,
            _ if text.is_empty() => {}
            _ => match (name.strip_prefix("input."), name.strip_prefix("variable.")) {
                (Some(input), _) => {
                    inputs.insert(input.to_owned(), Value::from(text));
                }
                (None, Some(name)) => pipeline.variables.push(variable(name, text)),
                (None, None) => {}
            },
        }
    }
    if !key.is_empty() {
        pipeline.variables.push(variable(&key, value));
    }
    pipeline.inputs = inputs;
    pipeline
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_gives_what_was_filled_in() {
        let sent = [
            ("ref", " main "),
            ("workflow", ".github/workflows/deploy.yml"),
            ("input.where", "live"),
            ("input.note", ""),
            ("variable.MODE", "quick"),
            ("key", "EXTRA"),
            ("value", " kept as it is "),
            ("other", "x"),
        ];
        let sent = sent.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let asked = asked_for(sent.to_vec());
        assert_eq!(asked.git_ref.as_deref(), Some("main"));
        assert_eq!(asked.workflow.as_deref(), Some(".github/workflows/deploy.yml"));
        assert_eq!(Value::from(asked.inputs), serde_json::json!({"where": "live"}));
        let variables: Vec<_> = asked
            .variables
            .iter()
            .map(|v| (v.key.as_str(), v.value.as_str()))
            .collect();
        assert_eq!(variables, [("MODE", "quick"), ("EXTRA", " kept as it is ")]);
        assert_eq!(asked.language, None);
    }
}
