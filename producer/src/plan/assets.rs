//! The npm packages the producer is made with: embedded ones, and ones served from the cache folder.

use std::{path::Path, sync::LazyLock};

use sha2::{Digest as _, Sha256};

use crate::files;

mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

#[derive(serde::Deserialize)]
struct Assets {
    package: Vec<Package>,
}

/// A package of `assets.toml`.
#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    sha256: String,
}

static PACKAGES: LazyLock<Vec<Package>> = LazyLock::new(|| {
    let assets: Result<Assets, _> = toml::from_str(include_str!("../../assets.toml"));
    assets.unwrap_or_else(|error| unreachable!("the build read the same file: {error}")).package
});

/// The published runtime's script.
pub(crate) fn runtime() -> &'static [u8] {
    embedded("@hyperframes/core/dist/hyperframe.runtime.iife.js")
}

/// The published code of effects of sound, a module.
pub(crate) fn effects() -> &'static [u8] {
    embedded("@hyperframes/core/dist/generated/audio-fx-runtime-inline.js")
}

fn embedded(name: &str) -> &'static [u8] {
    let found = embedded::EMBEDDED.iter().find(|(embedded, _)| *embedded == name);
    found.unwrap_or_else(|| unreachable!("{name} is in assets.toml")).1
}

/// The versions of a package that `make assets` fetches.
pub(crate) fn versions_of(name: &str) -> impl Iterator<Item = &'static str> {
    PACKAGES.iter().filter(move |package| package.name == name).map(|package| package.version.as_str())
}

/// The archive of a package in the folder that `make assets` filled, if it is there and as pinned.
pub(crate) fn archive(folder: &Path, name: &str, version: &str) -> Option<Vec<u8>> {
    let package = PACKAGES.iter().find(|package| package.name == name && package.version == version)?;
    let archive = folder.join(format!("{}-{version}.tgz", name.trim_start_matches('@').replace('/', "-")));
    let bytes = files::read_large(&archive).ok()?;
    (hex::encode(Sha256::digest(&bytes)) == package.sha256).then_some(bytes)
}
