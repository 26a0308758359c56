//! Appending: GitLab's runner protocol, trace upload.

use bytes::Bytes;
use tasuki_model::id::TaskId;
use tasuki_store::logs;

use super::hub::{Live, Position};
use super::{Error, GREW, Logs};

/// A piece of a log as a runner sends it.
#[derive(Debug, Clone)]
pub struct Patch {
    pub task: TaskId,
    /// Offset of its first byte in the log.
    pub start: i64,
    pub data: Bytes,
    /// Digest of the token that the runner showed: nothing is written where the task has another one by now.
    pub token_hash: String,
    /// The job runs with debug tracing on; noted with the first piece.
    pub debug: bool,
}

/// What became of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// It is stored, now or before; the next one starts at `size`. (202)
    Stored { size: i64 },
    /// It does not start at the end of what is stored, which is at `size`. (416)
    Gap { size: i64 },
    /// The log has reached its limit, and says so in its last line: the job has to fail with
    /// `trace_size_exceeded`. (403)
    TooLarge { size: i64 },
    /// The task is finished or was given to somebody else. (403)
    Refused,
}

/// What is to be done with a piece.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Append so many bytes of it, and the notice if it was too much.
    Append {
        take: usize,
        notice: bool,
    },
    /// It was stored before: the answer to the first sending was lost.
    Known,
    Gap,
    Full,
}

/// The rule of GitLab's server: a piece is appended where it starts at the end of the log; it is fine as well
/// where it ends there; anything else is a gap.
fn decide(at: &Position, start: i64, length: usize, limit: u64) -> Decision {
    let added = i64::try_from(length).unwrap_or(i64::MAX);
    if at.limited {
        return Decision::Full;
    }
    if start >= 0 && start.saturating_add(added) == at.size {
        return Decision::Known;
    }
    if start != at.size {
        return Decision::Gap;
    }
    let room = usize::try_from(limit.saturating_sub(at.size.unsigned_abs())).unwrap_or(usize::MAX);
    Decision::Append {
        take: length.min(room),
        notice: length > room,
    }
}

/// The last line of a log that is too long.
fn notice(limit: u64) -> String {
    format!(
        "\n\x1b[31;1mThe log is longer than the {limit} bytes that are allowed. The rest of it is not kept, and the \
         job fails.\x1b[0m\n"
    )
}

/// How often the database may turn out to be further than what is known here, in one call.
const ROUNDS: usize = 4;

impl Logs {
    /// Appends a piece of a log. It may come twice, and pieces of one log may come at the same time.
    ///
    /// # Errors
    /// When the database fails; whether the piece is stored is unknown then, and it may be sent again.
    pub async fn append(&self, patch: Patch) -> Result<Appended, Error> {
        let live = self.shared.hub.live(patch.task);
        let mut position = live.position.lock().await;
        for round in 0..ROUNDS {
            let fresh = position.is_none();
            let at = match *position {
                Some(at) => at,
                // The first piece of a log that is not known here: nearly always it is new, so nothing is read.
                // Where it is not, saving finds it moved.
                None if round == 0 && patch.start == 0 => Position::default(),
                None => self.load(patch.task).await?,
            };
            *position = Some(at);
            let (take, notice_due) = match decide(&at, patch.start, patch.data.len(), self.shared.limit) {
                Decision::Append { take, notice } => (take, notice),
                Decision::Known => return Ok(Appended::Stored { size: at.size }),
                // Another server may have taken the pieces in between.
                Decision::Gap if !fresh => {
                    *position = None;
                    continue;
                }
                Decision::Gap => return Ok(Appended::Gap { size: at.size }),
                Decision::Full => return Ok(Appended::TooLarge { size: at.size }),
            };
            let mut data = patch.data.slice(..take);
            if notice_due {
                data = [&data, notice(self.shared.limit).as_bytes()].concat().into();
            }
            let debug = if at.size == 0 { patch.debug } else { at.debug };
            let next = Position {
                limited: notice_due,
                debug,
                ..at
            };
            match self
                .save(&live, patch.task, next, data, Some(patch.token_hash.clone()))
                .await?
            {
                (logs::Appended::Done, next) => {
                    *position = Some(next);
                    let size = next.size;
                    return Ok(if notice_due {
                        Appended::TooLarge { size }
                    } else {
                        Appended::Stored { size }
                    });
                }
                (logs::Appended::Moved, _) => *position = None,
                (logs::Appended::Refused, _) => {
                    *position = None;
                    drop(position);
                    self.shared.hub.leave(patch.task);
                    return Ok(Appended::Refused);
                }
            }
        }
        Err(Error::Contended)
    }

    /// Appends a line of the server's own at the end of the log, which must not be over. `false`: it is.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn note(&self, task: TaskId, line: &str) -> Result<bool, Error> {
        let live = self.shared.hub.live(task);
        let mut position = live.position.lock().await;
        for _ in 0..ROUNDS {
            let at = match *position {
                Some(at) => at,
                None => self.load(task).await?,
            };
            let data = Bytes::from(format!("{line}\n"));
            match self.save(&live, task, at, data, None).await? {
                (logs::Appended::Done, next) => {
                    *position = Some(next);
                    return Ok(true);
                }
                (logs::Appended::Moved, _) => *position = None,
                (logs::Appended::Refused, _) => {
                    *position = None;
                    drop(position);
                    self.shared.hub.leave(task);
                    return Ok(false);
                }
            }
        }
        Err(Error::Contended)
    }

    /// Size and CRC-32 of a log, to compare with the `announced` size and what else the runner says at the end. What
    /// was written through this server is known; the database is asked where that is less than was announced.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn checksum(&self, task: TaskId, announced: u64) -> Result<(i64, u32), Error> {
        let known = self.shared.hub.position(task);
        let at = match known.filter(|at| u64::try_from(at.size).is_ok_and(|size| size >= announced)) {
            Some(at) => at,
            None => self.load(task).await?,
        };
        Ok((at.size, at.crc))
    }

    async fn load(&self, task: TaskId) -> Result<Position, Error> {
        let log = self.shared.files.store().read(move |tx| logs::get(tx, task)).await?;
        Ok(log.map_or_else(Position::default, |log| Position {
            size: log.size,
            crc: u32::try_from(log.crc).unwrap_or(0),
            sealed: log.sealed,
            limited: log.limited,
            debug: log.debug,
        }))
    }

    /// Writes `data` at `at`; gives where the log stands then.
    async fn save(
        &self,
        live: &std::sync::Arc<Live>,
        task: TaskId,
        at: Position,
        data: Bytes,
        fence: Option<String>,
    ) -> Result<(logs::Appended, Position), Error> {
        let mut crc = crc32fast::Hasher::new_with_initial(at.crc);
        crc.update(&data);
        let crc = crc.finalize();
        let size = at.size + i64::try_from(data.len()).unwrap_or(i64::MAX);
        let (live, now) = (std::sync::Arc::clone(live), self.now());
        let done = self
            .shared
            .files
            .store()
            .write(move |tx| {
                let append = logs::Append {
                    task,
                    start: at.size,
                    data: &data,
                    crc: i64::from(crc),
                    limited: at.limited,
                    debug: at.debug,
                    fence: fence.as_deref(),
                };
                let done = logs::append(tx, &append, now)?;
                if done == logs::Appended::Done {
                    // Also when the runner hung up and nobody waits for this answer.
                    tx.after_commit(move || live.grow(size));
                    tx.notify_others(GREW, format!("{task} {size}"));
                }
                Ok(done)
            })
            .await?;
        let next = Position { size, crc, ..at };
        if done == logs::Appended::Done && super::seal::is_ripe(&next) {
            self.ripen(task);
        }
        Ok((done, next))
    }
}

#[cfg(test)]
mod decision_tests {
    use super::*;

    #[track_caller]
    fn check(size: i64, start: i64, length: usize, expected: Decision) {
        let at = Position {
            size,
            ..Position::default()
        };
        assert_eq!(
            decide(&at, start, length, 100),
            expected,
            "{length} bytes at {start}, {size} stored"
        );
    }

    #[test]
    fn pieces_are_taken_as_gitlab_takes_them() {
        let whole = |take| Decision::Append { take, notice: false };
        check(0, 0, 10, whole(10));
        check(10, 10, 5, whole(5));
        check(10, 0, 10, Decision::Known);
        check(10, 5, 5, Decision::Known);
        check(10, 5, 10, Decision::Gap);
        check(10, 0, 5, Decision::Gap);
        check(10, 11, 5, Decision::Gap);
        check(0, 5, 5, Decision::Gap);
        check(10, 10, 0, Decision::Known);
        check(0, 0, 0, Decision::Known);
        check(0, -5, 5, Decision::Gap);
        check(90, 90, 10, whole(10));
        check(90, 90, 11, Decision::Append { take: 10, notice: true });
        check(100, 100, 1, Decision::Append { take: 0, notice: true });
        check(100, 90, 10, Decision::Known);
        check(10, i64::MAX, 10, Decision::Gap);
        let full = Position {
            size: 150,
            limited: true,
            ..Position::default()
        };
        assert_eq!(decide(&full, 100, 5, 100), Decision::Full);
    }
}
