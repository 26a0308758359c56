//! `CI_PIPELINE_…`, `CI_COMMIT_…`.

use tasuki_model::plan::Variable;
use tasuki_model::trigger::{GitRef, Source};

use super::project::Address;
use super::{Set, flag, time};
use crate::Context;
use crate::lang::gitlab::slug::slug;

/// Bytes of a commit message that a variable holds.
const MESSAGE_MAX: usize = 100_000;
/// Characters from which on a title is too long to stand for itself.
const LONG_TITLE: usize = 100;

pub(super) fn pipeline(context: &Context, name: Option<&str>, out: &mut Set) {
    let (trigger, pipeline) = (&context.trigger, &context.pipeline);
    out.add("CI_PIPELINE_SOURCE", trigger.source.as_str());
    if pipeline.iid > 0 {
        out.add("CI_PIPELINE_IID", pipeline.iid.to_string());
    }
    if pipeline.created_at.0 > 0 {
        out.add_some("CI_PIPELINE_CREATED_AT", time(pipeline.created_at));
    }
    out.add_some("CI_PIPELINE_NAME", name);
    out.add_some(
        "CI_PIPELINE_SCHEDULE_DESCRIPTION",
        trigger.schedule_description.as_deref(),
    );
    if let Some(upstream) = &trigger.upstream {
        out.add("CI_UPSTREAM_PIPELINE_ID", upstream.pipeline.to_string());
        out.add("CI_UPSTREAM_PROJECT_ID", upstream.project.to_string());
        out.add("CI_UPSTREAM_JOB_ID", upstream.job.to_string());
    }
    if pipeline.triggered || trigger.by_token {
        out.add("CI_PIPELINE_TRIGGERED", "true");
        if let Some(payload) = &trigger.payload {
            let mut variable = Variable::plain("TRIGGER_PAYLOAD", payload.to_string());
            variable.file = true;
            out.list.push(variable);
        }
    }
    let project = &context.project;
    out.add(
        "CI_CONFIG_REF_URI",
        format!(
            "{}/{}//{}@{}",
            Address::of(&context.server.url).fqdn,
            project.path,
            project.config_path,
            trigger.git_ref.full()
        ),
    );
}

pub(super) fn commit(context: &Context, out: &mut Set) {
    let (trigger, commit) = (&context.trigger, &context.trigger.commit);
    out.add("CI_COMMIT_SHA", &commit.sha);
    out.add("CI_COMMIT_SHORT_SHA", commit.sha.chars().take(8).collect::<String>());
    out.add("CI_COMMIT_BEFORE_SHA", before(context));
    let name = ref_name(context);
    out.add("CI_COMMIT_REF_NAME", &name);
    out.add("CI_COMMIT_REF_SLUG", slug(&name));
    match &trigger.git_ref {
        GitRef::Branch(branch) if trigger.merge_request.is_none() => out.add("CI_COMMIT_BRANCH", branch),
        GitRef::Tag(tag) => {
            out.add("CI_COMMIT_TAG", tag);
            out.add_prose(
                "CI_COMMIT_TAG_MESSAGE",
                commit.tag_message.as_deref().unwrap_or_default(),
            );
        }
        GitRef::Branch(_) | GitRef::MergeRequest { .. } => {}
    }
    out.add("CI_COMMIT_REF_PROTECTED", flag(context.pipeline.protected_ref));
    let message = cut(&commit.message);
    let (title, description) = message.split_once('\n').unwrap_or((message, ""));
    out.add_prose("CI_COMMIT_MESSAGE", message);
    out.add_prose("CI_COMMIT_TITLE", title.trim_end());
    // A long title is repeated in the description, as GitLab does.
    let description = if title.chars().count() >= LONG_TITLE {
        message
    } else {
        description
    };
    out.add_prose(
        "CI_COMMIT_DESCRIPTION",
        description.strip_suffix('\n').unwrap_or(description),
    );
    if message.len() < commit.message.len() {
        out.add("CI_COMMIT_MESSAGE_IS_TRUNCATED", "true");
    } else {
        out.add("CI_COMMIT_MESSAGE_IS_TRUNCATED", "false");
    }
    if !commit.author_name.is_empty() || !commit.author_email.is_empty() {
        out.add_prose(
            "CI_COMMIT_AUTHOR",
            format!("{} <{}>", commit.author_name, commit.author_email),
        );
    }
    out.add("CI_COMMIT_TIMESTAMP", &commit.timestamp);
    let open = &context.pipeline.open_merge_requests;
    if !open.is_empty() {
        out.add("CI_OPEN_MERGE_REQUESTS", open[..open.len().min(4)].join(","));
    }
}

/// Zeros for merge requests, new refs, schedules and whatever a person or a program started.
fn before(context: &Context) -> String {
    let trigger = &context.trigger;
    let known = matches!(trigger.source, Source::Push | Source::ParentPipeline | Source::Webide);
    if known && !trigger.commit.before_sha.is_empty() && trigger.merge_request.is_none() {
        trigger.commit.before_sha.clone()
    } else {
        "0".repeat(trigger.commit.sha.len().max(40))
    }
}

/// The source branch in merge request pipelines, although their git ref is `refs/merge-requests/…`.
fn ref_name(context: &Context) -> String {
    match (&context.trigger.git_ref, &context.trigger.merge_request) {
        (GitRef::MergeRequest { .. }, Some(request)) => request.source_branch.clone(),
        (git_ref, _) => git_ref.short(),
    }
}

fn cut(message: &str) -> &str {
    let mut end = message.len().min(MESSAGE_MAX);
    while !message.is_char_boundary(end) {
        end -= 1;
    }
    &message[..end]
}
