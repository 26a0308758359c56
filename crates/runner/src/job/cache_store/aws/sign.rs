//! Signature version 4 (AWS General Reference, "Signing AWS API requests") of a request to `/`.

use hmac::{Hmac, KeyInit as _, Mac as _};
use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::keyring::Keys;
use crate::job::cache_store::path::hex;

/// Of bodies, as STS takes them.
pub(super) const CONTENT_TYPE: &str = "application/x-www-form-urlencoded; charset=utf-8";

/// What is signed.
pub(super) struct Unsigned<'a> {
    pub(super) method: &'a str,
    /// With the port where it is not the usual one.
    pub(super) host: &'a str,
    /// Encoded, its parts in order.
    pub(super) query: &'a str,
    pub(super) body: &'a str,
    pub(super) service: &'a str,
    pub(super) region: &'a str,
}

/// Headers that the request needs beside `Host` and `Content-Type`.
pub(super) fn sign(unsigned: &Unsigned<'_>, keys: &Keys, now: Timestamp) -> Vec<(&'static str, String)> {
    let time = now.strftime("%Y%m%dT%H%M%SZ").to_string();
    let day = &time[..8];
    let mut headers = vec![("x-amz-date", time.clone())];
    if let Some(token) = &keys.token {
        headers.push(("x-amz-security-token", token.expose().to_owned()));
    }
    let first = [("content-type", CONTENT_TYPE), ("host", unsigned.host)];
    let all: Vec<(&str, &str)> = first
        .into_iter()
        .chain(headers.iter().map(|(name, value)| (*name, value.as_str())))
        .collect();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    let names = names.join(";");
    let lines: String = all.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();
    let request = format!(
        "{}\n/\n{}\n{lines}\n{names}\n{}",
        unsigned.method,
        unsigned.query,
        hash(unsigned.body)
    );
    let scope = format!("{day}/{}/{}/aws4_request", unsigned.region, unsigned.service);
    let text = format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", hash(&request));
    let mut key = mac(format!("AWS4{}", keys.secret.expose()).as_bytes(), day);
    for part in [unsigned.region, unsigned.service, "aws4_request"] {
        key = mac(&key, part);
    }
    let signature = hex(&mac(&key, &text));
    let credential = format!("{}/{scope}", keys.id);
    headers.push((
        "authorization",
        format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={names}, Signature={signature}"),
    ));
    headers
}

fn mac(key: &[u8], text: &str) -> Vec<u8> {
    // A key of any length will do.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return Vec::new();
    };
    mac.update(text.as_bytes());
    mac.finalize().into_bytes().to_vec()
}

fn hash(text: &str) -> String {
    hex(&Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use tasuki_model::secret::Secret;

    use super::*;

    /// The example of the General Reference, and its signature.
    #[test]
    fn the_public_example_is_signed_as_there() {
        let keys = Keys {
            id: "AKIDEXAMPLE".to_owned(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            token: None,
            expires_ms: None,
        };
        let unsigned = Unsigned {
            method: "GET",
            host: "iam.amazonaws.com",
            query: "Action=ListUsers&Version=2010-05-08",
            body: "",
            service: "iam",
            region: "us-east-1",
        };
        let now = "2015-08-30T12:36:00Z".parse().expect("is a time");
        let signed = sign(&unsigned, &keys, now);
        assert_eq!(
            signed,
            [
                ("x-amz-date", "20150830T123600Z".to_owned()),
                (
                    "authorization",
                    "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/iam/aws4_request, \
                     SignedHeaders=content-type;host;x-amz-date, \
                     Signature=5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7"
                        .to_owned()
                )
            ]
        );
    }
}
