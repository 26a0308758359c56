//! `permissions`.

use std::collections::BTreeMap;

use super::super::fields;
use super::super::read::value;
use crate::Session;
use crate::diag::{Problem, code};
use crate::yaml::{Node, Value};

/// Scopes and the levels that each has besides `none`.
const SCOPES: &[(&str, &[&str])] = &[
    ("actions", BOTH),
    ("artifact-metadata", BOTH),
    ("attestations", BOTH),
    ("checks", BOTH),
    ("code-quality", BOTH),
    ("contents", BOTH),
    ("copilot-requests", BOTH),
    ("deployments", BOTH),
    ("discussions", BOTH),
    ("drives", BOTH),
    ("id-token", &["write"]),
    ("issues", BOTH),
    ("models", &["read"]),
    ("packages", BOTH),
    ("pages", BOTH),
    ("pull-requests", BOTH),
    ("repository-projects", BOTH),
    ("security-events", BOTH),
    ("statuses", BOTH),
    ("vulnerability-alerts", &["read"]),
];
const BOTH: &[&str] = &["read", "write"];

/// Reads `permissions`: scope → level. `read-all` and `write-all` name every scope.
pub(super) fn parse(session: &Session<'_>, node: &Node) -> BTreeMap<String, String> {
    let all = |level: &str| {
        let of = |(scope, levels): &(&str, &[&str])| {
            let level = if levels.contains(&level) { level } else { levels[0] };
            ((*scope).to_owned(), level.to_owned())
        };
        SCOPES.iter().map(of).collect()
    };
    match value(node) {
        Value::Text("read-all") => all("read"),
        Value::Text("write-all") => all("write"),
        Value::Map(map) => {
            let mut found = BTreeMap::new();
            for (key, node) in map.iter() {
                let name = key.text().map_or("", |text| text);
                let Some((_, levels)) = SCOPES.iter().find(|(scope, _)| *scope == name) else {
                    let message = format!("`{name}` is no permission");
                    session.report(
                        Problem::new(&code::GITHUB_UNKNOWN_KEY, key.span, message)
                            .suggest(name, SCOPES.iter().map(|(scope, _)| *scope)),
                    );
                    continue;
                };
                let Some(level) = fields::plain(session, node, &format_args!("permission `{name}`")) else {
                    continue;
                };
                if level != "none" && !levels.contains(&level) {
                    let message = format!("`{level}` is no level of permission `{name}`");
                    session.report(
                        Problem::new(&code::GITHUB_VALUE, node.span, message)
                            .hint(format!("it is one of {}, none", levels.join(", "))),
                    );
                }
                found.insert(name.to_owned(), level.to_owned());
            }
            found
        }
        _ => {
            fields::wrong(
                session,
                node,
                &"`permissions`",
                "read-all, write-all or a map of scopes",
            );
            BTreeMap::new()
        }
    }
}
