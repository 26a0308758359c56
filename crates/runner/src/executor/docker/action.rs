//! A container of an action: beside the job's own, in its network, with its folders; gone when its program has ended.
//!
//! The guest starts the image's program, so that its environment stands in no description of the container. An image that has to
//! be built is built by the engine of a folder in the sandbox, under the limits of the job's container, and goes with the sandbox.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE;
use serde_json::{Map, Value, json};
use tasuki_model::plan::{ActionImage, Image};
use tasuki_model::reason::FailureReason;
use tokio::sync::mpsc;

use super::build::read_ready;
use super::console::Console;
use super::engine::{self, Force, ImageInfo};
use super::host_config::{Part, host_config};
use super::images;
use super::line::Slot;
use super::names::Role;
use super::prepare::Plan;
use super::remote::{self, Place};
use crate::executor::shell::environment;
use crate::executor::{Command, Contained, Ended, Error, Output, Result, Shell, Stop, access};
use crate::guest::inside::{Answer, Ready, Script, Work, millis};

/// Period of the scheduler's that a share of processors is said for, in microseconds.
const PERIOD: i64 = 100_000;

/// Runs it to its end. `job` is the job's own container.
pub(super) async fn run(plan: &Plan, job: &str, what: &Contained, number: u64, output: &dyn Output) -> Result<Ended> {
    let console = Console(output);
    let (name, info) = match &what.image {
        ActionImage::Named(name) => (name.clone(), pulled(plan, name, &console, &what.stop).await?),
        ActionImage::Built { folder, file } => {
            let folder = plan.paths.project.join(folder);
            let built = build(plan, job, &folder, file, &console, &what.stop).await?;
            (String::new(), built)
        }
    };
    let argv = command_line(what, &info)?;
    let id = create(plan, &name, &info, &what.links, number).await?;
    let ended = work(plan, &id, what, argv, output).await;
    let removed = plan.engine.remove_container(&id).await;
    let removed = removed.map_err(|error| Error::system("remove the action's container", error));
    ended.and_then(|ended| removed.map(|()| ended))
}

async fn pulled(plan: &Plan, name: &str, console: &Console<'_>, stop: &Stop) -> Result<ImageInfo> {
    let settings = &plan.shared.settings;
    access::check_image(
        "allowed_images",
        &settings.config.allowed_images,
        name,
        &[&settings.config.image],
    )?;
    let image = Image {
        name: name.to_owned(),
        ..Image::default()
    };
    images::provide(&plan.engine, settings, &plan.task, &image, console, stop).await
}

/// The image's words, or those in their place, as Docker puts them together.
fn command_line(what: &Contained, info: &ImageInfo) -> Result<Vec<String>> {
    let (entrypoint, usual) = match &what.entrypoint {
        Some(own) => (vec![own.clone()], &[][..]),
        None => (info.config.entrypoint.clone(), &info.config.cmd[..]),
    };
    let args = what.args.as_deref().unwrap_or(usual);
    let argv: Vec<String> = entrypoint.into_iter().chain(args.iter().cloned()).collect();
    if argv.iter().all(String::is_empty) {
        let message =
            "the action's image starts no program: it has neither an entrypoint nor a command, and the step gives none";
        return Err(Error::job(FailureReason::ScriptFailure, message));
    }
    Ok(argv)
}

/// Makes the container, with its links, and starts it.
async fn create(
    plan: &Plan,
    image: &str,
    info: &ImageInfo,
    links: &[(PathBuf, PathBuf)],
    number: u64,
) -> Result<String> {
    let config = plan.config();
    let mut body = plan.container(Role::Action, Part::Build, info)?;
    let mut command = plan.guest.command.clone();
    command.push("hold".to_owned());
    body["Entrypoint"] = json!(command);
    body["Cmd"] = json!([]);
    body["WorkingDir"] = json!("/");
    for key in ["OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"] {
        body[key] = json!(true);
    }
    if let Some(user) = access::user(&config.user, &config.allowed_users, None)? {
        body["User"] = json!(user);
    }
    // An image that was built has no name that a pattern could allow.
    let privileged = access::privileged(config.privileged, &config.allowed_privileged_images, image);
    body["HostConfig"]["Privileged"] = json!(privileged);
    if plan.network.together().is_none() {
        plan.network.join(&mut body, &[]);
    }
    let failed = |error| match error {
        engine::Error::Refused { status: 400, message } => {
            let message = format!("the container engine refuses the action's container: {message}");
            Error::job(FailureReason::RunnerConfigurationError, message)
        }
        other => Error::system("make the action's container", other),
    };
    let name = format!("{}-action-{number}", plan.names.base);
    let id = plan.engine.create_container(&name, None, &body).await.map_err(failed)?;
    let tar = archive(links).map_err(|error| Error::system("write the links of an action down", error))?;
    plan.engine.put_files(&id, tar).await.map_err(failed)?;
    Ok(id)
}

/// An archive of symbolic links.
fn archive(links: &[(PathBuf, PathBuf)]) -> std::io::Result<Vec<u8>> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, target) in links {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        builder.append_link(&mut header, path.strip_prefix("/").unwrap_or(path), target)?;
    }
    builder.into_inner()
}

/// Starts it, and its program in it.
async fn work(plan: &Plan, id: &str, what: &Contained, argv: Vec<String>, output: &dyn Output) -> Result<Ended> {
    let failed = |error| Error::system("start the action's container", error);
    let attached = plan.engine.attach(id).await.map_err(failed)?;
    plan.engine.start_container(id).await.map_err(failed)?;
    let read = tokio::select! {
        read = read_ready(&attached, output) => read,
        () = what.stop.pulled() => return Err(Error::Stopped),
    };
    let ready = read.map_err(|error| Error::system("hear the action's container", error))?;
    let ready = ready.ok_or_else(|| Error::system("start the action's container", "it ended at once"))?;
    let slot = Slot::open(attached, &plan.shared.tasks).await?;
    let place = Place {
        line: Some(&slot),
        ..plan.guest_in(id)
    };
    let work = Work::Script(Script {
        argv,
        shell: Shell::default(),
        text: String::new(),
        env: environment_of(&ready, what)?,
        project: what.cwd.clone(),
        cwd: None,
        temp: plan.paths.temp.clone(),
        number: 0,
        timeout_ms: what.timeout.map(millis),
        grace_ms: millis(Command::DEFAULT_GRACE),
    });
    // What it left running ends with its container.
    match remote::ask(place, &work, &what.stop, output).await?.0 {
        Answer::Ended { exit, .. } => Ok(Ended { exit, response: None }),
        other => Err(other.unexpected()),
    }
}

/// What the image says, under the step's.
fn environment_of(ready: &Ready, what: &Contained) -> Result<Vec<(String, String)>> {
    let usual = ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
    let mut all = BTreeMap::from([(usual.0.to_owned(), usual.1.to_owned())]);
    all.extend(ready.env.iter().cloned());
    // A shell that is told keeps the name of a folder that a link leads to.
    all.insert("PWD".to_owned(), what.cwd.to_string_lossy().into_owned());
    let own = what.env.iter().filter(|(key, _)| key != "PATH").cloned();
    environment::add(&mut all, &own.collect::<Vec<_>>())?;
    Ok(all.into_iter().collect())
}

/// Builds an image of a folder of the project, as the job's own container has it: links in it lead nowhere else.
async fn build(
    plan: &Plan,
    job: &str,
    folder: &Path,
    file: &str,
    console: &Console<'_>,
    stop: &Stop,
) -> Result<ImageInfo> {
    let config = plan.config();
    if !config.allowed_images.is_empty() {
        let message = format!(
            "this runner allows certain images only (allowed_images), and the action builds one of its own by {file}: use an action \
             whose image has an allowed name"
        );
        return Err(Error::job(FailureReason::RunnerConfigurationError, message));
    }
    console
        .line(&format!("Building the image of the action by {file} ..."))
        .await;
    let (heard, mut said) = mpsc::unbounded_channel();
    let how = how(plan, file)?;
    let folder = folder.to_string_lossy();
    let building = plan.engine.build(job, &folder, &how, logins(plan), &heard);
    tokio::pin!(building);
    let mut layers = Vec::new();
    let built = loop {
        tokio::select! {
            biased;
            Some(text) = said.recv() => {
                layers.extend(layer(&text));
                console.0.write(crate::executor::Stream::Stdout, text.as_bytes()).await;
            }
            built = &mut building => break Some(built),
            // The engine ends what nobody listens to any more.
            () = stop.pulled() => break None,
        }
    };
    while let Ok(text) = said.try_recv() {
        layers.extend(layer(&text));
        console.0.write(crate::executor::Stream::Stdout, text.as_bytes()).await;
    }
    let failure = match built {
        Some(Ok(id)) => match plan.engine.image(&id).await {
            Ok(Some(info)) => return Ok(info),
            Ok(None) => Error::system("build the action's image", "it is gone already"),
            Err(error) => Error::system("look at the action's image", error),
        },
        Some(Err(error)) => failed(error, file),
        None => Error::Stopped,
    };
    forget(plan, &layers).await;
    Err(failure)
}

fn failed(error: engine::Error, file: &str) -> Error {
    match error {
        error @ engine::Error::Refused { .. } if error.is_full() => Error::system("build the action's image", error),
        engine::Error::Refused { status: 404, .. } => {
            let message =
                format!("the action's folder with {file} is not there: a step before must check the project out");
            Error::job(FailureReason::ScriptFailure, message)
        }
        engine::Error::Refused { message, .. } => {
            let message = format!("the action's image cannot be built by {file}: {message}");
            Error::job(FailureReason::ScriptFailure, message)
        }
        other => Error::system("build the action's image", other),
    }
}

/// How the engine is to build: with the limits of the job's container, in the job's network.
fn how(plan: &Plan, file: &str) -> Result<Vec<(&'static str, String)>> {
    let host = host_config(plan.config(), Part::Build)?;
    let number = |key: &str| host.get(key).and_then(Value::as_i64);
    let text = |key: &str| host.get(key).and_then(Value::as_str).map(str::to_owned);
    let labels = serde_json::to_string(&plan.names.labels());
    let labels = labels.map_err(|error| Error::system("write labels down", error))?;
    let mut how = vec![
        ("dockerfile", file.to_owned()),
        ("labels", labels),
        ("rm", "1".to_owned()),
        ("forcerm", "1".to_owned()),
        ("networkmode", plan.network.mode().to_owned()),
    ];
    for (key, from) in [
        ("memory", "Memory"),
        ("memswap", "MemorySwap"),
        ("cpushares", "CpuShares"),
    ] {
        how.extend(number(from).map(|number| (key, number.to_string())));
    }
    if let Some(cpus) = number("NanoCpus") {
        how.push(("cpuperiod", PERIOD.to_string()));
        how.push(("cpuquota", (cpus / (1_000_000_000 / PERIOD)).to_string()));
    }
    how.extend(text("CpusetCpus").map(|set| ("cpusetcpus", set)));
    how.extend(text("CgroupParent").map(|parent| ("cgroupparent", parent)));
    Ok(how)
}

/// The log-ins of the job, by which the engine pulls what the image is built on.
fn logins(plan: &Plan) -> Option<String> {
    let logins = &plan.task.registry_logins;
    if logins.is_empty() {
        return None;
    }
    let one = |login: &crate::executor::RegistryLogin| {
        // Docker's own registry has a name of its own there.
        let host = login.registry.split('/').next().unwrap_or_default();
        let host = if host == "docker.io" {
            "https://index.docker.io/v1/"
        } else {
            host
        };
        let entry = json!({"username": login.user, "password": login.password.expose()});
        (host.to_owned(), entry)
    };
    let all: Map<String, Value> = logins.iter().map(one).collect();
    Some(BASE64_URL_SAFE.encode(Value::Object(all).to_string()))
}

/// The image that a line of the engine's says was made: ` ---> 0123456789ab`.
fn layer(text: &str) -> Option<String> {
    let id = text.trim().strip_prefix("---> ")?;
    let is_id = id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_id.then(|| id.to_owned())
}

/// Removes what a build that failed has made so far, the last first. What has a name, or is needed, stays.
async fn forget(plan: &Plan, layers: &[String]) {
    for id in layers.iter().rev() {
        let nameless = |info: &ImageInfo| info.repo_tags.is_empty() && info.repo_digests.is_empty();
        if matches!(plan.engine.image(id).await, Ok(Some(info)) if nameless(&info)) {
            // Another build may stand on it.
            let _ = plan.engine.remove_image(id, Force::No).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_line_is_put_together_as_docker_does() {
        let info = |entrypoint: &[&str], cmd: &[&str]| {
            let owned = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect();
            let mut info = ImageInfo::default();
            info.config.entrypoint = owned(entrypoint);
            info.config.cmd = owned(cmd);
            info
        };
        let check = |own: Option<&str>, args: Option<&[&str]>, info: &ImageInfo, wanted: &str| {
            let what = Contained {
                image: ActionImage::Named("x".to_owned()),
                entrypoint: own.map(str::to_owned),
                args: args.map(|args| args.iter().map(|&word| word.to_owned()).collect()),
                env: Vec::new(),
                links: Vec::new(),
                cwd: PathBuf::new(),
                timeout: None,
                stop: Stop::new(),
            };
            let line = command_line(&what, info).map(|words| words.join(" "));
            assert_eq!(line.unwrap_or_else(|error| error.to_string()), wanted);
        };
        let both = info(&["/entry"], &["usual"]);
        check(None, None, &both, "/entry usual");
        check(None, Some(&["a", "b"]), &both, "/entry a b");
        check(None, Some(&[]), &both, "/entry");
        check(Some("/own"), None, &both, "/own");
        check(Some("/own"), Some(&["a"]), &both, "/own a");
        check(None, None, &info(&[], &["sh"]), "sh");
        let nothing =
            "the action's image starts no program: it has neither an entrypoint nor a command, and the step gives none";
        check(None, None, &info(&[], &[]), nothing);
    }

    #[test]
    fn layers_are_read_from_what_the_engine_says() {
        assert_eq!(layer(" ---> 0123456789ab\n").as_deref(), Some("0123456789ab"));
        for text in [
            "Step 1/2 : FROM x\n",
            " ---> Running in 0123456789ab\n",
            " ---> Using cache\n",
            "",
        ] {
            assert_eq!(layer(text), None, "{text}");
        }
    }
}
