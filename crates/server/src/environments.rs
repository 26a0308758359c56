//! Where deployments are to be found: the urls of environments are made here, after their jobs have ended.
//!
//! The scheduler notes with a job's success that the url is wanted. The loop here takes no other input, so that a
//! restart at any instant loses none.

use std::time::Duration;

use tasuki_store::deployments::{self, Deployment};
use tasuki_store::environments;

use crate::app::App;
use crate::http::error::Chain;
use crate::payload::{self, url_of};

/// Deployments that are looked at in one round.
const AT_ONCE: u32 = 32;
/// Longest sleep of the loop: what another server noted is seen within it.
const NAP: Duration = Duration::from_secs(10);
/// When the loop tries again after the database failed.
const RETRY_AFTER: Duration = Duration::from_secs(5);

/// Makes the urls that are wanted, until the server stops.
pub(crate) fn start(app: &App) {
    let own = app.clone();
    app.tasks()
        .spawn("urls of environments", async move { run(&own).await });
}

async fn run(app: &App) {
    let stop = app.tasks().token();
    loop {
        let pause = match make_wanted(app).await {
            Ok(()) => NAP,
            Err(failed) => {
                tracing::error!(error = %Chain(&failed), "the urls of deployments cannot be made; they are tried again");
                RETRY_AFTER
            }
        };
        tokio::select! {
            () = app.scheduler().urls_wanted() => {}
            () = tokio::time::sleep(pause) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Makes all urls that are wanted by now. Who shows environments calls it first, so that a job's end is seen with its
/// url.
///
/// # Errors
/// When the database fails.
pub(crate) async fn make_wanted(app: &App) -> Result<(), tasuki_store::Error> {
    loop {
        let wanted = app.store().read(move |tx| deployments::url_wanted(tx, AT_ONCE)).await?;
        if wanted.is_empty() {
            return Ok(());
        }
        for deployment in wanted {
            settle(app, deployment).await?;
        }
    }
}

/// Makes the url of a deployment and gives it.
///
/// # Errors
/// When the database fails.
pub(crate) async fn settle(app: &App, deployment: Deployment) -> Result<Option<String>, tasuki_store::Error> {
    let url = match url_of(app, &deployment).await {
        Ok(url) => url,
        Err(payload::Error::Store(failed)) => return Err(failed),
        Err(failed) => {
            tracing::warn!(
                deployment.id = deployment.id,
                job.id = deployment.job_id.0,
                error = %Chain(&failed),
                "a deployment has no url"
            );
            None
        }
    };
    let (id, environment, made) = (deployment.id, deployment.environment_id, url.clone());
    let set = app.store().write(move |tx| {
        if !deployments::set_url(tx, id, made.as_deref())? {
            return Ok(());
        }
        if let Some(url) = made {
            environments::set_url(tx, environment, id, &url)?;
        }
        Ok(())
    });
    set.await?;
    app.scheduler().deployment_changed(&deployment);
    Ok(url)
}
