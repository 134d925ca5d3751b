//! A collector of traces, which keeps what it gets.

use std::{
    collections::HashMap,
    net::TcpListener,
    sync::{Arc, Mutex},
    thread,
};

use axum::{Router, body::Bytes, http::header::CONTENT_TYPE, response::IntoResponse as _, routing::post};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{KeyValue, any_value::Value},
    trace::v1::Span,
};
use prost::Message as _;

/// A span as it came, with the name of the service that sent it.
#[derive(Clone, Debug)]
pub struct Sent {
    pub service: String,
    pub span: Span,
}

impl Sent {
    /// An attribute that is a text, or a number as text.
    pub fn attribute(&self, key: &str) -> Option<String> {
        attribute(&self.span.attributes, key)
    }
}

fn attribute(attributes: &[KeyValue], key: &str) -> Option<String> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        Value::StringValue(text) => Some(text.clone()),
        Value::IntValue(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The collector. It ends with the process.
pub struct Collector {
    port: u16,
    sent: Arc<Mutex<Vec<Sent>>>,
}

impl Collector {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let (port, sent) = (listener.local_addr().unwrap().port(), Arc::<Mutex<Vec<Sent>>>::default());
        let kept = Arc::clone(&sent);
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            let take = move |body: Bytes| {
                kept.lock().unwrap().extend(read(&body));
                async { ([(CONTENT_TYPE, "application/x-protobuf")], Bytes::new()).into_response() }
            };
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().route("/v1/traces", post(take))).await.unwrap();
            });
        });
        Self { port, sent }
    }

    /// What `OTEL_EXPORTER_OTLP_ENDPOINT` is set to.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Every span so far, by its id.
    pub fn spans(&self) -> HashMap<Vec<u8>, Sent> {
        let sent = self.sent.lock().unwrap();
        sent.iter().map(|sent| (sent.span.span_id.clone(), sent.clone())).collect()
    }
}

fn read(body: &[u8]) -> Vec<Sent> {
    let request = ExportTraceServiceRequest::decode(body).expect("what OTLP calls a request");
    let resources = request.resource_spans.into_iter().flat_map(|all| {
        let attributes = all.resource.unwrap_or_default().attributes;
        let service = attribute(&attributes, "service.name").unwrap_or_default();
        let spans = all.scope_spans.into_iter().flat_map(|scope| scope.spans);
        spans.map(move |span| Sent { service: service.clone(), span }).collect::<Vec<_>>()
    });
    resources.collect()
}
