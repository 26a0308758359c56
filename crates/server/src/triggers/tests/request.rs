//! Pipelines that somebody asks for.

use tasuki_model::plan::Variable;
use tasuki_model::trigger::Source;

use super::world::{World, commit, git};
use crate::triggers::{Circumstances, Error, Key, NoPipeline, Started, Want};

fn want(git_ref: Option<&str>) -> Want {
    Want {
        source: Source::Api,
        git_ref: git_ref.map(str::to_owned),
        commit: None,
        variables: Vec::new(),
        inputs: Vec::new(),
        user: None,
        key: None,
        payload: None,
        more: Circumstances::default(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_asks_gets_a_pipeline_or_the_reason() {
    let world = World::new().await;
    let config =
        "workflow: {rules: [{if: '$CI_PIPELINE_SOURCE == \"api\"'}]}\njob: {script: [x], rules: [{if: '$GO'}]}\n";
    let dir = world.repository("app", config);
    git(&dir, &["tag", "v1"]);
    let first = git(&dir, &["rev-parse", "HEAD"]);
    let project = world.add("local", dir.to_str().unwrap(), "{}").await;
    let run = async |want: Want| {
        world
            .triggers
            .run(project.clone(), want)
            .await
            .map(crate::triggers::first)
    };
    let go = |mut want: Want| {
        want.variables.push(Variable::plain("GO", "1"));
        want
    };
    assert!(matches!(
        run(want(None)).await,
        Ok(Started::None(NoPipeline::Skipped(_)))
    ));
    let Ok(Started::New { id, iid: 1 }) = run(go(want(None))).await else {
        panic!("no pipeline")
    };
    for name in ["v1", "refs/tags/v1", "main", "refs/heads/main", &first[..12]] {
        assert!(
            matches!(run(go(want(Some(name)))).await, Ok(Started::New { .. })),
            "{name}"
        );
    }
    for name in ["nope", "refs/heads/v1", "--help", ""] {
        assert!(
            matches!(run(go(want(Some(name)))).await, Err(Error::NoRef(_))),
            "{name}"
        );
    }
    let keyed = || Want {
        key: Some(Key::request(project.id, "k")),
        ..go(want(None))
    };
    let Ok(Started::New { id: made, .. }) = run(keyed()).await else {
        panic!("no pipeline")
    };
    assert!(matches!(run(keyed()).await, Ok(Started::Existing(again)) if again == made && again != id));

    std::fs::write(dir.join(".gitlab-ci.yml"), "job: {scirpt: x}\n").unwrap();
    commit(&dir, "Broken [skip ci]");
    let before = world.pipelines().await.len();
    let Ok(Started::None(NoPipeline::Invalid(found))) = run(want(None)).await else {
        panic!("it is valid")
    };
    let hints = |d: &tasuki_pipeline::Diagnostic| d.hint.as_deref().is_some_and(|hint| hint.contains("scirpt"));
    assert!(found.iter().any(hints), "{found:?}");
    assert!(
        world.pipelines().await.len() <= before + 1,
        "nothing is stored for a request"
    );
    let old = Want {
        commit: Some(first),
        ..go(want(None))
    };
    assert!(
        matches!(run(old).await, Ok(Started::New { .. })),
        "an older commit can be asked for"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_origin_that_is_gone_does_not_stop_rebuilding() {
    let world = World::new().await;
    let dir = world.repository("app", "job: {script: [x]}\n");
    let project = world.add("local", dir.to_str().unwrap(), "{}").await;
    world.wait_for(1).await;
    std::fs::rename(&dir, world.path("elsewhere")).unwrap();
    assert!(matches!(
        world
            .triggers
            .run(project, want(None))
            .await
            .map(crate::triggers::first),
        Ok(Started::New { .. })
    ));
}
