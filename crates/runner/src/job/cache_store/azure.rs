//! Azure Blob Storage: a shared access signature for one blob (service SAS, version 2020-12-06 of the public
//! description "Create a service SAS").

use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::Sha256;
use tasuki_model::secret::Secret;
use url::{Host, Url};

use super::path::{encode, encode_path, is_header};
use super::store::Signed;
use crate::config::AzureCache;

const VERSION: &str = "2020-12-06";
const USUAL_DOMAIN: &str = "blob.core.windows.net";

/// A container of an account.
pub(in crate::job) struct Azure {
    account: String,
    key: Vec<u8>,
    container: String,
    /// Ends before the container.
    base: String,
    protocol: &'static str,
}

impl Azure {
    pub(super) fn of(config: &AzureCache) -> Result<Self, String> {
        if config.container_name.is_empty() {
            return Err("ContainerName is missing".to_owned());
        }
        let key = config.account_key.as_ref().filter(|key| !key.expose().is_empty());
        let Some(key) = key.filter(|_| !config.account_name.is_empty()) else {
            return Err(
                "AccountName and AccountKey are missing: this version has no other way to log in (no managed identity)"
                    .to_owned(),
            );
        };
        let key = BASE64_STANDARD
            .decode(key.expose().trim())
            .map_err(|_| "AccountKey is no base64 text: copy it as the portal shows it".to_owned())?;
        let (base, protocol) = base(config)?;
        Ok(Self {
            account: config.account_name.clone(),
            key,
            container: config.container_name.clone(),
            base,
            protocol,
        })
    }

    pub(super) fn read(&self, object: &str, valid: Duration, now: Timestamp) -> Result<Signed, String> {
        Ok(Signed {
            url: self.sign(object, "r", valid, now)?,
            headers: Vec::new(),
        })
    }

    pub(super) fn write(&self, object: &str, key: &str, valid: Duration, now: Timestamp) -> Result<Signed, String> {
        let mut headers = vec![
            ("x-ms-blob-type".to_owned(), Secret::new("BlockBlob")),
            ("content-type".to_owned(), Secret::new("application/octet-stream")),
        ];
        if is_header(key) {
            headers.push(("x-ms-meta-cachekey".to_owned(), Secret::new(key)));
        }
        Ok(Signed {
            url: self.sign(object, "cw", valid, now)?,
            headers,
        })
    }

    fn sign(&self, object: &str, permissions: &str, valid: Duration, now: Timestamp) -> Result<Secret, String> {
        let end = now
            .checked_add(jiff::SignedDuration::try_from(valid).map_err(|error| error.to_string())?)
            .map_err(|error| error.to_string())?
            .strftime("%Y-%m-%dT%H:%M:%SZ")
            .to_string();
        let resource = format!("/blob/{}/{}/{object}", self.account, self.container);
        // No start (clocks differ), no stored policy, no addresses, no snapshot, no scope, no headers of the answer.
        let text = [
            permissions,
            "",
            &end,
            &resource,
            "",
            "",
            self.protocol,
            VERSION,
            "b",
            "",
            "",
            "",
            "",
            "",
            "",
            "",
        ]
        .join("\n");
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).map_err(|error| error.to_string())?;
        mac.update(text.as_bytes());
        let signature = BASE64_STANDARD.encode(mac.finalize().into_bytes());
        Ok(Secret::new(format!(
            "{}/{}/{}?sv={VERSION}&spr={}&se={}&sr=b&sp={permissions}&sig={}",
            self.base,
            encode(&self.container),
            encode_path(object),
            encode(self.protocol),
            encode(&end),
            encode(&signature),
        )))
    }
}

/// The account's address, and the protocols that a signature allows. A domain with `http://` or `https://` is an
/// emulator's own address; one that is an IP address has the account in the path.
fn base(config: &AzureCache) -> Result<(String, &'static str), String> {
    let domain = match config.storage_domain.as_str() {
        "" => USUAL_DOMAIN,
        domain => domain,
    };
    let account = &config.account_name;
    let (scheme, rest, protocol) = match domain.split_once("://") {
        Some(("http", rest)) => ("http", rest, "https,http"),
        Some(("https", rest)) => ("https", rest, "https"),
        Some(_) => return Err(format!("StorageDomain = {domain:?} is neither http nor https")),
        None => ("https", domain, "https"),
    };
    let rest = rest.trim_end_matches('/');
    let parsed = Url::parse(&format!("{scheme}://{rest}")).ok();
    let url = match parsed.as_ref().and_then(Url::host) {
        None => return Err(format!("StorageDomain = {domain:?} is no host")),
        Some(Host::Domain(_)) => format!("{scheme}://{account}.{rest}"),
        Some(Host::Ipv4(_) | Host::Ipv6(_)) => format!("{scheme}://{rest}/{account}"),
    };
    match Url::parse(&url) {
        Ok(_) => Ok((url, protocol)),
        Err(_) => Err(format!("AccountName = {account:?} cannot be a part of a host's name")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn azure(rest: &str) -> Result<Azure, String> {
        let text = format!("AccountName = \"acc\"\nAccountKey = \"a2V5\"\nContainerName = \"box\"\n{rest}");
        Azure::of(&toml::from_str(&text).unwrap())
    }

    #[test]
    fn addresses_of_accounts() {
        for (rest, begin) in [
            (
                "",
                "https://acc.blob.core.windows.net/box/a%20b/c?sv=2020-12-06&spr=https&",
            ),
            (
                "StorageDomain = \"blob.core.example\"",
                "https://acc.blob.core.example/box/a%20b/c?",
            ),
            (
                "StorageDomain = \"http://127.0.0.1:10000\"",
                "http://127.0.0.1:10000/acc/box/a%20b/c?sv=2020-12-06&spr=https%2Chttp&",
            ),
        ] {
            let store = azure(rest).unwrap();
            let signed = store
                .read("a b/c", Duration::from_secs(60), Timestamp::UNIX_EPOCH)
                .unwrap();
            let url = signed.url.expose();
            assert!(url.starts_with(begin), "{rest}: {url}");
            assert!(url.contains("&se=1970-01-01T00%3A01%3A00Z&sr=b&sp=r&sig="), "{url}");
        }
    }

    #[test]
    fn what_cannot_be_used_says_why() {
        for (text, words) in [
            ("ContainerName = \"\"", "ContainerName is missing"),
            (
                "ContainerName = \"c\"\nAccountName = \"a\"",
                "AccountName and AccountKey",
            ),
            (
                "ContainerName = \"c\"\nAccountName = \"a\"\nAccountKey = \"s3cr*t\"",
                "no base64",
            ),
            (
                "ContainerName = \"c\"\nAccountName = \"a\"\nAccountKey = \"a2V5\"\nStorageDomain = \"ftp://x\"",
                "neither http nor https",
            ),
            (
                "ContainerName = \"c\"\nAccountName = \"a b\"\nAccountKey = \"a2V5\"",
                "a part of a host's name",
            ),
        ] {
            let error = Azure::of(&toml::from_str(text).unwrap()).err().unwrap_or_default();
            assert!(error.contains(words) && !error.contains("s3cr*t"), "{text}: {error}");
        }
    }
}
