//! One request, one response.

use super::error::Error;
use super::{
    Context, Failure, Report, Request, Response, artifacts, cache, checkout, digest, keyed, snapshot, store_path,
};

/// Does what is asked, blocking. Looks at the context's stop often and returns soon after it is pulled.
/// What failed is in the response and, in words, in the log.
#[must_use]
pub fn serve(request: Request, context: &Context) -> Response {
    let done = match &request {
        Request::Checkout(request) => checkout::checkout(request, context),
        Request::Snapshot(request) => snapshot::snapshot(request, context),
        Request::ClearWorktree(request) => checkout::clear(&request.project),
        Request::RestoreCache(request) => cache::restore(request, context),
        Request::SaveCache(request) => cache::save(request, context),
        Request::UploadArtifacts(request) => artifacts::upload(request, context),
        Request::DownloadArtifacts(request) => artifacts::download(request, context),
        Request::RestoreKeyed(request) => keyed::restore(request, context),
        Request::SaveKeyed(request) => keyed::save(request, context),
        Request::StorePath(request) => store_path::store(request, context),
        Request::DigestFiles(request) => digest::digest(request, context),
        Request::MakeFolder { folder } => std::fs::create_dir_all(folder)
            .map(|()| Report::default())
            .map_err(|error| Error::job(format!("the folder {} cannot be made: {error}", folder.display()))),
    };
    match done {
        Ok(report) => Response { failure: None, report },
        Err(error) => {
            let failure = Failure::from(&error);
            context.say(&format!("ERROR: {}", failure.message));
            Response {
                failure: Some(failure),
                report: Report::default(),
            }
        }
    }
}
