//! Large files: cost grows with the number of jobs, not with its square.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Output, Refusal, Request, compile_with};

/// Jobs in ten stages; each needs two of the stage before and has a handful of keywords.
fn text(jobs: usize) -> String {
    let mut text = String::from(
        "stages: [s0, s1, s2, s3, s4, s5, s6, s7, s8, s9]\n\
         default: {image: 'alpine:3', tags: [docker], retry: 1}\n\
         workflow: {rules: [{if: $CI_COMMIT_BRANCH}]}\n",
    );
    text.push_str("variables:\n");
    for n in 0..20 {
        let _ = writeln!(text, "  GLOBAL_{n}: value-{n}");
    }
    text.push_str(
        ".base:\n  before_script: [echo before]\n  rules:\n    - if: $CI_COMMIT_TAG\n      when: never\n    \
         - if: $CI_COMMIT_BRANCH == $CI_DEFAULT_BRANCH && $GLOBAL_3 =~ /^value/\n",
    );
    let width = jobs / 10;
    for n in 0..jobs {
        let (stage, at) = (n / width, n % width);
        let _ = writeln!(
            text,
            "job-{n}:\n  extends: .base\n  stage: s{stage}\n  variables: {{NUMBER: {n}, TEXT: $GLOBAL_1}}"
        );
        if stage > 0 {
            let (a, b) = (n - width, n - at - width + (at + 1) % width);
            let _ = writeln!(text, "  needs: [job-{a}, {{job: job-{b}, artifacts: false}}]");
        }
        let _ = writeln!(
            text,
            "  script:\n    - make part-{n}\n    - make check\n  artifacts: {{paths: [out/{n}], expire_in: 1 day}}\n  cache: {{key: k-{at}, paths: [c]}}"
        );
    }
    text
}

fn compile(text: &str) -> (Output, Duration) {
    let context = Context::default();
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text,
        context: &context,
    };
    let start = Instant::now();
    let output = compile_with(&input, Mode::Create, |_: &Request| Answer::Refused(Refusal::NotFound));
    (output, start.elapsed())
}

fn fastest(jobs: usize) -> Duration {
    let text = text(jobs);
    let runs = (0..3).map(|_| {
        let (output, took) = compile(&text);
        assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics.first());
        let found = output.plan.map_or(0, |plan| plan.workflows[0].jobs.len());
        assert_eq!(found, jobs);
        took
    });
    runs.min().unwrap_or_default()
}

#[test]
fn cost_grows_with_the_number_of_jobs() {
    let (small, large) = (fastest(1_000), fastest(4_000));
    assert!(large < small * 10, "{small:?} for 1,000 jobs, {large:?} for 4,000");
}

/// The largest pipeline that is promised: it compiles, and every job has its place.
#[test]
fn ten_thousand_jobs() {
    let (output, took) = compile(&text(10_000));
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics.first());
    let Some(plan) = output.plan else { panic!("no plan") };
    let workflow = &plan.workflows[0];
    assert_eq!((workflow.jobs.len(), workflow.stages.len()), (10_000, 10));
    let needs = |job: &tasuki_model::plan::Job| job.needs.as_ref().map_or(0, Vec::len);
    assert_eq!(workflow.jobs.iter().map(needs).sum::<usize>(), 18_000);
    println!("10,000 jobs: {took:?}");
}

/// Small files that would become enormous plans: refused soon, without the memory being spent.
#[test]
fn what_a_small_file_can_grow_to_is_bounded() {
    let refused = |name: &str, text: String, code: &str| {
        let (output, took) = compile(&text);
        let codes: Vec<&str> = output.diagnostics.iter().map(|d| d.code).collect();
        assert!(output.plan.is_none() && codes.contains(&code), "{name}: {codes:?}");
        assert!(took < Duration::from_secs(60), "{name} took {took:?}");
    };
    let jobs = |count: usize, body: &str| (0..count).fold(String::new(), |text, n| text + &format!("j{n}: {body}\n"));
    refused("siblings", jobs(1_000, "{script: x, parallel: 200}"), "gitlab-too-many");
    let variables: String = (0..50).map(|n| format!("  V{n}: {}\n", "x".repeat(10_000))).collect();
    refused(
        "variables",
        format!("variables:\n{variables}{}", jobs(2_000, "{script: x}")),
        "gitlab-too-many",
    );
    let script = "x".repeat(500_000);
    refused(
        "scripts",
        format!(
            "default: {{before_script: ['{script}']}}\n{}",
            jobs(2_000, "{script: x}")
        ),
        "gitlab-too-many",
    );
    refused(
        "unknown needs",
        jobs(10_000, "{script: x, needs: [jj1]}"),
        "gitlab-need",
    );
    let chain: String = (0..10_000).map(|n| format!("  V{n}: $V{}\n", n + 1)).collect();
    refused(
        "chain",
        format!("variables:\n{chain}a: {{script: x, tags: [$V0]}}\n"),
        "gitlab-circular-variables",
    );
    let circle: String = (0..10_000)
        .map(|n| format!("j{n}: {{script: x, needs: [j{}]}}\n", (n + 1) % 10_000))
        .collect();
    refused("circle", circle, "gitlab-circular-needs");
    let braces = format!(
        "a: {{script: x, rules: [{{exists: ['{}']}}]}}\n",
        "{a,b}".repeat(10_000)
    );
    let (output, took) = compile(&braces);
    assert!(
        took < Duration::from_secs(60) && output.plan.is_none(),
        "braces took {took:?}"
    );
}

/// A CircleCI file of as many jobs: a command with parameters, a matrix, requirements.
fn circleci(jobs: usize) -> String {
    let mut text = String::from(
        "version: 2.1\nexecutors:\n  box: {docker: [{image: 'alpine:3'}], environment: {A: b}}\n\
         commands:\n  make:\n    parameters: {what: {type: string}}\n    steps:\n      - restore_cache: {keys: ['v1-{{ .Branch }}', v1-]}\n      \
         - run: {name: Make, command: make << parameters.what >>}\njobs:\n",
    );
    for n in 0..jobs {
        let _ = writeln!(
            text,
            "  job-{n}:\n    executor: box\n    environment: {{NUMBER: {n}}}\n    steps:\n      - checkout\n      \
             - make: {{what: part-{n}}}\n      - run: make check\n      - store_artifacts: {{path: out/{n}}}"
        );
    }
    text.push_str("workflows:\n  main:\n    jobs:\n");
    let width = jobs / 10;
    for n in 0..jobs {
        let at = n % width;
        if n < width {
            let _ = writeln!(text, "      - job-{n}");
        } else {
            let (a, b) = (n - width, n - at - width + (at + 1) % width);
            let _ = writeln!(text, "      - job-{n}: {{requires: [job-{a}, job-{b}], context: ctx}}");
        }
    }
    text
}

#[test]
fn ten_thousand_jobs_of_circleci() {
    let text = circleci(10_000);
    let context = Context::default();
    let input = Input {
        lang: Language::Circleci,
        file: ".circleci/config.yml",
        text: &text,
        context: &context,
    };
    let start = Instant::now();
    let output = compile_with(&input, Mode::Create, |_: &Request| Answer::Refused(Refusal::NotFound));
    let took = start.elapsed();
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics.first());
    let Some(plan) = output.plan else { panic!("no plan") };
    let jobs = &plan.workflows[0].jobs;
    let needs: usize = jobs.iter().map(|job| job.needs.as_ref().map_or(0, Vec::len)).sum();
    assert_eq!((jobs.len(), needs, jobs[9_999].steps.len()), (10_000, 18_000, 5));
    println!("10,000 jobs of CircleCI: {took:?}");
}

/// A GitHub workflow of as many jobs, in ten layers, each of which needs two of the layer before.
fn workflow(jobs: usize) -> String {
    let mut text = String::from("on: push\nenv: {A: \"${{ github.sha }}\", B: two}\njobs:\n");
    let width = jobs / 10;
    for n in 0..jobs {
        let (layer, at) = (n / width, n % width);
        let _ = write!(
            text,
            "  job-{n}:\n    runs-on: [self-hosted, linux]\n    env: {{NUMBER: {n}}}\n"
        );
        if layer > 0 {
            let (a, b) = (n - width, n - at - width + (at + 1) % width);
            let _ = write!(
                text,
                "    needs: [job-{a}, job-{b}]\n    if: needs.job-{a}.result == 'success'\n"
            );
        }
        let _ = write!(
            text,
            "    steps:\n      - uses: actions/checkout@v4\n      - run: make part-{n} ${{{{ github.ref_name }}}}\n      - run: make check\n        if: always()\n"
        );
    }
    text
}

fn compile_workflow(text: &str) -> (Output, Duration) {
    let mut context = Context::default();
    // The figure is about ten thousand jobs, not about the size of a file.
    context.limits.jobs = 50_000;
    let input = Input {
        lang: Language::Github,
        file: ".github/workflows/ci.yml",
        text,
        context: &context,
    };
    let start = Instant::now();
    let output = compile_with(&input, Mode::Create, |_: &Request| Answer::Refused(Refusal::NotFound));
    (output, start.elapsed())
}

#[test]
fn a_workflow_of_ten_thousand_jobs() {
    let (output, took) = compile_workflow(&workflow(10_000));
    assert!(output.diagnostics.is_empty(), "{:?}", output.diagnostics.first());
    let Some(plan) = output.plan else { panic!("no plan") };
    let jobs = &plan.workflows[0].jobs;
    assert_eq!(jobs.len(), 10_000);
    let needs = |job: &tasuki_model::plan::Job| job.needs.as_ref().map_or(0, Vec::len);
    assert_eq!(jobs.iter().map(needs).sum::<usize>(), 18_000);
    println!("10,000 jobs of a workflow: {took:?}");
}
