//! A configuration of 10,000 jobs, compiled: time and memory, in processes of their own.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, compile_with};
use tasuki_rt::Clock;

use super::figure::{Figure, Samples, Target};
use super::process::{megabytes, own_peak};
use super::stage::tasuki;

pub(super) const JOBS: usize = 10_000;
/// Compilations in one process after the first one.
const RUNS: usize = 10;
/// Processes, each of which has one first compilation.
const PROCESSES: usize = 10;

pub(super) fn measure() -> anyhow::Result<Vec<Figure>> {
    let (mut cold, mut warm, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..PROCESSES {
        let output = tasuki()?.args(["bench", "compile", "--inner"]).output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let inner: Inner = serde_json::from_slice(&output.stdout).context("the inner run printed no JSON")?;
        cold.push(Duration::from_secs_f64(inner.cold_s));
        warm.extend(inner.warm_s.into_iter().map(Duration::from_secs_f64));
        peak = peak.max(inner.peak_mb);
    }
    let mut figures = Samples::new(cold)?.figures(
        [
            "compile 10,000 jobs, cold p50",
            "compile 10,000 jobs, cold p99",
            "compile 10,000 jobs, cold max",
        ],
        [None, None, Some(Target::AtMost(150.0))],
    );
    figures.extend(Samples::new(warm)?.figures(
        [
            "compile 10,000 jobs, warm p50",
            "compile 10,000 jobs, warm p99",
            "compile 10,000 jobs, warm max",
        ],
        [None; 3],
    ));
    figures.push(Figure::new(
        "compile 10,000 jobs, peak RSS",
        "MB",
        peak,
        Some(Target::AtMost(100.0)),
        PROCESSES,
    ));
    Ok(figures)
}

/// What one process measured.
#[derive(Serialize, Deserialize)]
struct Inner {
    cold_s: f64,
    warm_s: Vec<f64>,
    peak_mb: f64,
}

/// Compiles in this process and prints what it took.
#[expect(clippy::print_stdout, reason = "read by the process that asked")]
pub(super) fn inner() -> anyhow::Result<()> {
    let config = config()?;
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..=RUNS {
        let start = Clock::instant();
        let jobs = jobs_of(&config)?;
        runs.push(start.elapsed());
        anyhow::ensure!(jobs == JOBS, "{jobs} jobs instead of {JOBS}");
    }
    let seconds: Vec<f64> = runs.iter().map(Duration::as_secs_f64).collect();
    let inner = Inner {
        cold_s: seconds[0],
        warm_s: seconds[1..].to_vec(),
        peak_mb: megabytes(own_peak()?),
    };
    println!("{}", serde_json::to_string(&inner)?);
    Ok(())
}

/// Compiles for a push to `main` and counts the jobs.
fn jobs_of(config: &str) -> anyhow::Result<usize> {
    let context = Context::default();
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text: config,
        context: &context,
    };
    let output = compile_with(&input, Mode::Create, |_| Answer::Refused(Refusal::NotFound));
    let plan = output
        .plan
        .with_context(|| format!("it does not compile: {:?}", output.diagnostics))?;
    Ok(plan.workflows.iter().map(|workflow| workflow.jobs.len()).sum())
}

/// 10,000 jobs as people write them: templates, anchors, rules, a matrix, needs.
pub(super) fn config() -> anyhow::Result<String> {
    let mut text = String::from(
        "stages: [build, test, deploy]\n\
         variables: {GLOBAL: \"1\", GIT_STRATEGY: none}\n\
         .defaults: &defaults\n  tags: [linux]\n  retry: 1\n\
         .base:\n  <<: *defaults\n  before_script: [echo prepare]\n  cache: {key: \"$CI_COMMIT_REF_SLUG\", paths: [target/]}\n\
         .rules:\n  rules:\n    - if: $CI_COMMIT_TAG\n      when: never\n    - if: $GLOBAL == \"1\"\n",
    );
    // 4,000 plain jobs, 20 matrices of 200, 2,000 jobs that need others.
    for job in 0..4000 {
        writeln!(
            text,
            "build-{job}:\n  extends: [.base, .rules]\n  stage: build\n  variables: {{N: \"{job}\"}}\n  script:\n    - make {job}\n    - echo done"
        )?;
    }
    for matrix in 0..20 {
        let values = (0..20).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "matrix-{matrix}:\n  extends: .base\n  stage: test\n  parallel:\n    matrix:\n      - A: [{values}]\n        B: [a, b, c, d, e, f, g, h, i, j]\n  script: [\"test $A $B\"]"
        )?;
    }
    for job in 0..2000 {
        writeln!(
            text,
            "deploy-{job}:\n  extends: .rules\n  stage: deploy\n  needs: [build-{job}, build-{}]\n  script: [\"deploy {job}\"]\n  artifacts: {{paths: [out/]}}",
            job + 2000
        )?;
    }
    Ok(text)
}
