//! A look at the running composition before anything is rendered: how long it is, and whether it uses something that
//! would be drawn wrongly.

use std::collections::{BTreeMap, BTreeSet};

use crds::{Code, Failure, FrameRate, Strictness};

use crate::{
    Error,
    context::Context,
    draw::{
        browser::page::Page,
        ready::{self, Expected, Ready},
        server::ORIGIN,
    },
    media::Told,
    plan::{
        compile::Compiled,
        defects::{Defects, refuse},
        drawn::Drawn,
    },
};

/// What is looked at.
pub(crate) struct Subject<'a> {
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
    /// Elements that play.
    pub(crate) media: Vec<Told>,
    /// Volumes that scripts and timelines give them: seconds and volume, by name.
    pub(crate) volumes: BTreeMap<String, Vec<(f64, f64)>>,
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
    let Subject { rate, duration, expected, compiled } = *subject;
    let Compiled { fonts, references, .. } = compiled;
    page.navigate()?;
    let ready = ready::wait(page, expected, context.settings.ready_timeout);
    refuse(references.external(&page.events().external))?;
    if ready.is_err() {
        // A script that is not there is why others throw.
        refuse(references.missing(&page.events().missing))?;
    }
    let Ready { duration: computed, missing_timelines, mut defects } = ready?;
    let duration = duration.unwrap_or(computed);
    page.prepare()?;
    let last = rate.frames_in(duration).saturating_sub(1);
    let mut drawn = Drawn::default();
    let mut media: Vec<Told> = Vec::new();
    for part in MOMENTS {
        // Whole frames only: the first one is never past the last.
        let time = (rate.time_of(last) * part * rate.per_second()).floor() / rate.per_second();
        let seek = page.seek_later(time, &[])?;
        page.evaluated(seek)?;
        let told: Vec<Told> = page.evaluate("__hfProducer.media()")?;
        media.extend(told.into_iter().filter(|told| media.iter().all(|known| known.id != told.id)).collect::<Vec<_>>());
        page.settle(|page| Ok(page.draw(false)?.changed))?;
        drawn.look(page, fonts)?;
    }
    let volumes = volumes(page, &media, rate, last)?;
    defects.visible.extend(early_canvas_texts(page)?);
    page.evaluate::<()>("__hfProducer.showCanvasTexts()")?;
    drawn.look(page, fonts)?;
    refuse(references.external(&page.events().external))?;
    refuse_unsupported(page)?;
    refuse(stuck_animations(page)?)?;
    refuse(opened_all_the_same(page, compiled))?;
    let Defects { visible, minor } = drawn.defects(fonts);
    defects.visible.extend(visible.into_iter().chain(references.missing(&page.events().missing)));
    defects.minor.extend(minor);
    context.warn(&defects.judge(strictness)?);
    let image_count = page.evaluate("document.images.length")?;
    let (missing_assets, browser_version) = (page.events().missing.clone(), page.product().to_owned());
    Ok(Probe { duration, browser_version, image_count, missing_timelines, missing_assets, media, volumes })
}

/// Volumes of elements in every frame, if anything may change them; at most 60 times a second.
fn volumes(
    page: &mut Page,
    media: &[Told],
    rate: FrameRate,
    last: u32,
) -> Result<BTreeMap<String, Vec<(f64, f64)>>, Error> {
    /// Asked for at once, so that an answer comes in time.
    const AT_ONCE: usize = 300;
    /// Frame rates are at most four times as high.
    const MOST_A_SECOND: f64 = 60.0;
    let mut volumes: BTreeMap<String, Vec<(f64, f64)>> = BTreeMap::new();
    if media.is_empty() || !page.evaluate::<bool>("__hfProducer.setsVolumes()")? {
        return Ok(volumes);
    }
    let step = (1_u16..=4).find(|step| rate.per_second() <= MOST_A_SECOND * f64::from(*step)).unwrap_or(1);
    let times: Vec<f64> = (0..=last).step_by(step.into()).map(|frame| rate.time_of(frame)).collect();
    for times in times.chunks(AT_ONCE) {
        let told: BTreeMap<String, Vec<(f64, f64)>> =
            page.evaluate(&format!("__hfProducer.volumes({})", serde_json::json!(times)))?;
        for (id, points) in told {
            volumes.entry(id).or_default().extend(points);
        }
    }
    Ok(volumes)
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

/// Animated images that were shown where nobody moves them: they would follow the real clock.
fn stuck_animations(page: &mut Page) -> Result<Vec<Failure>, Error> {
    let stuck: BTreeSet<String> = page.evaluate("__hfProducer.stuckAnimations()")?;
    let served: BTreeSet<_> = page.events().served.iter().map(|url| path_of(url)).collect();
    let failure = |path: &String| {
        let message = "an animated image can only be in an <img> of the composition: put it there, or use a still one";
        Failure { code: Code::FeatureUnsupported, message: message.to_owned(), path: Some(path.clone()), line: None }
    };
    Ok(stuck.intersection(&served).map(failure).collect())
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
