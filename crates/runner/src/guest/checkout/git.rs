//! Running git.

use std::path::Path;

use super::url::Remote;
use crate::guest::error::{Error, Result};
use crate::guest::{Checkout, Context};
use crate::process::Exit;
use crate::process::tool::Tool;

/// Git in one folder, with the settings of one checkout.
pub(super) struct Git<'a> {
    context: &'a Context,
    folder: &'a Path,
    env: Vec<(String, String)>,
}

impl<'a> Git<'a> {
    pub(super) fn new(request: &'a Checkout, remote: &Remote, context: &'a Context) -> Self {
        let mut env = context.env().to_vec();
        let mut settings = Vec::new();
        let mut set = |key: &str, value: &str| settings.push((key.to_owned(), value.to_owned()));
        // Nothing may stay behind in the background, and nobody can answer a question.
        set("gc.auto", "0");
        set("maintenance.auto", "false");
        set("advice.detachedHead", "false");
        set("core.hooksPath", "/dev/null");
        set("core.fsmonitor", "false");
        set("safe.directory", "*");
        if !request.user_agent.is_empty() {
            set("http.userAgent", &request.user_agent);
        }
        if let (Some(origin), Some(header)) = (&remote.origin, remote.header()) {
            set(&format!("http.{origin}.extraHeader"), &header);
        }
        let tls = &request.tls;
        for (key, file) in [
            ("sslCAInfo", &tls.ca_file),
            ("sslCert", &tls.cert_file),
            ("sslKey", &tls.key_file),
        ] {
            if let (Some(origin), Some(file)) = (&remote.origin, file) {
                set(&format!("http.{origin}.{key}"), &file.to_string_lossy());
            }
        }
        if let (Some(host), true) = (&remote.host, request.submodules.force_https) {
            set(&format!("url.https://{host}/.insteadOf"), &format!("git@{host}:"));
            set(&format!("url.https://{host}/.insteadOf"), &format!("ssh://git@{host}/"));
        }
        configure(&mut env, settings);
        env.retain(|(key, _)| key != "GIT_TERMINAL_PROMPT" && key != "GIT_LFS_SKIP_SMUDGE");
        env.push(("GIT_TERMINAL_PROMPT".to_owned(), "0".to_owned()));
        // Pointers are checked out; their objects come in one go afterwards.
        env.push(("GIT_LFS_SKIP_SMUDGE".to_owned(), "1".to_owned()));
        Self {
            context,
            folder: &request.project,
            env,
        }
    }

    /// Runs a command; its output goes to the log. A bad end is the exit.
    pub(super) fn run(&self, args: &[&str]) -> Result<Exit> {
        let tool = Tool {
            program: "git",
            args: args.iter().map(|&arg| arg.to_owned()).collect(),
            env: &self.env,
            cwd: self.folder,
        };
        let print = |bytes: &[u8]| self.context.print(&String::from_utf8_lossy(bytes));
        let exit = tool.run(self.context.stop(), print, print).map_err(missing)?;
        if exit == Exit::Stopped {
            Err(Error::Stopped)
        } else {
            Ok(exit)
        }
    }

    /// Runs a command that has to succeed.
    pub(super) fn must(&self, what: &str, args: &[&str]) -> Result<()> {
        match self.run(args)? {
            Exit::Code(0) => Ok(()),
            _ => Err(Error::External {
                message: format!("{what} failed; git says why above"),
            }),
        }
    }

    /// Whether a command succeeds; its output is dropped.
    pub(super) fn can(&self, args: &[&str]) -> bool {
        let args = args.iter().map(|&arg| arg.to_owned()).collect();
        let tool = Tool {
            program: "git",
            args,
            env: &self.env,
            cwd: self.folder,
        };
        matches!(tool.run(self.context.stop(), |_| {}, |_| {}), Ok(Exit::Code(0)))
    }
}

fn missing(error: crate::process::Error) -> Error {
    match error {
        crate::process::Error::Start { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            Error::job("git was not found: install it where the job runs, or use GIT_STRATEGY: none")
        }
        other => Error::system("run git")(other.into()),
    }
}

/// Adds settings by environment, after those that the job has there already.
fn configure(env: &mut Vec<(String, String)>, settings: Vec<(String, String)>) {
    let count = |(key, value): &(String, String)| (key == "GIT_CONFIG_COUNT").then(|| value.parse::<usize>().ok());
    let first = env.iter().rev().find_map(count).flatten().unwrap_or(0);
    env.retain(|(key, _)| key != "GIT_CONFIG_COUNT");
    env.push(("GIT_CONFIG_COUNT".to_owned(), (first + settings.len()).to_string()));
    for (number, (key, value)) in (first..).zip(settings) {
        env.push((format!("GIT_CONFIG_KEY_{number}"), key));
        env.push((format!("GIT_CONFIG_VALUE_{number}"), value));
    }
}
