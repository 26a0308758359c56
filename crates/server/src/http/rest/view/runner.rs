//! Runners, resource classes, tokens.

use std::time::Duration;

use tasuki_model::time::Timestamp;
use tasuki_proto::gitlab::{Info, feature};
use tasuki_proto::rest::{Manager, ResourceClass, Runner, RunnerScope, Token, TokenScope};
use tasuki_store::{Result, Tx, projects, resource_classes, runners, tasks, tokens};

/// A runner whose last contact is older counts as offline: three pauses of a stock gitlab-runner's polling.
const ONLINE: Duration = Duration::from_secs(180);

/// A runner with its processes.
pub fn runner(tx: &mut Tx<'_>, row: &runners::Runner, now: Timestamp) -> Result<Runner> {
    let running = tasks::running_on(tx, row.id)?;
    let managers: Vec<_> = runners::managers(tx, row.id)?
        .iter()
        .map(|row| manager(row, &running))
        .collect();
    let owner = match row.project_id {
        Some(project) => projects::get(tx, project)?.map(|project| project.path),
        None => None,
    };
    let class = match row.resource_class_id {
        Some(id) => resource_classes::all(tx)?
            .into_iter()
            .find(|class| class.id == id)
            .map(|class| class.name),
        None => None,
    };
    let contact = managers.iter().map(|m| m.contacted_at.0).chain(row.contact_ms).max();
    Ok(Runner {
        id: row.id.0,
        name: row.description.clone(),
        scope: if row.scope == "project" {
            RunnerScope::Project
        } else {
            RunnerScope::Instance
        },
        owner,
        maintenance_note: row.maintenance_note.clone(),
        tags: serde_json::from_str(&row.tags_json).unwrap_or_default(),
        run_untagged: row.run_untagged,
        locked: row.locked,
        protected_only: row.access_level == "ref_protected",
        paused: row.paused,
        maximum_timeout_s: row.maximum_timeout_s.and_then(|s| u64::try_from(s).ok()),
        resource_class: class,
        online: contact.is_some_and(|at| now.since(at) < ONLINE),
        running: running.len() as u64,
        contacted_at: contact.map(Into::into),
        created_at: row.created_ms.into(),
        token_expires_at: row.token_expires_ms.map(Into::into),
        managers,
    })
}

/// A process with all its places taken asks for nothing: it is heard of through its tasks.
fn manager(row: &runners::Manager, running: &[tasks::Task]) -> Manager {
    let own = running
        .iter()
        .filter(|task| task.system_id.as_deref() == Some(&row.system_id));
    let contact = own.filter_map(|task| task.contact_ms).max().max(Some(row.contact_ms));
    let info: Info = serde_json::from_str(&row.info_json).unwrap_or_default();
    Manager {
        system_id: row.system_id.clone(),
        tasuki: info.features.has(feature::TASUKI),
        version: info.version,
        platform: info.platform,
        architecture: info.architecture,
        executor: info.executor,
        ip: (!row.address.is_empty()).then(|| row.address.clone()),
        contacted_at: contact.unwrap_or(row.contact_ms).into(),
    }
}

/// A resource class.
#[must_use]
pub fn resource_class(row: &resource_classes::ResourceClass) -> ResourceClass {
    ResourceClass {
        id: row.id.0,
        name: row.name.clone(),
        description: row.description.clone(),
        created_at: row.created_ms.into(),
    }
}

/// A token, without its text. `None`: a kind that this API does not give out.
pub fn token(tx: &mut Tx<'_>, row: &tokens::Token) -> Result<Option<Token>> {
    let scope = match row.kind.as_str() {
        "admin" => TokenScope::Admin,
        "api" if row.scopes_json.contains("\"api\"") => TokenScope::Api,
        "api" => TokenScope::Read,
        "registration" => TokenScope::RunnerRegistration,
        "resource_class" => TokenScope::ResourceClass,
        "trigger" => TokenScope::Trigger,
        _ => return Ok(None),
    };
    let class = match row.resource_class_id {
        Some(id) => resource_classes::all(tx)?
            .into_iter()
            .find(|class| class.id == id)
            .map(|class| class.name),
        None => None,
    };
    let project = match row.project_id {
        Some(id) => projects::get(tx, id)?.map(|project| project.path),
        None => None,
    };
    Ok(Some(Token {
        id: row.id,
        name: row.name.clone(),
        scope,
        resource_class: class,
        project,
        created_at: row.created_ms.into(),
        expires_at: row.expires_ms.map(Into::into),
        last_used_at: row.used_ms.map(Into::into),
    }))
}
