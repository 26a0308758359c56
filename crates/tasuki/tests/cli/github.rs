//! GitHub's workflows, end to end.

use std::path::Path;

use crate::server::Up;
use crate::world::{Ended, World};

const PLACE: &str = ".github/workflows/ci.yml";

/// Runs a workflow in a folder of its own.
fn exec(workflow: &str, args: &[&str]) -> Ended {
    let world = World::new();
    let dir = world.repository("app", &[(PLACE, workflow)]);
    world.run(&dir, &[&["exec"], args].concat())
}

/// One job with these steps, which print the lines.
#[track_caller]
fn check(steps: &str, code: i32, lines: &[&str]) -> String {
    let workflow = format!("on: push\njobs:\n  j:\n    runs-on: ubuntu-latest\n    steps:\n{steps}");
    let out = exec(&workflow, &[]).expect(code).out;
    let shown: Vec<&str> = out.lines().map(str::trim).collect();
    for line in lines {
        assert!(shown.contains(line), "{line:?} in {out}");
    }
    out
}

#[test]
fn steps_run_in_their_shells() {
    let out = check(
        "      - run: echo \"$0\" | grep -q . && false | true && echo 'no pipefail'\n\
        \x20     - {shell: bash, run: 'false | true; echo unreached'}\n\
        \x20     - {shell: sh, if: always(), run: 'echo sh $((1+1))'}\n\
        \x20     - {shell: python, if: always(), run: 'print(\"python\", 2 + 3)'}\n\
        \x20     - {shell: 'cat {0}', if: always(), run: 'shown by cat'}\n\
        \x20     - {shell: pwsh, if: always(), run: 'Write-Host no'}\n",
        1,
        &["no pipefail", "sh 2", "python 5", "shown by cat"],
    );
    assert!(!out.lines().any(|line| line == "unreached"), "{out}");
    if !on_path("pwsh") {
        assert!(out.contains("pwsh"), "the shell that is missing is named: {out}");
    }
}

fn on_path(name: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(name).exists())
}

#[test]
fn what_steps_leave_counts_for_those_after_them() {
    check(
        "      - id: a\n\
        \x20       run: |\n\
        \x20         echo \"x=1\" >> $GITHUB_OUTPUT\n\
        \x20         printf 'many<<E\\none\\ntwo\\nE\\n' >> $GITHUB_OUTPUT\n\
        \x20         echo \"KEPT=yes\" >> $GITHUB_ENV\n\
        \x20         mkdir bin && printf '#!/bin/sh\\necho tool\\n' > bin/own-tool && chmod +x bin/own-tool\n\
        \x20         echo $PWD/bin >> $GITHUB_PATH\n\
        \x20         echo \"not yet ${KEPT:-unset}\"\n\
        \x20         echo '# Sum' >> $GITHUB_STEP_SUMMARY\n\
        \x20     - run: own-tool; echo \"kept $KEPT ${{ env.KEPT }} x ${{ steps.a.outputs.x }} ${{ steps.a.outcome }}\"\n\
        \x20     - run: |\n\
        \x20         echo \"$MANY\" | tr '\\n' '|'; echo\n\
        \x20         echo \"::set-output name=old::style\"\n\
        \x20       id: b\n\
        \x20       env: {MANY: '${{ steps.a.outputs.many }}'}\n\
        \x20     - run: echo \"old ${{ steps.b.outputs.old }}, ${{ github.action }} $GITHUB_ACTION\"\n",
        0,
        &[
            "not yet unset",
            "tool",
            "kept yes yes x 1 success",
            "# Sum",
            "one|two|",
            "old style,  __run_2",
        ],
    );
}

#[test]
fn conditions_and_failures_are_as_written() {
    let out = check(
        "      - {id: soft, continue-on-error: true, run: exit 3}\n\
        \x20     - {if: \"steps.soft.outcome == 'failure' && steps.soft.conclusion == 'success'\", run: echo soft}\n\
        \x20     - {if: failure(), run: echo too-early}\n\
        \x20     - {run: exit 4}\n\
        \x20     - run: echo skipped\n\
        \x20     - {if: failure(), run: echo failed}\n\
        \x20     - {if: always(), run: 'echo status ${{ job.status }}'}\n",
        1,
        &["soft", "failed", "status failure"],
    );
    for line in ["too-early", "skipped"] {
        assert!(!out.lines().any(|shown| shown == line), "{line} in {out}");
    }
}

#[test]
fn commands_in_the_output_are_carried_out() {
    let out = check(
        "      - run: |\n\
        \x20         echo '::add-mask::hunter2'\n\
        \x20         echo 'the word is hunter2'\n\
        \x20         echo '::group::Named'\n\
        \x20         echo '::error file=a.c,line=3,col=7::bad'\n\
        \x20         echo '::stop-commands::tok'\n\
        \x20         echo '::notice::text only'\n\
        \x20         echo '::tok::'\n\
        \x20         echo '::notice::counts again'\n\
        \x20     - run: |\n\
        \x20         echo '{\"problemMatcher\":[{\"owner\":\"t\",\"severity\":\"warning\",\"pattern\":[{\"regexp\":\"^(.+):(\\\\d+): (.*)$\",\"file\":1,\"line\":2,\"message\":3}]}]}' > m.json\n\
        \x20         echo '::add-matcher::m.json'\n\
        \x20         echo 'x.c:12: odd'\n\
        \x20         echo '::remove-matcher owner=t::'\n\
        \x20         echo 'y.c:1: fine'\n",
        0,
        &[
            "the word is [MASKED]",
            "Named",
            "Error: a.c:3:7: bad",
            "::notice::text only",
            "Notice: counts again",
            "Warning: x.c:12: odd",
        ],
    );
    assert!(!out.contains("Warning: y.c"), "{out}");
}

#[test]
fn variables_come_in_layers() {
    let workflow = "on: push\nenv: {A: workflow, B: workflow, C: workflow}\njobs:\n  j:\n    runs-on: [self-hosted, linux]\n    \
        env: {B: job, C: job}\n    defaults: {run: {working-directory: sub}}\n    steps:\n      \
        - {run: mkdir -p sub, working-directory: .}\n      \
        - {run: 'echo \"$A $B $C $CI in ${PWD##*/}\"', env: {C: '${{ env.B }} in step'}}\n";
    let out = exec(workflow, &[]).expect(0).out;
    assert!(out.contains("workflow job job in step true in sub"), "{out}");
}

#[test]
fn jobs_give_outputs_and_matrices_are_made_of_them() {
    let workflow = "on: push\njobs:\n  \
        plan: {runs-on: x, outputs: {list: '${{ steps.s.outputs.list }}', hidden: '${{ steps.s.outputs.hidden }}'}, steps: [{id: s, run: 'echo list=[1,2] >> $GITHUB_OUTPUT; echo ::add-mask::geheim; echo hidden=geheim >> $GITHUB_OUTPUT'}]}\n  \
        grid: {needs: plan, runs-on: x, strategy: {matrix: {n: '${{ fromJSON(needs.plan.outputs.list) }}'}}, outputs: {last: '${{ steps.s.outputs.n }}'}, steps: [{id: s, run: 'echo n=${{ matrix.n }} >> $GITHUB_OUTPUT; echo member ${{ matrix.n }} of ${{ strategy.job-total }} on ${{ github.event_name }}'}]}\n  \
        end: {needs: [plan, grid], if: \"needs.grid.outputs.last == '2' && needs.plan.result == 'success'\", runs-on: x, steps: [{run: 'echo \"last ${{ needs.grid.outputs.last }} hidden ${{ needs.plan.outputs.hidden }}.\"'}]}\n  \
        never: {needs: plan, if: needs.plan.outputs.list == 'other', runs-on: x, steps: [{run: exit 1}]}\n";
    let out = exec(workflow, &[]).expect(0).out;
    for line in [
        "member 1 of 2 on push",
        "member 2 of 2 on push",
        "last 2 hidden .",
        "is not given on",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
}

#[test]
fn a_matrix_keeps_its_rules() {
    // Two members at a time would find the folder of the other one.
    let alone = "on: push\njobs:\n  m:\n    runs-on: x\n    strategy: {max-parallel: 1, matrix: {n: [1, 2, 3]}}\n    \
        steps: [{run: 'mkdir \"$LOCK\" && rmdir \"$LOCK\"'}]\n";
    let world = World::new();
    let dir = world.repository("app", &[(PLACE, alone)]);
    let lock = format!("LOCK={}", world.path("lock").display());
    world.run(&dir, &["exec", "--var", &lock]).expect(0);
    // The first failure ends those that have not begun.
    let fast = "on: push\njobs:\n  m:\n    runs-on: x\n    strategy: {max-parallel: 1, matrix: {n: [1, 2, 3]}}\n    \
        steps: [{run: 'echo member ${{ matrix.n }}; exit 1'}]\n";
    let out = exec(fast, &[]).expect(1).out;
    assert!(out.contains("member 1") && !out.contains("member 3"), "{out}");
    assert!(out.contains("canceled m (3)"), "{out}");
    let slow = fast.replace("max-parallel: 1,", "max-parallel: 1, fail-fast: false,");
    let out = exec(&slow, &[]).expect(1).out;
    assert!(out.contains("member 3"), "{out}");
}

#[test]
fn limits_end_steps_and_jobs() {
    let out = check(
        "      - {timeout-minutes: 0.01, run: sleep 600}\n      - {if: failure(), run: echo after the limit}\n",
        1,
        &["after the limit"],
    );
    assert!(out.contains("longer than"), "{out}");
}

#[test]
fn events_start_what_is_theirs() {
    let workflow = "on:\n  push: {branches: [main]}\n  workflow_dispatch:\n    inputs:\n      who: {type: string, default: world}\n      loud: {type: boolean, default: false}\n  pull_request:\n  schedule: [{cron: '0 4 * * *'}]\n\
        jobs:\n  j: {runs-on: x, steps: [{run: 'echo \"on ${{ github.event_name }} ${{ inputs.who }} ${{ inputs.loud && 1 || 0 }}\"'}]}\n";
    let check = |args: &[&str], line: &str| {
        let ended = exec(workflow, args).expect(0);
        assert!(
            ended.out.contains(line) || ended.err.contains(line),
            "{args:?}: {ended:?}"
        );
    };
    check(&[], "on push  0");
    check(&["--ref", "other"], "nothing to run");
    check(&["--event", "workflow_dispatch"], "on workflow_dispatch world 0");
    check(
        &[
            "--event",
            "workflow_dispatch",
            "--param",
            "who=me",
            "--param",
            "loud=true",
        ],
        "on workflow_dispatch me 1",
    );
    check(&["--event", "pull_request"], "on pull_request  0");
    check(&["--event", "schedule"], "on schedule  0");
}

#[test]
fn what_cannot_be_done_is_refused_with_its_place() {
    let check = |steps: &str, word: &str| {
        let workflow = format!("on: push\njobs:\n  j:\n    runs-on: x\n    steps:\n      - {steps}\n");
        let world = World::new();
        let dir = world.repository("app", &[(PLACE, &workflow)]);
        let out = world.run(&dir, &["lint"]).expect(1).out;
        assert!(out.contains(&format!("{PLACE}:6:")) && out.contains(word), "{out}");
    };
    check("uses: actions/cache@v4", "actions/cache");
    check("{run: x, background: true}", "background");
    let container = "on: push\njobs: {j: {runs-on: x, container: 'alpine:3', steps: [{run: x}]}}\n";
    let out = exec(container, &[]).expect(1).out;
    assert!(out.contains("shell") && out.contains("alpine:3"), "{out}");
}

/// The example of `examples/github`: matrices, outputs, a reusable workflow, actions of both kinds.
#[test]
fn the_example_runs() {
    assert!(
        on_path("node"),
        "this test needs `node`: its example has a JavaScript action"
    );
    let world = World::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/github");
    let mut files = Vec::new();
    collect(&example, &example, &mut files);
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(name, text)| (name.as_str(), text.as_str()))
        .collect();
    let dir = world.repository("app", &files);
    world.run(&dir, &["lint"]).expect(0);
    let out = world.run(&dir, &["exec"]).expect(0).out;
    for line in [
        "hello from blanks in bash",
        "every text ends with a line feed",
        "fox.txt has 9 words",
        "stamped by tar",
        "the stamp is gone",
        "packed texts.tar.gz (last text: 2 words), key made",
        "pipeline success",
    ] {
        assert!(out.contains(line), "{line:?} in {out}");
    }
    let plan = world.run(&dir, &["compile"]).expect(0).json();
    assert_eq!(plan["workflows"][0]["jobs"].as_array().unwrap().len(), 8, "{plan}");
}

fn collect(root: &Path, folder: &Path, files: &mut Vec<(String, String)>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, files);
        } else {
            let name = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
            files.push((name, std::fs::read_to_string(&path).unwrap()));
        }
    }
}

const GITLAB: &str = "lab: {script: [echo from gitlab]}\n";
const CIRCLE: &str = "version: 2.1\njobs:\n  ring: {docker: [{image: 'cimg/base:current'}], steps: [{run: echo from circleci}]}\nworkflows: {round: {jobs: [ring]}}\n";
const HUB: &str = "name: Hub\non: push\njobs: {hub: {runs-on: ubuntu-latest, steps: [{run: echo from github}]}}\n";

#[test]
fn one_folder_with_three_languages_runs_all_of_them() {
    let world = World::new();
    let dir = world.repository(
        "app",
        &[
            (".gitlab-ci.yml", GITLAB),
            (".circleci/config.yml", CIRCLE),
            (PLACE, HUB),
        ],
    );
    assert!(world.run(&dir, &["lint"]).expect(0).out.contains("3 files"));
    let out = world.run(&dir, &["exec"]).expect(0).out;
    for line in ["from gitlab", "from circleci", "from github"] {
        assert!(out.contains(line), "{line} in {out}");
    }
    let one = world.run(&dir, &["exec", "hub"]).expect(0).out;
    assert!(one.contains("from github") && !one.contains("from gitlab"), "{one}");
    let unknown = world.run(&dir, &["exec", "none"]).expect(2);
    assert!(unknown.err.contains("lab, ring, hub"), "{}", unknown.err);
    let first = world.run(&dir, &["compile"]).expect(0);
    assert_eq!(first.json()["language"], "gitlab");
    assert!(first.err.contains("--lang"), "{}", first.err);
    let chosen = world.run(&dir, &["compile", "--lang", "github"]).expect(0);
    assert_eq!(chosen.json()["language"], "github");
    // What is wrong with one does not stop the others, and still counts.
    std::fs::write(dir.join(".gitlab-ci.yml"), "lab: {scirpt: x}\n").unwrap();
    let out = world.run(&dir, &["exec"]).expect(1).out;
    for line in [".gitlab-ci.yml:1:", "from circleci", "from github"] {
        assert!(out.contains(line), "{line} in {out}");
    }
}

/// Three languages in the list of one project; a workflow whose group cancels its older run, and a matrix from outputs.
#[test]
fn a_server_builds_all_three_languages() {
    let world = World::new();
    let files = [
        (".gitlab-ci.yml", GITLAB),
        (".circleci/config.yml", CIRCLE),
        (".github/workflows/hub.yml", HUB),
    ];
    let dir = world.repository("app", &files);
    let up = Up::start(&world);
    up.run(&["project", "add", dir.to_str().unwrap()]).expect(0);
    let names = |up: &Up<'_>| -> Vec<String> {
        let mut all: Vec<String> = up
            .pipelines()
            .iter()
            .map(|p| p["name"].as_str().unwrap_or("-").to_owned())
            .collect();
        all.sort();
        all
    };
    for n in 1..=3 {
        up.wait_for_pipeline(n, "success");
    }
    assert_eq!(names(&up), ["-", "Hub: First", "round: First"]);

    let late = "on: push\njobs:\n  a: {runs-on: linux, outputs: {l: '${{ steps.s.outputs.l }}'}, steps: [{id: s, run: 'echo l=[7] >> $GITHUB_OUTPUT'}]}\n  \
        b: {needs: a, runs-on: X64, strategy: {matrix: {n: '${{ fromJSON(needs.a.outputs.l) }}'}}, steps: [{uses: actions/checkout@v4}, {run: 'test -f .github/workflows/late.yml; echo member ${{ matrix.n }} of ${{ github.event_name }}'}]}\n";
    world.git(&dir, &["rm", "-q", "-r", ".gitlab-ci.yml", ".circleci", ".github"]);
    world.commit(&dir, &[(".github/workflows/late.yml", late)], "Late");
    let id = up.wait_for_pipeline(4, "success");
    let detail = up.json(&["pipeline", "show", &id.to_string()]);
    let child = detail["downstream"][0]["pipeline_id"].as_i64().unwrap();
    let log = up.run(&["job", "log", &up.job(child, "b (7)")]).expect(0).out;
    assert!(log.contains("member 7 of push"), "{log}");
    assert_eq!(up.stop(), 0);
}

/// The newer run of a group cancels the one that runs, and both are followed through their pipelines.
#[test]
fn a_group_of_workflows_has_one_that_runs() {
    let world = World::new();
    let mark = world.path("mark");
    let workflow = format!(
        "on: push\nconcurrency: {{group: 'one-${{{{ github.ref }}}}', cancel-in-progress: true}}\njobs:\n  j:\n    runs-on: x64\n    steps:\n      \
         - run: if test -e {mark}; then echo second; else touch {mark}; sleep 600; fi\n      \
         - {{if: cancelled(), run: touch {mark}.cancelled}}\n",
        mark = mark.display()
    );
    let workflow = if cfg!(target_arch = "x86_64") {
        workflow
    } else {
        workflow.replace("x64", "arm64")
    };
    let dir = world.repository("app", &[(PLACE, &workflow)]);
    let up = Up::start(&world);
    up.run(&["project", "add", dir.to_str().unwrap()]).expect(0);
    crate::world::wait_for("the first run", || mark.exists().then_some(()));
    world.commit(&dir, &[("a", "1")], "Second");
    let ends = |status: &str| {
        let all = up.pipelines();
        let mut tops = all.iter().filter(|p| p["source"] == "push");
        tops.any(|p| p["status"] == status).then_some(())
    };
    crate::world::wait_for("the first to be canceled", || ends("canceled"));
    crate::world::wait_for("the second to succeed", || ends("success"));
    let told = world.path("mark.cancelled");
    crate::world::wait_for("steps with cancelled()", || told.exists().then_some(()));
    assert_eq!(up.stop(), 0);
}

const BY_HAND: &str = "name: Deploy\non:\n  workflow_dispatch:\n    inputs:\n      where: {type: choice, options: [test, live], required: true}\n      \
    dry: {type: boolean, default: true}\njobs:\n  deploy:\n    runs-on: ubuntu-latest\n    steps:\n      \
    - run: echo \"to ${{ inputs.where }} dry ${{ inputs.dry == true }} by $GITHUB_EVENT_NAME\"\n      \
    - run: grep -q '\"where\":\"live\"' \"$GITHUB_EVENT_PATH\" && echo in the event\n";

/// Through a server and without one, with inputs that are checked first.
#[test]
fn a_workflow_is_started_by_hand() {
    let world = World::new();
    let other = "on: workflow_dispatch\njobs: {other: {runs-on: x, steps: [{run: echo other}]}}\n";
    let files = [
        (".github/workflows/deploy.yml", BY_HAND),
        (".github/workflows/other.yml", other),
    ];
    let repository = world.repository("app", &files);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap(), "--name", "acme/app"])
        .expect(0);
    let forms = up.json(&["pipeline", "inputs", "acme/app"]);
    assert_eq!(forms[0]["inputs"][0]["name"], "where", "{forms}");
    let run = |args: &[&str]| up.run(&[&["pipeline", "run", "acme/app", "--workflow", "deploy.yml"], args].concat());
    let done = run(&["--input", "where=live", "--param", "dry=false", "--wait"]).expect(0);
    for line in ["to live dry false by workflow_dispatch", "in the event"] {
        assert!(done.out.contains(line), "{line} in {}", done.out);
    }
    let refused = run(&["--input", "where=moon"]).expect(2);
    assert!(
        refused.err.contains("input `where` must be one of test, live"),
        "{}",
        refused.err
    );
    assert_eq!(up.pipelines().len(), 1, "what is refused makes no pipeline");
    assert_eq!(up.stop(), 0);

    let exec = |args: &[&str]| world.run(&repository, &[&["exec", "--event", "workflow_dispatch"], args].concat());
    let done = exec(&["--workflow", "deploy.yml", "--input", "where=live"]).expect(0);
    assert!(done.out.contains("to live dry true"), "{}", done.out);
    let refused = exec(&["--input", "where=live"]).expect(1);
    assert!(refused.out.contains("--workflow"), "{}", refused.out);
}
