//! Logs of tasks: bytes at offsets. The newest bytes are in chunks, older ones sealed in packed segments.

use tasuki_model::id::TaskId;
use tasuki_model::time::Timestamp;

use crate::row::record;
use crate::value::{Value, params};
use crate::{Result, Tx};

record! {
    /// The state of a task's log.
    pub struct Log in logs {
        pub task_id: TaskId,
        /// Bytes.
        pub size: i64,
        /// CRC-32 (IEEE) over all bytes.
        pub crc: i64,
        /// Bytes below this offset are in segments, the others in chunks.
        pub sealed: i64,
        /// Nothing is appended any more.
        pub finished: bool,
        /// The size limit was reached, and the log says so.
        pub limited: bool,
        /// Written with debug tracing on.
        pub debug: bool,
        pub updated_ms: Timestamp,
    }
}

record! {
    /// A sealed part of a log.
    pub struct Segment in log_segments {
        pub task_id: TaskId,
        pub start: i64,
        /// Bytes of log in it.
        pub length: i64,
        /// zstd, unless it is in the blob store.
        pub data: Option<Vec<u8>>,
        pub blob_key: Option<String>,
        /// Bytes that it takes up.
        pub packed: i64,
    }
}

/// Bytes to append.
#[derive(Debug, Clone, Copy)]
pub struct Append<'a> {
    pub task: TaskId,
    /// Must be the log's size.
    pub start: i64,
    pub data: &'a [u8],
    /// CRC-32 over the whole log with `data`.
    pub crc: i64,
    pub limited: bool,
    pub debug: bool,
    /// The hash of the token that the writer showed: refused where the live task has another one by now.
    /// `None`: the server itself writes.
    pub fence: Option<&'a str>,
}

/// What [`append`] did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    Done,
    /// The log's size is not the append's start; nothing was written.
    Moved,
    /// The log or the task is finished, or the task belongs to somebody else by now; nothing was written.
    Refused,
}

/// Appends to a log.
///
/// # Errors
/// When the database fails.
pub fn append(tx: &mut Tx, append: &Append<'_>, now: Timestamp) -> Result<Appended> {
    let size = append.start + append.data.len() as i64;
    if let Some(fence) = append.fence {
        // The share of a row lock makes a finish that runs at the same time on PostgreSQL wait for us.
        let share = if tx.is_postgres() { "FOR SHARE" } else { "" };
        let live = tx.query_opt(
            &format!("SELECT 1 FROM tasks WHERE id = $1 AND token_hash = $2 AND finished_ms IS NULL {share}"),
            params![append.task, fence],
            |row| row.take::<i64>(),
        )?;
        if live.is_none() {
            return Ok(Appended::Refused);
        }
    }
    let rows = if append.start == 0 {
        tx.exec(
            "INSERT INTO logs (task_id, size, crc, sealed, finished, limited, debug, updated_ms)
             VALUES ($1, $2, $3, 0, 0, $4, $5, $6)
             ON CONFLICT (task_id) DO UPDATE
             SET size = excluded.size, crc = excluded.crc, limited = excluded.limited, debug = excluded.debug,
                 updated_ms = excluded.updated_ms
             WHERE logs.size = 0 AND logs.finished = 0",
            params![append.task, size, append.crc, append.limited, append.debug, now],
        )?
    } else {
        tx.exec(
            "UPDATE logs SET size = $2, crc = $3, limited = $4, updated_ms = $5
             WHERE task_id = $1 AND size = $6 AND finished = 0",
            params![append.task, size, append.crc, append.limited, now, append.start],
        )?
    };
    if rows == 0 {
        let finished = get(tx, append.task)?.is_some_and(|log| log.finished);
        return Ok(if finished { Appended::Refused } else { Appended::Moved });
    }
    if !append.data.is_empty() {
        tx.exec(
            "INSERT INTO log_chunks (task_id, start, data) VALUES ($1, $2, $3)",
            params![append.task, append.start, append.data],
        )?;
    }
    Ok(Appended::Done)
}

/// # Errors
/// When the database fails.
pub fn get(tx: &mut Tx, task: TaskId) -> Result<Option<Log>> {
    tx.select_opt("WHERE task_id = $1", params![task])
}

/// Topic of the hint that a log is over; the payload is the task's id.
pub const ENDED: &str = "log-ended";

/// Ends a log: nothing is appended any more. Those who watch it are told with [`ENDED`].
///
/// # Errors
/// When the database fails.
pub fn finish(tx: &mut Tx, task: TaskId, now: Timestamp) -> Result<()> {
    tx.exec(
        "UPDATE logs SET finished = 1, updated_ms = $2 WHERE task_id = $1",
        params![task, now],
    )?;
    tx.notify(ENDED, task.to_string());
    Ok(())
}

/// The chunks that hold bytes of `from..to`, in order: start and bytes.
///
/// # Errors
/// When the database fails.
pub fn chunks(tx: &mut Tx, task: TaskId, from: i64, to: i64) -> Result<Vec<(i64, Vec<u8>)>> {
    tx.query(
        "SELECT start, data FROM log_chunks
         WHERE task_id = $1 AND start < $3
           AND start >= COALESCE((SELECT MAX(c.start) FROM log_chunks AS c WHERE c.task_id = $1 AND c.start <= $2), 0)
         ORDER BY start",
        params![task, from, to],
        |row| Ok((row.take()?, row.take()?)),
    )
}

/// The segments that hold bytes of `from..to`, in order.
///
/// # Errors
/// When the database fails.
pub fn segments(tx: &mut Tx, task: TaskId, from: i64, to: i64) -> Result<Vec<Segment>> {
    tx.select(
        "WHERE task_id = $1 AND start < $3 AND start + length > $2 ORDER BY start",
        params![task, from, to],
    )
}

/// A new sealed part of a log.
#[derive(Debug, Clone, Copy)]
pub struct NewSegment<'a> {
    pub start: i64,
    pub length: i64,
    pub content: Packed<'a>,
}

/// Where the packed bytes of a segment are.
#[derive(Debug, Clone, Copy)]
pub enum Packed<'a> {
    Inline(&'a [u8]),
    Blob { key: &'a str, size: i64 },
}

/// Puts a segment in place of the chunks that it holds. It must start where the last one ended and end at
/// the border of a chunk. `false`: somebody else sealed that part, nothing was changed.
///
/// # Errors
/// When the database fails.
pub fn seal(tx: &mut Tx, task: TaskId, segment: &NewSegment<'_>) -> Result<bool> {
    let end = segment.start + segment.length;
    let rows = tx.exec(
        "UPDATE logs SET sealed = $3 WHERE task_id = $1 AND sealed = $2 AND size >= $3",
        params![task, segment.start, end],
    )?;
    if rows == 0 {
        return Ok(false);
    }
    let (data, key, packed) = match segment.content {
        Packed::Inline(data) => (Value::Blob(data), Value::Null, data.len() as i64),
        Packed::Blob { key, size } => (Value::Null, Value::Text(key), size),
    };
    tx.exec(
        "INSERT INTO log_segments (task_id, start, length, data, blob_key, packed) VALUES ($1, $2, $3, $4, $5, $6)",
        &[
            Value::from(task),
            Value::Int(segment.start),
            Value::Int(segment.length),
            data,
            key,
            Value::Int(packed),
        ],
    )?;
    tx.exec(
        "DELETE FROM log_chunks WHERE task_id = $1 AND start < $2",
        params![task, end],
    )?;
    Ok(true)
}

/// Finished logs that are worth sealing and not sealed yet: less than 4 KiB stay as they are.
///
/// # Errors
/// When the database fails.
pub fn unsealed(tx: &mut Tx, limit: u32) -> Result<Vec<Log>> {
    tx.select(
        "WHERE finished = 1 AND size - sealed >= 4096 ORDER BY task_id LIMIT $1",
        params![limit],
    )
}

/// Erases the bytes of a log (a person asked for it); segments in the blob store become trash.
///
/// # Errors
/// When the database fails.
pub fn erase(tx: &mut Tx, task: TaskId, now: Timestamp) -> Result<()> {
    tx.exec(
        "INSERT INTO blob_trash (key, due_ms) SELECT blob_key, CAST($2 AS BIGINT) FROM log_segments
         WHERE task_id = $1 AND blob_key IS NOT NULL
         ON CONFLICT (key) DO UPDATE SET due_ms = excluded.due_ms",
        params![task, now],
    )?;
    tx.exec("DELETE FROM log_segments WHERE task_id = $1", params![task])?;
    tx.exec("DELETE FROM log_chunks WHERE task_id = $1", params![task])?;
    tx.exec(
        "UPDATE logs SET size = 0, crc = 0, sealed = 0, finished = 1, updated_ms = $2 WHERE task_id = $1",
        params![task, now],
    )?;
    Ok(())
}
