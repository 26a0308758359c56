//! Helm for the tests of the charts: the one that is there, or one that is built once from its Go module, below the target folder.

use std::path::PathBuf;

use anyhow::bail;

use crate::program;

const MODULE: &str = "helm.sh/helm/v3/cmd/helm@v3.19.0";

/// Where helm is.
pub(crate) struct Helm {
    path: String,
}

impl Helm {
    /// Finds it, or builds it where that is allowed.
    ///
    /// # Errors
    /// It is not there, and there is no Go, or it cannot be built.
    pub(crate) fn find(install: bool) -> anyhow::Result<Self> {
        if program::exists("helm") {
            return Ok(Self {
                path: "helm".to_owned(),
            });
        }
        let folder: PathBuf = crate::workspace::root().join("target/peers/bin");
        let helm = folder.join("helm");
        let path = helm.to_string_lossy().into_owned();
        if helm.is_file() {
            return Ok(Self { path });
        }
        if !install || !program::exists("go") {
            bail!("there is no helm on PATH, and none is built: that needs Go, and leave to install");
        }
        let folder = folder.to_string_lossy().into_owned();
        let env = [("GOBIN", folder.as_str())];
        program::run_in(&crate::workspace::root(), "go", &["install", MODULE], &env)?;
        Ok(Self { path })
    }

    /// What the tests find it by.
    pub(crate) fn env(&self) -> Vec<(&str, &str)> {
        vec![("TASUKI_TEST_HELM", &self.path)]
    }
}
