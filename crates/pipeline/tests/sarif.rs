//! The SARIF log keeps to the rules of SARIF 2.1.0: fields that must be there, their types, ranges and references.

use serde_json::Value;
use tasuki_model::plan::Language;
use tasuki_pipeline::diag::{codes, sarif};
use tasuki_pipeline::{Answer, Context, Diagnostic, Input, Mode, Refusal, Severity, compile_with};

/// What a check found wrong.
struct Faults(Vec<String>);

impl Faults {
    fn want(&mut self, good: bool, rule: &str, found: &Value) {
        if !good {
            self.0.push(format!("{rule}: {found}"));
        }
    }

    /// An object with nothing but these keys (the schema allows no others); `!` marks the ones that must be there.
    fn object(&mut self, value: &Value, keys: &[&str]) {
        let Some(map) = value.as_object() else {
            return self.want(false, "an object", value);
        };
        for key in map.keys() {
            let known = keys.iter().any(|known| known.trim_start_matches('!') == key);
            self.want(known, &format!("no property `{key}`"), value);
        }
        for key in keys.iter().filter_map(|key| key.strip_prefix('!')) {
            self.want(map.contains_key(key), &format!("a property `{key}`"), value);
        }
    }

    fn text(&mut self, value: &Value, rule: &str) {
        self.want(value.as_str().is_some_and(|text| !text.is_empty()), rule, value);
    }
}

fn level_is_known(value: &Value) -> bool {
    ["none", "note", "warning", "error"].iter().any(|level| value == level)
}

/// The characters of a URI reference, each `%` followed by two hexadecimal digits, no colon before the first slash of a path.
fn is_uri_reference(text: &str) -> bool {
    let good = |c: char| c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&'()*+,;=%".contains(c);
    let escapes = text.split('%').skip(1).all(|part| {
        let mut digits = part.chars();
        (0..2).all(|_| digits.next().is_some_and(|c| c.is_ascii_hexdigit()))
    });
    let first = text.split('/').next().unwrap_or_default();
    let scheme = !first.contains(':') || first == "https:" || first == "http:";
    text.chars().all(good) && escapes && scheme
}

/// The log's faults against the standard.
fn faults(log: &Value) -> Vec<String> {
    let mut all = Faults(Vec::new());
    all.object(log, &["$schema", "!version", "!runs"]);
    all.want(log["version"] == "2.1.0", "version 2.1.0", &log["version"]);
    let runs = log["runs"].as_array().cloned().unwrap_or_default();
    all.want(!runs.is_empty(), "a run", log);
    for run in &runs {
        all.object(run, &["!tool", "!results", "columnKind"]);
        let kinds = ["utf16CodeUnits", "unicodeCodePoints"];
        all.want(
            kinds.iter().any(|kind| run["columnKind"] == *kind),
            "a column kind",
            run,
        );
        all.object(&run["tool"], &["!driver"]);
        let driver = &run["tool"]["driver"];
        all.object(driver, &["!name", "version", "rules"]);
        all.text(&driver["name"], "a name");
        let rules = driver["rules"].as_array().cloned().unwrap_or_default();
        let mut ids = Vec::new();
        for rule in &rules {
            all.object(rule, &["!id", "shortDescription", "help", "defaultConfiguration"]);
            all.text(&rule["id"], "an id");
            all.text(&rule["shortDescription"]["text"], "a description");
            all.object(&rule["help"], &["!text", "markdown"]);
            all.want(level_is_known(&rule["defaultConfiguration"]["level"]), "a level", rule);
            all.want(!ids.contains(&rule["id"]), "rules are unique", rule);
            ids.push(rule["id"].clone());
        }
        for result in run["results"].as_array().cloned().unwrap_or_default() {
            all.object(&result, &["!message", "ruleId", "ruleIndex", "level", "locations"]);
            all.text(&result["message"]["text"], "a message");
            all.want(level_is_known(&result["level"]), "a level", &result);
            let index = result["ruleIndex"]
                .as_u64()
                .and_then(|index| usize::try_from(index).ok());
            let rule = index.and_then(|index| ids.get(index));
            all.want(rule == Some(&result["ruleId"]), "its rule by index", &result);
            for location in result["locations"].as_array().cloned().unwrap_or_default() {
                all.object(&location, &["physicalLocation"]);
                let physical = &location["physicalLocation"];
                all.object(physical, &["!artifactLocation", "region"]);
                let uri = &physical["artifactLocation"]["uri"];
                all.want(uri.as_str().is_some_and(is_uri_reference), "a URI reference", uri);
                if let Some(region) = physical.get("region") {
                    let number = |key: &str| region[key].as_u64().unwrap_or_default();
                    all.object(region, &["!startLine", "startColumn", "endColumn"]);
                    all.want(number("startLine") >= 1 && number("startColumn") >= 1, "from 1", region);
                    all.want(number("endColumn") > number("startColumn"), "an end behind", region);
                }
            }
        }
    }
    all.0
}

fn check(diagnostics: &[Diagnostic]) {
    let log = sarif(diagnostics);
    assert_eq!(faults(&log), Vec::<String>::new(), "{log:#}");
    let results = log["runs"][0]["results"].as_array().map(Vec::len);
    assert_eq!(results, Some(diagnostics.len()), "every finding is a result");
}

#[test]
fn what_each_language_finds_is_sarif() {
    for (language, file, text) in [
        (
            Language::Gitlab,
            ".gitlab-ci.yml",
            "include: 'a b:c.yml'\nj: {scirpt: x}\nj: {script: y}\n",
        ),
        (
            Language::Circleci,
            ".circleci/config.yml",
            "version: 2.1\njobs: {a: {steps: 1}}\nworkflow: x\n",
        ),
        (
            Language::Github,
            ".github/workflows/ä b.yml",
            "on: psuh\njobs: {a: {steps: [{run: '${{ x'}]}}\n",
        ),
    ] {
        let context = Context::default();
        let input = Input {
            lang: language,
            file,
            text,
            context: &context,
        };
        let output = compile_with(&input, Mode::Lint, |_| Answer::Refused(Refusal::NotFound));
        assert!(output.has_errors(), "{file}");
        check(&output.diagnostics);
    }
    check(&[]);
}

#[test]
fn every_code_severity_and_place_is_sarif() {
    let places = [
        "",
        "a.yml",
        "a:b, c%d.yml",
        "C:/x.yml",
        "https://example.com/a.yml?x=1#y",
        "é\n\u{1b}",
    ];
    for (at, code) in codes().iter().enumerate() {
        for (line, column, length) in [(0, 0, 0), (1, 0, 0), (7, 3, u16::MAX)] {
            check(&[Diagnostic {
                severity: [Severity::Error, Severity::Warning, Severity::Info][at % 3],
                code: code.name,
                message: "what is wrong".to_owned(),
                file: places[at % places.len()].to_owned(),
                line,
                column,
                length,
                hint: Some("what to do".to_owned()),
                trail: vec!["included from x".to_owned()],
            }]);
        }
    }
}

#[test]
fn the_check_itself_finds_what_is_wrong() {
    for (pointer, wrong) in [
        ("/version", Value::from("2.0.0")),
        ("/runs/0/results/0/level", Value::from("fatal")),
        ("/runs/0/results/0/ruleIndex", Value::from(9)),
        (
            "/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri",
            Value::from("a b"),
        ),
        (
            "/runs/0/results/0/locations/0/physicalLocation/region/startLine",
            Value::from(0),
        ),
        ("/runs/0/tool/driver/name", Value::Null),
    ] {
        let mut log = sarif(&[Diagnostic {
            severity: Severity::Error,
            code: codes()[0].name,
            message: "x".to_owned(),
            file: "a.yml".to_owned(),
            line: 1,
            column: 1,
            length: 1,
            hint: None,
            trail: Vec::new(),
        }]);
        *log.pointer_mut(pointer).expect("a part of the log") = wrong;
        assert!(!faults(&log).is_empty(), "{pointer}");
    }
}
