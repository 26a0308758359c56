//! Folders whose refs move.

use super::world::{World, commit, git};

const CONFIG: &str = "job:\n  script: [make]\n";

fn names(found: &[(String, String)]) -> Vec<&str> {
    found.iter().map(|(name, _)| name.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_new_tip_is_built_once_also_over_a_restart() {
    let mut world = World::new().await;
    let dir = world.repository("app", CONFIG);
    git(&dir, &["branch", "other"]);
    world.add("local", dir.to_str().unwrap(), "{}").await;
    assert_eq!(
        names(&world.wait_for(1).await),
        ["main"],
        "only the present branch is built at first"
    );

    commit(&dir, "Second");
    world.wait_for(2).await;
    git(&dir, &["tag", "-a", "v1", "-m", "One"]);
    world.wait_for(3).await;
    git(&dir, &["checkout", "-q", "-b", "topic/x"]);
    world.wait_for(4).await;
    commit(&dir, "On a topic");
    world.wait_for(5).await;
    git(&dir, &["checkout", "-q", "main"]);
    world.deploy("on-main", "branch", "main").await;
    world.deploy("on-other", "branch", "other").await;
    git(&dir, &["branch", "-q", "-D", "other"]);
    world.wait_until_stopped("on-other").await;
    // There and back again: every move is one of its own.
    git(&dir, &["reset", "-q", "--hard", "HEAD^"]);
    world.wait_for(6).await;
    git(&dir, &["reset", "-q", "--hard", "ORIG_HEAD"]);
    let all = world.wait_for(7).await;
    assert_eq!(
        names(&all),
        ["main", "main", "v1", "topic/x", "topic/x", "main", "main"]
    );

    let known = world.pipelines().await;
    assert_eq!(known[1].sha, known[6].sha);
    assert!(!world.is_stopped("on-main").await, "its branch is there");
    world.restart().await;
    commit(&dir, "After the restart");
    world.wait_for(8).await;
    world.restart().await;
    git(
        &dir,
        &[
            "commit",
            "-q",
            "--amend",
            "--allow-empty",
            "-m",
            "While a server runs again",
        ],
    );
    let all = world.wait_for(9).await;
    assert_eq!(all.len(), 9, "nothing was built twice: {all:?}");
}

/// Nothing that moved after the project was there is taken for what it began with.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_set_before_the_first_look_is_built() {
    let world = World::new().await;
    let dir = world.repository("app", CONFIG);
    git(&dir, &["tag", "old"]);
    world.add("local", dir.to_str().unwrap(), "{}").await;
    git(&dir, &["tag", "v1"]);
    assert_eq!(names(&world.wait_for(2).await), ["main", "v1"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_moved_while_no_server_ran_is_built_at_the_start() {
    let mut world = World::new().await;
    let dir = world.repository("app", CONFIG);
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    assert!(world.tasks.close_and_wait(std::time::Duration::from_secs(10)).await);
    commit(&dir, "Nobody looks");
    world.restart().await;
    assert_eq!(world.wait_for(2).await.len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_many_refs_at_once_four_are_built() {
    let mut world = World::new().await;
    let dir = world.repository("app", CONFIG);
    world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    assert!(world.tasks.close_and_wait(std::time::Duration::from_secs(10)).await);
    for n in 0..6 {
        git(&dir, &["branch", &format!("b{n}")]);
    }
    commit(&dir, "The present branch moves, too");
    world.restart().await;
    assert_eq!(
        names(&world.wait_for(5).await),
        ["main", "main", "b0", "b1", "b2"],
        "the present branch first"
    );
    world.restart().await;
    commit(&dir, "One more");
    assert_eq!(
        names(&world.wait_for(6).await)[5..],
        ["main"],
        "the others were noted and are not built later"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_configuration_says_decides() {
    let world = World::new().await;
    let dir = world.repository("app", "");
    world.add("local", dir.to_str().unwrap(), "{}").await;
    std::fs::write(dir.join(".gitlab-ci.yml"), "job: {scirpt: x}\n").unwrap();
    commit(&dir, "Broken");
    std::fs::write(dir.join(".gitlab-ci.yml"), "job: {scirpt: x}\n# more\n").unwrap();
    let all = world.wait_for(1).await;
    assert_eq!(
        all,
        [("main".to_owned(), "failed".to_owned())],
        "no pipeline without a file, a failed one with a broken file"
    );
    commit(&dir, "Broken [CI-Skip]");
    let all = world.wait_for(2).await;
    let second = world.pipelines().await.remove(1);
    assert!(
        second.finished_ms.is_some() && second.job_count == 0,
        "skipped without reading the file: {all:?}"
    );
    std::fs::write(
        dir.join(".gitlab-ci.yml"),
        "workflow: {rules: [{if: '$CI_COMMIT_TAG'}]}\njob: {script: [x]}\n",
    )
    .unwrap();
    commit(&dir, "Only tags");
    git(&dir, &["tag", "v1"]);
    let all = world.wait_for(3).await;
    assert_eq!(all[2].0, "v1", "the branch is filtered out, the tag is not");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refs_of_deleted_pipelines_go() {
    let world = World::new().await;
    let dir = world.repository("app", CONFIG);
    let project = world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    commit(&dir, "Finished from the start [skip ci]");
    world.wait_for(2).await;
    let second = world.pipelines().await.remove(1).id;
    let now = world.triggers.now();
    let removed = world
        .store
        .write(move |tx| tasuki_store::retention::remove_some(tx, second, 1_000, now));
    assert!(!removed.await.unwrap(), "nothing of it is left");
    assert_eq!(world.triggers.tidied(&project).await.unwrap(), 1);
    assert_eq!(world.triggers.tidied(&project).await.unwrap(), 0);
}
