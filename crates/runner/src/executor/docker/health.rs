//! Waiting until services are well, where their image or their options say how that is asked.

use std::time::Duration;

use super::console::Console;
use super::engine::Container;
use super::prepare::Plan;
use super::services::Started;
use crate::executor::{Error, Result, Stop};
use tasuki_model::reason::FailureReason;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);

/// Lines of its log that are shown of a service that is not well.
const LINES: u32 = 200;

/// Whether the engine asks for its health.
pub(super) fn is_asked(service: &Started) -> bool {
    let health = service
        .container
        .as_ref()
        .and_then(|container| container.state.health.as_ref());
    health.is_some_and(|health| !matches!(health.status.as_str(), "" | "none"))
}

/// Waits for all whose health is asked. How long is theirs to say: the engine gives up after their retries.
///
/// # Errors
/// One is not well, or has ended: its log is in the job's.
pub(super) async fn wait(plan: &Plan, services: &[Started], console: &Console<'_>, stop: &Stop) -> Result<()> {
    for service in services.iter().filter(|service| is_asked(service)) {
        console
            .line(&format!("Waiting for service {} to be healthy ...", service.image))
            .await;
        loop {
            let container = plan.engine.container(&service.id).await;
            let container = container.map_err(|error| Error::system("ask how a service is", error))?;
            let health = container.state.health.clone().unwrap_or_default();
            if !container.state.running || health.status == "unhealthy" {
                return Err(unwell(plan, service, &container, console).await);
            }
            if health.status == "healthy" {
                break;
            }
            tokio::select! {
                () = tokio::time::sleep(LOOK) => {}
                () = stop.pulled() => return Err(Error::Stopped),
            }
        }
    }
    Ok(())
}

async fn unwell(plan: &Plan, service: &Started, container: &Container, console: &Console<'_>) -> Error {
    let state = &container.state;
    let asked = state.health.as_ref().and_then(|health| health.log.last()).cloned();
    let asked = asked.unwrap_or_default();
    let log = plan.engine.logs(&service.id, LINES).await.unwrap_or_default();
    console
        .line(&format!(
            "*** Service {} is not healthy.\n\nLast health check (exit code {}):\n{}\n\nService container logs:\n{}\n*********",
            service.image,
            asked.exit_code,
            asked.output.trim_end(),
            String::from_utf8_lossy(&log).trim_end()
        ))
        .await;
    let how = if state.running {
        "is not healthy".to_owned()
    } else {
        format!("ended with exit code {} before it was healthy", state.exit_code)
    };
    Error::job(
        FailureReason::ScriptFailure,
        format!("the service {:?} {how}", service.image),
    )
}
