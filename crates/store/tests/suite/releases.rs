//! Releases.

use tasuki_model::id::{JobId, ProjectId};
use tasuki_model::time::Timestamp;
use tasuki_store::releases::{self, Content, NewRelease};
use tasuki_store::{Result, Tx};

use crate::database::write;
use crate::{on_each_database, sample};

const CONTENT: Content<'_> = Content {
    name: "One",
    description: "The first",
    milestones_json: "[]",
    released_ms: Timestamp(5),
};

fn create(tx: &mut Tx<'_>, project_id: ProjectId, tag: &str) -> Result<Option<i64>> {
    let new = NewRelease {
        project_id,
        tag,
        sha: "aa",
        links_json: "[]",
        job_id: JobId(3),
        content: CONTENT,
    };
    releases::create(tx, &new, Timestamp(7))
}

on_each_database! {
    fn a_tag_has_one_release(database) {
        let store = database.open();
        write(&store, |tx| {
            let (one, two) = (sample::project(tx, "a/1")?, sample::project(tx, "a/2")?);
            let first = create(tx, one, "v1")?.unwrap();
            assert_eq!(create(tx, one, "v1")?, None);
            let second = create(tx, one, "v2")?.unwrap();
            assert!(create(tx, two, "v1")?.is_some(), "of another project");
            let ids = |page: Vec<releases::Release>| page.iter().map(|one| one.id).collect::<Vec<_>>();
            assert_eq!(ids(releases::page(tx, one, None, 5)?), [second, first]);
            assert_eq!(ids(releases::page(tx, one, Some(second), 5)?), [first]);
            let changed = Content { name: "Uno", ..CONTENT };
            releases::change(tx, first, &changed)?;
            let found = releases::of_tag(tx, one, "v1")?.unwrap();
            assert_eq!((found.id, found.name.as_str(), found.job_id), (first, "Uno", JobId(3)));
            releases::remove(tx, first)?;
            assert_eq!(releases::get(tx, first)?, None);
            assert!(create(tx, one, "v1")?.is_some(), "the tag is free again");
            Ok(())
        });
    }
}
