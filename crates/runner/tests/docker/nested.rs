//! Docker inside jobs: the machine's own engine, by the shell executor or by its socket in a container.

use std::path::PathBuf;
use std::sync::Arc;

use tasuki_rt::Tasks;
use tasuki_runner::executor::shell::{Config, Shell};
use tasuki_runner::executor::{Discard, Executor as _, Stop};
use tasuki_runner::process::Binary;

use crate::conformance::task;
use crate::engine::{BUSYBOX, docker, host, images, place, run_in, script};

/// On a machine, a job needs nothing but Docker running there.
///
/// Covers: GA-DOCK-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn a_job_on_the_machine_uses_its_docker() {
    images();
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = Config::new(folder.path().join("builds"), folder.path().join("cache"));
    config.binary = Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"));
    config.environment = vec![("DOCKER_HOST".to_owned(), host())];
    let executor = Shell::new(config, Tasks::new()).expect("is configured");
    let sandbox = executor
        .prepare(task(), Stop::new(), Arc::new(Discard))
        .await
        .expect("a sandbox");
    let text = format!("docker run --rm {BUSYBOX} echo from a container");
    let (ended, printed) = run_in(&*sandbox, script(&text)).await;
    assert_eq!((ended.exit.code(), printed.as_str()), (Some(0), "from a container\n"));
    sandbox.teardown().await.expect("is torn down");
}

fn client() -> PathBuf {
    let path = std::env::vars()
        .find_map(|(key, value)| (key == "PATH").then_some(value))
        .expect("PATH is set");
    std::env::split_paths(&path)
        .map(|folder| folder.join("docker"))
        .find(|program| program.is_file())
        .expect("docker is there")
}

/// The machine's socket in the containers of two teams: each sees and runs what the other built.
///
/// Covers: GA-DOCK-03, GA-DOCK-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn the_machines_socket_isolates_no_images() {
    let host = host();
    let socket = host.strip_prefix("unix://").expect("is a socket");
    let config = format!(
        "volumes = [\"{socket}:/var/run/docker.sock\", \"{}:/bin/docker:ro\"]",
        client().display()
    );
    let (one, other) = (place(&config), place(&config));
    let first = one.sandbox(task()).await;
    let build = format!("docker tag {BUSYBOX} team-one/secret:1 && docker version --format '{{{{.Server.Os}}}}'");
    let (ended, printed) = run_in(&*first, script(&build)).await;
    assert_eq!((ended.exit.code(), printed.as_str()), (Some(0), "linux\n"));
    first.teardown().await.expect("is torn down");
    let second = other.sandbox(task()).await;
    let look =
        "docker image ls --format '{{.Repository}}' | grep team-one; docker run --rm team-one/secret:1 echo is run";
    let (ended, printed) = run_in(&*second, script(look)).await;
    assert_eq!(
        (ended.exit.code(), printed.as_str()),
        (Some(0), "team-one/secret\nis run\n")
    );
    second.teardown().await.expect("is torn down");
    docker(&["image", "rm", "team-one/secret:1"]);
    one.ends().await;
    other.ends().await;
}

/// An image of this machine's own Docker: the engine with certificates for `docker`, and its client, whose certificates go to where
/// jobs have them.
const OWN_ENGINE: &str = r#"
set -e
cd "$1"; mkdir -p root/bin root/usr/bin root/var/lib root/tmp root/run root/etc certs
for busybox in /bin/busybox /usr/bin/busybox; do if [ -e "$busybox" ]; then cp "$busybox" root/bin/busybox; fi; done
for applet in $(root/bin/busybox --list); do [ "$applet" = busybox ] || ln -s busybox "root/bin/$applet"; done
for name in dockerd containerd containerd-shim-runc-v2 runc docker docker-init docker-proxy iptables ip; do
  found=$(PATH=$PATH:/usr/sbin:/sbin:/usr/libexec/docker command -v "$name") || continue
  cp -L "$found" "root/usr/bin/$name"
done
for program in root/usr/bin/*; do ldd "$program" 2>/dev/null | grep -o '/[^ ]*' || true; done | sort -u | while read -r library; do
  mkdir -p "root${library%/*}"; cp -L "$library" "root$library"
done
for folder in /usr/lib/*/xtables; do mkdir -p "root$folder"; cp "$folder"/* "root$folder"; done
openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout certs/ca-key.pem -out certs/ca.pem 2>/dev/null
for who in docker client; do
  mkdir -p "root/made/$who"
  openssl req -newkey rsa:2048 -nodes -subj "/CN=$who" -keyout "root/made/$who/key.pem" -out certs/request.pem 2>/dev/null
  printf 'subjectAltName=DNS:docker\nextendedKeyUsage=serverAuth,clientAuth\n' > certs/extensions
  openssl x509 -req -in certs/request.pem -CA certs/ca.pem -CAkey certs/ca-key.pem -CAcreateserial -days 2 -extfile certs/extensions \
    -out "root/made/$who/cert.pem" 2>/dev/null
  cp certs/ca.pem "root/made/$who/ca.pem"
done
cat > root/engine <<'END'
#!/bin/sh
mount -o remount,rw /proc/sys; mount -o remount,rw /sys
cp /made/client/* /certs/client/
exec dockerd --host tcp://0.0.0.0:2376 --tlsverify --tlscacert /made/docker/ca.pem --tlscert /made/docker/cert.pem \
  --tlskey /made/docker/key.pem --exec-opt native.cgroupdriver=cgroupfs --storage-driver vfs
END
chmod 755 root/engine
tar -C root -cf image.tar .
"#;

/// As bit of the sets of capabilities.
const SYS_RESOURCE: u32 = 24;

/// How a service is let run an engine of its own: privileged, or, where this machine itself lacks a capability that the engine gives to
/// privileged containers, with all others and what else `privileged` would bring.
fn engine_of_its_own() -> String {
    let status = std::fs::read_to_string("/proc/self/status").expect("is there");
    let line = status.lines().find_map(|line| line.strip_prefix("CapBnd:"));
    let bounds = u64::from_str_radix(line.expect("has bounds").trim(), 16).expect("is a number");
    if bounds & (1 << SYS_RESOURCE) != 0 {
        return "privileged = true\nallowed_privileged_images = [\"none\"]\nallowed_privileged_services = [\"tasuki-test/engine:*\"]\n\
                volumes = [\"/certs/client\"]"
            .to_owned();
    }
    let all = [
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "SETGID",
        "SETUID",
        "SETPCAP",
        "SETFCAP",
        "MKNOD",
        "NET_ADMIN",
        "NET_RAW",
        "NET_BIND_SERVICE",
        "SYS_ADMIN",
        "SYS_CHROOT",
        "SYS_PTRACE",
        "AUDIT_WRITE",
    ];
    format!(
        "cap_add = {all:?}\nservices_security_opt = [\"seccomp=unconfined\", \"apparmor=unconfined\"]\n\
         volumes = [\"/certs/client\", \"/sys/fs/cgroup:/sys/fs/cgroup\"]"
    )
}

/// An engine of its own as a service, by TLS: what a job builds there is neither the machine's nor the next job's.
///
/// Covers: GA-DOCK-05, GA-DOCK-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a container engine: cargo xtask test docker"]
async fn an_engine_of_its_own_isolates_images() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().to_string_lossy().into_owned();
    #[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
    let made = std::process::Command::new("sh")
        .args(["-c", OWN_ENGINE, "sh", &path])
        .status();
    assert!(made.expect("sh is there").success(), "the image is made");
    let tar = format!("{path}/image.tar");
    let own = "tasuki-test/engine:1";
    let changes = [
        "ENV PATH=/usr/bin:/bin",
        "EXPOSE 2376",
        "VOLUME /var/lib/docker",
        r#"ENTRYPOINT ["/engine"]"#,
    ];
    let mut import = vec!["import"];
    for change in changes {
        import.extend(["--change", change]);
    }
    docker(&[&import[..], &[&tar, own]].concat());
    let place = place(&engine_of_its_own());
    let variables = [
        ("DOCKER_HOST", "tcp://docker:2376"),
        ("DOCKER_TLS_VERIFY", "1"),
        ("DOCKER_CERT_PATH", "/certs/client"),
    ];
    let wish = || tasuki_runner::executor::Task {
        image: Some(tasuki_model::plan::Image {
            entrypoint: Some(vec![String::new()]),
            ..crate::engine::image(own)
        }),
        services: vec![tasuki_model::plan::Service {
            image: crate::engine::image(own),
            aliases: vec!["docker".to_owned()],
        }],
        ..task()
    };
    let text = "for try in 1 2 3 4 5 6 7 8 9 10; do docker version >/dev/null 2>&1 && break; sleep 1; done
        docker image ls -q | wc -l
        mkdir -p /tmp/inner/bin && cp /bin/busybox /tmp/inner/bin/sh && tar -C /tmp/inner -cf /tmp/inner.tar .
        docker import /tmp/inner.tar inner/secret:1 >/dev/null && docker run --rm inner/secret:1 /bin/sh -c 'echo runs inside'
        env -u DOCKER_TLS_VERIFY -u DOCKER_CERT_PATH docker version >/dev/null 2>&1 || echo without certificates nobody answers";
    for _ in 0..2 {
        let sandbox = place.sandbox(wish()).await;
        let mut work = script(text);
        work.env = variables
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .to_vec();
        let (ended, printed) = run_in(&*sandbox, work).await;
        let wanted = "0\nruns inside\nwithout certificates nobody answers\n";
        assert_eq!((ended.exit.code(), printed.as_str()), (Some(0), wanted));
        assert_eq!(
            docker(&["image", "ls", "-q", "inner/secret"]),
            "",
            "the machine's engine knows nothing of it"
        );
        sandbox.teardown().await.expect("is torn down");
    }
    docker(&["image", "rm", own]);
    place.ends().await;
}
