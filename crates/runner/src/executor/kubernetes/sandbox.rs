//! A job's pod at work.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use super::link::Link;
use super::make::Rest;
use super::plan::Planned;
use super::prepare::Cleanup;
use super::report::Followed;
use super::talk::{self, Due, Session, Timely};
use super::{sight, source};
use crate::executor::{
    Command, Ended, Error, Exit, Interactive, Keyboard, Output, Paths, Program, PushedFile, Result, Sandbox, Shell,
    Stop, unique,
};
use crate::guest;
use crate::guest::inside::{Answer, Ready, Script, Work, millis};

/// How long the end of the job's processes is waited for, once the cluster has been told to end them, over their grace.
const END: Duration = Duration::from_secs(60);

/// What `prepare` has made.
pub(super) struct Parts {
    pub(super) link: Link,
    pub(super) paths: Paths,
    /// The job's container, seen from inside.
    pub(super) build: Ready,
    /// Whom the helper works as (`guest session`).
    pub(super) who: String,
    /// The sessions' folder, in both containers.
    pub(super) folder: PathBuf,
    /// `FF_USE_LEGACY_KUBERNETES_EXECUTION_STRATEGY`: scripts end with their connection.
    pub(super) legacy: bool,
    /// What goes on in the pod and stands in the job's log, as long as the sandbox is there.
    pub(super) followed: Followed,
}

pub(super) struct KubernetesSandbox {
    parts: Parts,
    cleanup: Cleanup,
    works: AtomicU64,
}

impl KubernetesSandbox {
    pub(super) fn new(parts: Parts, cleanup: Cleanup) -> Self {
        Self {
            parts,
            cleanup,
            works: AtomicU64::new(0),
        }
    }

    fn number(&self) -> u64 {
        self.works.fetch_add(1, Ordering::Relaxed)
    }

    /// Under a name that nobody in the pod can make before it.
    fn session<'a>(&'a self, container: &'a str, who: &'a str) -> Result<Session<'a>> {
        let folder = self.parts.folder.join(format!("work-{}", unique()?));
        Ok(Session {
            link: &self.parts.link,
            container,
            folder: folder.to_string_lossy().into_owned(),
            who,
        })
    }

    async fn run_script(&self, command: &Command, shell: Shell, text: String, output: &dyn Output) -> Result<Ended> {
        let paths = &self.parts.paths;
        let number = self.number();
        let work = Work::Script(Script {
            argv: Vec::new(),
            shell,
            text,
            env: self.parts.build.script_env(paths, &command.env)?,
            project: paths.project.clone(),
            cwd: command.cwd.as_ref().map(|folder| paths.project.join(folder)),
            temp: paths.temp.clone(),
            number,
            timeout_ms: command.timeout.map(millis),
            grace_ms: millis(command.grace),
        });
        let answer = async {
            if self.parts.legacy {
                let (_, typed) = tokio::sync::mpsc::channel(1);
                let keyboard = Keyboard { typed };
                talk::live(&self.parts.link, Planned::BUILD, &work, &command.stop, keyboard, output).await
            } else {
                let session = self.session(Planned::BUILD, "-")?;
                session.run(work, &command.stop, output).await
            }
        };
        let answer = match talk::timely(&command.stop, due(command), answer).await {
            Timely::Done(answer) => answer?,
            Timely::Late(exit) => return Ok(Ended { exit, response: None }),
        };
        match answer {
            Answer::Ended { exit, .. } => {
                // A pod that is being deleted asks its programs to end before it is gone.
                let signalled = matches!(exit, Exit::Signal(_) | Exit::Code(129..=255));
                let fallen = if signalled {
                    talk::fallen(&self.parts.link).await
                } else {
                    None
                };
                match fallen {
                    Some(trouble) => Err(trouble.error()),
                    None => Ok(Ended { exit, response: None }),
                }
            }
            other => Err(other.unexpected()),
        }
    }

    async fn run_guest(&self, command: &Command, request: guest::Request, output: &dyn Output) -> Result<Ended> {
        let request = match request {
            guest::Request::Snapshot(snapshot) => {
                return source::send(&self.parts.link, &self.parts.who, snapshot, command, output).await;
            }
            other => other,
        };
        let work = Work::Guest {
            request: Box::new(request),
            env: Ready::guest_env(&self.parts.paths, &command.env)?,
            timeout_ms: command.timeout.map(millis),
        };
        let session = self.session(Planned::HELPER, &self.parts.who)?;
        let answer = session.run(work, &command.stop, output);
        let answer = match talk::timely(&command.stop, due(command), answer).await {
            Timely::Done(answer) => answer?,
            Timely::Late(exit) => return Ok(Ended { exit, response: None }),
        };
        match answer {
            Answer::Response { exit, response } => Ok(Ended {
                exit,
                response: Some(*response),
            }),
            other => Err(other.unexpected()),
        }
    }

    /// A short piece of work, as the user of the scripts.
    async fn ask(&self, work: &Work) -> Result<Answer> {
        talk::ask(&self.parts.link, Planned::BUILD, work, &Stop::new()).await
    }
}

fn due(command: &Command) -> Due {
    Due {
        timeout: command.timeout,
        grace: command.grace,
    }
}

#[async_trait]
impl Sandbox for KubernetesSandbox {
    fn paths(&self) -> &Paths {
        &self.parts.paths
    }

    async fn run(&self, mut command: Command, output: &dyn Output) -> Result<Ended> {
        if command.stop.is_pulled() {
            return Err(Error::Stopped);
        }
        let empty = Program::Script {
            shell: Shell::default(),
            text: String::new(),
        };
        match std::mem::replace(&mut command.program, empty) {
            Program::Script { shell, text } => self.run_script(&command, shell, text, output).await,
            Program::Guest(request) => self.run_guest(&command, *request, output).await,
        }
    }

    async fn interact(&self, what: Interactive, keyboard: Keyboard, output: &dyn Output) -> Result<Exit> {
        let env = self.parts.build.script_env(&self.parts.paths, &what.env)?;
        let stop = what.stop.clone();
        let work = Work::terminal(&self.parts.paths, what, env);
        let answer = talk::live(&self.parts.link, Planned::BUILD, &work, &stop, keyboard, output);
        let due = Due {
            timeout: None,
            grace: Command::DEFAULT_GRACE,
        };
        match talk::timely(&stop, due, answer).await {
            Timely::Done(Ok(Answer::Ended { exit, .. })) | Timely::Late(exit) => Ok(exit),
            Timely::Done(Ok(other)) => Err(other.unexpected()),
            Timely::Done(Err(error)) => Err(error),
        }
    }

    async fn push(&self, file: PushedFile) -> Result<()> {
        let work = Work::push(&self.parts.paths, &file);
        self.ask(&work).await?.done()
    }

    async fn pull(&self, path: &str, limit: u64) -> Result<Option<Bytes>> {
        self.ask(&Work::pull(&self.parts.paths, path, limit)).await?.pulled()
    }

    /// Returns when the job's own containers have ended; what else is in the pod ends in the cluster's time.
    async fn teardown(self: Box<Self>) -> Result<()> {
        let Self { parts, cleanup, .. } = *self;
        drop(parts.followed);
        let mut seen = parts.link.watcher.seen();
        let grace = cleanup
            .grace()
            .unwrap_or_else(|| sight::grace(&parts.link.watcher.seen().borrow().pod));
        cleanup.run(Rest::Owned).await?;
        let ended = async {
            loop {
                let now = seen.borrow_and_update().clone();
                if now.gone || sight::has_ended(&now.pod) || seen.changed().await.is_err() {
                    return;
                }
            }
        };
        if tokio::time::timeout(END + grace, ended).await.is_err() {
            return Err(Error::system(
                format!("end the pod {}/{}", parts.link.namespace, parts.link.pod),
                "its containers still run: its node may be out of reach",
            ));
        }
        Ok(())
    }
}
