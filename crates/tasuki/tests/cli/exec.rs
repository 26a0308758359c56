//! `tasuki exec`.

use std::os::unix::process::CommandExt as _;
use std::process::Stdio;

use serde_json::Value;

use crate::world::{World, wait_for};

#[test]
fn a_pipeline_runs_with_uncommitted_changes_and_leaves_nothing() {
    let world = World::new();
    let config = "stages: [one, two]\n\
        first:\n  stage: one\n  script:\n    - cat new.txt\n    - test ! -e ignored.txt\n    - echo $CI_COMMIT_BRANCH > out.txt\n  artifacts: {paths: [out.txt]}\n\
        second:\n  stage: two\n  script:\n    - echo \"from first $(cat out.txt)\"\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config), (".gitignore", "ignored.txt\n")]);
    std::fs::write(dir.join("new.txt"), "not committed\n").unwrap();
    std::fs::write(dir.join("ignored.txt"), "x").unwrap();
    let scratch = world.path("tmp");
    std::fs::create_dir(&scratch).unwrap();
    let output = world.tasuki(&dir, &["exec"]).env("TMPDIR", &scratch).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for line in ["not committed", "from first main", "pipeline success"] {
        assert!(text.contains(line), "{line:?} in {text}");
    }
    assert!(!dir.join("out.txt").exists(), "jobs work on a copy");
    assert_eq!(world.git(&dir, &["status", "--porcelain"]), "?? new.txt");
    assert_eq!(std::fs::read_dir(&scratch).unwrap().count(), 0, "nothing is left");
}

#[test]
fn exit_codes_tell_whose_fault_it_was() {
    let world = World::new();
    let check = |config: &str, args: &[&str], code: i32| {
        let dir = world.repository(&format!("p{}", rand_name()), &[(".gitlab-ci.yml", config)]);
        world.run(&dir, &[&["exec"], args].concat()).expect(code)
    };
    check("a: {script: ['true']}\n", &[], 0);
    check("a: {script: [exit 3]}\n", &[], 1);
    check("a: {script: [exit 3], allow_failure: true}\n", &[], 0);
    let broken = check("a: {scirpt: x}\n", &[], 1);
    assert!(broken.out.contains(".gitlab-ci.yml:1:"), "{}", broken.out);
    let unknown = check("a: {script: ['true']}\n", &["b"], 2);
    assert!(unknown.err.contains("its jobs are: a"), "{}", unknown.err);
    check("a: {script: ['true']}\n", &["--docker-image", "x"], 2);
    let none = check("a: {script: ['true'], rules: [{if: '$NO'}]}\n", &[], 0);
    assert!(none.err.contains("nothing to run"), "{}", none.err);
}

/// A number that no other test of this process has.
fn rand_name() -> usize {
    static NEXT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed)
}

#[test]
fn named_jobs_run_with_what_they_need_and_nothing_else() {
    let world = World::new();
    let config = "stages: [a, b]\n\
        base: {stage: a, script: [echo base]}\n\
        other: {stage: a, script: [echo other]}\n\
        top: {stage: b, needs: [base], script: [echo top $WHO]}\n\
        by-hand: {stage: b, when: manual, needs: [], script: [echo hand]}\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config)]);
    let events = |args: &[&str]| -> Vec<Value> {
        let out = world.run(&dir, &[&["exec", "--json"], args].concat()).expect(0).out;
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let ran = |events: &[Value]| {
        let done = events
            .iter()
            .filter(|e| e["event"] == "job" && e["status"] == "success");
        let mut names: Vec<_> = done.map(|e| e["job"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    };
    let top = events(&["top", "--var", "WHO=me"]);
    assert_eq!(ran(&top), ["base", "top"]);
    assert!(
        top.iter().any(|e| e["event"] == "log" && e["text"] == "top me"),
        "{top:?}"
    );
    assert_eq!(top.last().unwrap()["status"], "success");
    assert_eq!(ran(&events(&["by-hand"])), ["by-hand"]);
    assert_eq!(
        ran(&events(&[])),
        ["base", "other", "top"],
        "manual jobs wait for their name"
    );
}

#[test]
fn an_interrupt_cancels_and_is_exit_code_130() {
    let world = World::new();
    let config = "a:\n  script:\n    - echo $$ > \"$MARK\"\n    - sleep 600\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config)]);
    let mark = world.path("pid");
    let mut command = world.tasuki(&dir, &["exec", "--var", &format!("MARK={}", mark.display())]);
    let child = command
        .process_group(0)
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let read = || std::fs::read_to_string(&mark).ok().filter(|text| text.ends_with('\n'));
    let pid = wait_for("the job", read);
    signal(child.id(), "INT");
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(
        !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "the job is gone"
    );
}

pub(crate) fn signal(pid: u32, name: &str) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    let signal = match name {
        "INT" => rustix::process::Signal::INT,
        "KILL" => rustix::process::Signal::KILL,
        "QUIT" => rustix::process::Signal::QUIT,
        "HUP" => rustix::process::Signal::HUP,
        _ => rustix::process::Signal::TERM,
    };
    rustix::process::kill_process(pid, signal).unwrap();
}

/// What a job of a `setup` configuration gives runs in the same `exec`, whose exit code is that of both.
#[test]
fn a_setup_configuration_is_continued() {
    let world = World::new();
    let config = r#"
version: 2.1
setup: true
jobs:
  choose:
    machine: true
    steps:
      - run: |
          curl --silent --fail --header 'Content-Type: application/json' "${CIRCLE_BUILD_URL%/tasks/*}/api/v2/pipeline/continue" --data @- <<END
          {"continuation-key": "$CIRCLE_CONTINUATION_KEY",
           "configuration": "{version: 2.1, jobs: {after: {machine: true, steps: [{run: 'echo went on; false'}]}}, workflows: {all: {jobs: [after]}}}"}
          END
workflows: {setup: {jobs: [choose]}}
"#;
    let dir = world.repository("app", &[(".circleci/config.yml", config)]);
    let out = world.run(&dir, &["exec"]).expect(1).out;
    assert!(out.contains("went on"), "{out}");
}

/// The example of `examples/circleci`: matrix, parallelism, workspace, caches, background steps, halt.
///
/// Covers: CM-DATA-02
#[test]
fn a_circleci_pipeline_runs() {
    let world = World::new();
    let example = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/circleci");
    let files = [".circleci/config.yml", "src/deps.lock", "src/report.xml"];
    let files: Vec<(&str, String)> = files
        .iter()
        .map(|name| (*name, std::fs::read_to_string(example.join(name)).unwrap()))
        .collect();
    let files: Vec<(&str, &str)> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
    let dir = world.repository("app", &files);
    let out = world.run(&dir, &["exec"]).expect(0).out;
    for line in [
        "hello from main",
        "suite unit, part 0 of 2",
        "suite unit, part 1 of 2",
        "suite integration, part 1 of 2",
        "The job was halted by one of its steps",
        "pipeline success",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
    let plan = world
        .run(&dir, &["compile", "--param", "greeting=salve"])
        .expect(0)
        .json();
    assert_eq!(plan["language"], "circleci");
    let steps = plan["workflows"][0]["jobs"][0]["steps"].to_string();
    assert!(steps.contains("salve from"), "{steps}");
}
