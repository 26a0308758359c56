//! `tasuki up`.

mod example;

use std::net::SocketAddr;
use std::path::Path;

use clap::Args;
use tasuki_proto::client::ApiClient;
use tasuki_server::app::Running;
use tasuki_server::config::Config;

use super::executor::{ExecutorArgs, url_of_jobs};
use crate::config::{DataDir, Served, client, lock};
use crate::exit::{Exit, Outcome};
use crate::print::{self, Style};
use crate::role::{
    Interrupts, LocalExecutor, LocalRunner, Registration, Request, RunningRunner, reachable, server_runtime,
    start_server,
};

/// Start a server and a runner in one process.
///
/// Needs nothing else: the database is a file, everything lies in the data folder. Prints `ready http://ADDRESS` when
/// it serves. Ctrl-C finishes running jobs, a second Ctrl-C cancels them.
///
/// Examples:
///   tasuki up
///   tasuki up --example
///   tasuki up --executor docker --docker-image debian:12
///   tasuki up --executor kubernetes --kubernetes-image debian:12 --listen 0.0.0.0:8700
///   tasuki up --data /var/lib/tasuki --listen 0.0.0.0:8700 --slots 8
#[derive(Debug, Args)]
#[command(verbatim_doc_comment)]
pub(crate) struct Up {
    #[command(flatten)]
    data: DataDir,
    /// Address and port to listen on; port 0 takes a free one
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8700")]
    listen: SocketAddr,
    /// Address under which runners, browsers and forges reach it [default: where it listens]
    #[arg(long, value_name = "URL")]
    external_url: Option<String>,
    /// Jobs at a time; 0 = no runner [default: the number of processors]
    #[arg(long, value_name = "N")]
    slots: Option<u32>,
    #[command(flatten)]
    executor: ExecutorArgs,
    /// Add an example project whose pipeline runs at once
    #[arg(long)]
    example: bool,
}

impl Up {
    pub(crate) fn run(self) -> Outcome {
        server_runtime()?.block_on(self.work())
    }

    async fn work(self) -> Outcome {
        let executor = self.executor.local()?;
        let slots = self
            .slots
            .unwrap_or_else(|| std::thread::available_parallelism().map_or(1, |n| n.get() as u32));
        // Before there is a server that nobody could use.
        let address = match slots {
            0 => None,
            _ => self.executor.address(&executor).await?,
        };
        url_of_jobs(self.listen, address)?;
        let data = self.data.path()?;
        let _lock = lock(&data)?;
        // Signals that come while it starts end it like those that come later.
        let mut interrupts = Interrupts::listen()?;
        let config = Config {
            listen: self.listen,
            external_url: self.external_url.clone(),
            include_private_addresses: true,
            circleci_orbs: crate::config::orbs(),
            ..Config::in_dir(&data)
        };
        let server = start_server(config).await?;
        let url = reachable(server.address());
        let api = client(&url, Some(server.admin_token().clone()), None)?;
        let mut runner = match slots {
            0 => None,
            slots => {
                let url = url_of_jobs(server.address(), address)?;
                Some(start_runner(&api, &url, &data, slots, executor).await?)
            }
        };
        print::line(&format!("ready {url}"))?;
        welcome(&server, &url, &data, slots);
        if self.example {
            example::add(&api, &server, &data).await?;
        }
        let exit = until_told(&mut interrupts, runner.as_mut()).await?;
        Served::remove(&data);
        server.shutdown().await;
        Ok(exit)
    }
}

async fn start_runner(
    api: &ApiClient,
    url: &str,
    data: &Path,
    slots: u32,
    executor: LocalExecutor,
) -> anyhow::Result<RunningRunner> {
    let folder = data.join("runner");
    std::fs::create_dir_all(&folder)?;
    let registration = Registration::kept(api, &folder.join("registration.json"), "local").await?;
    let runner = LocalRunner {
        name: "local".to_owned(),
        url: url.to_owned(),
        token: registration.token,
        slots,
        executor,
        folder,
        trusts_snapshots: false,
    };
    runner.start()
}

fn welcome(server: &Running, url: &str, data: &Path, slots: u32) {
    let style = Style::stderr();
    let token = data.join("admin.token");
    let shown = if server.url() == url {
        url.to_owned()
    } else {
        format!("{url} ({} for others)", server.url())
    };
    print::note(&format!("{} {shown}", style.bold("web UI  ")));
    print::note(&format!("{} the token in {}", style.bold("log in  "), token.display()));
    print::note(&format!("{} {}", style.bold("data    "), data.display()));
    print::note(&format!("{} {slots}", style.bold("slots   ")));
    print::note(&style.dim("Ctrl-C finishes running jobs and stops; twice cancels them"));
}

/// Works until a signal has stopped the runner, or there is none.
async fn until_told(interrupts: &mut Interrupts, runner: Option<&mut RunningRunner>) -> Outcome {
    let Some(runner) = runner else {
        interrupts.next().await;
        return Ok(Exit::Success);
    };
    let mut exit = Exit::Success;
    loop {
        tokio::select! {
            request = interrupts.next() => match request {
                Request::Drain => {
                    print::note("finishing running jobs; Ctrl-C again cancels them");
                    runner.drain();
                }
                Request::Cancel if exit == Exit::Success => {
                    print::note("canceling running jobs");
                    exit = Exit::Interrupted;
                    runner.cancel();
                }
                // The third time: at once.
                Request::Cancel => return Ok(exit),
            },
            ended = runner.ended() => {
                ended?;
                return Ok(exit);
            }
        }
    }
}
