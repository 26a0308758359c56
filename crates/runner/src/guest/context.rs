//! What a guest works with.

use crate::process::Stop;

/// The surroundings of one request: environment, log, stop.
pub struct Context {
    env: Vec<(String, String)>,
    stop: Stop,
    log: Box<dyn Fn(&str) + Send + Sync>,
}

impl Context {
    /// `env` is the job's environment: what git and its helpers get. `log` takes text for people, with its line ends.
    pub fn new(env: Vec<(String, String)>, stop: Stop, log: impl Fn(&str) + Send + Sync + 'static) -> Self {
        Self {
            env,
            stop,
            log: Box::new(log),
        }
    }

    pub(crate) fn env(&self) -> &[(String, String)] {
        &self.env
    }

    pub(crate) fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Writes one line for people.
    pub(crate) fn say(&self, line: &str) {
        (self.log)(&format!("{line}\n"));
    }

    /// Writes text as it is.
    pub(crate) fn print(&self, text: &str) {
        (self.log)(text);
    }
}
