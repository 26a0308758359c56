//! `tasuki exec` against a server: the same pipelines, and every difference is a fault.
//!
//! `parity/*.yml` are the pipelines. Each is run by `exec` in its folder and by a server that has the folder as a
//! project. Compared are: which jobs there are and in which order they began; every job's status; its whole log as a
//! person reads it, line by line, but for the fetching of the source; the environment that `dump.sh` saw at each
//! place; the outcome of the pipeline and the exit code. What cannot be equal (ids, tokens, times, ports, folders)
//! is replaced by a word first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use base64::Engine as _;
use regex::Regex;
use serde_json::Value;

use crate::server::Up;
use crate::world::World;

/// How a pipeline starts: the second word of a `# start:` line.
#[derive(Debug, Clone)]
enum Start {
    Push,
    Tag(String),
    Api { branch: String, variables: Vec<String> },
}

/// What one of the two made of a pipeline.
#[derive(Debug, Default)]
struct Run {
    status: String,
    code: i32,
    /// In the order in which they began; those that never did by name behind them.
    jobs: Vec<Job>,
}

#[derive(Debug, Default)]
struct Job {
    name: String,
    status: String,
    log: Vec<String>,
    environments: Vec<BTreeMap<String, String>>,
}

#[test]
fn exec_does_what_a_server_does() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/parity");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    assert!(files.len() >= 10, "the pipelines are there: {files:?}");
    let world = World::new();
    let up = Up::start_with(&world, 1);
    let mut differences = Vec::new();
    for file in files {
        let name = file.file_stem().unwrap().to_str().unwrap();
        let config = std::fs::read_to_string(&file).unwrap();
        let start = start_of(&config);
        let dir = repository(&world, name, &config, &start);
        let by_server = by_server(&up, &world, &dir, name, &start);
        let by_exec = by_exec(&world, &dir, &start, &[]);
        // Who asks for a pipeline is the token's owner there, the commit's author here.
        let asked = matches!(start, Start::Api { .. });
        let same = |found: &String| !(asked && found.contains(": GITLAB_USER_"));
        let found = compare(&by_exec, &by_server).into_iter().filter(same);
        differences.extend(found.map(|found| format!("{name}: {found}")));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

/// The comparison sees one variable more, one line more and another status.
#[test]
fn a_difference_is_seen() {
    let world = World::new();
    let config = "job:\n  script: [sh dump.sh, 'exit ${CODE:-0}']\n";
    let dir = repository(&world, "app", config, &Start::Push);
    let run = |args: &[&str]| by_exec(&world, &dir, &Start::Push, args);
    assert_eq!(compare(&run(&[]), &run(&[])), Vec::<String>::new());
    let found = compare(&run(&["--var", "CODE=1"]), &run(&[])).join("\n");
    for part in [
        "CODE",
        "pipeline",
        "exit code",
        "job failed against success",
        "ERROR: Job failed",
    ] {
        assert!(found.contains(part), "{part} in {found}");
    }
}

fn start_of(config: &str) -> Start {
    let line = config.lines().find_map(|line| line.strip_prefix("# start: "));
    let words: Vec<_> = line.unwrap_or("push").split(' ').map(str::to_owned).collect();
    match words[0].as_str() {
        "push" => Start::Push,
        "tag" => Start::Tag(words[1].clone()),
        "api" => Start::Api {
            branch: words[1].clone(),
            variables: words[2..].to_vec(),
        },
        other => panic!("unknown start {other}"),
    }
}

fn repository(world: &World, name: &str, config: &str, start: &Start) -> PathBuf {
    let dump = "echo \"ENV $(env -0 | sort -z | base64 -w0)\"\n";
    let part = ".part:\n  variables: {PART: part, DEEP: part}\n  script: [echo of the part]\n";
    let files = [
        ("README", "first\n"),
        ("dump.sh", dump),
        ("deps.lock", "one\n"),
        ("sub/part.yml", part),
    ];
    let dir = world.repository(name, &files);
    world.commit(
        &dir,
        &[(".gitlab-ci.yml", config)],
        "Second: with a pipeline\n\nAnd a body.",
    );
    if let Start::Api { branch, .. } = start
        && branch != "main"
    {
        world.git(&dir, &["branch", branch]);
    }
    dir
}

fn by_exec(world: &World, dir: &Path, start: &Start, more: &[&str]) -> Run {
    let mut args = vec!["exec", "--json", "--slots", "1"];
    match start {
        Start::Push => {}
        Start::Tag(tag) => args.extend(["--tag", tag]),
        Start::Api { branch, variables } => {
            args.extend(["--event", "api", "--ref", branch]);
            args.extend(variables.iter().flat_map(|pair| ["--var", pair]));
        }
    }
    args.extend(more);
    let ended = world.run(dir, &args);
    let mut run = Run {
        code: ended.code,
        ..Run::default()
    };
    let mut seen: Vec<String> = Vec::new();
    let mut statuses: BTreeMap<String, String> = BTreeMap::new();
    let mut logs: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in ended
        .out
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
    {
        let text = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
        match text("event").as_str() {
            "job" => {
                if text("status") == "running" && !seen.contains(&text("job")) {
                    seen.push(text("job"));
                }
                statuses.insert(text("job"), text("status"));
            }
            "log" => {
                let log = logs.entry(text("job")).or_default();
                match log.last_mut() {
                    Some(last) if event["continues"] == true => last.push_str(&text("text")),
                    _ => log.push(text("text")),
                }
            }
            "pipeline" => run.status = text("status"),
            _ => {}
        }
    }
    for name in statuses.keys() {
        if !seen.contains(name) {
            seen.push(name.clone());
        }
    }
    run.jobs = seen
        .into_iter()
        .map(|name| job(&name, &statuses[&name], logs.remove(&name).unwrap_or_default()))
        .collect();
    assert!(!run.jobs.is_empty(), "{}\n{}", ended.out, ended.err);
    run
}

fn by_server(up: &Up<'_>, world: &World, dir: &Path, name: &str, start: &Start) -> Run {
    up.run(&["project", "add", dir.to_str().unwrap()]).expect(0);
    let project = format!("local/{name}");
    let id = match start {
        Start::Push => up.wait_for_end(&project, "main", "push"),
        Start::Tag(tag) => {
            world.git(dir, &["tag", tag]);
            up.wait_for_end(&project, tag, "push")
        }
        Start::Api { branch, variables } => {
            let mut args = vec!["pipeline", "run", &project, "--ref", branch, "--wait"];
            args.extend(variables.iter().flat_map(|pair| ["--var", pair]));
            up.run(&args);
            up.wait_for_end(&project, branch, "api")
        }
    };
    let status = up.json(&["pipeline", "show", &id.to_string()])["status"]
        .as_str()
        .unwrap()
        .to_owned();
    let code = i32::from(status == "failed");
    let mut jobs = up.jobs(id);
    let key = |job: &Value, name: &str| job[name].as_str().map(str::to_owned);
    jobs.sort_by_key(|job| (job["started_at"].is_null(), key(job, "started_at"), key(job, "name")));
    let jobs = jobs.iter().map(|found| {
        let id = found["id"].to_string();
        let log = match found["started_at"].is_null() {
            true => String::new(),
            false => up.run(&["job", "log", &id]).expect(0).out,
        };
        let lines = log.lines().map(str::to_owned).collect();
        job(
            found["name"].as_str().unwrap(),
            found["status"].as_str().unwrap(),
            lines,
        )
    });
    Run {
        status,
        code,
        jobs: jobs.collect(),
    }
}

/// A job whose log is taken apart and freed of what differs from run to run.
fn job(name: &str, status: &str, lines: Vec<String>) -> Job {
    // Of a job that was tried again, the last try.
    let begin = lines
        .iter()
        .rposition(|line| line.starts_with("Running with "))
        .unwrap_or(0);
    let mut environments: Vec<BTreeMap<String, String>> = Vec::new();
    let mut log = Vec::new();
    let mut source = false;
    for line in &lines[begin..] {
        if let Some(encoded) = line.strip_prefix("ENV ") {
            environments.push(environment(encoded));
            log.push("ENV".to_owned());
            continue;
        }
        if source && STAGES.iter().any(|stage| line.starts_with(stage)) {
            source = false;
        }
        if !source {
            log.push(line.clone());
        }
        // A folder is copied, a repository is fetched.
        source |= line == "Getting source from Git repository";
    }
    let values = environments.first().cloned().unwrap_or_default();
    for environment in &mut environments {
        for (key, value) in environment.iter_mut() {
            *value = if IDS.contains(&key.as_str()) {
                "<id>".to_owned()
            } else {
                neutral(value, &values)
            };
        }
    }
    Job {
        name: name.to_owned(),
        status: status.to_owned(),
        log: log.iter().map(|line| neutral(line, &values)).collect(),
        environments,
    }
}

const STAGES: [&str; 6] = [
    "Restoring cache",
    "Downloading artifacts",
    "Executing ",
    "Running after_script",
    "Cleaning up",
    "ERROR: ",
];

const IDS: [&str; 8] = [
    "CI_JOB_ID",
    "CI_PIPELINE_ID",
    "CI_PIPELINE_IID",
    "CI_PROJECT_ID",
    "CI_RUNNER_ID",
    "CI_SERVER_PORT",
    "CI_DEPLOYMENT_ID",
    "CI_ENVIRONMENT_ID",
];

fn environment(encoded: &str) -> BTreeMap<String, String> {
    let bytes = base64::engine::general_purpose::STANDARD.decode(encoded).unwrap();
    let pairs = bytes.split(|byte| *byte == 0).filter(|pair| !pair.is_empty());
    pairs
        .map(|pair| {
            let text = String::from_utf8_lossy(pair);
            let (key, value) = text.split_once('=').unwrap();
            (key.to_owned(), value.to_owned())
        })
        .collect()
}

/// What differs from run to run, and the word for it.
static PATTERNS: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
    let all = [
        (r"\d{4}-\d\d-\d\d[Tt]\d\d[:-]\d\d[:-]\d\d(\.\d+)?[Zz]", "<time>"),
        (r"/(tasks|jobs|pipelines|projects)/\d+", "/$1/<id>"),
        (r"^  on (\S+) \S+, system ID: .*$", "  on $1"),
        (r"\(\d+\)\.\.\.$", "(<id>)..."),
        (r"\(\d+ bytes\)", "(<size>)"),
        (r"/\S*tasuki-exec-\w+/runner/builds|/\S*/data/runner/builds", "<builds>"),
        (r"<builds>/[\w-]{9}/", "<builds>/<short>/"),
    ];
    all.map(|(pattern, word)| (Regex::new(pattern).unwrap(), word)).into()
});

/// `text` without ids, tokens, times, ports and folders.
fn neutral(text: &str, values: &BTreeMap<String, String>) -> String {
    let mut text = text.to_owned();
    for (key, word) in [
        ("CI_JOB_TOKEN", "<token>"),
        ("CI_BUILDS_DIR", "<builds>"),
        ("CI_SERVER_FQDN", "<server>"),
        ("CI_RUNNER_SHORT_TOKEN", "<short>"),
        ("TASUKI_SANDBOX", "<sandbox>"),
    ] {
        if let Some(value) = values.get(key).filter(|value| !value.is_empty()) {
            text = text.replace(value, word);
        }
    }
    for (pattern, word) in PATTERNS.iter() {
        text = pattern.replace_all(&text, *word).into_owned();
    }
    text
}

fn compare(exec: &Run, server: &Run) -> Vec<String> {
    let mut found = Vec::new();
    if exec.status != server.status {
        found.push(format!("pipeline {} against {}", exec.status, server.status));
    }
    if exec.code != server.code {
        found.push(format!("exit code {} against {}", exec.code, server.code));
    }
    // A job that is tried again begins twice: by name.
    let names = |run: &Run| {
        let mut names: Vec<_> = run.jobs.iter().map(|job| job.name.clone()).collect();
        names.sort();
        names
    };
    if names(exec) != names(server) {
        found.push(format!("jobs {:?} against {:?}", names(exec), names(server)));
    }
    for job in &exec.jobs {
        let Some(other) = server.jobs.iter().find(|other| other.name == job.name) else {
            continue;
        };
        if job.status != other.status {
            found.push(format!("{}: job {} against {}", job.name, job.status, other.status));
        }
        let (ours, theirs) = (job.log.join("\n"), other.log.join("\n"));
        if ours != theirs {
            found.push(format!("{}: logs\n{ours}\nagainst\n{theirs}", job.name));
        }
        if job.environments.len() != other.environments.len() {
            found.push(format!("{}: another number of environments", job.name));
        }
        for (at, (ours, theirs)) in job.environments.iter().zip(&other.environments).enumerate() {
            let keys = ours.keys().chain(theirs.keys().filter(|key| !ours.contains_key(*key)));
            let differs = keys.filter(|key| ours.get(*key) != theirs.get(*key));
            found.extend(differs.map(|key| {
                let (ours, theirs) = (ours.get(key), theirs.get(key));
                format!("{}: environment {at}: {key}: {ours:?} against {theirs:?}", job.name)
            }));
        }
    }
    found
}
