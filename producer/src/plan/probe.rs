//! A look at the running composition before anything is rendered: how long it is, and whether it uses something that
//! would be drawn wrongly.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::{Range, RangeInclusive},
    path::Path,
};

use crds::{Code, Failure, FrameRate, Strictness};
use serde_json::json;

use crate::{
    Error,
    context::Context,
    draw::{
        browser::page::Page,
        ready::{self, Expected, Ready},
        server::ORIGIN,
    },
    files,
    media::{self, Told},
    plan::{
        compile::{self, Compiled},
        defects::Defects,
        drawn::{Drawn, Lacking},
        fonts::Named,
        project::RESERVED,
        references::References,
        remembered::{self, Remembered},
    },
    remote,
};

/// What is looked at.
#[derive(Clone, Copy)]
pub(crate) struct Subject<'a> {
    /// The compiled project.
    pub(crate) folder: &'a Path,
    pub(crate) rate: FrameRate,
    /// Seconds, as authored.
    pub(crate) duration: Option<f64>,
    pub(crate) expected: Expected<'a>,
    pub(crate) compiled: &'a Compiled,
    /// It can still be compiled again.
    pub(crate) is_first: bool,
    /// Frames whose sound is mixed.
    pub(crate) heard: Option<&'a Range<u32>>,
}

/// What a look came to.
pub(crate) enum Look {
    Complete(Probe),
    /// To be looked at again, once it has what it lacks.
    Lacking(Lacking),
}

/// What the running composition told.
pub(crate) struct Probe {
    /// Seconds, as the runtime computes it.
    pub(crate) duration: f64,
    /// The browser's name and version.
    pub(crate) browser_version: String,
    pub(crate) image_count: u32,
    /// It may show pictures as filmed ones: a video's, photographs, or what a canvas draws.
    pub(crate) films: bool,
    /// Compositions whose timeline never came.
    pub(crate) missing_timelines: Vec<String>,
    /// Addresses of files that are not there.
    pub(crate) missing_assets: BTreeSet<String>,
    /// A chunk has to go through all frames before its own.
    pub(crate) goes_through_all_frames: bool,
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
) -> Result<Look, Error> {
    let Subject { folder, rate, duration, expected, compiled, is_first, heard } = *subject;
    let Compiled { fonts, references, .. } = compiled;
    let ready = ready::wait(page, expected, context.settings.ready_timeout);
    let ready = ready.and_then(|ready| Ok(page.prepare().map(|()| ready)?));
    if ready.is_err() {
        // What is not there is why others throw, or come too late.
        context.refuse(references.external(page.refused()))?;
        context.refuse(references.missing(&page.events().missing))?;
    }
    let Ready { duration: computed, missing_timelines, exceptions, mut defects } = ready?;
    let duration = duration.unwrap_or(computed);
    let last = rate.frames_in(duration).saturating_sub(1);
    let (mut drawn, media) = look_around(page, rate, last, fonts)?;
    let volumes = match heard {
        Some(frames) => volumes(page, &media, rate, frames.start.saturating_sub(1)..=frames.end.min(last))?,
        None => BTreeMap::new(),
    };
    defects.visible.extend(early_canvas_texts(page)?);
    page.evaluate::<()>("__hfProducer.showCanvasTexts()")?;
    drawn.look(page, fonts)?;
    let lacking = drawn.lacking(fonts);
    if is_first && !lacking.is_empty() {
        return Ok(Look::Lacking(lacking));
    }
    context.refuse(references.external(page.refused()))?;
    refuse_unsupported(page, context)?;
    if page.evaluate("__hfProducer.cutsTransitions()")? {
        let message = "shader transitions are not drawn: one scene follows the other at once";
        defects.minor.push(Failure::new(Code::FeatureUnsupported, message));
    }
    context.refuse(stuck_animations(page, folder)?)?;
    defects.visible.extend(broken_images(page, folder, references)?.into_iter().chain(ungraded(page)?));
    context.refuse(opened_all_the_same(page, compiled))?;
    let Defects { visible, minor } = drawn.defects(fonts);
    defects.visible.extend(visible.into_iter().chain(references.missing(&page.events().missing)).chain(undrawn(page)));
    defects.minor.extend(minor.into_iter().chain(animated_drawings(page, folder)?));
    defects.minor.extend(moved_by_browser(page)?.into_iter().chain(ready::thrown_since(page, exceptions)));
    defects.minor.extend(no_times(page)?.into_iter().chain(brief_images(page, duration)?));
    let (image_count, films) = (page.evaluate("document.images.length")?, films(page, folder)?);
    let (missing_assets, browser_version) = (page.events().missing.clone(), page.product().to_owned());
    let expected = Expected { missing_timelines: &missing_timelines, duration: Some(computed), ..expected };
    let remembered = remembered(page, &Subject { expected, ..*subject }, last, context)?;
    defects.minor.extend(remembered.remark);
    context.judge(defects, strictness)?;
    Ok(Look::Complete(Probe {
        duration,
        browser_version,
        image_count,
        films,
        missing_timelines,
        missing_assets,
        goes_through_all_frames: remembered.everything,
        media,
        volumes,
    }))
}

/// The texts of all moments, and what plays in any.
fn look_around(page: &mut Page, rate: FrameRate, last: u32, fonts: &Named) -> Result<(Drawn, Vec<Told>), Error> {
    let mut drawn = Drawn::default();
    let mut media: Vec<Told> = Vec::new();
    for part in MOMENTS {
        // Whole frames only: the first one is never past the last.
        let time = (rate.time_of(last) * part * rate.per_second()).floor() / rate.per_second();
        let seek = page.seek_later(time, &[], &[])?;
        page.evaluated(seek)?;
        let told: Vec<Told> = page.evaluate("__hfProducer.media()")?;
        media.extend(told.into_iter().filter(|told| media.iter().all(|known| known.id != told.id)).collect::<Vec<_>>());
        // What comes with a frame is enough to have it ask for what it shows.
        page.settle(|page| page.pass().map(|()| false))?;
        drawn.look(page, fonts)?;
    }
    drawn.note_hidden(page)?;
    if !media.is_empty() {
        let seconds = rate.time_of(last + 1);
        let starts: BTreeMap<String, f64> = page.evaluate(&format!("__hfProducer.sceneStarts({seconds})"))?;
        for element in &mut media {
            if let Some(start) = starts.get(&element.id) {
                element.begin_at(*start);
            }
        }
    }
    Ok((drawn, media))
}

/// Images that were asked for and cannot be shown.
fn broken_images(page: &mut Page, folder: &Path, references: &References) -> Result<Vec<Failure>, Error> {
    let elsewhere: BTreeMap<&str, String> = page.files_elsewhere().collect();
    let addresses: Vec<&str> = page.events().images.iter().map(String::as_str).collect();
    let doubtful: BTreeMap<&str, &str> = (addresses.iter())
        .filter_map(|address| Some((*address, media::without_an_end(&folder.join(file_of(address, &elsewhere)))?)))
        .collect();
    let question = format!("__hfProducer.brokenImages({}, {})", json!(addresses), json!(doubtful));
    let broken: BTreeSet<String> = page.evaluate(&question)?;
    let failure = |address| {
        references.failure(Code::MediaUnreadable, address, |path| {
            format!("{:?} is no image, or not the whole of one: put another there", remote::shown(path))
        })
    };
    Ok(broken.iter().map(|address| failure(address.as_str())).collect())
}

/// Whether it may show pictures as filmed ones.
fn films(page: &mut Page, folder: &Path) -> Result<bool, Error> {
    /// Images of fewer bytes are no photographs that much is seen of.
    const PHOTOGRAPH: u64 = 32 << 10;
    if page.evaluate("__hfProducer.films()")? {
        return Ok(true);
    }
    let elsewhere: BTreeMap<&str, String> = page.files_elsewhere().collect();
    let paths = page.events().images.iter().map(|url| file_of(url, &elsewhere));
    for path in paths.filter(|path| !path.to_ascii_lowercase().ends_with(".svg")) {
        let file = folder.join(path);
        if file.is_file() {
            let (.., size) = files::ends(&file, 0)?;
            if size >= PHOTOGRAPH {
                return Ok(true);
            }
        }
    }
    Ok(false)
}

/// Images and videos that are shown in the colours of their files, against what `data-color-grading` says.
fn ungraded(page: &mut Page) -> Result<Vec<Failure>, Error> {
    let found: Vec<String> = page.evaluate("__hfProducer.ungraded()")?;
    Ok(found.into_iter().map(|words| Failure::new(Code::MediaUnreadable, words)).collect())
}

/// Effects of pictures, `data-vfx-chain`, that the runtime cannot draw.
fn undrawn(page: &Page) -> impl Iterator<Item = Failure> {
    let failure = |reason| Failure::new(Code::ScriptError, format!("an effect is not drawn: {reason}"));
    page.events().effects.iter().map(failure)
}

/// SVG images that move: the browser lets nobody set their time.
fn animated_drawings(page: &Page, folder: &Path) -> Result<Vec<Failure>, Error> {
    const MOVES: [&str; 4] = ["<animate", "<set ", "<set>", "@keyframes"];
    let mut found = Vec::new();
    let drawings: BTreeSet<_> = page.events().images.iter().map(|url| path_of(url)).collect();
    for path in drawings.into_iter().filter(|path| path.to_ascii_lowercase().ends_with(".svg")) {
        let file = folder.join(&path);
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

/// Elements that no time can be given to.
fn moved_by_browser(page: &mut Page) -> Result<Vec<Failure>, Error> {
    each(page, "__hfProducer.movedByBrowser()", Code::NotSeekable, |place| {
        format!("{place} is moved by the browser, which does not follow the video's time: move it with the timeline")
    })
}

/// Times that are not understood.
fn no_times(page: &mut Page) -> Result<Vec<Failure>, Error> {
    each(page, "__hfProducer.noTimes()", Code::CompositionInvalid, |found| {
        format!(
            "{found} is no time: write seconds, as 2.5, or of data-start what it comes after by id, as intro or intro + 0.5"
        )
    })
}

/// Images that go although nobody said so.
fn brief_images(page: &mut Page, duration: f64) -> Result<Vec<Failure>, Error> {
    each(page, &format!("__hfProducer.briefImages({duration:?})"), Code::CompositionInvalid, |place| {
        format!("{place} does not say how long it is there, and goes after 3 s: give it a data-duration")
    })
}

/// A failure for each thing that the page names.
fn each(page: &mut Page, named: &str, code: Code, words: impl Fn(String) -> String) -> Result<Vec<Failure>, Error> {
    let names: Vec<String> = page.evaluate(named)?;
    Ok(names.into_iter().map(|name| Failure::new(code, words(name))).collect())
}

/// Volumes of elements in some frames, if anything may change them; at most 60 times a second.
fn volumes(
    page: &mut Page,
    media: &[Told],
    rate: FrameRate,
    frames: RangeInclusive<u32>,
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
    page.evaluate::<()>("__hfProducer.rewindVolumes()")?;
    let times: Vec<f64> = frames.step_by(step.into()).map(|frame| rate.time_of(frame)).collect();
    for times in times.chunks(AT_ONCE) {
        let told: BTreeMap<String, Vec<(f64, f64)>> =
            page.evaluate(&format!("__hfProducer.volumes({})", json!(times)))?;
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

/// Libraries that go on with the time alone, and with what others ask of them. (Motion begins what is delayed with the frame that
/// sees its time first, and anime.js what it repeats.)
const KEEP_TIME: [&str; 2] = ["gsap", "lottie-web"];

/// Whether it remembers, where any script may go on from frame to frame.
///
/// The page may be of no other use afterwards.
fn remembered(page: &mut Page, subject: &Subject<'_>, last: u32, context: &Context) -> Result<Remembered, Error> {
    if let Some(element) = page.evaluate::<Option<String>>("__hfProducer.beganLate()")? {
        return Ok(Remembered::began_late(&element));
    }
    if let Some(element) = page.evaluate::<Option<String>>("__hfProducer.scrambles()")? {
        return Ok(Remembered::scrambles(&element));
    }
    let steppers = steppers(page, subject.folder)?;
    // A script may call itself anything: only what was given out is named.
    let served = &page.events().served;
    let named = steppers.iter().find(|(address, _)| served.contains(address)).cloned();
    if !subject.compiled.goes_on && steppers.is_empty() && !page.evaluate::<bool>("__hfProducer.addsUp()")? {
        return Ok(Remembered::default());
    }
    let mut remembered = remembered::look(page, subject, last, context)?;
    if let (Some(remark), Some((address, line))) = (&mut remembered.remark, named) {
        let in_project = address.starts_with(ORIGIN);
        remark.path = Some(if in_project { path_of(&address) } else { remote::shown(&address) });
        remark.line = in_project.then_some(line);
    }
    Ok(remembered)
}

/// Scripts that go on from frame to frame and are no library that only keeps time: address and line.
fn steppers(page: &mut Page, folder: &Path) -> Result<Vec<(String, u32)>, Error> {
    let own = format!("{ORIGIN}{RESERVED}/");
    let mut steppers: Vec<(String, u32)> = page.evaluate("__hfProducer.steppers()")?;
    // A script may call itself anything: only what was given out is read.
    let served = &page.events().served;
    let keeps_time = |address: &String| {
        address.starts_with(&own)
            || remote::package_at(address).is_some_and(|package| KEEP_TIME.contains(&&*package))
            || served.contains(address)
                && files::read_text(&folder.join(path_of(address))).is_ok_and(|script| compile::is_gsap(&script))
    };
    steppers.retain(|(address, _)| !keeps_time(address));
    Ok(steppers)
}

fn refuse_unsupported(page: &mut Page, context: &Context) -> Result<(), Error> {
    let found: Vec<String> = page.evaluate("__hfProducer.unsupported()")?;
    context.refuse(found.into_iter().map(|words| Failure::new(Code::FeatureUnsupported, words)).collect())
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

/// The file in the plan's folder that was given out under an address.
fn file_of(address: &str, elsewhere: &BTreeMap<&str, String>) -> String {
    elsewhere.get(address).cloned().unwrap_or_else(|| path_of(address))
}

/// Animated images, by name.
#[derive(serde::Deserialize)]
struct AnimatedImages {
    moving: BTreeSet<String>,
    stuck: BTreeSet<String>,
}

/// Animated images that were shown where nobody moves them: they would follow the real clock.
fn stuck_animations(page: &mut Page, folder: &Path) -> Result<Vec<Failure>, Error> {
    let AnimatedImages { moving, stuck } = page.evaluate("__hfProducer.animatedImages()")?;
    let served = page.events().served.iter().map(|url| path_of(url));
    let elsewhere = page.files_elsewhere().filter(|(address, _)| !moving.contains(*address));
    let elsewhere = elsewhere.filter(|(_, path)| media::is_animated(&folder.join(path)));
    let elsewhere = elsewhere.map(|(address, _)| remote::shown(address));
    let failure = |path: String| {
        let message = "an animated image can only be in an <img> of the composition: put it there, or use a still one";
        Failure { code: Code::FeatureUnsupported, message: message.to_owned(), path: Some(path), line: None }
    };
    Ok(served.filter(|path| stuck.contains(path)).chain(elsewhere).map(failure).collect())
}

fn percent_decoded(path: &str) -> String {
    percent_encoding::percent_decode_str(path).decode_utf8_lossy().into_owned()
}
