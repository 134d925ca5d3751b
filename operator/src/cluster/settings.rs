//! How this process runs: what its environment says, read once.

use std::{net::SocketAddr, path::PathBuf};

use crds::Networks;
use tracing_subscriber::EnvFilter;
use url::Url;

use crate::{error::Error, ports::Folders};

const WATCH_NAMESPACES: &str = "HF_WATCH_NAMESPACES";
const LEADER_ELECTION: &str = "HF_LEADER_ELECTION";
const LISTEN: &str = "HF_LISTEN";
const LOG: &str = "HF_LOG";
pub(super) const KUBECONFIG: &str = "KUBECONFIG";
const POD_NAMESPACE: &str = "POD_NAMESPACE";
pub(super) const SOURCES: &str = "HF_SOURCES";
pub(super) const WORK_DIR: &str = "HF_WORK_DIR";
pub(super) const OUTPUTS: &str = "HF_OUTPUTS";
const SOURCE_NETWORKS: &str = "HF_SOURCE_NETWORKS";
/// OpenTelemetry's own: where traces are sent, the first that is set.
const COLLECTORS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT"];
/// How: the first that is set.
const PROTOCOLS: [&str; 2] = ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"];
const SDK_DISABLED: &str = "OTEL_SDK_DISABLED";

/// What is logged unless somebody says otherwise. What a library could not do is told by whoever asked it.
const USUAL_LOG: &str = "info,kube_client=off,kube_runtime=error,aws_config=off,aws_runtime=off,aws_smithy_runtime=off";

/// Longest name of a namespace, in bytes.
const LONGEST_NAMESPACE: usize = 63;

/// How this process runs.
#[derive(Debug)]
pub(super) struct Settings {
    /// Whether the API server is the one of `KUBECONFIG`, and no other.
    pub(super) kubeconfig: bool,
    /// What is watched; empty is everything.
    pub(super) namespaces: Vec<String>,
    /// Whether it has to be elected before it does anything.
    pub(super) leader_election: bool,
    /// Where it answers.
    pub(super) listen: SocketAddr,
    /// What is logged.
    pub(super) log: String,
    /// Where paths of objects lead.
    pub(super) folders: Folders,
    /// Where archives may be fetched from besides public addresses.
    pub(super) networks: Networks,
    /// The `hf-producer` program.
    pub(super) producer: Option<PathBuf>,
    /// The Lambda function's zip.
    pub(super) handler: Option<PathBuf>,
    /// Where the Lease is kept.
    pub(super) pod_namespace: Option<String>,
    /// Who this is.
    pub(super) pod_name: String,
    /// Where traces are sent, if anywhere.
    pub(super) collector: Option<Collector>,
}

/// Where traces are sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Collector {
    /// The variable that names it.
    pub(super) variable: &'static str,
    /// The environment has a name for this service.
    pub(super) service_named: bool,
}

impl Collector {
    fn read(value: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>, Error> {
        let first = |names: [&'static str; 2]| names.into_iter().find_map(|name| Some((name, value(name)?)));
        let disabled = value(SDK_DISABLED).is_some_and(|value| value.trim().eq_ignore_ascii_case("true"));
        let Some((variable, url)) = first(COLLECTORS).filter(|_| !disabled) else { return Ok(None) };
        let known = Url::parse(&url).is_ok_and(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        if !known {
            return Err(wrong(variable, "it is no URL of a collector, as in http://collector:4318".to_owned()));
        }
        match first(PROTOCOLS) {
            Some((name, protocol)) if protocol.trim() != "http/protobuf" => {
                Err(wrong(name, format!("{protocol:?}: traces are only sent by http/protobuf, usually to port 4318")))
            }
            _ => {
                let attributes = value("OTEL_RESOURCE_ATTRIBUTES").unwrap_or_default();
                let service_named = value("OTEL_SERVICE_NAME").is_some() || attributes.contains("service.name=");
                Ok(Some(Self { variable, service_named }))
            }
        }
    }
}

impl Settings {
    /// What these variables say. One that is empty counts as not set.
    pub(super) fn read(variable: impl Fn(&'static str) -> Option<String>) -> Result<Self, Error> {
        let value = |name| variable(name).filter(|value| !value.trim().is_empty());
        let path = |name| value(name).map(PathBuf::from);
        let pod_namespace = value(POD_NAMESPACE).map(|name| namespace(POD_NAMESPACE, &name)).transpose()?;
        let work = absolute(WORK_DIR, path(WORK_DIR).unwrap_or_else(|| "/var/lib/hyperframes".into()))?;
        let outputs = path(OUTPUTS).unwrap_or_else(|| work.join("outputs"));
        let folders = Folders {
            sources: path(SOURCES).map(|path| absolute(SOURCES, path)).transpose()?,
            outputs: absolute(OUTPUTS, outputs)?,
            work,
        };
        let log = value(LOG).unwrap_or_else(|| USUAL_LOG.to_owned());
        EnvFilter::try_new(&log).map_err(|error| wrong(LOG, format!("{log:?} is no filter: {error}")))?;
        Ok(Self {
            kubeconfig: value(KUBECONFIG).is_some(),
            namespaces: value(WATCH_NAMESPACES).map_or_else(|| Ok(Vec::new()), |list| namespaces(&list))?,
            leader_election: switch(LEADER_ELECTION, value(LEADER_ELECTION).as_deref())?,
            listen: listen(value(LISTEN).as_deref().unwrap_or("0.0.0.0:8080"))?,
            log,
            folders,
            networks: Networks::read(&value(SOURCE_NETWORKS).unwrap_or_default())
                .map_err(|reason| wrong(SOURCE_NETWORKS, reason))?,
            producer: path("HF_PRODUCER"),
            handler: path("HF_HANDLER"),
            pod_namespace,
            pod_name: value("POD_NAME").unwrap_or_else(|| "hf-operator".to_owned()),
            collector: Collector::read(value)?,
        })
    }
}

/// Namespaces with commas between them. A list that names none is refused: nobody means all of them by that.
fn namespaces(list: &str) -> Result<Vec<String>, Error> {
    let names = list.split(',').map(str::trim).filter(|name| !name.is_empty());
    let names = names.map(|name| namespace(WATCH_NAMESPACES, name)).collect::<Result<Vec<_>, _>>()?;
    if names.is_empty() { Err(wrong(WATCH_NAMESPACES, format!("{list:?} names no namespace"))) } else { Ok(names) }
}

/// The name of a namespace: a label of RFC 1123, as Kubernetes has it. It becomes a part of URLs.
fn namespace(variable: &'static str, name: &str) -> Result<String, Error> {
    let letters = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let ends = name.bytes().next().is_some_and(letters) && name.bytes().next_back().is_some_and(letters);
    if ends && name.len() <= LONGEST_NAMESPACE && name.bytes().all(|byte| letters(byte) || byte == b'-') {
        return Ok(name.to_owned());
    }
    let reason = format!(
        "{name:?} is no namespace: that is at most {LONGEST_NAMESPACE} lower-case letters, digits and '-', with a letter or digit at both ends"
    );
    Err(wrong(variable, reason))
}

fn absolute(name: &'static str, path: PathBuf) -> Result<PathBuf, Error> {
    if path.is_absolute() { Ok(path) } else { Err(wrong(name, format!("{} is not an absolute path", path.display()))) }
}

fn switch(name: &'static str, value: Option<&str>) -> Result<bool, Error> {
    match value.map(str::trim) {
        None | Some("true") => Ok(true),
        Some("false") => Ok(false),
        Some(other) => Err(wrong(name, format!("{other:?} is neither true nor false"))),
    }
}

fn listen(value: &str) -> Result<SocketAddr, Error> {
    value.trim().parse().map_err(|_| wrong(LISTEN, format!("{value:?} is no address and port, as in 0.0.0.0:8080")))
}

pub(super) fn wrong(name: &'static str, reason: String) -> Error {
    Error::Setting { name, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<Settings, Error> {
        Settings::read(|name| variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()))
    }

    #[test]
    fn what_is_not_set_is_as_usual() {
        let settings = read(&[("HF_SOURCES", " "), ("HF_WORK_DIR", "/work")]).unwrap();
        assert!(settings.leader_election && settings.namespaces.is_empty());
        assert_eq!(settings.listen.port(), 8080);
        let folders = Folders { sources: None, outputs: "/work/outputs".into(), work: "/work".into() };
        assert_eq!(settings.folders, folders);
    }

    #[test]
    fn namespaces_are_a_list() {
        assert_eq!(read(&[("HF_WATCH_NAMESPACES", "a, b,,c ")]).unwrap().namespaces, ["a", "b", "c"]);
    }

    #[test]
    fn names_of_namespaces_are_those_of_kubernetes() {
        let longest = "a".repeat(63);
        for name in ["a", "0", "a-b", &longest] {
            assert_eq!(read(&[("HF_WATCH_NAMESPACES", name)]).unwrap().namespaces, [name]);
        }
        for name in ["A", "-a", "a-", "a.b", "a/b", "..", "a b", "ä", &"a".repeat(64)] {
            for variable in ["HF_WATCH_NAMESPACES", "POD_NAMESPACE"] {
                let error = read(&[(variable, name)]).unwrap_err().to_string();
                assert!(error.starts_with(&format!("{variable}: {name:?} is no namespace")), "{error}");
            }
        }
    }

    #[test]
    fn traces_go_where_opentelemetrys_variables_say() {
        let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318");
        let (own, variable) = (("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://c/x"), endpoint.0);
        let collector = |variables: &[_]| read(variables).unwrap().collector;
        assert_eq!(collector(&[]), None);
        assert_eq!(collector(&[endpoint, ("OTEL_SDK_DISABLED", "True")]), None);
        assert_eq!(collector(&[endpoint]), Some(Collector { variable, service_named: false }));
        let named = ("OTEL_RESOURCE_ATTRIBUTES", "a=b,service.name=mine");
        assert_eq!(collector(&[endpoint, own, named]), Some(Collector { variable: own.0, service_named: true }));
        for (variables, expected) in [
            (vec![(endpoint.0, "collector:4318")], "OTEL_EXPORTER_OTLP_ENDPOINT: it is no URL"),
            (vec![endpoint, ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")], "OTEL_EXPORTER_OTLP_PROTOCOL: \"grpc\": traces"),
        ] {
            let error = read(&variables).unwrap_err().to_string();
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn what_makes_no_sense_is_named() {
        for (name, value, expected) in [
            ("HF_LEADER_ELECTION", "maybe", "HF_LEADER_ELECTION: \"maybe\" is neither true nor false"),
            ("HF_LISTEN", "8080", "HF_LISTEN: \"8080\" is no address and port, as in 0.0.0.0:8080"),
            ("HF_SOURCES", "site", "HF_SOURCES: site is not an absolute path"),
            ("HF_WATCH_NAMESPACES", ", ,", "HF_WATCH_NAMESPACES: \", ,\" names no namespace"),
            ("HF_SOURCE_NETWORKS", "10/8", "HF_SOURCE_NETWORKS: \"10/8\" is no network, as in 10.0.0.0/8"),
        ] {
            assert_eq!(read(&[(name, value)]).unwrap_err().to_string(), expected);
        }
        assert!(read(&[("HF_LOG", "a=b=c")]).unwrap_err().to_string().starts_with("HF_LOG: "));
    }
}
