//! Where the files of a project refer to others: for messages about an address, which only the browser tells.

use std::{collections::HashMap, path::Path};

use crds::{Code, Failure};
use percent_encoding::percent_decode_str;

use crate::draw::server::ORIGIN;

/// Every address that is written in a project, with the place where first.
#[derive(Debug, Default)]
pub(crate) struct References(HashMap<String, (String, u32)>);

impl References {
    /// Notes an address written in a file of the project.
    pub(crate) fn note(&mut self, file: &str, address: &str, line: u32) {
        self.note_from(file, address, (file, line));
    }

    /// Notes an address that counts from one file and is written in another.
    pub(crate) fn note_from(&mut self, base: &str, address: &str, (file, line): (&str, u32)) {
        // Images in the document itself are nobody's to miss, and may be large.
        if !address.starts_with("data:") {
            self.0.entry(resolved(base, address)).or_insert_with(|| (file.to_owned(), line));
        }
    }

    /// A failure about an address that the browser asked for, with the place where it is written, if it is.
    pub(crate) fn failure(&self, code: Code, address: &str, message: impl FnOnce(&str) -> String) -> Failure {
        let path = address.strip_prefix(ORIGIN);
        let resolved = resolved("", path.unwrap_or(address));
        let mut failure = Failure::new(code, message(if path.is_some() { &resolved } else { address }));
        if let Some((path, line)) = self.0.get(&resolved) {
            (failure.path, failure.line) = (Some(path.clone()), Some(*line).filter(|line| *line > 0));
        }
        failure
    }

    /// Files our server had not.
    pub(crate) fn missing<'a>(&self, addresses: impl IntoIterator<Item = &'a String>) -> Vec<Failure> {
        let failure = |address: &String| {
            self.failure(Code::AssetMissing, address, |path| {
                format!("{path:?} is not in the project: put it there, or take the reference out")
            })
        };
        addresses.into_iter().map(failure).collect()
    }

    /// Addresses outside the project that nothing is under, each with the reason.
    pub(crate) fn external(&self, refused: Vec<(&str, Failure)>) -> Vec<Failure> {
        let placed =
            |(address, Failure { code, message, .. }): (&str, Failure)| self.failure(code, address, |_| message);
        refused.into_iter().map(placed).collect()
    }
}

/// An address as a path in the project; one that leads elsewhere as it stands, without `http:` or `https:`, which may be
/// the document's.
pub(crate) fn resolved(file: &str, address: &str) -> String {
    let public = ["https:", "http:"].iter().find_map(|scheme| address.strip_prefix(scheme)).unwrap_or(address);
    if public.starts_with("//") {
        return public.to_owned();
    }
    if address.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/')) {
        return address.to_owned();
    }
    let path = address.split(['?', '#']).next().unwrap_or_default();
    let path = percent_decode_str(path).decode_utf8_lossy();
    let folder = Path::new(file).parent().unwrap_or(Path::new(""));
    let mut names = Vec::new();
    for name in folder.join(&*path).to_string_lossy().split('/') {
        match name {
            "" | "." => {}
            ".." => drop(names.pop()),
            name => names.push(name.to_owned()),
        }
    }
    names.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_of_what_the_browser_asked_for_is_found() {
        let mut references = References::default();
        references.note("index.html", "img/a%20b.png?v=1", 3);
        references.note("css/site.css", "../img/c.png", 7);
        references.note("css/site.css", "/d.png", 8);
        references.note("index.html", "//cdn.example/x.js", 9);
        let place = |address: &str| {
            let failure = references.failure(Code::AssetMissing, address, str::to_owned);
            (failure.path.unwrap_or_default(), failure.line.unwrap_or_default(), failure.message)
        };
        let here = |file: &str, line, path: &str| (file.to_owned(), line, path.to_owned());
        assert_eq!(place(&format!("{ORIGIN}img/a%20b.png?v=1")), here("index.html", 3, "img/a b.png"));
        assert_eq!(place(&format!("{ORIGIN}img/c.png")), here("css/site.css", 7, "img/c.png"));
        assert_eq!(place(&format!("{ORIGIN}d.png")), here("css/site.css", 8, "d.png"));
        assert_eq!(place("https://cdn.example/x.js"), here("index.html", 9, "https://cdn.example/x.js"));
        assert_eq!(place(&format!("{ORIGIN}e.png")), here("", 0, "e.png"));
    }
}
