//! `id_tokens`, `secrets`.

use std::collections::BTreeMap;

use tasuki_model::plan::IdToken;

use super::check::{Check, value};
use super::json;
use crate::diag::code;
use crate::yaml::{Map, Node, Span, Text, Value};

pub(super) fn id_tokens(check: &mut Check<'_>, node: &Node) -> Option<Vec<IdToken>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash of id tokens");
        return None;
    };
    let mut out = Vec::with_capacity(map.len());
    for (key, inner) in map.iter() {
        let Some(name) = key.text() else { continue };
        let token = check.within(name, |check| {
            let map = check.map(inner, &["aud"])?;
            let aud = check.required(map, inner.span, "aud")?;
            Some(IdToken {
                name: name.to_string(),
                audiences: check.within("aud", |check| check.string_or_plain_strings(aud))?,
            })
        });
        out.extend(token);
    }
    Some(out)
}

const PROVIDERS: &[&str] = &[
    "vault",
    "gcp_secret_manager",
    "azure_key_vault",
    "aws_secrets_manager",
    "gitlab_secrets_manager",
];
const SECRET_KEYS: &[&str] = &[
    "vault",
    "gcp_secret_manager",
    "azure_key_vault",
    "aws_secrets_manager",
    "gitlab_secrets_manager",
    "file",
    "token",
];

/// Checked and passed on; the server completes them with its providers when the task is claimed.
pub(super) fn secrets(
    check: &mut Check<'_>,
    node: &Node,
    id_tokens: &[IdToken],
) -> Option<BTreeMap<String, serde_json::Value>> {
    let Value::Map(map) = value(node) else {
        check.wrong_type(node, "a hash of secrets");
        return None;
    };
    let mut out = BTreeMap::new();
    for (key, inner) in map.iter() {
        let Some(name) = key.text() else { continue };
        let secret = check.within(name, |check| secret(check, inner, id_tokens));
        out.extend(secret.map(|secret| (name.to_string(), secret)));
    }
    Some(out)
}

fn secret(check: &mut Check<'_>, node: &Node, id_tokens: &[IdToken]) -> Option<serde_json::Value> {
    let map = check.map(node, SECRET_KEYS)?;
    check.exclusive(map, PROVIDERS);
    let Some((provider, inner)) = PROVIDERS.iter().find_map(|key| map.entry(key)) else {
        let text = format!("config must have one of the keys: {}", PROVIDERS.join(", "));
        check.report(check.problem(&code::GITLAB_MISSING_KEY, node.span, &text));
        return None;
    };
    let file = check.key(map, "file", Check::boolean).unwrap_or(true);
    let token = check
        .key(map, "token", Check::filled_text)
        .or_else(|| only_token(check, node.span, id_tokens));
    let provider = provider.text()?.to_string();
    let mut out = serde_json::Map::new();
    let body = if provider == "vault" {
        vault(check, inner)?
    } else {
        cloud(check, &provider, inner)?
    };
    out.insert(provider, body);
    out.insert("file".to_owned(), file.into());
    if let Some(token) = token {
        out.insert("token".to_owned(), token.into());
    }
    Some(out.into())
}

/// A job's only ID token is used without being named.
fn only_token(check: &Check<'_>, span: Span, id_tokens: &[IdToken]) -> Option<String> {
    match id_tokens {
        [] => None,
        [one] => Some(format!("${}", one.name)),
        _ => {
            let text = "config misses the key: token; the job has several ID tokens";
            check.report(check.problem(&code::GITLAB_MISSING_KEY, span, text));
            None
        }
    }
}

/// A map, or `path/to/secret/field@engine`.
fn vault(check: &mut Check<'_>, node: &Node) -> Option<serde_json::Value> {
    check.within("vault", |check| match value(node) {
        Value::Text(_) | Value::Symbol(_) => {
            let text = check.filled_text(node)?;
            let (secret, engine) = text.split_once('@').unwrap_or((&text, "kv-v2"));
            let Some((path, field)) = secret.rsplit_once('/') else {
                let problem = check.problem(&code::GITLAB_VALUE, node.span, "config should name a field");
                check.report(problem.hint("write `path/of/secret/field@engine`"));
                return None;
            };
            Some(serde_json::json!({
                "engine": {"name": "kv-v2", "path": engine}, "path": path, "field": field,
            }))
        }
        _ => {
            let map = check.map(node, &["engine", "path", "field"])?;
            for key in ["engine", "path", "field"] {
                check.required(map, node.span, key)?;
            }
            check.key(map, "engine", |check, node| {
                let map = check.map(node, &["name", "path"])?;
                check.required(map, node.span, "name")?;
                check.required(map, node.span, "path").map(|_| ())
            });
            Some(json::of(node))
        }
    })
}

fn cloud(check: &mut Check<'_>, provider: &str, node: &Node) -> Option<serde_json::Value> {
    let (keys, required): (&[&str], &'static str) = match provider {
        "gcp_secret_manager" => (&["name", "version"], "name"),
        "azure_key_vault" => (&["name", "version"], "name"),
        "aws_secrets_manager" => (
            &[
                "secret_id",
                "version_id",
                "version_stage",
                "region",
                "role_arn",
                "role_session_name",
                "field",
            ],
            "secret_id",
        ),
        _ => (&["name", "source"], "name"),
    };
    check.within(&Text::from(provider), |check| {
        if let (Value::Text(text), "aws_secrets_manager") = (value(node), provider) {
            let (id, field) = text.split_once('#').unwrap_or((text, ""));
            let mut out = serde_json::json!({ "secret_id": id });
            if !field.is_empty() {
                out["field"] = field.into();
            }
            return Some(out);
        }
        let map: &Map = check.map(node, keys)?;
        check.required(map, node.span, required)?;
        Some(json::of(node))
    })
}
