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
    files,
    layout::PlanDir,
    libav,
    plan::{compile::Compiled, defects::Defects, drawn::Drawn},
};

/// What is looked at.
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
    context.refuse(references.external(&page.events().external))?;
    if ready.is_err() {
        // A script that is not there is why others throw.
        context.refuse(references.missing(&page.events().missing))?;
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
    context.refuse(references.external(&page.events().external))?;
    refuse_unsupported(page, context)?;
    refuse_animated_images(page, dir, context)?;
    context.refuse(opened_all_the_same(page, compiled))?;
    let Defects { visible, minor } = drawn.defects(fonts);
    defects.visible.extend(visible.into_iter().chain(references.missing(&page.events().missing)));
    defects.minor.extend(minor);
    context.judge(defects, strictness)?;
    let image_count = page.evaluate("document.images.length")?;
    let (missing_assets, browser_version) = (page.events().missing.clone(), page.product().to_owned());
    Ok(Probe { duration, browser_version, image_count, missing_timelines, missing_assets })
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

fn refuse_unsupported(page: &mut Page, context: &Context) -> Result<(), Error> {
    let found: Vec<String> = page.evaluate("__hfProducer.unsupported()")?;
    let failure =
        |feature| Failure::new(Code::FeatureUnsupported, format!("{feature} cannot be rendered yet: remove it"));
    context.refuse(found.into_iter().map(failure).collect())
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
fn refuse_animated_images(page: &Page, dir: &PlanDir, context: &Context) -> Result<(), Error> {
    let compiled = dir.compiled();
    let mut animated = Vec::new();
    for url in &page.events().served {
        let path = path_of(url);
        let lower = path.to_ascii_lowercase();
        if ![".gif", ".png", ".apng", ".webp"].iter().any(|extension| lower.ends_with(extension)) {
            continue;
        }
        let file = compiled.join(&path);
        if file.is_file() && libav::is_animated(&file, &files::head(&file, 64)?) {
            let message = "animated images cannot be rendered yet: use a still one".to_owned();
            animated.push(Failure { code: Code::FeatureUnsupported, message, path: Some(path), line: None });
        }
    }
    context.refuse(animated)
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
