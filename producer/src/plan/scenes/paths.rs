//! What the addresses in a sub-composition's file mean in the document it becomes a part of.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// What need not be escaped in a path.
const ESCAPED: AsciiSet =
    NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'_').remove(b'.').remove(b'~').remove(b'!').remove(b'*');

/// An address in a file of the project as it is written from the project's folder, where that is something else: one that
/// leads upwards, or to a file beside that file. Any other is meant from the project's folder already (upstream's rule).
pub(super) fn rebased(file: &str, address: &str, exists: impl Fn(&str) -> bool) -> Option<String> {
    let address = address.trim();
    let folder = folder_of(file)?;
    let end = address.find(['?', '#']).unwrap_or(address.len());
    let (path, suffix) = address.split_at(end);
    let has_scheme = path.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/'));
    if path.is_empty() || path.starts_with('/') || has_scheme {
        return None;
    }
    let path = percent_decode_str(path).decode_utf8_lossy();
    let beside = joined(folder, &path);
    let upwards = path == ".." || path.starts_with("../");
    (upwards || exists(&beside)).then(|| format!("{}{suffix}", utf8_percent_encode(&beside, &ESCAPED)))
}

/// The files that the address of a sub-composition may mean, best first: from the project's folder, then from that of the
/// file that names it.
pub(super) fn candidates(file: &str, address: &str) -> Vec<String> {
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decode_str(path.trim()).decode_utf8_lossy();
    let folders = std::iter::once("").chain(folder_of(file));
    folders.map(|folder| joined(folder, &path)).collect()
}

fn folder_of(file: &str) -> Option<&str> {
    file.rsplit_once('/').map(|(folder, _)| folder)
}

/// A path from a folder, without dots. It cannot lead out of the project.
fn joined(folder: &str, path: &str) -> String {
    let mut names: Vec<&str> = if path.starts_with('/') { Vec::new() } else { folder.split('/').collect() };
    for name in path.split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name),
        }
    }
    names.retain(|name| !name.is_empty());
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_those_of_the_project() {
        let exists = |path: &str| ["scenes/a b.png", "scenes/img/c.png"].contains(&path);
        for (address, expected) in [
            ("../logo.svg", Some("logo.svg")),
            ("../../up.svg", Some("up.svg")),
            ("a%20b.png?v=1#x", Some("scenes/a%20b.png?v=1#x")),
            ("./img/c.png", Some("scenes/img/c.png")),
            ("assets/d.png", None),
            ("/a.png", None),
            ("#g", None),
            ("data:image/png;base64,../x", None),
            ("https://x/../y", None),
            ("", None),
        ] {
            assert_eq!(rebased("scenes/x.html", address, exists).as_deref(), expected, "{address}");
        }
        assert_eq!(rebased("x.html", "../a.png", exists), None, "a file in the project's folder");
    }

    #[test]
    fn sub_compositions_are_looked_for_in_two_places() {
        assert_eq!(candidates("scenes/x.html", "./y.html"), ["y.html", "scenes/y.html"]);
        assert_eq!(candidates("index.html", "scenes/y.html"), ["scenes/y.html"]);
        assert_eq!(candidates("a/b/x.html", "../y.html"), ["y.html", "a/y.html"]);
    }
}
