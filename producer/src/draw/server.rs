//! The only host the browser can reach: it serves one folder under one constant origin and refuses everything else.
//!
//! The browser is told to use this server as its proxy for every address. So the origin is the same in every run and
//! on every machine (a page that shows its own address stays reproducible), and a composition can reach neither the
//! network nor other services of this machine.

use std::{net::Ipv4Addr, path::Path, thread};

use axum::{
    Router,
    extract::Request,
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
};
use tokio::{net::TcpListener, sync::oneshot};
use tower_http::services::ServeDir;

/// Where a composition lives. `.localhost` makes it a secure context, as `http://localhost` is.
pub(crate) const ORIGIN: &str = "http://composition.localhost/";
const HOST: &str = "composition.localhost";

/// A running server; it stops when dropped.
pub(crate) struct Server {
    port: u16,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Server {
    /// Serves `folder` on a free loopback port.
    pub(crate) fn start(folder: &Path) -> std::io::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let port = listener.local_addr()?.port();
        let app = Router::new().fallback_service(ServeDir::new(folder)).layer(middleware::from_fn(one_origin));
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

async fn one_origin(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let named = request.uri().host().or(host);
    if named != Some(HOST) {
        return (StatusCode::FORBIDDEN, "compositions have no network\n").into_response();
    }
    let mut response = next.run(request).await;
    // A file is read once and stays the same for the whole render.
    response.headers_mut().remove(header::LAST_MODIFIED);
    response.headers_mut().insert(header::CACHE_CONTROL, header::HeaderValue::from_static("max-age=86400"));
    response
}
