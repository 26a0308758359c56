//! A `[[runners]]` section from flags.

use toml::{Table, Value};

use super::args::RunnerArgs;
use super::custom_args::custom_section;
use super::docker_args::docker_section;

/// The flags that were given as keys of config.toml.
pub(super) fn section(args: &RunnerArgs) -> Table {
    let mut table = Table::new();
    let mut text = |key: &str, value: Option<&str>| set_text(&mut table, key, value);
    let path = |path: &Option<std::path::PathBuf>| path.as_ref().map(|path| path.display().to_string());
    text("name", args.name.as_deref());
    text("url", args.url.as_deref());
    text("token", args.token.as_deref());
    text("tls-ca-file", path(&args.tls_ca_file).as_deref());
    text("tls-cert-file", path(&args.tls_cert_file).as_deref());
    text("tls-key-file", path(&args.tls_key_file).as_deref());
    text("executor", args.executor.as_deref());
    text("builds_dir", args.builds_dir.as_deref());
    text("cache_dir", args.cache_dir.as_deref());
    text("clone_url", args.clone_url.as_deref());
    text("shell", args.shell.as_deref());
    text("pre_get_sources_script", args.pre_get_sources_script.as_deref());
    text("post_get_sources_script", args.post_get_sources_script.as_deref());
    text("pre_build_script", args.pre_build_script.as_deref());
    text("post_build_script", args.post_build_script.as_deref());
    text("unhealthy_interval", args.unhealthy_interval.as_deref());
    let mut number = |key: &str, value: Option<u64>| set_number(&mut table, key, value);
    number("limit", args.limit.map(u64::from));
    number("request_concurrency", args.request_concurrency.map(u64::from));
    number("output_limit", args.output_limit);
    number("unhealthy_requests_limit", args.unhealthy_requests_limit.map(u64::from));
    number(
        "job_status_final_update_retry_limit",
        args.job_status_final_update_retry_limit.map(u64::from),
    );
    set_list(&mut table, "environment", &args.environment);
    if args.debug_trace_disabled {
        table.insert("debug_trace_disabled".to_owned(), Value::Boolean(true));
    }
    for (key, section) in [
        ("docker", docker_section(&args.docker)),
        ("kubernetes", args.kubernetes.section().clone()),
        ("custom", custom_section(&args.custom)),
    ] {
        if !section.is_empty() {
            table.insert(key.to_owned(), Value::Table(section));
        }
    }
    table
}

/// Sets a key where the flag was given.
pub(super) fn set_text(table: &mut Table, key: &str, value: Option<&str>) {
    if let Some(value) = value {
        table.insert(key.to_owned(), Value::String(value.to_owned()));
    }
}

/// The same; what TOML has no number for is left out.
pub(super) fn set_number(table: &mut Table, key: &str, value: Option<u64>) {
    if let Some(value) = value.and_then(|value| i64::try_from(value).ok()) {
        table.insert(key.to_owned(), Value::Integer(value));
    }
}

/// The same of a flag that may be repeated.
pub(super) fn set_list(table: &mut Table, key: &str, values: &[String]) {
    if !values.is_empty() {
        let values = values.iter().cloned().map(Value::String).collect();
        table.insert(key.to_owned(), Value::Array(values));
    }
}
