//! The npm packages the producer is made with: embedded ones, and ones served from the cache folder.

use std::{collections::BTreeMap, io::Read as _, path::Path, sync::LazyLock};

use crate::{files, plan::project::RESERVED};

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// A package is not as pinned.
#[derive(Debug, thiserror::Error)]
#[error("{0}: run `make assets`, or set HF_ASSETS_DIR to the folder it filled")]
pub struct Error(String);

#[derive(serde::Deserialize)]
struct Assets {
    package: Vec<Package>,
}

/// A package of `assets.toml`.
#[derive(serde::Deserialize)]
pub(crate) struct Package {
    name: String,
    version: String,
    sha256: String,
    #[serde(default)]
    replaces: Vec<String>,
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let assets: Result<Assets, _> = toml::from_str(include_str!("../../assets.toml"));
    assets.unwrap_or_else(|error| unreachable!("the build read the same file: {error}")).package
});

/// The published runtime's script.
pub(crate) fn runtime() -> &'static [u8] {
    embedded("@hyperframes/core/dist/hyperframe.runtime.iife.js")
}

fn embedded(name: &str) -> &'static [u8] {
    let found = embedded::EMBEDDED.iter().find(|(embedded, _)| *embedded == name);
    found.unwrap_or_else(|| unreachable!("{name} is in assets.toml")).1
}

/// Which characters a subset of Inter has, as CSS `unicode-range`.
pub(crate) fn inter_range(subset: &str) -> String {
    let ranges: BTreeMap<String, String> = serde_json::from_slice(embedded("@fontsource/inter/unicode.json"))
        .unwrap_or_else(|error| unreachable!("the package's digest is pinned: {error}"));
    ranges.get(subset).cloned().unwrap_or_default()
}

/// A file of a cached package that stands in for a public address.
#[derive(Clone)]
pub(crate) struct Replacement {
    package: &'static Package,
    file: String,
}

impl Replacement {
    /// What stands in for an address, if anything.
    pub(crate) fn of(address: &str) -> Option<Self> {
        let address = address.strip_prefix("//").map_or_else(|| address.to_owned(), |rest| format!("https://{rest}"));
        PACKAGES.iter().find_map(|package| {
            let file = package.replaces.iter().find_map(|prefix| address.strip_prefix(prefix.as_str()))?;
            let plain = file.split(['?', '#']).next().unwrap_or_default();
            Some(Self { package, file: plain.to_owned() })
        })
    }

    /// Its path in a compiled project.
    pub(crate) fn path(&self) -> String {
        format!("{RESERVED}/{}-{}/{}", self.package.name, self.package.version, self.file)
    }

    /// Its content, from the cache folder.
    pub(crate) fn content(&self, cache: &Path) -> Result<Vec<u8>, Error> {
        let Package { name, version, sha256, .. } = self.package;
        let archive = cache.join(format!("{}-{version}.tgz", name.trim_start_matches('@').replace('/', "-")));
        let found = files::digest(&archive).map_err(|error| Error(error.to_string()))?;
        if found.1 != *sha256 {
            return Err(Error(format!("{} is not the pinned package", archive.display())));
        }
        let unreadable = |error: std::io::Error| Error(format!("{}: {error}", archive.display()));
        let bytes = files::read(&archive).map_err(|error| Error(error.to_string()))?;
        let wanted = Path::new("package/dist").join(&self.file);
        for entry in tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).entries().map_err(unreadable)? {
            let mut entry = entry.map_err(unreadable)?;
            if entry.path().is_ok_and(|path| path == wanted) {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).map_err(unreadable)?;
                return Ok(content);
            }
        }
        Err(Error(format!("{name} {version} has no file {}", self.file)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_two_common_addresses_of_gsap_are_known() {
        let path = |address| Replacement::of(address).map(|replacement| replacement.path());
        let jsdelivr = "https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js";
        assert_eq!(path(jsdelivr).unwrap(), "__hf/gsap-3.14.2/gsap.min.js");
        assert_eq!(
            path("//cdnjs.cloudflare.com/ajax/libs/gsap/3.12.2/gsap.min.js").unwrap(),
            "__hf/gsap-3.12.2/gsap.min.js"
        );
        assert_eq!(path("https://cdn.jsdelivr.net/npm/gsap@3.99.0/dist/gsap.min.js"), None);
    }

    #[test]
    fn a_missing_cache_says_how_to_fill_it() {
        let gsap = Replacement::of("https://unpkg.com/gsap@3.14.2/dist/gsap.min.js").unwrap();
        let error = gsap.content(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("run `make assets`"), "{error}");
    }
}
