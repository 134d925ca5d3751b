//! Secrets and ConfigMaps of an API server, each read when it is asked for: a watch would need the right to read them all.

use std::fmt::Debug;

use async_trait::async_trait;
use k8s_openapi::{
    NamespaceResourceScope,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;

use super::errors::failed;
use crate::{
    error::Error,
    ports::{Data, DataKey, DataKind, DataObjects},
};

/// Those of an API server.
#[derive(Clone)]
pub(crate) struct KubeData(Client);

impl KubeData {
    /// Those that this client may read.
    pub(crate) fn new(client: Client) -> Self {
        Self(client)
    }

    async fn get<K>(&self, key: &DataKey) -> Result<Option<K>, Error>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + Debug,
    {
        let api: Api<K> = Api::namespaced(self.0.clone(), &key.namespace);
        let object = api.get_opt(&key.name).await;
        object.map_err(|error| failed(format!("read {key}"), key, &error))
    }
}

#[async_trait]
impl DataObjects for KubeData {
    async fn data(&self, key: &DataKey) -> Result<Option<Data>, Error> {
        Ok(match key.kind {
            DataKind::ConfigMap => self.get::<ConfigMap>(key).await?.map(of_config_map),
            DataKind::Secret => self.get::<Secret>(key).await?.map(of_secret),
        })
    }
}

/// Texts and bytes together: an API server sees to it that no key is in both.
fn of_config_map(object: ConfigMap) -> Data {
    let texts = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
    let bytes = object.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
    Data(texts.chain(bytes).collect())
}

fn of_secret(object: Secret) -> Data {
    Data(object.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_and_bytes_come_as_bytes_and_are_never_shown() {
        let yaml = "{data: {a: text}, binaryData: {b: AAH/}}";
        let data = of_config_map(serde_yaml::from_str(yaml).unwrap());
        assert_eq!((&*data.0["a"], &*data.0["b"]), (&b"text"[..], &[0, 1, 255][..]));
        let secret = of_secret(serde_yaml::from_str("{data: {password: c2VjcmV0}}").unwrap());
        assert_eq!(secret.0["password"], b"secret");
        assert_eq!(format!("{secret:?}"), "{\"password\"}");
    }
}
