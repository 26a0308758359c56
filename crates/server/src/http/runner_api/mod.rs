//! GitLab's runner protocol, the coordinator's side: `/api/v4`.
//!
//! Stock clients are strict in what they read and lenient in what they send, so it is the other way round here: bodies
//! are read as JSON whatever they say they are, tokens are taken from header or body, answers are exactly the
//! protocol's. Errors are `{"message": …}`, never problem+json.

mod refusal;
mod register;

use axum::Router;
use axum::routing::{delete, get, post};

use crate::app::App;

/// All routes below `/api/v4`.
pub fn router(_: &App) -> Router<App> {
    Router::new()
        .route("/runners", post(register::register).delete(register::unregister))
        .route("/runners/verify", post(register::verify))
        .route("/runners/managers", delete(register::unregister_manager))
        .route("/runners/reset_authentication_token", post(register::reset))
        .route("/runners/{id}/reset_authentication_token", post(register::reset_by_id))
        .route("/runners/router/discovery", get(register::discovery))
}
