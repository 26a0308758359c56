//! A `[[runners]]` section from flags.

use toml::{Table, Value};

use super::args::RunnerArgs;
use super::custom_args::custom_section;
use super::docker_args::docker_section;

/// The flags that were given as keys of config.toml.
pub(super) fn section(args: &RunnerArgs) -> Table {
    let mut table = Table::new();
    let mut text = |key: &str, value: Option<String>| {
        if let Some(value) = value {
            table.insert(key.to_owned(), Value::String(value));
        }
    };
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    text("name", args.name.clone());
    text("url", args.url.clone());
    text("token", args.token.clone());
    text("tls-ca-file", path(&args.tls_ca_file));
    text("tls-cert-file", path(&args.tls_cert_file));
    text("tls-key-file", path(&args.tls_key_file));
    text("executor", args.executor.clone());
    text("builds_dir", args.builds_dir.clone());
    text("cache_dir", args.cache_dir.clone());
    text("clone_url", args.clone_url.clone());
    text("shell", args.shell.clone());
    text("pre_get_sources_script", args.pre_get_sources_script.clone());
    text("post_get_sources_script", args.post_get_sources_script.clone());
    text("pre_build_script", args.pre_build_script.clone());
    text("post_build_script", args.post_build_script.clone());
    text("unhealthy_interval", args.unhealthy_interval.clone());
    let mut number = |key: &str, value: Option<u64>| {
        if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
            table.insert(key.to_owned(), Value::Integer(value));
        }
    };
    number("limit", args.limit.map(u64::from));
    number("request_concurrency", args.request_concurrency.map(u64::from));
    number("output_limit", args.output_limit);
    number("unhealthy_requests_limit", args.unhealthy_requests_limit.map(u64::from));
    number(
        "job_status_final_update_retry_limit",
        args.job_status_final_update_retry_limit.map(u64::from),
    );
    if !args.environment.is_empty() {
        let entries = args.environment.iter().cloned().map(Value::String).collect();
        table.insert("environment".to_owned(), Value::Array(entries));
    }
    if args.debug_trace_disabled {
        table.insert("debug_trace_disabled".to_owned(), Value::Boolean(true));
    }
    for (key, section) in [
        ("docker", docker_section(&args.docker)),
        ("custom", custom_section(&args.custom)),
    ] {
        if !section.is_empty() {
            table.insert(key.to_owned(), Value::Table(section));
        }
    }
    table
}
