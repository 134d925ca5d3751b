//! What `hf-operator` is told may be wrong in every way: it ends within its time, and says which setting it is.

use std::{
    fs,
    net::TcpListener,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use nix::{
    sys::{signal::Signal, stat::Mode},
    unistd::mkfifo,
};
use tests::{
    bins::bin,
    fixture::Folder,
    processes::{Watched, eventually, output_within},
};

/// Where nothing waits for anybody.
const AT_ONCE: Duration = Duration::from_secs(20);
/// Where a file or an API server does not answer, which has half a minute.
const PATIENT: Duration = Duration::from_secs(50);

/// `hf-operator` with this environment and no other.
fn operator(verb: &str, home: &Folder, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(bin("hf-operator"));
    command.arg(verb).env_clear().env("HOME", home.path()).env("HF_LISTEN", "127.0.0.1:0");
    command.env("HF_WORK_DIR", home.join("work")).envs(environment.iter().copied());
    command
}

/// Its exit code, and what it said, within a time.
#[track_caller]
fn end(mut command: Command, within: Duration) -> (Option<i32>, String) {
    let output = output_within(&mut command, within);
    let said = [output.stdout, output.stderr].concat();
    (output.status.code(), String::from_utf8(said).unwrap())
}

/// Ends with 1 and one sentence that holds all these texts.
#[track_caller]
fn refused(verb: &str, environment: &[(&str, &str)], within: Duration, expected: &[&str]) {
    let home = Folder::new();
    let (code, said) = end(operator(verb, &home, environment), within);
    assert_eq!(code, Some(1), "{verb} {environment:?}: {said}");
    let last = said.lines().last().unwrap_or_default();
    for text in ["error: "].iter().chain(expected) {
        assert!(last.contains(text), "{verb} {environment:?}: {text:?} is not in {said}");
    }
}

/// A configuration for an API server at this address.
fn kubeconfig(server: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n\
         clusters: [{{name: a, cluster: {{server: \"{server}\"}}}}]\nusers: [{{name: a, user: {{}}}}]\n"
    )
}

/// Accepts everybody, and answers nobody.
fn deaf() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    (listener, address)
}

/// An address where nobody listens.
fn dead() -> String {
    deaf().1
}

#[test]
fn an_api_server_that_cannot_be_found_is_an_error() {
    let folder = Folder::new();
    let write = |name: &str, text: &str| folder.write(name, text).display().to_string();
    let pipe = folder.join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    // Credentials that a program is asked for, which waits for somebody.
    let patient = kubeconfig("http://127.0.0.1:1").replace(
        "user: {}",
        "user: {exec: {apiVersion: client.authentication.k8s.io/v1, command: sleep, args: [\"45\"], interactiveMode: Never}}",
    );
    let cases: [(&str, String, Duration, &[&str]); 8] = [
        ("nowhere", String::new(), AT_ONCE, &["cannot find an API server"]),
        ("a folder", folder.path().display().to_string(), AT_ONCE, &["KUBECONFIG: ", "Is a directory"]),
        ("no file", folder.join("none").display().to_string(), AT_ONCE, &["KUBECONFIG: ", "none"]),
        ("nothing", write("empty", ""), AT_ONCE, &["KUBECONFIG: "]),
        ("garbage", write("garbage", "\u{0}\u{1b}[31m: {"), AT_ONCE, &["KUBECONFIG: "]),
        ("no address", write("address", &kubeconfig("::")), AT_ONCE, &["KUBECONFIG: "]),
        ("a pipe", pipe.display().to_string(), PATIENT, &["KUBECONFIG", "does not answer within 30 s"]),
        ("a program", write("program", &patient), PATIENT, &["KUBECONFIG", "does not answer within 30 s"]),
    ];
    thread::scope(|scope| {
        for (_, kubeconfig, within, expected) in &cases {
            for verb in ["run", "uninstall-check"] {
                scope.spawn(move || refused(verb, &[("KUBECONFIG", kubeconfig)], *within, expected));
            }
        }
    });
}

#[test]
fn the_uninstall_check_waits_for_no_api_server_for_long() {
    let folder = Folder::new();
    let (_listener, deaf) = deaf();
    let cases = [
        (dead(), AT_ONCE, "Connection refused"),
        (deaf.clone(), PATIENT, "no answer from the API server within 30 s"),
        (deaf.replace("http:", "https:"), PATIENT, "cannot list"),
    ];
    thread::scope(|scope| {
        for (number, (server, within, expected)) in cases.iter().enumerate() {
            let file = folder.write(&number.to_string(), &kubeconfig(server));
            scope.spawn(move || {
                refused("uninstall-check", &[("KUBECONFIG", file.to_str().unwrap())], *within, &[expected]);
            });
        }
    });
}

#[test]
fn an_operator_that_does_not_lead_yet_ends_when_asked_to() {
    let folder = Folder::new();
    let (_listener, deaf) = deaf();
    let pipe = folder.join("pipe");
    mkfifo(&pipe, Mode::S_IRWXU).unwrap();
    for (kubeconfig, signal, begins) in [
        (folder.write("dead", &kubeconfig(&dead())), Signal::SIGINT, true),
        (folder.write("deaf", &kubeconfig(&deaf)), Signal::SIGTERM, true),
        (pipe, Signal::SIGINT, false),
    ] {
        let home = Folder::new();
        let environment = [("KUBECONFIG", kubeconfig.to_str().unwrap())];
        let mut operator = Watched::start(operator("run", &home, &environment));
        if begins {
            operator.wait_for("its begin", |line| line["message"] == "hf-operator begins");
        } else {
            // Signals are listened to by then.
            eventually("its folders", || home.join("work/outputs").exists().then_some(()));
        }
        operator.signal(signal);
        let begin = Instant::now();
        assert_eq!(operator.end(), Some(0));
        assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    }
}

#[test]
fn a_setting_that_makes_no_sense_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    let folder = Folder::new();
    let file = folder.write("file", "").display().to_string();
    let below = format!("{file}/work");
    let config = folder.write("config", &kubeconfig(&dead())).display().to_string();
    let long = "a".repeat(64);
    let cases: &[(&str, &str, &str)] = &[
        ("HF_LISTEN", "here", "HF_LISTEN: \"here\" is no address and port, as in 0.0.0.0:8080"),
        ("HF_LISTEN", &taken, "HF_LISTEN: "),
        ("HF_LISTEN", "192.0.2.1:8080", "HF_LISTEN: "),
        ("HF_WATCH_NAMESPACES", "Video", "HF_WATCH_NAMESPACES: \"Video\" is no namespace"),
        ("HF_WATCH_NAMESPACES", "video,../kube-system", "HF_WATCH_NAMESPACES: \"../kube-system\" is no namespace"),
        ("HF_WATCH_NAMESPACES", &long, "is no namespace"),
        ("HF_WATCH_NAMESPACES", ",", "HF_WATCH_NAMESPACES: \",\" names no namespace"),
        ("POD_NAMESPACE", "a b", "POD_NAMESPACE: \"a b\" is no namespace"),
        ("HF_LEADER_ELECTION", "perhaps", "HF_LEADER_ELECTION: \"perhaps\" is neither true nor false"),
        ("HF_LOG", "a=b=c", "HF_LOG: "),
        ("HF_WORK_DIR", "work", "HF_WORK_DIR: work is not an absolute path"),
        ("HF_WORK_DIR", &file, "HF_WORK_DIR: "),
        ("HF_WORK_DIR", &below, "HF_WORK_DIR: "),
        ("HF_WORK_DIR", "/sys/hyperframes", "HF_WORK_DIR: "),
        ("HF_OUTPUTS", &file, "HF_OUTPUTS: "),
        ("HF_OUTPUTS", "/proc", "HF_OUTPUTS: "),
        ("HF_SOURCES", &file, "HF_SOURCES: "),
        ("HF_SOURCES", "/nowhere", "HF_SOURCES: "),
    ];
    for (name, value, expected) in cases {
        refused("run", &[("KUBECONFIG", &config), (name, value)], AT_ONCE, &[expected]);
    }
    assert_eq!(fs::read_to_string(&file).unwrap(), "", "what was there is left alone");
}
