//! A file from the network: bounded in time and size, from addresses that may be dialled, redirects judged anew, and of the
//! digest that was asked for before anybody looks into it.

use std::{
    error::Error,
    io::{self, Write as _},
    net::SocketAddr,
    time::Duration,
    vec,
};

use axum::http::{
    Request, Response, StatusCode,
    header::{CONTENT_LENGTH, LOCATION, USER_AGENT},
};
use bytes::Bytes;
use crds::{Code, Failure, Networks};
use fs_err::File;
use futures::StreamExt as _;
use http_body_util::{BodyDataStream, BodyExt as _, Empty, combinators::BoxBody};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use sha2::{Digest as _, Sha256};
use tokio::time::timeout;
use tower::{BoxError, service_fn};
use url::Url;

use crate::files::blocking;

/// How long all of it may take,
const WHOLE: Duration = Duration::from_mins(10);
/// a connection,
const CONNECT: Duration = Duration::from_secs(10);
/// and an answer, or its next piece.
const PIECE: Duration = Duration::from_secs(30);
/// The largest archive, in bytes.
const LARGEST: u64 = 1 << 30;
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Why a file was not downloaded.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Problem {
    /// It will be the same the next time.
    Final(Failure),
    /// It may be well again later.
    Passing(Failure),
}

/// What a server answers.
type Answer = Response<BoxBody<Bytes, BoxError>>;

/// Downloads files.
#[derive(Clone, Debug)]
pub(super) struct Downloader {
    networks: Networks,
}

impl Downloader {
    /// From public addresses and these networks.
    pub(super) const fn new(networks: Networks) -> Self {
        Self { networks }
    }

    /// Writes what is at a URL to a file, if it has this SHA-256.
    pub(super) async fn download(&self, url: &Url, sha256: &str, to: &mut File) -> Result<(), Problem> {
        let late = || Problem::Passing(unavailable(url, &format!("not done within {} min", WHOLE.as_secs() / 60)));
        timeout(WHOLE, self.fetch(url, sha256, to)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn fetch(&self, url: &Url, sha256: &str, to: &mut File) -> Result<(), Problem> {
        let answer = self.follow(url).await?;
        let too_large = || {
            let message = format!("{} is larger than {} MiB", shown(url), LARGEST >> 20);
            Problem::Final(Failure::new(Code::PlanTooLarge, message))
        };
        let length = answer.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        if length.is_some_and(|length| length > LARGEST) {
            return Err(too_large());
        }
        let mut pieces = BodyDataStream::new(answer.into_body());
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        while let Some(piece) = in_time(url, pieces.next()).await? {
            let piece = piece.map_err(|error| passing(url, &*error))?;
            size = size.saturating_add(piece.len() as u64);
            if size > LARGEST {
                return Err(too_large());
            }
            hash.update(&piece);
            // Into the page cache: this waits for no disk that is well.
            to.write_all(&piece).map_err(|error| Problem::Passing(Failure::new(Code::IoFailed, error.to_string())))?;
        }
        let found = hex::encode(hash.finalize());
        if found == sha256 {
            return Ok(());
        }
        let message = format!("{} has the SHA-256 {found}, not {sha256}", shown(url));
        Err(Problem::Final(Failure::new(Code::SourceDigestMismatch, message)))
    }

    /// The answer of whoever has it in the end.
    async fn follow(&self, url: &Url) -> Result<Answer, Problem> {
        let refused = |why: &str| {
            let message = format!("{} is not fetched: {why}", shown(url));
            Problem::Final(Failure::new(Code::SourceRefused, message))
        };
        let mut next = url.clone();
        for _ in 0..=REDIRECTS {
            if next.scheme() != "https" {
                return Err(refused("it leads to a URL without https"));
            }
            self.networks.judge(&next).map_err(|why| refused(&why))?;
            let answer = in_time(url, self.ask(&next)).await?.map_err(|error| passing(url, &*error))?;
            let status = answer.status();
            if !status.is_redirection() {
                return if status.is_success() { Ok(answer) } else { Err(answered(url, status)) };
            }
            let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            next = location.and_then(|to| next.join(to).ok()).ok_or_else(|| refused("it leads to no URL"))?;
        }
        Err(refused(&format!("it leads on more than {REDIRECTS} times")))
    }

    /// One request, over a connection of its own. No proxy is asked: it would resolve names itself, and reach what we may not.
    async fn ask(&self, url: &Url) -> Result<Answer, BoxError> {
        let networks = self.networks.clone();
        let resolver = service_fn(move |name: Name| resolve(networks.clone(), name));
        let mut plain = HttpConnector::new_with_resolver(resolver);
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(CONNECT));
        // The system's, as they are now.
        let roots = blocking(|| HttpsConnectorBuilder::new().with_native_roots()).await?;
        let connector = roots.https_only().enable_http1().wrap_connector(plain);
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let agent = concat!("hyperframes-operator/", env!("CARGO_PKG_VERSION"));
        let request = Request::get(url.as_str()).header(USER_AGENT, agent).body(Empty::new())?;
        Ok(client.request(request).await?.map(|body| body.map_err(BoxError::from).boxed()))
    }
}

/// The addresses of a name that may be dialled.
async fn resolve(networks: Networks, name: Name) -> io::Result<vec::IntoIter<SocketAddr>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    let allowed = networks.sift(name.as_str(), found, SocketAddr::ip);
    allowed.map(Vec::into_iter).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// What does not take too long.
async fn in_time<T>(url: &Url, work: impl Future<Output = T>) -> Result<T, Problem> {
    let late = |_| Problem::Passing(unavailable(url, &format!("nothing came for {} s", PIECE.as_secs())));
    timeout(PIECE, work).await.map_err(late)
}

/// A URL without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    shown.into()
}

fn unavailable(url: &Url, why: &str) -> Failure {
    Failure::new(Code::SourceUnavailable, format!("{} cannot be fetched: {why}", shown(url)))
}

fn answered(url: &Url, status: StatusCode) -> Problem {
    Problem::Passing(unavailable(url, &format!("the server answers with {status}")))
}

/// With everything that led to it: the outermost error says only in which layer it happened, and names the URL.
fn passing(url: &Url, error: &(dyn Error + 'static)) -> Problem {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    Problem::Passing(unavailable(url, &cause.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn refused(url: &str, networks: &str) -> String {
        let downloader = Downloader::new(Networks::read(networks).unwrap());
        let url = Url::parse(url).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let mut file = File::create(folder.path().join("f")).unwrap();
        match downloader.download(&url, "", &mut file).await.unwrap_err() {
            Problem::Final(failure) => format!("final {}", failure.code),
            Problem::Passing(failure) => format!("passing {failure}"),
        }
    }

    #[tokio::test]
    async fn what_may_not_be_asked_is_not_asked() {
        assert_eq!(refused("https://127.0.0.1:1/a", "").await, "final SOURCE_REFUSED");
        assert_eq!(refused("http://example.com/a", "").await, "final SOURCE_REFUSED");
        let named = refused("https://localhost:1/a?token=x", "").await;
        assert!(named.contains("localhost is not a public address") && !named.contains("token"), "{named}");
        let dialled = refused("https://127.0.0.1:1/a", "127.0.0.0/8").await;
        assert!(dialled.contains("refused") && dialled.contains("SOURCE_UNAVAILABLE"), "{dialled}");
    }

    #[test]
    fn what_may_be_secret_is_not_shown() {
        let url = Url::parse("https://u:p@example.com/a.tar.gz?X-Amz-Signature=s#f").unwrap();
        assert_eq!(shown(&url), "https://example.com/a.tar.gz");
    }
}
