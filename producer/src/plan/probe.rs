//! A look at the running composition before anything is rendered: how long it is, and whether it uses something that
//! would be drawn wrongly.

use std::time::Instant;

use crds::{Code, Failure, FrameRate};

use crate::{
    Error,
    draw::{
        browser::page::{Page, SETTLE},
        ready::{self, Expected},
        server::ORIGIN,
    },
    error::{composition, composition_at},
    files,
    layout::PlanDir,
    libav,
    plan::{drawn::Drawn, fonts::Named},
    settings::Settings,
};

/// What the running composition told.
pub(crate) struct Probe {
    /// Seconds, as the runtime computes it.
    pub(crate) duration: f64,
    /// The browser's name and version.
    pub(crate) browser_version: String,
    pub(crate) image_count: u32,
    pub(crate) warnings: Vec<Failure>,
}

/// Moments at which the page is looked at, as parts of its duration.
const MOMENTS: [f64; 5] = [0.0, 0.25, 0.5, 0.75, 1.0];

/// Runs an opened composition and looks at it at a few moments.
pub(crate) fn probe(
    page: &mut Page,
    dir: &PlanDir,
    rate: FrameRate,
    authored_duration: Option<f64>,
    expected: Expected,
    named: &Named,
    settings: &Settings,
) -> Result<Probe, Error> {
    page.navigate()?;
    let ready = ready::wait(page, expected, settings.ready_timeout)?;
    refuse_external(page)?;
    let duration = authored_duration.unwrap_or(ready.duration);
    page.evaluate::<()>("__hfProducer.prepare()")?;
    let last = rate.frames_in(duration).saturating_sub(1);
    let mut drawn = Drawn::default();
    for part in MOMENTS {
        // Whole frames only: the first one is never past the last.
        let time = (rate.time_of(last) * part * rate.per_second()).floor() / rate.per_second();
        let seek = page.seek_later(time)?;
        page.evaluated(seek)?;
        page.settle(Instant::now() + SETTLE, |page| Ok(page.draw(false)?.changed))?;
        drawn.look(page, named)?;
    }
    page.evaluate::<()>("__hfProducer.showCanvasTexts()")?;
    drawn.look(page, named)?;
    refuse_external(page)?;
    refuse_unsupported(page)?;
    let (font_errors, font_warnings) = drawn.problems(named);
    refuse(font_errors)?;
    refuse_animated_images(page, dir)?;
    let missing = page.events().missing.iter().map(|url| {
        let path = url.strip_prefix(ORIGIN).unwrap_or(url).to_owned();
        let message = "the composition asks for this file and it is not there: it is left out".to_owned();
        Failure { code: Code::CompositionInvalid, message, path: Some(path), line: None }
    });
    let warnings = ready.warnings.into_iter().chain(missing).chain(font_warnings).collect();
    let image_count = page.evaluate("document.images.length")?;
    Ok(Probe { duration, browser_version: page.product().to_owned(), image_count, warnings })
}

fn refuse_external(page: &Page) -> Result<(), Error> {
    let Some(url) = page.events().external.first() else { return Ok(()) };
    let others = page.events().external.len() - 1;
    let more = if others == 0 { String::new() } else { format!(" and {others} more") };
    let message =
        format!("the composition asks for {url}{more}: copy it into the project; the network cannot be reached");
    Err(composition(Code::RemoteAssetUnsupported, message))
}

/// The first problem as an error that names all the others.
fn refuse(problems: Vec<Failure>) -> Result<(), Error> {
    let mut problems = problems.into_iter();
    let Some(Failure { code, mut message, path, line }) = problems.next() else { return Ok(()) };
    for Failure { message: other, path, line, .. } in problems {
        let place = path.map_or_else(String::new, |path| match line {
            Some(line) => format!("{path}:{line}: "),
            None => format!("{path}: "),
        });
        message += &format!("\n{place}{other}");
    }
    Err(Error::Composition { code, message, path, line })
}

fn refuse_unsupported(page: &mut Page) -> Result<(), Error> {
    let found: Vec<String> = page.evaluate("__hfProducer.unsupported()")?;
    match found.first() {
        Some(feature) => {
            Err(composition(Code::FeatureUnsupported, format!("{feature} cannot be rendered yet: remove it")))
        }
        None => Ok(()),
    }
}

/// An animated image moves by the real clock.
fn refuse_animated_images(page: &Page, dir: &PlanDir) -> Result<(), Error> {
    let compiled = dir.compiled();
    for url in &page.events().served {
        let path = url.strip_prefix(ORIGIN).unwrap_or(url).split(['?', '#']).next().unwrap_or_default();
        let lower = path.to_ascii_lowercase();
        if ![".gif", ".png", ".apng", ".webp"].iter().any(|extension| lower.ends_with(extension)) {
            continue;
        }
        let file = compiled.join(percent_decoded(path));
        if file.is_file() && libav::is_animated(&file, &files::head(&file, 64)?) {
            let message = "animated images cannot be rendered yet: use a still one";
            return Err(composition_at(Code::FeatureUnsupported, message, path, 0));
        }
    }
    Ok(())
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
