//! Projects and their variables.

use tasuki_proto::rest::{Project, ProjectKind, ProjectVariable};
use tasuki_store::{projects, variables};

use crate::config::ProjectSettings;

/// A project. `url` is the server's own address.
#[must_use]
pub fn project(row: &projects::Project, url: &str) -> Project {
    let settings = ProjectSettings::read(&row.settings_json);
    let local = row.kind == "local";
    let forge = match row.kind.as_str() {
        "github" => "github",
        "gitea" => "gitea",
        _ => "gitlab",
    };
    Project {
        id: row.id.0,
        path: row.path.clone(),
        name: row.name.clone(),
        kind: if local { ProjectKind::Local } else { ProjectKind::Git },
        location: without_credentials(&row.url),
        default_branch: row.default_branch.clone(),
        config_path: if settings.config_path.is_empty() {
            ".gitlab-ci.yml".to_owned()
        } else {
            settings.config_path
        },
        allow_outdated_deployments: settings.allow_outdated_deployments,
        hook_url: (!local).then(|| format!("{url}/hooks/{forge}")),
        hook_secret: None,
        web_url: format!("{url}/projects/{}", row.id),
        created_at: row.created_ms.into(),
    }
}

/// An address without user and password.
fn without_credentials(location: &str) -> String {
    match url::Url::parse(location) {
        Ok(mut url) if url.has_host() && (url.password().is_some() || url.scheme().starts_with("http")) => {
            // Neither can fail for an address that has a host.
            let _ = url.set_username("");
            let _ = url.set_password(None);
            url.to_string()
        }
        _ => location.to_owned(),
    }
}

/// A variable; `value` is its text where it may be shown.
#[must_use]
pub fn variable(row: &variables::SealedVariable, value: Option<String>) -> ProjectVariable {
    ProjectVariable {
        key: row.key.clone(),
        value: value.filter(|_| !row.masked),
        environment_scope: row.environment_scope.clone(),
        file: row.file,
        masked: row.masked,
        protected: row.protected,
        raw: row.raw,
    }
}
