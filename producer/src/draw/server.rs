//! The only host the browser can reach: it serves one folder under one constant origin, what the plan recorded of other
//! addresses under theirs, and refuses everything else.
//!
//! The browser is told to use this server as its proxy for every address. So the origin is the same in every run and
//! on every machine (a page that shows its own address stays reproducible), and a composition can reach neither the
//! network nor other services of this machine. For `https` the server answers as whoever is asked for, with a certificate
//! that this browser alone takes for everybody's.

use std::{
    collections::HashMap,
    convert::Infallible,
    io,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::Duration,
};

use axum::body::Body;
use base64::Engine as _;
use bytes::Bytes;
use hyper::{
    HeaderMap, Method, Request, Response, StatusCode, Uri,
    body::Incoming,
    header::{self, HeaderName, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use rcgen::PublicKeyData as _;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpListener,
    sync::{Notify, oneshot},
    time::timeout,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, crypto::aws_lc_rs, pki_types::PrivateKeyDer},
};
use tower::ServiceExt as _;
use tower_http::services::ServeDir;
use tracing::debug;
use url::Url;

use crate::remote::{Answer, Remote};

/// Where a composition lives. `.localhost` makes it a secure context, as `http://localhost` is.
pub(crate) const ORIGIN: &str = "http://composition.localhost/";
const HOST: &str = "composition.localhost";

/// Where the pictures are that videos show.
const FRAMES: &str = "/__hf/frame/";

/// A script that is kept back from the document that asks for it until the document says so. Its query is the document's own.
pub(crate) const HELD: &str = "/__hf/held.js";
/// The longest it is kept back.
const LONGEST_HOLD: Duration = Duration::from_secs(5);
/// So many documents may say that they go on before they have asked.
const MOST_RELEASED: usize = 64;

/// The address of a picture of a video, named by its time, in a page.
pub(crate) fn frame_address(video: u32, time: i64) -> String {
    format!("{FRAMES}{video}/{time}.png")
}

/// The address of something that sound is made of while planning.
pub(crate) fn sound_address(name: &str) -> String {
    format!("{FRAMES}sound/{name}")
}

/// Whether an address is one of these: whoever loads one waits for it.
pub(crate) fn is_frame(url: &str) -> bool {
    url.strip_prefix(ORIGIN).is_some_and(|path| path.starts_with(&FRAMES[1..]))
}

/// The pictures that a page may ask for, by their addresses.
#[derive(Clone, Default)]
pub(crate) struct Frames(Arc<Mutex<HashMap<String, Bytes>>>);

impl Frames {
    /// Puts in new pictures, and keeps of the others only those that are wanted.
    pub(crate) fn put(&self, new: Vec<(String, Bytes)>, wanted: impl Fn(&str) -> bool) {
        let mut frames = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        frames.retain(|address, _| wanted(address));
        frames.extend(new);
    }

    fn get(&self, address: &str) -> Option<Bytes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned()
    }
}

/// A running server; it stops when dropped.
pub(crate) struct Server {
    port: u16,
    key_digest: String,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `folder`, what `remote` has and the pictures of videos, on a free loopback port.
    pub(crate) fn start(folder: &Path, remote: Arc<Remote>, frames: Frames) -> io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let (tls, key_digest) = certified().map_err(io::Error::other)?;
        let site = Arc::new(Site { files: ServeDir::new(folder), remote, frames, tls, held: Mutex::default() });
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    () = accept(&listener, &site) => {}
                    _ = stopped => {}
                }
            });
            // What is being fetched is of no use any more.
            runtime.shutdown_background();
        };
        let thread = thread::Builder::new().name("server".to_owned()).spawn(serve)?;
        Ok(Self { port, key_digest, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// SHA-256 of its public key in base64, as browsers name keys (RFC 7469).
    pub(crate) fn key_digest(&self) -> &str {
        &self.key_digest
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A key of this server's own, and its digest.
fn certified() -> Result<(TlsAcceptor, String), Box<dyn std::error::Error + Send + Sync>> {
    let own = rcgen::generate_simple_self_signed([HOST.to_owned()])?;
    let digest = Sha256::digest(own.signing_key.subject_public_key_info());
    let key = PrivateKeyDer::Pkcs8(own.signing_key.serialize_der().into());
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions()?.with_no_client_auth();
    let config = config.with_single_cert(vec![own.cert.der().clone()], key)?;
    Ok((TlsAcceptor::from(Arc::new(config)), base64::engine::general_purpose::STANDARD.encode(digest)))
}

/// What is served.
struct Site {
    files: ServeDir,
    remote: Arc<Remote>,
    frames: Frames,
    tls: TlsAcceptor,
    /// Documents that wait, or need not wait any more.
    held: Mutex<HashMap<String, Arc<Notify>>>,
}

async fn accept(listener: &TcpListener, site: &Arc<Site>) {
    loop {
        // Out of descriptors, say; the browser tries again.
        let Ok((stream, _)) = listener.accept().await else { continue };
        let site = Arc::clone(site);
        tokio::spawn(async move { serve(stream, &site, None).await });
    }
}

/// Answers what comes over a connection. `authority`: whom all of it is for, where the connection says so.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    site: &Arc<Site>,
    authority: Option<String>,
) {
    let answer = service_fn(|request| {
        let (site, authority) = (Arc::clone(site), authority.clone());
        async move { Ok::<_, Infallible>(answer(&site, authority.as_deref(), request).await) }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), answer).with_upgrades().await;
}

async fn answer(site: &Arc<Site>, authority: Option<&str>, request: Request<Incoming>) -> Response<Body> {
    if request.method() == Method::CONNECT {
        return tunnel(site, request);
    }
    // Media are never loaded by a page: their pictures come from the producer.
    let wanted_for = request.headers().get("sec-fetch-dest").map(HeaderValue::as_bytes);
    if let Some(b"audio" | b"video" | b"track") = wanted_for {
        return empty(StatusCode::NO_CONTENT);
    }
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = request.uri().authority().map(hyper::http::uri::Authority::as_str).or(host).unwrap_or_default();
    let (scheme, named) = authority.map_or(("http", named), |authority| ("https", authority));
    if scheme == "http" && named == HOST {
        if request.uri().path() == HELD {
            return held(site, &request).await;
        }
        if request.uri().path().starts_with(FRAMES) {
            return frame(site, request.uri().path());
        }
        let mut response = file(site, request).await;
        settle(response.headers_mut());
        say_encoding(response.headers_mut());
        return response;
    }
    let path = request.uri().path_and_query().map_or("/", hyper::http::uri::PathAndQuery::as_str);
    match Url::parse(&format!("{scheme}://{named}{path}")) {
        Ok(url) => elsewhere(site, &url, request).await,
        Err(_) => refuse("this is no address"),
    }
}

/// Answers who asks for the script that is kept back, and who says that it need not be any more.
async fn held(site: &Site, request: &Request<Incoming>) -> Response<Body> {
    let document = request.uri().query().unwrap_or_default().to_owned();
    let released = {
        let mut held = site.held.lock().unwrap_or_else(PoisonError::into_inner);
        if held.len() >= MOST_RELEASED {
            held.clear();
        }
        Arc::clone(held.entry(document.clone()).or_default())
    };
    if request.method() == Method::POST {
        released.notify_one();
        return empty(StatusCode::NO_CONTENT);
    }
    if timeout(LONGEST_HOLD, released.notified()).await.is_err() {
        debug!(document, "not released in time");
    }
    site.held.lock().unwrap_or_else(PoisonError::into_inner).remove(&document);
    // Scripts find elements by what is beside them.
    let mut response = Response::new(Body::from("document.currentScript.remove()"));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// The picture of a video. It is shown once, and by then decoded.
fn frame(site: &Site, path: &str) -> Response<Body> {
    debug!(picture = path, "asked for");
    let Some(picture) = site.frames.get(path) else { return empty(StatusCode::NOT_FOUND) };
    let mut response = Response::new(Body::from(picture));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("image/png"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn empty(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// What follows is in TLS, for one host.
fn tunnel(site: &Arc<Site>, request: Request<Incoming>) -> Response<Body> {
    let authority = request.uri().authority().map(ToString::to_string).unwrap_or_default();
    let site = Arc::clone(site);
    tokio::spawn(async move {
        let Ok(upgraded) = hyper::upgrade::on(request).await else { return };
        // Whoever speaks something else in here, as a socket may, is not understood.
        let Ok(stream) = site.tls.accept(TokioIo::new(upgraded)).await else { return };
        Box::pin(serve(stream, &site, Some(authority))).await;
    });
    Response::new(Body::empty())
}

/// What is under an address that is not the composition's.
async fn elsewhere(site: &Site, url: &Url, mut request: Request<Incoming>) -> Response<Body> {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let mut response = if request.method() == Method::OPTIONS {
        Response::new(Body::empty())
    } else if ![Method::GET, Method::HEAD].contains(request.method()) || request.headers().contains_key(header::UPGRADE)
    {
        refuse("compositions send nothing")
    } else {
        match site.remote.answer(url).await {
            Ok(Answer::File { file: path, kind }) => {
                *request.uri_mut() = Uri::try_from(format!("/{path}")).unwrap_or_default();
                let mut response = file(site, request).await;
                if let (true, Ok(kind)) = (response.status().is_success(), HeaderValue::try_from(kind)) {
                    response.headers_mut().insert(header::CONTENT_TYPE, kind);
                }
                response
            }
            Ok(Answer::At { location }) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::FOUND;
                response.headers_mut().extend(HeaderValue::try_from(location).map(|to| (header::LOCATION, to)));
                response
            }
            Err(failure) => refuse(&failure.message),
        }
    };
    settle(response.headers_mut());
    share(response.headers_mut(), origin);
    response
}

async fn file(site: &Site, request: Request<Incoming>) -> Response<Body> {
    let answer = site.files.clone().oneshot(request).await;
    answer.unwrap_or_else(|never| match never {}).map(Body::new)
}

fn refuse(why: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!("{why}\n")));
    *response.status_mut() = StatusCode::FORBIDDEN;
    response
}

/// A project's text is UTF-8 (upstream's server says so too), whether or not a document says it.
fn say_encoding(headers: &mut HeaderMap) {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    if kind.starts_with("text/")
        && !kind.contains("charset")
        && let Ok(kind) = HeaderValue::try_from(format!("{kind}; charset=utf-8"))
    {
        headers.insert(header::CONTENT_TYPE, kind);
    }
}

/// A file is read once and stays the same for the whole render.
fn settle(headers: &mut HeaderMap) {
    headers.remove(header::LAST_MODIFIED);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("max-age=86400"));
}

/// All that a plan has is the composition's own, wherever it came from: scripts may look into it.
fn share(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin"));
    headers.insert(HeaderName::from_static("timing-allow-origin"), HeaderValue::from_static("*"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
}
