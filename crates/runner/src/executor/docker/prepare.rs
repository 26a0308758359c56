//! From a task to its containers.

use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tasuki_model::plan::{Image, Meeting};
use tasuki_model::reason::FailureReason;

use super::build;
use super::console::Console;
use super::engine::{Engine, ImageInfo};
use super::executor::Shared;
use super::host_config::{Part, host_config};
use super::names::{self, Names, Role};
use super::network::{Network, Way};
use super::predefined::{self, Later};
use super::provision::Guest;
use super::remote::Place;
use super::sandbox::DockerSandbox;
use super::services::{self, Wanted};
use super::volumes::{self, Volumes};
use super::wishes::{self, Wishes};
use super::{facts, health, images, ports, sweep};
use crate::config::DockerConfig;
use crate::executor::shell::folders;
use crate::executor::{Error, Output, Paths, PullOnDrop, Result, Stop, Task};
use crate::executor::{access, helper_image};

/// Removes a sandbox that nobody tears down.
pub(super) struct Cleanup {
    pub(super) engine: Engine,
    pub(super) base: String,
    shared: Arc<Shared>,
    armed: bool,
}

impl Cleanup {
    /// Removes it now. What fails here is found by the next sweep.
    pub(super) async fn run(mut self) -> Result<()> {
        self.armed = false;
        sweep::remove(&self.engine, &self.base).await.map(drop)
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        if !self.armed || tokio::runtime::Handle::try_current().is_err() {
            return;
        }
        let (engine, base) = (self.engine.clone(), self.base.clone());
        self.shared.tasks.spawn("removal of a dropped sandbox", async move {
            if let Err(error) = sweep::remove(&engine, &base).await {
                tracing::warn!(sandbox = base, error = %crate::trace::chain(&error), "something of a sandbox is left");
            }
        });
    }
}

/// Everything that making containers needs to know.
pub(super) struct Plan {
    pub(super) shared: Arc<Shared>,
    pub(super) engine: Engine,
    pub(super) guest: Guest,
    pub(super) task: Task,
    pub(super) names: Names,
    pub(super) volumes: Volumes,
    pub(super) network: Network,
    pub(super) paths: Paths,
}

impl Plan {
    pub(super) fn config(&self) -> &DockerConfig {
        &self.shared.settings.config
    }

    /// The parts that all containers share.
    pub(super) fn container(&self, role: Role<'_>, part: Part, image: &ImageInfo) -> Result<Value> {
        let config = self.config();
        let mut host = host_config(config, part)?;
        let network = self.network.mode_of(role);
        if network.starts_with("container:") {
            // They are those of the container whose network it is.
            for key in ["Dns", "DnsSearch", "ExtraHosts"] {
                host.remove(key);
            }
        }
        let mut binds = self.volumes.binds.clone();
        if !matches!(role, Role::Service(_)) {
            binds.push(format!("{}:{}:ro", self.guest.volume, helper_image::FOLDER));
        }
        host.insert("Binds".to_owned(), json!(binds));
        host.insert("NetworkMode".to_owned(), json!(network));
        let mut body = Map::new();
        body.insert("Image".to_owned(), json!(image.id));
        let labels = self.names.container_labels(role, &config.container_labels);
        body.insert("Labels".to_owned(), json!(labels));
        body.insert("HostConfig".to_owned(), Value::Object(host));
        if matches!(role, Role::Build | Role::Predefined | Role::Action) {
            // An engine that stops must not look like a script that was asked to end and did.
            body.insert("StopSignal".to_owned(), json!("SIGKILL"));
        }
        Ok(Value::Object(body))
    }

    /// The guest as the container's own user, which is root in the helper image.
    pub(super) fn guest_in<'a>(&'a self, container: &'a str) -> Place<'a> {
        Place {
            engine: &self.engine,
            container,
            user: None,
            privileged: false,
            guest: &self.guest.command,
            line: None,
        }
    }

    /// Variables that containers themselves may have: everybody who can look at a container sees them.
    pub(super) fn public_env(&self, image: &Image) -> Vec<String> {
        let own = image.variables.iter().map(|variable| {
            let value = if variable.raw {
                variable.value.clone()
            } else {
                crate::job::expand(&variable.value, |name| {
                    self.task.variable(name).unwrap_or_default().to_owned()
                })
            };
            format!("{}={value}", variable.key)
        });
        let public = self
            .task
            .public_variables
            .iter()
            .map(|(key, value)| format!("{key}={value}"));
        public.chain(own).filter(|entry| !entry.contains('\0')).collect()
    }
}

/// Makes the sandbox of a task. Whatever goes wrong, nothing of it stays.
///
/// The work is a task of its own: when this future is dropped while the engine makes something, the task waits for it, and
/// removes it.
pub(super) async fn prepare(
    shared: Arc<Shared>,
    task: Task,
    stop: Stop,
    output: Arc<dyn Output>,
) -> Result<DockerSandbox> {
    let settings = &shared.settings;
    let image = job_image(&settings.config, &task)?;
    let folders = [settings.builds_dir.as_str(), settings.cache_dir.as_str()];
    let wishes = wishes::read(&settings.config, &folders, &task, &image, Part::Build)?;
    let wanted = services::wanted(&settings.config, &folders, &task)?;
    no_lost_ports(
        &settings.config,
        std::iter::once((&image, &wishes)).chain(wanted.iter().map(Wanted::wished)),
    )?;
    let main = Main { image, wishes };
    Console(&*output)
        .line(&format!("Using Docker executor with image {} ...", main.image.name))
        .await;
    let overwrites = std::iter::once(&main.image).chain(task.services.iter().map(|service| &service.image));
    let overwrites = overwrites.filter(|image| image.entrypoint.is_some());
    for image in overwrites.filter(|_| shared.settings.config.disable_entrypoint_overwrite) {
        let text = format!(
            "WARNING: the image {} keeps its own entrypoint: this runner does not let jobs overwrite it \
             (disable_entrypoint_overwrite)",
            image.name
        );
        Console(&*output).line(&text).await;
    }
    let inner = stop.child();
    let _pulled = PullOnDrop(inner.clone());
    let tasks = shared.tasks.clone();
    let work = Box::pin(make_or_remove(shared, task, main, wanted, inner, output));
    let made = tasks.spawn("preparation of a sandbox", work).await.ok().flatten();
    made.unwrap_or_else(|| Err(Error::system("make the sandbox", "the task that makes it has died")))
}

async fn make_or_remove(
    shared: Arc<Shared>,
    task: Task,
    main: Main,
    wanted: Vec<Wanted>,
    stop: Stop,
    output: Arc<dyn Output>,
) -> Result<DockerSandbox> {
    let plan = plan(shared, task, &main, &wanted).await?;
    let cleanup = Cleanup {
        engine: plan.engine.clone(),
        base: plan.names.base.clone(),
        shared: Arc::clone(&plan.shared),
        armed: true,
    };
    let made = make(plan, &main, &wanted, &stop, &output).await;
    match made.and_then(|parts| go_on(&stop).map(|()| parts)) {
        Ok(parts) => Ok(DockerSandbox::new(parts, cleanup)),
        Err(error) => {
            if let Err(left) = cleanup.run().await {
                tracing::warn!(error = %crate::trace::chain(&left), "something of a sandbox is left");
            }
            // What failed because it was stopped has not failed.
            go_on(&stop).and(Err(error))
        }
    }
}

async fn plan(shared: Arc<Shared>, task: Task, main: &Main, wanted: &[Wanted]) -> Result<Plan> {
    let (engine, guest) = shared.ready().await?;
    let settings = &shared.settings;
    let names = Names::new(&task, &settings.system_id, &shared.owner.label(), shared.owner.host())?;
    let inside = (settings.builds_dir.as_str(), settings.cache_dir.as_str());
    let mut volumes = volumes::plan(&settings.config, &task, &names.base, &settings.system_id, inside)?;
    for wishes in std::iter::once(&main.wishes).chain(wanted.iter().map(|one| &one.wishes)) {
        for name in wishes.own_volumes(&names.base) {
            if !volumes.own.contains(&name) {
                volumes.own.push(name);
            }
        }
    }
    let paths = paths(&shared, &task, &volumes)?;
    let way = match task.meeting {
        Meeting::Localhost if !wanted.is_empty() => Way::Together,
        Meeting::Localhost | Meeting::Names | Meeting::Ports => Way::Apart,
    };
    let network = Network::plan(&settings.config, &names, way);
    Ok(Plan {
        shared,
        engine,
        guest,
        task,
        names,
        volumes,
        network,
        paths,
    })
}

/// Between two calls, where stopping leaves nothing half made.
fn go_on(stop: &Stop) -> Result<()> {
    if stop.is_pulled() { Err(Error::Stopped) } else { Ok(()) }
}

async fn make(
    plan: Plan,
    main: &Main,
    wanted: &[Wanted],
    stop: &Stop,
    output: &Arc<dyn Output>,
) -> Result<super::sandbox::Parts> {
    let image = &main.image;
    let console = Console(&**output);
    let plan = Arc::new(plan);
    let settings = &plan.shared.settings;
    // Each of these to its end, also where another fails: nothing is under way when the rest is removed.
    let (info, volumes) = tokio::join!(
        images::provide(&plan.engine, settings, &plan.task, image, &console, stop),
        make_volumes(&plan)
    );
    let info = info?;
    volumes?;
    let helper = helper(&plan, &console, stop).await?;
    go_on(stop)?;
    // Containers are made while the network still is: they need it when they start. Both are made before either starts: what
    // the image has at a volume's place comes into it as long as it is empty.
    let beside = async {
        plan.network.create(&plan.engine, &plan.names, plan.config()).await?;
        services::start(&plan, wanted, &console, stop).await
    };
    let early = plan.engine.knows_networks_late();
    let (predefined, services, created) = tokio::join!(
        early_or_not(early, predefined::create(&plan, &helper)),
        beside,
        early_or_not(early && wanted.is_empty(), build::create(&plan, main, &info, &[])),
    );
    let services = services?;
    let predefined = match predefined {
        Some(made) => made?,
        None => predefined::create(&plan, &helper).await?,
    };
    let created = match created {
        Some(made) => made?,
        None => build::create(&plan, main, &info, &services).await?,
    };
    let followers = services::follow(&plan, &services, output).await?;
    go_on(stop)?;
    let predefined = Later::begin(predefined, Arc::clone(&plan));
    let build = async {
        services::wait(&plan, &services, &console, stop).await?;
        health::wait(&plan, &services, &console, stop).await?;
        let build = build::start(created, &plan, image, stop, &**output).await?;
        predefined::give_folders(&plan, &predefined, &build, stop).await?;
        // Steps without a container of their own look for the ports of services where they are.
        if plan.task.image.is_none() {
            ports::pass_on(&plan, &build.id, &services, &console, stop).await?;
        }
        let containers = facts::of(&plan, &build, &services).await?;
        Ok((build, containers))
    };
    let (build, containers) = match build.await {
        Ok(made) => made,
        Err(error) => {
            predefined.settle().await;
            return Err(error);
        }
    };
    Ok(super::sandbox::Parts {
        plan,
        build,
        predefined,
        helper: helper.id,
        followers,
        containers,
    })
}

async fn early_or_not<T>(early: bool, work: impl Future<Output = T>) -> Option<T> {
    if early { Some(work.await) } else { None }
}

/// The job's own container.
pub(super) struct Main {
    pub(super) image: Image,
    pub(super) wishes: Wishes,
}

/// Ports are wished for where there are some to pass on.
fn no_lost_ports<'a>(config: &DockerConfig, mut all: impl Iterator<Item = (&'a Image, &'a Wishes)>) -> Result<()> {
    let mode = config.network_mode.as_str();
    let has_none = matches!(mode, "host" | "none") || mode.starts_with("container:");
    match all.find(|(_, wishes)| has_none && wishes.has_ports()) {
        None => Ok(()),
        Some((image, _)) => {
            let message = format!(
                "the container {:?} has ports, and this runner's containers have no network of their own whose ports the machine                  could pass on (network_mode = {mode:?})",
                image.name
            );
            Err(Error::job(FailureReason::RunnerConfigurationError, message))
        }
    }
}

/// The job's image, or the runner's.
///
/// # Errors
/// There is none, or it is not allowed.
fn job_image(config: &DockerConfig, task: &Task) -> Result<Image> {
    let image = match &task.image {
        Some(image) => image.clone(),
        None if config.image.is_empty() => {
            let message =
                "the job names no image, and neither does the runner: set `image` in the job, or in [runners.docker]";
            return Err(Error::job(FailureReason::RunnerConfigurationError, message));
        }
        None => Image {
            name: crate::job::expand(&config.image, |name| task.variable(name).unwrap_or_default().to_owned()),
            ..Image::default()
        },
    };
    access::check_image("allowed_images", &config.allowed_images, &image.name, &[&config.image])?;
    Ok(image)
}

/// The image that sources, caches and artifacts are handled in.
async fn helper(plan: &Plan, console: &Console<'_>, stop: &Stop) -> Result<ImageInfo> {
    let config = plan.config();
    if !config.helper_image.is_empty() {
        let own = Image {
            name: crate::job::expand(&config.helper_image, |name| {
                plan.task.variable(name).unwrap_or_default().to_owned()
            }),
            ..Image::default()
        };
        return images::provide(&plan.engine, &plan.shared.settings, &plan.task, &own, console, stop).await;
    }
    if !plan.guest.has_git {
        console
            .line("WARNING: this runner's machine has no git, so sources cannot be fetched; install git there, or set helper_image")
            .await;
    }
    Ok(ImageInfo {
        id: plan.guest.image.clone(),
        ..ImageInfo::default()
    })
}

async fn make_volumes(plan: &Plan) -> Result<()> {
    let config = plan.config();
    let own = plan.volumes.own.iter().map(|name| (name, json!(plan.names.labels())));
    let caches = plan
        .volumes
        .caches
        .iter()
        .map(|name| (name, json!({(names::KEPT): "cache"})));
    let made = own.chain(caches).map(|(name, labels)| async move {
        let mut body = json!({"Name": name, "Labels": labels});
        if !config.volume_driver.is_empty() {
            body["Driver"] = json!(config.volume_driver);
        }
        if !config.volume_driver_ops.is_empty() {
            body["DriverOpts"] = json!(config.volume_driver_ops);
        }
        let made = plan.engine.create_volume(&body).await;
        made.map_err(|error| Error::system(format!("make the volume {name}"), error))
    });
    futures_util::future::join_all(made).await.into_iter().collect()
}

/// Folders inside. A job's own volume holds one project; a mount of the configuration is shared, and laid out as on a
/// machine.
fn paths(shared: &Shared, task: &Task, volumes: &Volumes) -> Result<Paths> {
    let builds = PathBuf::from(&shared.settings.builds_dir);
    let root = if volumes.shares_builds {
        builds
            .join(folders::safe_name(&task.runner_short_token))
            .join(task.concurrent_project_id.to_string())
    } else {
        builds.clone()
    };
    folders::in_container(builds, &root, PathBuf::from(&shared.settings.cache_dir), task)
}
