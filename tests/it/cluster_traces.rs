use std::collections::HashMap;

use nix::sys::signal::Signal;
use tests::{
    cluster::Stage,
    collector::{Collector, Sent},
    fixture::SECOND,
};

const OPERATOR: &str = "instant-producer";
const SITE: &str = "{source: {path: site}, output: {quality: draft}}";
/// `STATUS_CODE_ERROR` of OTLP.
const ERROR: i32 = 2;

/// The span that is around a span, if it was sent.
fn around<'a>(spans: &'a HashMap<Vec<u8>, Sent>, sent: &Sent) -> Option<&'a Sent> {
    spans.get(&sent.span.parent_span_id)
}

fn named<'a>(spans: &'a HashMap<Vec<u8>, Sent>, name: &str) -> Vec<&'a Sent> {
    spans.values().filter(|sent| sent.span.name == name).collect()
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn looks_and_attempts_are_traced_down_to_each_request() {
    let (stage, collector) = (Stage::new("traced"), Collector::start());
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let operator = stage.operator(OPERATOR).env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint());
    let operator = operator.env("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test").start();
    stage.apply("Render", "one", SITE);
    stage.wait_for_reason("one", "Completed");
    operator.process.signal(Signal::SIGTERM);
    assert_eq!(operator.process.end(), Some(0));

    let spans = collector.spans();
    assert!(spans.values().all(|sent| sent.service == "hf-operator"), "{spans:#?}");
    let looks = named(&spans, "look");
    let of_render = |sent: &&&Sent| sent.attribute("object.name").as_deref() == Some("one");
    assert!(looks.iter().filter(of_render).count() > 2, "{looks:#?}");
    let writes = named(&spans, "write");
    let request = spans.values().find(|sent| {
        let status = sent.attribute("http.url").is_some_and(|url| url.contains("/renders/one/status"));
        status && sent.attribute("http.status_code").as_deref() == Some("200")
    });
    let write = around(&spans, request.expect("the request that writes the status")).unwrap();
    assert!(writes.iter().any(|known| known.span.span_id == write.span.span_id), "{write:#?}");
    assert_eq!(around(&spans, write).unwrap().span.name, "look");
    let [attempt] = named(&spans, "attempt")[..] else { panic!("one attempt: {spans:#?}") };
    assert!(attempt.span.parent_span_id.is_empty() && attempt.attribute("attempt").unwrap().contains("-1-"));
    for step in ["plan", "lock", "chunk", "assemble"] {
        let steps = named(&spans, step);
        assert!(
            !steps.is_empty() && steps.iter().all(|sent| around(&spans, sent).unwrap().span == attempt.span),
            "{step}"
        );
    }
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_look_that_failed_is_an_error_of_its_span() {
    let (stage, collector) = (Stage::new("mistraced"), Collector::start());
    let kubeconfig = stage.of_a_service_account(
        "operator",
        &[
            "get,list,watch,patch renders.hyperframes.io,hyperframesstacks.hyperframes.io",
            "get,create,update leases.coordination.k8s.io",
        ],
    );
    let operator = stage.operator(OPERATOR).env("KUBECONFIG", kubeconfig);
    let mut operator = operator.env("OTEL_EXPORTER_OTLP_ENDPOINT", collector.endpoint()).start();
    operator.wait_for("cannot write the status of HyperframesStack mistraced/local");
    operator.process.signal(Signal::SIGTERM);
    operator.process.end();
    let spans = collector.spans();
    let failed = named(&spans, "look").into_iter().filter_map(|sent| sent.span.status.clone());
    let failed: Vec<_> = failed.filter(|status| status.code == ERROR).collect();
    assert!(!failed.is_empty() && failed.iter().all(|status| status.message.contains("is forbidden")), "{failed:#?}");
}

#[test]
#[ignore = "needs a Kubernetes API server"]
fn a_collector_that_is_not_there_is_told_of_and_keeps_nobody() {
    let stage = Stage::new("untraced");
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    let mut operator = stage.operator(OPERATOR).env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9").start();
    stage.apply("Render", "one", SITE);
    stage.wait_for_reason("one", "Completed");
    operator.wait_for("ExportError");
    operator.process.signal(Signal::SIGTERM);
    assert_eq!(operator.process.end(), Some(0));
}
