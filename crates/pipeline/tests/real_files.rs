//! Files that real projects have, read where `TASUKI_REAL` names the folder that has them: below `gitlab`, `circleci` and
//! `github`. All of them must be accepted, but for those that `refused.txt` there lists, one a line as `language/file: why`.

#![expect(
    clippy::disallowed_methods,
    reason = "where the files lie is said by the environment"
)]

use std::collections::BTreeMap;
use std::path::Path;

use tasuki_model::plan::Language;
use tasuki_pipeline::{Answer, Context, Input, Mode, Refusal, Request, compile_with};

/// What cannot be asked of a file that names an absent one, which could define it.
const BEYOND: &[&str] = &[
    "gitlab-include",
    "gitlab-extends",
    "gitlab-reference",
    "gitlab-input",
    "gitlab-job",
    "gitlab-missing-key",
    "gitlab-need",
    "gitlab-stage",
    "gitlab-unknown-key",
    "circleci-argument",
    "circleci-orb",
    "circleci-undefined",
    "github-action",
    "github-uses",
];

/// The first error of a file that is no matter of what lies beside it.
fn refusal(language: Language, file: &str, text: &str) -> Option<String> {
    let context = Context::default();
    let input = Input {
        lang: language,
        file,
        text,
        context: &context,
    };
    let mut absent = false;
    let output = compile_with(&input, Mode::Lint, |request| {
        let found = match request {
            Request::Changed { .. } => return Answer::Changed(None),
            // It may define anything; the file is checked as far as that goes.
            Request::File { path, .. } if language == Language::Gitlab && !path.contains('*') => {
                Answer::file(".absent: {script: x}\n")
            }
            Request::File { .. } | Request::Tree { .. } | Request::LastCommits { .. } | Request::Orb { .. } => {
                Answer::Refused(Refusal::NotFound)
            }
        };
        absent = true;
        found
    });
    let blamed = |code: &str| code != "unsupported" && !(absent && BEYOND.contains(&code));
    let error = output.diagnostics.iter().find(|d| d.is_error() && blamed(d.code))?;
    Some(format!(
        "{}:{} {} {}",
        error.line, error.column, error.code, error.message
    ))
}

#[test]
fn real_files_are_judged_as_their_owners_see_them() {
    let Ok(root) = std::env::var("TASUKI_REAL") else {
        println!("SKIPPED: TASUKI_REAL does not name a folder with real files");
        return;
    };
    let root = Path::new(&root);
    let listed = std::fs::read_to_string(root.join("refused.txt")).unwrap_or_default();
    let listed: BTreeMap<&str, &str> = listed.lines().filter_map(|line| line.split_once(": ")).collect();
    let mut faults = Vec::new();
    for (folder, language, place) in [
        ("gitlab", Language::Gitlab, ".gitlab-ci.yml"),
        ("circleci", Language::Circleci, ".circleci/config.yml"),
        ("github", Language::Github, ".github/workflows/x.yml"),
    ] {
        let Ok(entries) = std::fs::read_dir(root.join(folder)) else {
            continue;
        };
        let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
        paths.sort();
        let (mut accepted, mut rightly) = (0, 0);
        for path in &paths {
            let name = format!("{folder}/{}", path.file_name().unwrap_or_default().to_string_lossy());
            let bytes = std::fs::read(path).unwrap_or_default();
            let refused = refusal(language, place, &String::from_utf8_lossy(&bytes));
            match (refused, listed.get(name.as_str())) {
                (None, None) => accepted += 1,
                (Some(_), Some(_)) => rightly += 1,
                (Some(error), None) => faults.push(format!("{name}: {error}")),
                (None, Some(why)) => faults.push(format!("{name}: accepted, although {why}")),
            }
        }
        println!(
            "{folder}: {} files, {accepted} accepted, {rightly} refused as listed",
            paths.len()
        );
    }
    assert!(
        faults.is_empty(),
        "{} judged otherwise:\n{}",
        faults.len(),
        faults.join("\n")
    );
}
