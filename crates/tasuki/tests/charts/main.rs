//! The Helm charts. `TASUKI_TEST_HELM` is where helm is; `cargo xtask test charts` finds it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "made for more tests than these")]
#[path = "../kubernetes/cluster.rs"]
mod cluster;
mod helm;
mod installed;
mod rendered;
#[expect(dead_code, reason = "made for more tests than these")]
#[path = "../kubernetes/serving.rs"]
mod serving;
#[expect(dead_code, reason = "made for more commands than these tests use")]
#[path = "../cli/world.rs"]
mod world;
