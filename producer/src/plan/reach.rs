//! Which files of a project its composition opens, as far as they say so themselves.

use std::collections::{BTreeMap, HashSet};

/// The references between files, by file.
#[derive(Debug, Default)]
pub(crate) struct Reach(BTreeMap<String, Vec<String>>);

impl Reach {
    /// Notes that a file names others.
    pub(crate) fn note(&mut self, file: &str, others: impl IntoIterator<Item = String>) {
        self.0.entry(file.to_owned()).or_default().extend(others);
    }

    /// Everything that these files lead to, with themselves.
    pub(crate) fn from<'a>(&'a self, files: impl IntoIterator<Item = &'a str>) -> HashSet<&'a str> {
        let mut open: Vec<&str> = files.into_iter().collect();
        let mut reached = HashSet::new();
        while let Some(file) = open.pop() {
            if reached.insert(file) {
                open.extend(self.0.get(file).into_iter().flatten().map(String::as_str));
            }
        }
        reached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_lead_to_others() {
        let mut reach = Reach::default();
        reach.note("index.html", ["a.css".to_owned(), "gone.png".to_owned()]);
        reach.note("a.css", ["b.css".to_owned()]);
        reach.note("b.css", ["a.css".to_owned()]);
        reach.note("draft.html", ["c.css".to_owned(), "b.css".to_owned()]);
        assert_eq!(reach.from(["index.html"]), HashSet::from(["index.html", "a.css", "b.css", "gone.png"]));
        assert_eq!(reach.from(["draft.html"]), HashSet::from(["draft.html", "c.css", "b.css", "a.css"]));
    }
}
