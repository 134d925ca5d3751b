//! npm packages: from the folder that `make assets` filled, from the cache of earlier plans, else from the registry.
//!
//! Whatever a package comes from, its bytes are compared with what pins it: the digest in `assets.toml`, or the registry's own
//! `dist.integrity`, which names the file in the cache.

use std::{
    collections::HashMap,
    io::{Cursor, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use base64::Engine as _;
use bytes::Bytes;
use crds::{Code, Failure};
use nodejs_semver::{Range, Version};
use serde::Deserialize;
use sha2::{Digest as _, Sha512};
use tokio::{sync::OnceCell, task::spawn_blocking};
use url::Url;
use walkdir::WalkDir;

use super::{
    addresses::File,
    download::{Downloader, Wish},
    modules::{Scan, scan},
};
use crate::{
    files::{self, Scratch},
    plan::assets,
};

/// The largest package, unpacked, in bytes.
const LARGEST: u64 = 1 << 30;

/// Where packages come from.
pub(super) struct Packages {
    /// The folder that `make assets` filled.
    pub(super) assets: PathBuf,
    /// The folder of what earlier plans fetched.
    pub(super) cache: PathBuf,
    /// `None`: only what is on this machine.
    pub(super) registry: Option<Url>,
    /// By name and what was asked for.
    pub(super) resolved: Mutex<HashMap<(String, String), Resolved>>,
}

type Resolved = Arc<OnceCell<Result<Arc<Package>, Failure>>>;

/// Where a version is to be looked for first.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// What npm would take: the registry knows the newest.
    Newest,
    /// What is on this machine, if it will do.
    Local,
}

/// The part of the registry's answer that is needed (npm's abbreviated metadata).
#[derive(Deserialize)]
struct Packument {
    #[serde(rename = "dist-tags", default)]
    tags: HashMap<String, String>,
    #[serde(default)]
    versions: HashMap<String, Release>,
}

#[derive(Deserialize)]
struct Release {
    dist: Dist,
}

#[derive(Deserialize)]
struct Dist {
    tarball: String,
    #[serde(default)]
    integrity: String,
}

impl Packages {
    /// A package. `asked`: a version, a range or a tag; nothing for the newest.
    pub(super) async fn get(
        &self,
        downloader: &Downloader,
        name: &str,
        asked: &str,
        prefer: Prefer,
    ) -> Result<Arc<Package>, Failure> {
        let key = (name.to_owned(), asked.to_owned());
        let cell = Arc::clone(self.resolved.lock().unwrap_or_else(PoisonError::into_inner).entry(key).or_default());
        cell.get_or_init(|| self.find(downloader, name, asked, prefer)).await.clone()
    }

    async fn find(
        &self,
        downloader: &Downloader,
        name: &str,
        asked: &str,
        prefer: Prefer,
    ) -> Result<Arc<Package>, Failure> {
        let local = self.local(name, asked);
        let exact = asked.parse::<Version>().is_ok();
        if let (Some(version), true) = (&local, exact || prefer == Prefer::Local)
            && let Some(package) = self.unpacked(name, version).await
        {
            return Ok(package);
        }
        let error = match self.fetch(downloader, name, asked).await {
            Ok(package) => return Ok(package),
            Err(error) => error,
        };
        // What the registry does not have is not there; where it cannot be asked, an older one may do.
        match local {
            Some(version) if error.code != Code::AssetMissing => self.unpacked(name, &version).await.ok_or(error),
            _ => Err(error),
        }
    }

    /// The newest version on this machine that will do.
    fn local(&self, name: &str, asked: &str) -> Option<String> {
        let pinned = assets::versions_of(name).filter(|version| assets::archive(&self.assets, name, version).is_some());
        let folder = self.cache.join(folder_of(name));
        let cached = WalkDir::new(folder).min_depth(1).max_depth(1).into_iter().flatten();
        let cached = cached.filter_map(|entry| entry.file_name().to_str().map(str::to_owned));
        newest(pinned.map(str::to_owned).chain(cached), asked)
    }

    /// A version on this machine, if it is as pinned.
    async fn unpacked(&self, name: &str, version: &str) -> Option<Arc<Package>> {
        let (assets, folder) = (self.assets.clone(), self.cache.join(folder_of(name)).join(version));
        let (name, version) = (name.to_owned(), version.to_owned());
        let read = move || {
            let pinned = assets::archive(&assets, &name, &version);
            let archive = pinned.or_else(|| cached(&folder))?;
            Package::unpack(&name, &version, &archive).ok().map(Arc::new)
        };
        spawn_blocking(read).await.ok().flatten()
    }

    async fn fetch(&self, downloader: &Downloader, name: &str, asked: &str) -> Result<Arc<Package>, Failure> {
        let wanted = if asked.is_empty() { name.to_owned() } else { format!("{name}@{asked}") };
        let explained = |why: &str| {
            let message = format!("the npm package {wanted} cannot be had: {why}");
            Failure::new(Code::RemoteAssetUnavailable, message)
        };
        let Some(registry) = &self.registry else {
            let message = format!(
                "the npm package {wanted} is not on this machine, and nothing is fetched (--offline): plan once with the \
                 network, or copy the file into the project"
            );
            return Err(Failure::new(Code::RemoteAssetUnsupported, message));
        };
        let list = registry.join(&name.replace('/', "%2f")).map_err(|error| explained(&error.to_string()))?;
        let get = async |url: &Url, accept| {
            let mut bytes = Vec::new();
            let wish = Wish { url, accept, trusted: Some(registry) };
            let failed = |failure: Failure| Failure { message: explained(&failure.message).message, ..failure };
            downloader.download(&wish, &mut bytes).await.map(|_| bytes).map_err(failed)
        };
        let list = get(&list, "application/vnd.npm.install-v1+json, application/json").await?;
        let list: Packument = serde_json::from_slice(&list).map_err(|error| explained(&error.to_string()))?;
        let version = list.pick(asked).ok_or_else(|| {
            let message = format!("the npm registry has no {wanted}: name a version that it has");
            Failure::new(Code::AssetMissing, message)
        })?;
        if let Some(package) = self.unpacked(name, &version).await {
            return Ok(package);
        }
        let Dist { tarball, integrity } = &list.versions[&version].dist;
        let tarball = Url::parse(tarball).map_err(|error| explained(&error.to_string()))?;
        let digest = sha512_of(integrity).ok_or_else(|| explained("the registry does not say its SHA-512"))?;
        let archive = get(&tarball, "*/*").await?;
        if hex::encode(Sha512::digest(&archive)) != digest {
            return Err(explained("what came is not what the registry announces"));
        }
        let target = self.cache.join(folder_of(name)).join(&version).join(format!("{digest}.tgz"));
        let (cache, name) = (self.cache.clone(), name.to_owned());
        let unpack = move || {
            let package = Package::unpack(&name, &version, &archive)?;
            // A plan goes on without its cache.
            let _ = keep(&cache, &target, &archive);
            Ok(Arc::new(package))
        };
        let failed = |error: std::io::Error| explained(&error.to_string());
        spawn_blocking(unpack).await.map_err(|error| explained(&error.to_string()))?.map_err(failed)
    }
}

impl Packument {
    /// The version that npm would install.
    fn pick(&self, asked: &str) -> Option<String> {
        let tag = if asked.is_empty() { "latest" } else { asked };
        let tagged = |tag: &str| self.tags.get(tag).filter(|version| self.versions.contains_key(*version)).cloned();
        let latest = || tagged("latest").filter(|latest| newest([latest.clone()].into_iter(), asked).is_some());
        tagged(tag).or_else(latest).or_else(|| newest(self.versions.keys().cloned(), asked))
    }
}

/// The newest of some versions that will do.
fn newest(versions: impl Iterator<Item = String>, asked: &str) -> Option<String> {
    let range: Range = if ["", "latest"].contains(&asked) { Range::any() } else { asked.parse().ok()? };
    let parsed = versions.filter_map(|version| version.parse::<Version>().ok().map(|parsed| (parsed, version)));
    parsed.filter(|(parsed, _)| range.satisfies(parsed)).max_by(|a, b| a.0.cmp(&b.0)).map(|(_, version)| version)
}

fn folder_of(name: &str) -> String {
    name.replace('/', "+")
}

/// The archive in a version's folder that has the digest it is named by.
fn cached(folder: &Path) -> Option<Vec<u8>> {
    let mut found = WalkDir::new(folder).min_depth(1).max_depth(1).sort_by_file_name().into_iter().flatten();
    found.find_map(|entry| {
        let bytes = files::read_large(entry.path()).ok()?;
        let name = format!("{}.tgz", hex::encode(Sha512::digest(&bytes)));
        (entry.file_name() == &*name).then_some(bytes)
    })
}

/// Puts an archive into the cache, whole. Others may be doing the same.
fn keep(cache: &Path, target: &Path, archive: &[u8]) -> files::Result<()> {
    files::create_dir(files::parent_of(target))?;
    let mut scratch = Scratch::new(cache, "fetch-")?;
    let finished = scratch.path().join("archive");
    files::write(&finished, archive)?;
    scratch.publish(&finished, target)
}

/// The hexadecimal SHA-512 in a `dist.integrity` (W3C, Subresource Integrity).
fn sha512_of(integrity: &str) -> Option<String> {
    let digest = integrity.split_whitespace().find_map(|digest| digest.strip_prefix("sha512-"))?;
    let digest = base64::engine::general_purpose::STANDARD.decode(digest).ok()?;
    (digest.len() == Sha512::output_size()).then(|| hex::encode(digest))
}

/// A package, unpacked in memory.
#[derive(Debug)]
pub(super) struct Package {
    pub(super) name: String,
    pub(super) version: String,
    tar: Bytes,
    /// Offset and length of each file in `tar`, by its path in the package.
    files: HashMap<String, (usize, usize)>,
    /// Of the files that were looked into, by path.
    scans: Mutex<HashMap<String, Arc<Scan>>>,
    /// Those that work as modules as they are, and those that do not, by path.
    pub(super) alone: Mutex<HashMap<String, bool>>,
}

impl Package {
    fn unpack(name: &str, version: &str, archive: &[u8]) -> std::io::Result<Self> {
        let mut tar = Vec::new();
        flate2::read::GzDecoder::new(archive).take(LARGEST).read_to_end(&mut tar)?;
        let mut files = HashMap::new();
        for entry in tar::Archive::new(Cursor::new(&tar)).entries()? {
            let entry = entry?;
            let path = entry.path()?;
            // npm leaves out the first folder, whatever it is called.
            let inside = path.to_str().and_then(|path| path.split_once('/')).map(|(_, inside)| inside.to_owned());
            let place = usize::try_from(entry.raw_file_position()).ok().zip(usize::try_from(entry.size()).ok());
            if let (true, Some(inside), Some(place)) = (entry.header().entry_type().is_file(), inside, place) {
                files.insert(inside, place);
            }
        }
        Ok(Self {
            name: name.to_owned(),
            version: version.to_owned(),
            tar: tar.into(),
            files,
            scans: Mutex::default(),
            alone: Mutex::default(),
        })
    }

    /// A file's content.
    pub(super) fn file(&self, path: &str) -> Option<Bytes> {
        let (start, size) = *self.files.get(path)?;
        (start + size <= self.tar.len()).then(|| self.tar.slice(start..start + size))
    }

    /// The path of what is asked for.
    pub(super) fn path_of(&self, wanted: &File) -> Option<String> {
        match wanted {
            File::Path(path) => self.like(path),
            File::Ending(ending) => {
                let exact = ["", "dist/", "build/", "lib/", "umd/"].map(|folder| format!("{folder}{ending}"));
                let exact = exact.into_iter().find(|path| self.files.contains_key(path));
                let ending = format!("/{ending}");
                let shortest = || {
                    let all = self.files.keys().filter(|path| path.ends_with(&ending));
                    all.min_by_key(|path| (path.len(), path.as_str())).cloned()
                };
                // Some servers make the smaller file themselves.
                let larger = || {
                    let larger = ending[1..].replacen(".min.", ".", 1);
                    (larger != ending[1..]).then(|| self.path_of(&File::Ending(larger)))?
                };
                exact.or_else(shortest).or_else(larger)
            }
            File::Main(fields) => {
                let named = fields.iter().find_map(|field| self.manifest().get(*field)?.as_str().map(str::to_owned));
                self.like(named.as_deref().unwrap_or("index.js").trim_start_matches("./"))
            }
            File::Module(entry) => self.module(entry),
        }
    }

    /// A path as it stands, or as package servers complete it: they make `x.min.js` of `x.js`, and leave out endings.
    pub(super) fn like(&self, path: &str) -> Option<String> {
        let plain = path.replace(".min.", ".");
        let ways = [path.to_owned(), plain, format!("{path}.js"), format!("{path}.mjs"), format!("{path}/index.js")];
        ways.into_iter().find(|path| self.files.contains_key(path))
    }

    /// What is imported and exported in a file, as a browser's module.
    pub(super) fn scan(&self, path: &str) -> Arc<Scan> {
        let mut scans = self.scans.lock().unwrap_or_else(PoisonError::into_inner);
        let scanned = || Arc::new(scan(&self.text(path)));
        Arc::clone(scans.entry(path.to_owned()).or_insert_with(scanned))
    }

    /// A file's text as it is.
    pub(super) fn written(&self, path: &str) -> String {
        String::from_utf8_lossy(&self.file(path).unwrap_or_default()).into_owned()
    }

    pub(super) fn manifest(&self) -> serde_json::Map<String, serde_json::Value> {
        self.file("package.json").and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    fn archive(files: &[(&str, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast()));
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o644);
            header.set_cksum();
            builder.append_data(&mut header, format!("package/{path}"), content.as_bytes()).unwrap();
        }
        builder.into_inner().unwrap().finish().unwrap()
    }

    /// Puts a package into a cache.
    pub(crate) fn cache(cache: &Path, name: &str, version: &str, files: &[(&str, &str)]) {
        let archive = archive(files);
        let file = format!("{}.tgz", hex::encode(Sha512::digest(&archive)));
        keep(cache, &cache.join(folder_of(name)).join(version).join(file), &archive).unwrap();
    }

    #[test]
    fn versions_are_what_npm_takes() {
        let versions = ["1.0.0", "1.2.0", "2.0.0-rc.1", "2.0.0", "3.0.0-beta.1"].map(str::to_owned);
        let release = || Release { dist: Dist { tarball: String::new(), integrity: String::new() } };
        let tags = [("latest", "1.2.0"), ("next", "3.0.0-beta.1")].map(|(tag, version)| (tag.into(), version.into()));
        let list = Packument { tags: tags.into(), versions: versions.into_iter().map(|v| (v, release())).collect() };
        for (asked, version) in [
            ("", Some("1.2.0")),
            ("latest", Some("1.2.0")),
            ("next", Some("3.0.0-beta.1")),
            ("1", Some("1.2.0")),
            ("1.0", Some("1.0.0")),
            (">=1", Some("1.2.0")),
            ("^2", Some("2.0.0")),
            ("2.0.0-rc.1", Some("2.0.0-rc.1")),
            ("4", None),
            ("nightly", None),
        ] {
            assert_eq!(list.pick(asked).as_deref(), version, "{asked}");
        }
    }

    #[test]
    fn files_are_found_as_package_servers_find_them() {
        let package = archive(&[
            ("package.json", r#"{"main":"lib/a.js","jsdelivr":"./dist/a.min.js"}"#),
            ("lib/a.js", "a"),
            ("dist/a.js", "b"),
            ("build/player/deep.js", "c"),
        ]);
        let package = Package::unpack("x", "1.0.0", &package).unwrap();
        let path = |file: File| package.path_of(&file);
        assert_eq!(path(File::Main(&["jsdelivr", "main"])).as_deref(), Some("dist/a.js"));
        assert_eq!(path(File::Main(&["unpkg", "main"])).as_deref(), Some("lib/a.js"));
        assert_eq!(path(File::Path("lib/a".into())).as_deref(), Some("lib/a.js"));
        assert_eq!(path(File::Path("../a".into())), None);
        assert_eq!(path(File::Ending("a.js".into())).as_deref(), Some("dist/a.js"));
        assert_eq!(path(File::Ending("a.min.js".into())).as_deref(), Some("dist/a.js"));
        assert_eq!(path(File::Ending("deep.js".into())).as_deref(), Some("build/player/deep.js"));
        assert_eq!(package.file("lib/a.js").as_deref(), Some(&b"a"[..]));
    }

    #[test]
    fn what_is_kept_is_only_taken_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let digest = hex::encode(Sha512::digest("archive"));
        let target = folder.path().join("x/1.0.0").join(format!("{digest}.tgz"));
        for _ in 0..2 {
            keep(folder.path(), &target, b"archive").unwrap();
        }
        assert_eq!(cached(target.parent().unwrap()).as_deref(), Some(&b"archive"[..]));
        files::write(&target, "changed").unwrap();
        assert_eq!(cached(target.parent().unwrap()), None);
        let integrity =
            format!("sha1-x sha512-{}", base64::engine::general_purpose::STANDARD.encode(Sha512::digest("archive")));
        assert_eq!(sha512_of(&integrity), Some(digest));
        assert_eq!(sha512_of("sha512-YQ=="), None);
    }
}
