//! Compiles a configuration of 10,000 jobs once, for a profiler: `tasuki bench compile` without the rest of tasuki.
//!
//! ```sh
//! export CARGO_PROFILE_RELEASE_LTO=off CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 CARGO_PROFILE_RELEASE_STRIP=none
//! cargo build --release -p tasuki-pipeline --example ten_thousand_jobs
//! valgrind --tool=callgrind --toggle-collect='*compile_once*' target/release/examples/ten_thousand_jobs circleci
//! ```
//!
//! A second argument is how often it compiles. The last line is the process's peak memory.

#[path = "../../tasuki/src/cmd/bench/configs.rs"]
mod configs;

use std::hint::black_box;

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Output, Refusal, Request, Tree, compile_with};

/// That of the program.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[expect(clippy::print_stdout, reason = "what was compiled, and the memory it took")]
fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let word = arguments.next().unwrap_or_default();
    let times: u32 = arguments.next().map_or(Ok(1), |times| times.parse())?;
    let (lang, start, files) = match word.as_str() {
        "gitlab" => (
            Language::Gitlab,
            ".gitlab-ci.yml",
            one(".gitlab-ci.yml", configs::gitlab()?),
        ),
        "circleci" => (
            Language::Circleci,
            ".circleci/config.yml",
            one(".circleci/config.yml", configs::circleci()?),
        ),
        "github" => (Language::Github, ".github/workflows", configs::github()?),
        _ => return Err("gitlab, circleci or github?".into()),
    };
    for _ in 0..times {
        let output = compile_once(lang, start, &files);
        let plan = output.plan.ok_or_else(|| format!("{:?}", output.diagnostics))?;
        let jobs: usize = plan.workflows.iter().map(|workflow| workflow.jobs.len()).sum();
        println!("{jobs} jobs, {} diagnostics", output.diagnostics.len());
        black_box(plan);
    }
    let status = std::fs::read_to_string("/proc/self/status")?;
    println!(
        "{}",
        status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap_or_default()
    );
    Ok(())
}

fn one(path: &str, text: String) -> Vec<(String, String)> {
    vec![(path.to_owned(), text)]
}

#[inline(never)]
fn compile_once(lang: Language, file: &str, files: &[(String, String)]) -> Output {
    let context = Context::default();
    let text = files.first().map_or("", |(_, text)| text);
    let input = Input {
        lang,
        file,
        text,
        context: &context,
    };
    compile_with(&input, Mode::Create, |request| match request {
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
    })
}
