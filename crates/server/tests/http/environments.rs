//! Environments: what people and jobs see of them.

use std::io::Write as _;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::Method;
use serde_json::{Value, json};
use tasuki_model::id::ProjectId;
use tasuki_rt::Clock;

use crate::support::{Answer, Job, Server};
use crate::ui::log_in;

const SUCCESS: &str = "success";

async fn run(server: &Server, runner: &str) -> Job {
    let job = server.take(runner).await;
    server.state(&job, json!({"state": SUCCESS})).await.expect(200);
    job
}

async fn environment(server: &Server, project: ProjectId, name: &str) -> Value {
    let query: String = url::form_urlencoded::Serializer::new(String::new())
        .append_pair("name", name)
        .finish();
    let page = server.get(&format!("/projects/{project}/environments?{query}")).await;
    page["items"][0].clone()
}

fn names(page: &Value) -> Vec<&str> {
    let items = page["items"].as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

/// Three environments that were deployed to, each with a job that stops it.
const REVIEWS: &str = "deploy:\n  script: x\n  parallel: {matrix: [{TO: [a, b, c]}]}\n  \
    environment: {name: review/$TO, url: 'https://example.com/', on_stop: stop, auto_stop_in: 1 day}\n\
    stop:\n  script: x\n  when: manual\n  parallel: {matrix: [{TO: [a, b, c]}]}\n  \
    environment: {name: review/$TO, action: stop}\n";

#[tokio::test]
async fn environments_are_listed_and_shown() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, REVIEWS).await;
    for _ in 0..3 {
        run(&server, &runner).await;
    }
    let path = format!("/projects/{project}/environments");
    let page = server.get(&format!("{path}?limit=2")).await;
    assert_eq!(
        (names(&page), &page["next"]),
        (vec!["review/a", "review/b"], &json!("review/b"))
    );
    let page = server
        .get("/projects/group%2Fname/environments?limit=2&cursor=review%2Fb")
        .await;
    assert_eq!((names(&page), page.get("next")), (vec!["review/c"], None));
    let refused = async |path: &str, status: u16| {
        server.api(Method::GET, path, None).await.expect(status);
    };
    refused(&format!("{path}?state=x"), 400).await;
    refused("/projects/no%2Fne/environments", 404).await;

    let found = environment(&server, project, "review/b").await;
    assert_eq!(
        (&found["state"], &found["tier"], &found["external_url"]),
        (
            &json!("available"),
            &json!("development"),
            &json!("https://example.com/")
        )
    );
    let last = &found["last_deployment"];
    assert_eq!(
        (&last["status"], &last["ref"], &last["job"], &last["pipeline_id"]),
        (
            &json!("success"),
            &json!("main"),
            &json!("deploy: [b]"),
            &json!(pipeline.0)
        )
    );
    assert!(found["auto_stop_at"].is_string() && found.get("latest_deployment").is_none());
    let id = &found["id"];
    assert_eq!(server.get(&format!("/environments/{id}")).await, found);
    refused(&format!("/environments/{id}/deployments?cursor=x"), 422).await;
    let job = server.job(pipeline, "deploy: [b]").await;
    assert_eq!(
        job["environment"],
        json!({"name": "review/b", "action": "start"}),
        "in a list"
    );
    let job = server.get(&format!("/jobs/{}", job["id"])).await;
    assert_eq!(
        (
            &job["environment"]["name"],
            &job["environment"]["id"],
            &job["environment"]["deployment"]
        ),
        (&json!("review/b"), id, last)
    );
}

#[tokio::test]
async fn environments_are_stopped_deployed_to_again_and_removed() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let pipeline = server.pipeline(project, REVIEWS).await;
    for _ in 0..3 {
        run(&server, &runner).await;
    }
    let first = environment(&server, project, "review/b").await;
    let id = &first["id"];
    let change = async |what: &str, body: Value, status: u16| {
        let path = format!("/environments/{id}/{what}");
        server.post(&path, body).await.expect(status).json()
    };
    let remove = async |status: u16| {
        let path = format!("/environments/{id}");
        server.api(Method::DELETE, &path, None).await.expect(status)
    };
    assert_eq!(change("keep", json!({}), 200).await.get("auto_stop_at"), None);
    remove(409).await;
    assert_eq!(change("stop", json!({}), 200).await["state"], "stopping");
    assert_eq!(server.job_status(pipeline, "stop: [b]").await, "pending");
    assert_eq!(server.job_status(pipeline, "stop: [a]").await, "manual");
    change("keep", json!({}), 409).await;
    run(&server, &runner).await;
    let stopped = server
        .get(&format!("/projects/{project}/environments?state=stopped"))
        .await;
    assert_eq!(names(&stopped), ["review/b"]);

    let again = server.job(pipeline, "deploy: [b]").await["id"].clone();
    server
        .post(&format!("/jobs/{again}/retry"), json!({}))
        .await
        .expect(200);
    let found = server.get(&format!("/environments/{id}")).await;
    assert_eq!(
        (&found["state"], &found["latest_deployment"]["status"]),
        (&json!("stopped"), &json!("created"))
    );
    run(&server, &runner).await;
    let page = server.get(&format!("/environments/{id}/deployments?limit=1")).await;
    let next = page["next"].as_str().unwrap();
    let older = server
        .get(&format!("/environments/{id}/deployments?limit=1&cursor={next}"))
        .await;
    assert_eq!(
        (&older["items"][0]["id"], older.get("next")),
        (&first["last_deployment"]["id"], None)
    );

    assert_eq!(change("stop", json!({"force": true}), 200).await["state"], "stopped");
    remove(204).await;
    remove(404).await;
    change("stop", json!({}), 404).await;
    change("keep", json!({}), 404).await;
}

fn dotenv(text: &str) -> Vec<u8> {
    let mut packer = GzEncoder::new(Vec::new(), Compression::fast());
    packer.write_all(text.as_bytes()).unwrap();
    packer.finish().unwrap()
}

/// The url is made of the job's variables, those of its environment and what the job itself left; no secret is in it, and
/// jobs that come after know it.
#[tokio::test]
async fn urls_are_made_of_what_the_job_left() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let set = async |key: &str, value: &str, scope: &str, masked: bool| {
        let body = json!({"key": key, "value": value, "environment_scope": scope, "masked": masked});
        let path = format!("/projects/{project}/variables/{key}");
        server.api(Method::PUT, &path, Some(body)).await.expect(200);
    };
    set("ZONE", "anywhere", "*", false).await;
    set("ZONE", "review.example.com", "review/*", false).await;
    set("ZONE", "other.example.com", "review/other", false).await;
    set("SECRET", "do-not-show-me", "*", true).await;
    let yaml = "deploy:\n  script: x\n  variables: {VIA: 'v-$SECRET'}\n  artifacts: {reports: {dotenv: d.env}}\n  \
                environment:\n    name: review/main\n    \
                url: https://$CI_ENVIRONMENT_SLUG.$ZONE/$WHERE?a=$SECRET&b=$VIA&c=$CI_JOB_TOKEN&d=${NOWHERE}&e=%WHERE%\n\
                use:\n  stage: deploy\n  script: x\n  environment: {name: review/main, action: verify}\n\
                own:\n  stage: deploy\n  script: x\n  environment: {name: review/main, action: access, url: 'https://own'}\n\
                plain:\n  stage: deploy\n  script: x\n";
    server.pipeline(project, yaml).await;
    let deploy = server.take(&runner).await;
    assert_eq!(deploy.variable("ZONE"), Some("review.example.com"));
    assert_eq!(deploy.variable("CI_ENVIRONMENT_ACTION"), Some("start"));
    let id = environment(&server, project, "review/main").await["id"].to_string();
    assert_eq!(deploy.variable("CI_ENVIRONMENT_ID"), Some(id.as_str()));
    server
        .upload(
            &deploy,
            "artifact_type=dotenv&artifact_format=gzip",
            "d.env.gz",
            &dotenv("WHERE=made/here\nZONE=not-below-the-settings"),
        )
        .await
        .expect(201);
    server.state(&deploy, json!({"state": SUCCESS})).await.expect(200);
    let found = environment(&server, project, "review/main").await;
    let slug = found["slug"].as_str().unwrap();
    let url =
        format!("https://{slug}.not-below-the-settings/made/here?a=[MASKED]&b=v-[MASKED]&c=[MASKED]&d=&e=made/here");
    assert_eq!(found["external_url"], json!(url));
    assert_eq!(found["last_deployment"]["url"], json!(url));

    for _ in 0..3 {
        let job = run(&server, &runner).await;
        let name = job.payload["job_info"]["name"].as_str().unwrap().to_owned();
        let (url, zone) = match name.as_str() {
            "use" => (Some(url.as_str()), "review.example.com"),
            "own" => (Some("https://own"), "review.example.com"),
            _ => (None, "anywhere"),
        };
        assert_eq!(
            (job.variable("CI_ENVIRONMENT_URL"), job.variable("ZONE")),
            (url, Some(zone)),
            "{name}"
        );
    }
    // Only what deploys moves the address.
    assert_eq!(
        environment(&server, project, "review/main").await["external_url"],
        json!(url)
    );
}

/// A crash between a job's end and its url loses nothing, and what cannot be made is given up.
#[tokio::test]
async fn a_wanted_url_survives_and_a_hopeless_one_ends() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let yaml = "deploy:\n  script: x\n  environment: {name: e, url: 'https://$CI_JOB_NAME'}\n";
    let pipeline = server.pipeline(project, yaml).await;
    run(&server, &runner).await;
    let first = environment(&server, project, "e").await;
    assert_eq!(first["external_url"], "https://deploy");
    // As it was right after the job's end; and one whose pipeline is gone.
    let (own, other) = (
        first["last_deployment"]["id"].as_i64().unwrap(),
        first["id"].as_i64().unwrap(),
    );
    let wanted = server.app().store().write(move |tx| {
        let change = tasuki_store::deployments::Change {
            status: SUCCESS,
            started_ms: None,
            finished_ms: None,
            url_wanted: true,
        };
        tasuki_store::deployments::change(tx, own, &change)?;
        let new = tasuki_store::deployments::NewDeployment {
            environment_id: other,
            project_id: project,
            pipeline_id: pipeline,
            job_id: tasuki_model::id::JobId(424_242),
            job_name: "gone",
            ref_kind: "branch",
            ref_name: "main",
            sha: "",
            stop_job_id: None,
        };
        let id = tasuki_store::deployments::create(tx, &new, tasuki_model::time::Timestamp(0))?;
        tasuki_store::deployments::change(tx, id, &change)?;
        Ok(id)
    });
    let hopeless = wanted.await.unwrap();
    let again = environment(&server, project, "e").await;
    assert_eq!(again["last_deployment"]["url"], "https://deploy");
    assert_eq!(again["latest_deployment"]["id"], json!(hopeless));
    let left = server
        .app()
        .store()
        .read(|tx| tasuki_store::deployments::url_wanted(tx, 9))
        .await;
    assert_eq!(left.unwrap(), []);
}

/// The clock of a whole server stops it, also one that was started after the time was set.
#[tokio::test]
async fn the_clock_stops_environments() {
    let clock = Clock::manual(1_800_000_000_000);
    let server = Server::at(&clock).await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let yaml = "deploy:\n  script: x\n  environment: {name: e, auto_stop_in: 1 hour}\n";
    server.pipeline(project, yaml).await;
    run(&server, &runner).await;
    assert_eq!(
        environment(&server, project, "e").await["auto_stop_at"],
        "2027-01-15T09:00:00.000Z"
    );
    clock.advance(Duration::from_mins(61));
    server.app().scheduler().tick().await.unwrap();
    assert_eq!(environment(&server, project, "e").await["state"], "stopped");
}

/// Names and addresses come from whoever may push: no page runs them.
#[tokio::test]
async fn pages_run_nothing_that_an_environment_brings() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let evil = "</title><script>alert(1)</script>\"onmouseover=\"alert(2)";
    let cookie = log_in(&server).await;
    let page = async |path: &str| {
        let request = server.raw(Method::GET, path).header("Cookie", &cookie);
        Answer::of(request.send().await.unwrap()).await.expect(200).text
    };
    for (url, link) in [
        ("javascript:alert(3)", None),
        ("JAVASCRIPT:alert(3)//https://x", None),
        ("data:text/html,<script>alert(3)</script>", None),
        (
            "https://x.example.com/\"onclick=\"alert(3)",
            Some("https://x.example.com/%22onclick=%22alert(3)"),
        ),
    ] {
        let change = |plan: &mut tasuki_model::plan::Plan| {
            let environment = plan.workflows[0].jobs[0].environment.as_mut().unwrap();
            evil.clone_into(&mut environment.name);
            environment.url = Some(url.to_owned());
        };
        let yaml = "deploy:\n  script: x\n  environment: e\n";
        let pipeline = server.pipeline_with(project, yaml, "main", change).await;
        run(&server, &runner).await;
        let found = environment(&server, project, evil).await;
        assert_eq!((&found["name"], &found["external_url"]), (&json!(evil), &json!(url)));
        let job = server.job(pipeline, "deploy").await["id"].clone();
        for path in [
            format!("/projects/{project}/environments"),
            format!("/environments/{}", found["id"]),
            format!("/jobs/{job}"),
        ] {
            let text = page(&path).await;
            let without_ours = text.replace("<script src=\"/assets/app.js?", "");
            for part in [
                "<script",
                "\"onmouseover=",
                "\"onclick=",
                "href=\"javascript",
                "href=\"JAVASCRIPT",
                "href=\"data:",
            ] {
                assert!(!without_ours.contains(part), "{part} in {path}: {without_ours}");
            }
            assert!(
                text.contains("&#60;script&#62;") || text.contains("&lt;script&gt;"),
                "{path} shows the name"
            );
            let linked = link.is_none_or(|link| text.contains(&format!("href=\"{link}\"")));
            assert!(linked, "{path} links the address: {text}");
        }
    }
}

#[tokio::test]
async fn the_page_of_an_environment_stops_it() {
    let server = Server::start().await;
    let project = server.project("group/name").await;
    let runner = server.new_runner(json!({})).await;
    let cookie = log_in(&server).await;
    let get = async |path: String| {
        let request = server.raw(Method::GET, &path).header("Cookie", &cookie);
        Answer::of(request.send().await.unwrap()).await.expect(200).text
    };
    assert!(
        get(format!("/projects/{project}/environments"))
            .await
            .contains("No environments yet")
    );
    assert!(
        get(format!("/projects/{project}"))
            .await
            .contains(&format!("/projects/{project}/environments"))
    );
    let yaml = "deploy:\n  script: x\n  environment: {name: staging, url: 'https://staging.example.com', auto_stop_in: 1 day}\n";
    server.pipeline(project, yaml).await;
    let job = run(&server, &runner).await;
    let id = environment(&server, project, "staging").await["id"].clone();
    let list = get(format!("/projects/{project}/environments")).await;
    for part in [
        "available",
        "href=\"https://staging.example.com/\"",
        "staging",
        ">deploy</a>",
        &format!("/environments/{id}/stop"),
    ] {
        assert!(list.contains(part), "{part} in {list}");
    }
    let shown = get(format!("/tasks/{}", job.id)).await;
    assert!(
        shown.contains(&format!("<a href=\"/environments/{id}\">staging</a>")),
        "{shown}"
    );
    let press = async |what: &str, site: &str, status: u16| {
        let request = server
            .raw(Method::POST, &format!("/environments/{id}/{what}"))
            .header("Cookie", &cookie)
            .header("Sec-Fetch-Site", site);
        Answer::of(request.send().await.unwrap()).await.expect(status)
    };
    press("stop", "cross-site", 403).await;
    assert!(get(format!("/environments/{id}")).await.contains("/keep"));
    press("keep", "same-origin", 303).await;
    assert!(!get(format!("/environments/{id}")).await.contains("/keep"));
    press("stop", "same-origin", 303).await;
    let page = get(format!("/environments/{id}")).await;
    assert!(page.contains("stopped") && !page.contains("/stop\""), "{page}");
}
