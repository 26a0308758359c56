//! Whom a container runs as.
//!
//! The container's context goes before the pod's, and both before the job: what an administrator wrote down is not
//! checked, what a job asks for is. The helper never runs as the job's user.

use crate::config::kubernetes::KubernetesConfig;

/// User and group that a job may choose for its containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct JobUser {
    pub(super) user: Option<i64>,
    pub(super) group: Option<i64>,
}

/// Reads `uid[:gid]`. What is wrong or not allowed is left out, and said in `warnings`.
pub(super) fn job_user(config: &KubernetesConfig, text: Option<&str>, warnings: &mut Vec<String>) -> JobUser {
    let text = text.unwrap_or_default();
    let (user, group) = text.split_once(':').unwrap_or((text, ""));
    let mut allowed = |read: Result<Option<i64>, String>| {
        read.unwrap_or_else(|warning| {
            warnings.push(warning);
            None
        })
    };
    JobUser {
        user: allowed(check(user, &config.allowed_users, ("user", "UID"))),
        group: allowed(check(group, &config.allowed_groups, ("group", "GID"))),
    }
}

fn check(text: &str, list: &[String], (what, id): (&str, &str)) -> Result<Option<i64>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    let number: i64 = text
        .parse()
        .map_err(|_| format!("failed to parse {id} {text:?}: the job's {what} has to be a number; it is ignored"))?;
    if number < 0 {
        return Err(format!(
            "failed to parse {id} {text:?}: negative numbers are not allowed; it is ignored"
        ));
    }
    let listed = list.iter().any(|one| one.parse() == Ok(number));
    // Nobody becomes root by an empty list.
    if listed || (list.is_empty() && number != 0) {
        Ok(Some(number))
    } else {
        Err(format!(
            "{what} \"{number}\" is not in the allowed list (allowed_{what}s); it is ignored"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Covers: GK-USR-05
    /// Covers: GK-USR-07
    /// Covers: GK-USR-10
    /// Covers: GK-USR-11
    /// Covers: GK-USR-12
    /// Covers: GK-USR-13
    /// Covers: GK-USR-14
    /// Covers: GK-USR-16
    /// Covers: GK-USR-17
    /// Covers: GK-USR-18
    /// Covers: GK-USR-19
    /// Covers: GK-USR-20
    /// Covers: GK-USR-21
    #[test]
    fn job_users_are_numbers_that_are_allowed() {
        let check = |users: &[&str], groups: &[&str], text: &str, wanted: (Option<i64>, Option<i64>), said: &[&str]| {
            let owned = |list: &[&str]| list.iter().map(|&one| one.to_owned()).collect();
            let config = KubernetesConfig {
                allowed_users: owned(users),
                allowed_groups: owned(groups),
                ..KubernetesConfig::default()
            };
            let mut warnings = Vec::new();
            let user = job_user(&config, Some(text), &mut warnings);
            assert_eq!((user.user, user.group), wanted, "{text}");
            assert_eq!(warnings.len(), said.len(), "{warnings:?}");
            for (warning, said) in warnings.iter().zip(said) {
                assert!(warning.contains(said), "{warning} has not {said}");
            }
        };
        check(&[], &[], "", (None, None), &[]);
        check(&[], &[], "1000", (Some(1000), None), &[]);
        check(&[], &[], "1000:1001", (Some(1000), Some(1001)), &[]);
        check(&[], &[], ":1001", (None, Some(1001)), &[]);
        check(&[], &[], "user", (None, None), &["failed to parse UID"]);
        check(&[], &[], "1000:users", (Some(1000), None), &["failed to parse GID"]);
        check(&[], &[], "1000:1:2", (Some(1000), None), &["failed to parse GID"]);
        check(&[], &[], "-1:-2", (None, None), &["negative", "negative"]);
        check(
            &[],
            &[],
            "0:0",
            (None, None),
            &["user \"0\" is not in the allowed list", "group \"0\" is not in the"],
        );
        check(&["0"], &["0"], "0:0", (Some(0), Some(0)), &[]);
        check(
            &["1001"],
            &[],
            "1000:7",
            (None, Some(7)),
            &["user \"1000\" is not in the allowed list"],
        );
        check(
            &["1000"],
            &["1000"],
            "1000:1001",
            (Some(1000), None),
            &["group \"1001\" is not in the allowed list"],
        );
    }
}
