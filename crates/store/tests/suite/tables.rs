//! What each table's functions promise.

use tasuki_model::id::{JobId, PipelineId, ResourceClassId, RunnerId, TaskId, UserId};
use tasuki_model::time::Timestamp;
use tasuki_store::{
    Error, State, Tx, artifacts, blobs, bridges, caches, deliveries, jobs, logs, merge_requests, pages, pipelines,
    projects, resource_classes, resource_groups, runners, schedules, sessions, settings, tasks, tokens, users,
    variables, workflows,
};

use crate::database::{NOW, read, write};
use crate::{on_each_database, sample};

fn at(ms: i64) -> Timestamp {
    Timestamp(NOW.0 + ms)
}

fn artifact(task: TaskId, name: &'static str, blob_key: &'static str) -> artifacts::NewArtifact<'static> {
    artifacts::NewArtifact {
        task_id: task,
        job_id: JobId(1),
        pipeline_id: PipelineId(1),
        project_id: tasuki_model::id::ProjectId(1),
        kind: "archive",
        format: "zip",
        filename: name,
        size: 10,
        sha256: "00",
        blob_key,
        access: "public",
        expires_ms: None,
    }
}

fn log_bytes(tx: &mut tasuki_store::Tx<'_>, task: TaskId) -> tasuki_store::Result<Vec<u8>> {
    let mut all = Vec::new();
    for segment in logs::segments(tx, task, 0, i64::MAX)? {
        assert_eq!(segment.start, all.len() as i64);
        all.extend(segment.data.unwrap_or_default());
    }
    for (start, data) in logs::chunks(tx, task, all.len() as i64, i64::MAX)? {
        assert_eq!(start, all.len() as i64);
        all.extend(data);
    }
    Ok(all)
}

on_each_database! {
    fn settings_are_kept(database) {
        let store = database.open();
        write(&store, |tx| {
            assert_eq!(settings::get(tx, "k")?, None);
            assert_eq!(settings::set_once(tx, "k", "1")?, "1");
            assert_eq!(settings::set_once(tx, "k", "2")?, "1");
            settings::set(tx, "k", "3")?;
            assert_eq!(settings::get(tx, "k")?.as_deref(), Some("3"));
            settings::remove(tx, "k")?;
            assert_eq!(settings::get(tx, "k")?, None);
            Ok(())
        });
    }

    fn projects_have_unique_paths_and_refs(database) {
        let store = database.open();
        let id = write(&store, |tx| sample::project(tx, "a/b"));
        let twice = store.write_blocking(|tx| sample::project(tx, "a/b"));
        assert!(matches!(twice, Err(Error::Duplicate { .. })), "{twice:?}");
        write(&store, move |tx| {
            sample::project(tx, "a/a")?;
            sample::project(tx, "z/z")?;
            let page = projects::list(tx, Some("a/a"), 1)?;
            assert_eq!(page.iter().map(|p| p.path.as_str()).collect::<Vec<_>>(), ["a/b"]);
            let mut project = projects::by_path(tx, "a/b")?.unwrap();
            project.default_branch = "trunk".into();
            assert!(projects::update(tx, &project, at(5))?);
            let found = projects::get(tx, id)?.unwrap();
            assert_eq!((found.default_branch.as_str(), found.updated_ms, found.created_ms), ("trunk", at(5), NOW));
            projects::set_ref(tx, id, "refs/heads/main", Some("aa"), NOW)?;
            projects::set_ref(tx, id, "refs/heads/main", Some("bb"), NOW)?;
            projects::set_ref(tx, id, "refs/tags/v1", Some("cc"), NOW)?;
            projects::set_ref(tx, id, "refs/tags/v1", None, NOW)?;
            assert_eq!(projects::refs(tx, id)?, [("refs/heads/main".to_owned(), "bb".to_owned())]);
            assert_eq!(projects::ref_sha(tx, id, "refs/tags/v1")?, None);
            Ok(())
        });
    }

    fn pipelines_are_listed_newest_first_by_pages(database) {
        let store = database.open();
        write(&store, |tx| {
            let (one, two) = (sample::project(tx, "a/1")?, sample::project(tx, "a/2")?);
            let mut ids = Vec::new();
            for n in 0..7 {
                let new = pipelines::NewPipeline {
                    ref_name: if n % 2 == 0 { "main" } else { "side" },
                    ..sample::new_pipeline(if n == 3 { two } else { one })
                };
                let pipelines::Created::New { id, iid } = pipelines::create(tx, &new, NOW)? else { panic!("new") };
                assert_eq!(iid, match n { 0..3 => n + 1, 3 => 1, _ => n });
                ids.push(id);
            }
            let mut list = |project, ref_name, before, limit| {
                pipelines::list(tx, &pipelines::Filter { project, ref_name, before }, limit)
                    .map(|page| page.iter().map(|p| ids.iter().position(|id| *id == p.id).unwrap()).collect::<Vec<_>>())
            };
            assert_eq!(list(None, None, None, 3)?, [6, 5, 4]);
            assert_eq!(list(None, None, Some(ids[4]), 9)?, [3, 2, 1, 0]);
            assert_eq!(list(Some(one), None, Some(ids[5]), 2)?, [4, 2]);
            assert_eq!(list(Some(one), Some("side"), None, 9)?, [5, 1]);
            assert_eq!(pipelines::by_iid(tx, two, 1)?.map(|p| p.id), Some(ids[3]));
            Ok(())
        });
    }

    fn pipelines_change_by_compare_and_swap(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let id = sample::pipeline(tx, project)?;
            let change = pipelines::Change {
                state: State { tag: "success", json: r#"{"a":1}"# },
                started_ms: Some(at(1)),
                finished_ms: Some(at(2)),
            };
            assert_eq!(pipelines::live_of_ref(tx, project, "main")?.len(), 1);
            assert!(pipelines::advance(tx, id, 1)?);
            assert!(!pipelines::change(tx, id, 1, &change)?, "somebody was faster");
            assert!(pipelines::change(tx, id, 2, &change)?);
            let found = pipelines::get(tx, id)?.unwrap();
            assert_eq!((found.version, found.state.as_str(), found.finished_ms), (3, "success", Some(at(2))));
            assert!(pipelines::live(tx)?.is_empty());
            assert_eq!(pipelines::details(tx, id)?.unwrap().trigger_json, "{}");
            Ok(())
        });
    }

    fn many_jobs_keep_their_order_and_plans(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let pipeline = sample::pipeline(tx, project)?;
            let workflow = workflows::insert_all(tx, pipeline, &["one", "two"], sample::CREATED)?[1];
            let names: Vec<String> = (0..700).map(|n| format!("job {n}")).collect();
            // Given in the reverse of their position.
            let new: Vec<jobs::NewJob<'_>> = names.iter().enumerate().rev().map(|(idx, name)| jobs::NewJob {
                workflow_id: workflow, idx: idx as i64, name, stage: "s", stage_idx: 0, state: sample::CREATED,
                graph_json: "{}", plan_json: name, due_ms: None, finished_ms: None,
            }).collect();
            let ids = jobs::insert_all(tx, pipeline, project, &new, NOW)?;
            for (id, new) in ids.iter().zip(&new).step_by(97) {
                assert_eq!(jobs::get(tx, *id)?.unwrap().name, new.name);
                assert_eq!(jobs::plan(tx, *id)?.as_deref(), Some(new.plan_json));
            }
            let all = jobs::of_pipeline(tx, pipeline)?;
            assert!(all.iter().map(|job| &job.name).eq(&names), "by position");
            let page = jobs::page(tx, pipeline, Some(5), 2)?;
            assert_eq!(page.iter().map(|job| job.idx).collect::<Vec<_>>(), [6, 7]);
            let changes: Vec<jobs::Change<'_>> = all.iter().map(|job| jobs::Change {
                id: job.id, state: State { tag: "skipped", json: &job.name }, due_ms: (job.idx == 3).then_some(at(9)),
                started_ms: None, finished_ms: Some(at(job.idx)),
            }).collect();
            jobs::change_all(tx, &changes)?;
            jobs::change_all(tx, &[])?;
            for job in jobs::of_pipeline(tx, pipeline)? {
                assert_eq!((job.state.as_str(), &job.state_json, job.finished_ms), ("skipped", &job.name, Some(at(job.idx))));
            }
            assert_eq!(jobs::count_by_state(tx, pipeline)?, [("skipped".to_owned(), 700)]);
            assert_eq!(jobs::next_due(tx)?, Some(at(9)));
            assert_eq!(jobs::due(tx, at(8), 9)?.len(), 0);
            assert_eq!(jobs::due(tx, at(9), 9)?.len(), 1);
            let edge = |job: usize, needs: usize| jobs::Need { job: all[job].id, needs: all[needs].id, artifacts: job == 2 };
            // By id: the jobs were given in the reverse of their position.
            jobs::insert_needs(tx, pipeline, &[edge(2, 1), edge(2, 0), edge(1, 0)])?;
            assert_eq!(jobs::needs_of_pipeline(tx, pipeline)?, [edge(2, 1), edge(2, 0), edge(1, 0)]);
            assert_eq!(jobs::needs_of_job(tx, pipeline, all[2].id)?, [edge(2, 1), edge(2, 0)]);
            Ok(())
        });
    }

    fn a_task_goes_its_way(database) {
        let store = database.open();
        write(&store, |tx| {
            let (project, pipeline, ids) = sample::queued(tx, "a/b", 3)?;
            assert_eq!(tasks::queued(tx)?.iter().map(|t| t.id).collect::<Vec<_>>(), ids);
            assert_eq!(tasks::queued_after(tx, ids[0], 1)?.iter().map(|t| t.id).collect::<Vec<_>>(), [ids[1]]);
            let claimed = tasks::claim(tx, ids[0], &sample::claim(4, "hash"), at(3))?.unwrap();
            assert_eq!((claimed.version, claimed.claimed_ms, claimed.runner_id), (2, Some(at(3)), Some(RunnerId(4))));
            assert_eq!(tasks::claim(tx, ids[0], &sample::claim(5, "other"), at(4))?, None);
            assert_eq!(tasks::by_token_hash(tx, "hash")?.map(|t| t.id), Some(ids[0]));
            tasks::touch_all(tx, &[(ids[0], at(8)), (ids[1], at(9))])?;
            assert_eq!(tasks::running_on(tx, RunnerId(4))?[0].contact_ms, Some(at(8)));
            assert!(tasks::unclaim(tx, ids[0], 2, "{}")?);
            assert_eq!(tasks::by_token_hash(tx, "hash")?, None);
            tasks::claim(tx, ids[0], &sample::claim(5, "second"), at(4))?.unwrap();
            assert!(!tasks::change(tx, ids[0], 3, &sample::finished("success"))?, "an old version");
            assert!(tasks::change(tx, ids[0], 4, &sample::finished("success"))?);
            assert!(!tasks::change(tx, ids[0], 5, &sample::finished("failed"))?, "the first result stays");
            assert_eq!(tasks::by_token_hash(tx, "second")?, None, "the token opens nothing any more");
            assert!(tasks::running(tx)?.is_empty());
            let job = tasks::get(tx, ids[0])?.unwrap().job_id;
            let again = tasks::NewTask { attempt: 2, ..sample::new_task(project, pipeline, job) };
            let again = tasks::insert_all(tx, &[again], at(9))?[0];
            assert_eq!(tasks::of_job(tx, job)?.iter().map(|t| (t.id, t.attempt)).collect::<Vec<_>>(), [(ids[0], 1), (again, 2)]);
            assert_eq!(tasks::newest_of_pipeline(tx, pipeline)?.iter().map(|t| t.id).collect::<Vec<_>>(), [again, ids[1], ids[2]]);
            assert_eq!(tasks::of_pipeline(tx, pipeline)?.len(), 4);
            Ok(())
        });
    }

    fn parallel_tasks_come_back_in_order(database) {
        let store = database.open();
        write(&store, |tx| {
            let (project, pipeline, ids) = sample::queued(tx, "a/b", 1)?;
            let job = tasks::get(tx, ids[0])?.unwrap().job_id;
            let new: Vec<tasks::NewTask<'_>> = (0..100).rev()
                .map(|parallel_index| tasks::NewTask { parallel_index, attempt: 2, ..sample::new_task(project, pipeline, job) })
                .collect();
            for (id, new) in tasks::insert_all(tx, &new, NOW)?.into_iter().zip(&new) {
                assert_eq!(tasks::get(tx, id)?.unwrap().parallel_index, new.parallel_index);
            }
            Ok(())
        });
    }

    fn logs_grow_at_their_end_only(database) {
        let store = database.open();
        write(&store, |tx| {
            use logs::Appended::{Done, Moved, Refused};
            let (_, _, ids) = sample::queued(tx, "a/b", 2)?;
            let (task, other) = (ids[0], ids[1]);
            tasks::claim(tx, task, &sample::claim(1, "hash"), NOW)?;
            let long = "x".repeat(5000);
            let mut append = |start: i64, data: &str, fence: Option<&str>| {
                let append = logs::Append { task, start, data: data.as_bytes(), crc: 7, limited: false, debug: true, fence };
                logs::append(tx, &append, NOW)
            };
            assert_eq!(append(1, "x", Some("hash"))?, Moved, "does not start at 0");
            assert_eq!(append(0, "", Some("hash"))?, Done, "nothing is something");
            assert_eq!(append(0, "hello ", Some("hash"))?, Done);
            assert_eq!(append(0, "hello ", Some("hash"))?, Moved);
            assert_eq!(append(6, "world\n", Some("hash"))?, Done);
            assert_eq!(append(13, "gap", Some("hash"))?, Moved);
            assert_eq!(append(12, "foreign", Some("stale"))?, Refused);
            assert_eq!(append(12, &long, None)?, Done);
            let log = logs::get(tx, task)?.unwrap();
            assert_eq!((log.size, log.crc, log.debug, log.finished), (5012, 7, true, false));
            assert_eq!(log_bytes(tx, task)?, format!("hello world\n{long}").as_bytes());
            assert_eq!(logs::chunks(tx, task, 7, 8)?, [(6, b"world\n".to_vec())]);
            assert_eq!(logs::chunks(tx, task, 5, 7)?.len(), 2);
            let segment = |start, length, data| logs::NewSegment { start, length, content: logs::Packed::Inline(data) };
            assert!(logs::seal(tx, task, &segment(0, 12, b"hello world\n"))?);
            assert!(!logs::seal(tx, task, &segment(0, 12, b"hello world\n"))?, "sealed already");
            assert_eq!(log_bytes(tx, task)?, format!("hello world\n{long}").as_bytes());
            assert!(logs::unsealed(tx, 9)?.is_empty(), "not finished yet");
            tasks::change(tx, task, 2, &sample::finished("success"))?;
            let late = logs::Append { task, start: 5012, data: b"late", crc: 8, limited: false, debug: false, fence: Some("hash") };
            assert_eq!(logs::append(tx, &late, NOW)?, Refused, "the task is over");
            logs::finish(tx, task, NOW)?;
            assert_eq!(logs::append(tx, &logs::Append { fence: None, ..late }, NOW)?, Refused, "the log is over");
            assert_eq!(logs::unsealed(tx, 9)?.len(), 1);
            let key = logs::NewSegment { start: 12, length: 5000, content: logs::Packed::Blob { key: "logs/1", size: 9 } };
            assert!(logs::seal(tx, task, &key)?);
            assert!(logs::unsealed(tx, 9)?.is_empty());
            assert_eq!(blobs::named(tx, "", 9)?, [("logs/1".to_owned(), 9, None)]);
            logs::erase(tx, task, NOW)?;
            assert_eq!(logs::get(tx, task)?.unwrap().size, 0);
            assert_eq!(blobs::take_due(tx, NOW, 9)?, ["logs/1"]);
            assert_eq!(logs::get(tx, other)?, None);
            Ok(())
        });
    }

    fn replaced_files_become_trash(database) {
        let store = database.open();
        write(&store, |tx| {
            let (project, _, ids) = sample::queued(tx, "a/b", 1)?;
            blobs::discard(tx, &["blob/1"], at(1000))?;
            assert!(blobs::keep(tx, "blob/1")?);
            assert!(!blobs::keep(tx, "blob/1")?, "it is gone or named already");
            let id = artifacts::put(tx, &artifact(ids[0], "a.zip", "blob/1"), NOW)?;
            assert_eq!(artifacts::put(tx, &artifact(ids[0], "a.zip", "blob/2"), NOW)?, id);
            artifacts::put(tx, &artifact(ids[0], "b.zip", "blob/3"), NOW)?;
            assert_eq!(blobs::take_due(tx, NOW, 9)?, ["blob/1"]);
            assert!(!blobs::keep(tx, "blob/1")?, "it is about to be deleted");
            let second = artifacts::of_task(tx, ids[0])?.remove(1);
            assert!(artifacts::set_expiry(tx, second.id, Some(at(5)))?);
            assert_eq!(artifacts::expired(tx, at(4), 9)?, []);
            let expired = artifacts::expired(tx, at(5), 9)?.remove(0);
            assert!(artifacts::remove(tx, &expired, at(6))?);
            assert!(!artifacts::remove(tx, &expired, at(6))?);
            assert_eq!(artifacts::of_kind(tx, ids[0], "archive")?.unwrap().blob_key, "blob/2");

            let cache = |key, blob_key, size| caches::NewCache { project_id: project, key, size, sha256: "00", blob_key };
            caches::put(tx, &cache("deps-1", "blob/4", 10), at(1))?;
            caches::put(tx, &cache("deps-2", "blob/5", 20), at(2))?;
            caches::put(tx, &cache("deps-1", "blob/6", 30), at(3))?;
            assert_eq!(caches::newest_with_prefix(tx, project, "deps-")?.unwrap().key, "deps-1");
            assert_eq!(caches::newest_with_prefix(tx, project, "deps-2")?.unwrap().key, "deps-2");
            assert_eq!(caches::newest_with_prefix(tx, project, "%")?, None);
            assert_eq!(caches::sizes(tx)?, [(project, 50)]);
            let old = caches::by_use(tx)?.remove(0);
            assert_eq!(old.key, "deps-2");
            caches::touch_all(tx, &[(old.id, at(9))])?;
            assert_eq!(caches::by_use(tx)?[1].key, "deps-2");
            assert!(caches::remove(tx, &old, at(7))?);
            assert_eq!(caches::clear(tx, project, at(8))?, 1);
            assert_eq!(caches::get(tx, project, "deps-1")?, None);
            let trash = blobs::take_due(tx, at(8), 9)?;
            assert_eq!(trash, ["blob/1", "blob/4", "blob/3", "blob/5", "blob/6"], "earliest first");
            blobs::forget(tx, &trash)?;
            assert!(blobs::take_due(tx, at(8), 9)?.is_empty());
            Ok(())
        });
    }

    /// An archive stays for as long as its pages are shown, whatever becomes of the artifact.
    fn pages_keep_their_archive(database) {
        let store = database.open();
        write(&store, |tx| {
            let (project, _, ids) = sample::queued(tx, "a/b", 2)?;
            for (task, key) in [(ids[0], "blob/1"), (ids[1], "blob/2")] {
                blobs::discard(tx, &[key], at(1000))?;
                assert!(blobs::keep(tx, key)?);
                artifacts::put(tx, &artifact(task, "a.zip", key), NOW)?;
            }
            let archive = |tx: &mut Tx<'_>, at: usize| Ok::<_, Error>(artifacts::of_task(tx, ids[at])?.remove(0));
            let first = archive(tx, 0)?;
            assert!(pages::publish(tx, &first, "", "public", None, at(1))?);
            assert!(artifacts::remove(tx, &first, at(2))?);
            assert_eq!(blobs::take_due(tx, at(3), 9)?, Vec::<String>::new());
            assert_eq!(blobs::named(tx, "", 9)?.len(), 2, "a backup has what is shown");

            let newer = archive(tx, 1)?;
            let older = artifacts::Artifact { pipeline_id: PipelineId(0), ..newer.clone() };
            assert!(!pages::publish(tx, &older, "", "public", None, at(4))?);
            assert!(pages::publish(tx, &newer, "", "site", Some(at(9)), at(4))?);
            assert_eq!(blobs::take_due(tx, at(5), 9)?, ["blob/1"]);
            assert_eq!(pages::at(tx, project, "", at(8))?.unwrap().folder, "site");
            assert_eq!(pages::at(tx, project, "", at(9))?, None);
            pages::expire(tx, at(9))?;
            assert_eq!(pages::page(tx, project, None, 9, at(0))?, []);
            Ok(())
        });
    }

    fn runners_and_their_processes(database) {
        let store = database.open();
        write(&store, |tx| {
            let class: ResourceClassId = resource_classes::create(tx, "ns/large", "", NOW)?;
            let new = runners::NewRunner {
                token_hash: "h1", description: "one", scope: "instance", project_id: None, resource_class_id: Some(class),
                tags_json: "[]", run_untagged: true, locked: false, paused: false, access_level: "not_protected",
                maximum_timeout_s: None, maintenance_note: "", token_expires_ms: None,
            };
            let id = runners::create(tx, &new, NOW)?;
            let mut runner = runners::by_token_hash(tx, "h1")?.unwrap();
            runner.paused = true;
            runner.maximum_timeout_s = Some(600);
            assert!(runners::update(tx, &runner)?);
            assert_eq!(runners::get(tx, id)?.unwrap(), runner);
            assert!(runners::set_token(tx, id, "h2", Some(at(1)))?);
            assert_eq!(runners::by_token_hash(tx, "h1")?, None);
            runners::set_manager(tx, id, "s_1", "{}", "::1", NOW)?;
            runners::set_manager(tx, id, "s_1", r#"{"name":"x"}"#, "::1", at(1))?;
            runners::set_manager(tx, id, "s_2", "{}", "::1", NOW)?;
            runners::touch_all(tx, &[(id, "s_1", at(7)), (id, "s_2", at(6)), (id, "unknown", at(9))])?;
            let managers = runners::managers(tx, id)?;
            assert_eq!(managers.iter().map(|m| (m.system_id.as_str(), m.contact_ms)).collect::<Vec<_>>(), [("s_1", at(7)), ("s_2", at(6))]);
            assert_eq!(managers[0].info_json, r#"{"name":"x"}"#);
            assert_eq!(runners::get(tx, id)?.unwrap().contact_ms, Some(at(9)));
            assert!(runners::remove_manager(tx, id, "s_2")?);
            assert!(resource_classes::remove(tx, class)?);
            assert_eq!(runners::all(tx)?, [], "a class takes its runners along");
            assert_eq!(runners::all_managers(tx)?, []);
            Ok(())
        });
    }

    fn resource_groups_have_holders_and_waiters(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/b")?;
            let pipeline = sample::pipeline(tx, project)?;
            let jobs = sample::some_jobs(tx, project, pipeline, 3)?;
            resource_groups::lock(tx, project, "prod", "unordered")?;
            resource_groups::set_mode(tx, project, "prod", "oldest_first")?;
            resource_groups::lock(tx, project, "prod", "unordered")?;
            assert_eq!(resource_groups::mode(tx, project, "prod")?.as_deref(), Some("oldest_first"));
            for job in &jobs {
                resource_groups::join(tx, project, "prod", pipeline, *job, NOW)?;
                resource_groups::join(tx, project, "prod", pipeline, *job, at(1))?;
            }
            assert!(resource_groups::hold(tx, jobs[1], at(2))?);
            assert!(resource_groups::leave(tx, jobs[0])?.is_some());
            assert_eq!(resource_groups::leave(tx, jobs[0])?, None);
            let claims = resource_groups::claims(tx, project, "prod")?;
            assert_eq!(claims.iter().map(|c| (c.job_id, c.held, c.since_ms)).collect::<Vec<_>>(), [(jobs[1], true, at(2)), (jobs[2], false, NOW)]);
            Ok(())
        });
    }

    fn accounts(database) {
        let store = database.open();
        write(&store, |tx| {
            let new = users::NewUser { login: "ada", name: "Ada", email: "ada@example.org", role: "admin", password_hash: None };
            let id: UserId = users::create(tx, &new, NOW)?;
            let session = sessions::Session { hash: "s".into(), user_id: id, created_ms: NOW, expires_ms: at(10), agent: "x".into() };
            sessions::create(tx, &session)?;
            assert_eq!(sessions::find(tx, "s", at(9))?.map(|(s, u)| (s, u.login)), Some((session.clone(), "ada".into())));
            assert_eq!(sessions::find(tx, "s", at(10))?, None, "expired");
            let mut user = users::by_login(tx, "ada")?.unwrap();
            user.blocked = true;
            assert!(users::update(tx, &user)?);
            assert_eq!(sessions::find(tx, "s", NOW)?, None, "blocked");
            assert_eq!(sessions::sweep(tx, at(10))?, 1);
            assert_eq!(users::get(tx, id)?.as_ref(), Some(&user));
            assert_eq!(users::all(tx)?, [user]);
            let token = tokens::NewToken {
                hash: "t", kind: "api", name: "ci", user_id: Some(id), project_id: None, resource_class_id: None,
                scopes_json: "[]", expires_ms: Some(at(5)),
            };
            let token = tokens::create(tx, &token, NOW)?;
            tokens::touch(tx, token, at(1))?;
            assert_eq!(tokens::by_hash(tx, "t", at(4))?.and_then(|t| t.used_ms), Some(at(1)));
            assert_eq!(tokens::by_hash(tx, "t", at(5))?, None, "expired");
            assert_eq!(tokens::of_kind(tx, "api")?.len(), 1);
            assert!(tokens::remove(tx, token)?);
            assert_eq!(tokens::all(tx)?, []);
            Ok(())
        });
    }

    fn variables_are_replaced_and_resealed(database) {
        let store = database.open();
        write(&store, |tx| {
            let new = |sealed, key_id| variables::NewVariable {
                scope: "instance", key: "K", environment_scope: "*", sealed, key_id, masked: true, protected: false,
                file: false, raw: false, description: "",
            };
            let id = variables::put(tx, &new(b"one", "k1"), NOW)?;
            assert_eq!(variables::put(tx, &new(b"two", "k1"), at(1))?, id);
            let old = variables::not_under_key(tx, "k2", 9)?.remove(0);
            assert!(variables::reseal(tx, &old, b"again", "k2")?);
            assert!(!variables::reseal(tx, &old, b"again", "k2")?, "changed meanwhile");
            let found = variables::of_scope(tx, "instance")?.remove(0);
            assert_eq!((found.sealed.as_slice(), found.key_id.as_str(), found.masked), (b"again".as_slice(), "k2", true));
            assert!(variables::remove(tx, "instance", "K", "*")?);
            assert_eq!(variables::of_scope(tx, "instance")?, []);
            Ok(())
        });
    }

    fn deliveries_are_stored_once_and_retried(database) {
        let store = database.open();
        write(&store, |tx| {
            let new = deliveries::NewDelivery { dedupe_key: "d1", forge: "gitlab", project_id: None, event: "push", headers_json: "{}", body: b"{}" };
            let id = deliveries::insert(tx, &new, NOW)?.unwrap();
            assert_eq!(deliveries::insert(tx, &new, NOW)?, None, "stored before");
            assert_eq!(deliveries::next_due(tx)?, Some(NOW));
            assert_eq!(deliveries::take(tx, NOW, at(60), 9)?.len(), 1);
            assert_eq!(deliveries::take(tx, at(59), at(90), 9)?.len(), 0, "somebody is at it");
            let again = deliveries::take(tx, at(60), at(90), 9)?;
            assert_eq!((again.len(), again[0].attempts), (1, 1));
            deliveries::put_off(tx, id, "forge is down", at(100))?;
            assert_eq!(deliveries::next_due(tx)?, Some(at(100)));
            deliveries::done(tx, id, "pipeline 1", at(101))?;
            assert_eq!(deliveries::next_due(tx)?, None);
            assert_eq!(deliveries::get(tx, id)?.unwrap().outcome.as_deref(), Some("pipeline 1"));
            assert_eq!(deliveries::list(tx, None, 9)?.len(), 1);
            assert_eq!(deliveries::sweep(tx, at(1))?, 1);
            Ok(())
        });
    }

    fn a_removed_project_leaves_only_trash(database) {
        let store = database.open();
        let project = write(&store, |tx| {
            let (project, _, ids) = sample::queued(tx, "a/b", 2)?;
            let append = logs::Append { task: ids[0], start: 0, data: b"x", crc: 0, limited: false, debug: false, fence: None };
            logs::append(tx, &append, NOW)?;
            logs::seal(tx, ids[0], &logs::NewSegment { start: 0, length: 1, content: logs::Packed::Blob { key: "log", size: 1 } })?;
            artifacts::put(tx, &artifacts::NewArtifact { project_id: project, ..artifact(ids[0], "a", "artifact") }, NOW)?;
            caches::put(tx, &caches::NewCache { project_id: project, key: "k", size: 1, sha256: "", blob_key: "cache" }, NOW)?;
            Ok(project)
        });
        let mut trash = write(&store, move |tx| {
            assert!(projects::remove(tx, project, NOW)?);
            for table in ["pipelines", "jobs", "job_plans", "tasks", "logs", "log_segments", "artifacts", "caches", "workflows"] {
                let rows: Option<i64> = tx.query_opt(&format!("SELECT COUNT(*) FROM {table}"), &[], |row| row.take())?;
                assert_eq!(rows, Some(0), "{table}");
            }
            blobs::take_due(tx, NOW, 9)
        });
        trash.sort();
        assert_eq!(trash, ["artifact", "cache", "log"]);
    }

    fn bridges_are_wanted_made_and_wanted_again(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/bridges")?;
            let pipeline = sample::pipeline(tx, project)?;
            let child = sample::pipeline(tx, project)?;
            let job = sample::some_jobs(tx, project, pipeline, 1)?[0];
            assert_eq!(bridges::next_due(tx)?, None);
            bridges::want(tx, job, pipeline, Some("depend"), at(5))?;
            assert_eq!(bridges::next_due(tx)?, Some(at(5)));
            assert!(bridges::due(tx, at(4), 9)?.is_empty());
            assert_eq!(bridges::due(tx, at(5), 9)?.len(), 1);
            bridges::put_off(tx, job, 1, at(7))?;
            assert!(bridges::due(tx, at(6), 9)?.is_empty());
            // Another attempt's answer changes nothing; a second one of the same attempt neither.
            assert!(!bridges::made(tx, job, 2, child)?);
            assert!(bridges::made(tx, job, 1, child)?);
            assert!(!bridges::failed(tx, job, 1, "late")?);
            assert_eq!(bridges::of_downstream(tx, child)?[0].job_id, job);
            assert_eq!(bridges::of_pipeline(tx, pipeline)?.len(), 1);
            bridges::want(tx, job, pipeline, None, at(8))?;
            let again = bridges::get(tx, job)?.unwrap();
            assert_eq!((again.attempt, again.downstream_id, again.strategy), (2, None, None));
            bridges::withdraw(tx, job)?;
            assert!(!bridges::made(tx, job, 2, child)?);
            assert_eq!(bridges::next_due(tx)?, None);
            Ok(())
        });
    }

    fn a_schedule_takes_each_turn_once(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/schedules")?;
            let new = schedules::Settings {
                description: "d", cron: "0 4 * * *", time_zone: "UTC", ref_name: "main", variables_sealed: "",
                inputs_json: "{}", active: true, next_ms: Some(at(5)),
            };
            let id = schedules::create(tx, project, None, &new, NOW)?;
            let never = schedules::create(tx, project, None, &schedules::Settings { active: false, next_ms: None, ..new }, NOW)?;
            assert_eq!(schedules::due(tx, at(5), 9)?.iter().map(|s| s.id).collect::<Vec<_>>(), [id]);
            assert!(schedules::ran(tx, id, at(5), Some(at(9)), None, "no pipeline")?);
            assert!(!schedules::ran(tx, id, at(5), Some(at(9)), None, "twice")?);
            assert_eq!(schedules::next_due(tx)?, Some(at(9)));
            assert!(schedules::change(tx, id, &schedules::Settings { next_ms: None, active: false, ..new }, at(6))?);
            assert_eq!(schedules::next_due(tx)?, None);
            assert_eq!(schedules::of_project(tx, project)?.len(), 2);
            assert!(schedules::remove(tx, never)? && !schedules::remove(tx, never)?);
            Ok(())
        });
    }

    fn branches_know_their_open_merge_requests(database) {
        let store = database.open();
        write(&store, |tx| {
            let project = sample::project(tx, "a/merges")?;
            let request = |iid, forked, open| merge_requests::MergeRequest {
                project_id: project, iid, source_branch: "side".to_owned(), target_branch: "main".to_owned(), forked, open,
                updated_ms: NOW,
            };
            for (iid, forked, open) in [(2, false, true), (1, false, true), (3, true, true), (4, false, false)] {
                merge_requests::put(tx, &request(iid, forked, open))?;
            }
            let open = |tx: &mut tasuki_store::Tx<'_>| -> tasuki_store::Result<Vec<i64>> {
                let found = merge_requests::open_of_branch(tx, project, "side")?;
                Ok(found.iter().map(|request| request.iid).collect())
            };
            assert_eq!(open(tx)?, [1, 2]);
            merge_requests::put(tx, &request(1, false, false))?;
            assert_eq!(open(tx)?, [2]);
            assert!(merge_requests::open_of_branch(tx, project, "main")?.is_empty());
            Ok(())
        });
    }
}

#[test]
fn rows_say_what_is_wrong_with_them() {
    let store = crate::database::Database::sqlite();
    let store = store.open();
    let error = store
        .read_blocking(|tx| tx.query("SELECT 'x', 2.5", &[], |row| row.take::<i64>()))
        .map_err(|error: Error| error.to_string());
    assert_eq!(error, Err("column 0 of a row holds text, wanted a number".to_owned()));
    let none: Option<Option<i64>> = read(&store, |tx| tx.query_opt("SELECT NULL", &[], |row| row.take()));
    assert_eq!(none, Some(None));
}
