//! Backup of a live database, restore, and the way from one kind of database to the other.

use std::io::Write;
use std::sync::{Arc, Mutex};

use tasuki_store::archive::{self, Summary};
use tasuki_store::{Error, Store, Tx, logs, settings, tasks};

use crate::database::{Database, NOW, read, write};
use crate::{on_each_database, on_each_shared_database, sample};

/// A place to write to that can be read after.
#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn export(store: &Store) -> (Vec<u8>, Summary) {
    let out = Shared::default();
    let summary = archive::export(store, out.clone()).unwrap();
    let bytes = out.0.lock().unwrap().clone();
    (bytes, summary)
}

fn import(database: &Database, archive: &[u8]) -> Result<Summary, Error> {
    archive::import(&database.url, std::io::Cursor::new(archive.to_vec()))
}

fn fill(tx: &mut Tx<'_>) -> tasuki_store::Result<()> {
    let (_, _, ids) = sample::queued(tx, "a/b", 600)?;
    tasks::claim(tx, ids[7], &sample::claim(3, "hash"), NOW)?;
    let append = logs::Append {
        task: ids[7],
        start: 0,
        data: &[0, 255, 10],
        crc: 4_000_000_000,
        limited: false,
        debug: false,
        fence: None,
    };
    logs::append(tx, &append, NOW)?;
    settings::set(tx, "\u{1f427} \"quoted\"\n", "\\")
}

/// Every row comes back, in a database of the other kind as well, and new ids do not meet old ones.
fn check(from: &Database, to: &Database) {
    let store = from.open();
    write(&store, fill);
    let (bytes, summary) = export(&store);
    assert_eq!(import(to, &bytes).unwrap(), summary);
    assert!(summary.rows > 1800, "{summary:?}");
    let restored = to.open();
    assert_eq!(export(&restored).1, summary);
    let all = |store: &Store| {
        read(store, |tx| {
            let task = tasks::by_token_hash(tx, "hash")?.unwrap();
            let log = (logs::get(tx, task.id)?, logs::chunks(tx, task.id, 0, 9)?);
            Ok((
                settings::get(tx, "\u{1f427} \"quoted\"\n")?,
                tasks::queued(tx)?,
                task,
                log,
            ))
        })
    };
    assert!(all(&store) == all(&restored));
    let newest = read(&restored, |tx| Ok(tasks::queued(tx)?.last().map(|task| task.id)));
    let (_, _, fresh) = write(&restored, |tx| sample::queued(tx, "c/d", 1));
    assert!(Some(fresh[0]) > newest, "{fresh:?} after {newest:?}");
}

/// A table that an archive leaves out would be missed only when it is too late.
#[test]
fn no_table_is_left_out() {
    let database = Database::sqlite();
    let store = database.open();
    let own = "SELECT COUNT(*) FROM sqlite_master
               WHERE type = 'table' AND name NOT IN ('schema_migrations', 'sqlite_sequence')";
    let tables: Option<i64> = read(&store, move |tx| tx.query_opt(own, &[], |row| row.take()));
    assert_eq!(u64::try_from(tables.unwrap()).unwrap(), export(&store).1.tables);
}

#[test]
fn sqlite_to_sqlite() {
    check(&Database::sqlite(), &Database::sqlite());
}

#[test]
fn sqlite_to_postgres_and_back() {
    let (Some(one), Some(two)) = (Database::postgres(), Database::postgres()) else {
        return;
    };
    check(&Database::sqlite(), &one);
    check(&two, &Database::sqlite());
}

on_each_database! {
    /// An archive that is damaged or cut short leaves nothing behind.
    fn damaged_archives_are_refused(database) {
        let origin = Database::sqlite();
        let source = origin.open();
        write(&source, fill);
        let (bytes, summary) = export(&source);
        let mut flipped = bytes.clone();
        let middle = bytes.len() / 2;
        flipped[middle] ^= 4;
        for bad in [&bytes[..0], &bytes[..middle], &bytes[..bytes.len() - 1], &flipped, b"not an archive"] {
            let error = import(database, bad).unwrap_err();
            assert!(matches!(error, Error::Archive { .. }), "{error:?}");
        }
        assert_eq!(import(database, &bytes).unwrap(), summary, "and the whole one still goes in");
    }

    /// A backup of a database that is being written to is one moment of it.
    fn a_live_backup_is_one_moment(database) {
        let store = database.open();
        let stop = std::sync::atomic::AtomicBool::new(false);
        let archives: Vec<Vec<u8>> = std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0.. {
                    if stop.load(std::sync::atomic::Ordering::Relaxed) {
                        return;
                    }
                    // Two tables of the archive, the later one in the schema first.
                    write(&store, move |tx| {
                        sample::project(tx, &format!("a/{n}"))?;
                        settings::set(tx, &format!("{n}"), "")
                    });
                }
            });
            let archives = (0..5).map(|_| export(&store).0).collect();
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
            archives
        });
        for archive in archives {
            let copy = Database::sqlite();
            import(&copy, &archive).unwrap();
            let counts = read(&copy.open(), |tx| {
                let count = |tx: &mut Tx<'_>, table| {
                    tx.query_opt(&format!("SELECT COUNT(*) FROM {table}"), &[], |row| row.take::<i64>())
                };
                Ok((count(tx, "projects")?, count(tx, "settings")?))
            });
            assert_eq!(counts.0, counts.1);
        }
    }
}

on_each_shared_database! {
    fn a_database_with_rows_is_left_alone(database) {
        let store = database.open();
        write(&store, |tx| sample::project(tx, "a/b"));
        let (bytes, _) = export(&store);
        let error = import(database, &bytes).unwrap_err();
        assert!(error.to_string().contains("not empty"), "{error}");
        assert_eq!(export(&store).1.rows, 1);
    }
}
