//! Configurations of 10,000 jobs as people write them, within the limits of each language.

use std::fmt::Write as _;

/// Templates, anchors, rules, a matrix, needs.
pub(super) fn gitlab() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "stages: [build, test, deploy]\n\
         variables: {GLOBAL: \"1\", GIT_STRATEGY: none}\n\
         .defaults: &defaults\n  tags: [linux]\n  retry: 1\n\
         .base:\n  <<: *defaults\n  before_script: [echo prepare]\n  cache: {key: \"$CI_COMMIT_REF_SLUG\", paths: [target/]}\n\
         .rules:\n  rules:\n    - if: $CI_COMMIT_TAG\n      when: never\n    - if: $GLOBAL == \"1\"\n",
    );
    // 4,000 plain jobs, 20 matrices of 200, 2,000 jobs that need others.
    for job in 0..4000 {
        writeln!(
            text,
            "build-{job}:\n  extends: [.base, .rules]\n  stage: build\n  variables: {{N: \"{job}\"}}\n  script:\n    - make {job}\n    - echo done"
        )?;
    }
    for matrix in 0..20 {
        let values = (0..20).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "matrix-{matrix}:\n  extends: .base\n  stage: test\n  parallel:\n    matrix:\n      - A: [{values}]\n        B: [a, b, c, d, e, f, g, h, i, j]\n  script: [\"test $A $B\"]"
        )?;
    }
    for job in 0..2000 {
        writeln!(
            text,
            "deploy-{job}:\n  extends: .rules\n  stage: deploy\n  needs: [build-{job}, build-{}]\n  script: [\"deploy {job}\"]\n  artifacts: {{paths: [out/]}}",
            job + 2000
        )?;
    }
    Ok(text)
}

/// 2,000 jobs with commands, executors and parameters, and two workflows: 4,000 plain entries, 20 matrices of 200, 2,000 that
/// require others.
pub(super) fn circleci() -> Result<String, std::fmt::Error> {
    let mut text = String::from(
        "version: 2.1\n\
         defaults: &defaults\n  working_directory: ~/project\n  environment: {GLOBAL: \"1\"}\n\
         executors:\n  rust:\n    parameters: {version: {type: string, default: \"1\"}}\n    \
         docker: [{image: \"rust:<< parameters.version >>\"}, {image: postgres}]\n    resource_class: own/pool\n\
         commands:\n  prepare:\n    parameters: {key: {type: string, default: v1}}\n    steps:\n      - checkout\n      \
         - restore_cache: {keys: [\"<< parameters.key >>-{{ checksum \\\"Cargo.lock\\\" }}\"]}\n\
         jobs:\n  matrix:\n    parameters: {a: {type: string}, b: {type: integer}}\n    executor: rust\n    \
         steps:\n      - prepare\n      - run: test << parameters.a >> << parameters.b >>\n",
    );
    for job in 0..2000 {
        writeln!(
            text,
            "  build-{job}:\n    <<: *defaults\n    executor: {{name: rust, version: \"{job}\"}}\n    steps:\n      - prepare: {{key: k{job}}}\n      - run: make {job}\n      - run: {{name: done, command: echo done}}"
        )?;
    }
    text.push_str("workflows:\n  first:\n    jobs:\n");
    for job in 0..2000 {
        writeln!(
            text,
            "      - build-{job}: {{filters: {{branches: {{only: [main, /release-.*/]}}}}}}"
        )?;
    }
    for matrix in 0..20 {
        let values = (0..20).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "      - matrix: {{name: \"m{matrix}-<< matrix.a >>-<< matrix.b >>\", matrix: {{parameters: {{a: [{values}], b: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}}}}}"
        )?;
    }
    text.push_str("  second:\n    jobs:\n");
    for job in 0..2000 {
        writeln!(text, "      - build-{job}")?;
    }
    for job in 0..2000 {
        writeln!(
            text,
            "      - build-{job}: {{name: deploy-{job}, requires: [build-{job}], context: [production]}}"
        )?;
    }
    Ok(text)
}

/// 25 workflows of 400 jobs: a matrix of 200, 100 plain jobs, 100 that need others and read their results. (A matrix may have 256 members.)
pub(super) fn github() -> Result<Vec<(String, String)>, std::fmt::Error> {
    let mut files = Vec::new();
    for file in 0..25 {
        let mut text = format!(
            "name: part {file}\non: {{push: {{branches: [main, \"release/**\"]}}, pull_request: }}\n\
             env: {{GLOBAL: \"1\", REF: \"${{{{ github.ref }}}}\"}}\npermissions: {{contents: read}}\njobs:\n"
        );
        let values = (0..20).map(|n| format!("v{n}")).collect::<Vec<_>>().join(", ");
        writeln!(
            text,
            "  matrix:\n    runs-on: [self-hosted, linux]\n    strategy: {{fail-fast: false, matrix: {{a: [{values}], b: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]}}}}\n    steps:\n      - run: \"test ${{{{ matrix.a }}}} ${{{{ matrix.b }}}}\""
        )?;
        for job in 0..100 {
            writeln!(
                text,
                "  build-{job}:\n    runs-on: linux\n    env: {{N: \"{job}\"}}\n    outputs: {{made: \"${{{{ steps.make.outputs.made }}}}\"}}\n    steps:\n      - {{id: make, run: make {job}}}\n      - {{run: echo done, if: \"${{{{ success() && github.ref == 'refs/heads/main' }}}}\"}}"
            )?;
        }
        for job in 0..100 {
            writeln!(
                text,
                "  deploy-{job}:\n    needs: [build-{job}]\n    if: \"${{{{ always() && needs.build-{job}.result == 'success' }}}}\"\n    runs-on: linux\n    steps:\n      - run: deploy {job}"
            )?;
        }
        files.push((format!(".github/workflows/part-{file}.yml"), text));
    }
    Ok(files)
}
