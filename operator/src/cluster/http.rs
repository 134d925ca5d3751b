//! What Kubernetes and Prometheus ask this process.

use std::sync::Arc;

use axum::{
    Router,
    extract::State,
    http::{StatusCode, header::CONTENT_TYPE},
    response::IntoResponse,
    routing::get,
};
use tokio::net::TcpListener;

use super::vitals::Vitals;
use crate::store::kube::KubeStore;

/// What answers are made from.
#[derive(Clone)]
pub(super) struct Answers {
    pub(super) vitals: Arc<Vitals>,
    pub(super) store: KubeStore,
}

/// Answers until an error.
pub(super) async fn serve(listener: TcpListener, answers: Answers) -> std::io::Result<()> {
    let router = Router::new()
        .route("/healthz", get(|State(answers): State<Answers>| async move { verdict(&answers.vitals.troubles()) }))
        .route("/readyz", get(|State(answers): State<Answers>| async move { verdict(&answers.store.waits_for()) }))
        .route("/metrics", get(metrics));
    axum::serve(listener, router.with_state(answers)).await
}

fn verdict(troubles: &[String]) -> (StatusCode, String) {
    match troubles {
        [] => (StatusCode::OK, "ok\n".to_owned()),
        _ => (StatusCode::SERVICE_UNAVAILABLE, troubles.join("\n") + "\n"),
    }
}

async fn metrics(State(answers): State<Answers>) -> impl IntoResponse {
    let text = answers.vitals.text(answers.store.renders_by_state());
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text)
}
