//! Runner processes: what signals and settings do to them.

use std::io::{Read as _, Write as _};
use std::path::PathBuf;
use std::process::{Child, Stdio};

use crate::exec::signal;
use crate::server::Up;
use crate::world::{World, wait_for};

/// A runner process; killed when a test fails.
struct Runner<'a> {
    world: &'a World,
    child: Child,
    log: PathBuf,
}

impl Drop for Runner<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

impl<'a> Runner<'a> {
    fn start(world: &'a World, name: &str, args: &[&str], variables: &[(&str, &str)]) -> Self {
        let log = world.path(&format!("{name}.log"));
        let file = std::fs::File::create(&log).unwrap();
        let mut command = world.tasuki(world.folder.path(), &[&["runner"], args].concat());
        let child = command
            .envs(variables.iter().copied())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Self { world, child, log }
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    #[track_caller]
    fn wait_for_words(&self, words: &str) {
        wait_for(&format!("{words:?} in {}", self.log.display()), || {
            self.log().contains(words).then_some(())
        });
    }

    fn signal(&self, name: &str) {
        signal(self.child.id(), name);
    }

    fn ended(&mut self) -> i32 {
        let code = wait_for("the runner's end", || self.child.try_wait().unwrap());
        code.code().unwrap_or(-1)
    }
}

const CONFIG: &str = "workflow: {rules: [{if: $CASE}]}\n\
    work:\n  tags: [outer]\n  script:\n    - touch $FLAGS/started-$CASE\n    \
    - while [ ! -e $FLAGS/go-$CASE ]; do sleep 0.05; done\n";

const OWN: &[&str] = &["--signals", "tasuki"];

/// Command, further arguments, signals that are sent while a job runs, and whether the job may end by itself then.
const CASES: [(&str, &[&str], &[&str], bool); 8] = [
    ("run", &[], &["QUIT"], true),
    ("run", &[], &["TERM"], false),
    ("run", &[], &["QUIT", "TERM"], false),
    ("run", OWN, &["TERM"], true),
    ("run", OWN, &["INT", "TERM"], false),
    ("run-single", &[], &["TERM"], false),
    ("run-single", &[], &["QUIT"], true),
    ("run-single", OWN, &["TERM"], true),
];

/// gitlab-runner's meaning of the signals, which is the default, and tasuki's: both commands, both ways to end.
#[test]
fn signals_drain_or_cancel() {
    let world = World::new();
    let repository = world.repository("app", &[(".gitlab-ci.yml", CONFIG)]);
    let up = Up::start(&world);
    up.run(&["project", "add", repository.to_str().unwrap()]).expect(0);
    let token = up.run(&["runner", "create", "outer", "--tag", "outer"]).expect(0).out;
    let file = format!(
        "[[runners]]\nname = \"outer\"\nurl = \"{}\"\ntoken = \"{}\"\nexecutor = \"shell\"\n",
        up.url,
        token.trim()
    );
    std::fs::write(world.path("runner.toml"), file).unwrap();
    let run = ["--config", "runner.toml"];
    let single = ["--url", &up.url, "--token", token.trim(), "--executor", "shell"];
    for (number, (command, more, signals, finishes)) in (1..).zip(CASES) {
        let settings = if command == "run" { &run[..] } else { &single };
        let args = [&[command], settings, more].concat();
        let runner = Runner::start(&world, &format!("case-{number}"), &args, &[]);
        check(&up, runner, signals, finishes, number);
    }
    assert_eq!(up.stop(), 0);
}

fn check(up: &Up<'_>, mut runner: Runner<'_>, signals: &[&str], finishes: bool, pipeline: i64) {
    let name = pipeline;
    let flags = runner.world.folder.path();
    let (case_variable, flags_variable) = (format!("CASE={name}"), format!("FLAGS={}", flags.display()));
    let wish = [
        "pipeline",
        "run",
        "local/app",
        "--var",
        &case_variable,
        "--var",
        &flags_variable,
    ];
    up.run(&wish).expect(0);
    wait_for(&format!("{name}: the job"), || {
        flags.join(format!("started-{name}")).exists().then_some(())
    });
    for (sent, signal) in signals.iter().enumerate() {
        runner.signal(signal);
        let last = sent + 1 == signals.len();
        runner.wait_for_words(if last && !finishes {
            "running jobs are ended"
        } else {
            "no more jobs are taken"
        });
    }
    if finishes {
        assert!(
            runner.child.try_wait().unwrap().is_none(),
            "{name}: it waits for its job"
        );
        std::fs::write(flags.join(format!("go-{name}")), "").unwrap();
    }
    assert_eq!(runner.ended(), 0, "{name}: {}", runner.log());
    if finishes {
        up.wait_for_pipeline(pipeline, "success");
        return;
    }
    assert!(
        runner.log().contains("reason=\"runner_interrupted\""),
        "{name}: {}",
        runner.log()
    );
    // The server was told: it would try again on the next runner.
    let id = up.wait_for_pipeline(pipeline, "pending");
    up.run(&["pipeline", "cancel", &id.to_string()]).expect(0);
}

/// A configuration with a runner whose server is not there.
fn unreachable(head: &str) -> String {
    format!("{head}[[runners]]\nname = \"a\"\nurl = \"http://127.0.0.1:9\"\ntoken = \"glrt-a\"\nexecutor = \"shell\"\n")
}

#[test]
fn the_log_follows_the_configuration_and_the_command_line_goes_first() {
    let world = World::new();
    let file = world.path("runner.toml");
    let write = |head: &str| std::fs::write(&file, unreachable(head)).unwrap();
    let run = &["run", "--config", "runner.toml"][..];
    let start = |name: &str, args: &[&str], variables: &[(&str, &str)]| {
        Runner::start(&world, name, &[args, run].concat(), variables)
    };

    // Read again: the level and the form change while it runs.
    write("log_level = \"error\"\nlog_format = \"json\"\n");
    let mut quiet = start("quiet", &[], &[]);
    wait_for("the process", || world.path(".runner_system_id").exists().then_some(()));
    write("log_level = \"info\"\nlog_format = \"json\"\n");
    quiet.signal("HUP");
    quiet.wait_for_words("settings read again");
    let log = quiet.log();
    assert!(!log.contains("asking for jobs"), "an information of before: {log}");
    for line in log.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    }
    write("log_level = \"loud\"\n");
    quiet.signal("HUP");
    quiet.wait_for_words("the settings cannot be used");
    write("log_level = \"info\"\nlog_format = \"runner\"\nconcurrent = 2\n");
    quiet.signal("HUP");
    wait_for("a line of text", || {
        let log = quiet.log();
        log.lines()
            .last()
            .is_some_and(|line| !line.starts_with('{'))
            .then_some(())
    });
    quiet.signal("TERM");
    assert_eq!(quiet.ended(), 0);

    write("log_level = \"error\"\n");
    for (name, args, variables) in [
        ("flag", &["--log-level", "info"][..], &[][..]),
        ("short", &["-l", "warn"], &[("LOG_LEVEL", "error")]),
        ("debug", &["--debug"], &[]),
        ("variable", &[], &[("LOG_LEVEL", "info")]),
        ("debug-variable", &[], &[("RUNNER_DEBUG", "1")]),
        ("own-variable", &[], &[("TASUKI_LOG", "info")]),
        ("form", &["--log-level", "info"], &[("LOG_FORMAT", "json")]),
    ] {
        let mut runner = start(name, args, variables);
        runner.wait_for_words(if name == "short" {
            "the request for work failed"
        } else {
            "asking for jobs"
        });
        assert_eq!(runner.log().starts_with('{'), name == "form", "{}", runner.log());
        assert_eq!(
            runner.log().contains(" INFO "),
            !matches!(name, "short" | "form"),
            "{name}"
        );
        runner.signal("TERM");
        assert_eq!(runner.ended(), 0, "{name}");
    }
    for (args, variables) in [
        (&["--log-level", "loud"][..], &[][..]),
        (&[], &[("LOG_LEVEL", "loud")]),
        (&[], &[("LOG_FORMAT", "xml")]),
        (&["--log-format", "xml"], &[]),
    ] {
        let mut refused = start("refused", args, variables);
        assert_eq!(refused.ended(), 2, "{}", refused.log());
    }
}

/// One request of HTTP/1.0; head and body of the answer.
fn ask(address: &str, line: &str) -> String {
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "{line} HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn a_runner_shows_what_it_does() {
    let world = World::new();
    std::fs::write(world.path("runner.toml"), unreachable("concurrent = 3\n")).unwrap();
    let args = ["run", "--config", "runner.toml", "--listen-address", "127.0.0.1:0"];
    let mut runner = Runner::start(&world, "listening", &args, &[]);
    runner.wait_for_words("metrics are served");
    let log = runner.log();
    let address = log.split("address=").nth(1).unwrap().split_whitespace().next().unwrap();
    wait_for("a failed request for work", || {
        let figures = ask(address, "GET /metrics");
        let failed = "gitlab_runner_api_request_statuses_total{endpoint=\"request_job\",status=\"-1\",method=\"POST\"}";
        assert!(figures.contains("gitlab_runner_concurrent 3\n"), "{figures}");
        figures.contains(failed).then_some(())
    });
    for (line, status, body) in [
        ("GET /health/ready", "200", "ready\n"),
        ("HEAD /metrics", "200", ""),
        ("GET /debug/jobs/list", "200", ""),
        ("GET /debug/process/state", "200", "running\n"),
        ("POST /metrics", "405", "only GET and HEAD\n"),
        ("GET /other", "404", "not found\n"),
    ] {
        let answer = ask(address, line);
        let (head, shown) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.lines().next().unwrap().contains(status), "{line}: {answer}");
        assert_eq!(shown, body, "{line}");
        assert_eq!(head.contains("x-list-version: 2"), line.contains("jobs/list"), "{head}");
    }
    runner.signal("TERM");
    assert_eq!(runner.ended(), 0);
}

#[test]
fn lint_ends_with_1_for_problems_and_2_for_no_file() {
    let world = World::new();
    let lint = |args: &[&str]| world.run(world.folder.path(), &[&["runner", "lint"], args].concat());
    std::fs::write(world.path("good.toml"), unreachable("concurrent = 2\n")).unwrap();
    std::fs::write(world.path("bad.toml"), unreachable("concurent = 2\n")).unwrap();
    lint(&["good.toml"]).expect(0);
    let bad = lint(&["--config", "bad.toml"]).expect(1);
    assert!(
        bad.out
            .contains("bad.toml:1:1: nothing reads the key concurent; did you mean concurrent?"),
        "{}",
        bad.out
    );
    lint(&["none.toml"]).expect(2);
}
