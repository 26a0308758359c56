//! The section itself: defaults, words, odd values.

use std::time::Duration;

use tasuki_runner::config::{Environment, lint};
use tasuki_runner::executor::kubernetes::Settings;

use super::golden::case;

fn settings(section: &str) -> Settings {
    Settings::new(&case("section", section).config()).unwrap_or_else(|error| panic!("{section}: {error}"))
}

/// Covers: GK-CFG-45
/// Covers: GK-CFG-46
/// Covers: GK-CFG-48
/// Covers: GK-CHK-04
#[test]
fn defaults() {
    let found = settings("");
    assert_eq!(
        (found.poll_interval, found.poll_timeout),
        (Duration::from_secs(3), Duration::from_secs(180))
    );
    assert_eq!(found.cleanup_timeout, Duration::from_secs(300));
    assert_eq!(
        (found.retry.limit, found.retry.backoff_max),
        (5, Duration::from_secs(2))
    );
    assert_eq!((found.availability_attempts, found.print_warning_events), (0, true));
    assert_eq!((found.pod_grace, found.cleanup_grace), (None, None));
    assert_eq!(found.warnings, Vec::<String>::new());
}

/// Covers: GK-CFG-16
/// Covers: GK-CFG-49
/// Covers: GK-CFG-61
/// Covers: GK-CFG-62
/// Covers: GK-CFG-67
#[test]
fn values() {
    for (text, seconds) in [("1h30m", 5400), ("300s", 300), ("10m", 600)] {
        let found = settings(&format!("cleanup_resources_timeout = \"{text}\""));
        assert_eq!(found.cleanup_timeout, Duration::from_secs(seconds), "{text}");
    }
    for (millis, wanted, warnings) in [(0, 2000, 0), (100, 500, 1), (500, 500, 0), (9000, 9000, 0)] {
        let found = settings(&format!("retry_backoff_max = {millis}"));
        assert_eq!(found.retry.backoff_max, Duration::from_millis(wanted), "{millis}");
        assert_eq!(found.warnings.len(), warnings, "{millis}");
    }
    for (attempts, wanted) in [(0, 0), (3, 3), (-1, 5)] {
        let found = settings(&format!("resource_availability_check_max_attempts = {attempts}"));
        assert_eq!(found.availability_attempts, wanted, "{attempts}");
    }
    let old = settings(
        "terminationGracePeriodSeconds = 7\ncleanup_grace_period_seconds = 1\npod_termination_grace_period_seconds = 2",
    );
    assert_eq!((old.pod_grace, old.cleanup_grace), (Some(7), Some(7)));
    assert!(old.warnings[0].contains("deprecated"), "{:?}", old.warnings);
    let new = settings("cleanup_grace_period_seconds = 1\npod_termination_grace_period_seconds = 2");
    assert_eq!((new.pod_grace, new.cleanup_grace), (Some(2), Some(1)));
    let limits = settings("retry_limit = 3\n[runners.kubernetes.retry_limits]\n\"exceeded quota\" = 20");
    assert_eq!(
        (limits.retry.limit, limits.retry.limits),
        (3, vec![("exceeded quota".to_owned(), 20)])
    );
}

/// The example of GitLab's documentation.
///
/// Covers: GK-CFGX-01
/// Covers: GK-CFGX-04
/// Covers: GK-CFGX-05
/// Covers: GK-CFGX-06
/// Covers: GK-CFGX-07
/// Covers: GK-CFGX-08
/// Covers: GK-CFGX-10
#[test]
fn gitlabs_example() {
    let text = include_str!("example.toml");
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::write(&path, text).unwrap();
    let file = tasuki_runner::config::ConfigFile::load(&path).unwrap();
    let config = file.config(&Environment::default()).unwrap();
    assert_eq!(file.unknown().len(), 0, "{:?}", file.unknown());
    assert_eq!(
        (config.concurrent, config.listen_address.as_deref()),
        (4, Some(":9252"))
    );
    assert_eq!(config.session_server.map(|server| server.session_timeout), Some(1800));
    let runner = &config.runners[0];
    assert_eq!((runner.id, runner.shell.as_str()), (1, "bash"));
    assert!(runner.token_obtained_at.is_some() && runner.token_expires_at.is_some());
    let found = Settings::new(runner).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(
        (found.namespace.as_str(), found.poll_timeout),
        ("gitlab", Duration::from_secs(3600))
    );
    assert_eq!(found.config.host, "https://45.67.34.123:4892");
    assert_eq!(found.config.cert_file, "/etc/ssl/kubernetes/api.crt");
    let empty = Settings::new(&config.runners[1]).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(empty.namespace, "default");
}

/// Covers: GK-CFGX-12
/// Covers: GK-CFG-22
/// Covers: GK-USR-08
#[test]
fn lint_says_what_is_odd() {
    let text = "[[runners]]\nname = \"a\"\nurl = \"http://h\"\ntoken = \"t\"\nexecutor = \"shell\"\n[runners.kubernetes]\nallowPrivilegeEscalation = true\n\
                cpu_limt = \"1\"\nhelper_image_flavor = \"debian\"\nmemory_limit = \"1 GB\"\nallowed_users = [\"root\"]\nPull_Policy = \"sometimes\"\n\
                [runners.kubernetes.pod_security_context]\nrun_as_user = \"root\"\n[[runners.kubernetes.volumes.pvc]]\nname = \"p\"\nmount = \"/m\"\n";
    let found: Vec<String> = lint(text, &Environment::default())
        .iter()
        .map(ToString::to_string)
        .collect();
    insta::assert_snapshot!("lint", found.join("\n"));
}
