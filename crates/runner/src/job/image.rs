//! Images of the payload in the Plan's words.

use tasuki_model::plan;
use tasuki_proto::gitlab::{Image, Port};

use super::variables::Variables;

/// The image with its variables put in.
pub(super) fn plan_image(image: &Image, variables: &Variables) -> plan::Image {
    let options = &image.executor_opts;
    let docker = options.docker.as_ref();
    plan::Image {
        name: variables.expand(&image.name),
        entrypoint: (!image.entrypoint.is_empty()).then(|| image.entrypoint.clone()),
        command: (!image.command.is_empty()).then(|| image.command.clone()),
        pull_policy: image
            .pull_policy
            .iter()
            .filter_map(|policy| pull_policy(policy))
            .collect(),
        platform: docker
            .map(|docker| docker.platform.clone())
            .filter(|platform| !platform.is_empty()),
        user: docker.and_then(|docker| docker.user.as_ref()).map(ToString::to_string),
        kubernetes_user: options
            .kubernetes
            .as_ref()
            .and_then(|k| k.user.as_ref())
            .map(|user| variables.expand(&user.to_string())),
        variables: image
            .variables
            .iter()
            .map(|variable| plan::Variable {
                file: variable.file,
                masked: variable.masked,
                raw: variable.raw,
                ..plan::Variable::plain(variable.key.clone(), variable.value.clone())
            })
            .collect(),
        ports: image.ports.iter().filter_map(port).collect(),
        ..plan::Image::default()
    }
}

/// A number that is no port is left out.
fn port(port: &Port) -> Option<plan::Port> {
    let text = |text: &String| (!text.is_empty()).then(|| text.clone());
    Some(plan::Port {
        number: u16::try_from(port.number).ok().filter(|number| *number > 0)?,
        protocol: text(&port.protocol),
        name: text(&port.name),
        host: None,
        address: None,
    })
}

fn pull_policy(name: &str) -> Option<plan::PullPolicy> {
    match name {
        "always" => Some(plan::PullPolicy::Always),
        "if-not-present" => Some(plan::PullPolicy::IfNotPresent),
        "never" => Some(plan::PullPolicy::Never),
        _ => None,
    }
}
