//! Which cluster, and as whom.

use std::fs;
use std::path::Path;

use kube::config::{AuthInfo, KubeConfigOptions};
use kube::{Client, Config};
use rustls_pki_types::pem::PemObject as _;
use tasuki_model::secret::Secret;

use super::kubeconfig;
use crate::config::kubernetes::KubernetesConfig;
use crate::executor::{Error, Result};

/// What `[runners.kubernetes]` says of it. Empty text: nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Access {
    pub(super) host: String,
    pub(super) context: String,
    pub(super) ca_file: String,
    pub(super) cert_file: String,
    pub(super) key_file: String,
    pub(super) bearer_token: Option<Secret>,
}

/// Where the cluster is named.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Host,
    Kubeconfig { context: Option<String> },
    InCluster,
}

impl Access {
    /// As a section says.
    pub(super) fn of(config: &KubernetesConfig) -> Self {
        Self {
            host: config.host.clone(),
            context: config.context.clone(),
            ca_file: config.ca_file.clone(),
            cert_file: config.cert_file.clone(),
            key_file: config.key_file.clone(),
            bearer_token: config.bearer_token.clone().filter(|token| !token.expose().is_empty()),
        }
    }

    /// `host` counts before `context`; without either, a runner in a pod uses the pod's own account, and any other the
    /// current context of the kubeconfig.
    fn source(&self, in_cluster: bool) -> Source {
        match (self.host.is_empty(), self.context.is_empty()) {
            (false, _) => Source::Host,
            (true, false) => Source::Kubeconfig {
                context: Some(self.context.clone()),
            },
            (true, true) if in_cluster => Source::InCluster,
            (true, true) => Source::Kubeconfig { context: None },
        }
    }

    /// The connection, and the address of the API. Nothing is sent yet.
    ///
    /// # Errors
    /// Files that cannot be read, an address that is none, a context that is not there, a token without `host`.
    pub(super) async fn connect(&self) -> Result<(Client, String)> {
        let config = self.config().await?;
        let address = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|error| {
            Error::configuration(
                format!(
                    "the connection to the cluster cannot be set up: {}",
                    crate::trace::chain(&error)
                ),
                "check host, ca_file, cert_file and key_file in [runners.kubernetes], or the kubeconfig",
            )
        })?;
        Ok((client, address))
    }

    async fn config(&self) -> Result<Config> {
        if self.bearer_token.is_some() && self.host.is_empty() {
            return Err(Error::configuration(
                "a bearer token for the cluster is given, and no `host`",
                "set `host` in [runners.kubernetes]: a token is sent to no other address",
            ));
        }
        let mut config = match self.source(Config::incluster_env().is_ok()) {
            Source::Host => self.at_host()?,
            Source::InCluster => Config::incluster().map_err(|error| {
                Error::configuration(
                    format!("the pod's own account cannot be used: {error}"),
                    "mount the service account's token, or set `host`",
                )
            })?,
            Source::Kubeconfig { context } => from_kubeconfig(context).await?,
        };
        // Repeated by what the configuration says.
        config.default_retry = false;
        Ok(config)
    }

    fn at_host(&self) -> Result<Config> {
        let wrong = |why: String| {
            Error::configuration(
                format!(
                    "`host` = {:?} in [runners.kubernetes] is no address of a cluster: {why}",
                    self.host
                ),
                "give a URL, as in https://10.0.0.1:6443",
            )
        };
        let uri: http::Uri = self
            .host
            .parse()
            .map_err(|error: http::uri::InvalidUri| wrong(error.to_string()))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it begins with neither https:// nor http://".to_owned()));
        }
        let mut config = Config::new(uri);
        if !self.ca_file.is_empty() {
            let certificates = rustls_pki_types::CertificateDer::pem_file_iter(&self.ca_file)
                .and_then(Iterator::collect::<std::result::Result<Vec<_>, _>>)
                .map_err(|error| unreadable("ca_file", &self.ca_file, &error))?;
            config.root_cert = Some(certificates.into_iter().map(|one| one.to_vec()).collect());
        }
        for (key, file) in [("cert_file", &self.cert_file), ("key_file", &self.key_file)] {
            if !file.is_empty() {
                fs::File::open(Path::new(file)).map_err(|error| unreadable(key, file, &error))?;
            }
        }
        let given = |text: &String| (!text.is_empty()).then(|| text.clone());
        config.auth_info = AuthInfo {
            client_certificate: given(&self.cert_file),
            client_key: given(&self.key_file),
            token: self.bearer_token.as_ref().map(|token| token.expose().to_owned().into()),
            ..AuthInfo::default()
        };
        Ok(config)
    }
}

fn unreadable(key: &str, file: &str, error: &dyn std::error::Error) -> Error {
    Error::configuration(
        format!(
            "`{key}` = {file:?} in [runners.kubernetes] cannot be read: {}",
            crate::trace::chain(error)
        ),
        "name a PEM file that the runner may read",
    )
}

async fn from_kubeconfig(context: Option<String>) -> Result<Config> {
    let remedy = "set `host` in [runners.kubernetes], or KUBECONFIG and `context`, or run the runner in the cluster";
    let wrong = |why: String| Error::configuration(format!("no cluster can be found: the kubeconfig: {why}"), remedy);
    let kubeconfig = kubeconfig::read(
        std::env::var_os("KUBECONFIG").as_deref(),
        std::env::var_os("HOME").as_deref(),
    )
    .map_err(wrong)?;
    let options = KubeConfigOptions {
        context,
        ..KubeConfigOptions::default()
    };
    Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(host: &str, context: &str) -> Access {
        Access {
            host: host.to_owned(),
            context: context.to_owned(),
            ..Access::default()
        }
    }

    /// Covers: GK-API-02, GK-API-03
    #[test]
    fn the_host_counts_before_the_context_and_both_before_the_pods_own_account() {
        let context = |name: Option<&str>| Source::Kubeconfig {
            context: name.map(str::to_owned),
        };
        for (host, name, in_cluster, wanted) in [
            ("https://a", "", false, Source::Host),
            ("https://a", "b", true, Source::Host),
            ("", "b", true, context(Some("b"))),
            ("", "", true, Source::InCluster),
            ("", "", false, context(None)),
        ] {
            assert_eq!(
                access(host, name).source(in_cluster),
                wanted,
                "{host} {name} {in_cluster}"
            );
        }
    }

    /// Covers: GK-API-04, GK-API-05, GK-API-06, GK-API-11
    #[tokio::test]
    async fn credentials_come_from_the_files_that_are_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = |name: &str, text: &str| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).expect("is written");
            path.to_string_lossy().into_owned()
        };
        let pem = "-----BEGIN CERTIFICATE-----\nAAEC\n-----END CERTIFICATE-----\n";
        let whole = Access {
            ca_file: file("ca", &format!("{pem}{pem}")),
            cert_file: file("cert", pem),
            key_file: file("key", "key"),
            bearer_token: Some(Secret::new("token")),
            ..access("https://10.0.0.1:6443", "")
        };
        let config = whole.config().await.expect("is complete");
        assert_eq!(config.cluster_url.to_string(), "https://10.0.0.1:6443/");
        assert_eq!(config.root_cert, Some(vec![vec![0, 1, 2]; 2]));
        assert_eq!(config.auth_info.client_certificate, Some(whole.cert_file.clone()));
        assert_eq!(config.auth_info.client_key, Some(whole.key_file.clone()));
        assert!(config.auth_info.token.is_some());
        assert!(!config.default_retry);

        for (access, wanted) in [
            (
                Access {
                    host: String::new(),
                    ..whole.clone()
                },
                "no `host`",
            ),
            (
                Access {
                    ca_file: "/nowhere".to_owned(),
                    ..whole.clone()
                },
                "`ca_file`",
            ),
            (
                Access {
                    key_file: "/nowhere".to_owned(),
                    ..whole.clone()
                },
                "`key_file`",
            ),
            (access("10.0.0.1:6443", ""), "`host`"),
            (access("ftp://10.0.0.1", ""), "`host`"),
        ] {
            let error = access.config().await.expect_err(wanted);
            assert!(error.to_string().contains(wanted), "{error}");
            assert!(matches!(error, Error::Configuration { .. }));
        }
    }
}
