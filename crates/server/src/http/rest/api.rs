//! Endpoints as data: the same declaration makes the route, guards it and describes it, so that the three agree.

use axum::Router;
use axum::extract::{Request, State};
use axum::handler::Handler;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{MethodFilter, on};
use http::Method;
use http::request::Parts;
use schemars::{JsonSchema, Schema, SchemaGenerator};

use crate::app::App;
use crate::http::error::{Code, Problem};
use crate::identity::{self, Access, Via, session};

/// One endpoint as the reference shows it.
pub struct Endpoint {
    pub method: Method,
    /// Below `/api/v1`, parameters in braces.
    pub path: &'static str,
    pub summary: &'static str,
    pub access: Access,
    /// Query parameters: name and meaning.
    pub query: &'static [(&'static str, &'static str)],
    pub request: Option<Schema>,
    pub status: u16,
    pub response: Body,
}

/// What an answer carries.
pub enum Body {
    Nothing,
    Json(Schema),
    /// Another media type.
    Other(&'static str),
}

/// Makes the schema of one type.
type Describe = fn(&mut SchemaGenerator) -> Schema;

/// The endpoints of the API with their routes.
pub struct Api {
    app: App,
    router: Router<App>,
    endpoints: Vec<Endpoint>,
    /// Schemas still to be made, by endpoint: only the description wants them, and they take longer than the routes.
    pending: Vec<(usize, Place, Describe)>,
}

/// Where a schema belongs.
enum Place {
    Request,
    Response,
}

impl Api {
    pub(super) fn new(app: App) -> Self {
        Self {
            app,
            router: Router::new(),
            endpoints: Vec::new(),
            pending: Vec::new(),
        }
    }

    /// Adds an endpoint; describe it further on the result.
    pub(super) fn add<H, T>(
        &mut self,
        method: Method,
        path: &'static str,
        access: Access,
        summary: &'static str,
        handler: H,
    ) -> Described<'_>
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(method.clone()).unwrap_or(MethodFilter::GET);
        let guarded = on(filter, handler).layer(from_fn_with_state((self.app.clone(), access), guard));
        self.router = std::mem::take(&mut self.router).route(path, guarded);
        self.endpoints.push(Endpoint {
            method,
            path,
            summary,
            access,
            query: &[],
            request: None,
            status: 204,
            response: Body::Nothing,
        });
        Described { api: self }
    }

    pub(super) fn into_router(self) -> Router<App> {
        self.router
    }

    /// The endpoints with their schemas, and the generator that holds what these refer to.
    pub(super) fn describe(mut self) -> (Vec<Endpoint>, SchemaGenerator) {
        let mut schemas = schemars::generate::SchemaSettings::draft2020_12()
            .with(|settings| settings.definitions_path = "/components/schemas".into())
            .into_generator();
        for (at, place, describe) in self.pending {
            let schema = describe(&mut schemas);
            match place {
                Place::Request => self.endpoints[at].request = Some(schema),
                Place::Response => self.endpoints[at].response = Body::Json(schema),
            }
        }
        (self.endpoints, schemas)
    }
}

/// The endpoint that was added last.
pub(super) struct Described<'a> {
    api: &'a mut Api,
}

impl Described<'_> {
    fn change(self, change: impl FnOnce(&mut Endpoint)) -> Self {
        if let Some(endpoint) = self.api.endpoints.last_mut() {
            change(endpoint);
        }
        self
    }

    pub(super) fn query(self, query: &'static [(&'static str, &'static str)]) -> Self {
        self.change(|endpoint| endpoint.query = query)
    }

    pub(super) fn takes<T: JsonSchema>(self) -> Self {
        let at = self.api.endpoints.len().saturating_sub(1);
        self.api
            .pending
            .push((at, Place::Request, SchemaGenerator::subschema_for::<T>));
        self
    }

    pub(super) fn gives<T: JsonSchema>(self, status: u16) -> Self {
        let at = self.api.endpoints.len().saturating_sub(1);
        self.api
            .pending
            .push((at, Place::Response, SchemaGenerator::subschema_for::<T>));
        self.change(|endpoint| endpoint.status = status)
    }

    /// It changes to another protocol.
    pub(super) fn upgrades(self) -> Self {
        self.change(|endpoint| endpoint.status = 101)
    }

    pub(super) fn gives_other(self, media_type: &'static str) -> Self {
        self.change(|endpoint| (endpoint.status, endpoint.response) = (200, Body::Other(media_type)))
    }
}

/// Recognises the caller and refuses it where its access does not suffice; the handler finds it among the extensions.
async fn guard(State((app, needed)): State<(App, Access)>, request: Request, next: Next) -> Response {
    let (mut parts, body) = request.into_parts();
    match recognise(&app, needed, &parts).await {
        Ok(caller) => {
            parts.extensions.insert(caller);
            next.run(Request::from_parts(parts, body)).await
        }
        Err(problem) => problem.into_response(),
    }
}

async fn recognise(app: &App, needed: Access, request: &Parts) -> Result<identity::Caller, Problem> {
    let address = crate::http::peer(&request.extensions);
    let now = app.now();
    if needed > Access::Nobody
        && let Err(refused) = app.failed_logins().check(address, now.0)
    {
        let mut problem = Problem::new(Code::RateLimited, "too many wrong tokens from this address");
        problem.retry_after_s = Some(refused.retry_after_s);
        return Err(problem);
    }
    let found = identity::authenticate(app.store(), &request.headers, now).await?;
    let Some(caller) = found else {
        // The bucket holds what is left; whether it is empty matters at the next call.
        let _ = app.failed_logins().take(address, now.0);
        return Err(Problem::new(
            Code::Unauthorized,
            "the token or session is unknown or has expired",
        ));
    };
    if caller.access < needed {
        return Err(match caller.via {
            Via::Nothing => Problem::new(Code::Unauthorized, "send a token as `Authorization: Bearer TOKEN`"),
            Via::Token | Via::Cookie => Problem::new(
                Code::Forbidden,
                format!(
                    "this needs {} access, {} has {}",
                    needed.as_str(),
                    caller.name,
                    caller.access.as_str()
                ),
            ),
        });
    }
    let changes = !matches!(request.method, Method::GET | Method::HEAD);
    if changes && caller.via == Via::Cookie && !session::is_same_origin(&request.headers) {
        return Err(Problem::new(Code::CsrfRejected, ""));
    }
    Ok(caller)
}
