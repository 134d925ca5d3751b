//! The only host the browser can reach: it serves one folder under one constant origin and refuses everything else.
//!
//! The browser is told to use this server as its proxy for every address. So the origin is the same in every run and
//! on every machine (a page that shows its own address stays reproducible), and a composition can reach neither the
//! network nor other services of this machine.

use std::{
    collections::HashMap,
    net::Ipv4Addr,
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use axum::{
    Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::get,
};
use bytes::Bytes;
use tokio::{net::TcpListener, sync::oneshot};
use tower_http::services::ServeDir;
use tracing::debug;

/// Where a composition lives. `.localhost` makes it a secure context, as `http://localhost` is.
pub(crate) const ORIGIN: &str = "http://composition.localhost/";
const HOST: &str = "composition.localhost";

/// Where the pictures are that videos show.
const FRAMES: &str = "/__hf/frame/";

/// The address of a picture of a video, named by its time, in a page.
pub(crate) fn frame_address(video: u32, time: i64) -> String {
    format!("{FRAMES}{video}/{time}.bmp")
}

/// Whether an address is that of a picture of a video: whoever loads one waits for it.
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
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `folder` and the pictures of videos on a free loopback port.
    pub(crate) fn start(folder: &Path, frames: Frames) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let app = Router::new()
            .route(&format!("{FRAMES}{{*picture}}"), get(frame).with_state(frames))
            .fallback_service(ServeDir::new(folder))
            .layer(middleware::from_fn(one_origin));
        let (stop, stopped) = oneshot::channel();
        let serve = move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = axum::serve(listener, app) => {}
                    _ = stopped => {}
                }
            });
        };
        let thread = thread::Builder::new().name("server".to_owned()).spawn(serve)?;
        Ok(Self { port, stop: Some(stop), thread: Some(thread) })
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
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

async fn frame(State(frames): State<Frames>, request: Request) -> Response {
    debug!(picture = request.uri().path(), "asked for");
    match frames.get(request.uri().path()) {
        // Shown once, and by then decoded.
        Some(picture) => {
            ([(header::CONTENT_TYPE, "image/bmp"), (header::CACHE_CONTROL, "no-store")], picture).into_response()
        }
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn one_origin(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = request.uri().host().or(host);
    if named != Some(HOST) {
        return (StatusCode::FORBIDDEN, "compositions have no network\n").into_response();
    }
    // Media are never loaded by a page: their pictures come from the producer.
    let wanted_for = request.headers().get("sec-fetch-dest").map(header::HeaderValue::as_bytes);
    if let Some(b"audio" | b"video" | b"track") = wanted_for {
        return StatusCode::NO_CONTENT.into_response();
    }
    let mut response = next.run(request).await;
    if response.headers().contains_key(header::CACHE_CONTROL) {
        return response;
    }
    // A file is read once and stays the same for the whole render.
    response.headers_mut().remove(header::LAST_MODIFIED);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("max-age=86400"));
    response
}
