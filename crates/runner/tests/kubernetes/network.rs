//! Host names, DNS, hooks.

use serde_json::json;

use super::golden::{case, golden};

/// Covers: GK-CFG-17
/// Covers: GK-CFG-19
/// Covers: GK-DNS-01
/// Covers: GK-DNS-02
/// Covers: GK-DNS-03
/// Covers: GK-DNS-04
/// Covers: GK-DNS-05
#[test]
fn dns() {
    golden(
        "dns",
        &[
            case("none", "dns_policy = \"none\""),
            case("default", "dns_policy = \"default\""),
            case("cluster-first", "dns_policy = \"cluster-first\""),
            case(
                "cluster-first-with-host-net",
                "dns_policy = \"cluster-first-with-host-net\"",
            ),
            case("unknown", "dns_policy = \"mine\""),
            case(
                "config",
                "[runners.kubernetes.dns_config]\nnameservers = [\"1.2.3.4\"]\nsearches = [\"ns1.svc\", \"my.dns\"]\n\
                 [[runners.kubernetes.dns_config.options]]\nname = \"ndots\"\nvalue = \"2\"\n\
                 [[runners.kubernetes.dns_config.options]]\nname = \"edns0\"",
            ),
            case(
                "an option without name",
                "[[runners.kubernetes.dns_config.options]]\nvalue = \"2\"",
            ),
        ],
    );
}

/// Covers: GK-CFG-24
/// Covers: GK-HOST-02
/// Covers: GK-HOST-03
#[test]
fn host_aliases() {
    let alias = "[[runners.kubernetes.host_aliases]]\n";
    golden(
        "host_aliases",
        &[
            case(
                "two",
                &format!(
                    "{alias}ip = \"127.0.0.1\"\nhostnames = [\"web1\", \"web2\"]\n{alias}ip = \"::1\"\nhostnames = [\"six\"]"
                ),
            ),
            case(
                "after services",
                &format!("{alias}ip = \"10.0.0.1\"\nhostnames = [\"web1\"]"),
            )
            .job(json!({"services": [{"name": "tutum/wordpress:latest", "alias": "wp Bad_One"}]})),
            case("no address", &format!("{alias}hostnames = [\"web1\"]")),
            case("a bad address", &format!("{alias}ip = \"web\"\nhostnames = [\"web1\"]")),
            case("no names", &format!("{alias}ip = \"127.0.0.1\"")),
        ],
    );
}

/// Covers: GK-HOOK-01
/// Covers: GK-HOOK-02
/// Covers: GK-HOOK-03
/// Covers: GK-HOOK-07
/// Covers: GK-HOOK-08
/// Covers: GK-HOOK-09
/// Covers: GK-HOOK-10
/// Covers: GK-HOOK-11
/// Covers: GK-HOOK-12
/// Covers: GK-HOOK-13
/// Covers: GK-HOOK-14
/// Covers: GK-HOOK-15
/// Covers: GK-HOOK-16
#[test]
fn hooks() {
    let start = "[runners.kubernetes.container_lifecycle.post_start.";
    let stop = "[runners.kubernetes.container_lifecycle.pre_stop.";
    golden(
        "hooks",
        &[
            case(
                "exec",
                &format!("{start}exec]\ncommand = [\"touch\", \"/builds/x\"]\n{stop}exec]\ncommand = [\"true\"]"),
            ),
            case(
                "http",
                &format!(
                    "{start}http_get]\nport = 8080\nhost = \"localhost\"\npath = \"/test\"\nscheme = \"HTTPS\"\n\
                 [[runners.kubernetes.container_lifecycle.post_start.http_get.http_headers]]\nname = \"h\"\nvalue = \"v\""
                ),
            ),
            case("http, the least", &format!("{stop}http_get]\nport = 8080")),
            case(
                "tcp",
                &format!("{start}tcp_socket]\nport = 8080\nhost = \"localhost\"\n{stop}tcp_socket]\nport = 8081"),
            ),
            case(
                "two handlers",
                &format!("{start}tcp_socket]\nport = 8080\n{start}exec]\ncommand = [\"true\"]"),
            ),
            case("no handler", "[runners.kubernetes.container_lifecycle.pre_stop]"),
            case("no command", &format!("{start}exec]\ncommand = []")),
            case(
                "no ports",
                &format!("{start}http_get]\npath = \"/\"\n{stop}tcp_socket]\nhost = \"x\""),
            ),
            case("a bad scheme", &format!("{start}http_get]\nport = 1\nscheme = \"FTP\"")),
            case(
                "headers in part",
                &format!(
                    "{start}http_get]\nport = 8080\n\
                 [[runners.kubernetes.container_lifecycle.post_start.http_get.http_headers]]\nvalue = \"v\"\n\
                 [[runners.kubernetes.container_lifecycle.post_start.http_get.http_headers]]\nname = \"n\""
                ),
            ),
        ],
    );
}
