//! `[runners.kubernetes]`: every key of the section, typed.
//!
//! | File | Holds |
//! |---|---|
//! | `section` | the section itself |
//! | `volumes`, `security`, `affinity`, `hooks`, `network`, `patches`, `autoscaler` | its sub-sections |
//! | `keys` | the names, for matching whatever the case and for finding misspelled ones |
//! | `check` | what the types cannot say: missing and contradicting values, deprecated keys |

mod affinity;
mod autoscaler;
mod check;
mod hooks;
mod keys;
mod network;
mod patches;
mod quantity;
mod section;
mod security;
mod volumes;

pub use affinity::{
    Affinity, LabelExpression, LabelSelector, NodeAffinity, NodeExpression, NodeSelector, NodeSelectorTerm,
    PodAffinity, PodAffinityTerm, PreferredNode, PreferredPod,
};
pub(crate) use autoscaler::period;
pub use autoscaler::{Autoscaler, AutoscalerPolicy};
pub use check::{Fault, Grade, faults};
pub use hooks::{ContainerLifecycle, ExecHook, HttpGetHook, HttpHeader, LifecycleHook, TcpSocketHook};
pub(super) use keys::KUBERNETES;
pub use network::{DnsConfig, DnsOption, HostAlias};
pub use patches::{PatchType, PodSpecPatch};
pub use quantity::{BadQuantity, Quantity};
pub use section::{GuestDelivery, KubernetesConfig, KubernetesService};
pub use security::{AppArmorProfile, Capabilities, ContainerSecurityContext, PodSecurityContext, SeccompProfile};
pub use volumes::{
    ConfigMapVolume, CsiVolume, EmptyDirVolume, HostPathVolume, NfsVolume, PvcVolume, SecretVolume, Volumes,
};
