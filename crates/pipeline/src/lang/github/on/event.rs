//! The events there are.

use super::super::fields;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Span};

const PULL_REQUEST: &[&str] = &[
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "opened",
    "edited",
    "closed",
    "reopened",
    "synchronize",
    "converted_to_draft",
    "locked",
    "unlocked",
    "enqueued",
    "dequeued",
    "milestoned",
    "demilestoned",
    "ready_for_review",
    "review_requested",
    "review_request_removed",
    "auto_merge_enabled",
    "auto_merge_disabled",
];
const CREATED_EDITED_DELETED: &[&str] = &["created", "edited", "deleted"];
const ISSUES: &[&str] = &[
    "opened",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "closed",
    "reopened",
    "assigned",
    "unassigned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "milestoned",
    "demilestoned",
    "typed",
    "untyped",
    "field_added",
    "field_removed",
];
const DISCUSSION: &[&str] = &[
    "created",
    "edited",
    "deleted",
    "transferred",
    "pinned",
    "unpinned",
    "labeled",
    "unlabeled",
    "locked",
    "unlocked",
    "category_changed",
    "answered",
    "unanswered",
];
const RELEASE: &[&str] = &[
    "published",
    "unpublished",
    "created",
    "edited",
    "deleted",
    "prereleased",
    "released",
];
const BRANCHES: &[&str] = &["branches", "branches-ignore"];
const BRANCHES_AND_PATHS: &[&str] = &["branches", "branches-ignore", "paths", "paths-ignore"];
const REFS_AND_PATHS: &[&str] = &[
    "branches",
    "branches-ignore",
    "tags",
    "tags-ignore",
    "paths",
    "paths-ignore",
];

/// An event: its name, its types (none: it has no `types`), its other keys.
pub(super) struct Event {
    pub(super) name: &'static str,
    pub(super) types: &'static [&'static str],
    pub(super) keys: &'static [&'static str],
}

const fn event(name: &'static str, types: &'static [&'static str], keys: &'static [&'static str]) -> Event {
    Event { name, types, keys }
}

/// Every event of GitHub. tasuki starts workflows by five of them; the others are checked and never come.
pub(super) const EVENTS: &[Event] = &[
    event("push", &[], REFS_AND_PATHS),
    event("pull_request", PULL_REQUEST, BRANCHES_AND_PATHS),
    event("pull_request_target", PULL_REQUEST, BRANCHES_AND_PATHS),
    event("workflow_dispatch", &[], &["inputs"]),
    event("workflow_call", &[], &["inputs", "secrets", "outputs"]),
    event("schedule", &[], &[]),
    event("pull_request_review", &["submitted", "edited", "dismissed"], &[]),
    event("pull_request_review_comment", CREATED_EDITED_DELETED, &[]),
    event("merge_group", &["checks_requested"], BRANCHES),
    event("repository_dispatch", &["*"], &[]),
    event(
        "workflow_run",
        &["requested", "in_progress", "completed"],
        &["workflows", "branches", "branches-ignore"],
    ),
    event("release", RELEASE, &[]),
    event("issues", ISSUES, &[]),
    event("issue_comment", CREATED_EDITED_DELETED, &[]),
    event("discussion", DISCUSSION, &[]),
    event("discussion_comment", CREATED_EDITED_DELETED, &[]),
    event("label", CREATED_EDITED_DELETED, &[]),
    event("milestone", &["created", "closed", "opened", "edited", "deleted"], &[]),
    event(
        "check_run",
        &["created", "rerequested", "completed", "requested_action"],
        &[],
    ),
    event("check_suite", &["completed"], &[]),
    event("branch_protection_rule", CREATED_EDITED_DELETED, &[]),
    event("registry_package", &["published", "updated"], &[]),
    event("watch", &["started"], &[]),
    event("image_version", &["ready"], &["names", "versions"]),
    event("project", &["created", "closed", "reopened", "edited", "deleted"], &[]),
    event(
        "project_card",
        &["created", "moved", "converted", "edited", "deleted"],
        &[],
    ),
    event("project_column", &["created", "updated", "moved", "deleted"], &[]),
    event("create", &[], &[]),
    event("delete", &[], &[]),
    event("deployment", &[], &[]),
    event("deployment_status", &[], &[]),
    event("fork", &[], &[]),
    event("gollum", &[], &[]),
    event("page_build", &[], &[]),
    event("public", &[], &[]),
    event("status", &[], &[]),
];

/// The event of that name, or a finding.
pub(super) fn find(session: &Session<'_>, name: &str, span: Span) -> Option<&'static Event> {
    let found = EVENTS.iter().find(|event| event.name == name);
    if found.is_none() {
        let message = format!("`{name}` is no event");
        session.report(Problem::new(&code::GITHUB_VALUE, span, message).suggest(name, EVENTS.iter().map(|e| e.name)));
    }
    found
}

/// `types`, checked against those of the event.
pub(super) fn types(session: &Session<'_>, event: &Event, node: &Node) -> Vec<String> {
    let mut found = Vec::new();
    for item in fields::one_or_many(node) {
        let Some(name) = fields::plain(session, item, &"a type of an event") else {
            continue;
        };
        if event.types != ["*"] && !event.types.contains(&name) {
            let message = format!("`{name}` is no type of `{}`", event.name);
            session.report(
                Problem::new(&code::GITHUB_VALUE, item.span, message)
                    .hint(format!("it may be {}", event.types.join(", ")))
                    .suggest(name, event.types.iter().copied()),
            );
        }
        found.push(name.to_owned());
    }
    found
}
