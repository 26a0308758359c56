//! Pipeline values: `pipeline.…`.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use tasuki_model::trigger::{GitRef, Source, Trigger};

use crate::diag::{Problem, code};
use crate::yaml::{Node, Span, Text};
use crate::{Context, Mode, Session};

use super::parameter::{Declaration, Owner, declarations, fits};
use super::read::scalar;

/// Parameters that a pipeline may be started with.
const MOST_GIVEN: usize = 100;
/// Characters of the value of one.
const LONGEST_GIVEN: usize = 512;

/// All pipeline values by their whole path.
#[derive(Debug, Default)]
pub(super) struct Values(BTreeMap<Text, Node>);

impl Values {
    pub(super) fn get(&self, path: &str) -> Option<&Node> {
        self.0.get(path)
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(|name| &**name)
    }

    fn add(&mut self, path: &str, node: Node) {
        self.0.insert(path.into(), node);
    }

    fn text(&mut self, path: &str, text: impl Into<Text>) {
        self.add(path, Node::string(text, Span::default()));
    }

    fn plain(&mut self, path: &str, text: impl Into<Text>) {
        self.add(path, Node::plain(text, Span::default()));
    }
}

/// The values of the pipeline that is made, and of the parameters of the file.
pub(super) fn of(session: &Session<'_>, root: &Node) -> Values {
    let mut values = Values::default();
    pipeline(session.input.context, &mut values);
    let declared = root
        .get("parameters")
        .map(|node| declarations(session, node, Owner::Pipeline))
        .unwrap_or_default();
    let given = &session.input.context.trigger.inputs;
    check_given(session, given, root);
    for declaration in &declared {
        let path = format!("pipeline.parameters.{}", declaration.name);
        let argument = given.iter().find(|(name, _)| **name == *declaration.name);
        let value = match argument {
            Some((_, json)) if session.mode == Mode::Create => given_value(session, declaration, json, root),
            _ => declaration.default.clone(),
        };
        if let Some(value) = value {
            values.add(&path, value);
        }
    }
    for (name, _) in given {
        if !declared.iter().any(|declaration| *declaration.name == **name) {
            let message = format!("unexpected pipeline parameter `{name}`: the configuration does not declare it");
            let span = root.get("parameters").map_or(root.span, |node| node.span);
            let problem = Problem::new(&code::CIRCLECI_ARGUMENT, span, message);
            session.report(problem.suggest(name, declared.iter().map(|declaration| &*declaration.name)));
        }
    }
    values
}

/// How many parameters there may be, and how long, as CircleCI's API has it.
fn check_given(session: &Session<'_>, given: &[(String, Json)], root: &Node) {
    let span = root.get("parameters").map_or(root.span, |node| node.span);
    let error = |message: String| session.error(&code::CIRCLECI_ARGUMENT, span, message);
    if given.len() > MOST_GIVEN {
        error(format!(
            "{} pipeline parameters: there may be {MOST_GIVEN}",
            given.len()
        ));
    }
    for (name, value) in given {
        let chars = value
            .as_str()
            .map_or_else(|| value.to_string().chars().count(), |text| text.chars().count());
        if chars > LONGEST_GIVEN {
            error(format!(
                "pipeline parameter `{name}` has {chars} characters: there may be {LONGEST_GIVEN}"
            ));
        }
    }
}

fn given_value(session: &Session<'_>, declaration: &Declaration, json: &Json, root: &Node) -> Option<Node> {
    let span = root.get("parameters").map_or(root.span, |node| node.span);
    let quoted = |text: &str| Node::string(text, span);
    let text = match json {
        Json::String(text) => text.clone(),
        other => other.to_string(),
    };
    let node = match &declaration.kind {
        // What a command line takes for a number may be meant as a text.
        super::parameter::Type::String | super::parameter::Type::Enum(_) => quoted(&text),
        _ => Node::plain(text.as_str(), span),
    };
    if let Err(expected) = fits(&declaration.kind, &node) {
        let name = &declaration.name;
        let message = format!("pipeline parameter `{name}` must be {expected}, not `{text}`");
        session.error(&code::CIRCLECI_ARGUMENT, span, message);
        return declaration.default.clone();
    }
    Some(node)
}

/// A string parameter for where it is needed before everything else: in references of orbs.
pub(super) fn parameter_text(session: &Session<'_>, name: &str) -> Option<String> {
    let context = session.input.context;
    if let Some((_, json)) = context.trigger.inputs.iter().find(|(key, _)| key == name) {
        return json.as_str().map(str::to_owned).or_else(|| Some(json.to_string()));
    }
    let root = super::package::read(session, session.input.file, session.input.text)?;
    let default = root.get("parameters")?.get(name)?.get("default")?;
    scalar(default).map(|text| text.to_string())
}

/// Branch and tag of a trigger: of a merge request its source.
pub(super) fn branch_and_tag(trigger: &Trigger) -> (&str, &str) {
    match (&trigger.git_ref, &trigger.merge_request) {
        (GitRef::MergeRequest { .. }, Some(request)) => (&request.source_branch, ""),
        (GitRef::Branch(branch), _) => (branch, ""),
        (GitRef::Tag(tag), _) => ("", tag),
        (GitRef::MergeRequest { .. }, None) => ("", ""),
    }
}

/// A pipeline's id has the form of a UUID: what identifies it here, project and number, in its last parts.
pub(super) fn pipeline_id(context: &Context) -> String {
    let (project, number) = (
        context.project.id.unsigned_abs(),
        context.pipeline.iid.unsigned_abs().max(1),
    );
    format!(
        "{:08x}-0000-4000-8000-{:012x}",
        project & 0xffff_ffff,
        number & 0xffff_ffff_ffff
    )
}

/// Where the project's sources are, as people see it.
pub(super) fn repository_url(context: &Context) -> String {
    if context.project.url.is_empty() {
        format!("{}/{}", context.server.url.trim_end_matches('/'), context.project.path)
    } else {
        context.project.url.clone()
    }
}

fn pipeline(context: &Context, out: &mut Values) {
    let trigger = &context.trigger;
    let (branch, tag) = branch_and_tag(trigger);
    let (owner, name) = context
        .project
        .path
        .rsplit_once('/')
        .unwrap_or(("", &context.project.path));
    let url = repository_url(context);
    out.text("pipeline.id", pipeline_id(context));
    out.plain("pipeline.number", context.pipeline.iid.max(1).to_string());
    out.text("pipeline.name", "");
    out.text("pipeline.definition.id", "");
    out.text("pipeline.integration_source", "");
    out.text("pipeline.project.git_url", url.as_str());
    out.text("pipeline.project.type", "tasuki");
    out.text("pipeline.project.slug", context.project.path.as_str());
    out.text("pipeline.git.branch", branch);
    out.text("pipeline.git.tag", tag);
    out.text("pipeline.git.revision", trigger.commit.sha.as_str());
    out.text("pipeline.git.base_revision", trigger.commit.before_sha.as_str());
    let default = !branch.is_empty() && branch == context.project.default_branch;
    out.plain("pipeline.git.branch.is_default", if default { "true" } else { "false" });
    out.text(
        "pipeline.git.commit.url",
        format!("{url}/commit/{}", trigger.commit.sha),
    );
    let (subject, body) = trigger
        .commit
        .message
        .split_once('\n')
        .unwrap_or((&trigger.commit.message, ""));
    out.text("pipeline.git.commit.subject", subject);
    out.text("pipeline.git.commit.body", body.trim_start());
    let login = trigger.user.as_ref().map_or("", |(login, _, _)| login);
    out.text("pipeline.git.commit.author_login", login);
    out.text("pipeline.git.repo_url", url.as_str());
    out.text("pipeline.git.repo_owner", owner);
    out.text("pipeline.git.repo_name", name);
    out.text("pipeline.git.repo_id", context.project.id.to_string());
    out.text("pipeline.config.file_path", context.project.config_path.as_str());
    out.text("pipeline.config.ref", trigger.git_ref.short());
    out.text("pipeline.config.sha", trigger.commit.sha.as_str());
    out.text("pipeline.config.repository.name", name);
    out.text("pipeline.config.repository.url", url.as_str());
    let source = source(trigger.origin.unwrap_or(trigger.source));
    out.text("pipeline.trigger_source", source);
    out.text("pipeline.trigger.type", source);
    out.text("pipeline.trigger.id", "");
    out.text("pipeline.trigger.name", "");
    let event = match trigger.origin.unwrap_or(trigger.source) {
        Source::MergeRequestEvent | Source::ExternalPullRequestEvent => "pull_request",
        _ => "push",
    };
    out.text("pipeline.event.name", event);
    let action = trigger.merge_request.as_ref().map(|request| request.action.as_str());
    out.text("pipeline.event.action", action.unwrap_or_default());
    out.text("pipeline.schedule.id", "");
    out.text(
        "pipeline.schedule.name",
        trigger.schedule_description.as_deref().unwrap_or_default(),
    );
    trigger_parameters(context, out);
    out.text("pipeline.deploy.component_name", "");
    out.text("pipeline.deploy.environment_name", "");
    out.text("pipeline.deploy.target_version", "");
    events(context, out);
}

/// What started the pipeline, in the words of CircleCI's older ways to say it. What is not known here is empty.
fn trigger_parameters(context: &Context, out: &mut Values) {
    const EMPTY: &str =
        "user_id user_avatar project_id total_commits_count type x_gitlab_event_id is_fork_merge_request";
    let trigger = &context.trigger;
    let commit = &trigger.commit;
    let (branch, _) = branch_and_tag(trigger);
    let (url, (login, name, _)) = (repository_url(context), trigger.user.clone().unwrap_or_default());
    let full_ref = trigger.git_ref.full();
    let repository = context.project.path.rsplit('/').next().unwrap_or_default();
    for integration in ["github_app", "gitlab"] {
        let at = |field: &str| format!("pipeline.trigger_parameters.{integration}.{field}");
        for field in EMPTY.split(' ') {
            out.text(&at(field), "");
        }
        for (field, value) in [
            ("ref", full_ref.as_str()),
            ("branch", branch),
            ("default_branch", &context.project.default_branch),
            ("checkout_sha", &commit.sha),
            ("commit_sha", &commit.sha),
            ("commit_title", commit.message.lines().next().unwrap_or_default()),
            ("commit_message", &commit.message),
            ("commit_timestamp", &commit.timestamp),
            ("commit_author_name", &commit.author_name),
            ("commit_author_email", &commit.author_email),
            ("user_name", &name),
            ("user_username", &login),
            ("repo_name", repository),
            ("repo_url", &url),
            ("web_url", &url),
        ] {
            out.text(&at(field), value);
        }
    }
    let at = |field: &str| format!("pipeline.trigger_parameters.circleci.{field}");
    let received = jiff::Timestamp::from_millisecond(context.pipeline.created_at.0)
        .ok()
        .filter(|at| at.as_millisecond() > 0)
        .map(|at| at.to_string())
        .unwrap_or_default();
    let source = source(trigger.origin.unwrap_or(trigger.source));
    out.text(&at("event_time"), received.as_str());
    out.text(&at("event_type"), "");
    out.text(&at("trigger_type"), source);
    out.text(&at("trigger_id"), "");
    out.text(&at("actor_id"), login.as_str());
    out.text(&at("project_id"), context.project.id.to_string());
    out.text("pipeline.trigger.received_at", received);
}

/// What a forge's event says, in GitHub's words; nothing where the event has no such thing.
fn events(context: &Context, out: &mut Values) {
    const EVENT: &str = "pipeline.event.github";
    let trigger = &context.trigger;
    let said = |pointer: &str| {
        let found = trigger.payload.as_ref().and_then(|payload| payload.pointer(pointer));
        found.and_then(Json::as_str).unwrap_or_default()
    };
    let or = |said: &str, known: &str| {
        if said.is_empty() {
            known.to_owned()
        } else {
            said.to_owned()
        }
    };
    let (owner, name) = context
        .project
        .path
        .rsplit_once('/')
        .unwrap_or(("", &context.project.path));
    let login = trigger.user.as_ref().map_or("", |(login, _, _)| login);
    out.text(&format!("{EVENT}.ref"), trigger.git_ref.full());
    out.text(&format!("{EVENT}.after"), trigger.commit.sha.as_str());
    out.text(&format!("{EVENT}.label"), said("/label/name"));
    out.text(&format!("{EVENT}.head_commit.url"), said("/head_commit/url"));
    out.text(&format!("{EVENT}.comment.body"), said("/comment/body"));
    out.text(&format!("{EVENT}.sender.login"), or(said("/sender/login"), login));
    out.text(&format!("{EVENT}.sender.type"), said("/sender/type"));
    out.text(&format!("{EVENT}.sender.avatar_url"), said("/sender/avatar_url"));
    out.text(&format!("{EVENT}.repository.name"), or(said("/repository/name"), name));
    let url = or(said("/repository/html_url"), &repository_url(context));
    out.text(&format!("{EVENT}.repository.url"), url);
    out.text(
        &format!("{EVENT}.repository.owner.login"),
        or(said("/repository/owner/login"), owner),
    );
    let body = trigger
        .payload
        .as_ref()
        .filter(|_| trigger.by_token)
        .map(Json::to_string);
    out.text("pipeline.trigger_parameters.webhook.body", body.unwrap_or_default());

    let base = format!("{EVENT}.pull_request");
    let Some(request) = &trigger.merge_request else {
        let fields = "number title url draft merged head.ref head.sha base.ref base.sha";
        for field in fields.split(' ') {
            out.text(&format!("{base}.{field}"), "");
        }
        return;
    };
    let flag = |flag: bool| if flag { "true" } else { "false" };
    out.plain(&format!("{base}.number"), request.iid.to_string());
    out.text(&format!("{base}.title"), request.title.as_str());
    out.text(&format!("{base}.url"), said("/pull_request/html_url"));
    out.plain(&format!("{base}.draft"), flag(request.draft));
    out.plain(&format!("{base}.merged"), flag(request.merged));
    out.text(&format!("{base}.head.ref"), request.source_branch.as_str());
    out.text(&format!("{base}.head.sha"), request.source_sha.as_str());
    out.text(&format!("{base}.base.ref"), request.target_branch.as_str());
    out.text(&format!("{base}.base.sha"), request.target_sha.as_str());
}

fn source(source: Source) -> &'static str {
    match source {
        Source::Push | Source::MergeRequestEvent | Source::ExternalPullRequestEvent | Source::External => "webhook",
        Source::Schedule => "scheduled_pipeline",
        Source::Api
        | Source::Trigger
        | Source::Web
        | Source::Webide
        | Source::Chat
        | Source::Pipeline
        | Source::ParentPipeline => "api",
    }
}
