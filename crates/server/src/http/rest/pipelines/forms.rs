//! What may be given when a pipeline is started by hand.

use axum::Json;
use axum::extract::State;
use serde::Deserialize;
use tasuki_pipeline::form::{Field, FieldKind, Form};
use tasuki_proto::rest;

use super::super::projects;
use crate::app::App;
use crate::http::error::Result;
use crate::http::extract::{Name, Params};

#[derive(Deserialize)]
pub(super) struct Place {
    #[serde(rename = "ref")]
    git_ref: Option<String>,
}

pub(super) async fn list(
    State(app): State<App>,
    Name(project): Name,
    Params(place): Params<Place>,
) -> Result<Json<rest::Page<rest::Form>>> {
    let forms = of_project(&app, project, place.git_ref.as_deref()).await?;
    Ok(Json(rest::Page::whole(forms)))
}

/// The forms of a project's configurations at a ref; absent = the default branch.
///
/// # Errors
/// There is no such project or ref.
pub async fn of_project(app: &App, project: String, git_ref: Option<&str>) -> Result<Vec<rest::Form>> {
    let project = app.store().read_as(move |tx| projects::find(tx, &project)).await?;
    let forms = app.triggers().forms(project, git_ref).await?;
    Ok(forms.into_iter().map(view).collect())
}

fn view(form: Form) -> rest::Form {
    rest::Form {
        language: form.language.as_str().to_owned(),
        file: form.file,
        workflow: form.workflow,
        inputs: form.inputs.into_iter().map(field).collect(),
        variables: form.variables.into_iter().map(field).collect(),
    }
}

fn field(field: Field) -> rest::FormField {
    let (kind, options) = match field.kind {
        FieldKind::Text => ("text", Vec::new()),
        FieldKind::Boolean => ("boolean", Vec::new()),
        FieldKind::Number => ("number", Vec::new()),
        FieldKind::Choice(options) => ("choice", options),
        FieldKind::List => ("list", Vec::new()),
    };
    rest::FormField {
        name: field.name,
        kind: kind.to_owned(),
        options,
        description: field.description,
        default: field.default,
        required: field.required,
    }
}
