//! From the configuration's affinities to the cluster's.

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;

use crate::config::kubernetes::{
    Affinity, LabelSelector, NodeAffinity, NodeExpression, NodeSelectorTerm, PodAffinity, PodAffinityTerm, PreferredPod,
};

/// Absent where the configuration has none.
pub(super) fn affinity(own: &Affinity) -> Option<api::Affinity> {
    (*own != Affinity::default()).then(|| api::Affinity {
        node_affinity: own.node_affinity.as_ref().map(of_nodes),
        pod_affinity: own.pod_affinity.as_ref().map(|own| api::PodAffinity {
            required_during_scheduling_ignored_during_execution: required(own),
            preferred_during_scheduling_ignored_during_execution: preferred(own),
        }),
        pod_anti_affinity: own.pod_anti_affinity.as_ref().map(|own| api::PodAntiAffinity {
            required_during_scheduling_ignored_during_execution: required(own),
            preferred_during_scheduling_ignored_during_execution: preferred(own),
        }),
    })
}

fn of_nodes(own: &NodeAffinity) -> api::NodeAffinity {
    let required = own.required_during_scheduling_ignored_during_execution.as_ref();
    api::NodeAffinity {
        required_during_scheduling_ignored_during_execution: required.map(|own| api::NodeSelector {
            node_selector_terms: own.node_selector_terms.iter().map(node_term).collect(),
        }),
        preferred_during_scheduling_ignored_during_execution: each(
            &own.preferred_during_scheduling_ignored_during_execution,
            |own| api::PreferredSchedulingTerm {
                weight: own.weight,
                preference: node_term(&own.preference),
            },
        ),
    }
}

fn node_term(own: &NodeSelectorTerm) -> api::NodeSelectorTerm {
    let expression = |own: &NodeExpression| api::NodeSelectorRequirement {
        key: own.key.clone(),
        operator: own.operator.clone(),
        values: each(&own.values, Clone::clone),
    };
    api::NodeSelectorTerm {
        match_expressions: each(&own.match_expressions, expression),
        match_fields: each(&own.match_fields, expression),
    }
}

fn required(own: &PodAffinity) -> Option<Vec<api::PodAffinityTerm>> {
    each(&own.required_during_scheduling_ignored_during_execution, pod_term)
}

fn preferred(own: &PodAffinity) -> Option<Vec<api::WeightedPodAffinityTerm>> {
    let weighted = |own: &PreferredPod| api::WeightedPodAffinityTerm {
        weight: own.weight,
        pod_affinity_term: pod_term(&own.pod_affinity_term),
    };
    each(&own.preferred_during_scheduling_ignored_during_execution, weighted)
}

fn pod_term(own: &PodAffinityTerm) -> api::PodAffinityTerm {
    api::PodAffinityTerm {
        label_selector: own.label_selector.as_ref().map(selector),
        namespaces: each(&own.namespaces, Clone::clone),
        topology_key: own.topology_key.clone(),
        namespace_selector: own.namespace_selector.as_ref().map(selector),
        match_label_keys: each(&own.match_label_keys, Clone::clone),
        mismatch_label_keys: each(&own.mismatch_label_keys, Clone::clone),
    }
}

fn selector(own: &LabelSelector) -> meta::LabelSelector {
    meta::LabelSelector {
        match_labels: (!own.match_labels.is_empty()).then(|| own.match_labels.clone()),
        match_expressions: each(&own.match_expressions, |own| meta::LabelSelectorRequirement {
            key: own.key.clone(),
            operator: own.operator.clone(),
            values: each(&own.values, Clone::clone),
        }),
    }
}

/// A list that is empty is absent.
fn each<T, U>(list: &[T], make: impl Fn(&T) -> U) -> Option<Vec<U>> {
    (!list.is_empty()).then(|| list.iter().map(make).collect())
}
