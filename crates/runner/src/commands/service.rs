//! `runner install|uninstall|start|stop|restart|status`

use std::path::{Path, PathBuf};

use super::args::ServiceArgs;
use super::pid;
use super::{Context, Error, Result};
use crate::executor::Stop;
use crate::process::tool::Tool;

/// Writes the unit file and enables the service.
pub(super) fn install(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    let unit = unit_file(args, context)?;
    let program = std::env::current_exe().map_err(|source| Error::system("find this program", source))?;
    let config = context.config_path(args.config.config.as_deref());
    let work = args
        .working_directory
        .clone()
        .unwrap_or_else(|| PathBuf::from("/var/lib/tasuki-runner"));
    std::fs::create_dir_all(&work).map_err(|source| Error::file("make", &work, source))?;
    std::fs::create_dir_all(&context.unit_dir).map_err(|source| Error::file("make", &context.unit_dir, source))?;
    std::fs::write(&unit, unit_text(&program, &config, &work, args.user.as_deref()))
        .map_err(|source| Error::file("write", &unit, source))?;
    context.say(&format!("{} is written", unit.display()))?;
    if has_systemd(context) {
        systemctl(context, &["daemon-reload"])?;
        systemctl(context, &["enable", &args.service])?;
        context.say(&format!("Start it with `runner start -n {}`", args.service))
    } else {
        context.say("systemd does not run on this machine: the service starts nothing until it does")
    }
}

/// Stops the service and removes its unit file.
pub(super) fn uninstall(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    let unit = unit_file(args, context)?;
    if !unit.exists() {
        return Err(Error::usage(format!(
            "{} is not there: nothing is installed by that name",
            unit.display()
        )));
    }
    if has_systemd(context) {
        systemctl(context, &["disable", "--now", &args.service])?;
    }
    std::fs::remove_file(&unit).map_err(|source| Error::file("remove", &unit, source))?;
    if has_systemd(context) {
        systemctl(context, &["daemon-reload"])?;
    }
    context.say(&format!("{} is removed", unit.display()))
}

pub(super) fn start(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    if installed(args, context)? {
        systemctl(context, &["start", &args.service])?;
        return context.say(&format!("{} is started", args.service));
    }
    Err(Error::usage(format!(
        "the service {} is not installed (`runner install`); without systemd start `runner run` by your own means",
        args.service
    )))
}

pub(super) fn stop(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    if installed(args, context)? {
        systemctl(context, &["stop", &args.service])?;
        return context.say(&format!("{} is stopped", args.service));
    }
    match pid::living(&context.config_path(args.config.config.as_deref())) {
        Some(pid) => {
            pid::ask_to_end(pid)?;
            context.say(&format!(
                "process {} ends when its jobs have ended",
                pid.as_raw_nonzero()
            ))
        }
        None => Err(Error::Runners(format!(
            "no runner runs, and no service {} is installed",
            args.service
        ))),
    }
}

pub(super) fn restart(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    if installed(args, context)? {
        systemctl(context, &["restart", &args.service])?;
        return context.say(&format!("{} is restarted", args.service));
    }
    Err(Error::usage(format!(
        "the service {} is not installed (`runner install`)",
        args.service
    )))
}

/// Exit 0 while it runs, 1 otherwise.
pub(super) fn status(args: &ServiceArgs, context: &mut Context) -> Result<()> {
    if installed(args, context)? {
        return match systemctl(context, &["is-active", &args.service]) {
            Ok(()) => context.say(&format!("{}: the service is running", args.service)),
            Err(Error::Service { output, .. }) => Err(Error::Runners(format!(
                "{}: the service is {}",
                args.service,
                output.trim()
            ))),
            Err(other) => Err(other),
        };
    }
    match pid::living(&context.config_path(args.config.config.as_deref())) {
        Some(pid) => context.say(&format!("a runner is running as process {}", pid.as_raw_nonzero())),
        None => Err(Error::Runners(format!(
            "no runner runs, and no service {} is installed",
            args.service
        ))),
    }
}

fn installed(args: &ServiceArgs, context: &Context) -> Result<bool> {
    Ok(has_systemd(context) && unit_file(args, context)?.exists())
}

fn has_systemd(context: &Context) -> bool {
    // Where unit files are elsewhere (tests) the machine's own systemd is left alone.
    context.unit_dir == Path::new("/etc/systemd/system") && Path::new("/run/systemd/system").is_dir()
}

fn unit_file(args: &ServiceArgs, context: &Context) -> Result<PathBuf> {
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '@');
    if args.service.is_empty() || args.service.starts_with('.') || !args.service.chars().all(good) {
        return Err(Error::usage(format!(
            "{:?} is no name of a service: use letters, digits, - and _",
            args.service
        )));
    }
    Ok(context.unit_dir.join(format!("{}.service", args.service)))
}

fn systemctl(context: &Context, words: &[&str]) -> Result<()> {
    let tool = Tool {
        program: "systemctl",
        args: words.iter().map(|&word| word.to_owned()).collect(),
        env: &[("PATH".to_owned(), "/usr/sbin:/usr/bin:/sbin:/bin".to_owned())],
        cwd: &context.working_dir,
    };
    let output = std::cell::RefCell::new(Vec::new());
    let keep = |bytes: &[u8]| output.borrow_mut().extend_from_slice(bytes);
    let what = format!("systemctl {}", words.join(" "));
    let exit = tool.run(&Stop::new(), keep, keep).map_err(|error| Error::Service {
        what: what.clone(),
        output: crate::trace::chain(&error),
    })?;
    if exit.success() {
        return Ok(());
    }
    Err(Error::Service {
        what,
        output: String::from_utf8_lossy(&output.borrow()).trim().to_owned(),
    })
}

/// The unit. Jobs are children of the service, so only what no job has a use for is taken away.
fn unit_text(program: &Path, config: &Path, work: &Path, user: Option<&str>) -> String {
    let quoted = |path: &Path| {
        format!(
            "\"{}\"",
            path.display().to_string().replace('\\', "\\\\").replace('"', "\\\"")
        )
    };
    let user = user.map(|user| format!(" --user \"{user}\"")).unwrap_or_default();
    format!(
        "[Unit]\n\
         Description=tasuki runner\n\
         After=network-online.target\n\
         Wants=network-online.target\n\
         ConditionFileIsExecutable={program_plain}\n\
         \n\
         [Service]\n\
         ExecStart={program} runner run --config {config} --working-directory {work}{user}\n\
         ExecReload=/bin/kill -HUP $MAINPID\n\
         Restart=always\n\
         RestartSec=2\n\
         # Running jobs may end first; `systemctl kill -s TERM` ends them.\n\
         KillSignal=SIGQUIT\n\
         KillMode=mixed\n\
         TimeoutStopSec=7200\n\
         Delegate=yes\n\
         TasksMax=infinity\n\
         LimitNOFILE=65536\n\
         ProtectSystem=full\n\
         ReadWritePaths={work}\n\
         ProtectKernelTunables=yes\n\
         ProtectKernelModules=yes\n\
         ProtectKernelLogs=yes\n\
         ProtectClock=yes\n\
         ProtectHostname=yes\n\
         RestrictRealtime=yes\n\
         LockPersonality=yes\n\
         SystemCallArchitectures=native\n\
         UMask=0077\n\
         \n\
         [Install]\n\
         WantedBy=multi-user.target\n",
        program_plain = program.display(),
        program = quoted(program),
        config = quoted(config),
        work = quoted(work),
    )
}
