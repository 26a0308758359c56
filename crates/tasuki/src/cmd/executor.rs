//! How the runner inside `up` and `exec` runs jobs.

use std::net::{IpAddr, SocketAddr};

use clap::{Args, ValueEnum};
use tasuki_runner::executor::kubernetes::address_for_pods;

use crate::exit::{Mark as _, wrong_usage};
use crate::role::{LocalExecutor, local_settings};

/// Flags of both commands.
#[derive(Debug, Clone, Args)]
pub(crate) struct ExecutorArgs {
    /// How jobs are run
    #[arg(long, value_enum, default_value_t = Kind::Shell)]
    executor: Kind,
    /// Image of jobs that name none, with --executor docker
    #[arg(long, value_name = "IMAGE")]
    docker_image: Option<String>,
    /// Image of jobs that name none, with --executor kubernetes
    #[arg(long, value_name = "IMAGE")]
    kubernetes_image: Option<String>,
    /// Image that holds tasuki and git, with --executor kubernetes [default: tasuki-helper:…, of this version]
    #[arg(long, value_name = "IMAGE")]
    kubernetes_helper_image: Option<String>,
    /// Namespace of the pods, with --executor kubernetes [default: default]
    #[arg(long, value_name = "NAME")]
    kubernetes_namespace: Option<String>,
    /// Address of this machine that pods reach, with --executor kubernetes [default: found by itself]
    #[arg(long, value_name = "ADDR")]
    pod_address: Option<IpAddr>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// As processes of this user, each job in a fresh folder
    Shell,
    /// In containers
    Docker,
    /// In pods of the cluster of KUBECONFIG, or of the one that this runs in
    Kubernetes,
}

impl Kind {
    /// As `--executor` takes it.
    fn name(self) -> &'static str {
        match self {
            Self::Shell => "shell",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
        }
    }
}

impl ExecutorArgs {
    /// As a runner is started with it.
    ///
    /// # Errors
    /// A flag of another executor.
    pub(crate) fn local(&self) -> anyhow::Result<LocalExecutor> {
        for (given, flag, kind) in [
            (self.docker_image.is_some(), "--docker-image", Kind::Docker),
            (self.kubernetes_image.is_some(), "--kubernetes-image", Kind::Kubernetes),
            (
                self.kubernetes_helper_image.is_some(),
                "--kubernetes-helper-image",
                Kind::Kubernetes,
            ),
            (
                self.kubernetes_namespace.is_some(),
                "--kubernetes-namespace",
                Kind::Kubernetes,
            ),
            (self.pod_address.is_some(), "--pod-address", Kind::Kubernetes),
        ] {
            if given && self.executor != kind {
                return Err(wrong_usage(format!("{flag} is for --executor {}", kind.name())));
            }
        }
        Ok(match self.executor {
            Kind::Shell => LocalExecutor::Shell,
            Kind::Docker => LocalExecutor::Docker {
                image: self.docker_image.clone(),
            },
            Kind::Kubernetes => LocalExecutor::Kubernetes {
                image: self.kubernetes_image.clone(),
                helper_image: self.kubernetes_helper_image.clone(),
                namespace: self.kubernetes_namespace.clone(),
            },
        })
    }

    /// The address under which jobs find this machine, where it is not the loopback one.
    ///
    /// # Errors
    /// It cannot be found.
    pub(crate) async fn address(&self, executor: &LocalExecutor) -> anyhow::Result<Option<IpAddr>> {
        match (self.executor, self.pod_address) {
            (Kind::Shell | Kind::Docker, _) => Ok(None),
            (Kind::Kubernetes, Some(address)) => Ok(Some(address)),
            (Kind::Kubernetes, None) => {
                let found = address_for_pods(&local_settings(executor)?).await;
                Ok(Some(found.hint(
                    "--pod-address names the address of this machine that pods reach",
                )?))
            }
        }
    }
}

/// Where the jobs of a server that listens at `bound` find it; `address`: that of this machine, where the loopback one is of no use.
///
/// # Errors
/// It listens where they cannot reach it.
pub(crate) fn url_of_jobs(bound: SocketAddr, address: Option<IpAddr>) -> anyhow::Result<String> {
    match address {
        None => Ok(crate::role::reachable(bound)),
        Some(address) if bound.ip() == address || bound.ip().is_unspecified() => {
            Ok(format!("http://{}", SocketAddr::new(address, bound.port())))
        }
        Some(address) => Err(wrong_usage(format!(
            "pods do not reach a server that listens at {bound}: listen at {} (--listen), or name another --pod-address",
            SocketAddr::new(address, bound.port())
        ))),
    }
}
