//! `[[runners.kubernetes.pod_spec]]`: changes of the finished pod's specification, in their order.
//!
//! | `patch_type` | Means |
//! |---|---|
//! | `strategic` | Kubernetes' own merge: lists whose fields have a merge key are merged item by item ([`strategic`]) |
//! | `merge` | RFC 7386: lists are replaced as a whole |
//! | `json` | RFC 6902: operations in their order; `add` at what is there replaces it |

mod change;
mod strategic;

pub(super) use change::Patch;
