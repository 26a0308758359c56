//! What a job asks of its runner beyond running scripts.

use tasuki_model::plan::{self, AllowFailure};
use tasuki_model::trigger::GitRef;
use tasuki_proto::gitlab::{ArtifactFormat, Features, JobResponse, Secret, feature};

use super::Facts;

/// The first feature that the job needs and the runner lacks. Such a job is not given to it: it would run, and do
/// something else than what is written.
pub(super) fn lacking(facts: &Facts<'_>, payload: &JobResponse, features: &Features) -> Option<&'static str> {
    needed(facts, payload)
        .into_iter()
        .filter_map(|(name, is_needed)| is_needed.then_some(name))
        .find(|name| !features.has(name))
}

fn needed(facts: &Facts<'_>, payload: &JobResponse) -> [(&'static str, bool); 10] {
    let files = &payload.artifacts;
    let reports = files.iter().any(|file| file.artifact_type != "archive");
    let steps = payload.steps.iter().filter(|step| step.name != "after_script").count();
    [
        (feature::UPLOAD_MULTIPLE_ARTIFACTS, reports || files.len() > 1),
        (
            feature::UPLOAD_RAW_ARTIFACTS,
            files.iter().any(|file| file.artifact_format == ArtifactFormat::Raw),
        ),
        (
            feature::ARTIFACTS_EXCLUDE,
            files.iter().any(|file| !file.exclude.is_empty()),
        ),
        (
            feature::FALLBACK_CACHE_KEYS,
            payload.cache.iter().any(|cache| !cache.fallback_keys.is_empty()),
        ),
        (feature::MULTI_BUILD_STEPS, steps > 1),
        (feature::RETURN_EXIT_CODE, looks_at_exit_codes(facts.job)),
        (
            feature::REFSPECS,
            matches!(facts.context.trigger.git_ref, GitRef::MergeRequest { .. }),
        ),
        (feature::VAULT_SECRETS, payload.secrets.values().any(from_vault)),
        (feature::NATIVE_STEPS_INTEGRATION, !payload.run.is_empty()),
        (feature::JOB_INPUTS, !payload.inputs.is_empty()),
    ]
}

fn looks_at_exit_codes(job: &plan::Job) -> bool {
    matches!(job.allow_failure, AllowFailure::ExitCodes { .. }) || !job.retry.exit_codes.is_empty()
}

fn from_vault(secret: &Secret) -> bool {
    secret.vault.is_some()
}
