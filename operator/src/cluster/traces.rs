//! Traces: what a look at an object, or an attempt, was made of, and how long each part of it took. They are sent by OTLP over HTTP
//! where the environment names a collector; everything else of them is configured by OpenTelemetry's own variables.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use axum::http::{Request, Response};
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tokio::runtime::Handle;
use tracing::{Subscriber, warn};
use tracing_subscriber::{EnvFilter, Layer, registry::LookupSpan};

use super::settings::{Collector, wrong};
use crate::{error::Error, files::blocking};

/// What a trace is made of: our own steps, and requests to API servers of Kubernetes and AWS.
const TRACED: &str = "off,operator=debug,kube_client::client::builder=debug,\
    aws_sdk_cloudformation=debug,aws_sdk_s3=debug,aws_sdk_sfn=debug,aws_sdk_sts=debug";
/// The name unless `OTEL_SERVICE_NAME` or `OTEL_RESOURCE_ATTRIBUTES` gives another.
const SERVICE: &str = "hf-operator";
/// The most of an answer that is read.
const LARGEST_ANSWER: usize = 1 << 20;
/// How long what is not sent yet may keep the process from ending.
const FLUSH: Duration = Duration::from_secs(2);

/// Traces on their way to a collector.
pub(super) struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends over the event loop of this thread, from a thread of its own.
    ///
    /// # Errors
    /// When what the environment says of the collector makes no sense.
    pub(super) fn start(collector: &Collector) -> Result<Self, Error> {
        let bad = |reason: String| wrong(collector.variable, reason);
        let client = OnLoop::new().map_err(|error| bad(error.to_string()))?;
        let exporter = SpanExporter::builder().with_http().with_http_client(client).with_protocol(Protocol::HttpBinary);
        let exporter = exporter.build().map_err(|error| bad(error.to_string()))?;
        let resource = Resource::builder();
        let resource = if collector.service_named { resource } else { resource.with_service_name(SERVICE) };
        let provider = SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource.build());
        Ok(Self(provider.build()))
    }

    /// What takes the spans in.
    pub(super) fn layer<S: Subscriber + for<'a> LookupSpan<'a>>(&self) -> impl Layer<S> {
        let tracer = self.0.tracer(SERVICE);
        let layer = tracing_opentelemetry::layer().with_tracer(tracer).with_location(false).with_threads(false);
        layer.with_filter(EnvFilter::new(TRACED))
    }

    /// Sends what is left.
    pub(super) async fn end(self) {
        if let Err(error) = blocking(move || self.0.shutdown_with_timeout(FLUSH)).await {
            warn!(%error, "the last traces could not be sent");
        }
    }
}

/// A connection that lives on our event loop, for senders that have none.
struct OnLoop {
    runtime: Handle,
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
}

impl OnLoop {
    fn new() -> std::io::Result<Self> {
        let connector = HttpsConnectorBuilder::new().with_native_roots()?.https_or_http().enable_http1().build();
        Ok(Self { runtime: Handle::current(), client: Client::builder(TokioExecutor::new()).build(connector) })
    }
}

impl fmt::Debug for OnLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OnLoop").finish_non_exhaustive()
    }
}

#[async_trait]
impl HttpClient for OnLoop {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.client.request(request.map(Full::new));
        let answer = async move {
            let (parts, body) = answer.await?.into_parts();
            let body = Limited::new(body, LARGEST_ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        self.runtime.spawn(answer).await?
    }
}
