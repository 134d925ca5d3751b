//! Objects of an API server, asked for without starting a program for each question.

use std::{fmt::Debug, path::Path};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Client, Config, Resource,
    api::{DeleteParams, PostParams},
    config::{KubeConfigOptions, Kubeconfig},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Value, json};
use tokio::runtime::{Builder, Runtime};

use crate::cluster::Stage;

/// A kind of ours.
pub trait Ours:
    Resource<Scope = NamespaceResourceScope, DynamicType = ()>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + 'static
{
}

impl Ours for crds::Render {}
impl Ours for crds::HyperframesStack {}

/// A client of its administrator's.
pub async fn client(kubeconfig: &Path) -> Client {
    let named = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(named, &KubeConfigOptions::default()).await.unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The objects of a stage.
pub struct Objects {
    runtime: Runtime,
    client: Client,
    namespace: &'static str,
}

impl Objects {
    pub fn new(stage: &Stage) -> Self {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let client = runtime.block_on(client(&stage.cluster.kubeconfig()));
        Self { runtime, client, namespace: stage.namespace }
    }

    fn api<K: Ours>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), self.namespace)
    }

    /// Makes an object, which must be accepted.
    #[track_caller]
    pub fn create<K: Ours>(&self, name: &str, spec: &Value) {
        let object: K = serde_json::from_value(manifest::<K>(name, spec)).unwrap();
        self.runtime.block_on(self.api().create(&PostParams::default(), &object)).unwrap();
    }

    /// What the API server would say to a new object with this spec.
    pub fn try_create<K: Ours>(&self, spec: &Value) -> Result<(), String> {
        // Not as our types, which cannot hold everything that a user may write.
        self.send::<K>("POST", "", &manifest::<K>("tried", spec))
    }

    /// What it would say to this spec for an object that is there.
    pub fn try_replace<K: Ours>(&self, name: &str, spec: &Value) -> Result<(), String> {
        let mut object = self.get::<K>(name);
        object["spec"] = spec.clone();
        self.send::<K>("PUT", name, &object)
    }

    fn send<K: Ours>(&self, method: &str, name: &str, object: &Value) -> Result<(), String> {
        let path = format!("{}/{name}", K::url_path(&(), Some(self.namespace)));
        let uri = format!("{}?dryRun=All&fieldValidation=Strict", path.trim_end_matches('/'));
        let request = axum::http::Request::builder().method(method).uri(uri).header("content-type", "application/json");
        let request = request.body(serde_json::to_vec(object).unwrap()).unwrap();
        match self.runtime.block_on(self.client.request::<Value>(request)) {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) => Err(status.message.clone()),
            Err(error) => panic!("{error}"),
        }
    }

    /// An object; null where there is none.
    pub fn get<K: Ours>(&self, name: &str) -> Value {
        let found = self.runtime.block_on(self.api::<K>().get_opt(name)).unwrap();
        found.map_or(Value::Null, |found| serde_json::to_value(found).unwrap())
    }

    pub fn delete<K: Ours>(&self, name: &str) {
        drop(self.runtime.block_on(self.api::<K>().delete(name, &DeleteParams::default())).unwrap());
    }
}

fn manifest<K: Ours>(name: &str, spec: &Value) -> Value {
    json!({ "apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": { "name": name }, "spec": spec })
}
