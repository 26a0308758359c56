//! `tasuki up` and the commands that talk to it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Stdio};

use serde_json::Value;

use crate::exec::signal;
use crate::world::{Ended, World, wait_for};

/// A server with a runner; killed when a test fails.
pub(crate) struct Up<'a> {
    world: &'a World,
    child: Child,
    pub(crate) url: String,
}

impl Drop for Up<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'a> Up<'a> {
    pub(crate) fn start(world: &'a World) -> Self {
        Self::start_with(world, 2)
    }

    pub(crate) fn start_with(world: &'a World, slots: u32) -> Self {
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(world.path("up.log"))
            .unwrap();
        let slots = slots.to_string();
        let args = ["up", "--listen", "127.0.0.1:0", "--slots", &slots];
        let mut command = world.tasuki(world.folder.path(), &args);
        let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
        let out = BufReader::new(child.stdout.take().unwrap());
        let ready = out
            .lines()
            .map_while(Result::ok)
            .find(|line| line.starts_with("ready http://"));
        let Some(ready) = ready else {
            panic!("{}", std::fs::read_to_string(world.path("up.log")).unwrap());
        };
        let url = ready.trim_start_matches("ready ").to_owned();
        Self { world, child, url }
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ended {
        self.world.run(self.world.folder.path(), args)
    }

    pub(crate) fn json(&self, args: &[&str]) -> Value {
        self.run(&[args, &["--json"]].concat()).expect(0).json()
    }

    /// The newest pipelines, newest first.
    pub(crate) fn pipelines(&self) -> Vec<Value> {
        self.json(&["pipeline", "list"]).as_array().unwrap().clone()
    }

    /// Waits until the newest pipeline is number `n` of its project and has this status.
    #[track_caller]
    pub(crate) fn wait_for_pipeline(&self, n: i64, status: &str) -> i64 {
        wait_for(&format!("pipeline {n} to be {status}"), || {
            let all = self.pipelines();
            let found = all.iter().find(|pipeline| pipeline["iid"] == n)?;
            (found["status"] == status).then(|| found["id"].as_i64().unwrap())
        })
    }

    /// Waits until the project's newest pipeline of this ref and source has ended.
    #[track_caller]
    pub(crate) fn wait_for_end(&self, project: &str, name: &str, source: &str) -> i64 {
        wait_for(&format!("a pipeline of {project} {name} to end"), || {
            let all = self.json(&["pipeline", "list", project]);
            let mut all = all.as_array().unwrap().iter();
            let found = all.find(|pipeline| pipeline["ref"] == name && pipeline["source"] == source)?;
            (!found["finished_at"].is_null()).then(|| found["id"].as_i64().unwrap())
        })
    }

    pub(crate) fn jobs(&self, pipeline: i64) -> Vec<Value> {
        self.json(&["job", "list", &pipeline.to_string()])
            .as_array()
            .unwrap()
            .clone()
    }

    pub(crate) fn job(&self, pipeline: i64, name: &str) -> String {
        let jobs = self.jobs(pipeline);
        jobs.iter().find(|job| job["name"] == name).unwrap()["id"].to_string()
    }

    pub(crate) fn stop(mut self) -> i32 {
        signal(self.child.id(), "INT");
        self.child.wait().unwrap().code().unwrap()
    }
}

const CONFIG: &str = "stages: [make, use]\n\
    make:\n  stage: make\n  script:\n    - echo \"made by $GITLAB_USER_NAME\" | tee made.txt\n  artifacts: {paths: [made.txt]}\n\
    use:\n  stage: use\n  script: [cat made.txt]\n\
    hand:\n  stage: use\n  when: manual\n  script: [echo \"by hand $HOW\"]\n";

fn config_with(more: &str) -> String {
    format!("{CONFIG}{more}")
}

#[test]
fn a_local_project_goes_green_by_itself_and_survives_a_restart() {
    let world = World::new();
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    let up = Up::start(&world);
    let location = repository.to_str().unwrap();
    up.run(&["project", "add", location]).expect(0);
    up.run(&["project", "add", location]).expect(2);
    assert_eq!(up.json(&["project", "list"])[0]["path"], "local/app");

    // The present branch is built at once, every further commit by itself.
    let first = up.wait_for_pipeline(1, "success");
    let log = up.run(&["job", "log", &up.job(first, "use")]).expect(0).out;
    assert!(log.contains("made by Ada"), "{log}");
    world.commit(&repository, &[("a", "1")], "Second");
    let second = up.wait_for_pipeline(2, "success");
    world.git(&repository, &["tag", "v1"]);
    up.wait_for_pipeline(3, "success");
    world.commit(&repository, &[("a", "2")], "Third [skip ci]");
    up.wait_for_pipeline(4, "skipped");

    artifacts(&up, &world, second);
    let hand = up.job(second, "hand");
    up.run(&["job", "play", &hand, "--var", "HOW=now"]).expect(0);
    let played = up.run(&["job", "log", "-f", &hand]).expect(0).out;
    assert!(played.contains("by hand now"), "{played}");

    let token = std::fs::metadata(world.path("data/admin.token")).unwrap();
    assert_eq!(
        std::os::unix::fs::PermissionsExt::mode(&token.permissions()) & 0o777,
        0o600
    );
    assert_eq!(up.stop(), 0);

    // What happened while no server ran is built now; what was built is not built again.
    world.commit(&repository, &[("a", "3")], "While nobody looked");
    let up = Up::start(&world);
    up.wait_for_pipeline(5, "success");
    assert_eq!(up.pipelines().len(), 5);
    up.run(&["project", "remove", "local/app"]).expect(0);
    assert_eq!(up.pipelines().len(), 0);
    assert!(
        repository.join(".gitlab-ci.yml").exists(),
        "the repository is not touched"
    );
    assert_eq!(up.stop(), 0);
}

fn artifacts(up: &Up<'_>, world: &World, pipeline: i64) {
    let out = world.path("downloads");
    let make = up.job(pipeline, "make");
    up.run(&["job", "artifacts", &make, "-o", out.to_str().unwrap()])
        .expect(0);
    let file = std::fs::read_dir(&out).unwrap().next().unwrap().unwrap().path();
    let mut zip = zip::ZipArchive::new(std::fs::File::open(file).unwrap()).unwrap();
    let text = std::io::read_to_string(zip.by_name("made.txt").unwrap()).unwrap();
    assert_eq!(text, "made by Ada\n");
}

#[test]
fn cancel_retry_and_outcomes() {
    let world = World::new();
    let more = "slow:\n  stage: make\n  needs: []\n  script: ['test -e \"$FLAG\" || sleep 600']\n";
    let config = config_with(more);
    let repository = world.repository("app", &[(".gitlab-ci.yml", &config)]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap(), "--name", "acme/app"])
        .expect(0);
    let id = wait_for("a running job", || {
        let first = up.pipelines().first()?["id"].as_i64()?;
        up.jobs(first)
            .iter()
            .any(|job| job["name"] == "slow" && job["status"] == "running")
            .then_some(first)
    });
    up.run(&["pipeline", "cancel", &id.to_string()]).expect(0);
    up.wait_for_pipeline(1, "canceled");

    // A retry runs what was canceled with the same settings: it is canceled by its job this time.
    up.run(&["pipeline", "retry", &id.to_string()]).expect(0);
    let slow = up.job(id, "slow");
    wait_for("the job to run again", || {
        up.jobs(id)
            .iter()
            .find(|job| job["name"] == "slow" && job["status"] == "running")
            .map(drop)
    });
    up.run(&["job", "cancel", &slow]).expect(0);
    up.wait_for_pipeline(1, "canceled");

    let flag = world.path("flag");
    std::fs::write(&flag, "").unwrap();
    let flag = format!("FLAG={}", flag.display());
    let run = up
        .run(&["pipeline", "run", "acme/app", "--var", &flag, "--wait"])
        .expect(0);
    assert!(run.out.contains("made by"), "the logs are shown: {}", run.out);
    world.commit(
        &repository,
        &[(".gitlab-ci.yml", "a: {script: [exit 7]}\n")],
        "Break it",
    );
    let failed = up.run(&["pipeline", "run", "acme/app", "--wait"]).expect(1);
    assert!(failed.out.contains("exit code 7"), "{}", failed.out);
    world.commit(&repository, &[(".gitlab-ci.yml", "a: {scirpt: x}\n")], "Break it more");
    let invalid = up.run(&["pipeline", "run", "acme/app"]).expect(2);
    assert!(
        invalid.err.contains(".gitlab-ci.yml:1:1") && invalid.err.contains("did you mean"),
        "{}",
        invalid.err
    );
    up.run(&["pipeline", "run", "acme/none"]).expect(2);
    up.run(&["pipeline", "run", "acme/app", "--ref", "none"]).expect(2);
    up.run(&["job", "log", "999"]).expect(2);
    // The push of the same broken file is recorded, since nobody was there to be told.
    wait_for("the failed pipeline of the push", || {
        up.pipelines()
            .iter()
            .find(|p| p["source"] == "push" && p["status"] == "failed" && p["counts"]["total"] == 0)
            .map(drop)
    });
}

#[test]
fn tokens_and_resource_classes() {
    let world = World::new();
    let up = Up::start(&world);
    let token = up.run(&["token", "create", "script", "--scope", "read"]).expect(0).out;
    let served: Value = serde_json::from_slice(&std::fs::read(world.path("data/server.json")).unwrap()).unwrap();
    let as_script = |args: &[&str]| {
        let mut command = world.tasuki(Path::new("/"), args);
        command
            .env("TASUKI_DATA", "/nowhere")
            .env("TASUKI_URL", served["url"].as_str().unwrap());
        command
            .env("TASUKI_TOKEN", token.trim())
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(as_script(&["project", "list"]), Some(0));
    assert_eq!(as_script(&["project", "add", "/"]), Some(2), "a reader cannot add");
    let id = up
        .json(&["token", "list"])
        .as_array()
        .unwrap()
        .iter()
        .find(|t| t["name"] == "script")
        .unwrap()["id"]
        .to_string();
    up.run(&["token", "delete", &id]).expect(0);
    assert_eq!(as_script(&["project", "list"]), Some(2));

    up.run(&["resource-class", "create", "acme/large"]).expect(0);
    assert_eq!(up.json(&["resource-class", "list"])[0]["name"], "acme/large");
    up.run(&["resource-class", "delete", "acme/large"]).expect(2);
    up.run(&["resource-class", "delete", "acme/large", "--force"]).expect(0);
}

#[test]
fn a_runner_is_made_and_registered_by_commands_alone() {
    let world = World::new();
    let up = Up::start(&world);
    let token = up
        .run(&["runner", "create", "builder", "--tag", "linux", "--tag", "large"])
        .expect(0)
        .out;
    let (token, config) = (token.trim(), world.path("config.toml"));
    assert!(token.starts_with("glrt-"), "{token}");
    let served: Value = serde_json::from_slice(&std::fs::read(world.path("data/server.json")).unwrap()).unwrap();
    let url = served["url"].as_str().unwrap();
    let register = ["runner", "register", "--non-interactive", "--executor", "shell"];
    let place = ["--config", config.to_str().unwrap(), "--url", url];
    up.run(&[&register[..], &place, &["--token", token]].concat()).expect(0);
    assert!(std::fs::read_to_string(&config).unwrap().contains(token));
    up.run(&[&register[..], &place, &["--token", "glrt-wrong"]].concat())
        .expect(1);
}

/// A secret is in no process list and is shown to nobody; the job has it all the same.
#[test]
fn variables_reach_the_jobs() {
    let world = World::new();
    let script = "a:\n  script: ['test \"$SECRET\" = not-to-be-seen', 'echo \"$SECRET in $REGION\"']\n";
    let repository = world.repository(
        "app",
        &[(
            ".gitlab-ci.yml",
            &format!("workflow: {{rules: [{{if: $CI_PIPELINE_SOURCE == 'api'}}]}}\n{script}"),
        )],
    );
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap(), "--name", "acme/app"])
        .expect(0);
    up.run(&["variable", "set", "acme/app", "REGION", "--value", "eu-1"])
        .expect(0);
    let mut set = world.tasuki(
        world.folder.path(),
        &["variable", "set", "acme/app", "SECRET", "--masked"],
    );
    let mut set = set.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    std::io::Write::write_all(&mut set.stdin.take().unwrap(), b"not-to-be-seen\n").unwrap();
    assert!(set.wait().unwrap().success());
    let shown = up.json(&["variable", "list", "acme/app"]);
    assert_eq!(shown[0]["value"], "eu-1");
    assert_eq!((&shown[1]["masked"], &shown[1]["value"]), (&true.into(), &Value::Null));

    let run = up.run(&["pipeline", "run", "acme/app", "--wait"]).expect(0);
    assert!(run.out.contains("[MASKED] in eu-1"), "{}", run.out);
    assert!(!run.out.contains("not-to-be-seen"), "{}", run.out);
    up.run(&["variable", "set", "acme/app", "SHORT", "--value", "x", "--masked"])
        .expect(2);
    up.run(&["variable", "delete", "acme/app", "REGION"]).expect(0);
    up.run(&["variable", "delete", "acme/app", "REGION"]).expect(2);
}

#[test]
fn a_backup_of_a_live_server_comes_back() {
    let world = World::new();
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    let id = up.wait_for_pipeline(1, "success");
    let log = up.run(&["job", "log", &up.job(id, "make")]).expect(0).out;
    let file = world.path("backup.zip");
    let file = file.to_str().unwrap();
    let written = up.json(&["admin", "backup", file]);
    assert!(written["rows"].as_u64().unwrap() > 10, "{written}");
    assert_eq!(up.stop(), 0);
    std::fs::rename(world.path("data"), world.path("lost")).unwrap();
    world.run(world.folder.path(), &["admin", "restore", file]).expect(0);
    world.run(world.folder.path(), &["admin", "restore", file]).expect(3);
    let up = Up::start(&world);
    assert_eq!(up.run(&["job", "log", &up.job(id, "make")]).expect(0).out, log);
    artifacts(&up, &world, id);
    assert_eq!(up.pipelines().len(), 1, "nothing is built again");
    assert_eq!(up.stop(), 0);
}

#[test]
fn one_data_folder_has_one_server() {
    let world = World::new();
    let up = Up::start(&world);
    let second = world
        .run(world.folder.path(), &["up", "--listen", "127.0.0.1:0", "--slots", "0"])
        .expect(2);
    assert!(second.err.contains("another tasuki"), "{}", second.err);
    assert_eq!(up.stop(), 0);
}
