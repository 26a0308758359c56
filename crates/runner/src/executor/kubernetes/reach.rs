//! How pods reach this machine.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use k8s_openapi::api::core::v1::Node;
use kube::Api;
use kube::api::ListParams;

use super::cluster::Cluster;
use super::connect::Access;
use super::executor::connect;
use super::settings::Settings;
use crate::executor::{Error, Result};

/// The address of this machine that pods of the settings' cluster reach: the one from which it reaches the cluster. Of a
/// cluster on this machine, whose API listens on a loopback address, the one from which it reaches the first node.
///
/// # Errors
/// No cluster is named, or it does not answer; no way leads to it.
pub async fn address_for_pods(settings: &Settings) -> Result<IpAddr> {
    let cluster = connect(&Access::of(&settings.config), settings).await?;
    let unknown = || {
        Error::configuration(
            format!(
                "cannot find out by which address of this machine pods of {} reach it",
                cluster.address
            ),
            "name it",
        )
    };
    let api = api_address(&cluster.address).await.ok_or_else(unknown)?;
    if !api.ip().is_loopback() {
        return way_to(api).ok_or_else(unknown);
    }
    let node = node(&cluster).await?.ok_or_else(unknown)?;
    way_to(SocketAddr::new(node, api.port()))
        .filter(|own| !own.is_loopback())
        .ok_or_else(unknown)
}

async fn api_address(url: &str) -> Option<SocketAddr> {
    let url: url::Url = url.parse().ok()?;
    let host = url.host_str()?.trim_matches(['[', ']']).to_owned();
    tokio::net::lookup_host((host, url.port_or_known_default()?))
        .await
        .ok()?
        .next()
}

async fn node(cluster: &Cluster) -> Result<Option<IpAddr>> {
    let nodes: Api<Node> = Api::all(cluster.client.clone());
    let params = ListParams::default().limit(1);
    let found = cluster.call(|| nodes.list(&params)).await;
    let found = found.map_err(|fault| fault.explain("list the nodes, to find how they reach this machine"))?;
    let addresses = found
        .items
        .into_iter()
        .filter_map(|node| node.status?.addresses)
        .flatten();
    Ok(addresses
        .filter(|address| address.type_ == "InternalIP")
        .find_map(|address| address.address.parse().ok()))
}

/// From which address packets to another one leave. None is sent.
fn way_to(target: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = match target {
        SocketAddr::V4(_) => ([0, 0, 0, 0], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = UdpSocket::bind(any).ok()?;
    socket.connect(target).ok()?;
    socket.local_addr().ok().map(|own| own.ip())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses_of_apis_are_read_from_their_urls() {
        for (url, wanted) in [
            ("https://127.0.0.1:6443/", Some("127.0.0.1:6443")),
            ("https://[::1]:6443/", Some("[::1]:6443")),
            ("https://10.0.0.1", Some("10.0.0.1:443")),
            ("no address", None),
        ] {
            let found = api_address(url).await.map(|address| address.to_string());
            assert_eq!(found.as_deref(), wanted, "{url}");
        }
    }

    #[test]
    fn the_way_to_this_machine_is_itself() {
        let local: SocketAddr = ([127, 0, 0, 1], 9).into();
        assert_eq!(way_to(local), Some(local.ip()));
    }
}
