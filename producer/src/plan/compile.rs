//! The project as the browser will get it.

use std::{
    collections::{BTreeSet, HashSet},
    path::Path,
};

use crds::{Code, Failure};
use serde_json::{Map, Value, json};
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::{
    Error,
    draw::server::ORIGIN,
    error::{composition, composition_at},
    files,
    layout::canonical,
    plan::{
        assets,
        css::{self, Sheet},
        defects::refuse,
        drawn::Lacking,
        fonts::Named,
        html::{self, Document, Inserts, Lines, Mounted, Root, Way},
        project::{self, ENTRY, Project, ProjectFile, RESERVED},
        reach::Reach,
        references::{References, resolved},
        scenes::{self, Site},
        variables::Declarations,
    },
    remote::{Asked, Remote, Written},
};

/// What was learned while compiling.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) root: Root,
    /// Variable declarations as written.
    pub(crate) variables: Vec<Declarations>,
    /// Some script registers a timeline.
    pub(crate) declares_timelines: bool,
    /// Some script may go on from frame to frame.
    pub(crate) goes_on: bool,
    /// Addresses of other hosts that it names.
    pub(crate) elsewhere: BTreeSet<Url>,
    /// SHA-256 over the fonts put in, upstream's `fontSnapshotSha`.
    pub(crate) font_snapshot_sha: String,
    /// Families it names and declares.
    pub(crate) fonts: Named,
    /// Addresses it names.
    pub(crate) references: References,
    /// What is wrong with documents that nothing is known to open.
    pub(crate) unopened: Vec<(String, Failure)>,
}

/// What scripts go on from frame to frame with: the page's own, and those of GSAP, Three.js and D3.
const STEPS: [&str; 7] =
    ["requestAnimationFrame", "setInterval", "setAnimationLoop", "ticker.add", "d3.timer", "d3.interval", "__hfD3"];

fn goes_on(script: &str) -> bool {
    STEPS.iter().any(|step| script.contains(step)) && !is_gsap(script)
}

/// Whether it is one minified file of GSAP's packages and nothing else, which goes on only with what another script asks of it.
pub(super) fn is_gsap(script: &str) -> bool {
    let banner = script.split_once("*/").map_or("", |(banner, _)| banner);
    let code = |line: &&str| !line.trim().is_empty() && !line.starts_with("//# sourceMappingURL=");
    let last = script.lines().rev().find(code).unwrap_or_default();
    banner.starts_with("/*!")
        && banner.contains("GreenSock")
        && script.matches("/*!").count() == 1
        && last.trim_end().ends_with(".default}});")
        && !registers_timelines(script)
}

/// Upstream's rule for glyph advances, on every element; and a caret that does not blink by the real clock.
const RENDERING: &str = "html{caret-animation:manual}html,body,*{text-rendering:geometricPrecision}";

/// Before the first script of a document that may look at its text.
const HOLD: &str = "<script>__hfProducer.holdForFonts()</script>";

/// Writes `project` into the folder `target`, as it is with these `variables`, and with what it lacked at a first look.
pub(crate) fn compile(
    project: &Project,
    target: &Path,
    remote: &Remote,
    (variables, lacking): (&Map<String, Value>, &Lacking),
    stop: &CancellationToken,
) -> Result<Compiled, Error> {
    let mut step = Step {
        target,
        remote,
        stop,
        paths: project.files.iter().map(|file| file.path.as_str()).collect(),
        elsewhere: BTreeSet::new(),
        fonts: Named::default(),
        references: References::default(),
        reach: Reach::default(),
    };
    let find = |path: &str| project.files.iter().find(|file| file.path == path);
    let entry = find(ENTRY).unwrap_or_else(|| unreachable!("a project has an entry"));
    let read = project.files.iter().map(Read::of).collect::<Result<Vec<_>, _>>()?;
    // Compiled twice: only after the first time it is known what it mounts, and which families it names and does not bring.
    let seen = document(entry, None, &Mounted::default())?;
    judge(&entry.path, &seen, &step.paths)?;
    step.note(&entry.path, &seen);
    let registering =
        project.files.iter().zip(&read).filter(|(_, read)| matches!(read, Read::Script { registers: true, .. }));
    let site = Site {
        files: step.paths.clone(),
        registering: registering.map(|(file, _)| file.path.as_str()).collect(),
        overrides: variables,
    };
    let goes_on = goes_on(&seen.text) || read.iter().any(Read::goes_on);
    let mut mounted_files = HashSet::new();
    let mounted = scenes::mount(&seen, &site, &mut |path| {
        mounted_files.insert(path.to_owned());
        let file = find(path).unwrap_or_else(|| unreachable!("{path} is a file of the project"));
        step.scene(file)
    })?;
    let (unopened, mut declares_timelines) = step.others(project, &read, &mounted_files)?;
    declares_timelines |= registers_timelines(&seen.text) || mounted.registers;
    step.look_for(lacking, &seen.language)?;
    let (faces, font_snapshot_sha) = step.fetch()?;
    for (path, content) in &mounted.files {
        step.put(path, content.as_bytes())?;
    }
    let runtime = format!("{RESERVED}/runtime.js");
    step.put(&runtime, assets::runtime())?;
    let first = format!("<style>{RENDERING}{faces}</style>");
    let last = format!("{}<script src=\"/{runtime}\"></script>", mounted.head);
    let inserts = Inserts { first: &first, last: &last, ahead: HOLD, end: &mounted.end };
    let document = document(entry, Some(inserts), &mounted)?;
    step.put(&entry.path, document.text.as_bytes())?;
    let root = document.root.ok_or_else(|| no_root(document.in_template))?;
    let own = document.variables.map(|(text, line)| Declarations { text, path: ENTRY.to_owned(), line });
    let variables = own.into_iter().chain(mounted.declarations).collect();
    let Step { elsewhere, fonts, references, .. } = step;
    Ok(Compiled {
        root,
        variables,
        declares_timelines,
        goes_on,
        elsewhere,
        font_snapshot_sha,
        fonts,
        references,
        unopened,
    })
}

fn no_root(in_template: Option<u32>) -> Error {
    let Some(line) = in_template else {
        return composition(Code::CompositionInvalid, "index.html has no element with data-composition-id");
    };
    let message = "the composition lies in a <template>, of which nothing is shown: take it out of there, or mount this file with \
                   data-composition-src in the index.html of a project";
    composition_at(Code::CompositionInvalid, message, ENTRY, line)
}

/// A file other than the entry, as far as it was read.
enum Read {
    Document(Box<Document>),
    Sheet {
        sheet: Sheet,
        lines: Lines,
    },
    Script {
        registers: bool,
        goes_on: bool,
    },
    /// To be copied; why it is no text, where it should be.
    Other(Option<Error>),
}

impl Read {
    fn of(file: &ProjectFile) -> Result<Self, Error> {
        Ok(match extension(&file.path) {
            "css" => match project::read_text(file) {
                Ok(source) => Self::Sheet { sheet: css::compile(&source), lines: Lines::of(&source) },
                Err(error) => Self::Other(Some(error)),
            },
            "html" | "htm" if file.path != ENTRY => match document(file, Some(Inserts::default()), &Mounted::default())
            {
                Ok(document) => Self::Document(Box::new(document)),
                Err(error) => Self::Other(Some(error)),
            },
            "js" | "mjs" => {
                let script = files::read(&file.source)?;
                let script = String::from_utf8_lossy(&script);
                Self::Script { registers: registers_timelines(&script), goes_on: goes_on(&script) }
            }
            _ => Self::Other(None),
        })
    }

    /// Whether a script in it may go on from frame to frame.
    fn goes_on(&self) -> bool {
        match self {
            Self::Document(document) => goes_on(&document.text),
            Self::Script { goes_on, .. } => *goes_on,
            Self::Sheet { .. } | Self::Other(_) => false,
        }
    }

    /// The addresses it names.
    fn addresses(&self) -> Vec<&str> {
        match self {
            Self::Document(document) => document.references.iter().map(|(address, _)| address.as_str()).collect(),
            Self::Sheet { sheet, .. } => sheet.urls.iter().map(|(address, _)| address.as_str()).collect(),
            Self::Script { .. } | Self::Other(_) => Vec::new(),
        }
    }
}

fn document(file: &ProjectFile, inserts: Option<Inserts<'_>>, mounted: &Mounted) -> Result<Document, Error> {
    html::compile(&project::read_text(file)?, Way { inserts, mounted })
        .map_err(|reason| composition_at(Code::CompositionInvalid, format!("not HTML: {reason}"), &file.path, 0))
}

/// Whether a script may register a timeline. One that only makes the object they are in does not.
pub(super) fn registers_timelines(script: &str) -> bool {
    const NAME: &str = "__timelines";
    const MADE: [&str; 5] = ["=T||{}", "=T??{}", "||={}", "??={}", "={}"];
    let makes_it = |statement: &str| {
        let dense: String = statement.chars().filter(|c| !c.is_whitespace()).collect();
        let dense = dense.replace("window.", "").replace(NAME, "T");
        dense.strip_prefix('T').is_some_and(|rest| MADE.contains(&rest))
    };
    let mut mentions = script.split([';', '\n']).filter(|statement| statement.contains(NAME));
    mentions.any(|statement| !makes_it(statement))
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|extension| extension.to_str()).unwrap_or_default()
}

struct Step<'a> {
    target: &'a Path,
    remote: &'a Remote,
    stop: &'a CancellationToken,
    /// Of every file of the project.
    paths: HashSet<&'a str>,
    /// Addresses of other hosts that it names.
    elsewhere: BTreeSet<Url>,
    fonts: Named,
    references: References,
    reach: Reach,
}

impl Step<'_> {
    fn put(&self, path: &str, content: &[u8]) -> Result<(), files::Error> {
        let path = self.target.join(path);
        files::create_dir(path.parent().unwrap_or(self.target))?;
        files::write(&path, content)
    }

    /// Every file but the entry. What only unopened documents need is not judged. Returns what is wrong with these, and
    /// whether a script registers a timeline.
    fn others(
        &mut self,
        project: &Project,
        read: &[Read],
        mounted: &HashSet<String>,
    ) -> Result<(Vec<(String, Failure)>, bool), Error> {
        let all = || project.files.iter().zip(read);
        for (file, read) in all().filter(|(file, _)| file.path != ENTRY) {
            self.reach.note(&file.path, read.addresses().into_iter().map(|address| resolved(&file.path, address)));
        }
        let reach = std::mem::take(&mut self.reach);
        let opened = reach.from([ENTRY]);
        let is_document = |file: &ProjectFile| ["html", "htm"].contains(&extension(&file.path)) && file.path != ENTRY;
        let lonely =
            all().map(|(file, _)| file).filter(|file| is_document(file) && !opened.contains(file.path.as_str()));
        let lonely: HashSet<&str> = lonely.map(|file| file.path.as_str()).collect();
        let aside = reach.from(lonely.iter().copied().filter(|path| !mounted.contains(*path)));
        let is_aside = |path: &str| lonely.contains(path) || (aside.contains(path) && !opened.contains(path));
        let (mut unopened, mut registers) = (Vec::new(), false);
        for (file, read) in all().filter(|(file, _)| file.path != ENTRY) {
            let aside = is_aside(&file.path);
            match read {
                Read::Document(document) if !aside => {
                    judge_framed(&file.path, document, &self.paths)?;
                    self.note(&file.path, document);
                    self.put(&file.path, document.text.as_bytes())?;
                    continue;
                }
                Read::Sheet { sheet, lines } if !aside => {
                    self.style_sheet(&file.path, sheet, lines)?;
                    continue;
                }
                Read::Document(document) => {
                    let failure = judge_framed(&file.path, document, &self.paths).err().map(|error| error.failure());
                    unopened.extend(failure.map(|failure| (file.path.clone(), failure)));
                }
                Read::Script { registers: this, .. } => registers |= *this && !aside,
                Read::Other(Some(error)) if !aside => {
                    let Failure { code, message, .. } = error.failure();
                    return Err(composition_at(code, message, &file.path, 0));
                }
                Read::Sheet { .. } | Read::Other(_) => {}
            }
            files::copy(&file.source, &self.target.join(&file.path))?;
        }
        Ok((unopened, registers))
    }

    fn style_sheet(&mut self, path: &str, sheet: &Sheet, lines: &Lines) -> Result<(), Error> {
        let stacks = sheet.stacks.iter().map(|(names, offset)| (names.clone(), lines.at(*offset)));
        self.fonts.note(path, &sheet.font_faces, stacks);
        for (url, offset) in &sheet.urls {
            stays_inside(path, url, lines.at(*offset), &self.paths)?;
            self.references.note(path, url, lines.at(*offset));
            self.elsewhere.extend(elsewhere(url));
        }
        Ok(self.put(path, sheet.text.as_bytes())?)
    }

    /// The file of a sub-composition, whose addresses count from the composition's.
    fn scene(&mut self, file: &ProjectFile) -> Result<Document, Error> {
        let document = document(file, None, &Mounted::default())?;
        judge(&file.path, &document, &self.paths)?;
        let addresses = document
            .references
            .iter()
            .map(|(address, line)| (scenes::address(&file.path, address, |path| self.paths.contains(path)), *line));
        let addresses: Vec<_> = addresses.collect();
        for (address, line) in &addresses {
            self.references.note_from(ENTRY, address, (&file.path, *line));
            self.elsewhere.extend(elsewhere(address));
        }
        self.reach.note(ENTRY, addresses.iter().map(|(address, _)| resolved(ENTRY, address)));
        self.fonts.note(&file.path, &document.font_faces, document.stacks.iter().cloned());
        Ok(document)
    }

    /// What a document names.
    fn note(&mut self, path: &str, document: &Document) {
        for (url, line) in &document.references {
            self.references.note(path, url, *line);
            self.elsewhere.extend(elsewhere(url));
        }
        self.reach.note(path, document.references.iter().map(|(url, _)| resolved(path, url)));
        self.fonts.note(path, &document.font_faces, document.stacks.iter().cloned());
    }

    /// Looks for what was lacking at a first look.
    fn look_for(&mut self, lacking: &Lacking, language: &str) -> Result<(), Error> {
        let Lacking { families, characters } = lacking;
        self.fonts.note(ENTRY, &[], families.iter().map(|family| (vec![family.clone()], 0)));
        if characters.is_empty() {
            return Ok(());
        }
        let written = Written { characters: characters.clone(), language: language.to_owned() };
        let (families, without) = self.remote.fallbacks(&written, self.stop)?;
        self.fonts.note_fallbacks(families, without);
        Ok(())
    }

    /// Fetches what the project names elsewhere, and the fonts it names and nobody brings. The answer is [`Self::faces`]'s.
    fn fetch(&mut self) -> Result<(String, String), Error> {
        let sheets: Vec<_> = self.elsewhere.iter().filter_map(|url| Some((url, Asked::of(url)?))).collect();
        self.remote.fetch_all(self.elsewhere.iter().cloned(), self.stop)?;
        for (url, families) in sheets.into_iter().filter(|(url, _)| self.remote.found(url.as_str()).is_some()) {
            let packaged = families.iter().filter(|asked| !asked.is_bundled()).map(|asked| asked.family.clone());
            self.fonts.note(url.as_str(), &packaged.collect::<Vec<_>>(), std::iter::empty());
        }
        let unknown: Vec<_> = self.fonts.unknown().map(Asked::whole).collect();
        let mut packaged = String::new();
        for (family, found) in self.remote.families(&unknown, self.stop)? {
            match found {
                Ok(sheet) => {
                    let urls = css::compile(&sheet).urls.into_iter().filter_map(|(url, _)| elsewhere(&url));
                    self.remote.fetch_all(urls, self.stop)?;
                    self.fonts.note(ENTRY, &[family], std::iter::empty());
                    packaged += &sheet;
                }
                Err(failure) => self.fonts.note_missing(&family, failure.message),
            }
        }
        let (faces, digest) = self.faces()?;
        Ok((faces + &packaged.replace('\n', ""), digest))
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
}

/// An address of another host, as the browser makes it of what is written.
fn elsewhere(address: &str) -> Option<Url> {
    let url = Url::parse(ORIGIN).ok()?.join(address).ok()?;
    (["http", "https"].contains(&url.scheme()) && !url.as_str().starts_with(ORIGIN)).then_some(url)
}

/// What cannot be rendered of a document that lies in a frame: nobody moves what plays in it.
fn judge_framed(path: &str, document: &Document, paths: &HashSet<&str>) -> Result<(), Error> {
    let playing = document.media.iter().map(|(tag, line)| {
        let message = format!("<{tag}> in a document of its own cannot be rendered yet: make it a sub-composition");
        Failure { code: Code::FeatureUnsupported, message, path: Some(path.to_owned()), line: Some(*line) }
    });
    refuse(playing.collect())?;
    judge(path, document, paths)
}

/// What cannot be rendered.
fn judge(path: &str, document: &Document, paths: &HashSet<&str>) -> Result<(), Error> {
    let unsupported = document.unsupported.iter().map(|(feature, line)| {
        let message = format!("{feature} cannot be rendered yet: remove it");
        Failure { code: Code::FeatureUnsupported, message, path: Some(path.to_owned()), line: Some(*line) }
    });
    refuse(unsupported.collect())?;
    document.references.iter().try_for_each(|(url, line)| stays_inside(path, url, *line, paths))
}

/// An error if an address leads out of the project, and not, as browsers have it, to a file of its folder all the same.
fn stays_inside(file: &str, url: &str, line: u32, paths: &HashSet<&str>) -> Result<(), Error> {
    if project::stays_inside(file, url) || paths.contains(&*resolved(file, url)) {
        return Ok(());
    }
    let line = Some(line).filter(|line| *line > 0);
    Err(project::Error::ReferenceOutside { path: file.to_owned(), line, url: url.to_owned() }.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_only_makes_room_for_timelines_registers_none() {
        for none in [
            "",
            "window.__timelines = window.__timelines || {};",
            "\n  window.__timelines ??= {}\nf()",
            "__timelines={};x",
        ] {
            assert!(!registers_timelines(none), "{none}");
        }
        for some in [
            "window.__timelines = { main: t }",
            "window.__timelines = window.__timelines || {}; window.__timelines.main = t",
            "const all = window.__timelines = window.__timelines || {};",
            "(window.__timelines = window.__timelines || {}).main = t",
            "register(window.__timelines)",
        ] {
            assert!(registers_timelines(some), "{some}");
        }
    }

    #[test]
    fn scripts_that_go_on_from_frame_to_frame() {
        let gsap = "/*!\n * GSAP 3.12.2\n * https://greensock.com\n * @license Copyright 2023, GreenSock.\n */\n\n!function(){requestAnimationFrame(t);delete e.default}});\n";
        assert!(!goes_on(gsap));
        assert!(goes_on(&format!("{gsap}\nwindow.__timelines = {{ main: gsap.timeline() }};")), "a bundle");
        assert!(goes_on(&format!("(() => {{ {gsap} }})()")), "a bundle");
        assert!(goes_on(&format!("{gsap}\nrequestAnimationFrame(step)")), "one file after the other");
        assert!(goes_on(&format!("{gsap}\nrequestAnimationFrame(step)\n{gsap}")), "one between two others");
        assert!(!goes_on(&format!("{gsap}//# sourceMappingURL=gsap.min.js.map\n")));
        assert!(goes_on("gsap.ticker.add(() => n++)"));
        assert!(!goes_on("gsap.to('p', { x: 1 })"));
    }
}
