//! Environments: deployments, and how environments are stopped.

use tasuki_store::deployments::{self, Deployment};
use tasuki_store::environments::{self, Environment};

use super::super::HowToStop;
use super::*;

const DEPLOY: &str =
    r#"deploy |{"environment": {"name": "review/x", "on_stop": "stop", "url": "https://x.example.com"}}"#;
const STOP: &str = r#"stop stage=1 when=manual |{"environment": {"name": "review/x", "action": "stop"}}"#;
const MINUTE: Duration = Duration::from_mins(1);

/// A job that does this to the environment `e`.
fn with(action: &str, more: &str) -> String {
    format!(r#"job |{{"environment": {{"name": "e", "action": "{action}"{more}}}}}"#)
}

impl World {
    async fn environment(&self, name: &str) -> Option<Environment> {
        let (project, name) = (self.projects[0], name.to_owned());
        let found = self.store.read(move |tx| environments::by_name(tx, project, &name));
        found.await.unwrap()
    }

    /// State of the environment and statuses of its deployments, oldest first.
    async fn seen(&self, name: &str) -> String {
        let Some(environment) = self.environment(name).await else {
            return "none".to_owned();
        };
        let mut words = vec![environment.state.clone()];
        let deployments = self.deployments(&environment).await;
        words.extend(deployments.into_iter().rev().map(|one| one.status));
        words.join(" ")
    }

    async fn deployments(&self, environment: &Environment) -> Vec<Deployment> {
        let id = environment.id;
        let found = self.store.read(move |tx| deployments::page(tx, id, None, 100));
        found.await.unwrap()
    }

    async fn see(&self, name: &str, expected: &str) {
        assert_eq!(self.seen(name).await, expected);
    }

    /// Runs the next task to its end.
    async fn run_next(&self) -> ClaimedTask {
        let task = self.take(&runner(1)).await;
        self.pass(&task).await;
        task
    }

    async fn stop_environment(&self, name: &str, how: HowToStop) {
        let id = self.environment(name).await.unwrap().id;
        self.scheduler.stop_environment(id, how).await.unwrap();
    }

    /// A pipeline of another commit.
    async fn create_at(&self, sha: &str, jobs: &[&str]) -> PipelineId {
        let mut new = self.new_pipeline(0, jobs);
        new.trigger.commit.sha = sha.repeat(40);
        let Created::New { id, .. } = self.scheduler.create_pipeline(new).await.unwrap() else {
            panic!("it exists")
        };
        id
    }
}

#[tokio::test]
async fn a_deployment_follows_its_job() {
    let world = World::new().await;
    let id = world
        .create(&["build", "deploy stage=1 |{\"environment\": {\"name\": \"Prod\"}}"])
        .await;
    world.see("Prod", "none").await;
    world.run_next().await;
    world.see("Prod", "available created").await;
    let task = world.take(&runner(1)).await;
    world.see("Prod", "available running").await;
    world.clock.advance(MINUTE);
    world.finish(&task, failed(FailureReason::ScriptFailure)).await.unwrap();
    world.see("Prod", "available failed").await;
    assert_eq!(world.environment("Prod").await.unwrap().last_deployment_id, None);
    let job = world.job(id, "deploy").await;
    world.scheduler.retry_job(job).await.unwrap();
    world.see("Prod", "available failed created").await;
    world.scheduler.cancel_job(job).await.unwrap();
    world.scheduler.retry_job(job).await.unwrap();
    world.run_next().await;
    world.see("Prod", "available failed canceled success").await;
    let environment = world.environment("Prod").await.unwrap();
    assert_eq!(
        (environment.tier.as_str(), environment.slug.as_str()),
        ("production", "prod-njlta9")
    );
    let newest = world.deployments(&environment).await.remove(0);
    assert_eq!(environment.last_deployment_id, Some(newest.id));
    assert_eq!(
        (newest.job_id, newest.ref_name.as_str(), newest.sha),
        (job, "main", "a".repeat(40))
    );
    assert_eq!(
        newest.finished_ms.map(|at| at.since(newest.created_ms)),
        Some(Duration::ZERO)
    );
}

#[tokio::test]
async fn a_system_retry_is_the_same_deployment() {
    let world = World::new().await;
    world.create(&[DEPLOY, STOP]).await;
    let task = world.take(&runner(1)).await;
    world
        .finish(&task, Outcome::failed(FailureReason::RunnerInterrupted))
        .await
        .unwrap();
    world.see("review/x", "available created").await;
    world.run_next().await;
    world.see("review/x", "available success").await;
}

#[tokio::test]
async fn only_start_deploys() {
    let world = World::new().await;
    for action in ["prepare", "verify", "access"] {
        let id = world.create(&[&with(action, "")]).await;
        world.run_next().await;
        world.check(id, "job:success =success").await;
        world.see("e", "available").await;
    }
    world.create(&[&with("stop", "")]).await;
    world.see("e", "available").await;
    world.run_next().await;
    world.see("e", "stopped").await;
    // What uses it does not wake it up, what deploys to it does.
    world.create(&[&with("access", ", \"auto_stop_in_s\": 60")]).await;
    world.run_next().await;
    world.see("e", "stopped").await;
    world.create(&[&with("start", "")]).await;
    world.see("e", "stopped created").await;
    world.run_next().await;
    world.see("e", "available success").await;
}

#[tokio::test]
async fn a_stop_runs_the_stop_job_of_an_ended_pipeline() {
    let world = World::new().await;
    let id = world.create(&[DEPLOY, STOP_ALLOWED]).await;
    world.run_next().await;
    world.check(id, "deploy:success stop:manual =success").await;
    let environment = world.environment("review/x").await.unwrap();
    assert_eq!(environment.url.as_deref(), Some("https://x.example.com"));
    world.stop_environment("review/x", HowToStop::ByItsJob).await;
    world.check(id, "deploy:success stop:pending =running").await;
    world.see("review/x", "stopping success").await;
    // Once more: it is on its way.
    world.stop_environment("review/x", HowToStop::ByItsJob).await;
    world.run_next().await;
    world.see("review/x", "stopped success").await;
    world.stop_environment("review/x", HowToStop::ByItsJob).await;
    assert!(world.try_claim(&runner(1)).await.is_none(), "it is stopped already");

    // Deployed again by a retry, it is stopped again by the same job.
    world.scheduler.retry_job(world.job(id, "deploy").await).await.unwrap();
    world.run_next().await;
    world.see("review/x", "available success success").await;
    world.stop_environment("review/x", HowToStop::ByItsJob).await;
    world.check(id, "deploy:success stop:pending =running").await;
    let task = world.take(&runner(1)).await;
    world.finish(&task, failed(FailureReason::ScriptFailure)).await.unwrap();
    world.see("review/x", "available success success").await;
    world.stop_environment("review/x", HowToStop::AtOnce).await;
    world.see("review/x", "stopped success success").await;
    assert!(world.try_claim(&runner(1)).await.is_none());
}

const STOP_ALLOWED: &str =
    r#"stop stage=1 when=manual |{"allow_failure": true, "environment": {"name": "review/x", "action": "stop"}}"#;

#[tokio::test]
async fn a_stop_job_before_its_turn_runs_too() {
    let world = World::new().await;
    let stop = STOP.replace("stage=1", "stage=2");
    let id = world.create(&[DEPLOY, "test stage=1", &stop]).await;
    world.run_next().await;
    world
        .check(id, "deploy:success test:pending stop:created =running")
        .await;
    world.stop_environment("review/x", HowToStop::ByItsJob).await;
    world
        .check(id, "deploy:success test:pending stop:pending =running")
        .await;
    world.see("review/x", "stopping success").await;
}

#[tokio::test]
async fn without_a_stop_job_it_is_stopped_at_once() {
    let world = World::new().await;
    world.create(&[&with("start", "")]).await;
    world.run_next().await;
    world.stop_environment("e", HowToStop::ByItsJob).await;
    world.see("e", "stopped success").await;
    let missing = world.scheduler.stop_environment(99, HowToStop::ByItsJob).await;
    assert!(matches!(
        missing,
        Err(Error::NotFound {
            what: "environment",
            id: 99
        })
    ));
}

#[tokio::test]
async fn a_matrix_stops_member_by_member() {
    let world = World::new().await;
    let member = |name: &str, action: &str| {
        let base = name.split(':').next().unwrap();
        format!(
            r#"{} |{{"name": "{name}", "base_name": "{base}", "allow_failure": true, "environment": {{"name": "{}", "action": "{action}"{}}}}}"#,
            if action == "stop" { "s stage=1 when=manual" } else { "d" },
            &name[name.len() - 2..name.len() - 1],
            if action == "stop" { "" } else { r#", "on_stop": "stop""# },
        )
    };
    let jobs = [
        member("deploy: [a]", "start"),
        member("deploy: [b]", "start"),
        member("stop: [a]", "stop"),
        member("stop: [b]", "stop"),
    ];
    let jobs: Vec<&str> = jobs.iter().map(String::as_str).collect();
    let id = world.create(&jobs).await;
    world.run_next().await;
    world.run_next().await;
    world.stop_environment("b", HowToStop::ByItsJob).await;
    world
        .check(
            id,
            "deploy: [a]:success deploy: [b]:success stop: [a]:manual stop: [b]:pending =running",
        )
        .await;
}

#[tokio::test]
async fn the_clock_stops_it_also_over_a_restart() {
    let mut world = World::new().await;
    let timed = DEPLOY.replace("\"on_stop\"", "\"auto_stop_in_s\": 600, \"on_stop\"");
    let id = world.create(&[&timed, STOP_ALLOWED]).await;
    world.run_next().await;
    world.advance(MINUTE * 9).await;
    world.see("review/x", "available success").await;
    world.restart().await;
    world.stop().await;
    world.advance(MINUTE).await;
    world.see("review/x", "stopping success").await;
    world.check(id, "deploy:success stop:pending =running").await;
    world.run_next().await;
    world.see("review/x", "stopped success").await;
    assert_eq!(world.environment("review/x").await.unwrap().due_ms, None);
}

#[tokio::test]
async fn jobs_move_the_time_at_which_it_is_stopped() {
    let world = World::new().await;
    world.stop().await;
    let due = async |world: &World| {
        let due = world.environment("e").await.unwrap().due_ms;
        due.map(|due| due.since(Timestamp(world.clock.now_ms())).as_secs() / 60)
    };
    for (action, more, expected) in [
        ("start", r#", "auto_stop_in_s": 600"#, Some(10)),
        // A minute later.
        ("start", "", Some(9)),
        ("verify", "", Some(8)),
        ("access", r#", "auto_stop_in_s": 3600"#, Some(60)),
        ("start", r#", "auto_stop_in_s": 0"#, None),
        ("prepare", r#", "auto_stop_in_s": 300"#, Some(5)),
    ] {
        world.create(&[&with(action, more)]).await;
        world.run_next().await;
        assert_eq!(due(&world).await, expected, "after {action} {more}");
        world.advance(MINUTE).await;
    }
    let id = world.environment("e").await.unwrap().id;
    world.scheduler.keep_environment(id).await.unwrap();
    assert_eq!(due(&world).await, None);
    world.advance(MINUTE * 60).await;
    assert!(world.seen("e").await.starts_with("available"));
    world.stop_environment("e", HowToStop::ByItsJob).await;
    assert!(matches!(
        world.scheduler.keep_environment(id).await,
        Err(Error::Refused(_))
    ));
}

#[tokio::test]
async fn environments_go_with_their_ref() {
    let world = World::new().await;
    let side = GitRef::Branch("side".into());
    for (git_ref, name) in [
        (side.clone(), "on-side"),
        (GitRef::Tag("side".into()), "on-tag"),
        (
            GitRef::MergeRequest {
                iid: 7,
                kind: "head".into(),
            },
            "on-request",
        ),
    ] {
        let job = format!(r#"deploy |{{"environment": {{"name": "{name}"}}}}"#);
        let mut new = world.new_pipeline(0, &[&job]);
        new.trigger.git_ref = git_ref;
        world.scheduler.create_pipeline(new).await.unwrap();
        world.run_next().await;
    }
    // Deployed from the branch first, from elsewhere since.
    let mut new = world.new_pipeline(0, &[&with("start", "")]);
    new.trigger.git_ref = side.clone();
    world.scheduler.create_pipeline(new).await.unwrap();
    world.run_next().await;
    world.create(&[&with("start", "")]).await;
    world.run_next().await;

    let gone = async |git_ref: &GitRef| {
        world
            .scheduler
            .stop_environments_of(world.projects[0], git_ref)
            .await
            .unwrap()
    };
    assert_eq!(gone(&side).await, 1);
    assert_eq!(gone(&side).await, 0, "again");
    world.see("on-side", "stopped success").await;
    for untouched in ["on-tag", "on-request"] {
        world.see(untouched, "available success").await;
    }
    world.see("e", "available success success").await;
    let request = GitRef::MergeRequest {
        iid: 7,
        kind: "head".into(),
    };
    assert_eq!(gone(&request).await, 1);
    world.see("on-request", "stopped success").await;
}

#[tokio::test]
async fn an_older_commit_is_not_deployed_over_a_newer_one() {
    let world = World::new().await;
    let job = with("start", "");
    let gated = with("start", "").replace("job |", "job when=manual |");
    let old = world.create_at("a", &[&job]).await;
    let manual = world.create_at("b", &[&gated]).await;
    let same = world.create_at("c", &[&gated]).await;
    let new = world.create_at("c", &[&job]).await;
    // The newest is handed out first, as if the others had no runner.
    let mut first = world.take(&runner(1)).await;
    if first.pipeline == old {
        let second = world.take(&runner(2)).await;
        world.scheduler.retry_job(first.job).await.unwrap_err();
        world
            .finish(&first, Outcome::failed(FailureReason::RunnerInterrupted))
            .await
            .unwrap();
        first = second;
    }
    assert_eq!(first.pipeline, new);
    world.pass(&first).await;
    world.check(old, "job:failed =failed").await;
    assert!(world.try_claim(&runner(1)).await.is_none());
    let reason = async |id: PipelineId| {
        let job = world.job(id, "job").await;
        let row = world.store.read(move |tx| jobs::get(tx, job)).await.unwrap().unwrap();
        row.state_json.contains("failed_outdated_deployment_job")
    };
    assert!(reason(old).await);

    world
        .scheduler
        .play(world.job(manual, "job").await, Default::default())
        .await
        .unwrap();
    world.check(manual, "job:failed =failed").await;
    assert!(reason(manual).await);
    // The same commit is no older one.
    world
        .scheduler
        .play(world.job(same, "job").await, Default::default())
        .await
        .unwrap();
    world.check(same, "job:pending =pending").await;
    world.run_next().await;
}

/// What starts together with a job that turns out to be outdated is cancelled with all of it.
#[tokio::test]
async fn an_outdated_job_cancels_those_beside_it() {
    let world = World::new().await;
    let job = with("start", "").replace("job |", "job stage=1 |");
    let mut new = world.new_pipeline(0, &["gate when=manual", "beside stage=1", &job]);
    let Content::Plan(plan) = &mut new.content else {
        unreachable!("it is a plan")
    };
    plan.auto_cancel.on_job_failure = tasuki_model::plan::OnJobFailure::All;
    let Created::New { id: old, .. } = world.scheduler.create_pipeline(new).await.unwrap() else {
        panic!("it exists")
    };
    world.create_at("b", &[&with("start", "")]).await;
    world.run_next().await;
    world
        .scheduler
        .play(world.job(old, "gate").await, Default::default())
        .await
        .unwrap();
    world.run_next().await;
    world
        .check(old, "gate:success beside:canceled job:failed =failed")
        .await;
    assert!(world.try_claim(&runner(1)).await.is_none());
    let tasks = world.tasks_of(world.job(old, "beside").await).await;
    assert!(tasks.iter().all(|(_, _, state)| state == "finished"), "{tasks:?}");
}

#[tokio::test]
async fn of_two_at_once_the_one_that_began_later_counts() {
    let world = World::new().await;
    let of = |url: &str| with("start", &format!(r#", "url": "https://{url}", "auto_stop_in_s": 60"#));
    world.create_at("a", &[&of("first")]).await;
    let first = world.take(&runner(1)).await;
    let second = world.create_at("b", &[&of("second")]).await;
    world.run_next().await;
    world.advance(Duration::from_secs(5)).await;
    world.pass(&first).await;
    let environment = world.environment("e").await.unwrap();
    let newest = world.deployments(&environment).await.remove(0);
    assert_eq!(
        (environment.last_deployment_id, newest.pipeline_id),
        (Some(newest.id), second)
    );
    assert_eq!(environment.url.as_deref(), Some("https://second"));
    // Both keep it alive.
    let left = environment.due_ms.unwrap().since(Timestamp(world.clock.now_ms()));
    assert_eq!(left, MINUTE);
}

#[tokio::test]
async fn a_deployment_is_repeated_to_go_back() {
    let world = World::new().await;
    let old = world.create_at("a", &[&with("start", "")]).await;
    world.run_next().await;
    let new = world.create_at("b", &[&with("start", "")]).await;
    world.run_next().await;
    world.check(new, "job:success =success").await;
    world.scheduler.retry_job(world.job(old, "job").await).await.unwrap();
    world.check(old, "job:pending =pending").await;
    world.run_next().await;
    let environment = world.environment("e").await.unwrap();
    let newest = world.deployments(&environment).await.remove(0);
    assert_eq!(
        (environment.last_deployment_id, newest.pipeline_id),
        (Some(newest.id), old)
    );
}

#[tokio::test]
async fn a_project_may_allow_outdated_deployments() {
    let world = World::new().await;
    let project = world.projects[0];
    let now = Timestamp(world.clock.now_ms());
    let set = world.store.write(move |tx| {
        let mut row = projects::get(tx, project)?.unwrap();
        row.settings_json = r#"{"allow_outdated_deployments":true}"#.into();
        projects::update(tx, &row, now)
    });
    assert!(set.await.unwrap());
    let job = with("start", "");
    let gated = job.replace("job |", "job when=manual |");
    let old = world.create_at("a", &[&gated]).await;
    world.create_at("b", &[&job]).await;
    world.run_next().await;
    world
        .scheduler
        .play(world.job(old, "job").await, Default::default())
        .await
        .unwrap();
    world.run_next().await;
    world.check(old, "job:success =success").await;
}

/// The group lets one deploy at a time; who comes late and brings an older commit is out when its turn comes.
#[tokio::test]
async fn outdated_jobs_leave_their_resource_group() {
    let world = World::new().await;
    let grouped = |mode: &str| {
        format!(r#"job |{{"environment": {{"name": "e"}}, "resource_group": {{"key": "e", "mode": "{mode}"}}}}"#)
    };
    let job = grouped("newest_first");
    let first = world.create_at("a", &[&job]).await;
    let second = world.create_at("b", &[&job]).await;
    let third = world.create_at("c", &[&job]).await;
    world
        .check(second, "job:waiting_for_resource =waiting_for_resource")
        .await;
    world.run_next().await;
    world.check(first, "job:success =success").await;
    world.check(third, "job:pending =pending").await;
    world.run_next().await;
    world.check(second, "job:failed =failed").await;
    world.see("e", "available success success").await;
    let fourth = world.create_at("d", &[&job]).await;
    world.check(fourth, "job:pending =pending").await;
}
