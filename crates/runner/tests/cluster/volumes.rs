//! Volumes that live with their pods or longer, what containers share, and where the pod's own folders lie.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;
use tasuki_model::plan::{Image, Service};
use tasuki_runner::executor::Command;
use tasuki_runner::guest::Request;

use crate::account::Own;
use crate::cluster::{busybox, chain, helper_archive, left, load, place, run_in, script, unique};
use crate::conformance::task;

fn claims(own: &Own) -> Api<PersistentVolumeClaim> {
    Api::namespaced(own.client.clone(), &own.name)
}

fn volumes(client: &Client) -> Api<PersistentVolume> {
    Api::all(client.clone())
}

async fn names_of_claims(own: &Own) -> Vec<String> {
    let all = claims(own)
        .list(&ListParams::default())
        .await
        .expect("are listed")
        .items;
    all.iter().map(kube::ResourceExt::name_any).collect()
}

/// Of the node, for the volumes of a namespace.
fn folder(namespace: &str) -> String {
    format!("/var/tmp/tasuki-test-volumes-{namespace}")
}

/// A volume for a claim: a folder of the node.
fn volume(name: &str, class: &str, claim: (&str, &str)) -> serde_json::Value {
    json!({"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name, "labels": {"tasuki.test/class": class}}, "spec": {
        "capacity": {"storage": "1Gi"}, "accessModes": ["ReadWriteOnce"], "storageClassName": class,
        "persistentVolumeReclaimPolicy": "Retain", "claimRef": {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "namespace": claim.0, "name": claim.1},
        "hostPath": {"path": format!("{}/{name}", folder(claim.0)), "type": "DirectoryOrCreate"}}})
}

/// What provisions volumes of a class in a cluster that has it: makes one for each claim, and removes it after the claim.
async fn provision(own: &Own, class: &str) {
    let volumes = volumes(&own.client);
    let params = ListParams::default().labels(&format!("tasuki.test/class={class}"));
    loop {
        // In this order: a volume whose claim is not there afterwards is nobody's.
        let there = volumes.list(&params).await.expect("are listed").items;
        let wanted = claims(own)
            .list(&ListParams::default())
            .await
            .expect("are listed")
            .items;
        let wanted = wanted
            .iter()
            .filter(|claim| claim.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref()) == Some(class));
        let wanted: BTreeMap<String, &PersistentVolumeClaim> = wanted
            .map(|claim| (format!("pv-{}", claim.uid().expect("has one")), claim))
            .collect();
        let known: BTreeSet<String> = there.iter().map(kube::ResourceExt::name_any).collect();
        for (name, claim) in &wanted {
            if claim.metadata.deletion_timestamp.is_none() && !known.contains(name) {
                own.make(&[volume(name, class, (&own.name, &claim.name_any()))]).await;
            }
        }
        for name in known.iter().filter(|name| !wanted.contains_key(*name)) {
            // One that was told to go a moment ago may be gone by now.
            match volumes.delete(name, &DeleteParams::default()).await {
                Ok(_) => {}
                Err(kube::Error::Api(status)) if status.code == 404 => {}
                Err(error) => panic!("{name} is not removed: {error}"),
            }
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// A claim that a patch adds to the pod: its volume comes with the pod and goes with it, where something in the cluster provides
/// volumes. Without that no pod starts, and the log says what it waits for.
///
/// Covers: GK-PS-26, GK-PS-27
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn an_ephemeral_volume_lives_as_long_as_its_pod() {
    let own = Own::new().await;
    let class = unique("tasuki-test");
    let storage = [
        json!({"apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "metadata": {"name": class},
        "provisioner": "tasuki.test/provisioner", "volumeBindingMode": "Immediate"}),
    ];
    own.make(&storage).await;
    let patch = json!({
        "containers": [
            {"name": "build", "volumeMounts": [{"name": "ephemeral", "mountPath": "/builds"}]},
            {"name": "helper", "volumeMounts": [{"name": "ephemeral", "mountPath": "/builds"}]},
        ],
        "volumes": [{"name": "ephemeral", "ephemeral": {"volumeClaimTemplate": {"spec": {
            "storageClassName": class, "accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}}}}],
    });
    let section = |timeout: u32| {
        format!(
            "namespace = {:?}\npoll_timeout = {timeout}\npoll_interval = 1\n[[kubernetes.pod_spec]]\nname = \"ephemeral\"\npatch = '''{patch}'''\n",
            own.name
        )
    };
    let mut flagged = task();
    flagged.variables = vec![("FF_USE_ADVANCED_POD_SPEC_CONFIGURATION".to_owned(), "true".to_owned())];

    let waits = place(&section(4));
    let (made, printed) = waits.prepare(flagged.clone()).await;
    let error = chain(&made.err().expect("nothing provides it"));
    assert!(
        error.contains("poll_timeout") && error.contains("PersistentVolumeClaim"),
        "{error}: {printed}"
    );
    left(&waits).await;
    waits.ends().await;

    let place = place(&section(60));
    let job = async {
        let mut volumes_of_jobs = Vec::new();
        for _ in 0..2 {
            let sandbox = place.sandbox(flagged.clone()).await;
            let found = claims(&own)
                .list(&ListParams::default())
                .await
                .expect("are listed")
                .items;
            let found: Vec<_> = found
                .iter()
                .filter(|claim| claim.metadata.deletion_timestamp.is_none())
                .collect();
            assert_eq!(found.len(), 1, "the claim is the pod's own");
            volumes_of_jobs.push(
                found[0]
                    .spec
                    .clone()
                    .and_then(|spec| spec.volume_name)
                    .expect("is bound"),
            );
            let folder = sandbox.paths().project.join("made/by/helper");
            let (ended, said) = run_in(&*sandbox, Command::guest(Request::MakeFolder { folder })).await;
            assert!(
                ended.response.is_some_and(|response| response.failure.is_none()),
                "{said}"
            );
            let look = "ls -A /builds | grep -c left; touch /builds/left; ls -d made/by/helper; grep -c ' /builds ' /proc/mounts";
            let (_, said) = run_in(&*sandbox, script(look)).await;
            assert_eq!(
                said, "0\nmade/by/helper\n1\n",
                "a new one for each job, of both containers"
            );
            sandbox.teardown().await.expect("is torn down");
            let began = Instant::now();
            loop {
                let there = volumes(&own.client)
                    .list(&ListParams::default().labels(&format!("tasuki.test/class={class}")))
                    .await;
                let there = there.expect("are listed").items.len();
                if there == 0 && names_of_claims(&own).await.is_empty() {
                    break;
                }
                assert!(began.elapsed() < Duration::from_secs(60), "{there} volumes are left");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        volumes_of_jobs
    };
    let volumes_of_jobs = tokio::select! {
        volumes = job => volumes,
        () = provision(&own, &class) => unreachable!("it goes on"),
    };
    assert_ne!(volumes_of_jobs[0], volumes_of_jobs[1]);
    left(&place).await;
    place.ends().await;
    own.remove(&storage).await;
    drop(std::fs::remove_dir_all(folder(&own.name)));
    own.end().await;
}

/// The runner uses the claims that somebody has made, one for each slot, and makes none.
///
/// Covers: GK-VOL-50
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn claims_of_slots_are_made_by_people() {
    let own = Own::new().await;
    let place = place(&format!(
        "namespace = {:?}\npoll_timeout = 30\npoll_interval = 1\n[[kubernetes.volumes.pvc]]\nname = \"build-pvc-$CI_CONCURRENT_ID\"\nmount_path = \"/builds\"\n",
        own.name
    ));
    let slot = |slot: u32| {
        let mut task = task();
        task.variables = vec![("CI_CONCURRENT_ID".to_owned(), slot.to_string())];
        task
    };
    let mut made = Vec::new();
    for number in 0..4 {
        let (claim, name) = (format!("build-pvc-{number}"), unique("tasuki-test-slot"));
        let volume = volume(&name, "", (&own.name, &claim));
        own.make(&[
            volume.clone(),
            json!({"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": {"name": claim, "namespace": own.name}, "spec": {
                "accessModes": ["ReadWriteOnce"], "storageClassName": "", "volumeName": name, "resources": {"requests": {"storage": "1Gi"}}}}),
        ])
        .await;
        made.push(volume);
    }
    let before = names_of_claims(&own).await;
    assert_eq!(before, ["build-pvc-0", "build-pvc-1", "build-pvc-2", "build-pvc-3"]);
    for round in 0..2 {
        let jobs = (0..4).map(async |number| {
            let sandbox = place.sandbox(slot(number)).await;
            let text = format!("cat /builds/slot 2>/dev/null; echo {number} >> /builds/slot");
            let (_, said) = run_in(&*sandbox, script(&text)).await;
            assert_eq!(said, format!("{number}\n").repeat(round), "its own, and still there");
            sandbox.teardown().await.expect("is torn down");
        });
        futures_util::future::join_all(jobs).await;
    }
    let (failed, printed) = place.prepare(slot(4)).await;
    let error = chain(&failed.err().expect("nobody has made a fifth"));
    assert!(
        format!("{error}{printed}").contains("build-pvc-4"),
        "{error}: {printed}"
    );
    assert_eq!(names_of_claims(&own).await, before);
    left(&place).await;
    place.ends().await;
    own.remove(&made).await;
    drop(std::fs::remove_dir_all(folder(&own.name)));
    own.end().await;
}

/// Covers: GK-DIND-04
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn containers_share_their_address_and_the_volumes_that_both_mount() {
    let own = Own::new().await;
    let place = place(&format!(
        "namespace = {:?}\n[[kubernetes.volumes.empty_dir]]\nname = \"certs\"\nmount_path = \"/certs/client\"\nmedium = \"Memory\"\n",
        own.name
    ));
    let mut task = task();
    // As a daemon does: its socket where every one has it, its certificates where the client is told to look.
    let daemon = "mkdir -p /var/run; : > /var/run/docker.sock; echo cert > /certs/client/ca.pem; mkdir /www; echo daemon > /www/index.html; \
                  ls /var/run/docker.sock > /certs/client/own; exec httpd -f -p 2375 -h /www";
    task.services = vec![Service {
        image: Image {
            name: busybox(),
            command: Some(["sh", "-c", daemon].map(str::to_owned).to_vec()),
            variables: vec![tasuki_model::plan::Variable::plain("HEALTHCHECK_TCP_PORT", "2375")],
            ..Image::default()
        },
        aliases: vec!["docker".to_owned()],
    }];
    let sandbox = place.sandbox(task).await;
    let pods: Api<Pod> = Api::namespaced(own.client.clone(), &own.name);
    let pod = pods
        .list(&ListParams::default())
        .await
        .expect("are listed")
        .items
        .remove(0);
    let address = pod.status.and_then(|status| status.pod_ip).expect("has one");
    let look = format!(
        "ls /var/run/docker.sock 2>/dev/null; cat /certs/client/ca.pem /certs/client/own; wget -q -O - http://docker:2375; \
         wget -q -O - http://{address}:2375; ls /www 2>/dev/null; for at in /proc/[0-9]*; do tr '\\0' ' ' < $at/cmdline; done | grep -c '[h]ttpd -f -p'"
    );
    let (_, said) = run_in(&*sandbox, script(&look)).await;
    assert_eq!(said, "cert\n/var/run/docker.sock\ndaemon\ndaemon\n0\n");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}

/// A base that the image has keeps its owner and its other files. What an image lacks is made by this cluster's container runtime, for
/// root: nobody else may count on it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn folders_lie_below_a_base_that_the_image_has() {
    for (base, wanted) in [("/tmp", "1777 0\n1\n"), ("/not/in/the/image", "755 0\n1\n")] {
        let place = place(&format!("logs_base_dir = {base:?}\nscripts_base_dir = {base:?}\n"));
        let sandbox = place.sandbox(task()).await;
        let (_, said) = run_in(
            &*sandbox,
            script(&format!("stat -c '%a %u' {base}; ls -d {base}/logs-*/ | wc -l")),
        )
        .await;
        assert_eq!(said, wanted, "{base}");
        sandbox.teardown().await.expect("is torn down");
        left(&place).await;
        place.ends().await;
    }
}

/// An image whose own user is nobody of importance, in a namespace where nobody may be root, with no user in the configuration.
///
/// Covers: GK-HLP-03
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_helper_image_without_root_works() {
    let own = Own::new().await;
    let namespaces: Api<k8s_openapi::api::core::v1::Namespace> = Api::all(own.client.clone());
    let patch = Patch::Merge(json!({"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}));
    namespaces
        .patch(&own.name, &PatchParams::default(), &patch)
        .await
        .expect("is set");
    let name = format!("tasuki.test/{}:1", unique("nonroot"));
    load(&helper_archive(&name, Some("59417:59417".parse().expect("is one"))));
    // The job's image is the same: it has a shell, too.
    let place = place(&format!(
        "namespace = {:?}\nimage = {name:?}\nhelper_image = {name:?}\nallow_privilege_escalation = false\ncap_drop = [\"ALL\"]\n\
         [kubernetes.pod_security_context]\nrun_as_non_root = true\n[kubernetes.pod_security_context.seccomp_profile]\ntype = \"RuntimeDefault\"\n",
        own.name
    ));
    let sandbox = place.sandbox(task()).await;
    let folder = sandbox.paths().project.join("made");
    let (ended, said) = run_in(&*sandbox, Command::guest(Request::MakeFolder { folder })).await;
    assert!(
        ended.response.is_some_and(|response| response.failure.is_none()),
        "{said}"
    );
    let look = "grep -E '^(Uid|Gid):' /proc/self/status | tr '\\t' ' '; grep nonroot /etc/passwd | cut -d: -f3,4; echo text > made/file; cat made/file; git --version | cut -c1-3";
    let (ended, said) = run_in(&*sandbox, script(look)).await;
    assert!(ended.exit.success(), "{said}");
    let ids = "59417 59417 59417 59417";
    assert_eq!(said, format!("Uid: {ids}\nGid: {ids}\n59417:59417\ntext\ngit\n"));
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
    own.end().await;
}
