//! A process that is killed in mid-batch loses nothing that was acknowledged, and keeps no half operation.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests start themselves and pass the database on"
)]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use tasuki_store::{DbUrl, Store, settings};

use crate::database::{Database, read, write};

const DATABASE: &str = "TASUKI_TEST_CRASH_DATABASE";
const CYCLE: &str = "TASUKI_TEST_CRASH_CYCLE";

/// Not a test: the process that is killed. Writes on eight threads and says what was acknowledged.
#[test]
#[ignore = "started by the crash test"]
fn child() {
    let Ok(url) = std::env::var(DATABASE) else { return };
    let cycle = std::env::var(CYCLE).unwrap();
    let store = Store::open(&url.parse::<DbUrl>().unwrap()).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (store, cycle) = (&store, &cycle);
            scope.spawn(move || {
                for n in 0.. {
                    let key = format!("{cycle}.{thread}.{n}");
                    let stored = key.clone();
                    write(store, move |tx| {
                        settings::set(tx, &format!("{stored}.first"), "1")?;
                        settings::set(tx, &format!("{stored}.second"), "1")
                    });
                    writeln!(std::io::stdout(), "acknowledged {key}").unwrap();
                }
            });
        }
    });
}

/// Lets the child run until it has acknowledged `enough`, kills it, and gives all that it acknowledged.
fn run_and_kill(url: &str, cycle: u32, enough: usize) -> Vec<String> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([
            "--exact",
            "crash::child",
            "--ignored",
            "--nocapture",
            "--test-threads=1",
        ])
        .env(DATABASE, url)
        .env(CYCLE, cycle.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Vec::new();
    for line in lines.map_while(Result::ok) {
        if let Some(key) = line.strip_prefix("acknowledged ") {
            acknowledged.push(key.to_owned());
        }
        if acknowledged.len() == enough {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    acknowledged
}

fn check(database: &Database, url: &str) {
    for cycle in 0..4 {
        let acknowledged = run_and_kill(url, cycle, 150 + cycle as usize * 77);
        assert!(acknowledged.len() >= 150, "the child ran: {}", acknowledged.len());
        let store = database.open();
        let stored: std::collections::BTreeSet<String> =
            read(&store, |tx| tx.query("SELECT key FROM settings", &[], |row| row.take()))
                .into_iter()
                .collect();
        for key in &acknowledged {
            assert!(
                stored.contains(&format!("{key}.first")),
                "{key} was acknowledged and is lost"
            );
        }
        for key in stored.iter().filter_map(|key| key.strip_suffix(".first")) {
            assert!(stored.contains(&format!("{key}.second")), "{key} is there by half");
        }
        store.close();
    }
}

#[test]
fn sqlite_loses_nothing() {
    let database = Database::sqlite();
    let DbUrl::Sqlite(path) = &database.url else {
        unreachable!()
    };
    check(&database, &format!("sqlite:{}", path.display()));
}

#[test]
fn postgres_loses_nothing() {
    let Some(database) = Database::postgres() else { return };
    let DbUrl::Postgres(url) = &database.url else {
        unreachable!()
    };
    check(&database, &url.clone());
}
