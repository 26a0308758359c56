//! Host names and DNS of the pod.

use k8s_openapi::api::core::v1 as api;

use super::services::Wanted;
use crate::config::kubernetes::{DnsConfig, KubernetesConfig};

/// Lines of `/etc/hosts`: all services at this very pod, then the configuration's.
pub(super) fn host_aliases(config: &KubernetesConfig, services: &[Wanted]) -> Option<Vec<api::HostAlias>> {
    let mut names: Vec<String> = Vec::new();
    for name in services.iter().flat_map(|service| &service.hosts) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    let own = (!names.is_empty()).then(|| api::HostAlias {
        ip: "127.0.0.1".to_owned(),
        hostnames: Some(names),
    });
    let configured = config.host_aliases.iter().map(|alias| api::HostAlias {
        ip: alias.ip.clone(),
        hostnames: Some(alias.hostnames.clone()),
    });
    let all: Vec<api::HostAlias> = own.into_iter().chain(configured).collect();
    (!all.is_empty()).then_some(all)
}

/// The cluster's word for the configuration's; one that is none was warned about, and leaves the field empty.
pub(super) fn dns_policy(word: &str) -> Option<String> {
    let policy = match word {
        "none" => "None",
        "default" => "Default",
        "cluster-first" => "ClusterFirst",
        "cluster-first-with-host-net" => "ClusterFirstWithHostNet",
        _ => return None,
    };
    Some(policy.to_owned())
}

pub(super) fn dns_config(own: &DnsConfig) -> Option<api::PodDNSConfig> {
    let list = |list: &[String]| (!list.is_empty()).then(|| list.to_vec());
    (*own != DnsConfig::default()).then(|| api::PodDNSConfig {
        nameservers: list(&own.nameservers),
        searches: list(&own.searches),
        options: (!own.options.is_empty()).then(|| {
            let options = own.options.iter();
            options
                .map(|option| api::PodDNSConfigOption {
                    name: Some(option.name.clone()),
                    value: option.value.clone().filter(|value| !value.is_empty()),
                })
                .collect()
        }),
    })
}
