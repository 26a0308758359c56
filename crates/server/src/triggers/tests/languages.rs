//! Projects with configurations of several languages.

use tasuki_model::trigger::Source;
use tasuki_store::pipelines::Pipeline;
use tasuki_store::schedules;

use super::world::{World, commit};
use crate::triggers::{Circumstances, Key, NoPipeline, Started, Want};

const GITLAB: (&str, &str) = (".gitlab-ci.yml", "lab: {script: [x]}\n");
const CIRCLE: (&str, &str) = (
    ".circleci/config.yml",
    "version: 2.1\njobs:\n  ring: {docker: [{image: i}], steps: [{run: x}]}\nworkflows: {round: {jobs: [ring]}}\n",
);
const HUB: (&str, &str) = (
    ".github/workflows/hub.yml",
    "on: [push, workflow_dispatch]\njobs: {hub: {runs-on: x, steps: [{run: x}]}}\n",
);
const PUSHED: (&str, &str) = (
    ".github/workflows/pushed.yaml",
    "name: Pushed\non: push\njobs: {pushed: {runs-on: x, steps: [{run: x}]}}\n",
);

/// Name, state and number of jobs of each pipeline, in the order in which they were made.
fn shown(all: &[Pipeline]) -> Vec<String> {
    let one = |p: &Pipeline| format!("{} {} {}", p.name.as_deref().unwrap_or("-"), p.state, p.job_count);
    all.iter().map(one).collect()
}

/// A local project whose only push has these files.
async fn pushed(files: &[(&str, &str)]) -> World {
    let world = World::new().await;
    let dir = world.repository("app", "");
    for (name, text) in files {
        let path = dir.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    commit(&dir, "Files");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_language_makes_its_pipeline() {
    let world = pushed(&[GITLAB, CIRCLE, HUB, PUSHED]).await;
    world.wait_for(3).await;
    let all = world.pipelines().await;
    let expected = [
        "- pending 1",
        "round: Files pending 1",
        ".github/workflows/hub.yml, Pushed: Files pending 2",
    ];
    assert_eq!(shown(&all), expected);
    assert_eq!(all.iter().map(|p| p.iid).collect::<Vec<_>>(), [1, 2, 3]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_stops_only_its_own_file() {
    let broken = (".gitlab-ci.yml", "lab: {scirpt: [x]}\n");
    let workflow = (
        ".github/workflows/bad.yml",
        "on: push\njobs: {bad: {runs-on: x, stepz: []}}\n",
    );
    let world = pushed(&[broken, CIRCLE, workflow, PUSHED]).await;
    world.wait_for(4).await;
    let expected = [
        "- failed 0",
        "round: Files pending 1",
        "Pushed: Files pending 1",
        "- failed 0",
    ];
    assert_eq!(shown(&world.pipelines().await), expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_starts_what_is_for_requests_and_never_twice() {
    let world = pushed(&[GITLAB, HUB, PUSHED]).await;
    world.wait_for(2).await;
    let project = world.project().await;
    let want = || Want {
        source: Source::Api,
        git_ref: None,
        commit: None,
        variables: Vec::new(),
        inputs: Vec::new(),
        user: None,
        key: Some(Key::request(project.id, "k")),
        payload: None,
        more: Circumstances::default(),
    };
    let made = world.triggers.run(project.clone(), want()).await.unwrap();
    let configs: Vec<&str> = made.iter().map(|made| made.config.as_str()).collect();
    assert_eq!(configs, [".gitlab-ci.yml", ".github/workflows"]);
    assert!(
        made.iter().all(|made| matches!(made.started, Started::New { .. })),
        "{made:?}"
    );
    let all = world.pipelines().await;
    assert_eq!(
        shown(&all)[3],
        ".github/workflows/hub.yml: Files pending 1",
        "not the one for pushes"
    );
    let again = world.triggers.run(project.clone(), want()).await.unwrap();
    assert!(
        again.iter().all(|made| matches!(made.started, Started::Existing(_))),
        "{again:?}"
    );
    assert_eq!(world.pipelines().await.len(), 4);

    // One that is broken is told to whoever asks, beside what the others made.
    let dir = world.path("app");
    std::fs::write(dir.join(".gitlab-ci.yml"), "lab: {scirpt: [x]}\n").unwrap();
    commit(&dir, "Broken");
    let mut other = want();
    other.key = None;
    let made = world.triggers.run(project, other).await.unwrap();
    assert!(
        matches!(
            made.as_slice(),
            [
                crate::triggers::Made {
                    started: Started::None(NoPipeline::Invalid(_)),
                    ..
                },
                crate::triggers::Made {
                    started: Started::New { .. },
                    ..
                },
            ]
        ),
        "{made:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_asks_for_none_is_skipped_once() {
    let world = World::new().await;
    let dir = world.repository("app", GITLAB.1);
    let hub = dir.join(HUB.0);
    std::fs::create_dir_all(hub.parent().unwrap()).unwrap();
    std::fs::write(hub, HUB.1).unwrap();
    commit(&dir, "Files [skip ci]");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    commit(&dir, "Next");
    world.wait_for(3).await;
    assert_eq!(shown(&world.pipelines().await)[0], "- skipped 0");
}

/// Schedules stand in the files of the default branch: they come and go with them, and one starts its own workflow only.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn workflow_files_have_schedules() {
    let nightly = (
        ".github/workflows/nightly.yml",
        "name: Nightly\non: {schedule: [{cron: '0 4 * * *'}, {cron: '30 5 * * 1', timezone: Europe/Berlin}]}\n\
         jobs: {night: {runs-on: x, steps: [{run: x}]}}\n",
    );
    let weekly = (
        ".github/workflows/weekly.yml",
        "name: Weekly\non: {schedule: [{cron: '0 6 * * 0'}], push: {}}\njobs: {week: {runs-on: x, steps: [{run: x}]}}\n",
    );
    let world = pushed(&[GITLAB, nightly, weekly]).await;
    world.wait_for(2).await;
    let project = world.project().await;
    let id = project.id;
    let known = async || world.store.read(move |tx| schedules::of_project(tx, id)).await.unwrap();
    let all = known().await;
    let mut shown: Vec<String> = all
        .iter()
        .map(|s| format!("{} | {}", s.description, s.time_zone))
        .collect();
    shown.sort();
    let expected = [
        ".github/workflows/nightly.yml: 0 4 * * * | UTC",
        ".github/workflows/nightly.yml: 30 5 * * 1 | Europe/Berlin",
        ".github/workflows/weekly.yml: 0 6 * * 0 | UTC",
    ];
    assert_eq!(shown, expected);
    let first = all.iter().find(|s| s.cron == "0 4 * * *").unwrap();
    let made = world
        .triggers
        .run_schedule(first, Key::by_hand(first.id, first.updated_ms))
        .await
        .unwrap();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(shown_last(&world).await, "Nightly: Files pending 1");

    let dir = world.path("app");
    std::fs::remove_file(dir.join(nightly.0)).unwrap();
    commit(&dir, "No nights");
    world.wait_for(5).await;
    let left: Vec<String> = known().await.into_iter().map(|s| s.cron).collect();
    assert_eq!(left, ["0 6 * * 0"]);
}

async fn shown_last(world: &World) -> String {
    shown(&world.pipelines().await).pop().unwrap()
}
