use std::io;

use futures::{FutureExt as _, StreamExt as _};

use super::*;
use crate::{error::Error, store::memory::MemoryData};

fn config_map(name: &str) -> DataKey {
    DataKey { kind: DataKind::ConfigMap, namespace: "n".into(), name: name.into() }
}

fn data(entries: &[(&str, &str)]) -> Data {
    Data(entries.iter().map(|(key, text)| ((*key).to_owned(), text.as_bytes().to_vec())).collect())
}

struct Place {
    folder: tempfile::TempDir,
    data: Arc<MemoryData>,
    fetched: Fetched,
}

impl Place {
    fn new() -> Self {
        let (folder, data) = (tempfile::tempdir().unwrap(), Arc::<MemoryData>::default());
        let networks = Networks::read("127.0.0.0/8").unwrap();
        let fetched = Fetched::new(folder.path().join("sources"), networks, Arc::clone(&data) as _);
        Self { folder, data, fetched }
    }

    async fn folder(&self, source: &str) -> Result<PathBuf, SourceError> {
        let render: Render = serde_yaml::from_str(&format!(
            "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: a, namespace: n}}, spec: {{source: {source}}}}}"
        ))
        .unwrap();
        self.fetched.folder(&render).await.map(Option::unwrap)
    }

    async fn code(&self, source: &str) -> Code {
        match self.folder(source).await.unwrap_err() {
            SourceError::Unreadable(failure) | SourceError::Invalid(failure) => failure.code,
            SourceError::Coming(what) => unreachable!("{what}"),
        }
    }
}

const SITE: &str = "{configMapRef: {name: site}}";

#[tokio::test]
async fn keys_become_files() {
    let place = Place::new();
    assert_eq!(place.code(SITE).await, Code::SourceUnavailable);
    place.data.set(&config_map("site"), Some(data(&[("index.html", "<p>"), ("a.css", "p{}")])));
    assert_eq!(place.code(SITE).await, Code::SourceUnavailable, "it is known not to be there, until its turn comes");
    place.fetched.look_anew(&ObjectKey { kind: crate::ports::Kind::Render, namespace: "n".into(), name: "a".into() });
    let folder = place.folder(SITE).await.unwrap();
    assert!(folder.starts_with(place.folder.path().join("sources")));
    assert_eq!(fs::read_to_string(folder.join("index.html")).unwrap(), "<p>");
    assert_eq!(fs::read_to_string(folder.join("a.css")).unwrap(), "p{}");
    let items =
        "{configMapRef: {name: site, items: [{key: index.html, path: index.html}, {key: a.css, path: css/a.css}]}}";
    let other = place.folder(items).await.unwrap();
    assert_eq!(fs::read_to_string(other.join("css/a.css")).unwrap(), "p{}");
    assert!(other != folder && !other.join("a.css").exists());
    for bad in [
        "{key: none, path: a}",
        "{key: a.css, path: ../a}",
        "{key: a.css, path: /a}",
        "{key: a.css, path: .}",
        "{key: a.css, path: a}, {key: index.html, path: ./a}",
        "{key: a.css, path: a}, {key: index.html, path: a/b}",
        "{key: a.css, path: a/b}, {key: index.html, path: a}",
    ] {
        let source = format!("{{configMapRef: {{name: site, items: [{bad}]}}}}");
        assert_eq!(place.code(&source).await, Code::SourceUnavailable, "{bad}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_object_is_read_again_in_its_turn_and_a_change_wakes_who_uses_it() {
    let place = Place::new();
    place.data.set(&config_map("site"), Some(data(&[("index.html", "1")])));
    let first = place.folder(SITE).await.unwrap();
    let mut changes = place.fetched.changes();
    let reading = tokio::spawn({
        let fetched = place.fetched.clone();
        async move { fetched.keep_reading().await }
    });
    sleep(DATA_AGE * 2).await;
    assert!(changes.next().now_or_never().is_none(), "nothing has changed");
    place.data.set(&config_map("site"), Some(data(&[("index.html", "2")])));
    assert_eq!(changes.next().await.unwrap().name, "a");
    let second = place.folder(SITE).await.unwrap();
    assert_ne!(first, second);
    assert_eq!(fs::read_to_string(second.join("index.html")).unwrap(), "2");
    place.fetched.forget(&ObjectKey { kind: crate::ports::Kind::Render, namespace: "n".into(), name: "a".into() });
    assert!(place.fetched.known().data.is_empty(), "who is gone has nothing read");
    reading.abort();
}

#[tokio::test]
async fn files_have_no_config_maps() {
    let folder = tempfile::tempdir().unwrap();
    let fetched = Fetched::new(folder.path().into(), Networks::default(), Arc::new(crate::ports::NoDataObjects));
    let place = Place { fetched, ..Place::new() };
    let SourceError::Unreadable(failure) = place.folder(SITE).await.unwrap_err() else { unreachable!() };
    assert!(failure.message.contains("ConfigMaps are objects of a cluster"), "{failure}");
}

#[tokio::test]
async fn a_download_is_begun_once_and_its_end_wakes_who_waits() {
    let place = Place::new();
    // Nobody listens there.
    let source = format!("{{archive: {{url: 'https://127.0.0.1:1/a.tar.gz?secret', sha256: '{}'}}}}", "0".repeat(64));
    let mut changes = place.fetched.changes();
    for _ in 0..2 {
        let SourceError::Coming(what) = place.folder(&source).await.unwrap_err() else { unreachable!() };
        assert_eq!(what, "https://127.0.0.1:1/a.tar.gz is being fetched");
    }
    assert_eq!(changes.next().await.unwrap().name, "a");
    assert_eq!(place.code(&source).await, Code::SourceUnavailable);
    let left: io::Result<Vec<_>> = std::fs::read_dir(place.folder.path().join("sources")).unwrap().collect();
    assert_eq!(left.unwrap().len(), 0, "nothing is left");
}

/// An object that may not be read is no reason to stop.
#[tokio::test]
async fn what_may_not_be_read_says_why() {
    struct Forbidden;
    #[async_trait::async_trait]
    impl DataObjects for Forbidden {
        async fn data(&self, _: &DataKey) -> Result<Option<Data>, Error> {
            Err(Error::Api { doing: "read it".into(), reason: "is forbidden".into(), class: Class::Terminal })
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let fetched = Fetched::new(folder.path().into(), Networks::default(), Arc::new(Forbidden));
    let place = Place { fetched, ..Place::new() };
    let SourceError::Unreadable(failure) = place.folder("{secretRef: {name: s}}").await.unwrap_err() else {
        unreachable!()
    };
    assert!(failure.message.contains("is forbidden"), "{failure}");
}
