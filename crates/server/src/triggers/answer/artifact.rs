//! Answers from what the jobs of a parent pipeline left (`trigger:include:artifact`).

use std::io::{Cursor, Read as _};

use futures_util::StreamExt as _;
use tasuki_model::id::PipelineId;
use tasuki_pipeline::{Answer, Refusal};
use tasuki_store::artifacts::Artifact;
use tasuki_store::{Tx, artifacts, jobs, tasks};

use super::{text, unsupported};
use crate::blobs::Files;

/// Bytes of an archive that a configuration may be taken from.
const MOST_ARCHIVE: i64 = 64 << 20;
/// Bytes of a configuration in it, as GitLab has it.
const MOST_FILE: u64 = 5 << 20;

/// The archives of a pipeline's jobs.
#[derive(Debug, Clone)]
pub struct OfParent {
    pub files: Files,
    pub pipeline: PipelineId,
}

impl OfParent {
    /// A file of the newest archive that the job left.
    pub(super) async fn file(&self, job: &str, path: &str) -> Answer {
        let (pipeline, name) = (self.pipeline, job.to_owned());
        let found = self.files.store().read(move |tx| archive(tx, pipeline, &name)).await;
        let archive = match found {
            Ok(Some(archive)) => archive,
            Ok(None) => return Answer::Refused(Refusal::NotFound),
            Err(failed) => return Answer::Refused(Refusal::Unreachable(failed.to_string())),
        };
        if archive.size > MOST_ARCHIVE {
            return unsupported("the archive is larger than 64 MiB");
        }
        match self.bytes(&archive).await {
            Ok(bytes) => member(bytes, path),
            Err(failed) => Answer::Refused(Refusal::Unreachable(failed.to_string())),
        }
    }

    async fn bytes(&self, archive: &Artifact) -> Result<Vec<u8>, crate::blobs::Error> {
        let mut content = self.files.read(&archive.blob_key, None, Some(&archive.sha256)).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = content.body.next().await {
            bytes.extend_from_slice(&piece.map_err(crate::blobs::Error::Body)?);
        }
        Ok(bytes)
    }
}

/// The archive of the job's newest task.
fn archive(tx: &mut Tx<'_>, pipeline: PipelineId, name: &str) -> tasuki_store::Result<Option<Artifact>> {
    let Some(job) = jobs::of_pipeline(tx, pipeline)?
        .into_iter()
        .find(|job| job.name == name)
    else {
        return Ok(None);
    };
    for task in tasks::of_job(tx, job.id)?.iter().rev() {
        if let Some(archive) = artifacts::of_kind(tx, task.id, "archive")? {
            return Ok(Some(archive));
        }
    }
    Ok(None)
}

fn member(archive: Vec<u8>, path: &str) -> Answer {
    let Ok(mut archive) = zip::ZipArchive::new(Cursor::new(archive)) else {
        return unsupported("the archive is damaged");
    };
    let path = path.trim_start_matches("./").trim_start_matches('/');
    let Ok(mut file) = archive.by_name(path) else {
        return Answer::Refused(Refusal::NotFound);
    };
    if file.size() > MOST_FILE {
        return unsupported("the file is larger than 5 MiB");
    }
    let mut bytes = Vec::new();
    match file.by_ref().take(MOST_FILE + 1).read_to_end(&mut bytes) {
        Ok(_) if bytes.len() as u64 <= MOST_FILE => text(bytes),
        Ok(_) => unsupported("the file is larger than 5 MiB"),
        Err(_) => unsupported("the archive is damaged"),
    }
}
