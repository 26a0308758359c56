//! What the runner's configuration lets jobs do: images, privileges, users, pull policies.

use globset::GlobBuilder;
use tasuki_model::plan::PullPolicy;
use tasuki_model::reason::FailureReason;

use crate::executor::{Error, Result};

/// Whether one of the patterns is the name. `*` does not cross a slash, `**` does; a pattern that is none matches nothing.
pub(super) fn matches(patterns: &[String], name: &str) -> bool {
    patterns.iter().any(|pattern| {
        GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .is_ok_and(|glob| glob.compile_matcher().is_match(name))
    })
}

/// Refuses an image that no pattern allows. No pattern allows all; the runner's own images need none.
pub(super) fn check_image(key: &str, patterns: &[String], name: &str, own: &[&str]) -> Result<()> {
    if patterns.is_empty() || own.contains(&name) || matches(patterns, name) {
        return Ok(());
    }
    let message = format!(
        "the image {name:?} is not allowed on this runner ({key}): it matches none of {}",
        patterns.join(", ")
    );
    Err(Error::job(FailureReason::RunnerConfigurationError, message))
}

/// Whether a container of this image is privileged.
pub(super) fn privileged(wanted: bool, patterns: &[String], name: &str) -> bool {
    wanted && (patterns.is_empty() || matches(patterns, name))
}

/// Whom a container runs as: the runner's `user` before the job's, which must be one of `allowed_users` where there are
/// some. `None` = the image's own.
pub(super) fn user(runner: &str, allowed: &[String], job: Option<&str>) -> Result<Option<String>> {
    let job = job.filter(|user| !user.is_empty());
    let chosen = if runner.is_empty() { job } else { Some(runner) };
    match chosen {
        Some(user) if runner.is_empty() && !allowed.is_empty() && !allowed.iter().any(|one| one == user) => {
            let message = format!(
                "the user {user:?} is not allowed on this runner (allowed_users): it is none of {}",
                allowed.join(", ")
            );
            Err(Error::job(FailureReason::RunnerConfigurationError, message))
        }
        other => Ok(other.map(str::to_owned)),
    }
}

/// The policies to try in order: the job's, else the runner's, without those that are not allowed. Repeating one is asking
/// for another try.
pub(super) fn pull_policies(job: &[PullPolicy], runner: &[&str], allowed: &[String]) -> Result<Vec<PullPolicy>> {
    let chosen = pull_policies_or(job, runner, allowed, Some(PullPolicy::Always))?;
    Ok(chosen.into_iter().flatten().collect())
}

/// The same where a runner that names no policy means `usual`; `None` leaves it to whoever pulls.
pub(super) fn pull_policies_or(
    job: &[PullPolicy],
    runner: &[&str],
    allowed: &[String],
    usual: Option<PullPolicy>,
) -> Result<Vec<Option<PullPolicy>>> {
    let parse = |key: &str, words: &[&str]| -> Result<Vec<Option<PullPolicy>>> {
        words
            .iter()
            .map(|word| {
                policy(word).map(Some).ok_or_else(|| {
                    Error::configuration(
                        format!("{key} names the pull policy {word:?}"),
                        "write always, if-not-present or never",
                    )
                })
            })
            .collect()
    };
    let mut own = parse("pull_policy", runner)?;
    if own.is_empty() {
        own.push(usual);
    }
    let words: Vec<&str> = allowed.iter().map(String::as_str).collect();
    let mut permitted = parse("allowed_pull_policies", &words)?;
    if permitted.is_empty() {
        permitted.clone_from(&own);
    }
    let job: Vec<Option<PullPolicy>> = job.iter().copied().map(Some).collect();
    let wanted = if job.is_empty() { own } else { job };
    let chosen: Vec<Option<PullPolicy>> = wanted.iter().copied().filter(|one| permitted.contains(one)).collect();
    if chosen.is_empty() {
        let word = |policy: &Option<PullPolicy>| policy.map_or("the cluster's own", word);
        let names = |list: &[Option<PullPolicy>]| list.iter().map(word).collect::<Vec<_>>().join(", ");
        let message = format!(
            "the pull policy {} is not allowed on this runner (allowed_pull_policies): allowed are {}",
            names(&wanted),
            names(&permitted)
        );
        return Err(Error::job(FailureReason::RunnerConfigurationError, message));
    }
    Ok(chosen)
}

fn policy(word: &str) -> Option<PullPolicy> {
    match word {
        "always" => Some(PullPolicy::Always),
        "if-not-present" => Some(PullPolicy::IfNotPresent),
        "never" => Some(PullPolicy::Never),
        _ => None,
    }
}

/// The policy as it is written.
pub(super) fn word(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if-not-present",
        PullPolicy::Never => "never",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owned(list: &[&str]) -> Vec<String> {
        list.iter().map(|&one| one.to_owned()).collect()
    }

    #[test]
    fn images_match_whole_names() {
        for (patterns, name, allowed) in [
            (&[][..], "anything", true),
            (&["ruby:*"][..], "ruby:3.3", true),
            (&["ruby:*"], "ruby", false),
            (&["ruby:*"], "evil/ruby:1", false),
            (&["my.registry:5000/*:*"], "my.registry:5000/a:1", true),
            (&["my.registry:5000/*:*"], "my.registry:5000/a/b:1", false),
            (&["my.registry:5000/**/*:*"], "my.registry:5000/a/b:1", true),
            (&["["], "[", false),
            (&["x"], "default:1", true),
        ] {
            let checked = check_image("allowed_images", &owned(patterns), name, &["default:1"]);
            assert_eq!(checked.is_ok(), allowed, "{patterns:?} {name}");
        }
        assert!(privileged(true, &[], "a"));
        assert!(!privileged(true, &owned(&["docker:*-dind"]), "ruby:3"));
        assert!(privileged(true, &owned(&["docker:*-dind"]), "docker:27-dind"));
        assert!(!privileged(false, &[], "a"));
    }

    #[test]
    fn policies_keep_the_jobs_order() {
        use PullPolicy::{Always, IfNotPresent, Never};
        let check = |job: &[PullPolicy], runner: &[&str], allowed: &[&str], wanted: Option<&[PullPolicy]>| {
            let chosen = pull_policies(job, runner, &owned(allowed)).ok();
            assert_eq!(chosen.as_deref(), wanted, "{job:?} {runner:?} {allowed:?}");
        };
        check(&[], &[], &[], Some(&[Always]));
        check(&[], &["always", "if-not-present"], &[], Some(&[Always, IfNotPresent]));
        check(&[Never], &[], &[], None);
        check(
            &[Never, Always],
            &["always"],
            &["always", "never"],
            Some(&[Never, Always]),
        );
        check(
            &[IfNotPresent, Always, Always],
            &[],
            &["always"],
            Some(&[Always, Always]),
        );
        check(&[], &["sometimes"], &[], None);
    }

    #[test]
    fn the_runners_user_wins() {
        let check = |runner: &str, allowed: &[&str], job: Option<&str>, wanted: Option<Option<&str>>| {
            let chosen = user(runner, &owned(allowed), job).ok();
            assert_eq!(
                chosen,
                wanted.map(|user| user.map(str::to_owned)),
                "{runner} {allowed:?} {job:?}"
            );
        };
        check("", &[], None, Some(None));
        check("", &[], Some("1000"), Some(Some("1000")));
        check("", &["1000"], Some("root"), None);
        check("", &["1000"], Some("1000"), Some(Some("1000")));
        check("ci", &["1000"], Some("root"), Some(Some("ci")));
    }
}
