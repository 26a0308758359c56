//! The guest in the pod's containers.

use k8s_openapi::api::core::v1::{ExecAction, Probe};

use super::super::flags::Flags;
use super::super::settings::{GuestStart, Settings};
use crate::config::kubernetes::GuestDelivery;
use crate::executor::helper_image;
use crate::process::Binary;

/// Where the guest is in build and helper; a volume of the pod.
pub(super) const FOLDER: &str = "/tasuki";
/// Name of that volume.
pub(super) const VOLUME: &str = "tasuki-guest";
/// What an entry point that opens no shell of ours has to make in the builds folder.
const MARKER: &str = ".gitlab-startup-marker";

/// The helper image's own program puts itself into the volume.
pub(in super::super) fn install() -> Vec<String> {
    ["tasuki", "guest", "install", FOLDER].map(str::to_owned).to_vec()
}

/// The program in the volume.
fn program() -> String {
    format!("{FOLDER}/{}", Binary::PROGRAM)
}

/// What starts the guest in build and helper.
pub(in super::super) fn command(start: GuestStart) -> Vec<String> {
    helper_image::command(FOLDER, start == GuestStart::Loaded)
}

fn hold(start: GuestStart) -> Vec<String> {
    let mut words = command(start);
    words.push("hold".to_owned());
    words
}

/// `command` and `args` of a container.
#[derive(Debug, Default)]
pub(super) struct Main {
    pub(super) command: Option<Vec<String>>,
    pub(super) args: Option<Vec<String>>,
}

/// Holds the helper open. Where the guest comes later, it is the helper image's own program that holds.
pub(super) fn helper(settings: &Settings) -> Main {
    let command = match settings.guest_delivery {
        GuestDelivery::InitContainer => hold(settings.guest_start),
        GuestDelivery::Exec => [Binary::PROGRAM, "guest", "hold"].map(str::to_owned).to_vec(),
    };
    Main {
        command: Some(command),
        args: None,
    }
}

/// Holds the job's container open. An entry point that is kept gets the line as its arguments, and so has to open a shell
/// or to end with `exec "$@"`.
pub(super) fn build(settings: &Settings, flags: Flags, entrypoint: Option<&[String]>) -> Main {
    let program = program();
    let hold = hold(settings.guest_start);
    let wait = format!("until [ -x {program} ]; do sleep 0.2 2>/dev/null || sleep 1; done; ");
    let wait = match settings.guest_delivery {
        GuestDelivery::InitContainer => "",
        GuestDelivery::Exec => &wait,
    };
    if flags.honor_entrypoint {
        let mark = if flags.legacy_exec {
            format!(": > {}; ", marker(settings))
        } else {
            String::new()
        };
        let line = vec![
            "sh".to_owned(),
            "-c".to_owned(),
            format!("{mark}{wait}exec {}", hold.join(" ")),
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
    let command = match settings.guest_delivery {
        GuestDelivery::InitContainer => hold,
        GuestDelivery::Exec => vec![
            "sh".to_owned(),
            "-c".to_owned(),
            format!("{wait}exec {}", hold.join(" ")),
        ],
    };
    Main {
        command: Some(command),
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
