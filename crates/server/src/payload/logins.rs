//! Log-ins that a configuration gives to images (CircleCI's `auth`, GitHub's `credentials`) → the payload's credentials.

use tasuki_model::plan;
use tasuki_model::secret::Secret;
use tasuki_proto::gitlab::{Credentials, JobVariable};

/// A log-in for the repository of each image that has one. One whose user or password is empty is none, as a secret is that
/// the job does not get: the image may be public.
pub(super) fn of(job: &plan::Job, variables: &[JobVariable]) -> Vec<Credentials> {
    let images = job
        .image
        .as_deref()
        .into_iter()
        .chain(job.services.iter().map(|service| &service.image));
    let one = |image: &plan::Image| {
        let (user, password) = image.credentials.as_ref()?;
        let (username, password) = (value(user, variables), value(password, variables));
        (!username.is_empty() && !password.is_empty()).then(|| Credentials {
            kind: "registry".to_owned(),
            url: repository(&image.name),
            username,
            password: Secret::new(password),
        })
    };
    images.filter_map(one).collect()
}

/// A text that is `$NAME` and nothing else stands for a variable, `$$` for a dollar; the last variable of a name counts.
pub(super) fn value(text: &str, variables: &[JobVariable]) -> String {
    let Some(rest) = text.strip_prefix('$') else {
        return text.to_owned();
    };
    if rest.starts_with('$') {
        return rest.to_owned();
    }
    let name = rest
        .strip_prefix('{')
        .and_then(|rest| rest.strip_suffix('}'))
        .unwrap_or(rest);
    if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_') {
        return text.to_owned();
    }
    // Names of GitHub's secrets ignore case.
    let named = |exact: bool| {
        let mut all = variables.iter().rev();
        all.find(|known| known.key == name || !exact && known.key.eq_ignore_ascii_case(name))
    };
    let found = named(true).or_else(|| named(false));
    found.map(|known| known.value.clone()).unwrap_or_default()
}

/// Registry and path, without tag and digest: `docker.io/library/node` as engines complete it.
fn repository(image: &str) -> String {
    let name = image.split_once('@').map_or(image, |(name, _)| name);
    let name = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => name,
        _ => name,
    };
    let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
    match name.split_once('/') {
        Some((host, _)) if is_host(host) => name.to_owned(),
        Some(_) => format!("docker.io/{name}"),
        None => format!("docker.io/library/{name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repositories() {
        let check = |image: &str, expected: &str| assert_eq!(repository(image), expected, "{image}");
        check("node", "docker.io/library/node");
        check("node:20", "docker.io/library/node");
        check("acme/app@sha256:00", "docker.io/acme/app");
        check("ghcr.io/acme/app:1", "ghcr.io/acme/app");
        check("registry:5000/app", "registry:5000/app");
        check("localhost/app:1@sha256:00", "localhost/app");
    }

    #[test]
    fn a_login_is_made_of_the_variables_of_the_job() {
        let variable = |key: &str, value: &str| JobVariable {
            key: key.to_owned(),
            value: value.to_owned(),
            public: false,
            file: false,
            masked: true,
            raw: true,
        };
        let variables = [variable("PW", "old"), variable("PW", "s3cret"), variable("Empty", "")];
        let check = |password: &str, expected: Option<&str>| {
            let mut job = plan::Job::new("build");
            job.services = vec![plan::Service {
                image: plan::Image {
                    name: "ghcr.io/acme/db:1".to_owned(),
                    credentials: Some(("me".to_owned(), password.to_owned())),
                    ..plan::Image::default()
                },
                aliases: Vec::new(),
            }];
            let found = of(&job, &variables);
            let found = found
                .first()
                .map(|login| (login.url.as_str(), login.username.as_str(), login.password.expose()));
            assert_eq!(
                found,
                expected.map(|password| ("ghcr.io/acme/db", "me", password)),
                "{password}"
            );
        };
        check("$PW", Some("s3cret"));
        check("${PW}", Some("s3cret"));
        check("$pw", Some("s3cret"));
        check("$$PW", Some("$PW"));
        check("plain$PW", Some("plain$PW"));
        check("$EMPTY", None);
        check("$MISSING", None);
    }
}
