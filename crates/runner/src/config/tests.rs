//! What is accepted, what is refused, and what comes back after writing.

use std::fs;
use std::path::Path;
use std::time::Duration;

use super::{Config, ConfigFile, Environment, Error, LogLevel, lint};

fn load(text: &str) -> Result<Config, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    fs::write(&path, text).unwrap();
    let environment = Environment([("TOKEN".to_owned(), "glrt-secret".to_owned())].into());
    ConfigFile::load(&path)?.config(&environment)
}

#[test]
fn defaults() {
    let config = load("[[runners]]\nname = \"a\"\n").unwrap();
    assert_eq!((config.concurrent, config.check_pause()), (1, Duration::from_secs(3)));
    assert_eq!(config.shutdown_limit(), Duration::from_secs(30));
    assert_eq!(config.connection_age(), Duration::from_secs(900));
    let runner = &config.runners[0];
    assert_eq!((runner.output_bytes(), runner.requests()), (4096 * 1024, 1));
    assert_eq!(
        (runner.unhealthy_limit(), runner.unhealthy_pause()),
        (3, Duration::from_secs(3600))
    );
    assert_eq!(runner.final_tries(), 10);
}

/// Covers: GM-GLOB-02
/// Covers: GM-GLOB-03
/// Covers: GM-RUN-04
#[test]
fn every_key_is_read() {
    let text = r#"
concurrent = 4
check_interval = 5
log_level = "warn"
log_format = "json"
user = "ci"
sentry_dsn = ""
connection_max_age = "5m"
listen_address = ":9252"
shutdown_timeout = 60
labels = { zone = "eu" }
[session_server]
listen_address = "[::]:8093"
session_timeout = 1200
[[runners]]
name = "a"
url = "https://h/"
id = 3
token = "${TOKEN}"
token_obtained_at = 2026-01-01T00:00:00Z
token_expires_at = 0001-01-01T00:00:00Z
tls-ca-file = "/ca"
executor = "shell"
limit = 2
request_concurrency = 3
strict_check_interval = true
output_limit = 8192
unhealthy_interval = "10m"
environment = ["A=$TOKEN"]
pre_build_script = "x"
prepare_timeout = "1h30m"
get_sources_timeout = "10m"
clean_git_config = true
[runners.custom_build_dir]
enabled = true
[runners.feature_flags]
FF_TIMESTAMPS = false
[runners.artifact]
upload_timeout = "2h"
[runners.cache]
Type = "s3"
Shared = true
MaxUploadedArchiveSize = 7
[runners.cache.s3]
BucketName = "b"
DualStack = false
[runners.docker]
image = "ruby"
anything = 1
[[runners.docker.services]]
name = "x"
"#;
    let config = load(text).unwrap();
    let runner = &config.runners[0];
    assert_eq!(runner.token.expose(), "glrt-secret");
    assert_eq!(runner.environment, ["A=$TOKEN"], "only url and token are expanded");
    assert_eq!(runner.prepare_timeout.unwrap().0, Duration::from_secs(5400));
    assert_eq!(runner.cache.s3.as_ref().unwrap().dual_stack, Some(false));
    assert_eq!(runner.docker.as_ref().unwrap().services[0].name, "x");
    assert!(!runner.feature_flags["FF_TIMESTAMPS"]);
    assert!(!format!("{config:?}").contains("glrt-secret"), "a token is not shown");
}

/// Global keys, and what registration has written down, as public examples have them.
///
/// Covers: GK-CFGX-04, GK-CFGX-05, GK-CFGX-06, GK-CFGX-07
#[test]
fn keys_of_the_examples() {
    let head = "concurrent = 4\ncheck_interval = 10\nlog_level = \"debug\"\nshutdown_timeout = 0\nlisten_address = ':9252'\n\
                [session_server]\nsession_timeout = 1800\n[[runners]]\nid = 7\n";
    for (obtained, expires) in [
        ("2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
        ("\"2026-01-01T00:00:00Z\"", "\"0001-01-01T00:00:00Z\""),
    ] {
        let text = format!("{head}token_obtained_at = {obtained}\ntoken_expires_at = {expires}\n");
        let config = load(&text).unwrap();
        assert_eq!((config.concurrent, config.check_pause()), (4, Duration::from_secs(10)));
        assert_eq!(config.log_level, Some(LogLevel::Debug));
        assert_eq!(
            (config.shutdown_timeout, config.shutdown_limit()),
            (0, Duration::from_secs(30))
        );
        assert_eq!(config.listen_address.as_deref(), Some(":9252"));
        assert_eq!(config.session_server.as_ref().unwrap().session_timeout, 1800);
        let runner = &config.runners[0];
        let shown = |at: &Option<toml::value::Datetime>| at.as_ref().map(ToString::to_string);
        assert_eq!(
            shown(&runner.token_obtained_at).as_deref(),
            Some("2026-01-01T00:00:00Z")
        );
        assert_eq!(shown(&runner.token_expires_at).as_deref(), Some("0001-01-01T00:00:00Z"));
        assert_eq!(runner.id, 7);
    }
    for (text, shown) in [("\"\"", None), ("\"soon\"", Some("a date and time like"))] {
        let loaded = load(&format!("[[runners]]\ntoken_expires_at = {text}\n"));
        match shown {
            None => assert_eq!(loaded.unwrap().runners[0].token_expires_at, None),
            Some(words) => assert!(crate::trace::chain(&loaded.unwrap_err()).contains(words)),
        }
    }
}

/// A manager of autoscaled machines, as the public tutorial for EC2 sets one up.
///
/// Covers: GM-MACH-10
/// Covers: GM-RUN-01
/// Covers: GM-DOCK-01
/// Covers: GM-CACHE-03
/// Covers: GM-CACHE-05
/// Covers: GM-CACHE-06
/// Covers: GM-CACHE-07
/// Covers: GM-CACHE-08
/// Covers: GM-CACHE-09
#[test]
fn an_autoscaling_manager() {
    let text = r#"
concurrent = 10
check_interval = 0
[[runners]]
  name = "gitlab-aws-autoscaler"
  url = "https://gitlab.example.com"
  token = "glrt-x"
  executor = "docker+machine"
  limit = 20
  [runners.docker]
    image = "alpine"
    privileged = true
    disable_cache = true
  [runners.cache]
    Type = "s3"
    Shared = true
    [runners.cache.s3]
      ServerAddress = "s3.amazonaws.com"
      AccessKey = "key id"
      SecretKey = "key"
      BucketName = "bucket"
      BucketLocation = "us-west-2"
  [runners.machine]
    IdleCount = 1
    IdleTime = 1800
    MaxBuilds = 10
    MachineDriver = "amazonec2"
    MachineName = "gitlab-docker-machine-%s"
    MachineOptions = ["amazonec2-region=us-central-2", "amazonec2-use-private-address=true"]
    [[runners.machine.autoscaling]]
      Periods = ["* * 9-17 * * mon-fri *"]
      IdleCount = 50
      IdleTime = 3600
      Timezone = "UTC"
    [[runners.machine.autoscaling]]
      Periods = ["* * * * * sat,sun *"]
      IdleCount = 5
      IdleTime = 60
      Timezone = "UTC"
"#;
    let config = load(text).unwrap();
    let runner = &config.runners[0];
    assert_eq!(
        (config.concurrent, runner.limit, runner.executor.as_str()),
        (10, 20, "docker+machine")
    );
    let docker = runner.docker.as_ref().unwrap();
    assert_eq!(
        (docker.image.as_str(), docker.privileged, docker.disable_cache),
        ("alpine", true, true)
    );
    let s3 = runner.cache.s3.as_ref().unwrap();
    assert_eq!((runner.cache.kind.as_str(), runner.cache.shared), ("s3", true));
    assert_eq!(
        (s3.server_address.as_str(), s3.bucket_name.as_str()),
        ("s3.amazonaws.com", "bucket")
    );
    assert_eq!(s3.bucket_location, "us-west-2");
    assert_eq!(s3.access_key.as_ref().unwrap().expose(), "key id");
    assert_eq!(s3.secret_key.as_ref().unwrap().expose(), "key");
    assert_eq!(
        runner.machine.as_ref().unwrap()["autoscaling"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
}

#[test]
fn what_is_refused_says_where() {
    for (text, words) in [
        ("concurrent = 0", "concurrent = 0"),
        ("[[runners]]\nlimit = \"many\"", "limit"),
        ("[[runners]]\nprepare_timeout = \"ten\"", "write it like \"10m\""),
        ("[[runners", "not valid TOML"),
        (
            "concurrent = 1\n[[runners]]\nlimit = \"many\"",
            "config.toml:3:9: runners[0].limit: expected a whole number from 0, found a text",
        ),
        ("log_level = \"loud\"", "use \"debug\" or \"info\""),
        ("log_format = \"xml\"", "config.toml:1:14"),
        ("labels = { zone = \"\" }", "label \"zone\" has a bad value"),
        ("labels = { \"-x\" = \"a\" }", "label \"-x\" has a bad name"),
    ] {
        let error = load(text).unwrap_err();
        let shown = crate::trace::chain(&error);
        assert!(
            shown.contains(words) && shown.contains("config.toml"),
            "{text}: {shown}"
        );
    }
}

/// What `lint` says of a text, a problem a line.
fn linted(text: &str) -> Vec<String> {
    let environment = Environment([("URL".to_owned(), "ftp://h".to_owned())].into());
    lint(text, &environment).iter().map(ToString::to_string).collect()
}

#[test]
fn lint_gives_all_problems_with_their_places() {
    let good = "[[runners]]\nurl = \"http://h\"\ntoken = \"t\"\nexecutor = \"shell\"\n";
    let check = |text: &str, expected: &[&str]| assert_eq!(linted(text), expected, "{text}");
    check(good, &[]);
    check(&good.replace("executor", "Executor"), &[]);
    check(
        &format!("concurrant = 2\n{good}  buids_dir = \"/b\"\n[runners.docker]\nimgae = \"a\"\n[runner]\nx = 1\n"),
        &[
            "1:1: nothing reads the key concurrant; did you mean concurrent?",
            "6:3: nothing reads the key runners[0].buids_dir; did you mean builds_dir?",
            "8:1: nothing reads the key runners[0].docker.imgae; did you mean image?",
            "9:2: nothing reads the key runner; did you mean runners?",
        ],
    );
    check(
        &format!("check_interval = \"3\"\n{good}limit = -1\nenvironment = [1]\n[runners.docker]\nprivileged = 1\n"),
        &[
            "1:18: check_interval: expected a whole number from 0, found a text",
            "6:9: runners[0].limit: out of range: expected a whole number from 0",
            "7:16: runners[0].environment: expected a text, found a whole number",
            "9:14: runners[0].docker.privileged: expected true or false, found a whole number",
        ],
    );
    check(
        &format!("{good}[runners.cache]\nType = \"gcs\"\n"),
        &["5:1: runners[0]: [runners.cache]: there is no section [runners.cache.gcs]"],
    );
    check(
        &good.replace("\"shell\"", "\"custom\""),
        &["1:1: runners[0]: [runners.custom] has no run_exec; name the driver's program that runs scripts"],
    );
    check(
        "concurrent = 0\n[[runners]]\nurl = \"$URL\"\nexecutor = \"shel\"\nshell = \"fish\"\nenvironment = [\"A\"]\n[[runners]]\nurl = 1\n",
        &[
            "1:14: concurrent = 0 would run nothing; set it to the number of jobs at a time",
            "2:1: runners[0]: token is missing: the runner is left out; get one with `tasuki runner register`",
            "3:7: runners[0]: \"ftp://h\" is not the address of a server: write it like https://gitlab.example.com",
            "4:12: runners[0]: executor = \"shel\" is none that this version has: use \"shell\" or \"docker\" or \"kubernetes\" or \"custom\"; did you mean \"shell\"?",
            "5:9: runners[0]: shell = \"fish\" is none that this version has: use \"bash\" or \"sh\"",
            "6:15: runners[0]: environment has an entry without `=`; write each as \"KEY=value\"",
            "7:1: runners[1]: token is missing: the runner is left out; get one with `tasuki runner register`",
            "7:1: runners[1]: executor is missing; set executor to one of shell, docker, kubernetes, custom",
            "8:7: runners[1].url: expected a text, found a whole number",
        ],
    );
    assert!(linted("a = \n[[runners\n").len() >= 2, "all faults of the syntax");
    assert!(
        !linted("[[runners]]\ntoken = [\"glrt-secret\"]\nlimit = \"glrt-secret\"")
            .concat()
            .contains("glrt-secret")
    );
}

#[test]
fn writing_is_all_or_nothing_and_keeps_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("new/config.toml");
    let mut file = ConfigFile::load_or_new(&path).unwrap();
    file.add_runner("name = \"a\"\nmine = { x = 1 }\ntoken = \"t\"".parse().unwrap());
    file.save().unwrap();
    assert!(!file.is_stale());
    let mut again = ConfigFile::load(&path).unwrap();
    again
        .set_token(0, "new", "2026-01-01T00:00:00Z".parse().unwrap(), None)
        .unwrap();
    assert!(
        again
            .set_token(1, "new", "2026-01-01T00:00:00Z".parse().unwrap(), None)
            .is_err()
    );
    again.save().unwrap();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("x = 1") && text.contains("token = \"new\""), "{text}");
    assert_eq!(
        fs::read_dir(path.parent().unwrap()).unwrap().count(),
        1,
        "no temporary file is left"
    );
    assert_eq!(again.remove_runners(|at| at == 0), 1);
}

/// The public runner's own samples, where they are at hand.
#[test]
fn conformance() {
    #[expect(clippy::disallowed_methods, reason = "the one switch of the conformance data")]
    let Ok(root) = std::env::var("TASUKI_CONFORMANCE") else {
        eprintln!("skipped: TASUKI_CONFORMANCE is not set, the samples of config.toml are not at hand");
        return;
    };
    let dir = Path::new(&root).join("gitlab-runner");
    let check = |name: &str| {
        let file = ConfigFile::load(&dir.join(name))?;
        let unknown: Vec<String> = file.unknown().iter().map(|key| key.path.clone()).collect();
        file.config(&Environment::default()).map(|config| (config, unknown))
    };
    let (example, unknown) = check("config.toml.example").unwrap();
    assert_eq!((example.concurrent, example.runners.len(), unknown.len()), (4, 3, 0));
    assert_eq!(check("lint/valid.toml").unwrap().1, Vec::<String>::new());
    assert_eq!(check("lint/misspelled_key.toml").unwrap().1, ["runners[0].buids_dir"]);
    assert_eq!(check("lint/wrong_section.toml").unwrap().1, ["runner"]);
    assert!(check("lint/invalid_syntax.toml").is_err());
    assert_eq!(check("lint/bad_shell.toml").unwrap().0.runners[0].shell, "fish");
    let problems = |name: &str| linted(&fs::read_to_string(dir.join("lint").join(name)).unwrap()).len();
    assert_eq!(problems("valid.toml"), 0);
    for name in [
        "bad_shell.toml",
        "invalid_syntax.toml",
        "misspelled_key.toml",
        "wrong_section.toml",
    ] {
        assert!(problems(name) > 0, "{name}");
    }
}
