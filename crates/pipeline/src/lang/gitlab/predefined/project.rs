//! `CI_SERVER_…`, `CI_PROJECT_…`.

use super::Set;
use crate::Context;
use crate::lang::gitlab::slug::slug;

/// The parts of the server's address.
pub(super) struct Address<'a> {
    pub(super) protocol: &'a str,
    pub(super) host: &'a str,
    pub(super) port: String,
    /// `host` or `host:port` where the port is not the protocol's own.
    pub(super) fqdn: String,
}

impl<'a> Address<'a> {
    pub(super) fn of(url: &'a str) -> Self {
        let (protocol, rest) = url.split_once("://").unwrap_or(("http", url));
        let authority = rest.split('/').next().unwrap_or_default();
        let default = if protocol == "https" { "443" } else { "80" };
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) if !port.is_empty() && port.chars().all(|c| c.is_ascii_digit()) => (host, port),
            _ => (authority, default),
        };
        let fqdn = if port == default {
            host.to_owned()
        } else {
            format!("{host}:{port}")
        };
        Self {
            protocol,
            host,
            port: port.to_owned(),
            fqdn,
        }
    }
}

pub(super) fn server(context: &Context, out: &mut Set) {
    let server = &context.server;
    let url = server.url.trim_end_matches('/');
    let address = Address::of(url);
    out.add("CI", "true");
    out.add("GITLAB_CI", "true");
    out.add("CI_SERVER_URL", url);
    out.add("CI_SERVER_HOST", address.host);
    out.add("CI_SERVER_PORT", address.port);
    out.add("CI_SERVER_PROTOCOL", address.protocol);
    out.add("CI_SERVER_FQDN", address.fqdn);
    out.add("CI_SERVER_SHELL_SSH_HOST", address.host);
    out.add("CI_SERVER_SHELL_SSH_PORT", "22");
    out.add("CI_SERVER_NAME", &server.name);
    out.add("CI_SERVER_VERSION", &server.version);
    let mut parts = server.version.split(['.', '-', '+']);
    for part in ["MAJOR", "MINOR", "PATCH"] {
        out.add(&format!("CI_SERVER_VERSION_{part}"), parts.next().unwrap_or("0"));
    }
    out.add("CI_SERVER_REVISION", &server.revision);
    out.add("CI_API_V4_URL", format!("{url}/api/v4"));
    out.add("CI_API_GRAPHQL_URL", format!("{url}/api/graphql"));
    out.add("CI_TEMPLATE_REGISTRY_HOST", "registry.gitlab.com");
    out.add("GITLAB_FEATURES", "");
}

pub(super) fn project(context: &Context, out: &mut Set) {
    let project = &context.project;
    let (namespace, name) = project.path.rsplit_once('/').unwrap_or(("", &project.path));
    let root = namespace.split('/').next().unwrap_or_default();
    let title = if project.title.is_empty() { name } else { &project.title };
    let url = if project.url.is_empty() {
        format!("{}/{}", context.server.url.trim_end_matches('/'), project.path)
    } else {
        project.url.clone()
    };
    out.add("CI_PROJECT_ID", project.id.to_string());
    out.add("CI_PROJECT_NAME", name);
    out.add("CI_PROJECT_TITLE", title);
    out.add("CI_PROJECT_DESCRIPTION", &project.description);
    out.add("CI_PROJECT_PATH", &project.path);
    out.add("CI_PROJECT_PATH_SLUG", slug(&project.path));
    out.add("CI_PROJECT_NAMESPACE", namespace);
    out.add("CI_PROJECT_NAMESPACE_ID", project.namespace_id.to_string());
    out.add("CI_PROJECT_NAMESPACE_SLUG", slug(namespace));
    out.add("CI_PROJECT_ROOT_NAMESPACE", root);
    out.add("CI_PROJECT_ROOT_NAMESPACE_SLUG", slug(root));
    out.add("CI_PROJECT_URL", url);
    out.add("CI_PROJECT_VISIBILITY", &project.visibility);
    out.add("CI_PROJECT_REPOSITORY_LANGUAGES", "");
    let topics: Vec<&str> = project.topics.iter().take(20).map(String::as_str).collect();
    out.add("CI_PROJECT_TOPICS", topics.join(","));
    out.add("CI_PROJECT_CLASSIFICATION_LABEL", "");
    out.add("CI_DEFAULT_BRANCH", &project.default_branch);
    out.add("CI_DEFAULT_BRANCH_SLUG", slug(&project.default_branch));
    out.add("CI_CONFIG_PATH", &project.config_path);
    pages(context, out);
}

/// `CI_PAGES_…`: pages stand at the server's own address, in a folder of the project's.
fn pages(context: &Context, out: &mut Set) {
    let address = Address::of(context.server.url.trim_end_matches('/'));
    out.add("CI_PAGES_DOMAIN", address.host);
    out.add("CI_PAGES_HOSTNAME", address.host);
    out.add("CI_PAGES_URL", pages_url(context));
}

/// Where the pages of the project stand, without a slash at the end.
pub(super) fn pages_url(context: &Context) -> String {
    let url = context.server.url.trim_end_matches('/');
    format!("{url}/projects/{}/pages", context.project.id)
}
