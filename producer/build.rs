//! Embeds the npm files that `assets.toml` lists, from the cache folder, after comparing each package's SHA-256.

#![expect(
    clippy::disallowed_methods,
    clippy::panic,
    reason = "a build script has only its environment, and can only stop"
)]

use std::{collections::HashMap, env, fmt::Write as _, fs, io::Read as _, path::PathBuf};

use sha2::{Digest as _, Sha256};

#[derive(serde::Deserialize)]
struct Assets {
    package: Vec<Package>,
}

#[derive(serde::Deserialize)]
struct Package {
    name: String,
    version: String,
    sha256: String,
    #[serde(default)]
    embed: Vec<String>,
}

fn main() {
    println!("cargo::rerun-if-changed=assets.toml");
    println!("cargo::rerun-if-env-changed=HF_ASSETS_DIR");
    let folder = assets_dir();
    let assets: Assets = toml::from_str(&fs::read_to_string("assets.toml").expect("assets.toml")).expect("assets.toml");
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut index = String::from("pub(super) static EMBEDDED: &[(&str, &[u8])] = &[\n");
    for package in assets.package.iter().filter(|package| !package.embed.is_empty()) {
        let files = unpack(&folder, package);
        for path in &package.embed {
            let name = format!("{}/{path}", package.name);
            let copy = name.replace('/', "_");
            fs::write(out.join(&copy), &files[path]).expect("writing to OUT_DIR");
            writeln!(index, "    ({name:?}, include_bytes!({copy:?})),").expect("a String takes everything");
        }
    }
    index.push_str("];\n");
    fs::write(out.join("embedded.rs"), index).expect("writing to OUT_DIR");
}

/// The same folder as the Makefile's and the program's.
fn assets_dir() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
    let default = || Some(cache()?.join("hyperframes-operator/assets"));
    set("HF_ASSETS_DIR").or_else(default).expect("HOME or HF_ASSETS_DIR must be set")
}

fn unpack(folder: &std::path::Path, package: &Package) -> HashMap<String, Vec<u8>> {
    let archive =
        folder.join(format!("{}-{}.tgz", package.name.trim_start_matches('@').replace('/', "-"), package.version));
    println!("cargo::rerun-if-changed={}", archive.display());
    let bytes = fs::read(&archive).unwrap_or_else(|error| panic!("{}: {error}: run `make assets`", archive.display()));
    let digest: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(
        digest,
        package.sha256,
        "{} is not the pinned package: remove it and run `make assets`",
        archive.display()
    );
    let mut files = HashMap::new();
    for entry in tar::Archive::new(flate2::read::GzDecoder::new(&*bytes)).entries().expect("a tar archive") {
        let mut entry = entry.expect("a tar entry");
        let path = entry.path().expect("a path").to_string_lossy().into_owned();
        if let Some(path) =
            path.strip_prefix("package/").filter(|path| package.embed.iter().any(|wanted| wanted == path))
        {
            let mut content = Vec::new();
            entry.read_to_end(&mut content).expect("a whole entry");
            files.insert(path.to_owned(), content);
        }
    }
    files
}
