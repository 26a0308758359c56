//! What the API of a cluster answers when it does not do what it is asked.

use std::error::Error as StdError;
use std::io;

use crate::executor::Error;

/// A call that failed, after all its repetitions.
#[derive(Debug, thiserror::Error)]
#[error("the cluster {}", describe(.source))]
pub(super) struct Fault {
    /// Kept out of the chain: its own text is in ours.
    pub(super) source: kube::Error,
}

/// Text of an answer; of what went wrong on the way to it, the causes.
fn describe(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("refuses: {}", status.message),
        other => format!("does not answer: {}", innermost(other)),
    }
}

/// kube's own texts repeat their causes.
fn innermost(error: &(dyn StdError + 'static)) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

impl Fault {
    fn status(&self) -> Option<&kube::core::Status> {
        match &self.source {
            kube::Error::Api(status) => Some(status),
            _ => None,
        }
    }

    pub(super) fn is_missing(&self) -> bool {
        self.status().is_some_and(|status| status.code == 404)
    }

    pub(super) fn is_conflict(&self) -> bool {
        self.status().is_some_and(|status| status.code == 409)
    }

    /// The version that was asked for is too old to go on from.
    pub(super) fn is_gone(&self) -> bool {
        self.status().is_some_and(|status| status.code == 410)
    }

    /// Not allowed by the rules of the cluster; another attempt finds the same.
    pub(super) fn is_forbidden(&self) -> bool {
        self.status().is_some_and(|status| matches!(status.code, 401 | 403))
    }

    /// Names who is at fault, and what helps. `what`: what was tried ("make the pod ns/name").
    pub(super) fn explain(self, what: impl Into<String>) -> Error {
        let what = what.into();
        let Some(status) = self.status() else {
            return Error::system(what, self);
        };
        let message = format!("cannot {what}: the cluster refuses: {}", status.message);
        match verdict(status.code, &status.message) {
            Verdict::Remedy(remedy) => Error::configuration(message, remedy),
            Verdict::Later => Error::system(what, self),
        }
    }
}

/// What a refusal means.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// It stays until somebody does this.
    Remedy(String),
    /// It may go by itself.
    Later,
}

fn verdict(code: u16, message: &str) -> Verdict {
    let remedy = |text: &str| Verdict::Remedy(text.to_owned());
    if message.contains("exceeded quota") {
        // Room is made by other jobs' ends.
        return Verdict::Later;
    }
    match code {
        401 => remedy(
            "the credentials of [runners.kubernetes] (bearer_token, cert_file) or of the kubeconfig are not valid",
        ),
        403 => match permission(message) {
            Some(missing) => Verdict::Remedy(format!(
                "give the runner's account the permission to {missing} (a Role and a RoleBinding)"
            )),
            None if message.contains("error looking up service account") => {
                remedy("make the service account, or name another in `service_account`")
            }
            None if message.contains("violates PodSecurity") => remedy(
                "the namespace's pod security level forbids it: set security contexts in [runners.kubernetes], or use another namespace",
            ),
            None if message.contains("is being terminated") || message.contains("being terminated") => {
                remedy("the namespace is being deleted: name another")
            }
            None => remedy("a rule of the cluster (admission, security, limits) forbids it: ask who runs the cluster"),
        },
        404 if message.contains("namespaces") => remedy(
            "make the namespace, or name another in `namespace`: the runner makes none but with `namespace_per_job`",
        ),
        400 | 422 => remedy(
            "the cluster takes no such object: correct what the message names in [runners.kubernetes] or in the job",
        ),
        _ => Verdict::Later,
    }
}

/// "create pods/exec in the namespace ci", from: `pods "x" is forbidden: User "u" cannot create resource "pods/exec" in API
/// group "" in the namespace "ci"`.
fn permission(message: &str) -> Option<String> {
    let (_, rest) = message.split_once(" cannot ")?;
    let (verb, rest) = rest.split_once(" resource \"")?;
    let (resource, rest) = rest.split_once('"')?;
    let quoted = |key: &str| Some(rest.split_once(key)?.1.split('"').next()?.to_owned());
    let group = quoted("API group \"").filter(|group| !group.is_empty());
    let group = group.map_or_else(String::new, |group| format!(" of {group}"));
    let place = match quoted("in the namespace \"") {
        Some(namespace) => format!("in the namespace {namespace}"),
        None => "in the whole cluster".to_owned(),
    };
    Some(format!("{verb} {resource}{group} {place}"))
}

/// Names of faults that another attempt may not meet, as they stand in `retry_limits`. The first is a part of the answer's
/// text; the others are what the same looks like from here.
const PASSING: [(&str, &[io::ErrorKind]); 14] = [
    ("error dialing backend", &[]),
    (TLS_TIMEOUT, &[]),
    (READ_TIMEOUT, &[]),
    (CONNECT_TIMEOUT, &[]),
    ("Timeout occurred", &[]),
    ("http2: client connection lost", &[]),
    ("connection refused", &[io::ErrorKind::ConnectionRefused]),
    (TLS_INTERNAL, &[]),
    (EARLY_END, &[io::ErrorKind::UnexpectedEof]),
    ("ECONNRESET", &[io::ErrorKind::ConnectionReset]),
    ("ECONNREFUSED", &[io::ErrorKind::ConnectionRefused]),
    ("ECONNABORTED", &[io::ErrorKind::ConnectionAborted]),
    ("EPIPE", &[io::ErrorKind::BrokenPipe]),
    ("etcdserver: request timed out", &[]),
];

const TLS_TIMEOUT: &str = "TLS handshake timeout";
const READ_TIMEOUT: &str = "read: connection timed out";
const CONNECT_TIMEOUT: &str = "connect: connection timed out";
const TLS_INTERNAL: &str = "tls: internal error";
const EARLY_END: &str = "unexpected EOF";

/// All that is known of a fault as text, the names of its kind with it.
pub(super) fn text(error: &kube::Error) -> String {
    let mut text = match error {
        kube::Error::Api(status) => return status.message.clone(),
        other => crate::trace::chain(other),
    };
    let mut names = Vec::new();
    // rustls stands in a text alone: it is wrapped as what io errors do not give out.
    if text.contains("received fatal alert: InternalError") {
        names.push(TLS_INTERNAL);
    }
    let mut connecting = false;
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(error) = next {
        let client = error.downcast_ref::<hyper_util::client::legacy::Error>();
        connecting |= client.is_some_and(hyper_util::client::legacy::Error::is_connect);
        if let Some(hyper) = error.downcast_ref::<hyper::Error>()
            && (hyper.is_incomplete_message() || hyper.is_canceled() || hyper.is_closed())
        {
            names.push(EARLY_END);
        }
        let mut io = error.downcast_ref::<io::Error>();
        while let Some(error) = io {
            let of_kind = PASSING.iter().filter(|(_, kinds)| kinds.contains(&error.kind()));
            names.extend(of_kind.map(|(name, _)| *name));
            match (error.kind(), connecting) {
                // One time for both.
                (io::ErrorKind::TimedOut, true) => names.extend([CONNECT_TIMEOUT, TLS_TIMEOUT]),
                (io::ErrorKind::TimedOut, false) => names.push(READ_TIMEOUT),
                _ => {}
            }
            // Wrapped as an error of no kind.
            io = error.get_ref().and_then(|inner| inner.downcast_ref());
        }
        next = error.source();
    }
    for name in names {
        if !text.contains(name) {
            text.push_str("; ");
            text.push_str(name);
        }
    }
    text
}

/// Whether another attempt may succeed. Beside what is named, a server may ask to be left alone for a while.
pub(super) fn is_passing(error: &kube::Error) -> bool {
    if let kube::Error::Api(status) = error
        && matches!(status.code, 429 | 503 | 504)
    {
        return true;
    }
    let text = text(error);
    PASSING.iter().any(|(name, _)| text.contains(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn api(code: u16, message: &str) -> kube::Error {
        kube::Error::Api(Box::new(kube::core::Status {
            code,
            message: message.to_owned(),
            ..kube::core::Status::default()
        }))
    }

    #[test]
    fn a_missing_permission_is_named() {
        for (message, wanted) in [
            (
                r#"pods is forbidden: User "system:serviceaccount:ci:r" cannot create resource "pods" in API group "" in the namespace "ci""#,
                Some("create pods in the namespace ci"),
            ),
            (
                r#"pods "p" is forbidden: User "r" cannot get resource "pods/exec" in API group "" in the namespace "ci""#,
                Some("get pods/exec in the namespace ci"),
            ),
            (
                r#"namespaces is forbidden: User "r" cannot create resource "namespaces" in API group "" at the cluster scope"#,
                Some("create namespaces in the whole cluster"),
            ),
            (
                r#"poddisruptionbudgets.policy is forbidden: User "r" cannot create resource "poddisruptionbudgets" in API group "policy" in the namespace "ci""#,
                Some("create poddisruptionbudgets of policy in the namespace ci"),
            ),
            (r#"pods "p" is forbidden: exceeded quota: q"#, None),
        ] {
            assert_eq!(permission(message).as_deref(), wanted, "{message}");
        }
    }

    #[test]
    fn refusals_that_stay_are_told_from_those_that_pass() {
        for (code, message, stays) in [
            (
                403,
                "pods \"p\" is forbidden: exceeded quota: q, requested: pods=1",
                false,
            ),
            (
                403,
                "pods \"p\" is forbidden: violates PodSecurity \"restricted:latest\"",
                true,
            ),
            (
                403,
                "pods \"p\" is forbidden: error looking up service account ci/x: not found",
                true,
            ),
            (404, "namespaces \"nowhere\" not found", true),
            (
                422,
                "Pod \"p\" is invalid: spec.containers[0].image: Required value",
                true,
            ),
            (401, "Unauthorized", true),
            (500, "Internal error occurred", false),
            (503, "the server is currently unable to handle the request", false),
        ] {
            assert_eq!(matches!(verdict(code, message), Verdict::Remedy(_)), stays, "{message}");
        }
    }

    /// Covers: GK-RETRY-13, GK-RETRY-14
    #[test]
    fn faults_that_pass_are_known_by_the_names_of_the_configuration() {
        for (error, wanted) in [
            (
                api(500, "error dialing backend: dial tcp: connect: connection refused"),
                true,
            ),
            (api(500, "etcdserver: request timed out"), true),
            (api(500, "net/http: TLS handshake timeout"), true),
            (api(503, "the server is currently unable to handle the request"), true),
            (api(429, "slow down"), true),
            (api(404, "pods \"p\" not found"), false),
            (api(403, "pods is forbidden"), false),
            (kube::Error::ReadEvents(io::ErrorKind::ConnectionReset.into()), true),
            (kube::Error::ReadEvents(io::ErrorKind::BrokenPipe.into()), true),
            (kube::Error::ReadEvents(io::ErrorKind::TimedOut.into()), true),
            (kube::Error::ReadEvents(io::ErrorKind::ConnectionAborted.into()), true),
            (kube::Error::ReadEvents(io::ErrorKind::PermissionDenied.into()), false),
        ] {
            assert_eq!(is_passing(&error), wanted, "{error:?}");
        }
        for (kind, name) in [
            (io::ErrorKind::ConnectionReset, "ECONNRESET"),
            (io::ErrorKind::ConnectionAborted, "ECONNABORTED"),
            (io::ErrorKind::BrokenPipe, "EPIPE"),
        ] {
            let error = kube::Error::ReadEvents(io::Error::other(io::Error::from(kind)));
            assert!(is_passing(&error) && text(&error).contains(name), "{}", text(&error));
        }
    }
}
