//! Names of images.

/// A name of an image, taken apart. Text that is no such name is kept whole as the path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reference<'a> {
    /// `registry.example.com:5000`; absent = Docker Hub.
    pub(super) registry: Option<&'a str>,
    /// `group/name`.
    pub(super) path: &'a str,
    pub(super) tag: Option<&'a str>,
    /// `sha256:…`
    pub(super) digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    pub(super) fn parse(text: &'a str) -> Self {
        let (name, digest) = match text.split_once('@') {
            Some((name, digest)) => (name, Some(digest)),
            None => (text, None),
        };
        let (registry, rest) = match name.split_once('/') {
            Some((first, rest)) if first.contains(['.', ':']) || first == "localhost" => (Some(first), rest),
            _ => (None, name),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag)),
            _ => (rest, None),
        };
        Self {
            registry,
            path,
            tag,
            digest,
        }
    }

    /// What the engine is asked to pull: a name without tag means `latest`, not all tags.
    pub(super) fn to_pull(&self) -> String {
        let registry = self.registry.map(|registry| format!("{registry}/")).unwrap_or_default();
        match (self.tag, self.digest) {
            (_, Some(digest)) => format!("{registry}{}@{digest}", self.path),
            (tag, None) => format!("{registry}{}:{}", self.path, tag.unwrap_or("latest")),
        }
    }

    /// Host of the registry as credentials name it.
    pub(super) fn host(&self) -> &'a str {
        match self.registry {
            None | Some("index.docker.io" | "registry-1.docker.io") => "docker.io",
            Some(registry) => registry,
        }
    }

    /// Host names of a service of this image: without port and tag, `/` as `__` and as `-`.
    pub(super) fn aliases(&self) -> Vec<String> {
        let registry = self
            .registry
            .map(|registry| registry.split_once(':').map_or(registry, |(host, _)| host));
        let whole = match registry {
            Some(host) => format!("{host}/{}", self.path),
            None => self.path.to_owned(),
        };
        let mut aliases = vec![whole.replace('/', "__"), whole.replace('/', "-")];
        aliases.dedup();
        aliases
    }

    /// The image in a container's name.
    pub(super) fn slug(&self) -> String {
        safe(&self.aliases().pop().unwrap_or_default())
    }
}

/// Text as a part of a host name.
pub(super) fn safe(text: &str) -> String {
    let clean: String = text
        .chars()
        .map(|c| {
            if c.is_ascii_alphanumeric() {
                c.to_ascii_lowercase()
            } else {
                '-'
            }
        })
        .collect();
    clean.trim_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_taken_apart() {
        let check = |text: &str, host: &str, pull: &str, aliases: &[&str]| {
            let reference = Reference::parse(text);
            assert_eq!(reference.host(), host, "{text}");
            assert_eq!(reference.to_pull(), pull, "{text}");
            assert_eq!(reference.aliases(), aliases, "{text}");
        };
        check("mysql", "docker.io", "mysql:latest", &["mysql"]);
        check("mysql:8.0", "docker.io", "mysql:8.0", &["mysql"]);
        check(
            "tutum/wordpress:latest",
            "docker.io",
            "tutum/wordpress:latest",
            &["tutum__wordpress", "tutum-wordpress"],
        );
        check(
            "registry.example.com:4999/ns/project:1",
            "registry.example.com:4999",
            "registry.example.com:4999/ns/project:1",
            &["registry.example.com__ns__project", "registry.example.com-ns-project"],
        );
        check(
            "localhost/x@sha256:ab",
            "localhost",
            "localhost/x@sha256:ab",
            &["localhost__x", "localhost-x"],
        );
        check(
            "index.docker.io/library/ruby",
            "docker.io",
            "index.docker.io/library/ruby:latest",
            &["index.docker.io__library__ruby", "index.docker.io-library-ruby"],
        );
    }
}
