//! The cluster of these tests, and the helper image on its nodes.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use serde_json::Value;

pub(crate) fn variable(name: &str) -> Option<String> {
    std::env::vars().find_map(|(key, value)| (key == name).then_some(value))
}

/// What kubectl and the runner find the cluster by.
pub(crate) fn kubeconfig() -> String {
    variable("KUBECONFIG").expect("KUBECONFIG names the cluster; run `cargo xtask test kubernetes`")
}

/// The image of most tests: BusyBox and nothing else.
pub(crate) fn busybox() -> String {
    variable("TASUKI_TEST_KUBERNETES_IMAGE").unwrap_or_else(|| "registry.test/busybox:1".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the tests play the user")]
pub(crate) fn program(name: &str) -> Command {
    Command::new(name)
}

pub(crate) fn said(command: &mut Command) -> String {
    let out = command.stdin(Stdio::null()).output().unwrap();
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// The helper image that the program makes of itself, put on the cluster's nodes once.
pub(crate) fn helper() -> String {
    static MADE: OnceLock<String> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        if let Some(name) = variable("TASUKI_TEST_KUBERNETES_HELPER") {
            return name;
        }
        let load = variable("TASUKI_TEST_KUBERNETES_LOAD")
            .expect("TASUKI_TEST_KUBERNETES_LOAD is what puts an image's archive on the nodes");
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("helper.tar").display().to_string();
        let name = format!("tasuki.test/program:{}", std::process::id());
        let mut command = program(env!("CARGO_BIN_EXE_tasuki"));
        said(command.args(["runner", "kubernetes-helper-image", &file, "--name", &name]));
        said(program("sh").args(["-c", &format!("{load} {file}")]));
        name
    });
    made.clone()
}

/// `kubectl`, where `KUBECTL` is, or on `PATH`.
pub(crate) fn kubectl(words: &[&str]) -> Command {
    let kubectl = variable("KUBECTL").unwrap_or_else(|| "kubectl".to_owned());
    let mut parts = kubectl.split_whitespace();
    let mut command = program(parts.next().unwrap());
    command.args(parts).args(words).env("KUBECONFIG", kubeconfig());
    command
}

/// Names of everything that jobs have in the cluster.
pub(crate) fn left() -> Vec<String> {
    let list = said(&mut kubectl(&[
        "get",
        "pods,secrets,services",
        "-A",
        "-l",
        "tasuki.dev/sandbox",
        "-o",
        "json",
    ]));
    let list: Value = serde_json::from_str(&list).unwrap();
    let items = list["items"].as_array().unwrap().iter();
    items
        .filter(|item| item["metadata"]["deletionTimestamp"].is_null())
        .map(|item| format!("{} {}", item["kind"], item["metadata"]["name"]))
        .collect()
}
