//! One request, one response.

use super::{Context, Failure, Request, Response, artifacts, cache, checkout, snapshot};

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
    };
    match done {
        Ok(report) => Response { failure: None, report },
        Err(error) => {
            let failure = Failure::from(&error);
            context.say(&format!("ERROR: {}", failure.message));
            Response {
                failure: Some(failure),
                report: super::Report::default(),
            }
        }
    }
}
