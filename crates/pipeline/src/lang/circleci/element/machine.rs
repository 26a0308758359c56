//! `machine` and `macos`.

use tasuki_model::plan::{Machine, MachineKind};

use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::{SCHEMA, is_unknown};
use crate::yaml::{Node, Value};

/// A machine, and what its map says of the job besides.
#[derive(Debug)]
pub(super) struct Declared<'n> {
    pub(super) machine: Machine,
    pub(super) resource_class: Option<&'n Node>,
    pub(super) shell: Option<String>,
}

fn machine(kind: MachineKind) -> Machine {
    Machine {
        kind,
        size: None,
        image: None,
        xcode: None,
        docker_layer_caching: false,
    }
}

impl Compiler<'_, '_> {
    pub(super) fn machine<'n>(&self, node: &'n Node, what: &str) -> Option<Declared<'n>> {
        let plain = || Declared {
            machine: machine(MachineKind::Machine),
            resource_class: None,
            shell: None,
        };
        match node.value(SCHEMA) {
            Value::Bool(true) | Value::Text("default") => Some(plain()),
            _ if is_unknown(node) => Some(plain()),
            Value::Bool(false) => None,
            Value::Map(map) => {
                let keys = ["image", "docker_layer_caching", "enabled", "resource_class", "shell"];
                let here = format!("`machine` of {what}");
                self.only(map, &here, &keys);
                let text = |key: &str| {
                    map.get(key)
                        .and_then(|node| self.text(node, format_args!("`{key}` of {here}")))
                };
                let caching = map.get("docker_layer_caching");
                if let Some(enabled) = map.get("enabled") {
                    self.flag(enabled, format_args!("`enabled` of {here}"));
                }
                Some(Declared {
                    machine: Machine {
                        image: text("image"),
                        docker_layer_caching: caching.and_then(|node| self.flag(node, "`docker_layer_caching`"))
                            == Some(true),
                        ..machine(MachineKind::Machine)
                    },
                    resource_class: map.get("resource_class"),
                    shell: text("shell"),
                })
            }
            _ => {
                self.wrong_type(node, format_args!("`machine` of {what}"), "true, or a map with `image`");
                None
            }
        }
    }

    pub(super) fn macos<'n>(&self, node: &'n Node, what: &str) -> Option<Declared<'n>> {
        let here = format!("`macos` of {what}");
        let map = self.map(node, &here)?;
        self.only(map, &here, &["xcode", "resource_class", "shell", "code_signing"]);
        let xcode = self.required(map, "xcode", &here, node.span);
        Some(Declared {
            machine: Machine {
                xcode: xcode.and_then(|node| self.text(node, "`xcode`")),
                ..machine(MachineKind::Macos)
            },
            resource_class: map.get("resource_class"),
            shell: map.get("shell").and_then(|node| self.text(node, "`shell`")),
        })
    }

    /// Sizes of CircleCI's cloud go with kinds of machines; a class with a namespace goes with any.
    pub(super) fn fits_kind(&self, machine: Option<&Machine>, class: &str, node: &Node, what: &str) {
        let kind = machine.map_or(MachineKind::Docker, |machine| machine.kind);
        let linux = machine
            .and_then(|machine| machine.image.as_deref())
            .is_some_and(|image| image.starts_with("ubuntu-"));
        if class.contains('/') || is_unknown(node) {
            return;
        }
        let common = ["small", "medium", "medium+", "large", "xlarge", "2xlarge", "2xlarge+"];
        let wrong = match kind {
            MachineKind::Macos => common.contains(&class) || class.starts_with("windows.") || class.starts_with("gpu."),
            MachineKind::Docker => class.starts_with("windows.") || class.starts_with("macos."),
            MachineKind::Machine => class.starts_with("macos.") || (linux && class.starts_with("windows.")),
        };
        if wrong {
            let word = match kind {
                MachineKind::Docker => "docker",
                MachineKind::Machine => "machine",
                MachineKind::Macos => "macos",
            };
            let message = format!("{what}: there is no `{word}` of the resource class `{class}`");
            self.error(&code::CIRCLECI_VALUE, node.span, message);
        }
    }
}
