//! From a task to its pod.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;

use super::cluster::Cluster;
use super::executor::Shared;
use super::link::Link;
use super::make::{self, Maker, Rest};
use super::pause::One;
use super::plan::{Context, Planned, plan};
use super::record::{Record, Written};
use super::report::{self, Followed, Report, Wanted};
use super::rights::{self, Whose};
use super::sandbox::{KubernetesSandbox, Parts};
use super::sight::{self, Trouble};
use super::talk;
use super::watch::{Watcher, Way};
use super::{names, pod, there};
use crate::executor::shell::folders;
use crate::executor::{Error, Output, Paths, PullOnDrop, Result, Stop, Stream, Task, unique};
use crate::guest::inside::{Answer, Folder, Holder, Ready, Work, millis};

/// Removes a sandbox that nobody tears down.
pub(super) struct Cleanup {
    shared: Arc<Shared>,
    cluster: Cluster,
    /// What is written down of it.
    record: Option<Record>,
    /// It counts until it is gone.
    _one: One,
}

impl Cleanup {
    /// How long programs are given to end, where the configuration says so.
    pub(super) fn grace(&self) -> Option<Duration> {
        let seconds = self.shared.settings.cleanup_grace?;
        Some(Duration::from_secs(u64::try_from(seconds).ok()?))
    }

    /// Has everything removed. What fails is found by the next sweep.
    pub(super) async fn run(mut self, rest: Rest) -> Result<()> {
        match self.record.take() {
            Some(record) => remove(&self.shared, &self.cluster, record, rest).await,
            None => Ok(()),
        }
    }
}

async fn remove(shared: &Shared, cluster: &Cluster, record: Record, rest: Rest) -> Result<()> {
    let limit = shared.settings.cleanup_timeout;
    let removal = make::remove(cluster, record.written(), rest, shared.settings.cleanup_grace);
    let removed = tokio::time::timeout(limit, removal).await.unwrap_or_else(|_| {
        let late = format!("it takes longer than {} s (cleanup_resources_timeout)", limit.as_secs());
        Err(Error::system("remove what the job had in the cluster", late))
    });
    removed?;
    record.remove()
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        let Some(record) = self
            .record
            .take()
            .filter(|_| tokio::runtime::Handle::try_current().is_ok())
        else {
            return;
        };
        let (shared, cluster) = (Arc::clone(&self.shared), self.cluster.clone());
        self.shared.tasks.spawn("removal of a dropped sandbox", async move {
            if let Err(error) = remove(&shared, &cluster, record, Rest::Unknown).await {
                make::left(&error);
            }
        });
    }
}

/// Makes the sandbox of a task. Whatever goes wrong, nothing of it stays.
///
/// The work is a task of its own: when this future is dropped while the cluster makes something, the task waits for it, and
/// removes it.
pub(super) async fn prepare(
    shared: Arc<Shared>,
    task: Task,
    stop: Stop,
    output: Arc<dyn Output>,
) -> Result<KubernetesSandbox> {
    let inner = stop.child();
    let _pulled = PullOnDrop(inner.clone());
    let tasks = shared.tasks.clone();
    let work = Box::pin(make_or_remove(shared, task, inner, output));
    let made = tasks.spawn("preparation of a sandbox", work).await.ok().flatten();
    made.unwrap_or_else(|| Err(Error::system("make the sandbox", "the task that makes it has died")))
}

/// Between two calls, where stopping leaves nothing half made.
fn go_on(stop: &Stop) -> Result<()> {
    if stop.is_pulled() { Err(Error::Stopped) } else { Ok(()) }
}

async fn make_or_remove(
    shared: Arc<Shared>,
    task: Task,
    stop: Stop,
    output: Arc<dyn Output>,
) -> Result<KubernetesSandbox> {
    let mut work = Preparation::begin(shared, task, &*output).await?;
    let made = Box::pin(work.make(&stop, &output)).await;
    match made.and_then(|parts| go_on(&stop).map(|()| parts)) {
        Ok(parts) => {
            let cleanup = work.into_cleanup();
            Ok(KubernetesSandbox::new(parts, cleanup))
        }
        Err(error) => {
            if !matches!(error, Error::Stopped) {
                work.tell_warnings(&output).await;
            }
            if let Err(left) = work.into_cleanup().run(Rest::Unknown).await {
                make::left(&left);
            }
            // What failed because it was stopped has not failed.
            go_on(&stop).and(Err(error))
        }
    }
}

/// A sandbox in the making.
struct Preparation {
    shared: Arc<Shared>,
    maker: Maker,
    planned: Planned,
    paths: Paths,
    /// Of the guests' sessions.
    folder: String,
    way: Way,
    one: One,
    /// `CI_DEBUG_SERVICES`
    debug_services: bool,
}

impl Preparation {
    async fn begin(shared: Arc<Shared>, task: Task, output: &dyn Output) -> Result<Self> {
        let settings = &shared.settings;
        let suffix = names::suffix()?;
        let context = Context {
            sandbox: unique()?,
            manager: names::host(),
            suffix,
        };
        let planned = plan(settings, &task, &context)?;
        for warning in &planned.warnings {
            say(output, &format!("WARNING: {warning}\n")).await;
        }
        // As on a machine: the pod's own volume holds one project.
        let builds = PathBuf::from(&settings.builds_dir);
        let paths = folders::in_container(builds.clone(), &builds, PathBuf::from(&settings.cache_dir), &task)?;
        let debug_services = task.variable("CI_DEBUG_SERVICES").is_some_and(crate::job::is_true);
        let cluster = shared.cluster_of(planned.bearer_token.as_ref()).await?;
        let whose = match planned.bearer_token {
            Some(_) => Whose::Job,
            None => Whose::Runner,
        };
        let way = rights::way(&shared, &cluster, &planned.namespace, whose).await?;
        let sandbox = planned.pod.name_any();
        let written = Written {
            cluster: cluster.address.clone(),
            namespace: planned.namespace.clone(),
            ..Written::default()
        };
        let record = Record::create(&shared.records, &sandbox, written)?;
        let maker = Maker {
            cluster,
            namespace: planned.namespace.clone(),
            record,
        };
        Ok(Self {
            maker,
            planned,
            paths,
            folder: pod::logs_dir(&shared.settings, &task),
            way,
            one: shared.active.one(),
            debug_services,
            shared,
        })
    }

    fn into_cleanup(self) -> Cleanup {
        Cleanup {
            shared: self.shared,
            cluster: self.maker.cluster,
            record: Some(self.maker.record),
            _one: self.one,
        }
    }

    async fn make(&mut self, stop: &Stop, output: &Arc<dyn Output>) -> Result<Parts> {
        if let Some(namespace) = self.planned.new_namespace.take() {
            self.maker.namespace(namespace).await?;
        }
        let own = self
            .planned
            .pull_secret
            .as_ref()
            .and_then(|secret| secret.metadata.name.as_deref());
        let attempts = self.shared.settings.availability_attempts;
        there::wait(&self.maker.cluster, &self.planned.pod, own, attempts, stop).await?;
        let mut secret = match self.planned.pull_secret.take() {
            Some(secret) => Some(self.maker.secret(secret).await?),
            None => None,
        };
        let (pod, watcher, followed) = loop {
            go_on(stop)?;
            let pod = self.maker.pod(self.planned.pod.clone()).await?;
            if let Some(unowned) = secret.take() {
                secret = Some(self.maker.own(unowned, Some(&pod)).await?);
            }
            let watcher = Watcher::follow(self.maker.cluster.clone(), pod.clone(), self.way, &self.shared.tasks);
            let mut followed = self.follow(&pod, &watcher, output);
            let waited = self.wait(&watcher, stop, &**output).await;
            if !matches!(waited, Ok(None)) {
                followed.rest().await;
            }
            match waited? {
                None => break (pod, watcher, followed),
                Some(trouble) => self.fall_back(trouble, &**output).await?,
            }
            // The next one needs it, too.
            if let Some(owned) = secret.take() {
                secret = Some(self.maker.own(owned, None).await?);
            }
            self.maker.discard(&pod.name_any(), &watcher).await?;
        };
        self.companions(&pod).await?;
        self.enter(&pod, watcher, followed, stop, &**output).await
    }

    /// Has the job's log told what it asked for.
    fn follow(&self, pod: &Pod, watcher: &Watcher, output: &Arc<dyn Output>) -> Followed {
        let report = self.report(pod.name_any(), output);
        let wanted = Wanted {
            events: self.planned.flags.print_pod_events,
            entry_point: self.planned.flags.honor_entrypoint,
            services: if self.debug_services { services(pod) } else { Vec::new() },
        };
        Followed::begin(&report, wanted, watcher, &self.shared.tasks)
    }

    /// What the cluster warned of, for whoever reads the log of a job that did not start.
    async fn tell_warnings(&self, output: &Arc<dyn Output>) {
        let pods = &self.maker.record.written().pods;
        let Some((last, earlier)) = pods.split_last().filter(|_| self.shared.settings.print_warning_events) else {
            return;
        };
        // What is about earlier pods has come meanwhile.
        for (pod, patience) in earlier
            .iter()
            .map(|pod| (pod, Duration::ZERO))
            .chain([(last, report::LATE)])
        {
            if let Err(error) = self.report(pod.clone(), output).warnings(patience).await {
                return say(&**output, &format!("WARNING: {}\n", crate::trace::chain(&error))).await;
            }
        }
    }

    fn report(&self, pod: String, output: &Arc<dyn Output>) -> Report {
        Report {
            cluster: self.maker.cluster.clone(),
            namespace: self.maker.namespace.clone(),
            pod,
            output: Arc::clone(output),
        }
    }

    /// Has another pod tried where its pull policy may help.
    async fn fall_back(&mut self, trouble: Trouble, output: &dyn Output) -> Result<()> {
        let Trouble::Pull {
            container,
            image,
            message,
        } = &trouble
        else {
            return Err(trouble.error());
        };
        if !self.planned.fall_back(container, &names::suffix()?) {
            return Err(trouble.error());
        }
        let text = format!(
            "WARNING: Failed to pull image {image:?} of the container {container}: {message}\n             Trying again with the next pull policy, in a new pod ...\n"
        );
        say(output, &text).await;
        Ok(())
    }

    async fn companions(&mut self, pod: &Pod) -> Result<()> {
        for service in std::mem::take(&mut self.planned.services) {
            self.maker.service(service, pod).await?;
        }
        if let Some(budget) = self.planned.disruption_budget.take() {
            self.maker.budget(budget, pod).await?;
        }
        Ok(())
    }

    /// Until the pod runs; gives why it will not.
    async fn wait(&self, watcher: &Watcher, stop: &Stop, output: &dyn Output) -> Result<Option<Trouble>> {
        let settings = &self.shared.settings;
        let mut seen = watcher.seen();
        let limit = tokio::time::sleep(settings.poll_timeout);
        let mut tick = tokio::time::interval(settings.poll_interval);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        tick.tick().await;
        tokio::pin!(limit);
        loop {
            let now = seen.borrow_and_update().clone();
            if let Some(trouble) = sight::trouble(&now.pod, now.gone) {
                return Ok(Some(trouble));
            }
            if sight::is_ready(&now.pod) {
                return Ok(None);
            }
            tokio::select! {
                changed = seen.changed() => if changed.is_err() {
                    return Err(Error::system("follow the pod", "the runner is ending"));
                },
                _ = tick.tick(), if !self.planned.flags.print_pod_events => say(output, &sight::waiting(&now.pod)).await,
                () = stop.pulled() => return Err(Error::Stopped),
                () = &mut limit => {
                    let what = format!("wait for the pod {} to run", now.pod.name_any());
                    let late = format!(
                        "it does not after {} s (poll_timeout); last seen:\n{}",
                        settings.poll_timeout.as_secs(),
                        sight::waiting(&now.pod)
                    );
                    return Err(Error::system(what, late));
                }
            }
        }
    }

    /// The first word with the guests of the pod.
    async fn enter(
        &mut self,
        pod: &Pod,
        watcher: Watcher,
        mut followed: Followed,
        stop: &Stop,
        output: &dyn Output,
    ) -> Result<Parts> {
        let link = Link {
            cluster: self.maker.cluster.clone(),
            namespace: self.maker.namespace.clone(),
            pod: pod.name_any(),
            start: self.shared.settings.guest_start,
            watcher: Arc::new(watcher),
            tasks: self.shared.tasks.clone(),
        };
        if self.planned.flags.wait_for_reachable {
            self.reach(&link, stop, output).await?;
        }
        let temp = &self.paths.temp;
        let work = Work::Describe {
            // The helper may be somebody else, and nobody else is in the pod.
            folders: vec![
                (self.paths.project.clone(), 0o777),
                (temp.clone(), 0o777),
                (temp.join("home"), 0o777),
                (temp.join("tmp"), 0o777),
            ],
            timeout_ms: millis(self.shared.settings.poll_timeout),
            holder: self.holder(),
        };
        let described = talk::ask(&link, Planned::BUILD, &work, stop).await;
        followed.rest().await;
        let build = match described? {
            Answer::Described(Some(build)) => build,
            Answer::Described(None) => return Err(self.not_ready()),
            other => return Err(other.unexpected()),
        };
        self.services(&link, pod, stop, output).await?;
        let mut paths = self.paths.clone();
        settle(&link, &mut paths, &build, stop).await?;
        Ok(Parts {
            link,
            paths,
            who: who(&build),
            build,
            folder: PathBuf::from(&self.folder),
            legacy: self.planned.flags.legacy_exec,
            followed,
        })
    }

    /// With a startup probe the pod runs only after the entry point's marker is there: who made it may do without us.
    fn holder(&self) -> Holder {
        let flags = self.planned.flags;
        if flags.honor_entrypoint && flags.legacy_exec {
            Holder::Anybody
        } else {
            Holder::Guest
        }
    }

    /// Until both containers can be spoken to.
    async fn reach(&self, link: &Link, stop: &Stop, output: &dyn Output) -> Result<()> {
        let (settings, began) = (&self.shared.settings, Instant::now());
        say(
            output,
            &format!("Waiting for pod {}/{} to be reachable...\n", link.namespace, link.pod),
        )
        .await;
        let nothing = Work::WaitTcp {
            targets: Vec::new(),
            timeout_ms: 0,
        };
        for container in [Planned::BUILD, Planned::HELPER] {
            loop {
                match talk::ask(link, container, &nothing, stop).await {
                    Ok(_) => break,
                    Err(error) if error.is_transient() && began.elapsed() < settings.poll_timeout => {
                        tracing::debug!(pod = link.pod, error = %crate::trace::chain(&error), "a pod is not reachable yet");
                    }
                    Err(error) => return Err(error),
                }
                tokio::select! {
                    () = tokio::time::sleep(settings.poll_interval) => {}
                    () = stop.pulled() => return Err(Error::Stopped),
                    trouble = link.watcher.trouble() => return Err(trouble.error()),
                }
            }
        }
        Ok(())
    }

    /// Waits until every service that says where listens there: all of them share the pod's address.
    async fn services(&self, link: &Link, pod: &Pod, stop: &Stop, output: &dyn Output) -> Result<()> {
        let ports = ports(pod);
        if ports.is_empty() {
            return Ok(());
        }
        let limit = self.shared.settings.poll_timeout;
        let text = format!(
            "Waiting for services to be up and running (timeout {} seconds)...\n",
            limit.as_secs()
        );
        say(output, &text).await;
        let work = Work::WaitTcp {
            targets: ports.iter().map(|(_, port)| ("127.0.0.1".to_owned(), *port)).collect(),
            timeout_ms: millis(limit),
        };
        let silent = match talk::ask(link, Planned::HELPER, &work, stop).await? {
            Answer::Waited { silent } => silent,
            other => return Err(other.unexpected()),
        };
        for (service, port) in ports
            .iter()
            .filter(|(_, port)| silent.iter().any(|(_, silent)| silent == port))
        {
            let text = format!(
                "*** WARNING: Service {service} probably didn't start properly: nothing listens at port {port} after {} seconds\n",
                limit.as_secs()
            );
            say(output, &text).await;
        }
        Ok(())
    }

    fn not_ready(&self) -> Error {
        let message = format!(
            "the entrypoint of the image did not hand over within {} s (poll_timeout): it has to end with exec \"$@\", or start a \
             shell with the arguments it gets; or switch FF_KUBERNETES_HONOR_ENTRYPOINT off",
            self.shared.settings.poll_timeout.as_secs()
        );
        Error::job(tasuki_model::reason::FailureReason::ScriptFailure, message)
    }
}

/// Containers that are neither the job's nor ours.
fn services(pod: &Pod) -> Vec<String> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    let names = containers.map(|container| container.name.clone());
    names
        .filter(|name| name != Planned::BUILD && name != Planned::HELPER)
        .collect()
}

/// Services with the ports whose listening says that they are ready (`HEALTHCHECK_TCP_PORT`).
fn ports(pod: &Pod) -> Vec<(String, u16)> {
    let containers = pod.spec.iter().flat_map(|spec| &spec.containers);
    containers
        .filter(|container| container.name != Planned::BUILD && container.name != Planned::HELPER)
        .filter_map(|container| {
            let mut env = container.env.iter().flatten().rev();
            let found = env.find(|entry| entry.name == pod::HEALTH)?;
            Some((container.name.clone(), found.value.as_deref()?.trim().parse().ok()?))
        })
        .collect()
}

/// Whom the helper works as: the user of the scripts, whose files it handles.
fn who(build: &Ready) -> String {
    let groups: Vec<String> = build.groups.iter().map(u32::to_string).collect();
    format!("{}:{}:{}", build.uid, build.gid, groups.join(","))
}

/// What the image says of places; a user other than root has caches of its own, which others could neither replace nor trust.
async fn settle(link: &Link, paths: &mut Paths, build: &Ready, stop: &Stop) -> Result<()> {
    let home = build.env.iter().find(|(key, _)| key == "HOME");
    if let Some((_, home)) = home.filter(|_| build.home_is_writable) {
        paths.home = home.into();
    }
    if build.uid == 0 {
        return Ok(());
    }
    paths.cache = paths.cache.join(format!("uid-{}", build.uid));
    let folder = Folder {
        path: paths.cache.clone(),
        mode: 0o755,
        uid: build.uid,
        gid: build.gid,
    };
    let made = talk::ask(link, Planned::HELPER, &Work::Make(vec![folder]), stop).await?;
    if let Err(error) = made.done() {
        // Without the right to give it away: whoever saves a cache says what is wrong with its place.
        tracing::debug!(error = %crate::trace::chain(&error), "the cache folder is not the scripts' user's");
    }
    Ok(())
}

async fn say(output: &dyn Output, text: &str) {
    output.write(Stream::Stdout, text.as_bytes()).await;
}
