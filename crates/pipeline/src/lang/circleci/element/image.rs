//! `docker`: images of a job.

use tasuki_model::plan::{Image, Service, Variable, words};

use crate::diag::code;
use crate::lang::circleci::compiler::Compiler;
use crate::lang::circleci::read::is_null;
use crate::yaml::{Map, Node};

const KEYS: [&str; 9] = [
    "image",
    "name",
    "entrypoint",
    "command",
    "user",
    "environment",
    "auth",
    "aws_auth",
    "gcp_auth",
];

/// The containers of a job.
#[derive(Debug, Default)]
pub(super) struct Containers {
    /// The first: steps run in it.
    pub(super) primary: Option<Image>,
    /// Its environment, which its steps see as well.
    pub(super) environment: Vec<(String, String)>,
    pub(super) services: Vec<Service>,
}

impl Compiler<'_, '_> {
    pub(super) fn docker(&self, node: &Node, what: &str) -> Containers {
        let mut all = Containers::default();
        let Some(items) = self.seq(node, format_args!("`docker` of {what}")) else {
            return all;
        };
        if items.is_empty() {
            self.error(
                &code::CIRCLECI_VALUE,
                node.span,
                format!("`docker` of {what} names no image"),
            );
        }
        for (index, item) in items.iter().enumerate() {
            let Some(map) = self.map(item, format_args!("each container of {what}")) else {
                continue;
            };
            self.only(map, format_args!("a container of {what}"), &KEYS);
            let (image, environment) = self.image(map, item, what);
            if index == 0 {
                all.primary = Some(image);
                all.environment = environment;
            } else {
                let alias = map
                    .get("name")
                    .and_then(|node| self.text(node, "`name` of a container"));
                let variables = environment
                    .into_iter()
                    .map(|(key, value)| variable(key, value))
                    .collect();
                all.services.push(Service {
                    image: Image { variables, ..image },
                    aliases: alias.into_iter().collect(),
                });
            }
        }
        all
    }

    fn image(&self, map: &Map, node: &Node, what: &str) -> (Image, Vec<(String, String)>) {
        let name = self.required(map, "image", format_args!("a container of {what}"), node.span);
        let name = name.and_then(|name| self.text(name, "`image`")).unwrap_or_default();
        for key in ["aws_auth", "gcp_auth"] {
            if let Some((key, _)) = map.entry(key) {
                let word = key.text().map_or("", |text| text);
                let message = format!("`{word}` is not used: images are pulled with what the runner is logged in with");
                self.no_effect(key.span, message);
            }
        }
        let environment = map.get("environment").map(|node| self.environment(node, "a container"));
        let image = Image {
            name,
            entrypoint: map
                .get("entrypoint")
                .and_then(|node| self.command_line(node, "`entrypoint`")),
            command: map.get("command").and_then(|node| self.command_line(node, "`command`")),
            user: map.get("user").and_then(|node| self.text(node, "`user`")),
            credentials: map.get("auth").and_then(|node| self.login(node)),
            ..Image::default()
        };
        (image, environment.unwrap_or_default())
    }

    fn command_line(&self, node: &Node, what: &str) -> Option<Vec<String>> {
        match node.as_seq() {
            _ if is_null(node) => None,
            Some(_) => Some(self.texts(node, what).into_iter().map(|(text, _)| text).collect()),
            None => {
                let text = self.text(node, what)?;
                let words = words(&text);
                if words.is_none() {
                    let message = format!("{what} has a quotation mark or a backslash without its other half");
                    self.error(&code::CIRCLECI_VALUE, node.span, message);
                }
                words
            }
        }
    }

    fn login(&self, node: &Node) -> Option<(String, String)> {
        let map = self.map(node, "`auth`")?;
        self.only(map, "`auth`", &["username", "password"]);
        let user = self.required(map, "username", "`auth`", node.span)?;
        let password = self.required(map, "password", "`auth`", node.span)?;
        Some((self.text(user, "`username`")?, self.text(password, "`password`")?))
    }
}

/// A variable as CircleCI means it: nothing in it is expanded.
pub(super) fn variable(key: String, value: String) -> Variable {
    let raw = value.contains('$');
    Variable {
        raw,
        ..Variable::plain(key, value)
    }
}
