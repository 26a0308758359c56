//! Keys of caches with `{{ … }}` in them: the compiler checks them, the runner evaluates them in the sandbox.

/// A piece of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Text(String),
    /// Base64 of the SHA-256 of a file.
    Checksum(String),
    Branch,
    Revision,
    BuildNumber,
    /// The SSH key of the checkout.
    CheckoutKey,
    /// An exported environment variable.
    Environment(String),
    /// Seconds since 1970.
    Epoch,
    /// Operating system and processor, `linux-amd64-6_62`.
    Arch,
}

/// Why a key cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    #[error("`{{{{` is not closed by `}}}}`")]
    Open,
    #[error(
        "`{{{{ {0} }}}}` is none of checksum \"FILE\", .Branch, .BuildNum, .Revision, .CheckoutKey, .Environment.NAME, epoch, arch"
    )]
    Unknown(String),
}

/// Reads a key.
///
/// # Errors
/// What is between the braces is not known.
pub fn parse(key: &str) -> Result<Vec<Part>, Error> {
    let mut parts = Vec::new();
    let mut rest = key;
    while let Some((before, after)) = rest.split_once("{{") {
        let (inner, behind) = after.split_once("}}").ok_or(Error::Open)?;
        if !before.is_empty() {
            parts.push(Part::Text(before.to_owned()));
        }
        parts.push(part(inner.trim_matches('-').trim())?);
        rest = behind;
    }
    if !rest.is_empty() {
        parts.push(Part::Text(rest.to_owned()));
    }
    Ok(parts)
}

fn part(inner: &str) -> Result<Part, Error> {
    let unknown = || Error::Unknown(inner.to_owned());
    if let Some(name) = inner.strip_prefix(".Environment.") {
        let good = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        return if good {
            Ok(Part::Environment(name.to_owned()))
        } else {
            Err(unknown())
        };
    }
    if let Some(argument) = inner.strip_prefix("checksum") {
        let argument = argument.trim();
        let quoted = |quote: char| argument.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
        let file = quoted('"').or_else(|| quoted('`')).filter(|file| !file.is_empty());
        return file.map(|file| Part::Checksum(file.to_owned())).ok_or_else(unknown);
    }
    Ok(match inner {
        ".Branch" => Part::Branch,
        ".Revision" => Part::Revision,
        ".BuildNum" => Part::BuildNumber,
        ".CheckoutKey" => Part::CheckoutKey,
        "epoch" => Part::Epoch,
        "arch" => Part::Arch,
        _ => return Err(unknown()),
    })
}

#[cfg(test)]
mod tests {
    use super::{Error, Part, parse};

    #[track_caller]
    fn check(key: &str, expected: Result<Vec<Part>, Error>) {
        assert_eq!(parse(key), expected, "{key}");
    }

    #[test]
    fn keys_fall_into_parts() {
        let text = |text: &str| Part::Text(text.to_owned());
        check("", Ok(vec![]));
        check("plain", Ok(vec![text("plain")]));
        check(
            "v1-{{ .Branch }}-{{ checksum \"a b.lock\" }}",
            Ok(vec![
                text("v1-"),
                Part::Branch,
                text("-"),
                Part::Checksum("a b.lock".to_owned()),
            ]),
        );
        check(
            "{{arch}}{{.Environment.A_1}}{{ epoch }}",
            Ok(vec![Part::Arch, Part::Environment("A_1".to_owned()), Part::Epoch]),
        );
        check(
            "{{ .Revision }}{{ .BuildNum }}{{ .CheckoutKey }}",
            Ok(vec![Part::Revision, Part::BuildNumber, Part::CheckoutKey]),
        );
    }

    #[test]
    fn what_is_unknown_is_said() {
        let unknown = |word: &str| Err(Error::Unknown(word.to_owned()));
        check("a{{ .Branch", Err(Error::Open));
        check("{{ .branch }}", unknown(".branch"));
        check("{{ checksum file }}", unknown("checksum file"));
        check("{{ .Environment. }}", unknown(".Environment."));
        check("{{}}", unknown(""));
    }
}
