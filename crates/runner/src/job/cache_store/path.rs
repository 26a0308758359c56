//! Names of objects, and how they stand in addresses.

use crate::config::CacheConfig;

/// `[Path/][runner/<short token>/]project/<id>/<key>`; without the runner's part between runners that share.
pub(in crate::job) fn object_name(config: &CacheConfig, short_token: &str, project: i64, name: &str) -> String {
    let mut parts: Vec<&str> = config.path.split('/').filter(|part| !part.is_empty()).collect();
    if !config.shared {
        parts.extend(["runner", short_token]);
    }
    let project = project.to_string();
    parts.extend(["project", &project, name]);
    parts.join("/")
}

/// Percent-encoded but for what needs none in any part of an address.
pub(super) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

/// The same, with `/` as it is.
pub(super) fn encode_path(path: &str) -> String {
    path.split('/').map(encode).collect::<Vec<_>>().join("/")
}

/// In hexadecimal digits, as signatures have their parts.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether a text can be a header's value: printable ASCII.
pub(super) fn is_header(text: &str) -> bool {
    text.bytes().all(|byte| (0x20..0x7f).contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_gitlab_runner_names_them() {
        for (text, name) in [
            ("", "runner/abc/project/5/k/x"),
            ("Shared = true", "project/5/k/x"),
            ("Path = \"/a/b/\"", "a/b/runner/abc/project/5/k/x"),
            ("Path = \"a\"\nShared = true", "a/project/5/k/x"),
        ] {
            let config = toml::from_str(text).unwrap();
            assert_eq!(object_name(&config, "abc", 5, "k/x"), name, "{text}");
        }
    }

    #[test]
    fn odd_names_in_addresses() {
        assert_eq!(encode_path("a b/é+~"), "a%20b/%C3%A9%2B~");
        assert_eq!(encode("a/b"), "a%2Fb");
    }
}
