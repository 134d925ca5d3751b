//! Folders to run programs in.

use std::{
    fs,
    path::{Path, PathBuf},
};

/// Attributes of a composition of one second without a timeline.
pub const SECOND: &str = "data-no-timeline data-duration=\"1\"";
/// A Render's spec that asks for the fastest encoding.
pub const DRAFT: &str = "  output: {quality: draft}\n";

/// Like [`DRAFT`], in chunks of so many frames.
pub fn draft_in_chunks(frames: u32) -> String {
    format!("{DRAFT}  chunking: {{chunkSize: {frames}}}\n")
}

/// The checkout.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// A composition among the fixtures.
pub fn fixture(name: &str) -> PathBuf {
    root().join("tests/fixtures").join(name)
}

/// A composition among the examples.
pub fn example(name: &str) -> PathBuf {
    root().join("examples").join(name).join("project")
}

/// A folder of its own for one test, gone afterwards.
pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::Builder::new().prefix("hf-test-").tempdir().unwrap())
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    pub fn join(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    /// Writes a file, creating its folder.
    pub fn write(&self, path: &str, content: &str) -> PathBuf {
        let path = self.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        path
    }

    /// A project with this body in a 320×180 composition root.
    pub fn project(&self, name: &str, attributes: &str, body: &str) -> PathBuf {
        self.project_of_size(name, (320, 180), attributes, body)
    }

    /// The same of another size.
    pub fn project_of_size(&self, name: &str, (width, height): (u32, u32), attributes: &str, body: &str) -> PathBuf {
        let html = format!(
            "<!doctype html>\n<html><head><meta charset=\"utf-8\"></head><body>\n\
             <div data-composition-id=\"main\" data-width=\"{width}\" data-height=\"{height}\" style=\"font-family: sans-serif\" {attributes}>\n{body}\n</div>\n</body></html>\n"
        );
        self.write(&format!("{name}/index.html"), &html).parent().unwrap().to_owned()
    }

    /// A Render of a project beside it.
    pub fn render(&self, file: &str, name: &str, spec: &str) -> PathBuf {
        let text = format!(
            "apiVersion: hyperframes.io/v1alpha1\nkind: Render\nmetadata:\n  name: {name}\nspec:\n  source: {{path: site}}\n{spec}"
        );
        self.write(file, &text)
    }

    /// Names of everything in a folder, sorted; none if it is not there.
    pub fn list(&self, path: &str) -> Vec<String> {
        list(&self.join(path))
    }
}

impl Default for Folder {
    fn default() -> Self {
        Self::new()
    }
}

/// Names of everything in a folder, sorted; none if it is not there.
pub fn list(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<_> = entries.map(|entry| entry.file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

/// Copies a folder.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().flatten() {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
