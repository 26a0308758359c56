//! The steps of a job.

use std::fmt::Write as _;

use tasuki_model::plan::{Release, Step, StepKind, StepWhen};

use crate::lang::gitlab::entry::Build;

/// `before_script` and `script` are one step, so that they share one shell; then the release, then `after_script`,
/// which runs whatever happened.
pub(super) fn steps(build: &Build) -> Vec<Step> {
    let after = build.after_script.as_deref().filter(|lines| !lines.is_empty());
    let others = [build.script.is_some(), build.release.is_some(), after.is_some()];
    let others = others.into_iter().filter(|is_there| *is_there).count();
    // Exactly: a step is large, and most jobs have one.
    let mut steps = Vec::with_capacity(build.run.len() + others);
    for (name, definition) in &build.run {
        steps.push(named(
            name,
            StepKind::Native {
                definition: definition.clone(),
            },
        ));
    }
    if let Some(script) = &build.script {
        let before = build.before_script.as_deref().unwrap_or_default();
        steps.push(run("script", before.iter().chain(script.iter()).cloned().collect()));
    }
    if let Some(release) = &build.release {
        steps.push(run("release", vec![release_command(release)]));
    }
    if let Some(after) = after {
        let mut step = run("after_script", after.to_vec());
        step.when = StepWhen::Always;
        steps.push(step);
    }
    steps
}

fn named(name: &str, kind: StepKind) -> Step {
    let mut step = Step::new(kind);
    name.clone_into(&mut step.name);
    step
}

fn run(name: &str, lines: Vec<String>) -> Step {
    named(
        name,
        StepKind::Run {
            command: lines.join("\n"),
            lines,
            shell: None,
            directory: None,
        },
    )
}

/// The command that GitLab gives to its runners. Texts stand in double quotes, so that the shell expands variables.
fn release_command(release: &Release) -> String {
    let mut command = "release-cli create".to_owned();
    let single = [
        ("name", release.name.as_deref()),
        ("description", Some(release.description.as_str())),
        ("tag-name", Some(release.tag_name.as_str())),
        ("tag-message", release.tag_message.as_deref()),
        ("ref", release.git_ref.as_deref()),
        ("released-at", release.released_at.as_deref()),
    ];
    for (flag, value) in single {
        if let Some(value) = value {
            let _ = write!(command, " --{flag} \"{}\"", quoted(value));
        }
    }
    for milestone in &release.milestones {
        let _ = write!(command, " --milestone \"{}\"", quoted(milestone));
    }
    for link in &release.links {
        let json = serde_json::to_string(link).unwrap_or_default();
        let _ = write!(command, " --assets-link {}", serde_json::Value::from(json));
    }
    command
}

/// Fit for double quotes, but with `$` alive.
fn quoted(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('`', "\\`")
}
