//! Who requests are signed as.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use aws_config::{
    BehaviorVersion, Region, SdkConfig, retry::RetryConfig, sts::AssumeRoleProvider, timeout::TimeoutConfig,
};
use aws_credential_types::{
    Credentials,
    provider::{ProvideCredentials, SharedCredentialsProvider, error::CredentialsError, future},
};
use jiff::Timestamp;

use super::super::cloud::Identity;
use crate::ports::{DataKey, DataObjects};

/// What CloudTrail shows of a role that was assumed.
const SESSION: &str = "hyperframes-operator";
/// The SDK tries a request so often; what lasts longer is the reconciler's.
const TRIES: u32 = 3;
const CONNECT: Duration = Duration::from_secs(10);
/// Of one try, without what streams.
const ANSWER: Duration = Duration::from_secs(30);
/// A changed Secret counts within this time.
const SECRET_IS_KEPT: Duration = Duration::from_mins(1);

/// How the clients of an identity are made.
pub(super) async fn config(identity: &Identity, secrets: &Arc<dyn DataObjects>, now: fn() -> Timestamp) -> SdkConfig {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).read_timeout(ANSWER).build();
    let mut own = aws_config::defaults(BehaviorVersion::latest())
        .region(Region::new(identity.region.clone()))
        .retry_config(RetryConfig::standard().with_max_attempts(TRIES))
        .timeout_config(timeouts);
    if let Some(key) = &identity.secret {
        own = own.credentials_provider(AccessKeys { secrets: Arc::clone(secrets), key: key.clone(), now });
    }
    let own = own.load().await;
    let Some(role) = &identity.role else { return own };
    let mut provider = AssumeRoleProvider::builder(&role.role_arn).session_name(SESSION).configure(&own);
    if let Some(external_id) = &role.external_id {
        provider = provider.external_id(external_id);
    }
    let provider = SharedCredentialsProvider::new(provider.build().await);
    own.into_builder().credentials_provider(provider).build()
}

/// The access keys in a Secret.
struct AccessKeys {
    secrets: Arc<dyn DataObjects>,
    key: DataKey,
    now: fn() -> Timestamp,
}

impl AccessKeys {
    async fn read(&self) -> Result<Credentials, String> {
        let data = self.secrets.data(&self.key).await.map_err(|error| error.to_string())?;
        let data = data.ok_or_else(|| format!("there is no {}", self.key))?;
        let text = |name: &str| -> Result<Option<String>, String> {
            let text = data.0.get(name).map(|bytes| str::from_utf8(bytes)).transpose();
            let text = text.map_err(|_| format!("{name} of {} is no text", self.key))?;
            // Made with `echo`, it ends with a line break.
            Ok(text.map(str::trim).filter(|text| !text.is_empty()).map(str::to_owned))
        };
        let needed = |name: &str| text(name)?.ok_or_else(|| format!("{} has no {name}", self.key));
        let (id, secret) = (needed("AWS_ACCESS_KEY_ID")?, needed("AWS_SECRET_ACCESS_KEY")?);
        let until = SystemTime::from((self.now)() + SECRET_IS_KEPT);
        Ok(Credentials::new(id, secret, text("AWS_SESSION_TOKEN")?, Some(until), "Secret"))
    }
}

impl ProvideCredentials for AccessKeys {
    fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
    where
        Self: 'a,
    {
        future::ProvideCredentials::new(async { self.read().await.map_err(CredentialsError::provider_error) })
    }
}

impl fmt::Debug for AccessKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("AccessKeys").field(&self.key).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ports::{Data, DataKind, NoDataObjects},
        store::memory::MemoryData,
    };

    fn now() -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    async fn read(entries: &[(&str, &str)]) -> Result<Credentials, String> {
        let key = DataKey { kind: DataKind::Secret, namespace: "team".to_owned(), name: "keys".to_owned() };
        let secrets = MemoryData::default();
        let entries = entries.iter().map(|(name, text)| ((*name).to_owned(), text.as_bytes().to_vec()));
        secrets.set(&key, Some(Data(entries.collect())));
        AccessKeys { secrets: Arc::new(secrets), key, now }.read().await
    }

    #[tokio::test]
    async fn access_keys_come_from_a_secret_and_are_never_shown() {
        let keys = [("AWS_ACCESS_KEY_ID", "id\n"), ("AWS_SECRET_ACCESS_KEY", "hidden"), ("AWS_SESSION_TOKEN", "token")];
        let credentials = read(&keys).await.unwrap();
        assert_eq!((credentials.access_key_id(), credentials.secret_access_key()), ("id", "hidden"));
        assert_eq!(credentials.session_token(), Some("token"));
        assert_eq!(credentials.expiry(), Some(SystemTime::UNIX_EPOCH + SECRET_IS_KEPT), "the Secret is read again");
        assert!(!format!("{credentials:?}").contains("hidden"), "{credentials:?}");
        assert_eq!(read(&keys[..2]).await.unwrap().session_token(), None);
        assert_eq!(read(&keys[..1]).await.unwrap_err(), "Secret team/keys has no AWS_SECRET_ACCESS_KEY");
        assert_eq!(read(&[("AWS_ACCESS_KEY_ID", " ")]).await.unwrap_err(), "Secret team/keys has no AWS_ACCESS_KEY_ID");
    }

    #[tokio::test]
    async fn where_there_are_no_secrets_it_says_so() {
        let key = DataKey { kind: DataKind::Secret, namespace: "team".to_owned(), name: "keys".to_owned() };
        let error = AccessKeys { secrets: Arc::new(NoDataObjects), key: key.clone(), now }.read().await.unwrap_err();
        assert!(error.contains("there is no Secret \"keys\""), "{error}");
        let error = AccessKeys { secrets: Arc::new(MemoryData::default()), key, now }.read().await.unwrap_err();
        assert_eq!(error, "there is no Secret team/keys");
    }
}
