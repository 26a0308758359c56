//! Volumes and where they are mounted.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::super::settings::Settings;
use super::guest;
use super::security::text;
use crate::config::kubernetes::GuestDelivery;
use crate::executor::Task;

/// Volumes of the pod, and the mounts of every container.
#[derive(Debug, Default)]
pub(super) struct Volumes {
    pub(super) volumes: Vec<api::Volume>,
    pub(super) mounts: Vec<api::VolumeMount>,
    /// Where the guest's scripts and sessions are.
    guests: [String; 2],
}

/// Who mounts the guest's volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// The folder of the job's log inside the pod.
pub(in super::super) fn logs_dir(settings: &Settings, task: &Task) -> String {
    format!("{}/logs-{}-{}", settings.config.logs_base_dir, task.project_id, task.id)
}

/// The folder of the job's scripts inside the pod.
pub(super) fn scripts_dir(settings: &Settings, task: &Task) -> String {
    format!(
        "{}/scripts-{}-{}",
        settings.config.scripts_base_dir, task.project_id, task.id
    )
}

impl Volumes {
    /// The configuration's, then those that every job has. Sources and caches lie in a folder of the pod where the
    /// configuration mounts nothing at exactly that path.
    pub(super) fn of(settings: &Settings, task: &Task) -> Self {
        let mut all = Self::default();
        all.configured(settings, task);
        let mounted = |path: &str, mounts: &[api::VolumeMount]| {
            mounts
                .iter()
                .any(|mount| mount.mount_path.trim_end_matches('/') == path.trim_end_matches('/'))
        };
        for (name, path) in [("repo", &settings.builds_dir), ("cache", &settings.cache_dir)] {
            if !mounted(path, &all.mounts) {
                all.empty(name, path);
            }
        }
        all.guests = [scripts_dir(settings, task), logs_dir(settings, task)];
        for (name, path) in ["scripts", "logs"].into_iter().zip(all.guests.clone()) {
            all.empty(name, &path);
        }
        all.volumes.push(empty_dir(guest::VOLUME, "", ""));
        all
    }

    /// Mounts of containers that have no guest.
    pub(super) fn without_guests(&self) -> Vec<api::VolumeMount> {
        let others = self
            .mounts
            .iter()
            .filter(|mount| !self.guests.contains(&mount.mount_path));
        others.cloned().collect()
    }

    fn empty(&mut self, name: &str, path: &str) {
        self.volumes.push(empty_dir(name, "", ""));
        self.mounts.push(mount(name, path));
    }

    fn configured(&mut self, settings: &Settings, task: &Task) {
        let expand = |text: &str| crate::job::expand(text, |name| task.variable(name).unwrap_or_default().to_owned());
        let config = &settings.config.volumes;
        for own in &config.host_path {
            let name = expand(&own.name);
            let path = if own.host_path.is_empty() {
                &own.mount_path
            } else {
                &own.host_path
            };
            let source = api::HostPathVolumeSource {
                path: path.clone(),
                type_: None,
            };
            self.add(&name, |volume| volume.host_path = Some(source));
            self.mounts.push(api::VolumeMount {
                mount_propagation: own.mount_propagation.clone().filter(|word| !word.is_empty()),
                ..full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only)
            });
        }
        for own in &config.secret {
            let name = expand(&own.name);
            let source = api::SecretVolumeSource {
                secret_name: Some(name.clone()),
                items: items(&own.items),
                ..api::SecretVolumeSource::default()
            };
            self.add(&name, |volume| volume.secret = Some(source));
            self.mounts
                .push(full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only));
        }
        for own in &config.pvc {
            let name = expand(&own.name);
            let source = api::PersistentVolumeClaimVolumeSource {
                claim_name: name.clone(),
                read_only: None,
            };
            self.add(&name, |volume| volume.persistent_volume_claim = Some(source));
            self.mounts.push(api::VolumeMount {
                mount_propagation: own.mount_propagation.clone().filter(|word| !word.is_empty()),
                ..full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only)
            });
        }
        for own in &config.config_map {
            let name = expand(&own.name);
            let source = api::ConfigMapVolumeSource {
                name: name.clone(),
                items: items(&own.items),
                ..api::ConfigMapVolumeSource::default()
            };
            self.add(&name, |volume| volume.config_map = Some(source));
            self.mounts
                .push(full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only));
        }
        for own in &config.empty_dir {
            let name = expand(&own.name);
            let source = empty_dir(&name, &own.medium, &own.size_limit).empty_dir;
            self.add(&name, |volume| volume.empty_dir = source);
            self.mounts.push(api::VolumeMount {
                mount_propagation: own.mount_propagation.clone().filter(|word| !word.is_empty()),
                ..full(&name, &own.mount_path, &expand(&own.sub_path), false)
            });
        }
        for own in &config.csi {
            let name = expand(&own.name);
            let source = api::CSIVolumeSource {
                driver: own.driver.clone(),
                fs_type: text(&own.fs_type),
                read_only: own.read_only.then_some(true),
                volume_attributes: (!own.volume_attributes.is_empty()).then(|| own.volume_attributes.clone()),
                ..api::CSIVolumeSource::default()
            };
            self.add(&name, |volume| volume.csi = Some(source));
            self.mounts
                .push(full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only));
        }
        for own in &config.nfs {
            let name = expand(&own.name);
            let source = api::NFSVolumeSource {
                server: own.server.clone(),
                path: own.path.clone(),
                read_only: own.read_only.then_some(true),
            };
            self.add(&name, |volume| volume.nfs = Some(source));
            self.mounts
                .push(full(&name, &own.mount_path, &expand(&own.sub_path), own.read_only));
        }
    }

    /// A volume that is there already, mounted at two places, is not made twice.
    fn add(&mut self, name: &str, source: impl FnOnce(&mut api::Volume)) {
        if self.volumes.iter().any(|volume| volume.name == name) {
            return;
        }
        let mut volume = api::Volume {
            name: name.to_owned(),
            ..api::Volume::default()
        };
        source(&mut volume);
        self.volumes.push(volume);
    }

    /// Mounts of the helper, which has a guest of its own.
    pub(super) fn of_helper(&self, delivery: GuestDelivery) -> Vec<api::VolumeMount> {
        match delivery {
            GuestDelivery::Helper => self.with_guest(Access::Write),
            GuestDelivery::InitContainer => self.mounts.clone(),
        }
    }

    /// The guest's volume, too.
    pub(super) fn with_guest(&self, access: Access) -> Vec<api::VolumeMount> {
        let mut mounts = self.mounts.clone();
        mounts.push(api::VolumeMount {
            read_only: (access == Access::Read).then_some(true),
            ..mount(guest::VOLUME, guest::FOLDER)
        });
        mounts
    }
}

fn mount(name: &str, path: &str) -> api::VolumeMount {
    api::VolumeMount {
        name: name.to_owned(),
        mount_path: path.to_owned(),
        ..api::VolumeMount::default()
    }
}

fn full(name: &str, path: &str, sub_path: &str, read_only: bool) -> api::VolumeMount {
    api::VolumeMount {
        sub_path: text(sub_path),
        read_only: read_only.then_some(true),
        ..mount(name, path)
    }
}

fn empty_dir(name: &str, medium: &str, size_limit: &str) -> api::Volume {
    api::Volume {
        name: name.to_owned(),
        empty_dir: Some(api::EmptyDirVolumeSource {
            medium: text(medium),
            size_limit: text(size_limit).map(Quantity),
        }),
        ..api::Volume::default()
    }
}

/// Keys of a config map or secret, with the paths of their files.
fn items(items: &BTreeMap<String, String>) -> Option<Vec<api::KeyToPath>> {
    let items: Vec<api::KeyToPath> = items
        .iter()
        .map(|(key, path)| api::KeyToPath {
            key: key.clone(),
            path: path.clone(),
            mode: None,
        })
        .collect();
    (!items.is_empty()).then_some(items)
}
