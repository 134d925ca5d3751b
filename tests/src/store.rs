//! A stand-in for S3 that tests and `make invoke` run beside the real function: the part of S3's protocol the function
//! speaks, path style, kept as files in a folder. It is stricter than S3 where the function promises something: bytes that
//! are sent must come with their SHA-256, plainly, and signed.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{DefaultBodyLimit, State},
    http::{HeaderMap, Method, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::{net::TcpListener, runtime::Runtime};

/// The running store. It ends when dropped; its objects stay in the folder.
pub struct Store {
    shared: Arc<Shared>,
    port: u16,
    _runtime: Runtime,
}

struct Shared {
    folder: PathBuf,
    state: Mutex<Log>,
}

#[derive(Default)]
struct Log {
    /// Every request, as `PUT bucket/key`.
    requests: Vec<String>,
    /// Requests of a method that are answered 503 before the next is served.
    busy: BTreeMap<String, u32>,
    uploads: u32,
}

/// What is said of an object.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct About {
    pub metadata: BTreeMap<String, String>,
    pub content_type: Option<String>,
}

impl Store {
    /// Serves what is in a folder, on a port of the loopback interface.
    pub fn start(folder: &Path) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let shared = Arc::new(Shared { folder: folder.to_owned(), state: Mutex::default() });
        let routes = Router::new().fallback(serve).layer(DefaultBodyLimit::disable()).with_state(Arc::clone(&shared));
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        runtime.spawn(async move { axum::serve(listener, routes).await });
        Self { shared, port, _runtime: runtime }
    }

    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// The bytes of `bucket/key`.
    pub fn get(&self, key: &str) -> Option<Vec<u8>> {
        fs::read(self.shared.object(key)).ok()
    }

    pub fn about(&self, key: &str) -> Option<About> {
        self.shared.about(key)
    }

    pub fn put(&self, key: &str, bytes: &[u8]) {
        self.shared.write(key, bytes, &About::default());
    }

    pub fn remove(&self, key: &str) {
        fs::remove_file(self.shared.object(key)).unwrap();
    }

    /// Every request so far; the log is empty afterwards.
    pub fn requests(&self) -> Vec<String> {
        std::mem::take(&mut self.shared.state.lock().unwrap().requests)
    }

    /// So many requests of a method are answered 503 from now on.
    pub fn be_busy(&self, method: &str, times: u32) {
        self.shared.state.lock().unwrap().busy.insert(method.to_owned(), times);
    }
}

impl Shared {
    fn object(&self, key: &str) -> PathBuf {
        self.folder.join("objects").join(key)
    }

    fn upload(&self, id: &str) -> PathBuf {
        self.folder.join("uploads").join(id)
    }

    fn about(&self, key: &str) -> Option<About> {
        self.object(key).is_file().then_some(())?;
        let text = fs::read(self.folder.join("about").join(key)).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write(&self, key: &str, bytes: &[u8], about: &About) {
        let said = serde_json::to_vec(about).unwrap();
        for (path, content) in [(self.folder.join("about").join(key), said.as_slice()), (self.object(key), bytes)] {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
    }

    /// Notes a request. Whether it is to be refused as too much.
    fn note(&self, method: &Method, key: &str) -> bool {
        let mut state = self.state.lock().unwrap();
        state.requests.push(format!("{method} {key}"));
        let left = state.busy.entry(method.to_string()).or_default();
        let busy = *left > 0;
        *left = left.saturating_sub(1);
        busy
    }
}

async fn serve(
    State(shared): State<Arc<Shared>>,
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let key = uri.path().trim_start_matches('/').to_owned();
    let query: BTreeMap<_, _> = uri
        .query()
        .unwrap_or_default()
        .split('&')
        .map(|pair| pair.split_once('=').unwrap_or((pair, "")))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    if shared.note(&method, &key) {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "SlowDown");
    }
    if !header(&headers, "authorization").is_some_and(|it| it.starts_with("AWS4-HMAC-SHA256 ")) {
        return refuse(StatusCode::FORBIDDEN, "AccessDenied");
    }
    if header(&headers, "content-encoding").is_some_and(|it| it.contains("aws-chunked")) {
        return refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented");
    }
    let upload = query.get("uploadId");
    match (method.as_str(), upload) {
        ("GET" | "HEAD", None) if query.contains_key("list-type") => list(&shared, &key, &query),
        ("GET" | "HEAD", None) => read(&shared, &key, method == Method::HEAD),
        ("PUT", None) => match checked(&headers, &body) {
            Ok(_) if exists(&shared, &key, &headers) => refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed"),
            Ok(etag) => {
                shared.write(&key, &body, &about(&headers));
                ([("etag", etag)], "").into_response()
            }
            Err(name) => refuse(StatusCode::BAD_REQUEST, name),
        },
        ("POST", None) if query.contains_key("uploads") => begin(&shared, &headers),
        ("PUT", Some(id)) => match checked(&headers, &body) {
            Ok(_) if !shared.upload(id).is_dir() => refuse(StatusCode::NOT_FOUND, "NoSuchUpload"),
            Ok(etag) => {
                let number: u32 = query["partNumber"].parse().unwrap();
                fs::write(shared.upload(id).join(format!("{number:05}")), &body).unwrap();
                ([("etag", etag)], "").into_response()
            }
            Err(name) => refuse(StatusCode::BAD_REQUEST, name),
        },
        ("POST", Some(id)) => complete(&shared, &key, id, &headers, &body),
        ("DELETE", Some(id)) => {
            let _ = fs::remove_dir_all(shared.upload(id));
            StatusCode::NO_CONTENT.into_response()
        }
        _ => refuse(StatusCode::NOT_IMPLEMENTED, "NotImplemented"),
    }
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

fn about(headers: &HeaderMap) -> About {
    let metadata = headers.iter().filter_map(|(name, value)| {
        Some((name.as_str().strip_prefix("x-amz-meta-")?.to_owned(), value.to_str().ok()?.to_owned()))
    });
    About { metadata: metadata.collect(), content_type: header(headers, "content-type").map(str::to_owned) }
}

fn exists(shared: &Shared, key: &str, headers: &HeaderMap) -> bool {
    header(headers, "if-none-match") == Some("*") && shared.object(key).exists()
}

/// The ETag of bytes that came with their digest, or what S3 calls it when they did not.
fn checked(headers: &HeaderMap, body: &[u8]) -> Result<String, &'static str> {
    let digest = Sha256::digest(body);
    match header(headers, "x-amz-checksum-sha256") {
        None => Err("MissingDigest"),
        Some(named) if named != BASE64_STANDARD.encode(digest) => Err("BadDigest"),
        Some(_) => Ok(format!("\"{}\"", hex::encode(digest))),
    }
}

fn read(shared: &Shared, key: &str, head: bool) -> Response {
    let Some(about) = shared.about(key) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchKey");
    };
    let bytes = fs::read(shared.object(key)).unwrap();
    let mut response = Response::builder().header("content-length", bytes.len()).header("etag", "\"object\"");
    for (name, value) in &about.metadata {
        response = response.header(format!("x-amz-meta-{name}"), value);
    }
    if let Some(kind) = &about.content_type {
        response = response.header("content-type", kind);
    }
    response.body(if head { Body::empty() } else { bytes.into() }).unwrap()
}

fn list(shared: &Shared, bucket: &str, query: &BTreeMap<String, String>) -> Response {
    let prefix = query.get("prefix").map(|prefix| prefix.replace("%2F", "/")).unwrap_or_default();
    let mut keys = Vec::new();
    let root = shared.object(bucket.trim_end_matches('/'));
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path => keys.push(path.strip_prefix(&root).unwrap().display().to_string()),
            }
        }
    }
    keys.retain(|key| key.starts_with(&prefix));
    keys.sort();
    let contents: String = keys.iter().map(|key| format!("<Contents><Key>{key}</Key></Contents>")).collect();
    let count = keys.len();
    xml(&format!(
        "<ListBucketResult><KeyCount>{count}</KeyCount><IsTruncated>false</IsTruncated>{contents}</ListBucketResult>"
    ))
}

fn begin(shared: &Shared, headers: &HeaderMap) -> Response {
    if header(headers, "x-amz-checksum-algorithm") != Some("SHA256") {
        return refuse(StatusCode::BAD_REQUEST, "MissingDigest");
    }
    let id = {
        let mut state = shared.state.lock().unwrap();
        state.uploads += 1;
        format!("upload-{}-{}", std::process::id(), state.uploads)
    };
    fs::create_dir_all(shared.upload(&id)).unwrap();
    fs::write(shared.upload(&id).join("about"), serde_json::to_vec(&about(headers)).unwrap()).unwrap();
    xml(&format!("<InitiateMultipartUploadResult><UploadId>{id}</UploadId></InitiateMultipartUploadResult>"))
}

fn complete(shared: &Shared, key: &str, id: &str, headers: &HeaderMap, body: &[u8]) -> Response {
    let folder = shared.upload(id);
    let Ok(said) = fs::read(folder.join("about")) else {
        return refuse(StatusCode::NOT_FOUND, "NoSuchUpload");
    };
    if exists(shared, key, headers) {
        return refuse(StatusCode::PRECONDITION_FAILED, "PreconditionFailed");
    }
    let mut parts: Vec<_> = fs::read_dir(&folder).unwrap().flatten().map(|entry| entry.path()).collect();
    parts.retain(|path| !path.ends_with("about"));
    parts.sort();
    let listed = String::from_utf8_lossy(body);
    let digest =
        |bytes: &[u8]| format!("<ChecksumSHA256>{}</ChecksumSHA256>", BASE64_STANDARD.encode(Sha256::digest(bytes)));
    let parts: Vec<_> = parts.iter().map(|path| fs::read(path).unwrap()).collect();
    let last = parts.len().saturating_sub(1);
    if parts[..last].iter().any(|part| part.len() < 5 << 20) {
        return refuse(StatusCode::BAD_REQUEST, "EntityTooSmall");
    }
    if listed.matches("<Part>").count() != parts.len() || !parts.iter().all(|part| listed.contains(&digest(part))) {
        return refuse(StatusCode::BAD_REQUEST, "InvalidPart");
    }
    shared.write(key, &parts.concat(), &serde_json::from_slice(&said).unwrap());
    fs::remove_dir_all(folder).unwrap();
    xml("<CompleteMultipartUploadResult><ETag>\"object\"</ETag></CompleteMultipartUploadResult>")
}

fn xml(text: &str) -> Response {
    ([("content-type", "application/xml")], format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n{text}"))
        .into_response()
}

fn refuse(status: StatusCode, code: &str) -> Response {
    (status, xml(&format!("<Error><Code>{code}</Code><Message>{code}</Message></Error>"))).into_response()
}
