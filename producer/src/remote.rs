//! What a composition names on the network: fetched while planning, kept in the plan, and served from there ever after.
//!
//! The page keeps its addresses. While planning, whatever it asks for is had from an npm package or from its address, and
//! recorded with the bytes; a chunk finds the same under the same address and reaches no network.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crds::{Code, Failure};
use futures::{StreamExt as _, stream::FuturesUnordered};
use nodejs_semver::Version;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tokio::sync::OnceCell;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    files,
    fonts::bundled,
    layout,
    plan::{css, project::RESERVED},
    settings::Settings,
};

mod addresses;
mod download;
mod google_fonts;
mod modules;
mod noto;
mod packages;

use addresses::{File, Wanted};
use download::{Downloader, Wish, refused};
pub(crate) use google_fonts::Asked;
use modules::Importer;
pub(crate) use noto::{Fallbacks, Written, is_seen, rank};
use packages::{Packages, Prefer};

/// What a compiled project has under other addresses than its own.
pub(crate) struct Remote {
    /// The compiled project.
    folder: PathBuf,
    /// Only while planning.
    fetcher: Option<Fetcher>,
    /// Planning has ended: whoever still has this gets no more than a chunk elsewhere would.
    recorded: AtomicBool,
    /// By address, without a fragment.
    answers: Mutex<HashMap<String, Cell>>,
}

type Cell = Arc<OnceCell<Result<Answer, Failure>>>;

/// The style sheet of a family, or why there is none.
type Sheet = Result<String, Failure>;

/// What is under an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Answer {
    /// A file of the compiled project, and its media type.
    File { file: String, kind: String },
    /// The same as under another address.
    At { location: String },
}

struct Fetcher {
    packages: Packages,
    downloader: Downloader,
    offline: bool,
    /// What deserves a word, each with its code.
    remarks: Mutex<BTreeSet<(&'static str, String)>>,
}

/// Whether an address is one of a server that gives out npm packages.
pub(crate) fn is_packaged(address: &str) -> bool {
    let address = if address.starts_with("//") { format!("https:{address}") } else { address.to_owned() };
    Url::parse(&address).is_ok_and(|url| Wanted::of(&url).is_some())
}

/// Fonts by name, which no address gives a version: of the packages' present major version.
const FONTS: &str = "5";

fn record_of(folder: &Path) -> PathBuf {
    folder.join(RESERVED).join("remote.json")
}

/// The folder of a compiled project in which there is one of each family that its browsers have besides the bundled ones.
pub(crate) fn fallbacks_of(folder: &Path) -> PathBuf {
    folder.join(RESERVED).join("fallbacks")
}

impl Remote {
    /// What a finished plan recorded.
    pub(crate) fn recorded(folder: &Path) -> Result<Self, crate::Error> {
        let record = record_of(folder);
        let answers: BTreeMap<String, Answer> = if record.exists() { layout::read(&record)? } else { BTreeMap::new() };
        let answers =
            answers.into_iter().map(|(address, answer)| (address, Arc::new(OnceCell::new_with(Some(Ok(answer))))));
        Ok(Self {
            folder: folder.to_owned(),
            fetcher: None,
            recorded: AtomicBool::new(true),
            answers: Mutex::new(answers.collect()),
        })
    }

    /// Fetches into a compiled project.
    pub(crate) fn fetching(folder: &Path, settings: &Settings) -> Self {
        let packages = Packages {
            assets: settings.assets.clone(),
            cache: settings.packages.clone(),
            registry: (!settings.offline).then(|| settings.registry.clone()),
            resolved: Mutex::default(),
        };
        let downloader = Downloader::new(settings.networks.clone());
        let fetcher = Fetcher { packages, downloader, offline: settings.offline, remarks: Mutex::default() };
        Self {
            folder: folder.to_owned(),
            fetcher: Some(fetcher),
            recorded: AtomicBool::new(false),
            answers: Mutex::default(),
        }
    }

    /// What is under an address.
    pub(crate) async fn answer(&self, url: &Url) -> Result<Answer, Failure> {
        let mut url = url.clone();
        url.set_fragment(None);
        let cell = Arc::clone(self.answers().entry(url.to_string()).or_default());
        cell.get_or_init(|| self.find(&url)).await.clone()
    }

    /// Why nothing is under an address; `None` if something is. What the page never asked us for is not there either.
    pub(crate) fn failure(&self, address: &str) -> Option<Failure> {
        let address = address.split('#').next().unwrap_or_default();
        let known = self.answers().get(address).and_then(|cell| cell.get().cloned());
        known.unwrap_or_else(|| Err(unreachable(address))).err()
    }

    /// The file of the compiled project that is under an address, and its media type.
    pub(crate) fn found(&self, address: &str) -> Option<(String, String)> {
        let address = address.split('#').next().unwrap_or_default();
        let known = self.answers().get(address).and_then(|cell| cell.get().cloned())?;
        match known.ok()? {
            Answer::File { file, kind } => Some((file, kind)),
            Answer::At { location } => self.found(&location),
        }
    }

    /// Fetches what is under some addresses, and what the style sheets among it name. What cannot be had is not there.
    pub(crate) fn fetch_all(
        &self,
        addresses: impl Iterator<Item = Url>,
        stop: &CancellationToken,
    ) -> Result<(), crate::Error> {
        let mut open: Vec<Url> = addresses.collect();
        if open.is_empty() {
            return Ok(());
        }
        let work = async {
            let mut seen: BTreeSet<Url> = open.iter().cloned().collect();
            let mut running = FuturesUnordered::new();
            loop {
                running.extend(open.drain(..).map(async |url| (self.answer(&url).await, url)));
                let Some((answer, url)) = running.next().await else { return };
                open.extend(
                    answer.iter().flat_map(|answer| self.named_in(answer, &url)).filter(|url| seen.insert(url.clone())),
                );
            }
        };
        wait(work, stop)
    }

    /// The addresses that lie behind an answer.
    fn named_in(&self, answer: &Answer, url: &Url) -> Vec<Url> {
        match answer {
            Answer::At { location } => location.parse().into_iter().collect(),
            Answer::File { file, kind } if kind.starts_with("text/css") => {
                let text = files::read_text(&self.folder.join(file)).unwrap_or_default();
                let urls = css::compile(&text).urls.into_iter().filter_map(|(address, _)| url.join(&address).ok());
                urls.filter(|url| ["http", "https"].contains(&url.scheme())).collect()
            }
            Answer::File { .. } => Vec::new(),
        }
    }

    /// A style sheet of each of these families that a package has; why the others are not to be had.
    pub(crate) fn families(
        &self,
        families: &[Asked],
        stop: &CancellationToken,
    ) -> Result<Vec<(String, Sheet)>, crate::Error> {
        let Some(fetcher) = self.fetcher.as_ref().filter(|_| !families.is_empty()) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        let all = families.iter().map(async |asked| (asked.family.clone(), fetcher.font(asked).await));
        let work = async { found = futures::future::join_all(all).await };
        wait(work, stop)?;
        Ok(found)
    }

    /// Puts fonts into the project that have these characters, as far as there are such, where its browsers find them. The answer
    /// is their families, each with those of the characters that it has, and why there are not more.
    pub(crate) fn fallbacks(
        &self,
        written: &Written,
        stop: &CancellationToken,
    ) -> Result<(Fallbacks, Option<String>), crate::Error> {
        let Some(fetcher) = &self.fetcher else { return Ok(Default::default()) };
        let mut found = Default::default();
        wait(async { found = noto::fonts(fetcher, written).await }, stop)?;
        let (fonts, why) = found;
        let mut families = Fallbacks::new();
        for noto::Font { family, name, content, has } in fonts {
            let folder = fallbacks_of(&self.folder).join(&family);
            files::create_dir(&folder)?;
            files::write(&folder.join(format!("{name}.ttf")), content)?;
            families.entry(family).or_default().extend(has);
        }
        Ok((families, why))
    }

    /// Writes what was found beside it, for chunks. From now on nothing else is found.
    pub(crate) fn record(&self) -> Result<(), crate::Error> {
        self.recorded.store(true, Ordering::Relaxed);
        let answers = self.answers();
        let found = answers.iter().filter_map(|(address, cell)| Some((address.as_str(), cell.get()?.as_ref().ok()?)));
        let found: BTreeMap<&str, &Answer> = found.collect();
        if !found.is_empty() {
            files::write(&record_of(&self.folder), layout::pretty(&found))?;
        }
        Ok(())
    }

    /// What deserves a word, foremost which versions were chosen where none was named exactly.
    pub(crate) fn remarks(&self) -> Vec<Failure> {
        let remarks = self.fetcher.as_ref().map(|fetcher| lock(&fetcher.remarks).clone()).unwrap_or_default();
        remarks.into_iter().filter_map(|(code, message)| Some(Failure::new(Code::of(code)?, message))).collect()
    }

    fn answers(&self) -> MutexGuard<'_, HashMap<String, Cell>> {
        lock(&self.answers)
    }

    async fn find(&self, url: &Url) -> Result<Answer, Failure> {
        let Some(fetcher) = self.fetcher.as_ref().filter(|_| !self.recorded.load(Ordering::Relaxed)) else {
            let message = format!(
                "{} was not asked for while planning: name it in index.html, as in <link rel=\"preload\" href=\"…\">",
                shown(url.as_str())
            );
            return Err(Failure::new(Code::RemoteAssetUnsupported, message));
        };
        if let Some(families) = Asked::of(url) {
            return self.fonts(fetcher, url, &families).await;
        }
        if let Some(wanted) = Wanted::of(url) {
            match fetcher.packaged(url, &wanted).await {
                Ok(Packaged::File(content, path)) => return self.keep(&content, kind_of(&path), url),
                Ok(Packaged::At(location)) => return Ok(Answer::At { location }),
                // The server itself may have more than the package, and be there where the registry is not.
                Err(failure) if fetcher.offline => return Err(failure),
                Err(failure) => return self.download(fetcher, url).await.map_err(|_| failure),
            }
        }
        if fetcher.offline {
            return Err(refused(url, "nothing is fetched (--offline)"));
        }
        self.download(fetcher, url).await
    }

    /// The style sheet of some families: from their packages, else from whoever has it.
    async fn fonts(&self, fetcher: &Fetcher, url: &Url, families: &[Asked]) -> Result<Answer, Failure> {
        let explained = |failure: Failure| {
            let names = families.iter().map(|asked| asked.family.as_str()).collect::<Vec<_>>().join(", ");
            let message = format!("the fonts {names} cannot be had: {}", failure.message);
            Failure::new(Code::FontFetchFailed, message)
        };
        match fetcher.sheet(families).await {
            Ok(css) => self.keep(css.as_bytes(), "text/css; charset=utf-8", url),
            Err(failure) if fetcher.offline => Err(explained(failure)),
            Err(failure) => self.download(fetcher, url).await.map_err(|_| explained(failure)),
        }
    }

    async fn download(&self, fetcher: &Fetcher, url: &Url) -> Result<Answer, Failure> {
        let io = |error: files::Error| Failure::new(error.code(), error.to_string());
        let folder = self.folder.join(RESERVED).join("remote");
        files::create_dir(&folder).map_err(io)?;
        let mut file = files::temporary_in(&folder).map_err(io)?;
        let wish = Wish { url, accept: "*/*", trusted: None };
        let got = fetcher.downloader.download(&wish, file.as_file_mut()).await?;
        let kind = got.kind.unwrap_or_else(|| kind_of(got.url.path()).to_owned());
        let name = format!("{RESERVED}/remote/{}{}", got.sha256, extension(got.url.path(), &kind));
        files::persist(file, &self.folder.join(&name)).map_err(io)?;
        let answer = Answer::File { file: name, kind };
        if got.url == *url {
            return Ok(answer);
        }
        // What a module or a style sheet names counts from where it was in the end.
        let location = got.url.to_string();
        let at = Arc::new(OnceCell::new_with(Some(Ok(answer))));
        self.answers().entry(location.clone()).or_insert(at);
        Ok(Answer::At { location })
    }

    fn keep(&self, content: &[u8], kind: &str, url: &Url) -> Result<Answer, Failure> {
        let digest = hex::encode(Sha256::digest(content));
        let file = format!("{RESERVED}/remote/{digest}{}", extension(url.path(), kind));
        let path = self.folder.join(&file);
        let write = || {
            files::create_dir(files::parent_of(&path))?;
            files::write(&path, content)
        };
        write().map_err(|error: files::Error| Failure::new(error.code(), error.to_string()))?;
        Ok(Answer::File { file, kind: kind.to_owned() })
    }
}

/// What a package has for an address.
enum Packaged {
    /// Content and path in the package.
    File(bytes::Bytes, String),
    At(String),
}

impl Fetcher {
    async fn packaged(&self, url: &Url, wanted: &Wanted) -> Result<Packaged, Failure> {
        let Wanted { package: name, version: asked, file, wiring } = wanted;
        let package = self.packages.get(&self.downloader, name, asked, Prefer::Newest).await?;
        if asked.parse::<Version>().is_err() {
            let version = &package.version;
            let asked = if asked.is_empty() { name.clone() } else { format!("{name}@{asked}") };
            let message = format!("{asked} is {version} now: write {name}@{version} for the same always");
            lock(&self.remarks).insert((Code::VersionNotPinned.as_str(), message));
        }
        let path = package.path_of(file).ok_or_else(|| {
            let what = if matches!(file, File::Module(_)) { "no ES module" } else { "nothing" };
            let message = format!("{name} {} has {what} for {url}: name a file that the package has", package.version);
            Failure::new(Code::AssetMissing, message)
        })?;
        if matches!(file, File::Module(_)) && modules::is_code(&path) {
            let module = Importer { package: &package, path: &path, wiring };
            let explained = |why: Failure| {
                let message = format!("{} cannot be had: {}", download::shown(url), why.message);
                Failure::new(why.code, message)
            };
            let text = self.module(url, module).await.map_err(explained)?;
            return Ok(Packaged::File(text.into(), path));
        }
        // What a module names counts from its own place.
        if *file != File::Path(path.clone()) && url.host_str() == Some("unpkg.com") {
            return Ok(Packaged::At(format!("https://unpkg.com/{name}@{}/{path}", package.version)));
        }
        let content = package.file(&path).unwrap_or_default();
        Ok(Packaged::File(content, path))
    }

    /// The style sheet of some families. Bundled faces are in the page anyway.
    async fn sheet(&self, families: &[Asked]) -> Result<String, Failure> {
        let mut css = String::new();
        for asked in families.iter().filter(|asked| !asked.is_bundled()) {
            match self.font(asked).await {
                Ok(sheet) => css += &(sheet + &asked.rule()),
                // Its usual faces are there all the same.
                Err(failure) if bundled(&asked.family).is_some() => {
                    let message = format!("of {} only the bundled faces are used: {}", asked.family, failure.message);
                    lock(&self.remarks).insert((Code::FontFetchFailed.as_str(), message));
                }
                Err(failure) => return Err(failure),
            }
        }
        Ok(css)
    }

    async fn font(&self, asked: &Asked) -> Result<String, Failure> {
        let mut missing: Option<Failure> = None;
        for name in asked.packages() {
            match (self.font_of(&name, asked).await, missing) {
                (Ok(css), None) => return Ok(css),
                (Ok(css), Some(Failure { message, .. })) => {
                    let message =
                        format!("{} has no weights between those of its static fonts: {message}", asked.family);
                    lock(&self.remarks).insert((Code::FontFetchFailed.as_str(), message));
                    return Ok(css);
                }
                (Err(failure), _) => missing = Some(failure),
            }
        }
        Err(missing.unwrap_or_else(|| Failure::new(Code::FontFetchFailed, format!("no package has {}", asked.family))))
    }

    async fn font_of(&self, name: &str, asked: &Asked) -> Result<String, Failure> {
        let package = self.packages.get(&self.downloader, name, FONTS, Prefer::Local).await?;
        asked.css(&package).ok_or_else(|| {
            let message = format!("{} {} has no such face of {}", package.name, package.version, asked.family);
            Failure::new(Code::FontFetchFailed, message)
        })
    }
}

/// Runs until it is done or the process is asked to stop.
fn wait(work: impl Future<Output = ()>, stop: &CancellationToken) -> Result<(), crate::Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(files::Error::Read)?;
    let done = runtime.block_on(async {
        tokio::select! {
            () = work => true,
            () = stop.cancelled() => false,
        }
    });
    runtime.shutdown_background();
    if done { Ok(()) } else { Err(crate::draw::browser::Error::Interrupted.into()) }
}

/// The npm package that an address means.
pub(crate) fn package_at(address: &str) -> Option<String> {
    Wanted::of(&Url::parse(address).ok()?).map(|wanted| wanted.package)
}

/// An address without what may be secret in it.
pub(crate) fn shown(address: &str) -> String {
    Url::parse(address).map_or_else(|_| address.to_owned(), |url| download::shown(&url))
}

fn unreachable(address: &str) -> Failure {
    let address = shown(address);
    let message = format!("the composition asks for {address}, which is not fetched: copy it into the project");
    Failure::new(Code::RemoteAssetUnsupported, message)
}

fn kind_of(path: &str) -> &'static str {
    mime_guess::from_path(path).first_raw().unwrap_or("application/octet-stream")
}

/// An ending for a file's name, by which others tell what it is.
fn extension(path: &str, kind: &str) -> String {
    let known = Path::new(path).extension().and_then(|extension| extension.to_str());
    let known = known.filter(|known| known.len() <= 8 && known.chars().all(|c| c.is_ascii_alphanumeric()));
    let kind = kind.split(';').next().unwrap_or_default();
    let usual = || Some(*mime_guess::get_mime_extensions_str(kind)?.first()?);
    known.or_else(usual).map(|extension| format!(".{extension}")).unwrap_or_default()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
