//! Images and services.

use tasuki_model::plan::{self, PullPolicy};
use tasuki_proto::gitlab::{DockerOptions, ExecutorOptions, Image, JobVariable, KubernetesOptions, Port, UserOption};

pub(super) fn image(image: &plan::Image) -> Image {
    Image {
        name: image.name.clone(),
        alias: String::new(),
        command: image.command.clone().unwrap_or_default(),
        entrypoint: image.entrypoint.clone().unwrap_or_default(),
        ports: image.ports.iter().map(port).collect(),
        variables: image.variables.iter().map(variable).collect(),
        pull_policy: image
            .pull_policy
            .iter()
            .map(|policy| pull_policy(*policy).to_owned())
            .collect(),
        executor_opts: options(image),
    }
}

pub(super) fn service(service: &plan::Service) -> Image {
    Image {
        alias: service.aliases.join(" "),
        ..image(&service.image)
    }
}

fn options(image: &plan::Image) -> ExecutorOptions {
    let docker = (image.platform.is_some() || image.user.is_some()).then(|| DockerOptions {
        platform: image.platform.clone().unwrap_or_default(),
        user: image.user.clone().map(UserOption::Name),
        ..DockerOptions::default()
    });
    let kubernetes = image.kubernetes_user.as_ref().map(|user| KubernetesOptions {
        user: Some(
            user.parse()
                .map_or_else(|_| UserOption::Name(user.clone()), UserOption::Id),
        ),
        ..KubernetesOptions::default()
    });
    ExecutorOptions {
        docker,
        kubernetes,
        ..ExecutorOptions::default()
    }
}

fn pull_policy(policy: PullPolicy) -> &'static str {
    match policy {
        PullPolicy::Always => "always",
        PullPolicy::IfNotPresent => "if-not-present",
        PullPolicy::Never => "never",
    }
}

fn port(port: &plan::Port) -> Port {
    Port {
        number: u32::from(port.number),
        protocol: port.protocol.clone().unwrap_or_default(),
        name: port.name.clone().unwrap_or_default(),
    }
}

fn variable(variable: &plan::Variable) -> JobVariable {
    JobVariable {
        key: variable.key.clone(),
        value: variable.value.clone(),
        public: true,
        file: variable.file,
        masked: variable.masked,
        raw: variable.raw,
    }
}
