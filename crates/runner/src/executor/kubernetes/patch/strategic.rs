//! Kubernetes' strategic merge of a pod's specification.
//!
//! Maps are merged key by key, `null` removes one. Lists of [`MERGE_KEYS`] are merged item by item: an item with the same
//! key is merged into, another is added at the end. All other lists are replaced. Directives:
//!
//! | In a map | Does |
//! |---|---|
//! | `$patch: replace` | the patch's map stands in place of what was there |
//! | `$patch: delete` | the map (as an item of a list: the item with that key) is removed |
//! | `$patch: merge` | what happens anyway |
//! | `$retainKeys: […]` | keys that are not named are removed |
//!
//! An item of a list that holds nothing but `$patch: replace` makes the rest of that list stand in place of what was there.

use serde_json::{Map, Value};

/// Fields of a pod's specification whose lists are merged, with what tells their items apart (`patchMergeKey` of the
/// Kubernetes API, 1.34).
const MERGE_KEYS: &[(&str, &str)] = &[
    ("containers", "name"),
    ("initContainers", "name"),
    ("ephemeralContainers", "name"),
    ("volumes", "name"),
    ("env", "name"),
    ("ports", "containerPort"),
    ("volumeMounts", "mountPath"),
    ("volumeDevices", "devicePath"),
    ("hostAliases", "ip"),
    ("imagePullSecrets", "name"),
    ("resourceClaims", "name"),
    ("schedulingGates", "name"),
    ("topologySpreadConstraints", "topologyKey"),
];

const PATCH: &str = "$patch";
const RETAIN: &str = "$retainKeys";

/// What a map's `$patch` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Directive {
    Merge,
    Replace,
    Delete,
}

/// Merges a patch into a specification.
///
/// # Errors
/// A directive that is none, or an item of a merged list without its key.
pub(super) fn merge(into: &mut Value, patch: &Value) -> Result<(), String> {
    let (Value::Object(into), Value::Object(patch)) = (into, patch) else {
        return Err("it is no map of fields of a pod's specification".to_owned());
    };
    maps(into, patch)
}

fn maps(into: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    match directive(patch)? {
        Directive::Merge => {}
        Directive::Replace => into.clear(),
        Directive::Delete => {
            into.clear();
            return Ok(());
        }
    }
    for (key, change) in patch {
        if key == PATCH || key == RETAIN {
            continue;
        }
        if key.starts_with('$') {
            return Err(format!("the directive {key} is not supported"));
        }
        match change {
            Value::Null => {
                into.remove(key);
            }
            Value::Object(change) => below(into, key, change)?,
            Value::Array(items) => match MERGE_KEYS.iter().find(|(field, _)| field == key) {
                Some((_, merge_key)) => {
                    let old = match into.remove(key) {
                        Some(Value::Array(old)) => old,
                        Some(_) | None => Vec::new(),
                    };
                    into.insert(key.clone(), Value::Array(lists(old, items, key, merge_key)?));
                }
                None => {
                    into.insert(key.clone(), change.clone());
                }
            },
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {
                into.insert(key.clone(), change.clone());
            }
        }
    }
    retain(into, patch)
}

/// A map in a map.
fn below(into: &mut Map<String, Value>, key: &str, change: &Map<String, Value>) -> Result<(), String> {
    if directive(change)? == Directive::Delete {
        into.remove(key);
        return Ok(());
    }
    let old = into.entry(key).or_insert_with(|| Value::Object(Map::new()));
    if !old.is_object() {
        *old = Value::Object(Map::new());
    }
    match old {
        Value::Object(old) => maps(old, change),
        _ => Ok(()),
    }
}

fn lists(mut old: Vec<Value>, items: &[Value], field: &str, key: &str) -> Result<Vec<Value>, String> {
    if items.iter().any(is_marker) {
        old.clear();
    }
    for item in items.iter().filter(|item| !is_marker(item)) {
        let Value::Object(item) = item else {
            return Err(format!("an item of {field} is no map"));
        };
        let Some(id) = item.get(key) else {
            return Err(format!(
                "an item of {field} has no {key}: by it the items are told apart"
            ));
        };
        let at = old.iter().position(|one| one.get(key) == Some(id));
        match (directive(item)?, at) {
            (Directive::Delete, Some(at)) => {
                old.remove(at);
            }
            (Directive::Delete, None) => {}
            (Directive::Replace | Directive::Merge, Some(at)) => {
                if let Value::Object(one) = &mut old[at] {
                    maps(one, item)?;
                }
            }
            (Directive::Replace | Directive::Merge, None) => {
                let mut new = Map::new();
                maps(&mut new, item)?;
                old.push(Value::Object(new));
            }
        }
    }
    Ok(old)
}

/// `{$patch: replace}` alone.
fn is_marker(item: &Value) -> bool {
    item.as_object()
        .is_some_and(|map| map.len() == 1 && map.get(PATCH).and_then(Value::as_str) == Some("replace"))
}

fn directive(map: &Map<String, Value>) -> Result<Directive, String> {
    match map.get(PATCH).map(Value::as_str) {
        None | Some(Some("merge")) => Ok(Directive::Merge),
        Some(Some("replace")) => Ok(Directive::Replace),
        Some(Some("delete")) => Ok(Directive::Delete),
        Some(other) => Err(format!(
            "$patch: {} is none of merge, replace, delete",
            other.unwrap_or("(no text)")
        )),
    }
}

fn retain(into: &mut Map<String, Value>, patch: &Map<String, Value>) -> Result<(), String> {
    match patch.get(RETAIN) {
        None => Ok(()),
        Some(Value::Array(keys)) => {
            into.retain(|key, _| keys.iter().any(|kept| kept.as_str() == Some(key)));
            Ok(())
        }
        Some(_) => Err(format!("{RETAIN} is no list of keys")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(old: Value, patch: &Value, wanted: Value) {
        let mut merged = old;
        merge(&mut merged, patch).unwrap_or_else(|error| panic!("{patch}: {error}"));
        assert_eq!(merged, wanted, "{patch}");
    }

    #[test]
    fn maps_are_merged_key_by_key() {
        let old = json!({"a": {"x": 1, "y": 2}, "b": [1, 2], "hostname": "h"});
        check(
            old.clone(),
            &json!({"a": {"x": 3}}),
            json!({"a": {"x": 3, "y": 2}, "b": [1, 2], "hostname": "h"}),
        );
        check(
            old.clone(),
            &json!({"hostname": null, "b": [3]}),
            json!({"a": {"x": 1, "y": 2}, "b": [3]}),
        );
        check(
            old.clone(),
            &json!({"a": {"$patch": "replace", "z": 1}}),
            json!({"a": {"z": 1}, "b": [1, 2], "hostname": "h"}),
        );
        check(
            old.clone(),
            &json!({"a": {"$patch": "delete"}}),
            json!({"b": [1, 2], "hostname": "h"}),
        );
        check(
            old.clone(),
            &json!({"a": {"$patch": "merge", "z": 1}, "b": null}),
            json!({"a": {"x": 1, "y": 2, "z": 1}, "hostname": "h"}),
        );
        check(
            old,
            &json!({"a": {"$retainKeys": ["x"]}}),
            json!({"a": {"x": 1}, "b": [1, 2], "hostname": "h"}),
        );
        check(
            json!({}),
            &json!({"new": {"deep": {"x": null, "y": 1}}}),
            json!({"new": {"deep": {"y": 1}}}),
        );
    }

    #[test]
    fn lists_are_merged_by_their_keys() {
        let old = json!({
            "containers": [{"name": "build", "image": "a", "env": [{"name": "A", "value": "1"}]}, {"name": "helper"}],
            "tolerations": [{"key": "a"}],
            "hostAliases": [{"ip": "1.2.3.4", "hostnames": ["x"]}],
        });
        let merged = |patch: Value| {
            let mut merged = old.clone();
            merge(&mut merged, &patch).map(|()| merged)
        };
        let same = merged(
            json!({"containers": [{"name": "build", "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "3"}]}]}),
        );
        let same = same.expect("is merged");
        assert_eq!(
            same["containers"][0]["env"],
            json!([{"name": "A", "value": "3"}, {"name": "B", "value": "2"}])
        );
        assert_eq!(same["containers"][0]["image"], "a");
        assert_eq!(same["containers"][1], json!({"name": "helper"}));
        let gone = merged(
            json!({"containers": [{"name": "helper", "$patch": "delete"}, {"name": "none", "$patch": "delete"}]}),
        );
        assert_eq!(gone.expect("is merged")["containers"].as_array().map(Vec::len), Some(1));
        let one = merged(json!({"containers": [{"name": "build", "$patch": "replace", "image": "b"}]}));
        assert_eq!(
            one.expect("is merged")["containers"][0],
            json!({"name": "build", "image": "b"})
        );
        let all = merged(json!({"containers": [{"$patch": "replace"}, {"name": "x"}]}));
        assert_eq!(all.expect("is merged")["containers"], json!([{"name": "x"}]));
        let added = merged(json!({"hostAliases": [{"ip": "::1", "hostnames": ["y"]}], "tolerations": [{"key": "b"}]}));
        let added = added.expect("is merged");
        assert_eq!(added["hostAliases"].as_array().map(Vec::len), Some(2));
        assert_eq!(added["tolerations"], json!([{"key": "b"}]));
    }

    #[test]
    fn what_is_no_patch_is_said() {
        for (patch, said) in [
            (json!([]), "no map"),
            (json!({"a": {"$patch": "explode"}}), "none of merge, replace, delete"),
            (json!({"a": {"$patch": 3}}), "none of merge, replace, delete"),
            (json!({"containers": [{"image": "x"}]}), "has no name"),
            (json!({"containers": ["x"]}), "no map"),
            (json!({"$setElementOrder/containers": []}), "not supported"),
            (json!({"a": {"$retainKeys": "x"}}), "no list of keys"),
        ] {
            let error = merge(&mut json!({"a": {}, "containers": []}), &patch).expect_err("is refused");
            assert!(error.contains(said), "{error} has not {said}");
        }
    }
}
