//! Parts of the pod at work: volumes, hooks, hosts, users, policies.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret};
use kube::Api;
use kube::api::{LogParams, Patch, PatchParams, PostParams};
use serde_json::json;
use tasuki_model::plan::{Image, Service};
use tasuki_runner::executor::{Command, Error};
use tasuki_runner::guest::Request;

use crate::account::Own;
use crate::cluster::{busybox, chain, place, run_in, script};
use crate::conformance::task;

async fn files(own: &Own) {
    let params = PostParams::default();
    let data = json!({"metadata": {"name": "files"}, "data": {"one": "1", "two": "2"}});
    let maps: Api<ConfigMap> = Api::namespaced(own.client.clone(), &own.name);
    maps.create(&params, &serde_json::from_value(data).expect("is one"))
        .await
        .expect("is made");
    let data = json!({"metadata": {"name": "keys"}, "stringData": {"user": "u", "password": "p"}});
    let secrets: Api<Secret> = Api::namespaced(own.client.clone(), &own.name);
    secrets
        .create(&params, &serde_json::from_value(data).expect("is one"))
        .await
        .expect("is made");
}

/// Covers: GK-VOL-20, GK-VOL-28, GK-VOL-43, GK-VOL-46, GK-HOST-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn volumes_and_hosts_reach_the_containers() {
    let own = Own::new().await;
    files(&own).await;
    let volume = "[[kubernetes.volumes";
    let place = place(&format!(
        "namespace = {:?}\n\
         {volume}.config_map]]\nname = \"files\"\nmount_path = \"/all\"\n\
         {volume}.secret]]\nname = \"keys\"\nmount_path = \"/keys\"\n\
         {volume}.empty_dir]]\nname = \"data\"\nmount_path = \"/var/lib/mysql\"\nmedium = \"Memory\"\n\
         [[kubernetes.host_aliases]]\nip = \"192.0.2.7\"\nhostnames = [\"first.test\", \"second.test\"]\n",
        own.name
    ));
    for _ in 0..2 {
        let mut task = task();
        task.services = vec![Service {
            image: Image {
                name: busybox(),
                command: Some(
                    ["sh", "-c", "grep ' /var/lib/mysql tmpfs ' /proc/mounts > /var/lib/mysql/service; cat /all/one /keys/user >> /var/lib/mysql/service; grep 192.0.2.7 /etc/hosts >> /var/lib/mysql/service; touch /var/lib/mysql/done; exec sleep 600"]
                        .map(str::to_owned)
                        .to_vec(),
                ),
                ..Image::default()
            },
            aliases: Vec::new(),
        }];
        let sandbox = place.sandbox(task).await;
        let text = "ls /all /keys; cat /all/two /keys/password; echo; grep -o '192.0.2.7.*' /etc/hosts | tr '\\t' ' '; \
                    until [ -e /var/lib/mysql/done ]; do sleep 0.2; done; grep -c tmpfs /var/lib/mysql/service; tail -n +2 /var/lib/mysql/service | tr '\\t' ' '; \
                    ls; ls /builds -a | grep -c left; touch left /builds/left";
        let (ended, said) = run_in(&*sandbox, script(text)).await;
        assert!(ended.exit.success(), "{said}");
        let wanted = "/all:\none\ntwo\n\n/keys:\npassword\nuser\n2p\n192.0.2.7 first.test second.test\n1\n1u192.0.2.7 first.test second.test\n0\n";
        assert_eq!(said, wanted);
        sandbox.teardown().await.expect("is torn down");
    }
    place.ends().await;
    own.end().await;
}

/// Covers: GK-VOL-21, GK-VOL-22, GK-VOL-28, GK-VOL-29
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn keys_of_volumes_are_files_and_unknown_ones_fail_the_job() {
    let own = Own::new().await;
    files(&own).await;
    for (kind, name, key) in [("config_map", "files", "one"), ("secret", "keys", "user")] {
        for (key, known) in [(key, true), ("nowhere", false)] {
            let place = place(&format!(
                "namespace = {:?}\npoll_timeout = {}\n[[kubernetes.volumes.{kind}]]\nname = {name:?}\nmount_path = \"/some\"\n[kubernetes.volumes.{kind}.items]\n{key} = \"sub/file\"\n",
                own.name,
                if known { 180 } else { 15 },
            ));
            let (made, printed) = place.prepare(task()).await;
            assert_eq!(made.is_ok(), known, "{printed}");
            match made {
                Ok(sandbox) => {
                    let (_, said) = run_in(&*sandbox, script("cd /some; find -L . -type f | grep -v '/\\.\\.'")).await;
                    assert_eq!(said, "./sub/file\n");
                    sandbox.teardown().await.expect("is torn down");
                }
                Err(error) => assert!(
                    printed.contains("references non-existent"),
                    "{}: {printed}",
                    chain(&error)
                ),
            }
            place.ends().await;
        }
    }
    own.end().await;
}

/// Covers: GK-HOOK-04, GK-HOOK-05, GK-HOOK-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn hooks_run_when_the_container_starts_and_before_it_ends() {
    let own = Own::new().await;
    let server = json!({"metadata": {"name": "web"}, "spec": {"containers": [{
        "name": "web", "image": busybox(), "imagePullPolicy": "IfNotPresent",
        "command": ["sh", "-c", "mkdir /www; echo x > /www/start; echo x > /www/stop; exec httpd -f -vv -p 8080 -h /www"]}]}});
    let pods: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    pods.create(
        &PostParams::default(),
        &serde_json::from_value(server).expect("is a pod"),
    )
    .await
    .expect("is made");
    let address = loop {
        let pod = pods.get("web").await.expect("is there");
        let status = pod.status.unwrap_or_default();
        let runs = status.container_statuses.iter().flatten().any(|one| one.ready);
        match status.pod_ip.filter(|_| runs) {
            Some(address) => break address,
            None => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    };
    let lifecycle = |hook: &str, handler: &str| format!("[kubernetes.container_lifecycle.{hook}.{handler}]\n");
    let http = |hook: &str, path: &str| {
        format!(
            "{}host = {address:?}\nport = 8080\npath = \"/{path}\"\n",
            lifecycle(hook, "http_get")
        )
    };
    let exec = format!(
        "{}command = [\"sh\", \"-c\", \"echo ran > /tmp/hook\"]\n",
        lifecycle("post_start", "exec")
    );
    for (start, wanted) in [(exec, "ran\n"), (http("post_start", "start"), "")] {
        let place = place(&format!(
            "namespace = {:?}\n{start}{}",
            own.name,
            http("pre_stop", "stop")
        ));
        let sandbox = place.sandbox(task()).await;
        let (_, said) = run_in(&*sandbox, script("cat /tmp/hook 2>/dev/null || true")).await;
        assert_eq!(said, wanted);
        sandbox.teardown().await.expect("is torn down");
        place.ends().await;
    }
    let began = Instant::now();
    loop {
        let log = pods.logs("web", &LogParams::default()).await.expect("is read");
        if log.contains("/start") && log.matches("/stop").count() >= 2 {
            break;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{log}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    // The cluster takes such a hook, and then cannot do it: the job is told.
    let socket = format!(
        "{}host = {address:?}\nport = 8080\n",
        lifecycle("post_start", "tcp_socket")
    );
    // The hook fails at once: a program that is asked to end before it can hear it ends after the pod's grace, 30 s.
    let place = place(&format!("namespace = {:?}\npoll_timeout = 90\n{socket}", own.name));
    let (made, printed) = place.prepare(task()).await;
    let error = chain(&made.err().expect("is not done"));
    assert!(error.contains("post_start"), "{error}: {printed}");
    place.ends().await;
    own.end().await;
}

/// A namespace whose policy is the strictest: without rights everything works, and what the configuration adds is refused.
///
/// Covers: GK-CAP-06, GK-HLP-01, GK-DIRS-02
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn the_policy_of_the_namespace_is_kept_and_wins() {
    let own = Own::new().await;
    let namespaces: Api<Namespace> = Api::all(own.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    namespaces
        .patch(&own.name, &PatchParams::default(), &patch)
        .await
        .expect("is set");
    let keys = format!(
        "namespace = {:?}\nallow_privilege_escalation = false\ncap_drop = [\"ALL\"]\nlogs_base_dir = \"/tmp\"\nscripts_base_dir = \"/tmp\"\n",
        own.name
    );
    let context = "[kubernetes.pod_security_context]\nrun_as_non_root = true\nrun_as_user = 59417\nrun_as_group = 0\n\
                   [kubernetes.pod_security_context.seccomp_profile]\ntype = \"RuntimeDefault\"\n";
    let fits = place(&format!("{keys}{context}"));
    let sandbox = fits.sandbox(task()).await;
    let folder = sandbox.paths().project.join("made");
    let (ended, said) = run_in(&*sandbox, Command::guest(Request::MakeFolder { folder })).await;
    assert!(
        ended.response.is_some_and(|response| response.failure.is_none()),
        "{said}"
    );
    let (ended, said) = run_in(
        &*sandbox,
        script("id -u; id -g; touch made/file; ls -d /tmp/logs-*/ | wc -l"),
    )
    .await;
    assert!(ended.exit.success() && said == "59417\n0\n1\n", "{said}");
    sandbox.teardown().await.expect("is torn down");
    fits.ends().await;

    let more = place(&format!("{keys}cap_add = [\"SYS_ADMIN\"]\n{context}"));
    let (made, _) = more.prepare(task()).await;
    let error = made.err().expect("is refused");
    assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
    assert!(
        chain(&error).contains("SYS_ADMIN") && chain(&error).contains("violates PodSecurity"),
        "{}",
        chain(&error)
    );
    more.ends().await;
    own.end().await;
}

/// Covers: GK-RTC-01
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_runtime_class_that_is_not_there_fails_the_job() {
    let place = place("runtime_class_name = \"myclass\"");
    let (made, _) = place.prepare(task()).await;
    let error = made.err().expect("is not there");
    assert!(matches!(error, Error::Configuration { .. }), "{}", chain(&error));
    assert!(chain(&error).contains("myclass"), "{}", chain(&error));
    place.ends().await;
}
