//! The description of the API in OpenAPI 3.1, made from the same declarations as the routes.

use schemars::SchemaGenerator;
use serde_json::{Map, Value, json};
use tasuki_proto::rest::Problem;

use super::{Body, Endpoint};
use crate::identity::Access;

pub(super) fn document(endpoints: &[Endpoint], schemas: &mut SchemaGenerator) -> Value {
    let problem = schemas.subschema_for::<Problem>();
    let mut paths = Map::new();
    for endpoint in endpoints {
        let operations = paths.entry(endpoint.path).or_insert_with(|| json!({}));
        if let Some(operations) = operations.as_object_mut() {
            operations.insert(
                endpoint.method.as_str().to_ascii_lowercase(),
                operation(endpoint, &problem),
            );
        }
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "tasuki",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Lists are pages with a cursor, errors are application/problem+json with a stable `code`."
        },
        "servers": [{"url": "/api/v1"}],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": schemas.definitions(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}
        }
    })
}

fn operation(endpoint: &Endpoint, problem: &schemars::Schema) -> Value {
    let mut operation = json!({
        "summary": endpoint.summary,
        "operationId": operation_id(endpoint),
        "x-access": endpoint.access.as_str(),
        "parameters": parameters(endpoint),
        "responses": responses(endpoint, problem),
    });
    if endpoint.access == Access::Nobody {
        operation["security"] = json!([]);
    }
    if let Some(schema) = &endpoint.request {
        operation["requestBody"] = json!({"content": {"application/json": {"schema": schema}}});
    }
    operation
}

/// `get_projects_id_pipelines`.
fn operation_id(endpoint: &Endpoint) -> String {
    let path = endpoint.path.replace(['{', '}'], "").replace(['/', '-'], "_");
    format!("{}{path}", endpoint.method.as_str().to_ascii_lowercase())
}

fn parameters(endpoint: &Endpoint) -> Vec<Value> {
    let in_path = endpoint
        .path
        .split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'));
    let in_path =
        in_path.map(|name| json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}}));
    let in_query = endpoint.query.iter().map(
        |(name, meaning)| json!({"name": name, "in": "query", "description": meaning, "schema": {"type": "string"}}),
    );
    in_path.chain(in_query).collect()
}

fn responses(endpoint: &Endpoint, problem: &schemars::Schema) -> Value {
    let content = match &endpoint.response {
        Body::Nothing => json!({}),
        Body::Json(schema) => json!({"application/json": {"schema": schema}}),
        Body::Other(media_type) => json!({(*media_type): {}}),
    };
    json!({
        (endpoint.status.to_string()): {"description": "done", "content": content},
        "default": {
            "description": "not done, and why",
            "content": {"application/problem+json": {"schema": problem}}
        }
    })
}
