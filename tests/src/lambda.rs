//! A Lambda execution environment on this machine: the Runtime API, and the real `bootstrap` that asks it for events.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        mpsc::{Receiver, RecvTimeoutError, Sender, channel},
    },
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use axum::{
    Router,
    body::Bytes,
    extract::{Path as UrlPath, State},
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use serde_json::Value;
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::{Mutex as AsyncMutex, mpsc},
};

use crate::{bins::bin, store::Store};

/// The bucket of every function here.
pub const BUCKET: &str = "hf-local";
const INIT: Duration = Duration::from_secs(10);

/// One environment. Its process is killed when it is dropped.
pub struct Environment {
    child: Child,
    events: mpsc::UnboundedSender<(String, String)>,
    posted: Receiver<Posted>,
    log: Arc<Mutex<Vec<String>>>,
    timeout: Arc<Mutex<Duration>>,
    invocations: u32,
    /// Process start to its asking for the first event.
    pub cold_start: Duration,
    _runtime: Runtime,
}

/// What a process posted to the Runtime API.
enum Posted {
    Next,
    Response(Value),
    Error(Value),
}

struct Api {
    posted: Mutex<Sender<Posted>>,
    events: AsyncMutex<mpsc::UnboundedReceiver<(String, String)>>,
    timeout: Arc<Mutex<Duration>>,
}

/// What an invocation came to: the answer, or the error's type and message.
pub type Outcome = Result<Value, (String, String)>;

impl Environment {
    /// Starts the built `bootstrap` with the function's usual environment, some variables over it, and a folder as its
    /// `/tmp`.
    pub fn start(store: &Store, tmp: &Path, variables: &[(&str, &str)]) -> Self {
        let assets = std::env::var("HF_ASSETS_DIR").unwrap_or_default();
        let own = [("TMPDIR", tmp.to_str().unwrap()), ("HF_ASSETS_DIR", &assets)];
        Self::start_program(Command::new(bin("bootstrap")), store, &[&own, variables].concat())
    }

    /// The same with another program, which gets nothing else.
    pub fn start_program(program: Command, store: &Store, variables: &[(&str, &str)]) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (sender, posted) = channel();
        let (events, waiting) = mpsc::unbounded_channel();
        let timeout = Arc::new(Mutex::new(Duration::from_secs(900)));
        let api = Api { posted: Mutex::new(sender), events: AsyncMutex::new(waiting), timeout: Arc::clone(&timeout) };
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let address = listener.local_addr().unwrap().to_string();
        runtime.spawn(async move { axum::serve(listener, routes(Arc::new(api))).await });

        let started = Instant::now();
        let mut child = with_environment(program, store, &address, variables).spawn().unwrap();
        let log = Arc::new(Mutex::new(Vec::new()));
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let lines = Arc::clone(&log);
        thread::spawn(move || stdout.lines().map_while(Result::ok).for_each(|line| lines.lock().unwrap().push(line)));
        let first = posted.recv_timeout(INIT);
        assert!(matches!(first, Ok(Posted::Next)), "bootstrap asks for no event: {:#?}", log.lock().unwrap());
        let cold_start = started.elapsed();
        Self { child, events, posted, log, timeout, invocations: 0, cold_start, _runtime: runtime }
    }

    /// One event, to its end.
    pub fn invoke(&mut self, event: &Value) -> Outcome {
        self.invoke_within(event, Duration::from_secs(900))
    }

    /// The same with another timeout of the function.
    pub fn invoke_within(&mut self, event: &Value, timeout: Duration) -> Outcome {
        *self.timeout.lock().unwrap() = timeout;
        self.invocations += 1;
        self.events.send((format!("request-{}", self.invocations), event.to_string())).unwrap();
        let deadline = Instant::now() + timeout;
        loop {
            match self.posted.recv_timeout(Duration::from_millis(50)) {
                Ok(Posted::Next) => {}
                Ok(Posted::Response(answer)) => return Ok(answer),
                Ok(Posted::Error(error)) => {
                    let text = |field: &str| error[field].as_str().unwrap_or_default().to_owned();
                    return Err((text("errorType"), text("errorMessage")));
                }
                Err(RecvTimeoutError::Timeout) if self.ended().is_some() => {
                    return Err(("Runtime.ExitError".to_owned(), format!("{:?}", self.ended())));
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() > deadline => {
                    let _ = self.child.kill();
                    return Err(("Sandbox.Timedout".to_owned(), String::new()));
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => panic!("the Runtime API is gone"),
            }
        }
    }

    /// The process's exit code, once it ended.
    pub fn ended(&mut self) -> Option<i32> {
        self.child.try_wait().unwrap().map(|status| status.code().unwrap_or(-1))
    }

    pub fn pid(&self) -> i32 {
        i32::try_from(self.child.id()).unwrap()
    }

    /// The lines it logged so far, of one event each.
    pub fn log(&self, event: &str) -> Vec<Value> {
        let lines = self.log.lock().unwrap();
        let parsed = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        parsed.filter(|line| line["event"] == event).collect()
    }

    /// Everything it printed.
    pub fn printed(&self) -> String {
        self.log.lock().unwrap().join("\n")
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Nothing of this process's environment gets into the function's, as on Lambda.
fn with_environment(mut program: Command, store: &Store, address: &str, variables: &[(&str, &str)]) -> Command {
    let endpoint = store.endpoint();
    let mut all = BTreeMap::from([
        ("PATH", "/usr/bin:/bin"),
        ("AWS_LAMBDA_RUNTIME_API", address),
        ("AWS_LAMBDA_FUNCTION_NAME", "hf-local-render"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "10240"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "local"),
        ("AWS_SECRET_ACCESS_KEY", "local-secret"),
        ("AWS_ENDPOINT_URL", &endpoint),
        ("HYPERFRAMES_RENDER_BUCKET", BUCKET),
    ]);
    all.extend(variables.iter().copied());
    program.env_clear().envs(all).stdin(Stdio::null()).stdout(Stdio::piped());
    program
}

fn routes(api: Arc<Api>) -> Router {
    Router::new()
        .route("/2018-06-01/runtime/invocation/next", get(next))
        .route("/2018-06-01/runtime/invocation/{id}/{kind}", post(answered))
        .route("/2018-06-01/runtime/init/error", post(init_error))
        .with_state(api)
}

async fn next(State(api): State<Arc<Api>>) -> Response {
    api.post(Posted::Next);
    let Some((id, event)) = api.events.lock().await.recv().await else {
        return StatusCode::GONE.into_response();
    };
    let deadline = SystemTime::now() + *api.timeout.lock().unwrap();
    let deadline = deadline.duration_since(UNIX_EPOCH).unwrap().as_millis().to_string();
    let arn = "arn:aws:lambda:us-east-1:000000000000:function:hf-local-render".to_owned();
    let headers = [
        ("content-type", "application/json".to_owned()),
        ("lambda-runtime-aws-request-id", id),
        ("lambda-runtime-deadline-ms", deadline),
        ("lambda-runtime-invoked-function-arn", arn),
    ];
    (headers, event).into_response()
}

async fn answered(
    State(api): State<Arc<Api>>,
    UrlPath((_, kind)): UrlPath<(String, String)>,
    body: Bytes,
) -> StatusCode {
    let value = serde_json::from_slice(&body).unwrap_or_default();
    api.post(if kind == "response" { Posted::Response(value) } else { Posted::Error(value) });
    StatusCode::ACCEPTED
}

async fn init_error(State(api): State<Arc<Api>>, body: Bytes) -> StatusCode {
    api.post(Posted::Error(serde_json::from_slice(&body).unwrap_or_default()));
    StatusCode::ACCEPTED
}

impl Api {
    fn post(&self, posted: Posted) {
        let _ = self.posted.lock().unwrap().send(posted);
    }
}
