//! Keys with `{{ … }}`, evaluated.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

use base64::Engine as _;
use sha2::{Digest as _, Sha256};
use tasuki_model::cache_key::{self, Part};

use crate::guest::Context;
use crate::guest::error::{Error, Result};

/// The key that a template stands for. Files are looked for below `folder`.
pub(super) fn evaluate(template: &str, folder: &Path, context: &Context) -> Result<String> {
    let parts =
        cache_key::parse(template).map_err(|error| Error::job(format!("the cache key {template:?}: {error}")))?;
    let variable = |name: &str| {
        let found = context.env().iter().rev().find(|(key, _)| key == name);
        found.map_or("", |(_, value)| value)
    };
    let mut key = String::new();
    for part in parts {
        match part {
            Part::Text(text) => key.push_str(&text),
            Part::Checksum(file) => key.push_str(&checksum(&folder.join(&file), &file)?),
            Part::Branch => key.push_str(variable("CIRCLE_BRANCH")),
            Part::Revision => key.push_str(variable("CIRCLE_SHA1")),
            Part::BuildNumber => key.push_str(variable("CIRCLE_BUILD_NUM")),
            Part::CheckoutKey => key.push_str(variable("CHECKOUT_KEY")),
            Part::Environment(name) => key.push_str(variable(&name)),
            Part::Epoch => key.push_str(&tasuki_rt::Clock::system().now_ms().div_euclid(1000).to_string()),
            Part::Arch => key.push_str(&arch()),
        }
    }
    Ok(key)
}

fn checksum(path: &Path, name: &str) -> Result<String> {
    let failed = |error: io::Error| Error::job(format!("the checksum of {name:?} for the cache key: {error}"));
    let mut file = File::open(path).map_err(failed)?;
    let mut hash = Sha256::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        match file.read(&mut piece).map_err(failed)? {
            0 => break,
            length => hash.update(&piece[..length]),
        }
    }
    Ok(base64::engine::general_purpose::STANDARD.encode(hash.finalize()))
}

/// `linux-amd64-6_62`: system, processor, and where Linux tells them, its family and model.
fn arch() -> String {
    let processor = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let plain = format!("{}-{processor}", std::env::consts::OS);
    let facts = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let fact = |name: &str| {
        let line = facts
            .lines()
            .find(|line| line.split(':').next().is_some_and(|key| key.trim() == name))?;
        line.split_once(':').map(|(_, value)| value.trim())
    };
    match (fact("cpu family"), fact("model")) {
        (Some(family), Some(model)) => format!("{plain}-{family}_{model}"),
        _ => plain,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::Stop;

    #[test]
    fn templates_become_keys() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("lock"), "abc").unwrap();
        let env = [("CIRCLE_BRANCH", "old"), ("CIRCLE_BRANCH", "main"), ("V", "1")];
        let env = env.map(|(key, value)| (key.to_owned(), value.to_owned())).to_vec();
        let context = Context::new(env, Stop::new(), |_| {});
        let key = |template: &str| evaluate(template, folder.path(), &context);
        let text = "v{{ .Environment.V }}-{{ .Branch }}-{{ checksum \"lock\" }}{{ .Environment.NONE }}";
        assert_eq!(
            key(text).unwrap(),
            "v1-main-ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0="
        );
        assert!(key("{{ arch }}").unwrap().starts_with(std::env::consts::OS));
        let missing = key("{{ checksum \"nope\" }}").unwrap_err().to_string();
        assert!(missing.contains("\"nope\""), "{missing}");
    }
}
