//! `[[runners.kubernetes.volumes.<type>]]`.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Volumes of every container of a job. `$NAME` is expanded in names, claims and sub-paths.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct Volumes {
    pub host_path: Vec<HostPathVolume>,
    pub pvc: Vec<PvcVolume>,
    pub config_map: Vec<ConfigMapVolume>,
    pub secret: Vec<SecretVolume>,
    pub empty_dir: Vec<EmptyDirVolume>,
    pub csi: Vec<CsiVolume>,
    pub nfs: Vec<NfsVolume>,
}

/// A folder of the node.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct HostPathVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub read_only: bool,
    /// Empty = `mount_path`.
    pub host_path: String,
    /// `None`, `HostToContainer` or `Bidirectional`.
    pub mount_propagation: Option<String>,
}

/// A claim, whose name is the volume's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct PvcVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub read_only: bool,
    pub mount_propagation: Option<String>,
}

/// A config map, whose name is the volume's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct ConfigMapVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub read_only: bool,
    /// Key → path; empty = all keys.
    pub items: BTreeMap<String, String>,
}

/// A secret, whose name is the volume's.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct SecretVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub read_only: bool,
    /// Key → path; empty = all keys.
    pub items: BTreeMap<String, String>,
}

/// A folder that lives as long as the pod.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct EmptyDirVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    /// `Memory`; empty = the node's disk.
    pub medium: String,
    pub size_limit: String,
    pub mount_propagation: Option<String>,
}

/// What a driver of the cluster mounts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct CsiVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub driver: String,
    pub fs_type: String,
    pub volume_attributes: BTreeMap<String, String>,
    pub read_only: bool,
}

/// A folder of an NFS server.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(default)]
pub struct NfsVolume {
    pub name: String,
    pub mount_path: String,
    pub sub_path: String,
    pub server: String,
    pub path: String,
    pub read_only: bool,
}
