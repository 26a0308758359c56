//! `helm template`.

use std::path::Path;

use super::cluster::{program, variable};

/// What a chart renders to with these values (YAML), or why it does not.
pub(crate) fn template(chart: &str, namespace: &str, values: &str) -> Result<String, String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("values.yaml");
    std::fs::write(&file, values).unwrap();
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts").join(chart);
    let helm = variable("TASUKI_TEST_HELM").expect("TASUKI_TEST_HELM is where helm is; run `cargo xtask test charts`");
    let mut command = program(&helm);
    command.args(["template", "ci"]).arg(&chart).arg("--values").arg(&file);
    let out = command.args(["--namespace", namespace]).output().unwrap();
    if out.status.success() {
        Ok(String::from_utf8(out.stdout).unwrap())
    } else {
        Err(String::from_utf8_lossy(&out.stderr).into_owned())
    }
}
