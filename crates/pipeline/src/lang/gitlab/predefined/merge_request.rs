//! `CI_MERGE_REQUEST_…`.

use tasuki_model::trigger::MergeRequest;

use super::{Set, flag};

/// Characters of the description that a variable holds.
const DESCRIPTION_MAX: usize = 2_700;

pub(super) fn variables(request: &MergeRequest, out: &mut Set) {
    let merged = request.event_type != "detached" && !request.event_type.is_empty();
    let sha = |sha: &str| if merged { sha.to_owned() } else { String::new() };
    out.add("CI_MERGE_REQUEST_ID", request.id.to_string());
    out.add("CI_MERGE_REQUEST_IID", request.iid.to_string());
    out.add(
        "CI_MERGE_REQUEST_REF_PATH",
        format!("refs/merge-requests/{}/head", request.iid),
    );
    out.add("CI_MERGE_REQUEST_PROJECT_PATH", &request.target_project);
    out.add("CI_MERGE_REQUEST_PROJECT_URL", &request.target_project_url);
    out.add("CI_MERGE_REQUEST_TARGET_BRANCH_NAME", &request.target_branch);
    out.add(
        "CI_MERGE_REQUEST_TARGET_BRANCH_PROTECTED",
        flag(request.target_protected),
    );
    out.add("CI_MERGE_REQUEST_TARGET_BRANCH_SHA", sha(&request.target_sha));
    out.add("CI_MERGE_REQUEST_SOURCE_PROJECT_PATH", &request.source_project);
    out.add("CI_MERGE_REQUEST_SOURCE_PROJECT_URL", &request.source_project_url);
    out.add("CI_MERGE_REQUEST_SOURCE_BRANCH_NAME", &request.source_branch);
    out.add(
        "CI_MERGE_REQUEST_SOURCE_BRANCH_PROTECTED",
        flag(request.source_protected),
    );
    out.add("CI_MERGE_REQUEST_SOURCE_BRANCH_SHA", sha(&request.source_sha));
    out.add_prose("CI_MERGE_REQUEST_TITLE", &request.title);
    out.add("CI_MERGE_REQUEST_DRAFT", flag(request.draft));
    let description: String = request.description.chars().take(DESCRIPTION_MAX).collect();
    let truncated = description.len() < request.description.len();
    out.add_prose("CI_MERGE_REQUEST_DESCRIPTION", description);
    out.add("CI_MERGE_REQUEST_DESCRIPTION_IS_TRUNCATED", flag(truncated));
    if !request.assignees.is_empty() {
        out.add("CI_MERGE_REQUEST_ASSIGNEES", request.assignees.join(", "));
    }
    out.add_some("CI_MERGE_REQUEST_MILESTONE", request.milestone.as_deref());
    if !request.labels.is_empty() {
        out.add("CI_MERGE_REQUEST_LABELS", request.labels.join(","));
    }
    out.add("CI_MERGE_REQUEST_SQUASH_ON_MERGE", flag(request.squash));
    out.add("CI_MERGE_REQUEST_APPROVED", flag(request.approved));
    out.add_text("CI_MERGE_REQUEST_DIFF_BASE_SHA", &request.diff_base_sha);
    out.add(
        "CI_MERGE_REQUEST_EVENT_TYPE",
        if request.event_type.is_empty() {
            "detached"
        } else {
            &request.event_type
        },
    );
}
