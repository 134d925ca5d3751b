//! One file from the network: bounded in time, size and number, from addresses that may be dialled, redirects judged anew.

use std::{
    io::{self, Write},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
    vec,
};

use bytes::Bytes;
use crds::{Code, Failure, Networks};
use futures::StreamExt as _;
use http_body_util::{BodyDataStream, BodyExt as _, Empty, combinators::BoxBody};
use hyper::{
    Request, Response,
    header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, LOCATION, USER_AGENT},
};
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{HttpConnector, dns::Name},
    },
    rt::TokioExecutor,
};
use sha2::{Digest as _, Sha256};
use tokio::{
    sync::{OnceCell, Semaphore},
    time::timeout,
};
use tokio_rustls::rustls::{ClientConfig, crypto::aws_lc_rs};
use tower::{BoxError, service_fn};
use url::{Host, Url};

/// How long one file may take,
const WHOLE: Duration = Duration::from_mins(5);
/// a connection,
const CONNECT: Duration = Duration::from_secs(10);
/// and an answer, or its next piece.
const PIECE: Duration = Duration::from_secs(30);
/// The largest file, in bytes.
const LARGEST: u64 = 512 << 20;
/// All files of a plan together, in bytes.
const ALL: u64 = 2 << 30;
/// Files of a plan.
const MOST: u32 = 4000;
/// Files at the same time.
const AT_ONCE: usize = 8;
/// Redirects that are followed.
const REDIRECTS: usize = 5;

/// Downloads what one plan needs.
pub(super) struct Downloader {
    networks: Networks,
    tls: OnceCell<ClientConfig>,
    bytes: AtomicU64,
    files: AtomicU32,
    at_once: Semaphore,
}

/// What was downloaded.
pub(super) struct Downloaded {
    /// Where it was in the end.
    pub(super) url: Url,
    /// Its media type, as the server says.
    pub(super) kind: Option<String>,
    /// In hexadecimal.
    pub(super) sha256: String,
}

/// What is asked for.
pub(super) struct Wish<'a> {
    pub(super) url: &'a Url,
    pub(super) accept: &'static str,
    /// A server that may have any address, for whoever runs this program has named it.
    pub(super) trusted: Option<&'a Url>,
}

impl Downloader {
    /// From public addresses and these networks.
    pub(super) fn new(networks: Networks) -> Self {
        let (bytes, files) = (AtomicU64::new(0), AtomicU32::new(0));
        Self { networks, tls: OnceCell::new(), bytes, files, at_once: Semaphore::new(AT_ONCE) }
    }

    /// Writes what is there to `to`.
    ///
    /// # Errors
    /// `REMOTE_ASSET_REFUSED` for what is never fetched, `ASSET_MISSING` for what is not there, else
    /// `REMOTE_ASSET_UNAVAILABLE`.
    pub(super) async fn download(&self, wish: &Wish<'_>, to: &mut (impl Write + Send)) -> Result<Downloaded, Failure> {
        let _turn = self.at_once.acquire().await;
        if self.files.fetch_add(1, Ordering::Relaxed) >= MOST {
            return Err(refused(wish.url, &format!("the composition asks for more than {MOST} files")));
        }
        let late = || unavailable(wish.url, &format!("not done within {} min", WHOLE.as_secs() / 60));
        timeout(WHOLE, self.fetch(wish, to)).await.unwrap_or_else(|_| Err(late()))
    }

    async fn fetch(&self, wish: &Wish<'_>, to: &mut (impl Write + Send)) -> Result<Downloaded, Failure> {
        let (url, answer) = self.follow(wish).await?;
        let header = |name| answer.headers().get(name).and_then(|value| value.to_str().ok());
        let kind = header(CONTENT_TYPE).map(str::to_owned);
        let too_large = |size: u64| {
            let all = self.bytes.load(Ordering::Relaxed).saturating_add(size);
            (size > LARGEST || all > ALL).then(|| {
                let (largest, all) = (LARGEST >> 20, ALL >> 30);
                refused(wish.url, &format!("a file may have {largest} MiB, and all of a composition's {all} GiB"))
            })
        };
        if let Some(failure) = header(CONTENT_LENGTH).and_then(|length| too_large(length.parse().ok()?)) {
            return Err(failure);
        }
        let mut pieces = BodyDataStream::new(answer.into_body());
        let (mut hash, mut size) = (Sha256::new(), 0_u64);
        while let Some(piece) = in_time(wish.url, pieces.next()).await? {
            let piece = piece.map_err(|error| failed(wish.url, &*error))?;
            size = size.saturating_add(piece.len() as u64);
            if let Some(failure) = too_large(size) {
                return Err(failure);
            }
            hash.update(&piece);
            to.write_all(&piece).map_err(|error| Failure::new(Code::IoFailed, error.to_string()))?;
        }
        self.bytes.fetch_add(size, Ordering::Relaxed);
        Ok(Downloaded { url, kind, sha256: hex::encode(hash.finalize()) })
    }

    /// The answer of whoever has it in the end, and where that is.
    async fn follow(&self, wish: &Wish<'_>) -> Result<(Url, Answer), Failure> {
        let mut next = wish.url.clone();
        for _ in 0..=REDIRECTS {
            if next.scheme() != "https" && (next.scheme() != "http" || wish.url.scheme() == "https") {
                return Err(refused(wish.url, "it leads to an address without https"));
            }
            let trusted = wish.trusted.is_some_and(|trusted| trusted.origin() == next.origin());
            if !trusted {
                self.networks.judge(&next).map_err(|why| refused(wish.url, &why))?;
            }
            let networks = (!trusted).then(|| self.networks.clone());
            let asked = in_time(wish.url, self.ask(&next, wish.accept, networks)).await?;
            let answer = asked.map_err(|error| failed(wish.url, &*error))?;
            let status = answer.status();
            if status.is_success() {
                return Ok((next, answer));
            }
            if !status.is_redirection() {
                let code = if status.is_client_error() { Code::AssetMissing } else { Code::RemoteAssetUnavailable };
                return Err(Failure::new(code, format!("the server of {} answers {status}", shown(wish.url))));
            }
            let location = answer.headers().get(LOCATION).and_then(|to| to.to_str().ok());
            next = location
                .and_then(|to| next.join(to).ok())
                .ok_or_else(|| refused(wish.url, "it leads to no address"))?;
        }
        Err(refused(wish.url, &format!("it leads on more than {REDIRECTS} times")))
    }

    /// One request, over a connection of its own. No proxy is asked: it would resolve names itself, and reach what we may not.
    async fn ask(&self, url: &Url, accept: &str, networks: Option<Networks>) -> Result<Answer, BoxError> {
        let resolver = service_fn(move |name: Name| resolve(networks.clone(), name));
        let mut plain = HttpConnector::new_with_resolver(resolver);
        plain.enforce_http(false);
        plain.set_connect_timeout(Some(CONNECT));
        let tls = self.tls.get_or_try_init(roots).await?.clone();
        let connector =
            HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().wrap_connector(plain);
        let client: Client<_, Empty<Bytes>> = Client::builder(TokioExecutor::new()).build(connector);
        let agent = concat!("hyperframes-operator/", env!("CARGO_PKG_VERSION"));
        let request = Request::get(url.as_str()).header(USER_AGENT, agent).header(ACCEPT, accept);
        let answer = client.request(request.body(Empty::new())?).await?;
        Ok(answer.map(|body| body.map_err(BoxError::from).boxed()))
    }
}

/// What a server answers.
type Answer = Response<BoxBody<Bytes, BoxError>>;

/// The system's, as they are now.
async fn roots() -> Result<ClientConfig, BoxError> {
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    Ok(config.with_safe_default_protocol_versions()?.with_native_roots()?.with_no_client_auth())
}

/// The addresses of a name that may be dialled; all of them, where no networks are given.
async fn resolve(networks: Option<Networks>, name: Name) -> io::Result<vec::IntoIter<SocketAddr>> {
    let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
    let Some(networks) = networks else { return Ok(found.collect::<Vec<_>>().into_iter()) };
    let allowed = networks.sift(name.as_str(), found, SocketAddr::ip);
    allowed.map(Vec::into_iter).map_err(|why| io::Error::new(io::ErrorKind::PermissionDenied, why))
}

/// What does not take too long.
async fn in_time<T>(url: &Url, work: impl Future<Output = T>) -> Result<T, Failure> {
    let late = |_| unavailable(url, &format!("nothing came for {} s", PIECE.as_secs()));
    timeout(PIECE, work).await.map_err(late)
}

/// An address without what may be secret in it.
pub(super) fn shown(url: &Url) -> String {
    let mut shown = url.clone();
    shown.set_query(None);
    shown.set_fragment(None);
    let _ = shown.set_username("").and_then(|()| shown.set_password(None));
    shown.into()
}

pub(super) fn refused(url: &Url, why: &str) -> Failure {
    let message = format!("{} is not fetched: {why}; copy the file into the project", shown(url));
    Failure::new(Code::RemoteAssetUnsupported, message)
}

fn unavailable(url: &Url, why: &str) -> Failure {
    let message = format!("{} cannot be fetched: {why}; copy the file into the project, or try again", shown(url));
    Failure::new(Code::RemoteAssetUnavailable, message)
}

/// With what led to it: the outermost error says only in which layer it happened, and names the URL.
fn failed(url: &Url, error: &(dyn std::error::Error + 'static)) -> Failure {
    let mut cause = error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    let judged = cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::PermissionDenied);
    let why = cause.to_string();
    if judged && !matches!(url.host(), Some(Host::Ipv4(_) | Host::Ipv6(_))) {
        refused(url, &why)
    } else {
        unavailable(url, &why)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn told(url: &str, networks: &str, trusted: Option<&str>) -> String {
        let downloader = Downloader::new(Networks::read(networks).unwrap());
        let (url, trusted) = (Url::parse(url).unwrap(), trusted.map(|url| Url::parse(url).unwrap()));
        let wish = Wish { url: &url, accept: "*/*", trusted: trusted.as_ref() };
        let failure = downloader.download(&wish, &mut Vec::new()).await.err().unwrap();
        failure.to_string()
    }

    #[tokio::test]
    async fn what_may_not_be_dialled_is_not_dialled() {
        for url in [
            "http://169.254.169.254/latest/meta-data/",
            "https://10.0.0.1/a.png",
            "https://[::1]/a.png",
            "https://2130706433/a.png",
            "https://localhost:1/a.png?token=secret",
        ] {
            let told = told(url, "", None).await;
            assert!(told.starts_with("REMOTE_ASSET_UNSUPPORTED") && told.contains("not a public address"), "{told}");
            assert!(!told.contains("secret"), "{told}");
        }
        assert!(told("ftp://example.com/a", "", None).await.contains("without https"));
        // Whoever runs this may name networks, and a server.
        for (networks, trusted) in [("127.0.0.0/8", None), ("", Some("http://127.0.0.1:1/"))] {
            let told = told("http://127.0.0.1:1/a.png", networks, trusted).await;
            assert!(told.starts_with("REMOTE_ASSET_UNAVAILABLE"), "{told}");
        }
    }
}
