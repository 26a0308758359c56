//! Names of the keys: for matching whatever the case, and for finding misspelled ones.

use std::borrow::Cow;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::Place;

/// A key that nothing reads. Ignored by gitlab-runner and by us; `lint` reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// `runners[0].buids_dir`.
    pub path: String,
    pub place: Place,
    /// The known key that looks most like it.
    pub hint: Option<&'static str>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Shape {
    /// A value, or a section whose keys are free.
    Any,
    /// A section, or a list of sections, with these keys.
    Keys(&'static [(&'static str, Shape)]),
}

use Shape::{Any, Keys};

use super::docker_keys::DOCKER;
use super::kubernetes::KUBERNETES;

const ROOT: &[(&str, Shape)] = &[
    ("concurrent", Any),
    ("check_interval", Any),
    ("log_level", Any),
    ("log_format", Any),
    ("user", Any),
    ("sentry_dsn", Any),
    ("connection_max_age", Any),
    ("listen_address", Any),
    ("shutdown_timeout", Any),
    ("labels", Any),
    (
        "session_server",
        Keys(&[
            ("listen_address", Any),
            ("advertise_address", Any),
            ("session_timeout", Any),
        ]),
    ),
    ("machine", Keys(&[("shutdown_drain", Any)])),
    ("experimental", Any),
    ("runners", Keys(RUNNER)),
];

const RUNNER: &[(&str, Shape)] = &[
    ("name", Any),
    ("url", Any),
    ("id", Any),
    ("token", Any),
    ("token_obtained_at", Any),
    ("token_expires_at", Any),
    ("tls-ca-file", Any),
    ("tls-cert-file", Any),
    ("tls-key-file", Any),
    ("executor", Any),
    ("limit", Any),
    ("request_concurrency", Any),
    ("strict_check_interval", Any),
    ("output_limit", Any),
    ("unhealthy_requests_limit", Any),
    ("unhealthy_interval", Any),
    ("job_status_final_update_retry_limit", Any),
    ("builds_dir", Any),
    ("cache_dir", Any),
    ("clone_url", Any),
    ("environment", Any),
    ("shell", Any),
    ("labels", Any),
    ("pre_get_sources_script", Any),
    ("post_get_sources_script", Any),
    ("pre_clone_script", Any),
    ("post_clone_script", Any),
    ("pre_build_script", Any),
    ("post_build_script", Any),
    ("prepare_timeout", Any),
    ("get_sources_timeout", Any),
    ("debug_trace_disabled", Any),
    ("safe_directory_checkout", Any),
    ("clean_git_config", Any),
    ("proxy_exec", Any),
    ("custom_build_dir", Keys(&[("enabled", Any)])),
    ("feature_flags", Any),
    ("referees", Any),
    (
        "artifact",
        Keys(&[("upload_timeout", Any), ("response_header_timeout", Any)]),
    ),
    ("monitoring", Any),
    ("use_slot_cgroups", Any),
    ("slot_cgroup_template", Any),
    ("step_runner_image", Any),
    ("cache", Keys(CACHE)),
    ("ssh", Keys(SSH)),
    ("custom", Keys(CUSTOM)),
    ("docker", Keys(DOCKER)),
    ("machine", Any),
    ("autoscaler", Any),
    ("kubernetes", Keys(KUBERNETES)),
    (
        "instance",
        Keys(&[("allowed_images", Any), ("use_common_build_dir", Any)]),
    ),
    ("parallels", Any),
    ("virtualbox", Any),
    ("experimental", Any),
];

const CACHE: &[(&str, Shape)] = &[
    ("Type", Any),
    ("Path", Any),
    ("Shared", Any),
    ("MaxUploadedArchiveSize", Any),
    ("s3", Keys(S3)),
    (
        "gcs",
        Keys(&[
            ("AccessID", Any),
            ("PrivateKey", Any),
            ("CredentialsFile", Any),
            ("BucketName", Any),
            ("UniverseDomain", Any),
        ]),
    ),
    (
        "azure",
        Keys(&[
            ("AccountName", Any),
            ("AccountKey", Any),
            ("ContainerName", Any),
            ("StorageDomain", Any),
        ]),
    ),
];

const S3: &[(&str, Shape)] = &[
    ("ServerAddress", Any),
    ("AccessKey", Any),
    ("SecretKey", Any),
    ("SessionToken", Any),
    ("BucketName", Any),
    ("BucketLocation", Any),
    ("Insecure", Any),
    ("AuthenticationType", Any),
    ("ServerSideEncryption", Any),
    ("ServerSideEncryptionKeyID", Any),
    ("DualStack", Any),
    ("PathStyle", Any),
    ("Accelerate", Any),
    ("RoleARN", Any),
    ("UploadRoleARN", Any),
    ("AssumeRoleMaxConcurrency", Any),
    ("DisableAssumeRoleCredentialsCaching", Any),
];

const SSH: &[(&str, Shape)] = &[
    ("user", Any),
    ("password", Any),
    ("host", Any),
    ("port", Any),
    ("identity_file", Any),
    ("disable_strict_host_key_checking", Any),
    ("known_hosts_file", Any),
];

const CUSTOM: &[(&str, Shape)] = &[
    ("config_exec", Any),
    ("config_args", Any),
    ("config_exec_timeout", Any),
    ("prepare_exec", Any),
    ("prepare_args", Any),
    ("prepare_exec_timeout", Any),
    ("run_exec", Any),
    ("run_args", Any),
    ("cleanup_exec", Any),
    ("cleanup_args", Any),
    ("cleanup_exec_timeout", Any),
    ("graceful_kill_timeout", Any),
    ("force_kill_timeout", Any),
];

/// Renames keys that match only without their case, and gives the unknown ones.
pub(super) fn normalise(table: &mut DeTable<'_>, text: &str) -> Vec<Unknown> {
    let mut unknown = Vec::new();
    Walk {
        text,
        unknown: &mut unknown,
    }
    .keys(table, ROOT, "");
    unknown
}

struct Walk<'a> {
    text: &'a str,
    unknown: &'a mut Vec<Unknown>,
}

impl Walk<'_> {
    fn keys(&mut self, table: &mut DeTable<'_>, known: &'static [(&'static str, Shape)], path: &str) {
        let names: Vec<(String, usize)> = table
            .keys()
            .map(|key| (key.get_ref().to_string(), key.span().start))
            .collect();
        for (name, at) in names {
            let exact = known.iter().find(|(key, _)| *key == name);
            let found = exact.or_else(|| {
                // An exact match elsewhere in the table goes before one that differs in case.
                known
                    .iter()
                    .find(|(key, _)| key.eq_ignore_ascii_case(&name) && !table.contains_key(*key))
            });
            let Some((key, shape)) = found else {
                self.unknown.push(Unknown {
                    path: format!("{path}{name}"),
                    place: Place::of(self.text, at),
                    hint: nearest(&name, known.iter().map(|(key, _)| *key)),
                });
                continue;
            };
            if *key != name
                && let Some((old, value)) = table.remove_entry(name.as_str())
            {
                table.insert(Spanned::new(old.span(), Cow::Borrowed(*key)), value);
            }
            if let (Keys(below), Some(value)) = (shape, table.get_mut(*key)) {
                self.descend(value.get_mut(), below, &format!("{path}{key}"));
            }
        }
    }

    fn descend(&mut self, value: &mut DeValue<'_>, known: &'static [(&'static str, Shape)], path: &str) {
        match value {
            DeValue::Table(table) => self.keys(table, known, &format!("{path}.")),
            DeValue::Array(items) => {
                for (index, item) in items.iter_mut().enumerate() {
                    self.descend(item.get_mut(), known, &format!("{path}[{index}]"));
                }
            }
            DeValue::String(_)
            | DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_) => {}
        }
    }
}

/// The known word with the smallest edit distance, where that is at most two.
pub(super) fn nearest(name: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|key| (distance(name, key), key))
        .filter(|(distance, _)| *distance <= 2)
        .min()
        .map(|(_, key)| key)
}

fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right) in b.iter().enumerate() {
            let cost = diagonal + usize::from(left != *right);
            diagonal = row[j + 1];
            row[j + 1] = cost.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}
