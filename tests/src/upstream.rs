//! Upstream's own client, from npm.

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use sha2::{Digest as _, Sha256};

use crate::{bins::tool, fixture::root};

/// The folder of its modules; installed when it is needed first.
pub fn client_modules() -> PathBuf {
    let package = fs::read_to_string(root().join("tests/upstream-client/package.json")).unwrap();
    let cache = PathBuf::from(env::var_os("HF_UPSTREAM_DIR").expect("HF_UPSTREAM_DIR: run `make test`, which sets it"));
    let folder = cache.with_file_name("upstream-client").join(&hex::encode(Sha256::digest(&package))[..16]);
    let modules = folder.join("node_modules");
    if !modules.is_dir() {
        install(&package, &folder);
    }
    modules
}

/// Beside its place first: one that is there is whole.
fn install(package: &str, folder: &Path) {
    let parent = folder.parent().unwrap();
    fs::create_dir_all(parent).unwrap();
    let new = tempfile::tempdir_in(parent).unwrap();
    fs::write(new.path().join("package.json"), package).unwrap();
    let quiet = ["--ignore-scripts", "--legacy-peer-deps", "--no-audit", "--no-fund", "--loglevel=error"];
    let prefix = ["install", "--prefix", new.path().to_str().unwrap()];
    tool("npm", &[&prefix[..], &quiet[..]].concat());
    // Somebody else may have been faster.
    let _ = fs::rename(new.keep(), folder);
}

/// Runs a script of `tests/upstream-client` with Node.js.
pub fn node(script: &str) -> Command {
    let mut command = Command::new("node");
    command.arg(root().join("tests/upstream-client").join(script)).arg(client_modules());
    command
}
