//! Containers of GitHub workflows: services, the job's own, and actions.

use super::world::World;
use super::{exec, run, says};

const FILE: &str = ".github/workflows/ci.yml";

const PORTS: &str = r#"
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    services:
      web:
        image: tasuki-test/small:1
        ports: [80, "127.0.0.1:18081:8081"]
        volumes: ["shared:/data", /own]
        command: sh -c "mkdir /www; echo served by $(hostname) to $GREETING > /www/index.html; httpd -p 80 -h /www; exec httpd -f -p 8081 -h /www"
        options: >-
          --health-cmd "wget -qO- http://127.0.0.1:8081/" --health-interval=500ms --health-retries 60 --hostname web-host
          --network-alias other -e GREETING='a b' --label a=b --tmpfs /run:size=1m --memory 64m --cap-drop NET_RAW
    steps:
      - run: |
          wget -qO- http://localhost:${{ job.services.web.ports['80'] }}/ | sed 's/^/random: /'
          wget -qO- http://localhost:18081/ | sed 's/^/fixed: /'
          wget -qO- http://other/ | sed 's/^/alias: /'
          wget -qO- http://web/ | sed 's/^/name: /'
          echo "port ${{ job.services.web.ports[8081] }} id ${{ job.services.web.id != '' }} network ${{ job.services.web.network != '' }}"
          echo "container [${{ job.container.id }}] status ${{ job.status }}"
"#;

/// Without a container of their own, steps find a service at `localhost`, as on a machine.
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn steps_without_a_container_find_ports_at_localhost() {
    let world = World::new();
    let (code, text) = exec(&world, &[(FILE, PORTS)], &[]);
    assert_eq!(code, Some(0), "{text}");
    let served = "served by web-host to a b";
    let each = ["random", "fixed", "alias", "name"].map(|how| format!("{how}: {served}"));
    says(&text, &each.each_ref().map(String::as_str));
    says(
        &text,
        &["port 18081 id true network true", "container [] status success"],
    );
}

const INSIDE: &str = r#"
on: push
jobs:
  test:
    runs-on: ubuntu-latest
    container:
      image: tasuki-test/small:1
      env: {MINE: set}
      options: --user 1000:1000 --hostname own-host --add-host far.example:192.0.2.7 --ulimit nofile=100:200
      ports: [7070]
    services:
      web:
        image: tasuki-test/small:1
        volumes: ["shared:/data"]
        command: sh -c "echo left by the service > /data/note; exec httpd -f -p 80 -h /data"
        options: --health-cmd "test -e /data/note" --health-interval=500ms
    steps:
      - run: |
          echo "as $(id -u) on $(hostname) with $MINE and $(ulimit -n) files"
          grep far.example /etc/hosts
          wget -qO- http://web/note
          echo "network ${{ job.container.network == job.services.web.network }} id ${{ job.container.id != '' }}"
"#;

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn a_jobs_container_is_made_as_its_options_say() {
    let world = World::new();
    let (code, text) = exec(&world, &[(FILE, INSIDE)], &[]);
    assert_eq!(code, Some(0), "{text}");
    says(
        &text,
        &[
            "as 1000 on own-host with set and 100 files",
            "192.0.2.7",
            "left by the service",
            "network true id true",
        ],
    );
}

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn a_service_that_is_not_healthy_ends_the_job() {
    let world = World::new();
    let file = "on: push\njobs:\n  test:\n    runs-on: x\n    services:\n      db:\n        image: tasuki-test/small:1\n        \
                command: sh -c \"echo I am not well; sleep 1000\"\n        options: --health-cmd \"echo no answer; false\" \
                --health-interval 300ms --health-retries 2\n    steps: [{run: echo is reached}]\n";
    let (code, text) = exec(&world, &[(FILE, file)], &[]);
    assert_eq!(code, Some(1), "{text}");
    says(&text, &["is not healthy", "no answer", "I am not well"]);
    assert!(!text.contains("is reached"), "{text}");
}

/// A workflow cannot give its containers what the runner does not.
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn a_workflow_cannot_break_out_by_its_containers() {
    let world = World::new();
    std::fs::create_dir(world.path("apps")).unwrap();
    for (number, (key, value, said)) in [
        ("volumes", "[\"/:/host\"]", "the folder / of the machine"),
        (
            "volumes",
            "[\"/var/run/docker.sock:/var/run/docker.sock\"]",
            "docker.sock of the machine",
        ),
        ("options", "-v /etc:/host", "the folder /etc of the machine"),
        (
            "options",
            "--privileged",
            "--privileged, which this runner does not allow",
        ),
        ("options", "--cap-add=SYS_ADMIN", "--cap-add SYS_ADMIN"),
        ("options", "--device /dev/sda", "--device /dev/sda"),
        ("options", "--security-opt apparmor=unconfined", "--security-opt"),
        ("options", "--label io.tasuki.sandbox=another", "whose a container is"),
        ("ports", "[\"0.0.0.0:18082:80\"]", "ports_address"),
        ("options", "--network host", "`--network`"),
        ("options", "--pid host", "`--pid`"),
        ("options", "--volumes-from other", "`--volumes-from` is not supported"),
        ("options", "tasuki-test/small:1 --privileged", "is no option"),
    ]
    .into_iter()
    .enumerate()
    {
        for place in ["container: {", "services: {s: {"] {
            let end = if place.starts_with('s') { "}}" } else { "}" };
            let value = if key == "options" {
                format!("'{value}'")
            } else {
                value.to_owned()
            };
            let file = format!(
                "on: push\njobs:\n  test:\n    runs-on: x\n    {place}image: 'tasuki-test/small:1', {key}: {value}{end}\n    \
                 steps: [{{run: echo is reached}}]\n"
            );
            let world = World::new();
            let (code, text) = exec(&world, &[(FILE, &file)], &[]);
            assert_ne!(code, Some(0), "{number} {place}: {text}");
            assert!(!text.contains("is reached"), "{number} {place}: {text}");
            says(&text, &[said]);
        }
    }
}

const ACTIONS: &str = r#"
on: push
env: {OF_WORKFLOW: seen}
jobs:
  test:
    runs-on: ubuntu-latest
    services:
      web:
        image: tasuki-test/small:1
        command: sh -c "mkdir /www; echo a service > /www/index.html; exec httpd -f -p 80 -h /www"
    steps:
      - uses: actions/checkout@v4
      - id: own
        uses: ./actions/greet
        with: {who: "the world"}
        env: {OF_STEP: "of the step"}
      - run: |
          cat made.txt
          echo "then $FROM_FILE and ${{ steps.own.outputs.greeting }} in $(echo "$PATH" | cut -d: -f1)"
      - uses: docker://tasuki-test/small:1
        with:
          entrypoint: /bin/sh
          args: -c 'echo "image says $INPUT_MORE"; pwd; test -e made.txt'
          more: of it
      - id: bad
        continue-on-error: true
        uses: docker://tasuki-test/small:1
        with: {args: sh -c 'exit 7'}
      - run: echo outcome ${{ steps.bad.outcome }}
"#;

const ACTION: &str = r#"
name: greet
description: greets
inputs: {who: {description: whom, default: nobody}}
outputs: {greeting: {description: what was said}}
runs:
  using: docker
  image: Dockerfile
  args: ["${{ inputs.who }}", two words]
  env: {OF_ACTION: "for ${{ inputs.who }}", OF_STEP: hidden}
  post-entrypoint: /post.sh
"#;

const DOCKERFILE: &str = "FROM tasuki-test/small:1\nCOPY entry.sh post.sh /\nRUN chmod 755 /entry.sh /post.sh\nENV OF_IMAGE=set\n\
                          ENTRYPOINT [\"/entry.sh\"]\n";

const ENTRY: &str = r#"#!/bin/sh
echo "$# arguments: $1, $2"
echo "env: $OF_ACTION, $INPUT_WHO, $OF_WORKFLOW, $OF_STEP, $OF_IMAGE"
echo "at $GITHUB_WORKSPACE in $(pwd -L): $(ls -d actions)"
wget -qO- http://web/ | sed 's/^/from /'
test -s "$GITHUB_EVENT_PATH" && test -d "$HOME" && test -d /github/file_commands && echo "places are there"
echo made by the action > "$GITHUB_WORKSPACE/made.txt"
echo greeting=hello >> "$GITHUB_OUTPUT"
echo FROM_FILE=of the file >> "$GITHUB_ENV"
echo /added/to/path >> "$GITHUB_PATH"
echo kept=for later >> "$GITHUB_STATE"
echo "::notice::it is noted"
"#;

/// Container actions, built of a Dockerfile and by name: arguments, environment, files, network, post.
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn actions_run_in_containers_of_their_own() {
    let world = World::new();
    let images = || {
        run("docker", &["--host", &super::host(), "image", "ls", "-aq"])
            .lines()
            .count()
    };
    super::image(&world);
    let before = images();
    let files = [
        (FILE, ACTIONS),
        ("actions/greet/action.yml", ACTION),
        ("actions/greet/Dockerfile", DOCKERFILE),
        ("actions/greet/entry.sh", ENTRY),
        (
            "actions/greet/post.sh",
            "#!/bin/sh\necho \"afterwards $STATE_kept as $INPUT_WHO\"\n",
        ),
    ];
    let world = World::new();
    let (code, text) = exec(&world, &files, &[]);
    assert_eq!(code, Some(0), "{text}");
    says(
        &text,
        &[
            "2 arguments: the world, two words",
            "env: for the world, the world, seen, of the step, set",
            "at /github/workspace in /github/workspace: actions",
            "from a service",
            "places are there",
            "it is noted",
            "made by the action",
            "then of the file and hello in /added/to/path",
            "image says of it",
            "outcome failure",
            "afterwards for later as the world",
        ],
    );
    // The helper image may have come.
    assert!(images() <= before + 1, "images of actions are left");
}

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn an_image_that_cannot_be_built_leaves_nothing() {
    let world = World::new();
    super::image(&world);
    let images = || {
        let all = run(
            "docker",
            &[
                "--host",
                &super::host(),
                "image",
                "ls",
                "-aq",
                "--filter",
                "dangling=true",
            ],
        );
        all.lines().count()
    };
    let before = images();
    let workflow =
        "on: push\njobs:\n  test:\n    runs-on: x\n    steps:\n      - uses: actions/checkout@v4\n      - uses: ./a\n";
    let action = "name: a\ndescription: a\nruns: {using: docker, image: Dockerfile}\n";
    let dockerfile = "FROM tasuki-test/small:1\nRUN echo one > /one\nRUN echo it ends here; exit 3\n";
    let files = [(FILE, workflow), ("a/action.yml", action), ("a/Dockerfile", dockerfile)];
    let world = World::new();
    let (code, text) = exec(&world, &files, &[]);
    assert_eq!(code, Some(1), "{text}");
    says(&text, &["it ends here", "cannot be built by Dockerfile"]);
    assert_eq!(images(), before);
    // Without a checkout there is nothing to build.
    let world = World::new();
    let workflow = workflow.replace("      - uses: actions/checkout@v4\n", "");
    let files = [
        (FILE, workflow.as_str()),
        ("a/action.yml", action),
        ("a/Dockerfile", dockerfile),
    ];
    let (code, text) = exec(&world, &files, &[]);
    assert_eq!(code, Some(1), "{text}");
    says(&text, &["a step before must check the project out"]);
}

/// Without containers of steps an executor says so before anything runs.
#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn other_executors_refuse_actions_that_are_images() {
    let world = World::new();
    let file = "on: push\njobs:\n  test:\n    runs-on: x\n    steps: [{run: echo is reached}, {uses: 'docker://tasuki-test/small:1'}]\n";
    let dir = world.repository("app", &[(FILE, file)]);
    let out = world.run(&dir, &["exec", "--executor", "shell"]);
    let text = format!("{}{}", out.out, out.err);
    assert_ne!(out.code, 0, "{text}");
    assert!(text.contains("only the docker executor"), "{text}");
    assert!(!text.contains("is reached"), "{text}");
}
