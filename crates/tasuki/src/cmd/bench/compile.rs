//! A configuration of 10,000 jobs in each language, compiled: time and memory, in processes of their own.

use std::time::Duration;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, Tree, compile_with};
use tasuki_rt::Clock;

use super::configs;
use super::figure::{Figure, Samples, Target};
use super::process::{megabytes, own_peak};
use super::stage::tasuki;

pub(super) const JOBS: usize = 10_000;
/// Compilations in one process after the first one.
const RUNS: usize = 10;
/// Processes, each of which has one first compilation.
const PROCESSES: usize = 10;

/// The language of a configuration of 10,000 jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Subject {
    Gitlab,
    Circleci,
    Github,
}

impl Subject {
    /// What the figures are called.
    fn what(self) -> &'static str {
        match self {
            Self::Gitlab => "compile 10,000 jobs",
            Self::Circleci => "compile 10,000 CircleCI jobs",
            Self::Github => "compile 10,000 GitHub jobs",
        }
    }

    fn files(self) -> anyhow::Result<Vec<(String, String)>> {
        Ok(match self {
            Self::Gitlab => vec![(".gitlab-ci.yml".to_owned(), configs::gitlab()?)],
            Self::Circleci => vec![(".circleci/config.yml".to_owned(), configs::circleci()?)],
            Self::Github => configs::github()?,
        })
    }

    fn word(self) -> &'static str {
        match self {
            Self::Gitlab => "gitlab",
            Self::Circleci => "circleci",
            Self::Github => "github",
        }
    }
}

pub(super) fn measure() -> anyhow::Result<Vec<Figure>> {
    let mut figures = Vec::new();
    for subject in [Subject::Gitlab, Subject::Circleci, Subject::Github] {
        figures.extend(measure_one(subject)?);
    }
    Ok(figures)
}

fn measure_one(subject: Subject) -> anyhow::Result<Vec<Figure>> {
    let (mut cold, mut warm, mut peak) = (Vec::new(), Vec::new(), 0.0_f64);
    for _ in 0..PROCESSES {
        let output = tasuki()?
            .args(["bench", "compile", "--inner", subject.word()])
            .output()?;
        anyhow::ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let inner: Inner = serde_json::from_slice(&output.stdout).context("the inner run printed no JSON")?;
        cold.push(Duration::from_secs_f64(inner.cold_s));
        warm.extend(inner.warm_s.into_iter().map(Duration::from_secs_f64));
        peak = peak.max(inner.peak_mb);
    }
    let what = subject.what();
    let mut figures = Samples::new(cold)?.figures(&format!("{what}, cold"), [None, None, Some(Target::AtMost(150.0))]);
    figures.extend(Samples::new(warm)?.figures(&format!("{what}, warm"), [None; 3]));
    let most = Some(Target::AtMost(100.0));
    figures.push(Figure::new(format!("{what}, peak RSS"), "MB", peak, most, PROCESSES));
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
pub(super) fn inner(subject: Subject) -> anyhow::Result<()> {
    let files = subject.files()?;
    let mut runs = Vec::with_capacity(RUNS);
    for _ in 0..=RUNS {
        let start = Clock::instant();
        let jobs = jobs_of(subject, &files)?;
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
fn jobs_of(subject: Subject, files: &[(String, String)]) -> anyhow::Result<usize> {
    let context = Context::default();
    let (first, text) = files.first().context("there is no file")?;
    let (lang, file) = match subject {
        Subject::Gitlab => (Language::Gitlab, first.as_str()),
        Subject::Circleci => (Language::Circleci, first.as_str()),
        // All workflows of the folder become one pipeline.
        Subject::Github => (Language::Github, ".github/workflows"),
    };
    let input = Input {
        lang,
        file,
        text,
        context: &context,
    };
    let output = compile_with(&input, Mode::Create, |request| match request {
        Request::Tree { .. } => {
            let tree: Tree = files.iter().map(|(path, _)| (path.as_str(), "1")).collect();
            Answer::Tree(tree.into())
        }
        Request::File { path, .. } => files
            .iter()
            .find(|(known, _)| known == path)
            .map_or(Answer::Refused(Refusal::NotFound), |(_, text)| {
                Answer::file(text.as_str())
            }),
        Request::Changed { .. } | Request::LastCommits { .. } | Request::Orb { .. } => {
            Answer::Refused(Refusal::NotFound)
        }
    });
    let plan = output
        .plan
        .with_context(|| format!("it does not compile: {:?}", output.diagnostics))?;
    Ok(plan.workflows.iter().map(|workflow| workflow.jobs.len()).sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_language_has_ten_thousand_jobs() {
        for subject in [Subject::Gitlab, Subject::Circleci, Subject::Github] {
            let files = subject.files().unwrap();
            assert_eq!(jobs_of(subject, &files).unwrap(), JOBS, "{subject:?}");
        }
    }
}
