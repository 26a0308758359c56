//! The guest in the pod's containers.

use k8s_openapi::api::core::v1::{Container, ExecAction, Lifecycle, LifecycleHandler, Pod, Probe};

use super::super::flags::Flags;
use super::super::settings::{GuestStart, Settings};
use super::names::{BUILD, HELPER};
use crate::config::kubernetes::GuestDelivery;
use crate::executor::helper_image;
use crate::process::Binary;

/// Where the guest is in the job's container, and where it is put: a volume of the pod.
pub(in super::super) const FOLDER: &str = "/tasuki";
/// Name of that volume.
pub(super) const VOLUME: &str = "tasuki-guest";
/// Which container `kubectl exec` and `logs` mean where none is named; without it, the first.
const DEFAULT_CONTAINER: &str = "kubectl.kubernetes.io/default-container";
/// What an entry point that opens no shell of ours has to make in the builds folder.
const MARKER: &str = ".gitlab-startup-marker";

/// The helper image's own program puts itself into the volume.
pub(super) fn install() -> Vec<String> {
    let mut words = own();
    words.extend(["install", FOLDER].map(str::to_owned));
    words
}

/// What starts the guest in a container: the helper image has its own.
pub(in super::super) fn command(container: &str, start: GuestStart) -> Vec<String> {
    if container == HELPER {
        own()
    } else {
        helper_image::command(FOLDER, start == GuestStart::Loaded)
    }
}

fn own() -> Vec<String> {
    [Binary::PROGRAM, "guest"].map(str::to_owned).to_vec()
}

fn hold(container: &str, start: GuestStart) -> Vec<String> {
    let mut words = command(container, start);
    words.push("hold".to_owned());
    words
}

/// Of the helper, where it brings the guest: a node starts the next container when this is done.
pub(super) fn delivery(settings: &Settings) -> Option<Lifecycle> {
    let install = LifecycleHandler {
        exec: Some(ExecAction {
            command: Some(install()),
        }),
        ..LifecycleHandler::default()
    };
    match settings.guest_delivery {
        GuestDelivery::Helper => Some(Lifecycle {
            post_start: Some(install),
            ..Lifecycle::default()
        }),
        GuestDelivery::InitContainer => None,
    }
}

/// Puts who brings the guest before who needs it. People who name no container still get the job's.
pub(in super::super) fn order(settings: &Settings, pod: &mut Pod) {
    let place = |name: &str, all: &[Container]| all.iter().position(|container| container.name == name);
    let all = &mut pod.spec.get_or_insert_default().containers;
    match (settings.guest_delivery, place(HELPER, all), place(BUILD, all)) {
        (GuestDelivery::Helper, Some(helper), Some(build)) if helper > build => {
            all[build..=helper].rotate_right(1);
            let annotations = pod.metadata.annotations.get_or_insert_default();
            annotations
                .entry(DEFAULT_CONTAINER.to_owned())
                .or_insert_with(|| BUILD.to_owned());
        }
        (GuestDelivery::Helper | GuestDelivery::InitContainer, _, _) => {}
    }
}

/// `command` and `args` of a container.
#[derive(Debug, Default)]
pub(super) struct Main {
    pub(super) command: Option<Vec<String>>,
    pub(super) args: Option<Vec<String>>,
}

/// Holds the helper open.
pub(super) fn helper(settings: &Settings) -> Vec<String> {
    hold(HELPER, settings.guest_start)
}

/// Holds the job's container open. An entry point that is kept gets the line as its arguments, and so has to open a shell
/// or to end with `exec "$@"`.
pub(super) fn build(settings: &Settings, flags: Flags, entrypoint: Option<&[String]>) -> Main {
    let hold = hold(BUILD, settings.guest_start);
    if flags.honor_entrypoint {
        let mark = if flags.legacy_exec {
            format!(": > {}; ", marker(settings))
        } else {
            String::new()
        };
        let line = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            format!("{mark}exec {}", hold.join(" ")),
        ];
        let entrypoint = entrypoint.filter(|words| !words.is_empty());
        // `[""]`: none, neither the image's.
        if entrypoint.is_some_and(|words| words.iter().all(String::is_empty)) {
            return Main {
                command: Some(line),
                args: None,
            };
        }
        return Main {
            command: entrypoint.map(<[String]>::to_vec),
            args: Some(line),
        };
    }
    Main {
        command: Some(hold),
        args: None,
    }
}

/// Whether an entry point has come to its end, where nobody is attached to hear it.
pub(super) fn startup_probe(settings: &Settings, flags: Flags) -> Option<Probe> {
    let interval = settings.poll_interval.as_secs().max(1);
    let number = |seconds: u64| i32::try_from(seconds).unwrap_or(i32::MAX);
    (flags.honor_entrypoint && flags.legacy_exec).then(|| Probe {
        exec: Some(ExecAction {
            command: Some(vec![
                "sh".to_owned(),
                "-c".to_owned(),
                format!("[ -e {} ]", marker(settings)),
            ]),
        }),
        period_seconds: Some(number(interval)),
        failure_threshold: Some(number(settings.poll_timeout.as_secs().div_ceil(interval).max(1))),
        ..Probe::default()
    })
}

fn marker(settings: &Settings) -> String {
    crate::script::quote(&format!("{}/{MARKER}", settings.builds_dir.trim_end_matches('/')))
}
