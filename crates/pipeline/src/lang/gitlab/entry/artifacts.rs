//! `artifacts` and its reports.

use tasuki_model::plan::{Artifacts, Report};

use super::cache::UPLOAD_WHEN;
use super::check::{Check, value};
use crate::diag::code;
use crate::lang::gitlab::duration;
use crate::yaml::{Map, Node, Value};

const KEYS: &[&str] = &[
    "name",
    "paths",
    "exclude",
    "untracked",
    "when",
    "expire_in",
    "expose_as",
    "reports",
    "public",
    "access",
];
const REPORTS: &[&str] = &[
    "accessibility",
    "annotations",
    "api_fuzzing",
    "browser_performance",
    "cluster_image_scanning",
    "codequality",
    "container_scanning",
    "coverage_fuzzing",
    "coverage_report",
    "cyclonedx",
    "dast",
    "dependency_scanning",
    "dotenv",
    "junit",
    "license_scanning",
    "load_performance",
    "lsif",
    "metrics",
    "performance",
    "repository_xray",
    "requirements",
    "requirements_v2",
    "sarif",
    "sast",
    "secret_detection",
    "terraform",
];
const ACCESS: &[(&str, &str)] = &[
    ("all", "all"),
    ("developer", "developer"),
    ("maintainer", "maintainer"),
    ("none", "none"),
];
const MAX_EXPOSE_AS: usize = 100;

pub(super) fn artifacts(check: &mut Check<'_>, node: &Node) -> Option<Artifacts> {
    let map = check.map(node, KEYS)?;
    check.exclusive(map, &["access", "public"]);
    let public = check.key(map, "public", Check::boolean);
    let access = check.key(map, "access", |check, node| check.one_of(node, ACCESS));
    let artifacts = Artifacts {
        name: check.key(map, "name", Check::text),
        paths: check.key(map, "paths", Check::plain_strings).unwrap_or_default(),
        exclude: check.key(map, "exclude", Check::plain_strings).unwrap_or_default(),
        untracked: check.key(map, "untracked", Check::boolean).unwrap_or(false),
        when: check
            .key(map, "when", |check, node| check.one_of(node, UPLOAD_WHEN))
            .unwrap_or_default(),
        expire_in_s: check.key(map, "expire_in", expire_in),
        expose_as: check.key(map, "expose_as", |check, node| expose_as(check, node, map)),
        access: access
            .or(public.filter(|public| !public).map(|_| "developer"))
            .map(str::to_owned),
        reports: check.key(map, "reports", reports).unwrap_or_default(),
    };
    Some(artifacts)
}

/// Seconds; 0 is never.
pub(super) fn expire_in(check: &mut Check<'_>, node: &Node) -> Option<u64> {
    if let Value::Text(text) = value(node) {
        if text.eq_ignore_ascii_case("never") {
            return Some(0);
        }
        if text.contains('$') && duration::parse(text).is_none() {
            let problem = check.problem(
                &code::GITLAB_VALUE,
                node.span,
                "config should be a duration; variables are not expanded here",
            );
            check.report(problem);
            return None;
        }
    }
    check.duration(node, None)
}

fn expose_as(check: &mut Check<'_>, node: &Node, map: &Map) -> Option<String> {
    let text = check.text(node)?;
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut chars = text.chars();
    let good = chars.next().is_some_and(word) && chars.all(|c| word(c) || matches!(c, '-' | ' '));
    if !good || text.len() > MAX_EXPOSE_AS {
        check.bad_value(
            node.span,
            "can contain only letters, digits, '-', '_' and spaces, and at most 100 characters",
        );
        return None;
    }
    let paths = map.get("paths").map(value);
    match paths {
        Some(Value::Seq(paths)) if !paths.is_empty() => {
            if let Some(glob) = paths
                .iter()
                .find(|path| path.text().is_some_and(|text| text.contains('*')))
            {
                check.bad_value(glob.span, "paths can't contain '*' when used with 'expose_as'");
            }
        }
        _ => {
            let problem = check.problem(&code::GITLAB_MISSING_KEY, node.span, "config needs `paths` beside it");
            check.report(problem);
        }
    }
    Some(text)
}

fn reports(check: &mut Check<'_>, node: &Node) -> Option<Vec<Report>> {
    let map = check.map(node, REPORTS)?;
    let mut out = Vec::with_capacity(map.len());
    for (key, inner) in map.iter() {
        let Some(kind) = key.text().filter(|kind| REPORTS.contains(&&***kind)) else {
            continue;
        };
        if value(inner) == Value::Null {
            continue;
        }
        out.extend(check.within(kind, |check| report(check, kind, inner)));
    }
    Some(out)
}

fn report(check: &mut Check<'_>, kind: &str, node: &Node) -> Option<Report> {
    if kind != "coverage_report" {
        return Some(Report {
            kind: kind.to_owned(),
            paths: check.string_or_plain_strings(node)?,
            format: None,
        });
    }
    let map = check.map(node, &["coverage_format", "path"])?;
    let format = check.required(map, node.span, "coverage_format")?;
    let path = check.required(map, node.span, "path")?;
    let formats = &[("cobertura", "cobertura"), ("jacoco", "jacoco")];
    Some(Report {
        kind: kind.to_owned(),
        paths: vec![check.within("path", |check| check.filled_text(path))?],
        format: check
            .within("coverage_format", |check| check.one_of(format, formats))
            .map(str::to_owned),
    })
}
