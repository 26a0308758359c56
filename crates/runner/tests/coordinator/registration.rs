//! The commands against the coordinator: what they send, what they write, how they end.

use std::io::Cursor;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _, Parser};
use tasuki_rt::{Clock, Tasks};
use tasuki_runner::commands::{self, Context, ProgramLog, RunnerCommand};
use tasuki_runner::config::{ConfigFile, Environment, LogFormat, LogLevel};
use tasuki_runner::process::Binary;

use super::bench::{Bench, payload};
use super::fake::Phase;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: RunnerCommand,
}

/// The commands as where no variable is set: these tests may run in a job, which has many that the commands read.
fn without_environment(command: clap::Command) -> clap::Command {
    command
        .mut_args(|argument| argument.env(Resettable::Reset))
        .mut_subcommands(without_environment)
}

/// Takes what a command prints.
#[derive(Clone, Default)]
struct Out(Arc<Mutex<Vec<u8>>>);

impl std::io::Write for Out {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of the tests is the test runner's.
struct NoLog;

impl ProgramLog for NoLog {
    fn configure(&self, _level: Option<LogLevel>, _format: Option<LogFormat>) {}
}

/// A folder with a configuration.
struct Desk {
    bench: Bench,
}

struct Ended {
    /// Exit code.
    code: u8,
    /// What was printed, and the error.
    shown: String,
}

impl Desk {
    async fn new() -> Self {
        Self {
            bench: Bench::new().await,
        }
    }

    fn config(&self) -> PathBuf {
        self.bench.dir.path().join("etc/config.toml")
    }

    fn file(&self) -> String {
        std::fs::read_to_string(self.config()).unwrap_or_default()
    }

    /// Runs `runner <line>`; `{url}` stands for the coordinator.
    async fn run(&self, line: &str, answers: Option<&str>) -> Ended {
        let line = line.replace("{url}", &self.bench.fake.url());
        let config = self.config().display().to_string();
        let words = ["runner"]
            .into_iter()
            .chain(line.split_whitespace())
            .chain(["--config", &config]);
        let parsed = without_environment(Cli::command())
            .try_get_matches_from(words)
            .and_then(|matches| Cli::from_arg_matches(&matches));
        let cli = parsed.unwrap_or_else(|error| panic!("{line}: {error}"));
        let out = Out::default();
        let mut context = Context {
            environment: Environment::default(),
            clock: Clock::manual(1_767_323_045_000),
            tasks: Tasks::new(),
            out: Box::new(out.clone()),
            input: answers.map(|text| Box::new(Cursor::new(text.to_owned())) as _),
            working_dir: self.bench.dir.path().join("work"),
            unit_dir: self.bench.dir.path().join("units"),
            binary: Some(Binary::at(env!("CARGO_BIN_EXE_tasuki-guest"))),
            log: Arc::new(NoLog),
        };
        std::fs::create_dir_all(&context.working_dir).unwrap();
        let result = Box::pin(commands::run(cli.command, &mut context)).await;
        let mut shown = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        let code = match result {
            Ok(()) => 0,
            Err(error) => {
                shown.push_str(&error.to_string());
                error.exit_code()
            }
        };
        Ended { code, shown }
    }

    async fn registered(&self) {
        let ended = self
            .run(
                "register -n --url {url} --token glrt-t1_abcdefghijk --executor shell --name one",
                None,
            )
            .await;
        assert_eq!(ended.code, 0, "{}", ended.shown);
    }
}

/// Covers: GM-REG-01
#[tokio::test]
async fn a_runner_that_was_made_on_the_server_is_verified_and_stored() {
    let desk = Desk::new().await;
    let early = desk.run("run", None).await;
    assert_eq!(
        early.code, 2,
        "nothing is configured before a registration: {}",
        early.shown
    );
    desk.registered().await;
    let verified = desk.bench.fake.lock().verified.clone();
    assert_eq!(verified.len(), 1);
    assert!(
        desk.bench.fake.lock().registered.is_empty(),
        "POST runners is not for glrt- tokens"
    );
    assert!(
        verified[0]["system_id"].as_str().unwrap().len() == 14,
        "{}",
        verified[0]
    );
    let file = desk.file();
    for line in [
        "id = 12",
        "token = \"glrt-t1_abcdefghijk\"",
        "token_obtained_at = 2026-01-02T03:04:05Z",
        "token_expires_at = 2099-01-01T00:00:00Z",
        "executor = \"shell\"",
        "concurrent = 1",
    ] {
        assert!(file.contains(line), "{line} is missing:\n{file}");
    }
    let mode = std::fs::metadata(desk.config()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[tokio::test]
async fn server_settings_are_refused_with_a_token_and_ignored_in_old_scripts() {
    let desk = Desk::new().await;
    let base = "register -n --url {url} --executor shell";
    let ended = desk
        .run(&format!("{base} --token glrt-abc --tag-list a,b --locked"), None)
        .await;
    assert_eq!(ended.code, 2, "{}", ended.shown);
    assert!(ended.shown.contains("--locked, --tag-list"), "{}", ended.shown);
    let ended = desk
        .run(&format!("{base} --registration-token glrt-abc --tag-list a,b"), None)
        .await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    assert!(ended.shown.contains("--tag-list ignored"), "{}", ended.shown);
}

#[tokio::test]
async fn a_token_of_an_older_server_is_verified_too() {
    let desk = Desk::new().await;
    let ended = desk
        .run("register -n --url {url} --token oldrunnertoken --executor shell", None)
        .await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    assert_eq!(desk.bench.fake.lock().verified.len(), 1);
    assert!(desk.bench.fake.lock().registered.is_empty());
}

#[tokio::test]
async fn a_registration_token_makes_a_runner() {
    let desk = Desk::new().await;
    let line = "register -n --url {url} --registration-token registration-token --executor shell --tag-list a,b \
                --locked=false --access-level ref_protected --maximum-timeout 600 --limit 3 --env A=1 --env B=2";
    let ended = desk.run(line, None).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    let sent = desk.bench.fake.lock().registered[0].clone();
    assert_eq!(sent["tag_list"], "a,b");
    assert_eq!((&sent["run_untagged"], &sent["locked"]), (&false.into(), &false.into()));
    assert_eq!(
        (&sent["access_level"], &sent["maximum_timeout"]),
        (&"ref_protected".into(), &600.into())
    );
    let file = desk.file();
    assert!(
        file.contains("t1_fromregistration") && file.contains("limit = 3") && file.contains("\"A=1\""),
        "{file}"
    );
}

/// Covers: GM-REG-02
/// Covers: GM-REG-04
#[tokio::test]
async fn an_executor_of_another_machine_is_written_down_at_the_prompt() {
    let desk = Desk::new().await;
    let answers = format!("{}\nglrt-t1_abc\nscaler\ndocker+machine\n", desk.bench.fake.url());
    let ended = desk.run("register", Some(&answers)).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    let edited = format!("{}[runners.machine]\nMachineDriver = \"amazonec2\"\n", desk.file());
    std::fs::write(desk.config(), edited).unwrap();
    let config = ConfigFile::load(&desk.config())
        .unwrap()
        .config(&Environment::default())
        .unwrap();
    assert_eq!(config.runners[0].executor, "docker+machine");
    assert!(
        config.runners[0]
            .machine
            .as_ref()
            .unwrap()
            .contains_key("MachineDriver")
    );
}

#[tokio::test]
async fn questions_are_asked_where_somebody_is_there() {
    let desk = Desk::new().await;
    let answers = format!("{}\nregistration-token\nmy runner\n\n\n\n", desk.bench.fake.url());
    let ended = desk.run("register", Some(&answers)).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    assert!(
        desk.file().contains("name = \"my runner\"") && desk.file().contains("executor = \"shell\""),
        "{}",
        desk.file()
    );
    assert_eq!(desk.bench.fake.lock().registered[0]["run_untagged"], true);
}

#[tokio::test]
async fn a_runner_that_cannot_be_stored_is_taken_back() {
    let desk = Desk::new().await;
    let template = desk.bench.dir.path().join("template.toml");
    std::fs::write(&template, "[[runners]]\n[[runners]]\n").unwrap();
    let line = format!(
        "register -n --url {{url}} --registration-token registration-token --executor shell --template-config {}",
        template.display()
    );
    let ended = desk.run(&line, None).await;
    assert_eq!(ended.code, 2, "{}", ended.shown);
    assert_eq!(desk.bench.fake.lock().unregistered.len(), 1);
    let ended = desk.run(&format!("{line} --leave-runner"), None).await;
    assert_eq!(ended.code, 2, "{}", ended.shown);
    assert_eq!(desk.bench.fake.lock().unregistered.len(), 1);
}

#[tokio::test]
async fn a_template_gives_further_keys() {
    let desk = Desk::new().await;
    let template = desk.bench.dir.path().join("template.toml");
    std::fs::write(
        &template,
        "[[runners]]\nexecutor = \"shell\"\nlimit = 7\noutput_limit = 9\n[runners.feature_flags]\nFF_X = true\n",
    )
    .unwrap();
    let line = format!(
        "register -n --url {{url}} --token glrt-abc --limit 2 --template-config {}",
        template.display()
    );
    assert_eq!(desk.run(&line, None).await.code, 0);
    let file = desk.file();
    assert!(
        file.contains("limit = 2\n") && file.contains("output_limit = 9") && file.contains("FF_X = true"),
        "{file}"
    );
}

/// What is given by hand goes into the template's section, and not in its place.
#[tokio::test]
async fn a_template_keeps_the_rest_of_its_sections() {
    for (executor, flag, section) in [
        ("kubernetes", "--kubernetes-helper-image own", "helper_image = \"own\""),
        ("docker", "--docker-pull-policy never", "pull_policy"),
    ] {
        let desk = Desk::new().await;
        let template = desk.bench.dir.path().join("template.toml");
        std::fs::write(
            &template,
            format!("[[runners]]\n[runners.{executor}]\nimage = \"busybox\"\n"),
        )
        .unwrap();
        let line = format!(
            "register -n --url {{url}} --token glrt-abc --executor {executor} {flag} --template-config {}",
            template.display()
        );
        let ended = desk.run(&line, None).await;
        assert_eq!(ended.code, 0, "{}", ended.shown);
        let file = desk.file();
        assert!(file.contains(section) && file.contains("image = \"busybox\""), "{file}");
    }
}

#[tokio::test]
async fn only_a_refusal_removes_a_runner() {
    let desk = Desk::new().await;
    desk.registered().await;
    let listed = desk.run("list", None).await;
    assert!(
        listed.shown.contains("one ") && listed.shown.contains("abcdefghi"),
        "{}",
        listed.shown
    );
    assert!(!listed.shown.contains("glrt-t1_abcdefghijk"), "tokens are shown short");
    assert_eq!(desk.run("verify", None).await.code, 0);
    desk.bench.fake.lock().revoked.push("glrt-t1_abcdefghijk".to_owned());
    assert_eq!(desk.run("verify", None).await.code, 1);
    assert!(desk.file().contains("glrt-"));
    assert_eq!(desk.run("verify --delete", None).await.code, 0);
    assert!(!desk.file().contains("glrt-"), "{}", desk.file());
    assert_eq!(desk.run("verify", None).await.code, 2);
}

#[tokio::test]
async fn unregister_removes_only_this_process_of_a_runner_made_on_the_server() {
    let desk = Desk::new().await;
    desk.registered().await;
    assert_eq!(desk.run("unregister", None).await.code, 2);
    assert_eq!(desk.run("unregister --name other", None).await.code, 2);
    assert_eq!(desk.run("unregister --name one", None).await.code, 0);
    let calls = desk.bench.fake.lock().unregistered.clone();
    assert_eq!(calls[0].0, "runners/managers");
    assert!(calls[0].1["system_id"].is_string());
    assert!(!desk.file().contains("glrt-"));
}

#[tokio::test]
async fn a_token_is_exchanged() {
    let desk = Desk::new().await;
    desk.registered().await;
    assert_eq!(desk.run("reset-token --id 12", None).await.code, 0);
    assert!(desk.file().contains("token = \"glrt-new\""), "{}", desk.file());
}

#[tokio::test]
async fn run_single_ends_after_its_jobs() {
    let desk = Desk::new().await;
    desk.bench.fake.add(1, payload(1, &["true"]));
    desk.bench.fake.add(2, payload(2, &["true"]));
    let line = "run-single --url {url} --token glrt-abc --executor shell --max-builds 1";
    let ended = desk.run(line, None).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    assert_eq!(desk.bench.fake.job(1).phase, Phase::Success);
    assert_eq!(desk.bench.fake.job(2).phase, Phase::Pending);
    desk.bench.fake.set_phase(2, Phase::Success);
    let ended = desk
        .run(
            "run-single --url {url} --token glrt-abc --executor shell --wait-timeout 1",
            None,
        )
        .await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    assert_eq!(desk.run("run-single --url {url} --token glrt-abc", None).await.code, 2);
}

#[tokio::test]
async fn a_service_is_a_unit_file() {
    let desk = Desk::new().await;
    let ended = desk
        .run(
            &format!("install -d {}", desk.bench.dir.path().join("w").display()),
            None,
        )
        .await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    let unit = desk.bench.dir.path().join("units/tasuki-runner.service");
    let text = std::fs::read_to_string(&unit).unwrap();
    assert!(
        text.contains("KillSignal=SIGQUIT") && text.contains("runner run --config "),
        "{text}"
    );
    assert_eq!(desk.run("status", None).await.code, 1);
    assert_eq!(desk.run("stop", None).await.code, 1);
    assert_eq!(desk.run("start", None).await.code, 2);
    assert_eq!(desk.run("install -n ../evil", None).await.code, 2);
    assert_eq!(desk.run("uninstall", None).await.code, 0);
    assert!(!unit.exists());
    assert_eq!(desk.run("uninstall", None).await.code, 2);
}

#[tokio::test]
async fn lint_names_file_line_and_remedy() {
    let desk = Desk::new().await;
    assert_eq!(desk.run("lint", None).await.code, 2, "there is no file");
    desk.registered().await;
    let ended = desk.run("lint", None).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    std::fs::write(desk.config(), desk.file().replace("executor", "exekutor")).unwrap();
    let ended = desk.run("lint", None).await;
    assert_eq!(ended.code, 1, "{}", ended.shown);
    let place = format!("{}:", desk.config().display());
    assert!(
        ended.shown.starts_with(&place) && ended.shown.contains("did you mean executor?"),
        "{}",
        ended.shown
    );
    let other = desk.bench.dir.path().join("other.toml");
    std::fs::write(&other, "concurrent = 0").unwrap();
    let ended = desk.run(&format!("lint {} --json", other.display()), None).await;
    assert_eq!(ended.code, 1, "{}", ended.shown);
    let json = ended.shown.rsplit_once(']').unwrap().0;
    let problems: serde_json::Value = serde_json::from_str(&format!("{json}]")).unwrap();
    assert_eq!(problems[1]["file"], other.display().to_string());
    assert_eq!((&problems[1]["line"], &problems[1]["column"]), (&1.into(), &14.into()));
    assert!(problems[1]["message"].is_string() && problems[1]["hint"].is_string());
}

#[tokio::test]
async fn unknown_keys_survive_and_are_known() {
    let desk = Desk::new().await;
    std::fs::create_dir_all(desk.config().parent().unwrap()).unwrap();
    std::fs::write(desk.config(), "Concurrent = 3\nbuids = 1\n[[runners]]\nname = \"x\"\nToken = \"glrt-x\"\nurl = \"http://h\"\nbuids_dir = \"/b\"\n").unwrap();
    let file = ConfigFile::load(&desk.config()).unwrap();
    let unknown: Vec<_> = file.unknown().iter().map(|key| (key.path.as_str(), key.hint)).collect();
    assert_eq!(unknown, [("buids", None), ("runners[0].buids_dir", Some("builds_dir"))]);
    let config = file.config(&Environment::default()).unwrap();
    assert_eq!((config.concurrent, config.runners[0].token.expose()), (3, "glrt-x"));
    desk.registered().await;
    assert!(desk.file().contains("buids_dir = \"/b\""), "{}", desk.file());
}

#[tokio::test]
async fn a_driver_is_registered_by_flags() {
    let desk = Desk::new().await;
    let line = "register -n --url {url} --token glrt-abc --executor custom --builds-dir /b --cache-dir /c --custom-run-exec /d \
                --custom-run-args run --custom-run-args --fast --custom-cleanup-exec /e --custom-cleanup-exec-timeout 7 \
                --custom-graceful-kill-timeout 9";
    let ended = desk.run(line, None).await;
    assert_eq!(ended.code, 0, "{}", ended.shown);
    let config = desk.file();
    for wanted in [
        "executor = \"custom\"",
        "[runners.custom]",
        "run_exec = \"/d\"",
        "run_args = [\n    \"run\",\n    \"--fast\",\n]",
        "cleanup_exec = \"/e\"",
        "cleanup_exec_timeout = 7",
        "graceful_kill_timeout = 9",
    ] {
        assert!(config.contains(wanted), "{wanted} in {config}");
    }
}
