use super::*;

/// Claims as `job.pipeline:status`, `*` marks the holder; `next canceled skipped` as job ids.
fn check(mode: ProcessMode, claims: &str, expected: (Option<i64>, &[i64], &[i64])) {
    allocates(mode, false, claims, expected);
}

fn allocates(mode: ProcessMode, cancels: bool, claims: &str, expected: (Option<i64>, &[i64], &[i64])) {
    let claims: Vec<Claimant> = claims
        .split_whitespace()
        .map(|text| {
            let (held, text) = text.strip_prefix('*').map_or((false, text), |rest| (true, rest));
            let (ids, status) = text.split_once(':').unwrap();
            let (job, pipeline) = ids.split_once('.').unwrap();
            Claimant {
                job: JobId(job.parse().unwrap()),
                pipeline: PipelineId(pipeline.parse().unwrap()),
                held,
                status: match status {
                    "w" => Status::WaitingForResource,
                    "c" => Status::Created,
                    "m" => Status::Manual,
                    "r" => Status::Running,
                    other => panic!("no status {other}"),
                },
            }
        })
        .collect();
    let ids = |ids: &[i64]| ids.iter().map(|id| JobId(*id)).collect::<Vec<_>>();
    let (next, canceled, skipped) = expected;
    let wanted = Allocation {
        next: next.map(JobId),
        canceled: ids(canceled),
        skipped: ids(skipped),
    };
    assert_eq!(allocate(mode, cancels, &claims), wanted, "{mode:?} {claims:?}");
}

#[test]
fn process_modes() {
    use ProcessMode::{LatestOnly, NewestFirst, NewestReadyFirst, OldestFirst, SerialNewerWins, Unordered};
    for mode in [Unordered, OldestFirst, NewestFirst, NewestReadyFirst] {
        check(mode, "*1.1:r 2.2:w", (None, &[], &[]));
        check(mode, "2.2:w", (Some(2), &[], &[]));
        check(mode, "2.2:c", (None, &[], &[]));
    }
    check(Unordered, "3.3:w 2.2:w", (Some(2), &[], &[]));
    check(OldestFirst, "3.3:w 2.2:w", (Some(2), &[], &[]));
    check(NewestFirst, "3.3:w 2.2:w", (Some(3), &[], &[]));
    check(NewestReadyFirst, "3.3:w 2.2:w", (Some(3), &[], &[]));
    // Strict orders wait for those that are not ready yet; a manual job holds nobody up.
    check(OldestFirst, "1.1:c 2.2:w", (None, &[], &[]));
    check(OldestFirst, "1.1:m 2.2:w", (Some(2), &[], &[]));
    check(NewestFirst, "2.2:w 3.3:c", (None, &[], &[]));
    check(NewestReadyFirst, "2.2:w 3.3:c", (Some(2), &[], &[]));
    check(Unordered, "2.2:w 1.1:c", (Some(2), &[], &[]));
    // Within one pipeline the order is free.
    check(OldestFirst, "1.1:c 2.1:w", (Some(2), &[], &[]));
    // GitHub: one waits, a newer one takes its place.
    check(LatestOnly, "*1.1:r 2.2:w 3.3:w", (None, &[2], &[]));
    // Of those that come at the same time the first takes the group, and the last one waits for it.
    check(LatestOnly, "2.2:w 3.2:w", (Some(2), &[], &[]));
    check(LatestOnly, "2.2:w 3.2:w 4.2:w", (Some(2), &[3], &[]));
    allocates(LatestOnly, true, "2.2:w 3.2:w 4.2:w", (Some(4), &[2, 3], &[]));
    allocates(LatestOnly, true, "*1.1:r 2.2:w 3.3:w", (None, &[2], &[]));
    // CircleCI: who is older than the active one is not run.
    check(SerialNewerWins, "*5.5:r 2.2:w 6.6:w", (None, &[], &[2]));
}
