//! One patch: read once, applied to every pod.

use k8s_openapi::api::core::v1::PodSpec;
use serde_json::Value;

use super::strategic;
use crate::config::kubernetes::{PatchType, PodSpecPatch};
use crate::executor::{Error, Result};

/// A patch, ready to be applied.
#[derive(Debug, Clone)]
pub(in super::super) struct Patch {
    name: String,
    change: Change,
}

#[derive(Debug, Clone)]
enum Change {
    Strategic(Value),
    Merge(Value),
    Json(json_patch::Patch),
}

impl Patch {
    /// Reads a patch, or the file that it names.
    ///
    /// # Errors
    /// The file cannot be read, the text is neither YAML nor JSON, or it is no patch of its type.
    pub(in super::super) fn read(own: &PodSpecPatch, index: usize) -> Result<Self> {
        let name = if own.name.is_empty() {
            format!("pod_spec[{index}]")
        } else {
            format!("pod_spec {:?}", own.name)
        };
        let bad = |message: String| {
            Error::configuration(
                format!("kubernetes.{name}: {message}"),
                "correct the patch in config.toml",
            )
        };
        let text = if own.patch_path.is_empty() {
            own.patch.clone()
        } else {
            let read = std::fs::read_to_string(&own.patch_path);
            read.map_err(|error| bad(format!("cannot read {}: {error}", own.patch_path)))?
        };
        let value: Value = serde_saphyr::from_str(&text).map_err(|error| {
            bad(format!(
                "it is neither YAML nor JSON: {}",
                first_line(&error.to_string())
            ))
        })?;
        let change = match own.patch_type {
            PatchType::Json => {
                let operations = serde_json::from_value(value);
                Change::Json(
                    operations
                        .map_err(|error| bad(format!("it is no list of operations (op, path, value): {error}")))?,
                )
            }
            PatchType::Strategic | PatchType::Merge if !value.is_object() => {
                return Err(bad("it is no map of fields of a pod's specification".to_owned()));
            }
            PatchType::Strategic => Change::Strategic(value),
            PatchType::Merge => Change::Merge(value),
        };
        Ok(Self { name, change })
    }

    /// Whether it changes the pod's init containers.
    pub(in super::super) fn is_of_init_containers(&self) -> bool {
        match &self.change {
            Change::Strategic(fields) | Change::Merge(fields) => fields.get("initContainers").is_some(),
            Change::Json(patch) => patch.iter().any(|operation| {
                operation
                    .path()
                    .first()
                    .is_some_and(|field| field.decoded() == "initContainers")
            }),
        }
    }

    /// The specification with the change made.
    ///
    /// # Errors
    /// The change does not fit, or what comes out is no specification of a pod.
    pub(in super::super) fn apply(&self, spec: PodSpec) -> Result<PodSpec> {
        let bad = |message: String| {
            Error::configuration(
                format!("kubernetes.{}: {message}", self.name),
                "correct the patch in config.toml",
            )
        };
        let mut value = serde_json::to_value(spec).map_err(|error| bad(error.to_string()))?;
        match &self.change {
            Change::Strategic(patch) => strategic::merge(&mut value, patch).map_err(bad)?,
            Change::Merge(patch) => json_patch::merge(&mut value, patch),
            Change::Json(patch) => json_patch::patch(&mut value, patch).map_err(|error| bad(error.to_string()))?,
        }
        // A patch by RFC 7386 may remove what every pod has.
        if value.get("containers").is_none() {
            return Err(bad("it leaves a pod without containers".to_owned()));
        }
        let spec: PodSpec = serde_json::from_value(value.clone())
            .map_err(|error| bad(format!("what comes out is no specification of a pod: {error}")))?;
        let kept = serde_json::to_value(&spec).map_err(|error| bad(error.to_string()))?;
        match lost(&value, &kept, String::new()) {
            None => Ok(spec),
            Some(path) => Err(bad(format!(
                "{path} is no field of a pod's specification that this version knows"
            ))),
        }
    }
}

/// The first field of `before` that is not in `after`.
fn lost(before: &Value, after: &Value, path: String) -> Option<String> {
    match (before, after) {
        (Value::Object(before), Value::Object(after)) => {
            before
                .iter()
                .filter(|(_, value)| !value.is_null())
                .find_map(|(key, value)| {
                    let path = format!("{path}/{key}");
                    match after.get(key) {
                        Some(kept) => lost(value, kept, path),
                        None => Some(path),
                    }
                })
        }
        (Value::Array(before), Value::Array(after)) => before
            .iter()
            .zip(after)
            .enumerate()
            .find_map(|(index, (before, after))| lost(before, after, format!("{path}/{index}"))),
        _ => None,
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}
