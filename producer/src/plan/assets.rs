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
    /// Its files stand in for those at the addresses where such packages are published.
    #[serde(default)]
    scripts: bool,
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
    /// The version that was asked for.
    asked: String,
}

impl Replacement {
    /// What stands in for an address, if anything: the version it names, else the newest of the same major version.
    pub(crate) fn of(address: &str) -> Option<Self> {
        let (name, asked, file) = published(address)?;
        let newest_first = || PACKAGES.iter().filter(|package| package.scripts && package.name == name);
        let major = |version: &str| version.split('.').next().unwrap_or_default().to_owned();
        let same_major =
            |package: &&Package| ["", "latest"].contains(&asked) || major(&package.version) == major(asked);
        let package =
            newest_first().find(|package| package.version == asked).or_else(|| newest_first().find(same_major))?;
        Some(Self { package, file: file.to_owned(), asked: asked.to_owned() })
    }

    /// What is to be said of it: that it is of another version than was asked for.
    pub(crate) fn remark(&self) -> Option<String> {
        let Package { name, version, .. } = self.package;
        let exact = [version.as_str(), "", "latest"].contains(&self.asked.as_str())
            || version.starts_with(&format!("{}.", self.asked));
        (!exact).then(|| {
            format!(
                "{name} {version} stands in for {}: ask for {version}, or copy the other into the project",
                self.asked
            )
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

/// Package, version (or nothing) and file that an address of a public package server names.
fn published(address: &str) -> Option<(&str, &str, &str)> {
    let address = address.split(['?', '#']).next().unwrap_or_default();
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("//"))?;
    if let Some(rest) = rest.strip_prefix("cdnjs.cloudflare.com/ajax/libs/") {
        let (name, rest) = rest.split_once('/')?;
        let (version, file) = rest.split_once('/')?;
        return Some((name, version, file));
    }
    let rest = rest.strip_prefix("cdn.jsdelivr.net/npm/").or_else(|| rest.strip_prefix("unpkg.com/"))?;
    let (package, file) = rest.split_once("/dist/")?;
    let (name, version) = package.split_once('@').unwrap_or((package, ""));
    Some((name, version, file))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn public_addresses_of_gsap_are_known() {
        for (address, path, remarked) in [
            ("https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js", Some("__hf/gsap-3.14.2/gsap.min.js"), false),
            ("https://unpkg.com/gsap@3/dist/gsap.min.js?x=1", Some("__hf/gsap-3.14.2/gsap.min.js"), false),
            ("https://unpkg.com/gsap/dist/gsap.min.js", Some("__hf/gsap-3.14.2/gsap.min.js"), false),
            ("//cdnjs.cloudflare.com/ajax/libs/gsap/3.12.2/gsap.min.js", Some("__hf/gsap-3.12.2/gsap.min.js"), false),
            (
                "https://cdnjs.cloudflare.com/ajax/libs/gsap/3.9.1/gsap.min.js",
                Some("__hf/gsap-3.14.2/gsap.min.js"),
                true,
            ),
            ("https://cdn.jsdelivr.net/npm/gsap@2.1.3/dist/gsap.min.js", None, false),
            ("https://cdn.jsdelivr.net/npm/other@3.14.2/dist/gsap.min.js", None, false),
            ("https://example.com/gsap@3.14.2/dist/gsap.min.js", None, false),
            ("gsap.min.js", None, false),
        ] {
            let replacement = Replacement::of(address);
            assert_eq!(replacement.as_ref().map(Replacement::path).as_deref(), path, "{address}");
            let remark = replacement.and_then(|replacement| replacement.remark());
            assert_eq!(remark.is_some(), remarked, "{address}: {remark:?}");
        }
    }

    #[test]
    fn a_missing_cache_says_how_to_fill_it() {
        let gsap = Replacement::of("https://unpkg.com/gsap@3.14.2/dist/gsap.min.js").unwrap();
        let error = gsap.content(Path::new("/nonexistent")).unwrap_err();
        assert!(error.to_string().contains("run `make assets`"), "{error}");
    }
}
