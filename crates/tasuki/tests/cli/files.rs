//! Commands that need neither server nor runner.

use crate::world::World;

const BROKEN: &str = "build:\n  script: make\n  aftr_script: tidy\n";
const GOOD: &str = "stages: [build, test]\n\
    build:\n  stage: build\n  script: [make]\n\
    test:\n  stage: test\n  script: [make test]\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"merge_request_event\"\n    - changes: [src/*]\n";

#[test]
fn wrong_usage_is_exit_code_2() {
    let world = World::new();
    let here = world.folder.path();
    for args in [
        &["nonsense"][..],
        &["up", "--slots", "x"],
        &["lint", "missing.yml"],
        &["lint"],
        &["exec"],
        &["compile"],
    ] {
        let ended = world.run(here, args).expect(2);
        assert!(!ended.err.is_empty(), "{args:?} says why");
    }
    world.run(here, &["--help"]).expect(0);
    world.run(here, &["--version"]).expect(0);
    let alone = world.run(here, &["project", "list"]).expect(3);
    assert!(alone.err.contains("tasuki up"), "says what to do: {}", alone.err);
}

#[test]
fn lint_names_place_and_remedy() {
    let world = World::new();
    let dir = world.repository("app", &[(".gitlab-ci.yml", BROKEN)]);
    let human = world.run(&dir, &["lint"]).expect(1);
    assert!(human.out.contains(".gitlab-ci.yml:3:3"), "{}", human.out);
    assert!(human.out.contains("did you mean `after_script`"), "{}", human.out);
    assert!(!human.out.contains('\x1b'), "NO_COLOR is honoured");

    let found = world.run(&dir, &["lint", "--json"]).expect(1).json();
    let first = &found.as_array().unwrap()[0];
    for key in ["severity", "code", "message", "file", "line", "column"] {
        assert!(!first[key].is_null(), "{key} in {first}");
    }
    let sarif = world.run(&dir, &["lint", "--format", "sarif"]).expect(1).json();
    assert_eq!(sarif["version"], "2.1.0");
    let quality = world.run(&dir, &["lint", "--format", "code-quality"]).expect(1).json();
    assert_eq!(quality[0]["location"]["path"], ".gitlab-ci.yml");

    world.commit(&dir, &[(".gitlab-ci.yml", GOOD)], "Repair");
    world.run(&dir, &["lint"]).expect(0);
    // From a folder below, and by name.
    std::fs::create_dir(dir.join("src")).unwrap();
    world.run(&dir.join("src"), &["lint"]).expect(0);
    world.run(&dir.join("src"), &["lint", "../.gitlab-ci.yml"]).expect(0);
}

#[test]
fn compile_evaluates_rules_for_the_trigger_that_is_described() {
    let world = World::new();
    let dir = world.repository("app", &[(".gitlab-ci.yml", GOOD)]);
    let jobs = |args: &[&str]| {
        let plan = world.run(&dir, &[&["compile"], args].concat()).expect(0).json();
        assert_eq!((&plan["version"], &plan["language"]), (&1.into(), &"gitlab".into()));
        let names = plan["workflows"][0]["jobs"].as_array().unwrap().iter();
        names
            .map(|job| job["name"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(jobs(&["--changed", "README.md"]), ["build"]);
    assert_eq!(jobs(&["--changed", "src/main.c"]), ["build", "test"]);
    assert_eq!(
        jobs(&["--event", "merge_request"]),
        ["test"],
        "jobs without rules are not for merge requests"
    );
    let tagged = "a: {script: [a], rules: [{if: $CI_COMMIT_TAG == \"v1\"}]}\nb: {script: [b], only: [branches]}\n";
    std::fs::write(dir.join(".gitlab-ci.yml"), tagged).unwrap();
    assert_eq!(jobs(&["--tag", "v1"]), ["a"]);
    assert_eq!(jobs(&["--event", "tag", "--ref", "v1"]), ["a"]);
    assert_eq!(jobs(&["--ref", "v1"]), ["b"]);

    std::fs::write(dir.join(".gitlab-ci.yml"), BROKEN).unwrap();
    let plan = world.run(&dir, &["compile"]).expect(1).json();
    assert_eq!(plan["workflows"], serde_json::json!([]));
    assert_eq!(plan["diagnostics"][0]["severity"], "error");
}

#[test]
fn completion_scripts_are_printed() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(world.folder.path(), &["completion", shell]).expect(0).out;
        assert!(script.contains("resource-class"), "{shell}");
    }
}

#[test]
fn doctor_looks_at_everything() {
    let world = World::new();
    let found = world
        .run(world.folder.path(), &["doctor", "--json", "--listen", "127.0.0.1:0"])
        .json();
    let checks: Vec<_> = found
        .as_array()
        .unwrap()
        .iter()
        .map(|f| f["check"].as_str().unwrap())
        .collect();
    for check in [
        "git",
        "data folder",
        "disk",
        "inotify",
        "cgroups",
        "namespaces",
        "shell",
        "clock",
        "port",
        "server",
    ] {
        assert!(checks.contains(&check), "{check} in {checks:?}");
    }
    for finding in found.as_array().unwrap().iter().filter(|f| f["verdict"] != "ok") {
        assert!(finding["remedy"].is_string(), "{finding}");
    }
}

#[test]
fn help_is_stable() {
    let world = World::new();
    insta::assert_snapshot!("help", world.run(world.folder.path(), &["--help"]).expect(0).out);
}
