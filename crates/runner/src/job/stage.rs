//! Names of the stages, as sections and metrics show them.

use std::fmt;

/// A stage of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    PrepareExecutor,
    PrepareScript,
    GetSources,
    ClearWorktree,
    RestoreCache,
    DownloadArtifacts,
    /// `step_script` for the step `script`, and so on.
    Step(String),
    /// `step_1`, …: a typed step, with what people call it.
    Typed {
        index: usize,
        title: String,
    },
    AfterScript,
    ArchiveCache,
    ArchiveCacheOnFailure,
    UploadArtifactsOnSuccess,
    UploadArtifactsOnFailure,
    CleanupFileVariables,
}

impl Stage {
    /// The line that opens the section.
    #[must_use]
    pub fn title(&self, executor: &str) -> String {
        match self {
            Self::PrepareExecutor => format!("Preparing the \"{executor}\" executor"),
            Self::PrepareScript => "Preparing environment".to_owned(),
            Self::GetSources => "Getting source from Git repository".to_owned(),
            Self::ClearWorktree => "Deleting all tracked and untracked files after a failed attempt".to_owned(),
            Self::RestoreCache => "Restoring cache".to_owned(),
            Self::DownloadArtifacts => "Downloading artifacts".to_owned(),
            Self::Step(_) => format!("Executing \"{self}\" stage of the job script"),
            Self::Typed { title, .. } => title.clone(),
            Self::AfterScript => "Running after_script".to_owned(),
            Self::ArchiveCache => "Saving cache for successful job".to_owned(),
            Self::ArchiveCacheOnFailure => "Saving cache for failed job".to_owned(),
            Self::UploadArtifactsOnSuccess => "Uploading artifacts for successful job".to_owned(),
            Self::UploadArtifactsOnFailure => "Uploading artifacts for failed job".to_owned(),
            Self::CleanupFileVariables => "Cleaning up project directory and file based variables".to_owned(),
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PrepareExecutor => f.write_str("prepare_executor"),
            Self::PrepareScript => f.write_str("prepare_script"),
            Self::GetSources => f.write_str("get_sources"),
            Self::ClearWorktree => f.write_str("clear_worktree"),
            Self::RestoreCache => f.write_str("restore_cache"),
            Self::DownloadArtifacts => f.write_str("download_artifacts"),
            Self::Step(name) => write!(f, "step_{name}"),
            Self::Typed { index, .. } => write!(f, "step_{index}"),
            Self::AfterScript => f.write_str("after_script"),
            Self::ArchiveCache => f.write_str("archive_cache"),
            Self::ArchiveCacheOnFailure => f.write_str("archive_cache_on_failure"),
            Self::UploadArtifactsOnSuccess => f.write_str("upload_artifacts_on_success"),
            Self::UploadArtifactsOnFailure => f.write_str("upload_artifacts_on_failure"),
            Self::CleanupFileVariables => f.write_str("cleanup_file_variables"),
        }
    }
}
