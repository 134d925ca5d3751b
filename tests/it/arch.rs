use std::{
    collections::{BTreeMap, BTreeSet},
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

/// What a crate must never know, so that no image links what it does not need.
#[test]
fn crates_stay_ignorant_of_what_is_not_their_business() {
    let forbidden = [
        ("crds", &["tokio", "hyper", "aws", "jiff"] as &[_]),
        ("producer", &["kube", "aws"]),
        ("handler", &["kube"]),
        ("operator", &["chromiumoxide", "ffmpeg", "producer"]),
    ];
    for (name, words) in forbidden {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).unwrap();
        let dependencies = manifest.split("[dependencies]").nth(1).unwrap().split("\n[").next().unwrap();
        for line in dependencies.lines() {
            let dependency = line.split(['.', ' ', '=']).next().unwrap();
            // The API types of Kubernetes are crds' business; its client is nobody's but the operator's.
            let known = dependency == "kube-cel" || name == "crds" && dependency == "kube";
            assert!(known || words.iter().all(|word| !dependency.starts_with(word)), "{name} may not use {dependency}");
        }
    }
}

/// Longest file, longest function, longest `main.rs`, in lines.
const FILE: usize = 300;
const FUNCTION: usize = 60;
const MAIN: usize = 40;

/// Files and functions that are longer. Entries may only be made smaller or taken out.
const LONGER: [(&str, usize); 0] = [];

#[test]
fn files_and_functions_stay_short() {
    let longer: BTreeMap<_, _> = LONGER.into();
    let mut found = Vec::new();
    for path in sources() {
        let text = fs::read_to_string(&path).unwrap();
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        let limit = if path.ends_with("main.rs") && !name.starts_with("tests") { MAIN } else { FILE };
        let limit = longer.get(name.as_str()).copied().unwrap_or(limit);
        let lines = text.lines().count();
        if lines > limit {
            found.push(format!("{name} has {lines} lines"));
        }
        found.extend(long_functions(&text).into_iter().map(|function| format!("{name}: {function}")));
    }
    assert!(found.is_empty(), "split these: {found:#?}");
}

/// Functions as rustfmt writes them: from `fn` to the brace at the same depth. A trait's declarations end in `;`.
fn long_functions(text: &str) -> Vec<String> {
    let lines: Vec<_> = text.lines().collect();
    let mut long = Vec::new();
    for (start, line) in lines.iter().enumerate() {
        let trimmed = line.trim_start();
        let words = trimmed.split("fn ").next().unwrap_or_default();
        let is_function = trimmed.contains("fn ")
            && words
                .split_whitespace()
                .all(|word| word.starts_with("pub") || ["async", "const", "unsafe"].contains(&word));
        if !is_function {
            continue;
        }
        let signature_end = lines[start..].iter().find(|line| line.ends_with(['{', ';']));
        if signature_end.is_none_or(|line| line.ends_with(';')) {
            continue;
        }
        let end = format!("{}}}", " ".repeat(line.len() - trimmed.len()));
        let length = lines[start..].iter().position(|line| *line == end).map_or(0, |length| length + 1);
        if length > FUNCTION {
            long.push(format!("{} has {length} lines", trimmed.split('(').next().unwrap()));
        }
    }
    long
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
    let allowed = ["producer/src/browser/launch.rs", "operator/src/local/process.rs"];
    let mut found: Vec<_> = sources()
        .into_iter()
        .filter(|path| fs::read_to_string(path).unwrap().contains("expect(unsafe_code"))
        .map(|path| path.strip_prefix(root()).unwrap().display().to_string())
        .filter(|path| !path.starts_with("tests"))
        .collect();
    found.sort();
    let mut allowed = allowed.to_vec();
    allowed.sort_unstable();
    assert_eq!(found, allowed);
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
