//! Containers of CircleCI's jobs: the first is where the steps run, all share `localhost`.

use super::world::World;
use super::{exec, says};

const FILE: &str = ".circleci/config.yml";

const CONFIG: &str = r#"
version: 2.1
executors:
  both:
    docker:
      - image: tasuki-test/small:1
        user: 1000:1000
        environment: {OF_PRIMARY: "a $b"}
      - image: tasuki-test/small:1
        name: store
        entrypoint: sh -c
        command: ["mkdir /www; echo store for $OF_SECOND as $(id -u) > /www/index.html; exec httpd -f -p 8081 -h /www"]
        environment: {OF_SECOND: seconds}
        user: "0"
      - image: tasuki-test/small:1
        command: sh -c "mkdir /www; echo the other > /www/index.html; exec httpd -f -p 8082 -h /www"
jobs:
  build:
    executor: both
    shell: /bin/sh -eo pipefail
    steps:
      - run: |
          for try in 1 2 3 4 5 6 7 8 9; do wget -qO- http://localhost:8081/ && break; sleep 0.3; done
          wget -qO- http://store:8081/
          for try in 1 2 3 4 5 6 7 8 9; do wget -qO- http://127.0.0.1:8082/ && break; sleep 0.3; done
      - run: {name: who, command: 'echo "uid $(id -u), $OF_PRIMARY, in $PWD = $CIRCLE_WORKING_DIRECTORY"; echo x > here'}
      - run: {name: again, working_directory: sub, command: 'cat ../here; (echo mine | nc -l -p 8083 >/dev/null &) ; echo "in ${PWD##*/}"'}
  alone:
    docker: [{image: "tasuki-test/small:1", command: sh -c "echo beside > /tmp/beside; sleep 1000"}]
    steps:
      - run: 'until [ -e /tmp/beside ]; do sleep 0.1; done; cat /tmp/beside; echo "uid $(id -u) alone"'
workflows: {all: {jobs: [build, alone]}}
"#;

#[test]
#[ignore = "needs a container engine: cargo xtask test docker"]
fn containers_of_a_job_share_localhost() {
    let world = World::new();
    let (code, text) = exec(&world, &[(FILE, CONFIG)], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert_eq!(
        text.matches("store for seconds as 0").count(),
        2,
        "by localhost and by name: {text}"
    );
    says(
        &text,
        &["the other", "uid 1000, a $b, in ", "in sub", "beside", "uid 0 alone"],
    );
}
