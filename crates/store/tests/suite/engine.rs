//! What both engines promise: atomic operations, isolation from failing neighbours, hooks, hints.

use std::sync::{Arc, Mutex, mpsc};
use std::time::Duration;

use tasuki_store::{Error, Notification, Store, settings};

use crate::database::{read, write};
use crate::{on_each_database, on_each_shared_database};

/// Runs `bodies` at the same time, so that on SQLite they share commits.
fn all_at_once<T: Send>(bodies: Vec<Box<dyn FnOnce() -> T + Send + '_>>) -> Vec<T> {
    std::thread::scope(|scope| {
        let threads: Vec<_> = bodies.into_iter().map(|body| scope.spawn(body)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    })
}

/// One of many operations that run at the same time: most succeed, some fail in every way there is.
fn mixed(store: &Store, n: usize) -> Result<(), Error> {
    store.write_blocking(move |tx| {
        settings::set(tx, &format!("before {n}"), "1")?;
        match n % 5 {
            1 => return Err(Error::Missing { what: "thing", id: 1 }),
            2 => panic!("on purpose"),
            3 => {
                // The statement fails; the operation goes on as if nothing had happened.
                let _ = tx.exec("INSERT INTO no_such_table VALUES ($1)", &[1_i64.into()]);
            }
            _ => {}
        }
        if n % 5 != 3 {
            settings::set(tx, &format!("after {n}"), "1")?;
        }
        Ok(())
    })
}

on_each_database! {
    fn failing_operations_lose_only_their_own_changes(database) {
        let store = database.open();
        let results = all_at_once(
            (0..100).map(|n| { let store = &store; Box::new(move || mixed(store, n)) as Box<dyn FnOnce() -> _ + Send> }).collect(),
        );
        for (n, result) in results.iter().enumerate() {
            match n % 5 {
                1 => assert!(matches!(result, Err(Error::Missing { .. })), "{n}: {result:?}"),
                2 => assert!(matches!(result, Err(Error::Panicked { message }) if message == "on purpose"), "{n}: {result:?}"),
                3 => assert!(matches!(result, Err(Error::Poisoned)), "{n}: {result:?}"),
                _ => assert!(result.is_ok(), "{n}: {result:?}"),
            }
            for key in [format!("before {n}"), format!("after {n}")] {
                let found = read(&store, move |tx| settings::get(tx, &key));
                assert_eq!(found.is_some(), result.is_ok(), "{n}");
            }
        }
    }

    fn hooks_run_after_the_commit_and_before_the_answer(database) {
        let store = database.open();
        let seen = Arc::new(Mutex::new(Vec::new()));
        for fails in [false, true] {
            let (committed, rolled_back, reader) = (Arc::clone(&seen), Arc::clone(&seen), store.clone());
            let key = format!("fails {fails}");
            let result = store.write_blocking(move |tx| {
                settings::set(tx, &key, "1")?;
                tx.after_commit(move || {
                    let found = reader.read_blocking::<_, Error, _>(move |tx| settings::get(tx, &key)).unwrap();
                    committed.lock().unwrap().push(format!("committed, visible: {}", found.is_some()));
                });
                tx.after_rollback(move || rolled_back.lock().unwrap().push("rolled back".to_owned()));
                if fails { Err(Error::Closed) } else { Ok(()) }
            });
            assert_eq!(result.is_err(), fails);
            let seen = std::mem::take(&mut *seen.lock().unwrap());
            assert_eq!(seen, [if fails { "rolled back" } else { "committed, visible: true" }]);
        }
    }

    fn a_panicking_hook_harms_nobody(database) {
        let store = database.open();
        write(&store, |tx| {
            tx.after_commit(|| panic!("on purpose"));
            settings::set(tx, "key", "1")
        });
        assert!(read(&store, |tx| settings::get(tx, "key")).is_some());
    }

    fn reads_cannot_write(database) {
        let store = database.open();
        let result = store.read_blocking(|tx| settings::set(tx, "key", "1"));
        assert!(matches!(result, Err(Error::Statement { .. })), "{result:?}");
        assert_eq!(read(&store, |tx| settings::get(tx, "key")), None);
    }




    fn nul_in_text_is_stored_alike(database) {
        let store = database.open();
        write(&store, |tx| settings::set(tx, "key", "a\0b"));
        assert_eq!(read(&store, |tx| settings::get(tx, "key")).as_deref(), Some("a\u{fffd}b"));
    }

    fn hints_come_after_the_commit(database) {
        let store = database.open();
        let mut hints = store.notifications();
        let failed = store.write_blocking::<(), _, _>(|tx| {
            tx.notify("queue", "never sent");
            Err(Error::Closed)
        });
        assert!(failed.is_err());
        write(&store, |tx| { tx.notify("queue", "7"); Ok(()) });
        let hint = next(&mut hints);
        assert_eq!(hint, Notification { topic: "queue".into(), payload: "7".into(), own: true });
    }
}

fn next(hints: &mut tasuki_store::Notifications) -> Notification {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build()
        .unwrap();
    runtime
        .block_on(async { tokio::time::timeout(Duration::from_secs(10), hints.next()).await })
        .expect("a hint comes in time")
        .expect("the store is open")
}

/// Two servers on one PostgreSQL hear of one another.
#[test]
fn hints_reach_other_servers() {
    let Some(database) = crate::database::Database::postgres() else {
        return;
    };
    let (here, there) = (database.open(), database.open());
    let mut hints = there.notifications();
    // The listener connects by itself at some time: say it again until it is heard.
    let (heard, done) = mpsc::channel();
    let here = &here;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            while done.recv_timeout(Duration::from_millis(20)).is_err() {
                write(here, |tx| {
                    tx.notify("queue", "7");
                    Ok(())
                });
            }
        });
        assert_eq!(
            next(&mut hints),
            Notification {
                topic: "queue".into(),
                payload: "7".into(),
                own: false
            }
        );
        heard.send(()).unwrap();
    });
}

/// A connection that the server cut while it was idle is made again, unseen by the caller.
#[test]
fn cut_connections_are_made_again() {
    let Some(database) = crate::database::Database::postgres() else {
        return;
    };
    let store = database.open();
    for n in 0..3 {
        write(&store, move |tx| settings::set(tx, "n", &n.to_string()));
        let other = database.open();
        let cut: i64 = read(&other, |tx| {
            tx.query_opt(
                "SELECT COUNT(*) FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND pid <> pg_backend_pid()) AS cut",
                &[],
                |row| row.take(),
            )
            .map(Option::unwrap_or_default)
        });
        assert!(cut > 0);
        assert_eq!(
            read(&store, |tx| settings::get(tx, "n")).as_deref(),
            Some(n.to_string().as_str())
        );
    }
}

/// A disk that is full fails what does not fit, loses nothing that was acknowledged, and is no reason to
/// start anew once there is room.
#[test]
fn a_full_disk_loses_nothing_acknowledged() {
    let database = crate::database::Database::sqlite();
    let store = database.open();
    let limit = |pages: i64| {
        let pages = format!("PRAGMA max_page_count = {pages}");
        write(&store, move |tx| tx.query(&pages, &[], |row| row.take::<i64>()));
    };
    let pages: i64 =
        write(&store, |tx| tx.query_opt("PRAGMA page_count", &[], |row| row.take())).expect("there are pages");
    limit(pages + 60);
    let put = |key: &str| {
        let (first, second) = (format!("{key}.first"), format!("{key}.second"));
        store.write_blocking(move |tx| {
            settings::set(tx, &first, &"x".repeat(5000))?;
            settings::set(tx, &second, &"x".repeat(5000))
        })
    };
    let results: Vec<(String, bool)> = std::thread::scope(|scope| {
        let writer = |thread: usize| {
            move || {
                (0..20)
                    .map(|n| format!("{thread}.{n}"))
                    .map(|key| (key.clone(), put(&key).is_ok()))
                    .collect()
            }
        };
        let threads: Vec<_> = (0..8).map(|thread| scope.spawn(writer(thread))).collect();
        threads
            .into_iter()
            .flat_map(|thread| -> Vec<(String, bool)> { thread.join().unwrap() })
            .collect()
    });
    let stored = results.iter().filter(|(_, stored)| *stored).count();
    assert!(
        stored > 5 && stored < results.len(),
        "{stored} of {} fitted",
        results.len()
    );
    for (key, acknowledged) in results {
        for part in ["first", "second"] {
            let part = format!("{key}.{part}");
            let found = read(&store, move |tx| settings::get(tx, &part)).is_some();
            assert_eq!(found, acknowledged, "{key}");
        }
    }
    limit(1 << 30);
    put("room again").unwrap();
}

/// How connections are encrypted is as libpq's `sslmode` says.
#[test]
fn connections_are_encrypted_as_asked() {
    let Some((url, certificate)) = crate::postgres_server::over_tcp() else {
        return;
    };
    let encrypted = |query: &str| {
        let store = Store::open(&format!("{url}?{query}").parse().unwrap()).ok()?;
        let sql = "SELECT CAST(ssl AS BIGINT) FROM (SELECT CASE WHEN ssl THEN 1 ELSE 0 END AS ssl FROM pg_stat_ssl
                   WHERE pid = pg_backend_pid()) AS own";
        read(&store, move |tx| tx.query_opt(sql, &[], |row| row.take::<bool>()))
    };
    let certificate = certificate.display();
    for (query, expected) in [
        ("sslmode=disable".to_owned(), Some(false)),
        (String::new(), Some(true)),
        ("sslmode=require".to_owned(), Some(true)),
        ("sslmode=verify-full".to_owned(), None),
        (format!("sslmode=verify-full&sslrootcert={certificate}"), Some(true)),
        (format!("sslmode=require&sslrootcert={certificate}"), Some(true)),
        ("sslmode=verify-full&sslrootcert=/no/such.pem".to_owned(), None),
    ] {
        assert_eq!(encrypted(&query), expected, "{query}");
    }
}

on_each_shared_database! {
    fn a_read_sees_one_moment(database) {
        let store = database.open();
        write(&store, |tx| settings::set(tx, "key", "old"));
        let writer = store.clone();
        let (before, after) = read(&store, move |tx| {
            let before = settings::get(tx, "key")?;
            writer.write_blocking(|tx| settings::set(tx, "key", "new"))?;
            Ok((before, settings::get(tx, "key")?))
        });
        assert_eq!((before.as_deref(), after.as_deref()), (Some("old"), Some("old")));
        assert_eq!(read(&store, |tx| settings::get(tx, "key")).as_deref(), Some("new"));
    }

    /// However many long reads there are, nobody waits behind them.
    fn long_reads_hold_nobody_up(database) {
        let store = database.open();
        write(&store, |tx| settings::set(tx, "key", "old"));
        let nested = store.clone();
        // Ten inside one another: more than there are threads for reads.
        fn nest(store: &Store, depth: u32) -> Option<String> {
            let inner = store.clone();
            store
                .read_alone_blocking::<_, Error, _>(move |tx| {
                    let found = settings::get(tx, "key")?;
                    if depth == 0 {
                        write(&inner, |tx| settings::set(tx, "key", "new"));
                        return Ok(read(&inner, |tx| settings::get(tx, "key")));
                    }
                    nest(&inner, depth - 1);
                    assert_eq!(settings::get(tx, "key")?, found, "still the same moment");
                    Ok(found)
                })
                .unwrap()
        }
        assert_eq!(nest(&nested, 10).as_deref(), Some("old"));
        let refused = store.read_alone_blocking(|tx| settings::set(tx, "key", "x"));
        assert!(matches!(refused, Err(Error::Statement { .. })), "{refused:?}");
    }

    fn a_closed_store_says_so(database) {
        let store = database.open();
        write(&store, |tx| settings::set(tx, "key", "kept"));
        store.close();
        let result = store.write_blocking(|tx| settings::set(tx, "key", "lost"));
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
        let result: Result<_, Error> = store.read_blocking(|tx| settings::get(tx, "key"));
        assert!(matches!(result, Err(Error::Closed)), "{result:?}");
        assert_eq!(read(&database.open(), |tx| settings::get(tx, "key")).as_deref(), Some("kept"));
    }
}
