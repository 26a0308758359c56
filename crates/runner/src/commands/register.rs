//! `runner register`

use std::path::Path;

use tasuki_model::secret::Secret;
use tasuki_proto::client::{RunnerClient, Verified};
use tasuki_proto::gitlab::{AccessLevel, RegisterRequest, Registered, TokenKind, VerifyRequest};
use toml::{Table, Value};

use super::args::RegisterArgs;
use super::registered::client;
use super::section::section;
use super::{Context, Error, Result};
use crate::config::{Config, ConfigFile, RunnerConfig, decoded};
use crate::job::runner_info;
use crate::poll::datetime;

/// Registers a runner and adds it to the configuration. A runner that was made on the server is removed again when a
/// later step fails, unless `--leave-runner`.
pub(super) async fn register(mut args: RegisterArgs, context: &mut Context) -> Result<()> {
    let path = context.config_path(args.config.config.as_deref());
    let mut file = ConfigFile::load_or_new(&path)?;
    let system_id = Context::system_id_in_made_folder(&path)?;
    ask_connection(&mut args, context)?;
    // A token given as `--token` is a runner's own, whatever it looks like; `--registration-token` makes a runner, unless
    // it is a runner's own too (old scripts).
    let (token, own) = match (&args.runner.token, &args.registration_token) {
        (Some(token), _) => (Secret::new(token.trim()), true),
        (None, Some(token)) => (
            Secret::new(token.trim()),
            TokenKind::of(token.trim()) == TokenKind::Authentication,
        ),
        (None, None) => {
            return Err(Error::usage(
                "there is no token: give --token (glrt-…) or --registration-token",
            ));
        }
    };
    let kind = TokenKind::of(token.expose());
    if kind == TokenKind::Authentication {
        refuse_server_settings(&mut args, context)?;
    }
    args.runner.token = Some(token.expose().to_owned());
    ask_description(&mut args, own, context)?;
    let runner = typed(&section(&args.runner), &path)?;
    let client = client(&Config::default(), &runner, &path)?;
    let registered = if own {
        verify(&client, &token, &system_id, &runner.url).await?
    } else {
        make(&client, &args, &token, &runner.url).await?
    };
    context.say(&format!("Verified: runner {} of {}", registered.id, runner.url))?;
    let stored = store(&mut args, context, &mut file, &registered);
    if let Err(problem) = stored {
        if !args.leave_runner {
            take_back(&client, own, kind, &registered.token, &system_id).await;
        }
        return Err(problem);
    }
    context.say(&format!(
        "Runner registered; it is in {}. A running `runner run` takes it over within seconds.",
        path.display()
    ))
}

impl Context {
    /// The system id; the folder of the configuration is made before.
    fn system_id_in_made_folder(path: &Path) -> Result<String> {
        let dir = super::context::folder(path);
        std::fs::create_dir_all(dir).map_err(|source| Error::file("make", dir, source))?;
        Ok(Self::system_id(path))
    }
}

fn ask_connection(args: &mut RegisterArgs, context: &mut Context) -> Result<()> {
    if args.non_interactive {
        context.input = None;
    }
    if args.runner.url.is_none() {
        let url = context.ask("Address of the server (https://ci.example.com)", "")?;
        if url.is_empty() {
            return Err(Error::usage("no server is named: give --url"));
        }
        args.runner.url = Some(url);
    }
    if args.runner.token.is_none() && args.registration_token.is_none() {
        let token = context.ask("Token of the runner", "")?;
        if token.is_empty() {
            return Err(Error::usage(
                "there is no token: give --token (glrt-…) or --registration-token",
            ));
        }
        args.registration_token = Some(token);
    }
    Ok(())
}

/// A runner that was made on the server has these settings there. Given with `--token` they are an error; given
/// with a `glrt-` token as `--registration-token` (old scripts) they are left out with a warning.
fn refuse_server_settings(args: &mut RegisterArgs, context: &mut Context) -> Result<()> {
    let given: Vec<&str> = [
        ("--locked", args.locked.is_some()),
        ("--access-level", args.access_level.is_some()),
        ("--run-untagged", args.run_untagged.is_some()),
        ("--maximum-timeout", args.maximum_timeout.is_some()),
        ("--paused", args.paused),
        ("--tag-list", args.tag_list.is_some()),
        ("--maintenance-note", args.maintenance_note.is_some()),
    ]
    .iter()
    .filter(|(_, given)| *given)
    .map(|(flag, _)| *flag)
    .collect();
    if given.is_empty() {
        return Ok(());
    }
    let list = given.join(", ");
    if args.runner.token.is_some() {
        return Err(Error::usage(format!(
            "{list}: a runner with a glrt- token has these settings on the server; change them there"
        )));
    }
    context.say(&format!(
        "WARNING: {list} ignored: a runner with a glrt- token has these settings on the server"
    ))
}

fn ask_description(args: &mut RegisterArgs, own: bool, context: &mut Context) -> Result<()> {
    if args.runner.name.is_none() {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        args.runner.name = Some(context.ask("Name of the runner", &host)?);
    }
    if !own {
        if args.tag_list.is_none() {
            args.tag_list = Some(context.ask("Tags, separated by commas", "")?);
        }
        if args.maintenance_note.is_none() {
            args.maintenance_note = Some(context.ask("Maintenance note", "")?);
        }
    }
    Ok(())
}

async fn verify(client: &RunnerClient, token: &Secret, system_id: &str, url: &str) -> Result<Registered> {
    let request = VerifyRequest {
        info: runner_info("", std::collections::BTreeMap::default()),
        token: token.clone(),
        system_id: system_id.to_owned(),
    };
    let what = || format!("{url} does not accept the token");
    match client
        .verify(&request)
        .await
        .map_err(|source| Error::call(what(), source))?
    {
        Verified::Runner(registered) if registered.id != 0 => Ok(registered),
        Verified::Runner(_) | Verified::Valid => Err(Error::Runners(format!(
            "{url} does not tell the runner's id: is its version too old for glrt- tokens?"
        ))),
    }
}

async fn make(client: &RunnerClient, args: &RegisterArgs, token: &Secret, url: &str) -> Result<Registered> {
    let tags = args.tag_list.clone().unwrap_or_default();
    let access_level = match args.access_level.as_deref() {
        None | Some("") => None,
        Some("not_protected") => Some(AccessLevel::NotProtected),
        Some("ref_protected") => Some(AccessLevel::RefProtected),
        Some(other) => {
            return Err(Error::usage(format!(
                "--access-level {other:?} is neither not_protected nor ref_protected"
            )));
        }
    };
    let request = RegisterRequest {
        info: runner_info("", std::collections::BTreeMap::default()),
        token: token.clone(),
        description: args.runner.name.clone().unwrap_or_default(),
        maintenance_note: args.maintenance_note.clone().unwrap_or_default(),
        run_untagged: args.run_untagged.unwrap_or(tags.trim().is_empty()),
        tag_list: tags,
        locked: args.locked.unwrap_or(true),
        access_level,
        maximum_timeout: args.maximum_timeout.unwrap_or(0),
        paused: args.paused,
    };
    client
        .register(&request)
        .await
        .map_err(|source| Error::call(format!("{url} does not register the runner"), source))
}

fn store(args: &mut RegisterArgs, context: &mut Context, file: &mut ConfigFile, registered: &Registered) -> Result<()> {
    if args.runner.executor.is_none() && template_section(args)?.is_none_or(|table| !table.contains_key("executor")) {
        args.runner.executor = Some(context.ask("Executor", "shell")?);
    }
    let mut table = template_section(args)?.unwrap_or_default();
    ask_image(args, &table, context)?;
    // What was given by hand goes before the template, also inside its sections.
    let mut given = section(&args.runner);
    for key in ["docker", "kubernetes", "custom"] {
        if let (Some(Value::Table(template)), Some(Value::Table(own))) = (table.get(key), given.get_mut(key)) {
            let mut merged = template.clone();
            merged.extend(std::mem::take(own));
            *own = merged;
        }
    }
    table.extend(given);
    if table.get("executor").and_then(Value::as_str) == Some("docker") {
        let docker = table.entry("docker").or_insert_with(|| Value::Table(Table::new()));
        if let Value::Table(docker) = docker {
            let cache = || Value::Array(vec![Value::String("/cache".to_owned())]);
            docker.entry("volumes").or_insert_with(cache);
        }
    }
    table.insert("id".to_owned(), Value::Integer(registered.id));
    table.insert("token".to_owned(), Value::String(registered.token.expose().to_owned()));
    table.insert(
        "token_obtained_at".to_owned(),
        Value::Datetime(datetime(context.clock.now_ms())),
    );
    if let Some(expires) = registered.token_expires_at.as_deref().and_then(|at| at.parse().ok()) {
        table.insert("token_expires_at".to_owned(), Value::Datetime(expires));
    }
    typed(&table, file.path())?;
    file.add_runner(table);
    Ok(file.save()?)
}

/// A docker runner needs an image for jobs that name none.
fn ask_image(args: &mut RegisterArgs, template: &Table, context: &mut Context) -> Result<()> {
    let executor = template.get("executor").and_then(Value::as_str);
    let is_docker = args.runner.executor.as_deref().or(executor) == Some("docker");
    let image = template.get("docker").and_then(|docker| docker.get("image"));
    if !is_docker || image.is_some() || args.runner.docker.docker_image.is_some() {
        return Ok(());
    }
    let image = context.ask("Image of jobs that name none", "")?;
    if image.is_empty() {
        return Err(Error::usage(
            "a docker runner needs an image for jobs that name none: give --docker-image",
        ));
    }
    args.runner.docker.docker_image = Some(image);
    Ok(())
}

/// The one `[[runners]]` section of the template.
fn template_section(args: &RegisterArgs) -> Result<Option<Table>> {
    let Some(path) = &args.template_config else {
        return Ok(None);
    };
    let template = ConfigFile::load(path)?;
    let mut sections = template.runner_sections();
    if sections.len() != 1 {
        return Err(Error::usage(format!(
            "{} must hold exactly one [[runners]] section, and has {}",
            path.display(),
            sections.len()
        )));
    }
    Ok(sections.pop())
}

fn typed(table: &Table, path: &Path) -> Result<RunnerConfig> {
    decoded(table).map_err(|message| {
        Error::Config(crate::config::Error::Value {
            path: path.to_owned(),
            place: None,
            message,
        })
    })
}

/// What was made is removed again; that this fails too is no news any more.
async fn take_back(client: &RunnerClient, own: bool, kind: TokenKind, token: &Secret, system_id: &str) {
    let undone = match (own, kind) {
        (true, TokenKind::Authentication) => client.unregister_manager(token, system_id).await,
        // It was there before.
        (true, TokenKind::Registration) => Ok(()),
        (false, _) => client.unregister(token).await,
    };
    if let Err(problem) = undone {
        tracing::warn!(error = %crate::trace::chain(&problem), "the runner stays on the server");
    }
}
