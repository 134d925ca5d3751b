//! The project as the browser will get it.

use std::{collections::BTreeSet, path::Path};

use crds::{Code, Failure};
use serde_json::{Map, Value, json};

use crate::{
    Error,
    error::{composition, composition_at},
    files,
    layout::canonical,
    plan::{
        assets::{self, Replacement},
        css,
        defects::refuse,
        fonts::Named,
        html::{self, Document, Inserts, Lines, Root},
        project::{self, ENTRY, Project, ProjectFile, RESERVED},
        references::References,
    },
};

/// What was learned while compiling.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) root: Root,
    /// Variable declarations as written, with their line.
    pub(crate) variables: Option<(String, u32)>,
    /// Some script registers a timeline.
    pub(crate) declares_timelines: bool,
    /// SHA-256 over the fonts put in, upstream's `fontSnapshotSha`.
    pub(crate) font_snapshot_sha: String,
    /// Families it names and declares.
    pub(crate) fonts: Named,
    /// Addresses it names.
    pub(crate) references: References,
    /// What deserves a word.
    pub(crate) remarks: Vec<Failure>,
}

/// Upstream's rule for glyph advances, on every element.
const TEXT_RENDERING: &str = "html,body,*{text-rendering:geometricPrecision}";

/// Writes `project` into the new folder `target`.
pub(crate) fn compile(project: &Project, target: &Path, cache: &Path) -> Result<Compiled, Error> {
    let mut step = Step {
        target,
        cache,
        replacements: BTreeSet::new(),
        fonts: Named::default(),
        references: References::default(),
        remarks: Vec::new(),
    };
    let mut entry = None;
    let mut declares_timelines = false;
    for file in &project.files {
        match extension(&file.path) {
            "css" => step.style_sheet(file)?,
            "html" | "htm" if file.path == ENTRY => entry = Some(file),
            "html" | "htm" => step.document(file, Inserts::default()).map(drop)?,
            "js" | "mjs" => {
                declares_timelines |= mentions_timelines(&String::from_utf8_lossy(&files::read(&file.source)?));
                files::copy(&file.source, &target.join(&file.path))?;
            }
            _ => files::copy(&file.source, &target.join(&file.path))?,
        }
    }
    let entry = entry.unwrap_or_else(|| unreachable!("a project has an entry"));
    // Compiled twice: only after the first time it is known which families the composition names and does not bring.
    let seen = step.document(entry, Inserts::default())?;
    declares_timelines |= mentions_timelines(&seen.text);
    let (faces, font_snapshot_sha) = step.faces()?;
    let first = format!("<style>{TEXT_RENDERING}{faces}</style>");
    let runtime = format!("{RESERVED}/runtime.js");
    step.put(&runtime, assets::runtime())?;
    let last = format!("<script src=\"/{runtime}\"></script>");
    let document = step.document(entry, Inserts { first: &first, last: &last })?;
    let no_root = || composition(Code::CompositionInvalid, "index.html has no element with data-composition-id");
    let root = document.root.ok_or_else(no_root)?;
    let Step { fonts, references, remarks, .. } = step;
    let variables = document.variables;
    Ok(Compiled { root, variables, declares_timelines, font_snapshot_sha, fonts, references, remarks })
}

fn mentions_timelines(script: &str) -> bool {
    script.contains("__timelines")
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

struct Step<'a> {
    target: &'a Path,
    cache: &'a Path,
    /// Paths already written.
    replacements: BTreeSet<String>,
    fonts: Named,
    references: References,
    remarks: Vec<Failure>,
}

impl Step<'_> {
    fn put(&self, path: &str, content: &[u8]) -> Result<(), files::Error> {
        let path = self.target.join(path);
        files::create_dir(path.parent().unwrap_or(self.target))?;
        files::write(&path, content)
    }

    fn style_sheet(&mut self, file: &ProjectFile) -> Result<(), Error> {
        let source = project::read_text(file)?;
        let sheet = css::compile(&source);
        let lines = Lines::of(&source);
        let stacks = sheet.stacks.into_iter().map(|(names, offset)| (names, lines.at(offset)));
        self.fonts.note(&file.path, &sheet.font_faces, stacks);
        for (url, offset) in sheet.urls {
            self.refer(&file.path, &url, lines.at(offset))?;
        }
        Ok(self.put(&file.path, sheet.text.as_bytes())?)
    }

    fn document(&mut self, file: &ProjectFile, inserts: Inserts<'_>) -> Result<Document, Error> {
        let replace = |address: &str| Replacement::of(address).map(|replacement| format!("/{}", replacement.path()));
        let document = html::compile(&project::read_text(file)?, inserts, &replace)
            .map_err(|reason| composition_at(Code::CompositionInvalid, format!("not HTML: {reason}"), &file.path, 0))?;
        let unsupported = document.unsupported.iter().map(|(feature, line)| {
            let message = format!("{feature} cannot be rendered yet: remove it");
            let (path, line) = (Some(file.path.clone()), Some(*line));
            Failure { code: Code::FeatureUnsupported, message, path, line }
        });
        refuse(unsupported.collect())?;
        for (url, line) in &document.references {
            self.refer(&file.path, url, *line)?;
        }
        for (address, line) in &document.replaced {
            let Some(replacement) = Replacement::of(address) else { continue };
            if self.replacements.insert(replacement.path()) {
                self.put(&replacement.path(), &replacement.content(self.cache)?)?;
                self.remarks.extend(replacement.remark().map(|message| {
                    let (path, line) = (Some(file.path.clone()), Some(*line));
                    Failure { code: Code::RemoteAssetUnsupported, message, path, line }
                }));
            }
        }
        self.fonts.note(&file.path, &document.font_faces, document.stacks.iter().cloned());
        self.put(&file.path, document.text.as_bytes())?;
        Ok(document)
    }

    /// The style sheet of the bundled faces the project names, and the digest of these fonts.
    fn faces(&self) -> Result<(String, String), Error> {
        use sha2::{Digest as _, Sha256};
        let (css, files) = self.fonts.declarations();
        let mut sizes = Map::new();
        for (path, content) in files {
            self.put(&path, content)?;
            sizes.insert(path, json!(content.len()));
        }
        Ok((css, hex::encode(Sha256::digest(canonical(&Value::Object(sizes))))))
    }

    /// Notes an address; an error if it leads out of the project.
    fn refer(&mut self, file: &str, url: &str, line: u32) -> Result<(), Error> {
        if !project::stays_inside(file, url) {
            let line = Some(line).filter(|line| *line > 0);
            return Err(project::Error::ReferenceOutside { path: file.to_owned(), line, url: url.to_owned() }.into());
        }
        self.references.note(file, url, line);
        Ok(())
    }
}
