use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use serde_json::Value;
use tests::{bins::tool, fixture::root};

/// Which crate may use which, complete.
const EDGES: [(&str, &str); 4] =
    [("handler", "crds"), ("handler", "producer"), ("operator", "crds"), ("producer", "crds")];

#[test]
fn crates_know_only_whom_they_may() {
    let manifest = root().join("Cargo.toml");
    let arguments =
        ["metadata", "--format-version=1", "--no-deps", "--offline", "--manifest-path", manifest.to_str().unwrap()];
    let metadata: Value = serde_json::from_str(&tool(env!("CARGO"), &arguments)).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let names: BTreeSet<_> = packages.iter().map(|package| package["name"].as_str().unwrap()).collect();
    assert_eq!(names, BTreeSet::from(["crds", "handler", "operator", "producer", "tests"]));
    for package in packages.iter().filter(|package| package["name"] != "tests") {
        let from = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let to = dependency["name"].as_str().unwrap();
            assert!(!names.contains(to) || EDGES.contains(&(from, to)), "{from} may not use {to}");
        }
    }
}

#[test]
fn the_image_is_built_with_the_pinned_toolchain() {
    let read = |file: &str| fs::read_to_string(root().join(file)).unwrap();
    let pinned = read("rust-toolchain.toml");
    let pinned = pinned.lines().find_map(|line| line.strip_prefix("channel = \"")?.strip_suffix(".0\"")).unwrap();
    assert!(read("Dockerfile").contains(&format!("FROM rust:{pinned}-slim-bookworm AS programs\n")), "{pinned}");
}

#[test]
fn every_source_file_is_part_of_a_module() {
    for path in sources().into_iter().filter(|path| path.components().any(|part| part.as_os_str() == "src")) {
        let stem = path.file_stem().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap();
        if ["lib", "main"].contains(&stem) || folder.ends_with("bin") {
            continue;
        }
        let parent = if folder.ends_with("src") { folder.join("lib.rs") } else { folder.with_extension("rs") };
        let text = fs::read_to_string(&parent).unwrap_or_default();
        assert!(text.contains(&format!("mod {stem};")), "{} is in no module", path.display());
    }
}

/// Where code may be unsafe, each place with its reason beside it.
#[test]
fn unsafe_code_stands_where_it_may() {
    let allowed = [
        "producer/src/draw/browser/launch.rs",
        "producer/src/draw/browser/shared_memory.rs",
        "producer/src/libav/encode.rs",
        "producer/src/libav/pictures.rs",
        "producer/src/libav/source.rs",
    ];
    let mut found: Vec<_> = sources()
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("expect(unsafe_code"))
        .map(|path| path.strip_prefix(root()).unwrap().display().to_string())
        .filter(|path| !path.starts_with("tests"))
        .collect();
    found.sort();
    assert_eq!(found, allowed);
}

/// Each of the faults of other renderers has a test, or a reason why it has none.
#[test]
fn every_check_names_tests_that_exist() {
    let table = fs::read_to_string(root().join("docs/checks.md")).unwrap();
    let rows: Vec<_> = table.lines().filter(|line| line.starts_with("| R")).collect();
    for (number, row) in (1..).zip(&rows) {
        assert!(row.starts_with(&format!("| R{number:02} |")), "{row}");
    }
    assert_eq!(rows.len(), 49);
    let functions: String = sources().iter().map(|file| fs::read_to_string(file).unwrap()).collect();
    for row in rows {
        let here = row.rsplit('|').nth(1).unwrap();
        for name in here.split('`').skip(1).step_by(2).filter(|name| name.contains('_')) {
            assert!(functions.contains(&format!("fn {name}(")), "{row}: there is no {name}");
        }
    }
}

/// All Rust files of the crates.
fn sources() -> Vec<PathBuf> {
    let mut files = Vec::new();
    for name in ["crds", "handler", "operator", "producer", "tests"] {
        collect(&root().join(name), &mut files);
    }
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            collect(&path, files);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
}
