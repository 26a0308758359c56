//! What the cluster does when the build container starts and before it stops.

use k8s_openapi::api::core::v1 as api;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::security::text;
use crate::config::kubernetes::{ContainerLifecycle, LifecycleHook};

/// Absent where the configuration has none.
pub(super) fn lifecycle(own: &ContainerLifecycle) -> Option<api::Lifecycle> {
    let (post_start, pre_stop) = (own.post_start.as_ref().map(hook), own.pre_stop.as_ref().map(hook));
    (post_start.is_some() || pre_stop.is_some()).then_some(api::Lifecycle {
        post_start,
        pre_stop,
        ..api::Lifecycle::default()
    })
}

fn hook(own: &LifecycleHook) -> api::LifecycleHandler {
    let port = |port: u16| IntOrString::Int(i32::from(port));
    api::LifecycleHandler {
        exec: own.exec.as_ref().map(|exec| api::ExecAction {
            command: Some(exec.command.clone()),
        }),
        http_get: own.http_get.as_ref().map(|http| api::HTTPGetAction {
            host: text(&http.host),
            path: text(&http.path),
            port: port(http.port),
            scheme: text(&http.scheme),
            http_headers: (!http.http_headers.is_empty()).then(|| {
                let headers = http.http_headers.iter();
                headers
                    .map(|header| api::HTTPHeader {
                        name: header.name.clone(),
                        value: header.value.clone(),
                    })
                    .collect()
            }),
        }),
        tcp_socket: own.tcp_socket.as_ref().map(|socket| api::TCPSocketAction {
            host: text(&socket.host),
            port: port(socket.port),
        }),
        sleep: None,
    }
}
