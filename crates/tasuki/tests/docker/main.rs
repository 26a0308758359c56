//! `exec` and `up` with containers, on the engine that `TASUKI_TEST_DOCKER` names; `cargo xtask test docker` starts one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[expect(dead_code, reason = "made for more commands than these tests use")]
#[path = "../cli/world.rs"]
mod world;

mod circleci;
mod workflows;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Command, Stdio};

use world::World;

const IMAGE: &str = "tasuki-test/small:1";

fn host() -> String {
    std::env::vars()
        .find_map(|(key, value)| (key == "TASUKI_TEST_DOCKER").then_some(value))
        .expect("TASUKI_TEST_DOCKER names the engine; run `cargo xtask test docker`")
}

#[expect(clippy::disallowed_methods, reason = "the tests play the user")]
fn run(program: &str, args: &[&str]) -> String {
    let out = Command::new(program).args(args).output().unwrap();
    assert!(
        out.status.success(),
        "{program} {args:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8_lossy(&out.stdout).into_owned()
}

/// An image of BusyBox alone: neither git nor a C library. Made once: each import leaves the one before without a name.
fn image(world: &World) {
    static MADE: std::sync::Once = std::sync::Once::new();
    MADE.call_once(|| import(world));
}

fn import(world: &World) {
    let root = world.path("root");
    for folder in ["bin", "tmp", "root"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    let binary = ["/bin/busybox", "/usr/bin/busybox"]
        .into_iter()
        .find(|path| Path::new(path).exists());
    std::fs::copy(binary.expect("busybox-static"), root.join("bin/busybox")).unwrap();
    for applet in run("busybox", &["--list"])
        .lines()
        .filter(|applet| *applet != "busybox")
    {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).unwrap();
    }
    let (root, tar) = (root.display().to_string(), world.path("root.tar").display().to_string());
    run("tar", &["-C", &root, "-cf", &tar, "."]);
    run(
        "docker",
        &["--host", &host(), "import", "--change", "ENV PATH=/bin", &tar, IMAGE],
    );
}

/// Containers, networks and volumes of jobs.
fn left() -> String {
    let filter = "label=io.tasuki.sandbox";
    ["ps -aq", "network ls -q", "volume ls -q"]
        .map(|command| {
            let words: Vec<&str> = command.split(' ').collect();
            run(
                "docker",
                &[&["--host", &host()], &words[..], &["--filter", filter]].concat(),
            )
        })
        .concat()
}

/// Runs `exec` with containers in a repository of these files; exit code, and all that was printed.
#[track_caller]
fn exec(world: &World, files: &[(&str, &str)], args: &[&str]) -> (Option<i32>, String) {
    image(world);
    let dir = world.repository("app", files);
    let all = [&["exec", "--executor", "docker", "--docker-image", IMAGE], args].concat();
    let mut command = world.tasuki(&dir, &all);
    let out = command.env("DOCKER_HOST", host()).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    (out.status.code(), text)
}

/// Everything is said, and nothing is left.
#[track_caller]
fn says(text: &str, all: &[&str]) {
    for wanted in all {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(left(), "");
}

const CONFIG: &str = "\
build:
  script: [echo built on $(busybox | head -1 | cut -d' ' -f1), cat new.txt > out.txt]
  artifacts: {paths: [out.txt]}
  cache: {key: deps, paths: [deps]}
test:
  needs: [build]
  image: tasuki-test/small:1
  script: [cat out.txt, test -e .git && echo has history]
  after_script: [echo status $CI_JOB_STATUS]
";

/// Covers: CM-DOCK-01
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn exec_runs_the_dirty_folder_in_containers() {
    let world = World::new();
    image(&world);
    let dir = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    std::fs::write(dir.join("new.txt"), "not committed\n").unwrap();
    let mut command = world.tasuki(&dir, &["exec", "--executor", "docker", "--docker-image", IMAGE]);
    let out = command.env("DOCKER_HOST", host()).output().unwrap();
    let text = format!(
        "{}{}",
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(out.status.code(), Some(0), "{text}");
    for wanted in ["built on BusyBox", "not committed", "has history", "status success"] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
    assert_eq!(left(), "");
}

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn up_checks_out_over_http_and_leaves_nothing() {
    let world = World::new();
    image(&world);
    let config = CONFIG.replace("cat new.txt", "cat committed");
    let dir = world.repository(
        "app",
        &[(".gitlab-ci.yml", &config), ("committed", "from the repository\n")],
    );
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--executor",
        "docker",
        "--docker-image",
        IMAGE,
    ];
    let mut command = world.tasuki(world.folder.path(), &args);
    let log = std::fs::File::create(world.path("up.log")).unwrap();
    let mut up = command
        .env("DOCKER_HOST", host())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("ready ")));
    let here = world.folder.path();
    world
        .run(
            here,
            &["project", "add", &dir.display().to_string(), "--name", "group/app"],
        )
        .expect(0);
    let ran = world.run(here, &["pipeline", "run", "group/app", "--wait"]);
    run("kill", &["-INT", &up.id().to_string()]);
    let ended = up.wait().unwrap();
    let said = std::fs::read_to_string(world.path("up.log")).unwrap();
    assert_eq!(ran.code, 0, "{} {} {said}", ran.out, ran.err);
    assert!(ended.success(), "{said}");
    assert_eq!(left(), "");
}

/// Killed with everything in mid-job: the command that an operator has finds all of it, and says so.
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn sweep_finds_what_a_killed_runner_left() {
    let world = World::new();
    image(&world);
    let config = "build:\n  script: [echo runs, sleep 1000]\n";
    let dir = world.repository("app", &[(".gitlab-ci.yml", config)]);
    let here = world.folder.path();
    let args = [
        "up",
        "--listen",
        "127.0.0.1:0",
        "--executor",
        "docker",
        "--docker-image",
        IMAGE,
    ];
    let mut command = world.tasuki(here, &args);
    let log = std::fs::File::create(world.path("up.log")).unwrap();
    let mut up = command
        .env("DOCKER_HOST", host())
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .unwrap();
    let lines = BufReader::new(up.stdout.take().unwrap()).lines();
    assert!(lines.map_while(Result::ok).any(|line| line.starts_with("ready ")));
    let add = ["project", "add", &dir.display().to_string(), "--name", "group/app"];
    world.run(here, &add).expect(0);
    world.run(here, &["pipeline", "run", "group/app"]).expect(0);
    let began = std::time::Instant::now();
    let running = "label=com.gitlab.gitlab-runner.type=build";
    while run("docker", &["--host", &host(), "ps", "-q", "--filter", running]).is_empty() {
        let said = || std::fs::read_to_string(world.path("up.log")).unwrap();
        assert!(began.elapsed().as_secs() < 120, "no job runs: {}", said());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    up.kill().unwrap();
    up.wait().unwrap();
    assert_ne!(left(), "");
    let file = world.path("config.toml");
    let text = format!(
        "[[runners]]\nname = \"a\"\nurl = \"http://127.0.0.1:1\"\ntoken = \"glrt-a\"\nexecutor = \"docker\"\n\
         [runners.docker]\nhost = \"{}\"\nimage = \"{IMAGE}\"\n",
        host()
    );
    std::fs::write(&file, text).unwrap();
    let sweep = ["runner", "sweep", "--check", "--config", &file.display().to_string()];
    let swept = world.run(here, &sweep);
    assert_eq!(swept.code, 0, "{} {}", swept.out, swept.err);
    assert!(
        !swept.out.contains("removed 0 sandboxes") && swept.out.contains("nothing of a job is left"),
        "{}",
        swept.out
    );
    assert_eq!(left(), "");
}
