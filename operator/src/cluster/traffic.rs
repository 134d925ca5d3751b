//! Every request to the API server: each has a deadline and is counted, and lists and watches show that we still ask.

use std::{
    sync::Arc,
    task::{self, Poll},
    time::Duration,
};

use axum::http::{Method, Request, Response};
use crds::{HyperframesStack, Render};
use futures::future::BoxFuture;
use kube::Resource as _;
use tokio::time::timeout;
use tower::{BoxError, Layer, Service};

use super::vitals::Vitals;

/// How long an answer may be waited for; for a watch, its beginning.
const DEADLINE: Duration = Duration::from_secs(30);

/// Puts [`Traffic`] around a connection.
#[derive(Clone)]
pub(super) struct TrafficLayer(pub(super) Arc<Vitals>);

/// A connection, watched.
#[derive(Clone)]
pub(super) struct Traffic<S> {
    inner: S,
    vitals: Arc<Vitals>,
}

impl<S> Layer<S> for TrafficLayer {
    type Service = Traffic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Traffic { inner, vitals: Arc::clone(&self.0) }
    }
}

impl<S, B, R> Service<Request<B>> for Traffic<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: Into<BoxError>,
    S::Future: Send + 'static,
{
    type Response = Response<R>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut task::Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let path = request.uri().path();
        let verb = verb(request.method(), path, request.uri().query().unwrap_or_default());
        if verb == "list" || verb == "watch" {
            self.vitals.watch_asked_for(path);
        }
        let (answer, vitals) = (self.inner.call(request), Arc::clone(&self.vitals));
        Box::pin(async move {
            let answer = match timeout(DEADLINE, answer).await {
                Ok(answer) => answer.map_err(Into::into),
                Err(_) => Err(format!("no answer from the API server within {} s", DEADLINE.as_secs()).into()),
            };
            let outcome =
                answer.as_ref().map_or_else(|_| "none".to_owned(), |answer| answer.status().as_str().to_owned());
            vitals.requested(verb, outcome);
            answer
        })
    }
}

/// Kubernetes' name of what a request does.
fn verb(method: &Method, path: &str, query: &str) -> &'static str {
    let is_collection = || {
        [Render::plural(&()), HyperframesStack::plural(&())].iter().any(|plural| path.ends_with(&format!("/{plural}")))
    };
    match *method {
        Method::GET if query.split('&').any(|pair| pair == "watch=true") => "watch",
        Method::GET if is_collection() => "list",
        Method::GET => "get",
        Method::POST => "create",
        Method::PUT => "update",
        Method::PATCH => "patch",
        Method::DELETE => "delete",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_have_kubernetes_names() {
        let group = "/apis/hyperframes.io/v1alpha1";
        for (method, path, query, expected) in [
            (Method::GET, format!("{group}/renders"), "&watch=true&timeoutSeconds=290", "watch"),
            (Method::GET, format!("{group}/namespaces/n/renders"), "limit=500", "list"),
            (Method::GET, format!("{group}/namespaces/n/renders/one"), "", "get"),
            (Method::PATCH, format!("{group}/namespaces/n/renders/one/status"), "", "patch"),
            (Method::PUT, "/apis/coordination.k8s.io/v1/namespaces/n/leases/l".to_owned(), "", "update"),
        ] {
            assert_eq!(verb(&method, &path, query), expected, "{path}");
        }
    }
}
