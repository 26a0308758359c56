//! The server as a role of this process.

use std::path::Path;

use anyhow::Context as _;
use tasuki_server::app::{App, Running};
use tasuki_server::config::Config;

use crate::config::Served;
use crate::exit::Mark as _;

/// Reads a server's configuration file. Unknown keys and wrong values are refused with their line.
pub(crate) fn read_config(file: &Path) -> anyhow::Result<Config> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read {}", file.display()))
        .usage()?;
    let mut config: Config = toml::from_str(&text)
        .with_context(|| format!("{} is not a configuration of a server", file.display()))
        .usage()
        .hint("docs/reference/configuration.md lists all keys")?;
    config.circleci_orbs = config.circleci_orbs.or_else(crate::config::orbs);
    config
        .check()
        .with_context(|| format!("{} cannot be used", file.display()))
        .usage()?;
    Ok(config)
}

/// Starts the server and notes its address for the commands of the same user.
pub(crate) async fn start_server(config: Config) -> anyhow::Result<Running> {
    tasuki_proto::tls::install();
    let data = config.data_dir.clone();
    let running = App::start(config).await.context("the server cannot start")?;
    // Commands of this machine reach it where it listens, whatever its address is for others.
    let url = reachable(running.address());
    Served {
        url,
        pid: std::process::id(),
    }
    .write(&data)?;
    super::settle_when_idle(running.app().tasks());
    Ok(running)
}

/// An address that listens everywhere is reached at the loopback.
pub(crate) fn reachable(address: std::net::SocketAddr) -> String {
    let ip = match address.ip() {
        std::net::IpAddr::V4(ip) if ip.is_unspecified() => std::net::Ipv4Addr::LOCALHOST.into(),
        std::net::IpAddr::V6(ip) if ip.is_unspecified() => std::net::Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    format!("http://{}", std::net::SocketAddr::new(ip, address.port()))
}
