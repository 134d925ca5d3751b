//! A Kubernetes API server on this machine, and operators that work on it. See `tests/cluster`.

use std::{
    fs::{self, File},
    io::{self, Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc::channel,
    },
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::Value;

use crate::{
    bins::{bin, tool},
    fixture::{Folder, root},
    judge,
    processes::{Watched, eventually},
};

/// Its programs are built when they are needed first.
const START: Duration = Duration::from_mins(30);

/// An API server. It ends with the process of the tests.
pub struct Cluster {
    folder: Folder,
    kubectl: PathBuf,
}

impl Cluster {
    /// The one that all tests share, each in a namespace of its own. It has our definitions.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Cluster> = OnceLock::new();
        SHARED.get_or_init(|| {
            let cluster = Self::start();
            cluster.install();
            judge::begin(cluster.kubeconfig(), cluster.kubectl.parent().unwrap());
            cluster
        })
    }

    /// Starts one without our definitions.
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same, for [`kill`](Self::kill).
    pub fn start_to_be_killed() -> Self {
        Self::start_with(&["--revive"])
    }

    fn start_with(options: &'static [&'static str]) -> Self {
        let folder = Folder::new();
        let log = folder.join("log");
        let (state, output) = (folder.join("state"), File::create(&log).unwrap());
        // Linux ends it with the thread that started it.
        thread::spawn(move || {
            let mut command = Command::new(root().join("tests/cluster/up"));
            command.arg("--state").arg(state).args(options).stdin(Stdio::null());
            let mut child = command.stdout(output.try_clone().unwrap()).stderr(output).spawn().unwrap();
            let _ = child.wait();
        });
        let begin = Instant::now();
        while !fs::read_to_string(&log).unwrap().contains("Ready.") {
            assert!(begin.elapsed() < START, "the API server does not start:\n{}", fs::read_to_string(&log).unwrap());
            thread::sleep(Duration::from_millis(50));
        }
        let programs = tool(root().join("tests/cluster/build").to_str().unwrap(), &[]);
        let kubectl = Path::new(programs.lines().last().unwrap()).join("kubectl");
        Self { folder, kubectl }
    }

    /// Kills some of its processes, which begin again when what is returned is dropped.
    pub fn kill(&self, names: &[&str]) -> Held {
        let held = self.folder.write("state/hold", "");
        for name in names {
            let pid = fs::read_to_string(self.folder.join(&format!("state/pid/{name}"))).unwrap();
            kill(Pid::from_raw(pid.trim().parse().unwrap()), Signal::SIGKILL).unwrap();
        }
        Held(held)
    }

    /// Installs our definitions.
    pub fn install(&self) {
        let definitions = tool(bin("hf-operator").to_str().unwrap(), &["crds"]);
        self.apply(&definitions);
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=60s", "crd", "--all"]);
    }

    /// An administrator's configuration.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("state/kubeconfig")
    }

    /// `kubectl` with these arguments, which must succeed; its standard output.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.try_kubectl(arguments, "");
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// `kubectl` with this standard input, whatever its exit code.
    pub fn try_kubectl(&self, arguments: &[&str], input: &str) -> Output {
        let mut command = Command::new(&self.kubectl);
        command.arg("--kubeconfig").arg(self.kubeconfig()).args(arguments);
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("kubectl");
        child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        child.wait_with_output().unwrap()
    }

    /// Applies YAML as users do.
    #[track_caller]
    pub fn apply(&self, yaml: &str) {
        let output = self.try_kubectl(&["apply", "--server-side", "-f", "-"], yaml);
        assert!(output.status.success(), "{}\n{yaml}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Keeps processes that were killed from beginning again.
#[must_use]
pub struct Held(PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        fs::remove_file(&self.0).unwrap();
    }
}

/// A namespace for one test, with a folder of compositions and one of videos.
pub struct Stage {
    pub cluster: &'static Cluster,
    pub namespace: &'static str,
    pub folder: Folder,
}

impl Stage {
    /// A namespace with a stack on this machine.
    pub fn new(namespace: &'static str) -> Self {
        let (cluster, folder) = (Cluster::shared(), Folder::new());
        cluster.kubectl(&["create", "namespace", namespace]);
        let stage = Self { cluster, namespace, folder };
        stage.apply("HyperframesStack", "local", "{local: {maxParallelChunks: 1}}");
        stage
    }

    /// Applies one object.
    #[track_caller]
    pub fn apply(&self, kind: &str, name: &str, spec: &str) {
        self.cluster.apply(&self.manifest(kind, name, spec));
    }

    /// Applies one object, if the API server can take it now.
    pub fn try_apply(&self, kind: &str, name: &str, spec: &str) -> bool {
        let arguments = ["apply", "--server-side", "-f", "-"];
        self.cluster.try_kubectl(&arguments, &self.manifest(kind, name, spec)).status.success()
    }

    fn manifest(&self, kind: &str, name: &str, spec: &str) -> String {
        format!(
            "apiVersion: hyperframes.io/v1alpha1\nkind: {kind}\nmetadata: {{name: {name}, namespace: {}}}\nspec: {spec}\n",
            self.namespace
        )
    }

    /// A configuration for a new service account that may do this, each a list of verbs and one of resources.
    pub fn of_a_service_account(&self, account: &str, rules: &[&str]) -> PathBuf {
        self.kubectl(&["create", "serviceaccount", account]);
        for (number, rule) in rules.iter().enumerate() {
            let (verbs, resources) = rule.split_once(' ').unwrap();
            let role = format!("{account}-{number}");
            let (verbs, resources) = (format!("--verb={verbs}"), format!("--resource={resources}"));
            self.kubectl(&["create", "role", &role, &verbs, &resources]);
            let (bound, to) = (format!("--role={role}"), format!("--serviceaccount={}:{account}", self.namespace));
            self.kubectl(&["create", "rolebinding", &role, &bound, &to]);
        }
        let token = self.kubectl(&["create", "token", account]);
        let text = fs::read_to_string(self.cluster.kubeconfig()).unwrap();
        let (head, _) = text.split_once("users:").unwrap();
        self.folder.write(account, &format!("{head}users:\n  - {{name: admin, user: {{token: {}}}}}\n", token.trim()))
    }

    /// `kubectl` in this namespace.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> String {
        self.cluster.kubectl(&[&["--namespace", self.namespace], arguments].concat())
    }

    /// An object; null where there is none.
    pub fn get(&self, kind: &str, name: &str) -> Value {
        let arguments = ["--namespace", self.namespace, "get", kind, name, "-o", "json", "--ignore-not-found"];
        serde_json::from_slice(&self.cluster.try_kubectl(&arguments, "").stdout).unwrap_or(Value::Null)
    }

    /// Waits until a Render is as wanted.
    #[track_caller]
    pub fn wait_for(&self, name: &str, what: &str, is_it: impl Fn(&Value) -> bool) -> Value {
        eventually(what, || Some(self.get("render", name)).filter(&is_it))
    }

    /// Waits until a stack's condition `Ready` has this reason.
    #[track_caller]
    pub fn wait_for_stack(&self, name: &str, wanted: &str) -> Value {
        eventually(wanted, || {
            Some(self.get("hyperframesstack", name)).filter(|stack| reason_of(stack, "Ready") == wanted)
        })
    }

    /// Waits until a Render's condition `Succeeded` has this reason.
    #[track_caller]
    pub fn wait_for_reason(&self, name: &str, wanted: &str) -> Value {
        self.wait_for(name, wanted, |render| reason(render) == wanted)
    }

    /// Who leads, by the Lease.
    pub fn leader(&self) -> Option<String> {
        self.get("lease", "hf-operator")["spec"]["holderIdentity"].as_str().map(str::to_owned)
    }

    /// An operator that renders with this program, and reads and writes in this stage's folder.
    pub fn operator(&self, producer: &str) -> Settings {
        let mut command = Command::new(bin("hf-operator"));
        let port = free_port();
        command.arg("run").stderr(File::create(self.folder.join(&format!("stderr-{port}"))).unwrap());
        fs::create_dir_all(self.folder.join("sources")).unwrap();
        command.env("KUBECONFIG", self.cluster.kubeconfig()).env("HF_WATCH_NAMESPACES", self.namespace);
        command.env("POD_NAMESPACE", self.namespace).env("POD_NAME", format!("pod-{port}"));
        command.env("HF_SOURCES", self.folder.join("sources")).env("HF_WORK_DIR", self.folder.join("work"));
        command.env("HF_PRODUCER", bin(producer)).env("HF_LISTEN", format!("127.0.0.1:{port}"));
        // The second as in the image.
        command.env("HF_LOG", "info,operator=debug").env("MALLOC_ARENA_MAX", "2");
        Settings { command, port }
    }

    /// The video of a Render.
    pub fn video(&self, name: &str) -> PathBuf {
        self.folder.join(&format!("work/outputs/{}/{name}/{name}.mp4", self.namespace))
    }
}

impl Drop for Stage {
    /// A test also fails by any status that was written in its namespace.
    fn drop(&mut self) {
        let (wrong, _) = judge::verdict(self.namespace);
        assert!(thread::panicking() || wrong.is_empty(), "{wrong:#?}");
    }
}

/// The reason of a Render's condition `Succeeded`; empty where it has none yet.
pub fn reason(render: &Value) -> &str {
    reason_of(render, "Succeeded")
}

fn reason_of<'a>(object: &'a Value, condition: &str) -> &'a str {
    let conditions = object["status"]["conditions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let found = conditions.iter().find(|found| found["type"] == condition);
    found.and_then(|condition| condition["reason"].as_str()).unwrap_or_default()
}

/// An operator that is not started yet.
pub struct Settings {
    command: Command,
    port: u16,
}

impl Settings {
    #[must_use]
    pub fn env(mut self, name: &str, value: impl AsRef<std::ffi::OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    #[must_use]
    pub fn start(self) -> Operator {
        Operator { process: Watched::start(self.command), port: self.port }
    }
}

/// An operator. Killed, with all it started, when dropped.
pub struct Operator {
    pub process: Watched,
    port: u16,
}

impl Operator {
    /// Waits until it says something.
    #[track_caller]
    pub fn wait_for(&mut self, text: &str) -> Value {
        self.process.wait_for(text, |line| line.to_string().contains(text))
    }

    /// What it is called in the Lease.
    pub fn pod(&self) -> String {
        format!("pod-{}", self.port)
    }

    /// Whether it leads, by the Lease.
    pub fn leads(&self, stage: &Stage) -> bool {
        stage.leader().is_some_and(|holder| holder.starts_with(&self.pod()))
    }

    /// Status code and body of an answer; none while it does not listen yet.
    pub fn ask(&self, path: &str) -> Option<(u16, String)> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: operator\r\nConnection: close\r\n\r\n").ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        let (head, body) = answer.split_once("\r\n\r\n")?;
        Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// Stands between an operator and its API server, and can be cut.
pub struct Wire {
    cut: Arc<AtomicBool>,
    open: Arc<Mutex<Vec<TcpStream>>>,
    /// A configuration that leads through it.
    pub kubeconfig: PathBuf,
}

impl Wire {
    pub fn new(stage: &Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let text = fs::read_to_string(stage.cluster.kubeconfig()).unwrap();
        let (_, rest) = text.split_once("https://127.0.0.1:").unwrap();
        let server: String = rest.chars().take_while(char::is_ascii_digit).collect();
        let text = text.replace(&format!("127.0.0.1:{server}"), &format!("127.0.0.1:{port}"));
        let kubeconfig = stage.folder.write("wire", &text);
        let wire = Self { cut: Arc::default(), open: Arc::default(), kubeconfig };
        let (cut, open) = (Arc::clone(&wire.cut), Arc::clone(&wire.open));
        let server: u16 = server.parse().unwrap();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(server) = TcpStream::connect(("127.0.0.1", server)) else { continue };
                if cut.load(Ordering::Relaxed) {
                    continue;
                }
                open.lock().unwrap().extend([client.try_clone().unwrap(), server.try_clone().unwrap()]);
                let (client_in, server_in) = (client.try_clone().unwrap(), server.try_clone().unwrap());
                thread::spawn(move || pass(client_in, server));
                thread::spawn(move || pass(server_in, client));
            }
        });
        wire
    }

    /// Ends all connections, and accepts no other.
    pub fn cut(&self) {
        self.cut.store(true, Ordering::Relaxed);
        for stream in self.open.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    pub fn mend(&self) {
        self.cut.store(false, Ordering::Relaxed);
    }
}

fn pass(mut from: TcpStream, mut to: TcpStream) {
    let _ = io::copy(&mut from, &mut to);
    let _ = to.shutdown(Shutdown::Both);
}

/// Runs work elsewhere until told to stop.
pub fn meanwhile<T>(mut again: impl FnMut() + Send, work: impl FnOnce() -> T) -> T {
    let (stop, stopped) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(move || {
            while stopped
                .recv_timeout(Duration::from_millis(20))
                .is_err_and(|error| error == std::sync::mpsc::RecvTimeoutError::Timeout)
            {
                again();
            }
        });
        let result = work();
        drop(stop);
        result
    })
}
