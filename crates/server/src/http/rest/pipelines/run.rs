//! Starting pipelines on request.

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse as _, Response};
use http::{HeaderMap, StatusCode};
use tasuki_model::id::PipelineId;
use tasuki_model::plan::{Language, Variable};
use tasuki_model::trigger::Source;
use tasuki_pipeline as compiler;
use tasuki_proto::rest::{CompileRequest, Compiled, Diagnostic, LintRequest, NewPipeline, Page, VariableInput};

use super::super::{projects, view};
use super::read;
use crate::app::App;
use crate::http::error::{Code, Problem, Result};
use crate::http::extract::{Json as Body, Name, idempotency_key};
use crate::identity::Caller;
use crate::triggers::{Circumstances, Key, NoPipeline, Planned, Started, Want};

/// Most variables that one request may give.
const MOST_VARIABLES: usize = 200;

/// What somebody asks for.
pub struct Asked {
    pub project: String,
    pub pipeline: NewPipeline,
    pub source: Source,
    pub key: Option<String>,
}

/// `201` for a new pipeline, `200` for one that the same key made before.
pub(super) async fn create(
    State(app): State<App>,
    Name(project): Name,
    caller: Caller,
    headers: HeaderMap,
    Body(pipeline): Body<NewPipeline>,
) -> Result<Response> {
    let key = idempotency_key(&headers)?.map(str::to_owned);
    let made = start(
        &app,
        &caller,
        Asked {
            project,
            pipeline,
            source: Source::Api,
            key,
        },
    )
    .await?;
    let status = if made.fresh {
        StatusCode::CREATED
    } else {
        StatusCode::OK
    };
    let mut answer = read(&app, made.id).await?;
    answer.also = made.also.into_iter().map(|id| id.0).collect();
    Ok((status, Json(answer)).into_response())
}

/// Pipelines that a request made.
pub struct Made {
    pub id: PipelineId,
    /// It is new; else the same key had made it before.
    pub fresh: bool,
    /// Of the project's other configurations.
    pub also: Vec<PipelineId>,
}

/// Starts the pipelines of a project's configurations.
///
/// # Errors
/// There is none to start, and why.
pub async fn start(app: &App, caller: &Caller, asked: Asked) -> Result<Made> {
    let name = asked.project.clone();
    let project = app.store().read_as(move |tx| projects::find(tx, &name)).await?;
    let git_ref = asked.pipeline.git_ref.clone();
    let want = Want {
        key: asked.key.map(|key| Key::request(project.id, &key)),
        ..wanted(caller, asked.pipeline, asked.source)?
    };
    let given = want.variables.clone();
    let (mut ids, mut refused) = (Vec::new(), None);
    for made in app.triggers().run(project, want).await? {
        match made.started {
            Started::New { id, .. } => ids.push((id, true)),
            Started::Existing(id) => {
                same_request(app, id, git_ref.as_deref(), &given).await?;
                ids.push((id, false));
            }
            // Errors say more than that nothing was to be done.
            Started::None(why @ NoPipeline::Invalid(_)) => refused = Some(why),
            Started::None(why) => refused = refused.or(Some(why)),
        }
    }
    let mut ids = ids.into_iter();
    match (ids.next(), refused) {
        (Some((id, fresh)), _) => Ok(Made {
            id,
            fresh,
            also: ids.map(|(id, _)| id).collect(),
        }),
        (None, Some(why)) => Err(none(why)),
        (None, None) => Err(none(NoPipeline::Unwanted)),
    }
}

/// A request, checked.
fn wanted(caller: &Caller, pipeline: NewPipeline, source: Source) -> Result<Want> {
    Ok(Want {
        source,
        git_ref: pipeline.git_ref,
        commit: pipeline.sha,
        variables: variables(pipeline.variables)?,
        inputs: pipeline.inputs.into_iter().collect(),
        user: Some((caller.name.clone(), caller.name.clone(), String::new())),
        key: None,
        payload: None,
        more: Circumstances {
            workflow: pipeline.workflow,
            only: pipeline.language.as_deref().map(language).transpose()?,
            ..Circumstances::default()
        },
    })
}

/// What would come of it.
pub(super) async fn compile(
    State(app): State<App>,
    Name(project): Name,
    caller: Caller,
    Body(request): Body<CompileRequest>,
) -> Result<Json<Page<Compiled>>> {
    let event = request.event.as_deref().unwrap_or("api");
    let source = Source::of_event(event)
        .ok_or_else(|| Problem::invalid("event", format!("{event:?} is nothing that starts a pipeline")))?;
    let mut want = wanted(&caller, request.pipeline, source)?;
    want.more.changed = request.changed;
    let project = app.store().read_as(move |tx| projects::find(tx, &project)).await?;
    let plans = app.triggers().suppose(project, want).await?;
    let shown = |planned: Planned| {
        let plan = planned.output.to_json(planned.language);
        let plan = plan.map_err(|failed| Problem::internal(&failed))?;
        Ok(Compiled {
            config: planned.config,
            plan,
        })
    };
    let plans: Result<Vec<_>> = plans.into_iter().map(shown).collect();
    Ok(Json(Page::whole(plans?)))
}

/// The key was used before: for the same request, or by mistake for another.
async fn same_request(app: &App, id: PipelineId, git_ref: Option<&str>, given: &[Variable]) -> Result<()> {
    let trigger = app.store().read(move |tx| view::trigger(tx, id)).await?;
    let same_ref = git_ref.is_none_or(|name| name == trigger.git_ref.short() || name == trigger.git_ref.full());
    if same_ref && trigger.variables == given {
        return Ok(());
    }
    let detail = format!("it made pipeline {id}, of another ref or with other variables");
    Err(Problem::new(Code::IdempotencyMismatch, detail))
}

/// Variables of a request, checked.
///
/// # Errors
/// A name is not one, or there are too many.
pub(in crate::http::rest) fn variables(given: Vec<VariableInput>) -> Result<Vec<Variable>> {
    if given.len() > MOST_VARIABLES {
        return Err(Problem::invalid("variables", format!("at most {MOST_VARIABLES}")));
    }
    given
        .into_iter()
        .map(|input| {
            let key = input.key;
            let fits = (1..=255).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
            if !fits {
                return Err(Problem::invalid(
                    "variables",
                    format!("{key:?} is no name: use letters, digits and _"),
                ));
            }
            Ok(Variable {
                key,
                value: input.value,
                file: input.file,
                masked: input.masked,
                protected: false,
                raw: input.raw,
            })
        })
        .collect()
}

/// Why there is no pipeline.
pub(in crate::http::rest) fn none(why: NoPipeline) -> Problem {
    match why {
        NoPipeline::Missing(path) => Problem::new(Code::NoPipeline, format!("there is no {path} at this commit")),
        NoPipeline::Skipped(skip) => Problem::new(Code::NoPipeline, skip.title()),
        NoPipeline::Unwanted => Problem::new(Code::NoPipeline, "a push option asks for none"),
        NoPipeline::Invalid(found) => {
            let first = found.iter().find(|d| d.is_error()).or(found.first());
            let detail = first.map_or_else(String::new, |d| {
                format!("{}:{}:{}: {}", d.file, d.line, d.column, d.message)
            });
            let mut problem = Problem::new(Code::InvalidConfig, detail);
            problem.diagnostics = found.iter().map(diagnostic).collect();
            problem
        }
    }
}

/// A finding of the compiler as the API gives it.
fn diagnostic(found: &compiler::Diagnostic) -> Diagnostic {
    Diagnostic {
        severity: found.severity.as_str().to_owned(),
        code: found.code.to_owned(),
        message: found.message.clone(),
        file: found.file.clone(),
        line: found.line,
        column: found.column,
        hint: found.hint.clone(),
        trail: found.trail.clone(),
    }
}

fn language(name: &str) -> Result<Language> {
    let known = [Language::Gitlab, Language::Circleci, Language::Github];
    let found = known.into_iter().find(|language| language.as_str() == name);
    found.ok_or_else(|| Problem::invalid("language", format!("{name:?} is none of gitlab, circleci, github")))
}

/// Checks a text by itself: what it includes from elsewhere cannot be had here, and is told so.
pub(super) async fn lint(Body(request): Body<LintRequest>) -> Result<Json<Vec<Diagnostic>>> {
    let path = request.path.unwrap_or_else(|| ".gitlab-ci.yml".to_owned());
    let lang = match request.lang.as_deref() {
        Some(name) => language(name)?,
        None if path.contains(".circleci/") => Language::Circleci,
        None if path.contains(".github/") => Language::Github,
        None => Language::Gitlab,
    };
    let mut answers = compiler::Answers::new();
    loop {
        match compiler::lint(lang, &path, &request.content, &answers) {
            compiler::Compile::Done(output) => return Ok(Json(output.diagnostics.iter().map(diagnostic).collect())),
            compiler::Compile::Need(requests) => {
                for request in requests {
                    let why = "only the text itself is checked here; use `tasuki lint` in the repository".to_owned();
                    let refusal = compiler::Refusal::Unsupported(why);
                    answers.insert(request, compiler::Answer::Refused(refusal));
                }
            }
        }
    }
}
