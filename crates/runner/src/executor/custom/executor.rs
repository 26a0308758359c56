//! Making and sweeping places.

use std::sync::Arc;

use async_trait::async_trait;
use tasuki_rt::Tasks;

use super::place::{Office, Place, close_abandoned, folder};
use super::record;
use super::sandbox::CustomSandbox;
use super::settings::{Settings, Steps};
use crate::executor::{Error, Executor, Output, Result, Sandbox, Stop, Swept, Task};
use crate::trace::chain;

/// The custom executor.
#[derive(Debug)]
pub struct Custom {
    office: Arc<Office>,
}

impl Custom {
    /// Checks the settings. `tasks` takes what has to end in the background.
    ///
    /// # Errors
    /// There is no `run_exec`.
    pub fn new(settings: Settings, tasks: Tasks) -> Result<Self> {
        let steps = Steps::of(&settings)?;
        Ok(Self {
            office: Arc::new(Office { settings, steps, tasks }),
        })
    }
}

#[async_trait]
impl Executor for Custom {
    fn kind(&self) -> &'static str {
        "custom"
    }

    async fn prepare(&self, task: Task, stop: Stop, output: Arc<dyn Output>) -> Result<Box<dyn Sandbox>> {
        if stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let mut open = Open {
            place: Some(Place::open(Arc::clone(&self.office), &task)?),
            tasks: self.office.tasks.clone(),
        };
        let Some(place) = open.place.as_mut() else {
            return Err(Error::Stopped);
        };
        let made = place.make(&task, &stop, &*output).await;
        match (made, open.take()) {
            (Ok(paths), Some(place)) => Ok(Box::new(CustomSandbox::new(place, paths)?)),
            (Err(error), Some(place)) => {
                tell(place.close().await);
                Err(error)
            }
            (made, None) => Err(made.err().unwrap_or(Error::Stopped)),
        }
    }

    async fn sweep(&self) -> Result<Swept> {
        let mut swept = Swept::default();
        let mut result = Ok(());
        for (record, written) in record::abandoned(&folder(&self.office.settings))? {
            match close_abandoned(&self.office, record, written).await {
                Ok(processes) => {
                    swept.sandboxes += 1;
                    swept.processes += processes;
                }
                // The others go on; this one stays written down.
                Err(error) => result = result.and(Err(error)),
            }
        }
        result.map(|()| swept)
    }

    async fn audit(&self) -> Result<Vec<String>> {
        let names = record::names(&folder(&self.office.settings))?;
        Ok(names.into_iter().map(|name| format!("custom sandbox {name}")).collect())
    }
}

/// A place that is closed in the background when nobody takes it.
struct Open {
    place: Option<Place>,
    tasks: Tasks,
}

impl Open {
    fn take(&mut self) -> Option<Place> {
        self.place.take()
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            self.tasks.spawn("clean-up of a place that was not taken", async {
                tell(place.close().await);
            });
        }
    }
}

fn tell(closed: Result<()>) {
    if let Err(error) = closed {
        tracing::warn!(error = %chain(&error), "a driver's place is left behind until the next sweep");
    }
}
