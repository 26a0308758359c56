//! The variables that a job starts with, and its scripts.

use tasuki_proto::gitlab::{JobResponse, JobVariable, Step};

use super::host::{Host, Slot, go_architecture};
use super::options::{flag, runner_flags};
use super::variables::{Variables, truth};
use crate::config::{ShellWord, UnknownWord};
use crate::executor::{Paths, Shell, ShellKind};
use crate::script;

/// File that scripts write `KEY=value` lines into for those after them.
const ENV_FILE: &str = "gitlab_runner_env";

/// All variables of a job in order of precedence. Folders are known once the sandbox is made.
pub(super) fn variables(
    host: &Host,
    job: &JobResponse,
    slot: Slot,
    timeout_s: u64,
    paths: Option<&Paths>,
) -> Variables {
    let mut all = Variables::default();
    for (name, value) in runner_flags(&host.config) {
        all.set(name, value.to_string());
    }
    if !job.image.name.is_empty() {
        all.set("CI_JOB_IMAGE", &job.image.name);
    }
    all.set("CI_RUNNER_SHORT_TOKEN", host.config.short_token());
    for entry in &host.config.environment {
        let (key, value) = entry.split_once('=').unwrap_or((entry, ""));
        all.set(key.trim(), value);
    }
    if let Some(paths) = paths {
        all.set_files(&paths.temp);
        all.set("CI_BUILDS_DIR", paths.builds.display().to_string());
        all.set("CI_PROJECT_DIR", paths.project.display().to_string());
    }
    all.set("CI_CONCURRENT_ID", slot.runner.to_string());
    all.set("CI_CONCURRENT_PROJECT_ID", slot.project.to_string());
    all.set("CI_SERVER", "yes");
    all.set("CI_JOB_STATUS", "running");
    all.set("CI_JOB_TIMEOUT", timeout_s.to_string());
    tls(host, &mut all);
    for variable in &job.variables {
        all.push(variable.clone());
    }
    let shared = host.info.features.has(tasuki_proto::gitlab::feature::SHARED);
    all.set(
        if shared {
            "CI_SHARED_ENVIRONMENT"
        } else {
            "CI_DISPOSABLE_ENVIRONMENT"
        },
        "true",
    );
    all.set("CI_RUNNER_VERSION", &host.info.version);
    all.set("CI_RUNNER_REVISION", &host.info.revision);
    all.set(
        "CI_RUNNER_EXECUTABLE_ARCH",
        format!("{}/{}", std::env::consts::OS, go_architecture()),
    );
    if let Some(paths) = paths {
        all.set("RUNNER_TEMP_PROJECT_DIR", paths.temp.display().to_string());
        all.set("GITLAB_ENV", paths.temp.join(ENV_FILE).display().to_string());
    }
    all
}

/// The server's certificates, for the job's own tools.
fn tls(host: &Host, all: &mut Variables) {
    let files = host.client.transport().tls_files();
    let named = [
        ("CI_SERVER_TLS_CA_FILE", &files.ca),
        ("CI_SERVER_TLS_CERT_FILE", &files.cert),
        ("CI_SERVER_TLS_KEY_FILE", &files.key),
    ];
    for (key, file) in named {
        if let Some(value) = file.as_ref().and_then(|path| std::fs::read_to_string(path).ok()) {
            all.push(JobVariable {
                file: true,
                raw: true,
                ..JobVariable::public(key, value)
            });
        }
    }
}

/// The lines of a step: the runner's `pre_build_script` and `post_build_script` share the shell of `script`.
pub(super) fn lines(host: &Host, step: &Step) -> Vec<String> {
    let mut lines = Vec::with_capacity(step.script.len() + 2);
    let own = step.name == "script" && !step.script.is_empty();
    if own && !host.config.pre_build_script.is_empty() {
        lines.push(host.config.pre_build_script.clone());
    }
    lines.extend(step.script.iter().cloned());
    if own && !host.config.post_build_script.is_empty() {
        lines.push(host.config.post_build_script.clone());
    }
    lines
}

/// The text that runs `lines`.
pub(super) fn text(host: &Host, job: &JobResponse, variables: &Variables, lines: &[String]) -> String {
    let debug = variables.is_true("CI_DEBUG_TRACE") && !host.config.debug_trace_disabled;
    script::script(
        lines,
        &script::Options {
            trace: debug,
            sections: job.features.trace_sections && flag("FF_SCRIPT_SECTIONS", &host.config, variables),
            check_exit_codes: flag("FF_ENABLE_BASH_EXIT_CODE_CHECK", &host.config, variables),
            env_file: Some(variables.value("GITLAB_ENV")).filter(|file| !file.is_empty()),
        },
    )
}

/// The shell of the runner's configuration.
pub(super) fn shell(host: &Host) -> Result<Shell, UnknownWord> {
    let kind = match host.config.shell.parse()? {
        ShellWord::Detect => ShellKind::Detect,
        ShellWord::Bash => ShellKind::Bash,
        ShellWord::Sh => ShellKind::Sh,
    };
    Ok(Shell { kind, login: false })
}

/// Whether the log may hold secrets that debugging prints.
pub(super) fn debugs(host: &Host, job: &JobResponse) -> bool {
    let on = |key: &str| {
        job.variables
            .iter()
            .rev()
            .find(|variable| variable.key == key)
            .and_then(|variable| truth(&variable.value))
            .unwrap_or(false)
    };
    !host.config.debug_trace_disabled && (on("CI_DEBUG_TRACE") || on("CI_DEBUG_SERVICES"))
}
