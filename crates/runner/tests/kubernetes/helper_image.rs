//! `runner kubernetes-helper-image`.

use std::io::Read as _;
use std::sync::Arc;

use tasuki_rt::{Clock, Tasks};
use tasuki_runner::commands::{self, Context, KubernetesHelperImageArgs, ProgramLog, RunnerCommand};
use tasuki_runner::config::{Environment, LogFormat, LogLevel};
use tasuki_runner::executor::helper_image::User;
use tasuki_runner::executor::kubernetes::own_helper_image;
use tasuki_runner::process::Binary;

struct NoLog;

impl ProgramLog for NoLog {
    fn configure(&self, _level: Option<LogLevel>, _format: Option<LogFormat>) {}
}

fn names(archive: &[u8]) -> Vec<String> {
    let mut archive = tar::Archive::new(archive);
    let entries = archive.entries().expect("is an archive");
    entries
        .map(|entry| {
            entry
                .expect("is whole")
                .path()
                .expect("has a name")
                .display()
                .to_string()
        })
        .collect()
}

fn file(archive: &[u8], name: &str) -> Vec<u8> {
    let mut archive = tar::Archive::new(archive);
    let mut entry = archive
        .entries()
        .expect("is an archive")
        .map(|entry| entry.expect("is whole"))
        .find(|entry| entry.path().is_ok_and(|path| path.as_os_str() == name))
        .unwrap_or_else(|| panic!("{name} is there"));
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).expect("can be read");
    bytes
}

fn context(folder: &std::path::Path) -> Context {
    Context {
        environment: Environment::default(),
        clock: Clock::system(),
        tasks: Tasks::new(),
        out: Box::new(std::io::sink()),
        input: None,
        working_dir: folder.to_owned(),
        unit_dir: folder.to_owned(),
        binary: Some(Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"))),
        log: Arc::new(NoLog),
    }
}

/// Gives what the image says of itself, and its files.
async fn made(user: Option<&str>) -> (serde_json::Value, Vec<u8>) {
    let folder = tempfile::tempdir().expect("is made");
    let args = KubernetesHelperImageArgs {
        file: folder.path().join("helper.tar"),
        name: None,
        user: user.map(|user| user.parse().expect("is one")),
    };
    let made = commands::run(RunnerCommand::KubernetesHelperImage(args), &mut context(folder.path())).await;
    made.unwrap_or_else(|error| panic!("{error}"));
    let archive = std::fs::read(folder.path().join("helper.tar")).expect("is written");
    let manifest: serde_json::Value = serde_json::from_slice(&file(&archive, "manifest.json")).expect("is JSON");
    assert_eq!(manifest[0]["RepoTags"], serde_json::json!([own_helper_image()]));
    let config = serde_json::from_slice(&file(&archive, "config.json")).expect("is JSON");
    (config, file(&archive, "layer.tar"))
}

/// The image has the program that makes it, git and a shell, and the name that a runner without `helper_image` asks for.
#[tokio::test]
async fn an_archive_for_a_registry() {
    let (config, layer) = made(None).await;
    assert_eq!(config["config"]["User"], serde_json::Value::Null);
    let program = file(&layer, ".tasuki/tasuki");
    assert!(program == std::fs::read(env!("CARGO_BIN_EXE_tasuki-guest")).expect("is there"));
    let names = names(&layer);
    for wanted in ["git", "sh", "tasuki"] {
        let suffix = format!("bin/{wanted}");
        assert!(
            names.iter().any(|name| name.ends_with(&suffix)),
            "{wanted} in {names:?}"
        );
    }
}

#[tokio::test]
async fn the_image_may_be_nobody_of_importance() {
    for (given, user, passwd, group) in [
        ("59417", "59417:59417", "nonroot:x:59417:59417:", "nonroot:x:59417:"),
        ("1000:0", "1000:0", "nonroot:x:1000:0:", "root:x:0:"),
        ("0:0", "0:0", "root:x:0:0:", "root:x:0:"),
    ] {
        let (config, layer) = made(Some(given)).await;
        assert_eq!(config["config"]["User"], user);
        for (name, wanted) in [("etc/passwd", passwd), ("etc/group", group)] {
            let text = String::from_utf8(file(&layer, name)).expect("is text");
            let last = text.lines().last().expect("has one");
            assert!(last.starts_with(wanted), "{given}: {text}");
        }
    }
    for wrong in ["", "nonroot", "1:", ":1", "-1", "1:1:1", "4294967296"] {
        let error = wrong.parse::<User>().expect_err(wrong);
        assert!(error.contains("UID:GID"), "{error}");
    }
}
