//! All rows as one file, and back: backups, and the way from one kind of database to the other.
//!
//! The file is a zstd stream of JSON lines: a header, for each table its name and columns and then a line for
//! each row, and a last line with the number of rows. Bytes are base64 in an object, `{"b64": "…"}`. Export is
//! one snapshot of a live database; import is one transaction. The master keys are not in it, so encrypted
//! values stay unreadable for whoever gets the file alone.

use std::io::{self, BufRead as _, BufReader, BufWriter, Read, Write};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::value::Value;
use crate::{Cell, DbUrl, Error, Options, Result, Store, Tx, migrate};

/// Every table, those that others refer to first.
const TABLES: &[&str] = &[
    "settings",
    "users",
    "sessions",
    "projects",
    "refs",
    "pipelines",
    "pipeline_details",
    "workflows",
    "jobs",
    "job_plans",
    "needs",
    "bridges",
    "resource_groups",
    "resource_claims",
    "resource_classes",
    "runners",
    "managers",
    "tasks",
    "logs",
    "log_chunks",
    "log_segments",
    "blob_trash",
    "artifacts",
    "caches",
    "tokens",
    "variables",
    "deliveries",
    "schedules",
    "merge_requests",
    "environments",
    "deployments",
    "releases",
    "pages",
];

const FORMAT: &str = "tasuki-backup";
/// Rows that are inserted together.
const BATCH: usize = 256;
/// Fast, and much smaller than the database.
const LEVEL: i32 = 3;

/// What an export or import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summary {
    pub tables: u64,
    pub rows: u64,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one.
    Header {
        format: String,
        /// Version of the schema that the rows have.
        schema: i64,
    },
    Table {
        name: String,
        columns: Vec<String>,
    },
    /// The last one: an archive without it is cut short.
    End(Summary),
    #[serde(untagged)]
    Row(Vec<Json>),
}

/// Writes all rows of a live database, as they are at one moment. Blocks until it is done; the database goes on
/// working meanwhile.
///
/// # Errors
/// When the database cannot be read or `out` not be written.
pub fn export(store: &Store, out: impl Write + Send + 'static) -> Result<Summary> {
    store.read_alone_blocking(move |tx| write(tx, out))
}

/// [`export`] as a part of a larger read, so that more can be read of the same moment.
///
/// # Errors
/// When the database cannot be read or `out` not be written.
pub fn write(tx: &mut Tx<'_>, out: impl Write) -> Result<Summary> {
    let mut out = zstd::Encoder::new(BufWriter::new(out), LEVEL).map_err(unwritable)?;
    out.include_checksum(true).map_err(unwritable)?;
    put(
        &mut out,
        &Line::Header {
            format: FORMAT.to_owned(),
            schema: migrate::version(tx)?,
        },
    )?;
    let mut summary = Summary { tables: 0, rows: 0 };
    for table in TABLES {
        summary.rows += export_table(tx, table, &mut out)?;
        summary.tables += 1;
    }
    put(&mut out, &Line::End(summary))?;
    let mut inner = out.finish().map_err(unwritable)?;
    inner.flush().map_err(unwritable)?;
    Ok(summary)
}

fn export_table(tx: &mut Tx<'_>, table: &str, out: &mut impl Write) -> Result<u64> {
    let mut rows = 0;
    tx.each(&format!("SELECT * FROM {table}"), &[], |row| {
        let columns = row.names();
        let cells = (0..columns.len())
            .map(|index| row.cell(index).map(json))
            .collect::<Result<_>>()?;
        if rows == 0 {
            let columns = columns.into_iter().map(str::to_owned).collect();
            put(
                out,
                &Line::Table {
                    name: table.to_owned(),
                    columns,
                },
            )?;
        }
        rows += 1;
        put(out, &Line::Row(cells))
    })?;
    Ok(rows)
}

fn json(cell: Cell<'_>) -> Json {
    match cell {
        Cell::Null => Json::Null,
        Cell::Int(value) => value.into(),
        Cell::Text(text) => text.into(),
        Cell::Blob(bytes) => serde_json::json!({ "b64": STANDARD.encode(bytes) }),
    }
}

/// Reads an archive into a database that has no rows yet, and brings it up to the newest schema. All or nothing.
/// Blocks until it is done.
///
/// # Errors
/// When the database is not empty, the archive is of a newer program, damaged or cut short.
pub fn import(url: &DbUrl, archive: impl Read + Send + 'static) -> Result<Summary> {
    let mut lines = Lines::new(archive)?;
    let schema = match lines.next()? {
        Some(Line::Header { format, schema }) if format == FORMAT => schema,
        _ => return Err(wrong("it is no backup of tasuki")),
    };
    if schema > migrate::NEWEST {
        return Err(Error::Schema(format!(
            "the archive has version {schema}, this program knows up to {}; restore it with the newer program",
            migrate::NEWEST
        )));
    }
    let store = Store::open_at(url, Options::default(), schema)?;
    let summary = store.write_blocking(move |tx| {
        if migrate::version(tx)? != schema {
            return Err(wrong(
                "the database that it is to be restored to has a newer schema already; give a new one",
            ));
        }
        for table in TABLES {
            let row = tx.query_opt(&format!("SELECT 1 FROM {table} LIMIT 1"), &[], |row| row.take::<i64>())?;
            if row.is_some() {
                return Err(wrong(&format!(
                    "the database that it is to be restored to is not empty (table {table}); give a new one"
                )));
            }
        }
        let summary = import_rows(tx, &mut lines)?;
        renumber(tx)?;
        migrate::run(tx, migrate::NEWEST)?;
        Ok(summary)
    });
    store.close();
    summary
}

fn import_rows(tx: &mut Tx<'_>, lines: &mut Lines) -> Result<Summary> {
    let mut summary = Summary {
        tables: TABLES.len() as u64,
        rows: 0,
    };
    let mut batch = Batch::default();
    loop {
        match lines.next()? {
            Some(Line::Table { name, columns }) => {
                batch.flush(tx)?;
                batch = Batch::new(&name, &columns)?;
            }
            Some(Line::Row(cells)) => {
                summary.rows += 1;
                batch.push(tx, cells)?;
            }
            Some(Line::End(expected)) if expected.rows == summary.rows => {
                // Only the very end has the checksum over all of it.
                if lines.next()?.is_some() {
                    return Err(wrong("it is damaged: lines follow its end"));
                }
                batch.flush(tx)?;
                return Ok(summary);
            }
            Some(Line::End(_) | Line::Header { .. }) => return Err(wrong("it is damaged: lines are missing")),
            None => return Err(wrong("it is cut short")),
        }
    }
}

/// Rows of one table on their way in.
#[derive(Default)]
struct Batch {
    into: String,
    width: usize,
    rows: Vec<Owned>,
}

/// A [`Value`] that owns what it holds.
enum Owned {
    Null,
    Int(i64),
    Text(String),
    Blob(Vec<u8>),
}

impl Batch {
    fn new(table: &str, columns: &[String]) -> Result<Self> {
        let plain = |name: &String| {
            !name.is_empty()
                && name
                    .bytes()
                    .all(|b| b.is_ascii_lowercase() || matches!(b, b'_' | b'0'..=b'9'))
        };
        if !TABLES.contains(&table) || columns.is_empty() || !columns.iter().all(plain) {
            return Err(wrong(&format!(
                "it has a table {table:?} that this program does not know"
            )));
        }
        Ok(Self {
            into: format!("{table} ({})", columns.join(", ")),
            width: columns.len(),
            rows: Vec::new(),
        })
    }

    fn push(&mut self, tx: &mut Tx<'_>, cells: Vec<Json>) -> Result<()> {
        if cells.len() != self.width {
            return Err(wrong("it is damaged: a row has the wrong number of values"));
        }
        for cell in cells {
            self.rows.push(owned(cell)?);
        }
        if self.rows.len() >= BATCH * self.width {
            self.flush(tx)?;
        }
        Ok(())
    }

    fn flush(&mut self, tx: &mut Tx<'_>) -> Result<()> {
        let values: Vec<Value<'_>> = self
            .rows
            .iter()
            .map(|value| match value {
                Owned::Null => Value::Null,
                Owned::Int(value) => Value::Int(*value),
                Owned::Text(text) => Value::Text(text),
                Owned::Blob(bytes) => Value::Blob(bytes),
            })
            .collect();
        if !values.is_empty() {
            tx.insert_rows(&self.into, self.width, &values)?;
        }
        self.rows.clear();
        Ok(())
    }
}

fn owned(cell: Json) -> Result<Owned> {
    Ok(match cell {
        Json::Null => Owned::Null,
        Json::String(text) => Owned::Text(text),
        Json::Number(number) => Owned::Int(
            number
                .as_i64()
                .ok_or_else(|| wrong("it is damaged: not a whole number"))?,
        ),
        Json::Object(map) => {
            let bytes = map
                .get("b64")
                .and_then(Json::as_str)
                .and_then(|text| STANDARD.decode(text).ok());
            Owned::Blob(bytes.ok_or_else(|| wrong("it is damaged: bytes that are not base64"))?)
        }
        Json::Bool(_) | Json::Array(_) => return Err(wrong("it is damaged: a value that no column holds")),
    })
}

/// New rows get ids behind those that came in. SQLite sees to that by itself.
fn renumber(tx: &mut Tx<'_>) -> Result<()> {
    if !tx.is_postgres() {
        return Ok(());
    }
    for table in TABLES {
        let has_id = tx.query_opt(
            "SELECT 1 FROM information_schema.columns
             WHERE table_schema = current_schema() AND CAST(table_name AS TEXT) = $1 AND column_name = 'id'",
            &[Value::Text(table)],
            |row| row.take::<i64>(),
        )?;
        if has_id.is_some() {
            tx.query(
                &format!(
                    "SELECT setval(pg_get_serial_sequence('{table}', 'id'), COALESCE(MAX(id), 1), MAX(id) IS NOT NULL)
                     FROM {table}"
                ),
                &[],
                |row| row.take::<i64>(),
            )?;
        }
    }
    Ok(())
}

/// The lines of an archive.
struct Lines {
    input: BufReader<Box<dyn Read + Send>>,
    line: String,
}

impl Lines {
    fn new(archive: impl Read + Send + 'static) -> Result<Self> {
        let input = zstd::Decoder::new(archive).map_err(unreadable)?;
        Ok(Self {
            input: BufReader::new(Box::new(input)),
            line: String::new(),
        })
    }

    fn next(&mut self) -> Result<Option<Line>> {
        self.line.clear();
        if self.input.read_line(&mut self.line).map_err(unreadable)? == 0 {
            return Ok(None);
        }
        serde_json::from_str(&self.line)
            .map(Some)
            .map_err(|error| unreadable(error.into()))
    }
}

fn put(out: &mut impl Write, line: &Line) -> Result<()> {
    serde_json::to_writer(&mut *out, line).map_err(|error| unwritable(error.into()))?;
    out.write_all(b"\n").map_err(unwritable)
}

fn wrong(problem: &str) -> Error {
    Error::Archive {
        problem: problem.to_owned(),
        source: None,
    }
}

fn unreadable(error: io::Error) -> Error {
    Error::Archive {
        problem: "it is damaged or cannot be read".to_owned(),
        source: Some(Arc::new(error)),
    }
}

fn unwritable(error: io::Error) -> Error {
    Error::Archive {
        problem: "it cannot be written".to_owned(),
        source: Some(Arc::new(error)),
    }
}
