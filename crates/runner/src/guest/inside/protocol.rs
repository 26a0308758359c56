//! What runner and guest say to one another.

use std::path::PathBuf;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tasuki_model::reason::FailureReason;

use super::hold::Ready;
use crate::executor::{Error, Interactive, Paths, PushedFile, Shell, Typist};
use crate::guest::{Request, Response};
use crate::process::{Exit, Typed, Window};

/// How often a guest says that it is there.
pub(crate) const BEAT: Duration = Duration::from_secs(10);

/// The first frame of a connection to a session ([`super::session`]), as JSON.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Opening {
    /// Where in the session's log the connection begins to read.
    pub(crate) from: u64,
    /// What is to be done. Absent where the session is known to have it.
    pub(crate) work: Option<Work>,
}

/// One thing to do. The first frame on standard input, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Work {
    Script(Script),
    /// A program on a terminal. What is typed follows as orders, what is printed comes as standard output.
    Terminal(Terminal),
    /// A request to the guest, with the job's environment.
    Guest {
        request: Box<Request>,
        env: Vec<(String, String)>,
        timeout_ms: Option<u64>,
    },
    /// Writes a file below one of `roots`.
    Push {
        roots: Vec<PathBuf>,
        path: PathBuf,
        mode: u32,
        base64: String,
    },
    /// Reads a file below one of `roots`.
    Pull {
        roots: Vec<PathBuf>,
        path: PathBuf,
        limit: u64,
    },
    /// Makes folders, parents too, and gives them to their owners.
    Make(Vec<Folder>),
    /// Removes folders and all below them.
    Remove(Vec<PathBuf>),
    /// Makes folders of this user's own, and tells what the container is like once its entrypoint has handed over to `hold`.
    Describe {
        folders: Vec<(PathBuf, u32)>,
        timeout_ms: u64,
        holder: Holder,
    },
    /// Waits until something listens at every `host:port`.
    WaitTcp {
        targets: Vec<(String, u16)>,
        timeout_ms: u64,
    },
}

impl Work {
    /// A file for the temporary folder.
    pub(crate) fn push(paths: &Paths, file: &PushedFile) -> Self {
        Self::Push {
            roots: Self::roots(paths),
            path: paths.temp.join(&file.path),
            mode: file.mode,
            base64: BASE64_STANDARD.encode(&file.bytes),
        }
    }

    /// A file of the temporary folder, or of the project's.
    pub(crate) fn pull(paths: &Paths, path: &str, limit: u64) -> Self {
        Self::Pull {
            roots: Self::roots(paths),
            path: paths.temp.join(path),
            limit,
        }
    }

    fn roots(paths: &Paths) -> Vec<PathBuf> {
        vec![paths.temp.clone(), paths.project.clone()]
    }

    /// What somebody who looks into the job has asked for, in the environment of its scripts.
    pub(crate) fn terminal(paths: &Paths, what: Interactive, env: Vec<(String, String)>) -> Self {
        Self::Terminal(Terminal {
            argv: what.argv,
            shell: what.shell,
            typist: what.typist,
            env,
            project: paths.project.clone(),
            cwd: what.cwd.map(|folder| paths.project.join(folder)),
            columns: what.window.columns,
            rows: what.window.rows,
        })
    }
}

/// Whole milliseconds; for ever where they are too many.
pub(crate) fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A script and its surroundings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Script {
    /// What runs in place of a script, as it is. Empty: the script.
    #[serde(default)]
    pub(crate) argv: Vec<String>,
    pub(crate) shell: Shell,
    pub(crate) text: String,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Made where the job removed it.
    pub(crate) project: PathBuf,
    /// Absent = the project folder.
    pub(crate) cwd: Option<PathBuf>,
    /// Where the script's file goes.
    pub(crate) temp: PathBuf,
    pub(crate) number: u64,
    pub(crate) timeout_ms: Option<u64>,
    pub(crate) grace_ms: u64,
}

/// A program on a terminal and its surroundings.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Terminal {
    /// Empty: the shell.
    pub(crate) argv: Vec<String>,
    pub(crate) shell: Shell,
    pub(crate) typist: Typist,
    /// The whole environment.
    pub(crate) env: Vec<(String, String)>,
    /// Made where the job removed it.
    pub(crate) project: PathBuf,
    /// Absent = the project folder.
    pub(crate) cwd: Option<PathBuf>,
    pub(crate) columns: u16,
    pub(crate) rows: u16,
}

/// Who keeps a container alive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Holder {
    /// `guest hold`, sooner or later.
    Guest,
    /// Maybe the image's entry point, which said that it is ready.
    Anybody,
}

/// A folder to make.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) mode: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// Further frames on standard input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Order {
    Terminate,
    Kill,
    /// Keys for the terminal.
    Type {
        base64: String,
    },
    EndOfInput,
    Resize {
        columns: u16,
        rows: u16,
    },
    /// A session's log was read to here: nobody will ask for what stands before. [`u64::MAX`]: nobody ever will for anything,
    /// the answer included.
    Read {
        to: u64,
    },
}

impl From<Typed> for Order {
    fn from(typed: Typed) -> Self {
        match typed {
            Typed::Bytes(bytes) => Self::Type {
                base64: BASE64_STANDARD.encode(bytes),
            },
            Typed::End => Self::EndOfInput,
            Typed::Resize(Window { columns, rows }) => Self::Resize { columns, rows },
        }
    }
}

/// The last frame on standard output, as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    /// `lingering`: background processes are alive, and this guest with them for as long as its input is open.
    Ended {
        exit: Exit,
        lingering: bool,
    },
    Response {
        exit: Exit,
        response: Box<Response>,
    },
    Done,
    Pulled {
        base64: Option<String>,
    },
    /// `None`: nobody holds the container in time.
    Described(Option<Ready>),
    /// Who does not listen.
    Waited {
        silent: Vec<(String, u16)>,
    },
    /// The job's own fault.
    Refused {
        message: String,
    },
    /// Ours.
    Failed {
        message: String,
    },
}

impl Answer {
    /// Of an answer of which only the failure matters.
    ///
    /// # Errors
    /// The failure.
    pub(crate) fn done(self) -> crate::executor::Result<()> {
        match self {
            Self::Failed { .. } | Self::Refused { .. } => Err(self.unexpected()),
            Self::Done
            | Self::Ended { .. }
            | Self::Response { .. }
            | Self::Pulled { .. }
            | Self::Described(_)
            | Self::Waited { .. } => Ok(()),
        }
    }

    /// Of an answer to [`Work::Pull`]: the file, where there is one.
    ///
    /// # Errors
    /// The failure, or a text that is none of base64.
    pub(crate) fn pulled(self) -> crate::executor::Result<Option<Bytes>> {
        match self {
            Self::Pulled { base64 } => {
                let bytes = base64.map(|text| BASE64_STANDARD.decode(text)).transpose();
                let bytes = bytes.map_err(|error| Error::system("understand the guest", error))?;
                Ok(bytes.map(Bytes::from))
            }
            other => Err(other.unexpected()),
        }
    }

    /// Of an answer that is not the one that was hoped for.
    pub(crate) fn unexpected(self) -> Error {
        match self {
            Self::Refused { message } => Error::job(FailureReason::ScriptFailure, message),
            Self::Failed { message } => Error::system("work in the container", message),
            // What is in it may be anybody's environment or file.
            _ => Error::system("understand the guest", "it answers something else than what was asked"),
        }
    }
}

/// Kinds of frames on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Kind {
    Stdout = 1,
    Stderr = 2,
    Answer = 3,
    /// The guest is there, whether or not it has something to say ([`BEAT`]). Not a part of a session's log.
    Alive = 4,
}

impl Kind {
    /// The kind of that number.
    pub(crate) fn of(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Stdout),
            2 => Some(Self::Stderr),
            3 => Some(Self::Answer),
            4 => Some(Self::Alive),
            _ => None,
        }
    }

    /// Head of a frame of this kind. Longer pieces have to be split.
    pub(crate) fn head(self, length: usize) -> [u8; 5] {
        let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes();
        [self as u8, a, b, c, d]
    }
}
