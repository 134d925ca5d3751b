//! Stands between an operator and its API server: it sees every call, and may lose, refuse or repeat what goes through it.

use std::{
    collections::HashMap,
    io,
    net::TcpListener,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

use axum::{
    Router,
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    http::{Method, StatusCode, header},
    response::{IntoResponse as _, Response},
};
use futures::{AsyncBufReadExt as _, StreamExt as _, TryStreamExt as _, stream};
use kube::Client;
use serde_json::{Value, json};
use tokio::{sync::watch, time::sleep};

use crate::{cluster::Stage, objects::client};

/// Larger than any object.
const LARGEST: usize = 8 << 20;
/// How late a watch that repeats tells of anything.
const LATE: Duration = Duration::from_millis(100);

/// What becomes of one call, after which the proxy tells of it and does no more harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It never reaches the API server, and there is no answer.
    Lost,
    /// The API server does as it is told, and there is no answer.
    Unanswered,
    /// The API server does as it is told, and the connection ends in the middle of the answer.
    CutShort,
    /// It is refused, as by an API server that begins or ends.
    Refused,
}

/// A proxy. It ends with the process of the tests.
pub struct Proxy {
    /// A configuration that leads through it.
    pub kubeconfig: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    client: Client,
    plan: Mutex<Plan>,
    repeats: bool,
    /// Whether watches tell nothing for now.
    muted: AtomicBool,
    /// Counts how often all watches were ended.
    expired: watch::Sender<u32>,
}

/// What is to happen to calls, but for lists and watches.
#[derive(Default)]
struct Plan {
    calls: Vec<String>,
    fault: Option<(usize, Fault, Sender<()>)>,
}

impl Proxy {
    /// One in front of a stage's API server, as its administrator.
    pub fn new(stage: &Stage) -> Self {
        Self::start(stage, false)
    }

    /// One that tells of everything that happens twice, and of the version before once more, late.
    pub fn that_repeats(stage: &Stage) -> Self {
        Self::start(stage, true)
    }

    fn start(stage: &Stage, repeats: bool) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let kubeconfig = stage.folder.write(
            &format!("proxy-{}", address.port()),
            &format!(
                "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
                 clusters: [{{name: a, cluster: {{server: \"http://{address}\"}}}}]\nusers: [{{name: a, user: {{}}}}]\n"
            ),
        );
        let (sender, shared) = channel();
        let upstream = stage.cluster.kubeconfig();
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let client = client(&upstream).await;
                let shared = Arc::new(Shared {
                    client,
                    plan: Mutex::default(),
                    repeats,
                    muted: AtomicBool::new(false),
                    expired: watch::Sender::new(0),
                });
                sender.send(Arc::clone(&shared)).unwrap();
                listener.set_nonblocking(true).unwrap();
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, Router::new().fallback(pass).with_state(shared)).await.unwrap();
            });
        });
        Self { kubeconfig, shared: shared.recv().unwrap() }
    }

    /// Forgets the calls so far; the `number`-th from now on, from 1, has this fault. What is returned hears of it.
    pub fn plan(&self, number: usize, fault: Fault) -> Receiver<()> {
        let (sender, receiver) = channel();
        *self.shared.plan.lock().unwrap() = Plan { calls: Vec::new(), fault: Some((number, fault, sender)) };
        receiver
    }

    /// From now on watches tell nothing of what happens.
    pub fn mute(&self) {
        self.shared.muted.store(true, Ordering::Relaxed);
    }

    /// Ends all watches as an API server does that has forgotten what they have not heard of yet.
    pub fn expire(&self) {
        self.shared.muted.store(false, Ordering::Relaxed);
        self.shared.expired.send_modify(|count| *count += 1);
    }

    /// Everything asked since then but lists and watches: method and path.
    pub fn calls(&self) -> Vec<String> {
        self.shared.plan.lock().unwrap().calls.clone()
    }
}

async fn pass(State(shared): State<Arc<Shared>>, request: Request) -> Response {
    let (path, query) = (request.uri().path().to_owned(), request.uri().query().unwrap_or_default().to_owned());
    let is_collection = path.ends_with("/renders") || path.ends_with("/hyperframesstacks");
    if *request.method() == Method::GET && is_collection {
        let answer = forward(&shared.client, request).await;
        return if query.contains("watch=true") { told(answer, shared) } else { answer };
    }
    let fault = {
        let mut plan = shared.plan.lock().unwrap();
        plan.calls.push(format!("{} {path}", request.method()));
        let now = plan.calls.len();
        plan.fault.take_if(|(number, ..)| *number == now)
    };
    let Some((_, fault, heard)) = fault else { return forward(&shared.client, request).await };
    let answer = match fault {
        Fault::Lost | Fault::Refused => None,
        Fault::Unanswered | Fault::CutShort => Some(forward(&shared.client, request).await),
    };
    let _ = heard.send(());
    match (fault, answer) {
        (Fault::CutShort, Some(answer)) => {
            let cut = stream::once(async { Err::<Bytes, _>(io::Error::other("cut short")) });
            (answer.status(), Body::from_stream(cut)).into_response()
        }
        (Fault::Refused, _) => (StatusCode::SERVICE_UNAVAILABLE, "not now").into_response(),
        _ => std::future::pending().await,
    }
}

async fn forward(client: &Client, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    parts.headers.remove(header::HOST);
    let body = to_bytes(body, LARGEST).await.unwrap();
    match client.send(Request::from_parts(parts, kube::client::Body::from(body))).await {
        Ok(answer) => answer.map(Body::new),
        Err(error) => (StatusCode::BAD_GATEWAY, error.to_string()).into_response(),
    }
}

/// A watch as the operator sees it. One that repeats tells everything late and twice, and then what it told before of the
/// same object, unless that is gone.
fn told(answer: Response, shared: Arc<Shared>) -> Response {
    let (parts, body) = answer.into_parts();
    let lines = body.into_data_stream().map_err(io::Error::other).into_async_read().lines();
    let mut before: HashMap<String, String> = HashMap::new();
    let (mut expired, repeats) = (shared.expired.subscribe(), shared.repeats);
    let lines = lines.flat_map(move |line| {
        stream::iter(match line {
            Ok(_) if shared.muted.load(Ordering::Relaxed) => Vec::new(),
            Ok(line) if repeats => repeated(line, &mut before),
            line => vec![line],
        })
    });
    let lines = lines.then(move |line| async move {
        if repeats {
            sleep(LATE).await;
        }
        line
    });
    let status = json!({ "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "code": 410,
        "reason": "Expired", "message": "too old resource version" });
    let end = json!({ "type": "ERROR", "object": status }).to_string();
    let lines = lines.take_until(async move { expired.changed().await }).chain(stream::iter([Ok(end)]));
    Response::from_parts(parts, Body::from_stream(lines.map_ok(|line| line + "\n")))
}

fn repeated(line: String, before: &mut HashMap<String, String>) -> Vec<io::Result<String>> {
    let event: Value = serde_json::from_str(&line).unwrap_or_default();
    let uid = event["object"]["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let old = before.insert(uid, line.clone()).filter(|_| event["type"] == "MODIFIED");
    [line.clone(), line].into_iter().chain(old).map(Ok).collect()
}
