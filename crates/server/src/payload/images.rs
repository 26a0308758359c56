//! Images and services.

use tasuki_model::plan::{self, Meeting, PullPolicy};
use tasuki_proto::gitlab::{
    Containers, DockerOptions, ExecutorOptions, Image, JobVariable, KubernetesOptions, Port, UserOption, Wishes,
};

use super::logins;

/// Where the variables of images have references to secrets, `secrets` are all variables of the job.
#[derive(Clone, Copy)]
pub(super) struct Secrets<'a>(pub(super) Option<&'a [JobVariable]>);

pub(super) fn image(image: &plan::Image, secrets: Secrets<'_>) -> Image {
    Image {
        name: image.name.clone(),
        alias: String::new(),
        command: image.command.clone().unwrap_or_default(),
        entrypoint: image.entrypoint.clone().unwrap_or_default(),
        ports: image.ports.iter().map(port).collect(),
        variables: image.variables.iter().map(|one| variable(one, secrets)).collect(),
        pull_policy: image
            .pull_policy
            .iter()
            .map(|policy| pull_policy(*policy).to_owned())
            .collect(),
        executor_opts: options(image),
    }
}

/// The container that steps run in: but for GitLab's, the image's own entrypoint is none of it.
pub(super) fn of_job(given: &plan::Image, secrets: Secrets<'_>, language: plan::Language) -> Image {
    let mut made = image(given, secrets);
    let is_left_out = match language {
        plan::Language::Gitlab => false,
        plan::Language::Circleci | plan::Language::Github => true,
    };
    if is_left_out && made.entrypoint.is_empty() {
        made.entrypoint = vec![String::new()];
    }
    made
}

/// What GitLab's words do not say of the containers.
pub(super) fn containers(job: &plan::Job, language: plan::Language) -> Option<Containers> {
    let (meeting, label) = match language {
        plan::Language::Gitlab => return None,
        plan::Language::Github => (Meeting::Ports, None),
        plan::Language::Circleci => (Meeting::Localhost, Some("com.circleci.preserve-entrypoint")),
    };
    if job.image.is_none() && job.services.is_empty() {
        return None;
    }
    let wishes = |image: &plan::Image| Wishes {
        options: image.options.clone().unwrap_or_default(),
        volumes: image.volumes.clone(),
        ports: image.ports.clone(),
        entrypoint_label: None,
    };
    Some(Containers {
        meeting,
        job: Wishes {
            // An entrypoint that the configuration names is meant.
            entrypoint_label: job
                .image
                .as_ref()
                .filter(|image| image.entrypoint.is_none())
                .and(label)
                .map(str::to_owned),
            ..job.image.as_deref().map(wishes).unwrap_or_default()
        },
        services: job.services.iter().map(|service| wishes(&service.image)).collect(),
    })
}

pub(super) fn service(service: &plan::Service, secrets: Secrets<'_>) -> Image {
    Image {
        alias: service.aliases.join(" "),
        ..image(&service.image, secrets)
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

fn variable(variable: &plan::Variable, secrets: Secrets<'_>) -> JobVariable {
    let secret = secrets.0.filter(|_| !variable.raw);
    JobVariable {
        key: variable.key.clone(),
        value: match secret {
            Some(all) => logins::value(&variable.value, all),
            None => variable.value.clone(),
        },
        public: secret.is_none(),
        file: variable.file,
        masked: variable.masked,
        raw: variable.raw || secret.is_some(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_to_secrets_get_their_values() {
        let plain = |key: &str, value: &str, raw: bool| plan::Variable {
            raw,
            ..plan::Variable::plain(key, value)
        };
        let given = plan::Image {
            name: "postgres".to_owned(),
            variables: vec![plain("PASSWORD", "$Pw", false), plain("PRICE", "$5", true)],
            ..plan::Image::default()
        };
        let known = [variable(&plain("PW", "s3cret", true), Secrets(None))];
        let shown = |secrets| {
            let made = image(&given, secrets).variables;
            made.into_iter()
                .map(|one| (one.value, one.raw, one.public))
                .collect::<Vec<_>>()
        };
        let with = [("s3cret".to_owned(), true, false), ("$5".to_owned(), true, true)];
        assert_eq!(shown(Secrets(Some(&known))), with);
        let without = [("$Pw".to_owned(), false, true), ("$5".to_owned(), true, true)];
        assert_eq!(shown(Secrets(None)), without);
    }
}
