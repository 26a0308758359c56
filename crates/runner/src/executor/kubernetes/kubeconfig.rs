//! The kubeconfig: which files, and what they say together.
//!
//! kube-rs reads it itself, but with its types read from YAML; through a JSON value, which other things here are read from
//! too, the program is two thirds of a megabyte smaller.

use std::ffi::OsStr;
use std::fs;
use std::path::{MAIN_SEPARATOR, Path, PathBuf};

use kube::config::{ExecConfig, Kubeconfig};
use serde_json::Value;

/// What the files of `list` (the value of `KUBECONFIG`), or else `.kube/config` in `home`, say together: the first to name
/// something counts. Paths in them are taken from the file's own folder.
///
/// # Errors
/// There is none, one cannot be read, or is no kubeconfig: in words, with its path.
pub(super) fn read(list: Option<&OsStr>, home: Option<&OsStr>) -> Result<Kubeconfig, String> {
    let named = list.into_iter().flat_map(std::env::split_paths);
    let mut files: Vec<PathBuf> = named.filter(|path| !path.as_os_str().is_empty()).collect();
    if files.is_empty() {
        let home = home.ok_or("neither KUBECONFIG nor HOME is set")?;
        files.push(Path::new(home).join(".kube/config"));
    }
    let mut all = Kubeconfig::default();
    for file in &files {
        let text = fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
        for one in parse(&text, file)? {
            all = all.merge(one).map_err(|error| format!("{}: {error}", file.display()))?;
        }
    }
    Ok(all)
}

/// Each document of one file.
fn parse(text: &str, file: &Path) -> Result<Vec<Kubeconfig>, String> {
    // Without what they quote: the file holds secrets.
    let bad = |what: String| format!("{}: {what}", file.display());
    let documents: Vec<Value> = serde_saphyr::from_multiple(text).map_err(|error| match error.location() {
        Some(at) => bad(format!("is no YAML at line {}, column {}", at.line(), at.column())),
        None => bad("is no YAML".to_owned()),
    })?;
    let documents = documents.into_iter().filter(|document| !document.is_null());
    let folder = file.parent().unwrap_or(Path::new(""));
    documents
        .map(|document| {
            let mut one: Kubeconfig =
                serde_json::from_value(document).map_err(|_| bad("is no kubeconfig".to_owned()))?;
            anchor(&mut one, folder);
            Ok(one)
        })
        .collect()
}

/// Makes relative paths those of files in `folder`.
fn anchor(kubeconfig: &mut Kubeconfig, folder: &Path) {
    let absolute = |path: &mut Option<String>| {
        if let Some(relative) = path.as_deref().filter(|path| Path::new(path).is_relative()) {
            *path = Some(folder.join(relative).to_string_lossy().into_owned());
        }
    };
    for cluster in kubeconfig.clusters.iter_mut().filter_map(|one| one.cluster.as_mut()) {
        absolute(&mut cluster.certificate_authority);
    }
    for user in kubeconfig
        .auth_infos
        .iter_mut()
        .filter_map(|one| one.auth_info.as_mut())
    {
        absolute(&mut user.client_certificate);
        absolute(&mut user.client_key);
        absolute(&mut user.token_file);
        // A bare name is looked for in PATH.
        if let Some(ExecConfig { command, .. }) = &mut user.exec
            && command.as_ref().is_some_and(|name| name.contains(MAIN_SEPARATOR))
        {
            absolute(command);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "\
apiVersion: v1
kind: Config
current-context: one
clusters:
- name: here
  cluster: {server: 'https://10.0.0.1:6443', certificate-authority: pki/ca.crt}
contexts:
- name: one
  context: {cluster: here, user: me}
users:
- name: me
  user: {client-certificate: /etc/me.crt, client-key: me.key, exec: {command: bin/login, apiVersion: v1}}
---
users:
- name: other
  user: {exec: {command: aws, apiVersion: v1}, tokenFile: token}
";

    const SECOND: &str = "\
current-context: two
clusters:
- name: here
  cluster: {server: 'https://10.0.0.2:6443'}
- name: there
  cluster: {server: 'https://10.0.0.3:6443'}
";

    #[test]
    fn the_first_file_to_name_something_counts() {
        let folder = tempfile::tempdir().expect("a folder");
        let (first, second) = (folder.path().join("a/first"), folder.path().join("second"));
        fs::create_dir(folder.path().join("a")).expect("is made");
        fs::write(&first, FIRST).expect("is written");
        fs::write(&second, SECOND).expect("is written");
        let list = std::env::join_paths([&first, Path::new(""), &second]).expect("joins");
        let read = read(Some(&list), None).expect("is read");

        assert_eq!(read.current_context.as_deref(), Some("one"));
        let servers: Vec<_> = read
            .clusters
            .iter()
            .filter_map(|one| one.cluster.as_ref()?.server.as_deref())
            .collect();
        assert_eq!(servers, ["https://10.0.0.1:6443", "https://10.0.0.3:6443"]);
        let inside = |name: &str| Some(folder.path().join("a").join(name).to_string_lossy().into_owned());
        let authority = read.clusters[0]
            .cluster
            .as_ref()
            .and_then(|one| one.certificate_authority.clone());
        assert_eq!(authority, inside("pki/ca.crt"));
        let [me, other] = &read.auth_infos[..] else {
            panic!("two users: {:?}", read.auth_infos.len());
        };
        let (me, other) = (
            me.auth_info.as_ref().expect("is there"),
            other.auth_info.as_ref().expect("is there"),
        );
        assert_eq!(me.client_certificate.as_deref(), Some("/etc/me.crt"));
        assert_eq!(me.client_key, inside("me.key"));
        assert_eq!(
            me.exec.as_ref().and_then(|exec| exec.command.clone()),
            inside("bin/login")
        );
        assert_eq!(
            other.exec.as_ref().and_then(|exec| exec.command.as_deref()),
            Some("aws")
        );
        assert_eq!(other.token_file, inside("token"));
    }

    #[test]
    fn what_is_no_kubeconfig_is_named_without_its_secrets() {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().as_os_str();
        let check = |text: Option<&str>, words: &str| {
            if let Some(text) = text {
                fs::create_dir_all(folder.path().join(".kube")).expect("is made");
                fs::write(folder.path().join(".kube/config"), text).expect("is written");
            }
            let error = read(None, Some(home)).expect_err(words);
            assert!(error.contains(".kube/config") && error.contains(words), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        };
        check(None, "No such file");
        check(Some("users: [{name: a, user: {token: hunter2}"), "is no YAML at line 1");
        check(Some("users: hunter2\n"), "is no kubeconfig");
        assert!(read(None, None).expect_err("nowhere").contains("KUBECONFIG"));
    }
}
