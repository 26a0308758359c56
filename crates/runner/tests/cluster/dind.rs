//! A container engine in a job's pod: this machine's own, in an image of its files.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use sha2::{Digest as _, Sha256};
use tasuki_model::plan::{Image, Service, Variable};

use crate::cluster::{left, load, place, run_in, script, unique, variable};
use crate::conformance::task;

/// Of the daemon, of its client, and a shell for both.
const PROGRAMS: [&str; 6] = [
    "dockerd",
    "containerd",
    "containerd-shim-runc-v2",
    "runc",
    "docker",
    "busybox",
];

fn found(name: &str) -> Option<PathBuf> {
    let path = variable("PATH").unwrap_or_default();
    let folders = path.split(':').chain(["/usr/sbin", "/sbin"]);
    folders
        .map(|folder| Path::new(folder).join(name))
        .find(|file| file.is_file())
}

/// The libraries that a program's loader finds, and the loader.
#[expect(clippy::disallowed_methods, reason = "a test beside the executor")]
fn libraries(program: &Path) -> Vec<String> {
    let told = Command::new("ldd").arg(program).output().expect("is started").stdout;
    let told = String::from_utf8_lossy(&told).into_owned();
    let words = told.split_whitespace().filter(|word| word.starts_with('/'));
    words.map(str::to_owned).collect()
}

/// An image of them; the error is the program that is not there.
fn engine(name: &str) -> Result<Vec<u8>, &'static str> {
    let mut files = BTreeMap::new();
    for program in PROGRAMS {
        let file = found(program).ok_or(program)?;
        for library in libraries(&file) {
            files.insert(library.clone(), PathBuf::from(library));
        }
        files.insert(format!("/bin/{program}"), file);
    }
    let mut layer = tar::Builder::new(Vec::new());
    for (place, file) in files {
        let mut header = tar::Header::new_gnu();
        let bytes = std::fs::read(file).expect("is read");
        header.set_mode(0o755);
        header.set_size(bytes.len() as u64);
        let place = place.trim_start_matches('/');
        layer.append_data(&mut header, place, &bytes[..]).expect("is added");
    }
    for applet in ["sh", "cp", "mkdir", "tar", "printf", "cat"] {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Symlink);
        header.set_mode(0o777);
        header.set_size(0);
        layer
            .append_link(&mut header, format!("bin/{applet}"), "busybox")
            .expect("is added");
    }
    let layer = layer.into_inner().expect("is whole");
    let digest: String = Sha256::digest(&layer)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let config = serde_json::json!({
        "architecture": architecture, "os": "linux", "config": {"Env": ["PATH=/bin"]},
        "rootfs": {"type": "layers", "diff_ids": [format!("sha256:{digest}")]},
    });
    let manifest = serde_json::json!([{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]);
    let mut image = tar::Builder::new(Vec::new());
    for (place, bytes) in [
        ("config.json", config.to_string().as_bytes()),
        ("layer.tar", &layer),
        ("manifest.json", manifest.to_string().as_bytes()),
    ] {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(bytes.len() as u64);
        image.append_data(&mut header, place, bytes).expect("is added");
    }
    Ok(image.into_inner().expect("is whole"))
}

/// As the user guide has it, without TLS: a daemon as a service, waited for at its port; the job builds an image there and runs it.
///
/// Covers: GK-DIND-03, GK-DIND-05, GK-DIND-06
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
async fn a_job_builds_and_runs_images_with_a_daemon_beside_it() {
    let name = format!("tasuki.test/{}:1", unique("engine"));
    match engine(&name) {
        Ok(archive) => load(&archive),
        Err(program) => {
            println!("SKIPPED: this machine has no {program}, of which the image of the daemon is made");
            return;
        }
    }
    let place = place(&format!("privileged = true\nimage = {name:?}\n"));
    let mut task = task();
    // The containers of this daemon have no network: that needs more of the node's kernel than its tests.
    let daemon = "exec dockerd --host=tcp://0.0.0.0:2375 --tls=false --bridge=none --iptables=false";
    task.services = vec![Service {
        image: Image {
            name,
            command: Some(["sh", "-c", daemon].map(str::to_owned).to_vec()),
            variables: vec![Variable::plain("HEALTHCHECK_TCP_PORT", "2375")],
            ..Image::default()
        },
        aliases: vec!["docker".to_owned()],
    }];
    let sandbox = place.sandbox(task).await;
    let text = "export DOCKER_HOST=tcp://docker:2375 DOCKER_BUILDKIT=0; mkdir -p root/bin; cp /bin/busybox root/bin/\n\
                tar -C root -c . | docker import - base:1 >/dev/null\n\
                printf 'FROM base:1\\nRUN [\"/bin/busybox\", \"touch\", \"/made\"]\\n' > root/Dockerfile\n\
                docker build --network none -t own:1 root\n\
                docker run --rm --network none own:1 /bin/busybox ls /made";
    let (ended, said) = run_in(&*sandbox, script(text)).await;
    assert!(ended.exit.success() && said.ends_with("/made\n"), "{said}");
    sandbox.teardown().await.expect("is torn down");
    left(&place).await;
    place.ends().await;
}
