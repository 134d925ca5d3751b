//! A look at the running composition before anything is rendered: how long it is, and whether it uses something that
//! would be drawn wrongly.

use std::collections::BTreeSet;

use crds::{Code, Failure, FrameRate, Strictness};

use crate::{
    Error,
    context::Context,
    draw::{
        browser::page::Page,
        ready::{self, Expected, Ready},
        server::ORIGIN,
    },
    error::composition_at,
    files,
    layout::PlanDir,
    libav,
    plan::{
        compile::Compiled,
        defects::{Defects, refuse},
        drawn::Drawn,
        remembered::{self, Remembered},
    },
};

/// What is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    pub(crate) dir: &'a PlanDir,
    pub(crate) rate: FrameRate,
    /// Seconds, as authored.
    pub(crate) duration: Option<f64>,
    pub(crate) expected: Expected<'a>,
    pub(crate) compiled: &'a Compiled,
}

/// What the running composition told.
pub(crate) struct Probe {
    /// Seconds, as the runtime computes it.
    pub(crate) duration: f64,
    /// The browser's name and version.
    pub(crate) browser_version: String,
    pub(crate) image_count: u32,
    /// Compositions whose timeline never came.
    pub(crate) missing_timelines: Vec<String>,
    /// Addresses of files that are not there.
    pub(crate) missing_assets: BTreeSet<String>,
    /// A chunk has to go through all frames before its own.
    pub(crate) goes_through_all_frames: bool,
}

/// Moments at which the page is looked at, as parts of its duration.
const MOMENTS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Runs an opened composition and looks at it at a few moments. Its defects are judged and told.
pub(crate) fn probe(
    page: &mut Page,
    subject: &Subject<'_>,
    context: &Context,
    strictness: Option<Strictness>,
) -> Result<Probe, Error> {
    let Subject { dir, rate, duration, expected, compiled } = *subject;
    let Compiled { fonts, references, .. } = compiled;
    page.navigate()?;
    let ready = ready::wait(page, expected, context.settings.ready_timeout);
    refuse(references.external(page.refused()))?;
    if ready.is_err() {
        // A script that is not there is why others throw.
        refuse(references.missing(&page.events().missing))?;
    }
    let Ready { duration: computed, missing_timelines, mut defects } = ready?;
    let duration = duration.unwrap_or(computed);
    page.prepare()?;
    let last = rate.frames_in(duration).saturating_sub(1);
    let mut drawn = Drawn::default();
    for part in MOMENTS {
        // Whole frames only: the first one is never past the last.
        let time = (rate.time_of(last) * part * rate.per_second()).floor() / rate.per_second();
        let seek = page.seek_later(time)?;
        page.evaluated(seek)?;
        page.settle(|page| Ok(page.draw(false)?.changed))?;
        drawn.look(page, fonts)?;
    }
    defects.visible.extend(early_canvas_texts(page)?);
    page.evaluate::<()>("__hfProducer.showCanvasTexts()")?;
    drawn.look(page, fonts)?;
    refuse(references.external(page.refused()))?;
    refuse_unsupported(page)?;
    if page.evaluate("__hfProducer.hasShaderTransitions()")? {
        let message = "shader transitions are drawn as plain crossfades";
        defects.minor.push(Failure::new(Code::FeatureUnsupported, message));
    }
    refuse_animated_images(page, dir)?;
    refuse(opened_all_the_same(page, compiled))?;
    let Defects { visible, minor } = drawn.defects(fonts);
    defects.visible.extend(visible.into_iter().chain(references.missing(&page.events().missing)));
    defects.minor.extend(minor.into_iter().chain(animated_drawings(page, dir)?));
    let image_count = page.evaluate("document.images.length")?;
    let (missing_assets, browser_version) = (page.events().missing.clone(), page.product().to_owned());
    let remembered = if compiled.goes_on {
        let expected = Expected { missing_timelines: &missing_timelines, ..expected };
        remembered::look(page, &Subject { expected, ..*subject }, last, context)?
    } else {
        Remembered::default()
    };
    defects.minor.extend(remembered.remark);
    context.warn(&defects.judge(strictness)?);
    let goes_through_all_frames = remembered.everything;
    Ok(Probe { duration, browser_version, image_count, missing_timelines, missing_assets, goes_through_all_frames })
}

/// SVG images that move: the browser lets nobody set their time.
fn animated_drawings(page: &Page, dir: &PlanDir) -> Result<Vec<Failure>, Error> {
    const MOVES: [&str; 4] = ["<animate", "<set ", "<set>", "@keyframes"];
    let mut found = Vec::new();
    let drawings: BTreeSet<_> = page.events().images.iter().map(|url| path_of(url)).collect();
    for path in drawings.into_iter().filter(|path| path.to_ascii_lowercase().ends_with(".svg")) {
        let file = dir.compiled().join(&path);
        let moves = file.is_file() && {
            let text = files::read(&file)?;
            let text = String::from_utf8_lossy(&text);
            MOVES.iter().any(|mark| text.contains(mark))
        };
        if moves {
            let message = "an SVG image stands still, whatever moves in it: put its <svg> into the document";
            found.push(Failure { path: Some(path), ..Failure::new(Code::NotSeekable, message) });
        }
    }
    Ok(found)
}

/// Texts that were drawn on canvases before their font had loaded, and not again since.
fn early_canvas_texts(page: &mut Page) -> Result<Vec<Failure>, Error> {
    let fonts: Vec<String> = page.evaluate("__hfProducer.earlyCanvasTexts()")?;
    let failure = |font: String| {
        let message = format!(
            "text is drawn on a canvas before its font {font:?} has loaded: wait for document.fonts.load first"
        );
        Failure::new(Code::FontFetchFailed, message)
    };
    Ok(fonts.into_iter().map(failure).collect())
}

fn refuse_unsupported(page: &mut Page) -> Result<(), Error> {
    let found: Vec<String> = page.evaluate("__hfProducer.unsupported()")?;
    let failure =
        |feature| Failure::new(Code::FeatureUnsupported, format!("{feature} cannot be rendered yet: remove it"));
    refuse(found.into_iter().map(failure).collect())
}

/// What is wrong with documents that only a script knew how to open.
fn opened_all_the_same(page: &Page, compiled: &Compiled) -> Vec<Failure> {
    let served: BTreeSet<_> = page.events().served.iter().map(|url| path_of(url)).collect();
    compiled.unopened.iter().filter(|(path, _)| served.contains(path)).map(|(_, failure)| failure.clone()).collect()
}

/// The path in the project that a served address names.
fn path_of(url: &str) -> String {
    percent_decoded(url.strip_prefix(ORIGIN).unwrap_or(url).split(['?', '#']).next().unwrap_or_default())
}

/// An animated image moves by the real clock.
fn refuse_animated_images(page: &Page, dir: &PlanDir) -> Result<(), Error> {
    let compiled = dir.compiled();
    let served = page.events().served.iter().map(|url| path_of(url));
    for path in served.chain(page.files_elsewhere()) {
        let lower = path.to_ascii_lowercase();
        if ![".gif", ".png", ".apng", ".webp"].iter().any(|extension| lower.ends_with(extension)) {
            continue;
        }
        let file = compiled.join(&path);
        if file.is_file() && libav::is_animated(&file, &files::head(&file, 64)?) {
            let message = "animated images cannot be rendered yet: use a still one";
            return Err(composition_at(Code::FeatureUnsupported, message, &path, 0));
        }
    }
    Ok(())
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
