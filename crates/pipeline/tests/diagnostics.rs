//! How diagnostics look outside.

use tasuki_model::plan::Language;
use tasuki_pipeline::diag::{Colour, Excerpts, code_quality, codes, github, human, sarif};
use tasuki_pipeline::{Context, Diagnostic, Input, Mode, Refusal, compile_with};

const TEXT: &str = "include: ci/jobs.yml\nbuild:\n  extends: .bsae\n  script: \"a\u{1b}[31m\"\n.base: {script: x}\n.base: {script: y}\n";
const JOBS: &str = "test: {script: [x]\n";

fn diagnostics(included: &str) -> Vec<Diagnostic> {
    let context = Context::default();
    let input = Input {
        lang: Language::Gitlab,
        file: ".gitlab-ci.yml",
        text: TEXT,
        context: &context,
    };
    let output = compile_with(&input, Mode::Create, |_| match included {
        "" => tasuki_pipeline::Answer::Refused(Refusal::NotFound),
        text => tasuki_pipeline::Answer::file(text),
    });
    let loading = ["yaml-", "gitlab-extends", "gitlab-include"];
    let all = output.diagnostics.into_iter();
    all.filter(|d| loading.iter().any(|code| d.code.starts_with(code)))
        .collect()
}

struct Files;

impl Excerpts for Files {
    fn line(&self, file: &str, line: u32) -> Option<&str> {
        let text = if file == ".gitlab-ci.yml" { TEXT } else { JOBS };
        text.lines().nth(line as usize - 1)
    }
}

#[test]
fn people_see_the_line_and_the_way_to_it() {
    let found: String = diagnostics("other: {script: x}\n")
        .iter()
        .map(|d| human(d, &Files, Colour::Never))
        .collect();
    let expected = "\
error[gitlab-extends]: build: unknown keys in `extends` (.bsae)
  --> .gitlab-ci.yml:3:12
   |
 3 |   extends: .bsae
   |            ^^^^^
   = hint: did you mean `.base`?
warning[yaml-duplicate-key]: the key `.base` was already written on line 5; this one replaces it
  --> .gitlab-ci.yml:6:1
   |
 6 | .base: {script: y}
   | ^^^^^
";
    assert_eq!(found, expected);
    let found: String = diagnostics(JOBS)
        .iter()
        .map(|d| human(d, &Files, Colour::Never))
        .collect();
    assert!(found.contains("--> ci/jobs.yml:1:7"), "{found}");
    assert!(found.contains("= included from .gitlab-ci.yml:1:10"), "{found}");
}

#[test]
fn nothing_of_a_file_controls_the_terminal() {
    let diagnostic = Diagnostic {
        message: "bad \u{1b}]0;title\u{7} word".to_owned(),
        line: 4,
        column: 3,
        ..diagnostics("other: {script: x}\n").remove(0)
    };
    let found = human(&diagnostic, &Files, Colour::Never);
    assert!(!found.contains('\u{1b}') && !found.contains('\u{7}'), "{found:?}");
    assert!(human(&diagnostic, &Files, Colour::Always).contains("\u{1b}[1;31m"));
}

#[test]
fn machines_get_sarif_and_code_quality() {
    let all = diagnostics("");
    let sarif = sarif(&all);
    assert_eq!(sarif["version"], "2.1.0");
    let result = &sarif["runs"][0]["results"][0];
    assert_eq!(result["ruleId"], "gitlab-include");
    assert_eq!(result["locations"][0]["physicalLocation"]["region"]["startLine"], 1);
    let rules = sarif["runs"][0]["tool"]["driver"]["rules"].as_array().expect("rules");
    let ids: Vec<_> = rules.iter().filter_map(|rule| rule["id"].as_str()).collect();
    assert_eq!(ids, ["yaml-duplicate-key", "gitlab-include"]);
    let quality = code_quality(&all);
    assert_eq!(quality[0]["check_name"], "gitlab-include");
    assert_eq!(quality[0]["location"]["path"], ".gitlab-ci.yml");
    assert_eq!(quality[0]["fingerprint"].as_str().map(str::len), Some(40));
}

#[test]
fn annotations_cannot_be_forged_by_a_file() {
    let mut all = diagnostics("");
    all.truncate(1);
    all[0].file = "a,b:c.yml".to_owned();
    all[0].message = "50%\n::error::forged".to_owned();
    all[0].hint = None;
    all[0].trail.clear();
    let found = github(&all);
    let (line, column) = (all[0].line, all[0].column);
    let end = column + u32::from(all[0].length);
    let expected = format!(
        "::{} file=a%2Cb%3Ac.yml,line={line},col={column},endColumn={end},title={}::50%25%0A::error::forged\n",
        all[0].severity.as_str(),
        all[0].code
    );
    assert_eq!(found, expected);
}

#[test]
fn every_code_that_is_used_is_registered() {
    for diagnostic in diagnostics("").iter().chain(&diagnostics(JOBS)) {
        assert!(
            codes().iter().any(|code| code.name == diagnostic.code),
            "{}",
            diagnostic.code
        );
    }
}
