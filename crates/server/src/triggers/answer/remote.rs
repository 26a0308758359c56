//! Files by URL (`include: remote`). No credentials are ever sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::redirect::Policy;
use tasuki_pipeline::{Answer, Refusal};

use super::text;

/// Largest file; the compiler's own limit is 2 MiB.
const FILE_LIMIT: usize = 4 << 20;
/// Tries for one file, with a second and two between them, as GitLab does.
const TRIES: u32 = 3;
const TIMEOUT: Duration = Duration::from_secs(10);
const REDIRECTS: usize = 5;

/// Which hosts may be asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Only public addresses: a configuration must not be a way into the server's own network.
    Public,
    /// Any address: for commands that run on the user's own machine, and servers that are told to.
    Anywhere,
}

/// Fetches files by URL. The client is made at the first use. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Remote {
    reach: Reach,
    client: Arc<OnceLock<Result<reqwest::Client, String>>>,
}

impl Remote {
    /// Nothing is opened yet.
    #[must_use]
    pub fn new(reach: Reach) -> Self {
        Self {
            reach,
            client: Arc::default(),
        }
    }

    pub(super) async fn get(&self, address: &str) -> Answer {
        let mut pause = Duration::from_secs(1);
        let mut why = String::new();
        for attempt in 1..=TRIES {
            match self.once(address).await {
                Ok(answer) => return answer,
                Err(error) => why = error,
            }
            if attempt < TRIES {
                tokio::time::sleep(pause).await;
                pause *= 2;
            }
        }
        Answer::Refused(Refusal::Unreachable(why))
    }

    /// `Err`: worth another try.
    async fn once(&self, address: &str) -> Result<Answer, String> {
        let unreachable = |why: &str| Answer::Refused(Refusal::Unreachable(why.to_owned()));
        let Ok(url) = reqwest::Url::parse(address) else {
            return Ok(unreachable("it is not a URL"));
        };
        if let Err(why) = allowed(self.reach, &url) {
            return Ok(unreachable(why));
        }
        let client = match self.client.get_or_init(|| client(self.reach)) {
            Ok(client) => client,
            Err(why) => return Ok(unreachable(why)),
        };
        let mut response = client
            .get(url)
            .send()
            .await
            .map_err(|error| chain(&error.without_url()))?;
        let status = response.status();
        if status.is_server_error() {
            return Err(format!("the other side answered {status}"));
        }
        if !status.is_success() {
            return Ok(match status.as_u16() {
                404 | 410 => Answer::Refused(Refusal::NotFound),
                _ => unreachable(&format!("the other side answered {status}")),
            });
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| chain(&error.without_url()))? {
            bytes.extend_from_slice(&chunk);
            if bytes.len() > FILE_LIMIT {
                return Ok(unreachable("it is larger than 4 MiB"));
            }
        }
        Ok(text(bytes))
    }
}

fn client(reach: Reach) -> Result<reqwest::Client, String> {
    tasuki_proto::tls::install();
    let policy = Policy::custom(move |attempt| {
        if attempt.previous().len() > REDIRECTS {
            return attempt.error("too many redirects");
        }
        match allowed(reach, attempt.url()) {
            Ok(()) => attempt.follow(),
            Err(why) => attempt.error(why),
        }
    });
    let builder = reqwest::Client::builder()
        .timeout(TIMEOUT)
        .redirect(policy)
        .no_proxy()
        .dns_resolver(Arc::new(Resolver(reach)));
    builder.build().map_err(|error| chain(&error))
}

/// Only http and https without credentials, and no literal address outside the reach.
fn allowed(reach: Reach, url: &reqwest::Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https addresses can be included");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("addresses with a user name or password cannot be included");
    }
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    match (reach, host.parse::<IpAddr>()) {
        (Reach::Public, Ok(ip)) if !is_public(ip) => Err(NOT_PUBLIC),
        _ => Ok(()),
    }
}

const NOT_PUBLIC: &str = "it leads into a private network, which this server does not fetch from";

/// Resolves names and drops addresses outside the reach: what is checked is what is connected to.
struct Resolver(Reach);

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let reach = self.0;
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let fitting: Vec<SocketAddr> = found
                .filter(|address| reach == Reach::Anywhere || is_public(address.ip()))
                .collect();
            if fitting.is_empty() {
                return Err(NOT_PUBLIC.into());
            }
            Ok(Box::new(fitting.into_iter()) as Addrs)
        })
    }
}

/// Whether an address belongs to the public internet.
fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => {
            let [a, b, ..] = ip.octets();
            let shared = a == 100 && (64..128).contains(&b);
            let benchmark = a == 198 && (b == 18 || b == 19);
            let special = a == 0 || a >= 224 || (a == 192 && b == 0 && ip.octets()[2] == 0);
            !(ip.is_private() || ip.is_loopback() || ip.is_link_local() || shared || benchmark || special)
        }
        IpAddr::V6(ip) => {
            if let Some(inner) = ip.to_ipv4_mapped() {
                return is_public(IpAddr::V4(inner));
            }
            let first = ip.segments()[0];
            // Global unicast is 2000::/3; of it 6to4 (2002::/16) and Teredo (2001:0::/32) wrap other addresses.
            (first & 0xe000) == 0x2000 && first != 0x2002 && !(first == 0x2001 && ip.segments()[1] == 0)
        }
    }
}

/// An error with its causes, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        next = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_configuration_is_no_way_into_the_private_network() {
        let check = |address: &str, public: bool| {
            let url = reqwest::Url::parse(address).unwrap();
            assert_eq!(allowed(Reach::Public, &url).is_ok(), public, "{address}");
        };
        check("https://93.184.216.34/a.yml", true);
        check("https://example.org/a.yml", true);
        check("http://[2606:2800:220:1::1]/a", true);
        for private in [
            "http://127.0.0.1/a",
            "http://127.1/a",
            "http://2130706433/a",
            "http://0x7f000001/a",
            "http://0.0.0.0/a",
            "http://10.1.2.3/a",
            "http://192.168.1.1/a",
            "http://172.16.0.1/a",
            "http://169.254.169.254/latest/meta-data",
            "http://100.64.0.1/a",
            "http://[::1]/a",
            "http://[::ffff:127.0.0.1]/a",
            "http://[fd00::1]/a",
            "http://[fe80::1]/a",
            "http://[64:ff9b::7f00:1]/a",
            "ftp://example.org/a",
            "https://user:word@example.org/a",
        ] {
            check(private, false);
        }
    }

    #[tokio::test]
    async fn names_of_private_addresses_are_refused_when_they_are_resolved() {
        let answer = Remote::new(Reach::Public).once("http://localhost:1/a.yml").await;
        assert!(answer.is_err_and(|why| why.contains("private network")));
    }
}
