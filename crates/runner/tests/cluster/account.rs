//! Accounts of a test's own, with the rights that it gives them.

use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DeleteParams, DynamicObject, GroupVersionKind, PostParams};
use kube::{Api, Client, Config};
use serde_json::{Value, json};

use crate::cluster::unique;

/// Who may do everything.
pub(crate) async fn admin() -> Client {
    Client::try_default().await.expect("KUBECONFIG names a cluster")
}

/// A namespace that is removed by [`Own::end`].
pub(crate) struct Own {
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Own {
    pub(crate) async fn new() -> Self {
        let client = admin().await;
        let name = unique("tasuki-test");
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).expect("is a namespace");
        let api: Api<Namespace> = Api::all(client.clone());
        api.create(&PostParams::default(), &namespace).await.expect("is made");
        // Pods need it, and it comes a moment later.
        let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), &name);
        while accounts.get_opt("default").await.expect("is asked").is_none() {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        Self { client, name }
    }

    pub(crate) async fn end(self) {
        let api: Api<Namespace> = Api::all(self.client.clone());
        api.delete(&self.name, &DeleteParams::default())
            .await
            .expect("is removed");
    }

    /// Makes objects of any kind, as `kubectl create` would.
    pub(crate) async fn make(&self, objects: &[Value]) {
        for object in objects {
            let object: DynamicObject = serde_json::from_value(object.clone()).expect("is an object");
            let api = api_of(&self.client, &object);
            let made = api.create(&PostParams::default(), &object).await;
            made.unwrap_or_else(|error| panic!("{object:?}: {error}"));
        }
    }

    /// Removes what is in no namespace, and so does not go with this one.
    pub(crate) async fn remove(&self, objects: &[Value]) {
        for object in objects {
            let object: DynamicObject = serde_json::from_value(object.clone()).expect("is an object");
            if object.metadata.namespace.is_none() {
                let name = object.metadata.name.clone().expect("has a name");
                let gone = api_of(&self.client, &object)
                    .delete(&name, &DeleteParams::default())
                    .await;
                gone.expect("is removed");
            }
        }
    }

    /// A token of an account that may do just this in the namespace: resource and verbs.
    pub(crate) async fn token(&self, rights: &[(&str, &[&str])]) -> String {
        let name = unique("runner");
        let params = PostParams::default();
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let account = serde_json::from_value(json!({"metadata": {"name": name}})).expect("is an account");
        accounts.create(&params, &account).await.expect("is made");
        let rules: Vec<_> = rights
            .iter()
            .map(|(resource, verbs)| json!({"apiGroups": [""], "resources": [resource], "verbs": verbs}))
            .collect();
        let role = serde_json::from_value(json!({"metadata": {"name": name}, "rules": rules})).expect("is a role");
        let roles: Api<Role> = Api::namespaced(self.client.clone(), &self.name);
        roles.create(&params, &role).await.expect("is made");
        let binding = json!({
            "metadata": {"name": name},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": self.name}],
        });
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.name);
        let binding = serde_json::from_value(binding).expect("is a binding");
        bindings.create(&params, &binding).await.expect("is made");
        self.token_of(&name).await
    }

    /// A token of an account of the namespace.
    pub(crate) async fn token_of(&self, account: &str) -> String {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client.clone(), &self.name);
        let request = TokenRequest {
            spec: TokenRequestSpec::default(),
            ..TokenRequest::default()
        };
        let given = accounts
            .create_subresource::<_, TokenRequest>("token", account, &PostParams::default(), &request)
            .await;
        given.expect("is given").status.expect("is given").token
    }
}

fn api_of(client: &Client, object: &DynamicObject) -> Api<DynamicObject> {
    let types = object.types.as_ref().expect("says what it is");
    let kind = ApiResource::from_gvk(&GroupVersionKind::try_from(types).expect("is a version"));
    match &object.metadata.namespace {
        Some(namespace) => Api::namespaced_with(client.clone(), namespace, &kind),
        None => Api::all_with(client.clone(), &kind),
    }
}

/// Keys of `[runners.kubernetes]` that reach the cluster by a token, at its own address or another's.
pub(crate) async fn keys(folder: &Path, token: &str, address: Option<&str>) -> String {
    let config = Config::infer().await.expect("KUBECONFIG names a cluster");
    let mut pem = String::new();
    for certificate in config.root_cert.expect("has a CA") {
        let text = BASE64_STANDARD.encode(certificate);
        pem.push_str(&format!(
            "-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n"
        ));
    }
    let file = folder.join("ca.pem");
    std::fs::write(&file, pem).expect("is written");
    let host = address.map_or_else(|| config.cluster_url.to_string(), str::to_owned);
    format!("host = {host:?}\nca_file = {file:?}\nbearer_token = {token:?}\n")
}

/// What a job needs where pods are watched.
pub(crate) const RIGHTS: &[(&str, &[&str])] = &[
    ("pods", &["create", "get", "delete", "watch"]),
    ("pods/exec", &["create", "get"]),
    ("secrets", &["create", "update", "delete"]),
    ("events", &["list"]),
];
