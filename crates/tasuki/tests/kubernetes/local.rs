//! `exec`, `up` and `doctor`.

use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use super::cluster::{busybox, helper, kubeconfig, kubectl, left, program, said};
use super::world::World;

const CONFIG: &str = "\
build:
  script: [echo built on $(busybox | head -1 | cut -d' ' -f1), cat new.txt > out.txt, mkdir deps, touch deps/one]
  artifacts: {paths: [out.txt]}
  cache: {key: deps, paths: [deps]}
test:
  needs: [build]
  script: [cat out.txt, test -e .git && echo has history]
  after_script: [echo status $CI_JOB_STATUS]
";

/// The words that both commands take.
fn executor() -> Vec<String> {
    let words = ["--executor", "kubernetes", "--kubernetes-image"];
    let mut words: Vec<String> = words.map(str::to_owned).to_vec();
    words.extend([busybox(), "--kubernetes-helper-image".to_owned(), helper()]);
    words
}

/// Covers: GK-CFGX-02
#[test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
fn exec_runs_the_dirty_folder_in_pods() {
    let world = World::new();
    let dir = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    std::fs::write(dir.join("new.txt"), "not committed\n").unwrap();
    let words = executor();
    let mut args = vec!["exec"];
    args.extend(words.iter().map(String::as_str));
    let out = world
        .tasuki(&dir, &args)
        .env("KUBECONFIG", kubeconfig())
        .output()
        .unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(out.status.code(), Some(0), "{text}");
    for wanted in ["built on BusyBox", "not committed", "has history", "status success"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(left(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
fn up_checks_out_over_http_and_leaves_nothing() {
    let world = World::new();
    let config = CONFIG.replace("cat new.txt", "cat committed");
    let dir = world.repository(
        "app",
        &[(".gitlab-ci.yml", &config), ("committed", "from the repository\n")],
    );
    let words = executor();
    let mut args = vec!["up", "--listen", "0.0.0.0:0"];
    args.extend(words.iter().map(String::as_str));
    let log = std::fs::File::create(world.path("up.log")).unwrap();
    let mut up = world
        .tasuki(world.folder.path(), &args)
        .env("KUBECONFIG", kubeconfig())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(up.stdout.take().unwrap()).lines();
    let ready = lines.map_while(Result::ok).any(|line| line.starts_with("ready "));
    assert!(ready, "{}", std::fs::read_to_string(world.path("up.log")).unwrap());
    let here = world.folder.path();
    world
        .run(
            here,
            &["project", "add", &dir.display().to_string(), "--name", "group/app"],
        )
        .expect(0);
    let ran = world.run(here, &["pipeline", "run", "group/app", "--wait"]);
    said(program("kill").args(["-INT", &up.id().to_string()]));
    let ended = up.wait().unwrap();
    let told = std::fs::read_to_string(world.path("up.log")).unwrap();
    assert_eq!(ran.code, 0, "{} {} {told}", ran.out, ran.err);
    assert!(ended.success(), "{told}");
    assert_eq!(left(), Vec::<String>::new());
}

#[test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
fn up_refuses_to_listen_where_no_pod_reaches_it() {
    let world = World::new();
    let words = executor();
    let mut args = vec!["up", "--listen", "127.0.0.1:0"];
    args.extend(words.iter().map(String::as_str));
    let mut command = world.tasuki(world.folder.path(), &args);
    let out = command.env("KUBECONFIG", kubeconfig()).output().unwrap();
    let text = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{text}");
    assert!(text.contains("--listen") && text.contains("--pod-address"), "{text}");
}

#[test]
#[ignore = "needs a cluster: cargo xtask test kubernetes"]
fn doctor_names_what_an_account_may_not_do() {
    let world = World::new();
    let config = world.path("runner.toml");
    let account = format!("doctor-{}", std::process::id());
    let text = "[[runners]]\nname = \"pods\"\nurl = \"http://127.0.0.1\"\ntoken = \"t\"\nexecutor = \"kubernetes\"\n\
                [runners.kubernetes]\nnamespace = \"default\"\n";
    std::fs::write(&config, text).unwrap();
    let path = config.display().to_string();
    let printed = world.run(
        world.folder.path(),
        &[
            "runner",
            "kubernetes-rbac",
            "--config",
            &path,
            "--service-account",
            &account,
        ],
    );
    let printed = printed.expect(0).out;
    // Whoever reviews the rights takes one away.
    let less: String = printed
        .lines()
        .filter(|line| line.trim() != "- update")
        .map(|line| format!("{line}\n"))
        .collect();
    assert_ne!(less.lines().count(), printed.lines().count());
    for (rights, code, wanted) in [
        (less.as_str(), 3, "may not update secrets in the namespace default"),
        (printed.as_str(), 0, "the account has all"),
    ] {
        let file = world.path("rights.yaml");
        std::fs::write(&file, rights).unwrap();
        said(&mut kubectl(&["apply", "-f", &file.display().to_string()]));
        let token = said(&mut kubectl(&["create", "token", &account]));
        // The cluster of KUBECONFIG, as that account.
        let own = world.path("kubeconfig");
        std::fs::copy(kubeconfig(), &own).unwrap();
        let own = own.display().to_string();
        said(kubectl(&["config", "set-credentials", "runner", "--token", token.trim()]).env("KUBECONFIG", &own));
        said(kubectl(&["config", "set-context", "--current", "--user", "runner"]).env("KUBECONFIG", &own));
        let mut command = world.tasuki(world.folder.path(), &["doctor", "--json", "--config", &path]);
        let out = command.env("KUBECONFIG", &own).output().unwrap();
        let found: serde_json::Value = serde_json::from_slice(&out.stdout).unwrap();
        let cluster = found
            .as_array()
            .unwrap()
            .iter()
            .find(|one| one["check"] == "cluster")
            .unwrap();
        assert!(cluster["message"].as_str().unwrap().contains(wanted), "{cluster}");
        let remedy = cluster["remedy"].as_str().unwrap_or_default();
        assert_eq!(
            remedy.contains("kubernetes-rbac --name \"pods\""),
            code == 3,
            "{cluster}"
        );
        assert_eq!(out.status.code(), Some(code), "{found}");
    }
    said(&mut kubectl(&["delete", "serviceaccount,role,rolebinding", &account]));
}
