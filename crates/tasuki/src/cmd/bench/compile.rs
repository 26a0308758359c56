//! A configuration of 10,000 jobs: compiled (time and memory, in a process of its own), and created in a running server.

use std::fmt::Write as _;

use anyhow::Context as _;
use hyper::Method;
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, compile_with};
use tasuki_rt::Clock;

use super::Scene;
use super::figure::{Figure, Samples, Target};
use super::footprint::own_peak_kib;
use super::stage::{Stage, tasuki};

const JOBS: usize = 10_000;
const RUNS: usize = 10;

pub(super) async fn measure(scene: &Scene) -> anyhow::Result<Vec<Figure>> {
    let output = tasuki()?.args(["bench", "compile", "--inner"]).output()?;
    anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let inner: serde_json::Value = serde_json::from_slice(&output.stdout).context("the inner run printed no JSON")?;
    let number = |key: &str| inner[key].as_f64().with_context(|| format!("no {key} in {inner}"));
    let (cold, warm, peak) = (number("cold_ms")?, number("warm_ms")?, number("peak_mib")?);

    let stage = Stage::start(&scene.scratch, 0).await?;
    let mut wire = stage.wire().await?;
    let config = format!(
        "workflow:\n  rules:\n    - if: $CI_PIPELINE_SOURCE == \"api\"\n{}",
        config()?
    );
    let project = stage.project(&mut wire, "compile", &config).await?;
    let start = Clock::instant();
    let pipeline = stage.pipeline(&mut wire, project).await?;
    let created = start.elapsed();
    let detail = wire
        .api(
            &stage.token,
            Method::GET,
            &format!("/api/v1/pipelines/{pipeline}"),
            None,
        )
        .await?;
    anyhow::ensure!(
        detail["counts"]["total"] == JOBS,
        "not all jobs were created: {}",
        detail["counts"]
    );
    Ok(vec![
        Figure::new("compile 10,000 jobs, cold", "ms", cold, Some(Target::AtMost(150.0)), 1),
        Figure::new("compile 10,000 jobs, warm p50", "ms", warm, None, RUNS),
        Figure::new(
            "compile 10,000 jobs, peak RSS",
            "MiB",
            peak,
            Some(Target::AtMost(100.0)),
            1,
        ),
        Figure::new(
            "create 10,000 jobs",
            "ms",
            created.as_secs_f64() * 1000.0,
            Some(Target::AtMost(1000.0)),
            1,
        ),
    ])
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
    let cold = runs.remove(0).as_secs_f64() * 1000.0;
    let warm = Samples::new(runs)?.ms(50);
    #[expect(clippy::cast_precision_loss, reason = "sizes far below 2^52")]
    let peak = own_peak_kib()? as f64 / 1024.0;
    println!(
        "{}",
        serde_json::json!({"cold_ms": cold, "warm_ms": warm, "peak_mib": peak})
    );
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
fn config() -> anyhow::Result<String> {
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
