//! Environments of what runs in a job's containers.

use std::collections::BTreeMap;
use std::path::Path;

use super::hold::Ready;
use crate::executor::shell::environment;
use crate::executor::{Paths, Result};

/// `PATH` of images that set none.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

impl Ready {
    /// What the image and its entrypoint say, under the job's variables.
    ///
    /// # Errors
    /// A variable that cannot be put into an environment.
    pub(crate) fn script_env(&self, paths: &Paths, variables: &[(String, String)]) -> Result<Vec<(String, String)>> {
        let mut all: BTreeMap<String, String> = [("PATH", DEFAULT_PATH), ("USER", &self.user), ("LOGNAME", &self.user)]
            .into_iter()
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        let temporary = if self.tmp_is_writable {
            "/tmp".to_owned()
        } else {
            text(&paths.temp.join("tmp"))
        };
        all.insert("TMPDIR".to_owned(), temporary);
        all.extend(self.env.iter().cloned());
        all.insert("HOME".to_owned(), text(&paths.home));
        environment::add(&mut all, variables)?;
        Ok(all.into_iter().collect())
    }

    /// The helper image's own `PATH` and a home of the job's: what the job sets for its own image is not for that one.
    ///
    /// # Errors
    /// A variable that cannot be put into an environment.
    pub(crate) fn guest_env(paths: &Paths, variables: &[(String, String)]) -> Result<Vec<(String, String)>> {
        let mut all = BTreeMap::new();
        environment::add(&mut all, variables)?;
        all.insert("PATH".to_owned(), DEFAULT_PATH.to_owned());
        all.insert("HOME".to_owned(), text(&paths.temp.join("home")));
        all.insert("TMPDIR".to_owned(), text(&paths.temp.join("tmp")));
        Ok(all.into_iter().collect())
    }
}
