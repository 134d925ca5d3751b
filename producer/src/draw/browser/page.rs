//! One page of one browser, from nothing to the frame at a given time.

use std::{
    collections::HashSet,
    path::Path,
    sync::Arc,
    time::{Duration, Instant},
};

use chromiumoxide_cdp::cdp::{
    browser_protocol::{
        animation,
        browser::{self, BrowserContextId},
        css, dom, dom_snapshot, emulation,
        headless_experimental::{BeginFrameParams, ScreenshotParams, ScreenshotParamsFormat},
        inspector, network, page, target,
    },
    js_protocol::runtime,
};
use crds::{Failure, FrameRate};
use serde::de::DeserializeOwned;

use super::{
    Error, Result,
    cdp::{self, Cdp, Pending},
    events::Events,
    launch::{Browser, Window},
    shared_memory::{Block, SharedMemory},
};
use crate::{
    context::Context,
    draw::server::{Frames, Server},
    files,
    remote::{Remote, fallbacks_of},
};

/// What a page has to know before its first script runs.
#[derive(Clone)]
pub(crate) struct PageConfig<'a> {
    /// Folder with `index.html`.
    pub(crate) folder: &'a Path,
    /// What is under other addresses than its own.
    pub(crate) remote: Arc<Remote>,
    pub(crate) size: Size,
    /// Whether what it does not paint is transparent, and not white.
    pub(crate) transparent: bool,
    /// Runs in every document before any script of the composition.
    pub(crate) script: String,
    /// What videos show.
    pub(crate) frames: Frames,
}

/// How large a page is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Size {
    /// CSS pixels.
    pub(crate) width: u32,
    /// CSS pixels.
    pub(crate) height: u32,
    /// Pixels of a frame that one of those becomes, in each direction.
    pub(crate) scale: u32,
}

impl Size {
    /// Width and height of its frames.
    pub(crate) fn pixels(self) -> (u32, u32) {
        (self.width * self.scale, self.height * self.scale)
    }

    /// The page has its size in CSS pixels and knows how many pixels those are; its view fills the window. (The density by itself
    /// changes what scripts and media queries see, and not what is drawn.)
    fn metrics(self) -> emulation::SetDeviceMetricsOverrideParams {
        let scale = f64::from(self.scale);
        let mut metrics = emulation::SetDeviceMetricsOverrideParams::new(self.width, self.height, scale, false);
        if self.scale > 1 {
            metrics.scale = Some(scale);
            metrics.dont_set_visible_size = Some(true);
        }
        metrics
    }
}

/// A page and everything it needs to live.
pub(crate) struct Page {
    // Dropped in this order: the conversation, the browser, then what it talks to.
    cdp: Cdp,
    browser: Browser,
    _server: Server,
    remote: Arc<Remote>,
    frames: Frames,
    window: Window,
    size: Size,
    transparent: bool,
    product: String,
    tab: Tab,
    /// A page behind this one, which goes on loading.
    behind: Option<Tab>,
}

/// One of the pages of a browser.
struct Tab {
    /// Begins its documents.
    script: String,
    session: cdp::Session,
    /// What it shares with no other one.
    profile: Option<BrowserContextId>,
    /// When it was drawn last, in milliseconds of its own clock.
    drawn_at: f64,
    /// The time it was moved to last, in seconds.
    time: f64,
}

impl Tab {
    /// Before it is opened.
    const fn new(script: String) -> Self {
        Self { script, session: None, profile: None, drawn_at: BEGINNING_MS, time: 0.0 }
    }
}

/// What one `BeginFrame` came to.
pub(crate) struct Drawn {
    /// Whether anything on the screen changed.
    pub(crate) changed: bool,
    /// The screenshot, if one was asked for.
    pub(crate) screenshot: Option<Vec<u8>>,
}

/// A text on the page and the fonts it is drawn with.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    /// Its computed `font-family`.
    pub(crate) stack: String,
    pub(crate) text: String,
    /// Family of each font, and whether the page brought it.
    pub(crate) fonts: Vec<(String, bool)>,
}

/// What the clock of a page that was just opened shows.
const BEGINNING_MS: f64 = 1000.0;
/// What a page takes for the time between two frames that are shown.
const INTERVAL_MS: f64 = 1000.0 / 60.0;
/// Between two frames of the same time: the clock must go on.
const LEAST_MS: f64 = 0.01;
/// So many moments are gone through before they are looked for again.
const MOMENTS_AT_A_TIME: u32 = 30;

impl Page {
    /// An empty page of the given size.
    pub(crate) fn open(context: &Context, config: PageConfig<'_>) -> Result<Self> {
        Self::open_in(context, config, true, false)
    }

    /// The same in a browser whose bitmaps are shared with us.
    pub(crate) fn open_sharing(context: &Context, config: PageConfig<'_>) -> Result<Self> {
        Self::open_in(context, config, true, true)
    }

    fn open_in(
        context: &Context,
        config: PageConfig<'_>,
        begin_frame_control: bool,
        shares_memory: bool,
    ) -> Result<Self> {
        let PageConfig { folder, remote, size, transparent, script, frames } = config;
        let server = Server::start(folder, Arc::clone(&remote), frames.clone()).map_err(files::Error::Read)?;
        let (proxy_port, proxy_key) = (server.port(), server.key_digest().to_owned());
        let (width, height) = size.pixels();
        let fallbacks = fallbacks_of(folder);
        let window = Window { width, height, proxy_port, proxy_key, begin_frame_control, shares_memory, fallbacks };
        let (browser, cdp) = Browser::launch(context, &window)?;
        let product = String::new();
        let mut page = Self {
            cdp,
            browser,
            _server: server,
            remote,
            frames,
            window,
            size,
            transparent,
            product,
            tab: Tab::new(script),
            behind: None,
        };
        page.explained(|page| {
            page.product = page.cdp.call(&browser::GetVersionParams::default())?.product;
            page.attach()
        })?;
        Ok(page)
    }

    /// An empty page that shares nothing with any other: storage, history, caches and process are its own.
    fn attach(&mut self) -> Result<()> {
        let Self { cdp, window, size, tab, .. } = self;
        let (width, height) = (i64::from(window.width), i64::from(window.height));
        let profile = cdp.call(&target::CreateBrowserContextParams::default())?.browser_context_id;
        let mut create = target::CreateTargetParams::new("about:blank");
        create.width = Some(width);
        create.height = Some(height);
        create.browser_context_id = Some(profile.clone());
        create.enable_begin_frame_control = Some(window.begin_frame_control);
        tab.profile = Some(profile);
        let target_id = cdp.call(&create)?.target_id;
        let mut attach = target::AttachToTargetParams::new(target_id);
        attach.flatten = Some(true);
        let session = cdp.call(&attach)?.session_id;
        tab.session = Some(session.inner().clone());
        cdp.use_session(tab.session.clone());
        cdp.call(&page::EnableParams::default())?;
        // A composition's own policy is not for the producer's scripts, which read its files.
        cdp.call(&page::SetBypassCspParams::new(true))?;
        cdp.call(&runtime::EnableParams::default())?;
        cdp.call(&network::EnableParams::default())?;
        cdp.call(&inspector::EnableParams::default())?;
        cdp.call(&cdp::attach_workers())?;
        cdp.call(&animation::EnableParams::default())?;
        // Animations started by scripts must not run on the real clock until the runtime finds them.
        cdp.call(&animation::SetPlaybackRateParams::new(0.0))?;
        cdp.call(&page::SetFontFamiliesParams::new(generic_families()))?;
        cdp.call(&size.metrics())?;
        if self.transparent {
            cdp.call(&transparent())?;
        }
        Ok(())
    }

    /// What documents begin with.
    pub(crate) fn script(&self) -> &str {
        &self.tab.script
    }

    /// Has documents that are opened from now on begin with another script.
    pub(crate) fn begin_documents_with(&mut self, script: String) {
        self.tab.script = script;
    }

    /// The pictures that videos may show.
    pub(crate) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// Puts an empty page in the place of this one.
    pub(crate) fn renew(&mut self) -> Result<()> {
        let script = self.tab.script.clone();
        self.explained(|page| {
            let tab = std::mem::replace(&mut page.tab, Tab::new(script));
            page.cdp.forget_session(&tab.session);
            if let Some(profile) = tab.profile {
                page.cdp.call(&target::DisposeBrowserContextParams::new(profile))?;
            }
            page.attach()
        })
    }

    /// Opens an empty page before this one, which goes on loading behind it.
    pub(crate) fn open_before(&mut self, script: String) -> Result<()> {
        self.explained(|page| {
            page.behind = Some(std::mem::replace(&mut page.tab, Tab::new(script)));
            page.cdp.use_session(None);
            page.attach()
        })
    }

    /// Puts this page behind the one that is behind it.
    pub(crate) fn turn(&mut self) {
        if let Some(behind) = &mut self.behind {
            std::mem::swap(behind, &mut self.tab);
            self.cdp.use_session(self.tab.session.clone());
        }
    }

    /// Closes this page; the one behind it takes its place.
    pub(crate) fn close(&mut self) -> Result<()> {
        self.explained(|page| {
            let Some(behind) = page.behind.take() else { return Ok(()) };
            let closed = std::mem::replace(&mut page.tab, behind);
            page.cdp.forget_session(&closed.session);
            if let Some(profile) = closed.profile {
                page.cdp.send_unheard(&target::DisposeBrowserContextParams::new(profile))?;
            }
            page.cdp.use_session(page.tab.session.clone());
            Ok(())
        })
    }

    /// Opens the composition; it is ready some time later.
    pub(crate) fn navigate(&mut self) -> Result<()> {
        self.explained(|page| {
            page.cdp.call(&page::AddScriptToEvaluateOnNewDocumentParams::new(page.tab.script.clone()))?;
            let answer =
                page.cdp.call(&page::NavigateParams::new(format!("{}index.html", crate::draw::server::ORIGIN)))?;
            match answer.error_text {
                Some(message) => Err(Error::Refused { method: "Page.navigate".to_owned(), message }),
                None => Ok(()),
            }
        })
    }

    /// Draws one frame of whatever the page now shows; the screenshot is a PNG.
    pub(crate) fn draw(&mut self, screenshot: bool) -> Result<Drawn> {
        let png = ScreenshotParams {
            format: Some(ScreenshotParamsFormat::Png),
            quality: None,
            optimize_for_speed: Some(true),
        };
        self.draw_taking(screenshot.then_some(png))
    }

    /// The same with a screenshot that is a JPEG, as like the frame as one can be.
    pub(crate) fn draw_to_jpeg(&mut self) -> Result<Drawn> {
        let format = Some(ScreenshotParamsFormat::Jpeg);
        self.draw_taking(Some(ScreenshotParams { format, quality: Some(100), optimize_for_speed: None }))
    }

    fn draw_taking(&mut self, screenshot: Option<ScreenshotParams>) -> Result<Drawn> {
        let command = BeginFrameParams { screenshot, ..self.begin_frame() };
        self.explained(|page| {
            let answer = page.cdp.call(&command)?;
            let screenshot = answer.screenshot_data.map(|data| decode_base64(data.as_ref())).transpose()?;
            Ok(Drawn { changed: answer.has_damage, screenshot })
        })
    }

    /// Does what comes with a frame, as telling scripts that animations have ended, without drawing it.
    pub(crate) fn pass(&mut self) -> Result<()> {
        let command = BeginFrameParams { no_display_updates: Some(true), ..self.begin_frame() };
        self.explained(|page| page.cdp.call(&command).map(drop))
    }

    fn begin_frame(&mut self) -> BeginFrameParams {
        // What the browser moves by itself, as a scroll that is smooth, follows the video's time.
        let Tab { drawn_at, time, .. } = &mut self.tab;
        *drawn_at = (BEGINNING_MS + *time * 1000.0).max(*drawn_at + LEAST_MS);
        BeginFrameParams {
            frame_time_ticks: Some(*drawn_at),
            interval: Some(INTERVAL_MS),
            no_display_updates: None,
            screenshot: None,
        }
    }

    /// Evaluates an expression, awaiting it if it is a promise.
    pub(crate) fn evaluate<T: DeserializeOwned>(&mut self, expression: &str) -> Result<T> {
        let pending = self.evaluate_later(expression)?;
        let value = self.evaluated(pending)?;
        serde_json::from_value(value).map_err(|source| Error::Protocol { method: expression.to_owned(), source })
    }

    /// Starts an evaluation whose value is taken later.
    pub(crate) fn evaluate_later(&mut self, expression: &str) -> Result<Pending<runtime::EvaluateParams>> {
        let mut command = runtime::EvaluateParams::new(expression);
        command.await_promise = Some(true);
        command.return_by_value = Some(true);
        self.explained(|page| page.cdp.send(&command))
    }

    /// The value of an evaluation.
    pub(crate) fn evaluated(&mut self, pending: Pending<runtime::EvaluateParams>) -> Result<serde_json::Value> {
        self.explained(|page| {
            let answer = page.cdp.wait(pending)?;
            match answer.exception_details {
                Some(details) => {
                    let description = details.exception.and_then(|object| object.description);
                    Err(Error::Script { message: description.unwrap_or(details.text) })
                }
                None => Ok(answer.result.value.unwrap_or_default()),
            }
        })
    }

    /// Starts moving the page to a time in seconds. `pictures`: what videos show then, as pairs of name and address; `ahead`:
    /// the addresses of what they will show in the frame after that. The answer will be whether scenes are to be blended.
    pub(crate) fn seek_later(
        &mut self,
        seconds: f64,
        pictures: &[(&str, &str)],
        ahead: &[String],
    ) -> Result<Pending<runtime::EvaluateParams>> {
        self.tab.time = seconds;
        if !ahead.is_empty() && !self.cdp.events().loading() {
            self.forget_requests()?;
        }
        let (pictures, ahead) = (serde_json::json!(pictures), serde_json::json!(ahead));
        self.evaluate_later(&format!("__hfProducer.seek({seconds:?}, {pictures}, {ahead})"))
    }

    /// Moves the page through the frames before one that this one depends on: those in which timelines begin or end something.
    pub(crate) fn go_through_moments(&mut self, before: u32, rate: FrameRate) -> Result<()> {
        let mut first = 0;
        while first < before {
            // What is called may bring others.
            let some = format!("__hfProducer.momentsIn({first}, {before}, {MOMENTS_AT_A_TIME})");
            let frames: Vec<u32> = self.evaluate(&some)?;
            first = frames.last().map_or(before, |last| last + 1);
            for frame in frames {
                let seek = self.seek_later(rate.time_of(frame), &[], &[])?;
                self.evaluated(seek)?;
                self.pass()?;
            }
        }
        Ok(())
    }

    /// Has DevTools forget what came of earlier requests. Of each that the page lets go of it would make base64 first: 8 ms and
    /// twice the memory for every picture of a video. Nothing may be loading, for what starts in between is not told of.
    fn forget_requests(&mut self) -> Result<()> {
        self.explained(|page| {
            page.cdp.send_unheard(&network::DisableParams::default())?;
            page.cdp.send_unheard(&network::EnableParams::default())
        })
    }

    /// Waits until the page has loaded what the composition declares and shows its first frame.
    pub(crate) fn prepare(&mut self) -> Result<()> {
        let late = self.evaluate("__hfProducer.prepare()")?;
        in_time(late)
    }

    /// Waits until everything requested has arrived and can be drawn, then draws until nothing changes any more.
    ///
    /// Needed after a request, because an image or font that is used for the first time arrives after the frame that
    /// asked for it. Bounded: an animation of the page's own would never come to rest.
    ///
    /// `draw` draws one frame and says whether anything changed; the answer is whether any of them did.
    pub(crate) fn settle(&mut self, mut draw: impl FnMut(&mut Self) -> Result<bool>) -> Result<bool> {
        const ROUNDS: u32 = 20;
        let give_up = Instant::now() + SETTLE;
        let mut changed = false;
        for _ in 0..ROUNDS {
            while self.cdp.events().loading() {
                if Instant::now() >= give_up {
                    return in_time(self.cdp.events().unanswered()).map(|()| changed);
                }
                self.evaluate::<()>("new Promise(done => __HF_VIRTUAL_TIME__.originalSetTimeout(done, 5))")?;
            }
            let late = self.evaluate("__hfProducer.settle()")?;
            in_time(late)?;
            let changed_now = draw(self)?;
            changed |= changed_now;
            if !changed_now && !self.cdp.events().loading() {
                break;
            }
        }
        Ok(changed)
    }

    /// Every text that `wanted(font_family, text)`, wherever it stands: frames, shadow roots and form controls too; not what only
    /// screen readers have, in a box of a pixel.
    pub(crate) fn texts(&mut self, mut wanted: impl FnMut(&str, &str) -> bool) -> Result<Vec<Text>> {
        self.explained(|page| {
            let cdp = &mut page.cdp;
            let snapshot = cdp.call(&dom_snapshot::CaptureSnapshotParams::new(STYLES.map(str::to_owned).to_vec()))?;
            let string = |index: &dom_snapshot::StringIndex| {
                usize::try_from(*index.inner()).ok().and_then(|index| snapshot.strings.get(index)).map(String::as_str)
            };
            let (mut texts, mut nodes) = (Vec::new(), Vec::new());
            for document in &snapshot.documents {
                let ids = document.nodes.backend_node_id.as_deref().unwrap_or_default();
                let layout = &document.layout;
                let clipped = clipped(document, string);
                let pseudo = document.nodes.pseudo_type.iter().flat_map(|kinds| kinds.index.iter().zip(&kinds.value));
                let markers = pseudo.filter(|(_, kind)| string(kind) == Some("marker"));
                let markers: HashSet<i64> = markers.map(|(node, _)| *node).collect();
                for ((node, styles), text) in layout.node_index.iter().zip(&layout.styles).zip(&layout.text) {
                    let stack = styles.inner().first().and_then(string);
                    let id = usize::try_from(*node).ok().and_then(|node| ids.get(node));
                    let (Some(stack), Some(text), Some(id)) = (stack, string(text), id) else { continue };
                    let is_shape = markers.contains(node) && SHAPES.contains(&text.trim());
                    if !text.trim().is_empty()
                        && !is_shape
                        && !lies_in(document, *node, &clipped)
                        && wanted(stack, text)
                    {
                        texts.push(Text { stack: stack.to_owned(), text: text.to_owned(), fonts: Vec::new() });
                        nodes.push(*id);
                    }
                }
            }
            if texts.is_empty() {
                return Ok(texts);
            }
            cdp.call(&dom::EnableParams::default())?;
            cdp.call(&css::EnableParams::default())?;
            cdp.call(&dom::GetDocumentParams::default())?;
            let ids = cdp.call(&dom::PushNodesByBackendIdsToFrontendParams::new(nodes))?.node_ids;
            for (text, id) in texts.iter_mut().zip(ids) {
                // A node may have gone since.
                if let Ok(answer) = cdp.call(&css::GetPlatformFontsForNodeParams::new(id)) {
                    let used = answer.fonts.into_iter().filter(|font| font.glyph_count > 0.0);
                    text.fonts = used.map(|font| (font.family_name, font.is_custom_font)).collect();
                }
            }
            cdp.call(&css::DisableParams::default())?;
            cdp.call(&dom::DisableParams::default())?;
            Ok(texts)
        })
    }

    /// Like [`evaluate`](Self::evaluate), with another patience than the usual.
    pub(crate) fn evaluate_within<T: DeserializeOwned>(&mut self, patience: Duration, expression: &str) -> Result<T> {
        let usual = self.cdp.replace_patience(patience);
        let value = self.evaluate(expression);
        self.cdp.replace_patience(usual);
        value
    }

    /// What the page reported by itself.
    pub(crate) fn events(&self) -> &Events {
        self.cdp.events()
    }

    /// The addresses elsewhere that it asked for, and the files of the project that are under them.
    pub(crate) fn files_elsewhere(&self) -> impl Iterator<Item = (&str, String)> {
        let external = self.cdp.events().external.iter();
        external.filter_map(|address| Some((address.as_str(), self.remote.found(address)?.0)))
    }

    /// Addresses elsewhere that it asked for in vain, with the reason.
    pub(crate) fn refused(&self) -> Vec<(&str, Failure)> {
        let external = self.cdp.events().external.iter();
        external.filter_map(|address| Some((address.as_str(), self.remote.failure(address)?))).collect()
    }

    /// The browser's main process.
    pub(crate) fn pid(&self) -> nix::unistd::Pid {
        self.browser.pid()
    }

    /// Blocks of memory that the browser shares by now; `None` when it shares none.
    pub(crate) fn shared_blocks(&mut self) -> Option<Vec<Arc<Block>>> {
        self.browser.shared.as_mut().map(SharedMemory::blocks)
    }

    /// The browser's name and version, as `HeadlessChrome/156.0.8078.79`.
    pub(crate) fn product(&self) -> &str {
        &self.product
    }

    fn explained<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        work(self).map_err(|error| self.browser.explain(error))
    }
}

/// A page that draws when it likes, as everybody's browser does: what the frames are compared with.
#[cfg(test)]
impl Page {
    pub(crate) fn open_plain(context: &Context, config: PageConfig<'_>) -> Result<Self> {
        Self::open_in(context, config, false, false)
    }

    pub(crate) fn screenshot(&mut self) -> Result<Vec<u8>> {
        let format = page::CaptureScreenshotFormat::Png;
        let command = page::CaptureScreenshotParams { format: Some(format), ..Default::default() };
        decode_base64(self.cdp.call(&command)?.data.as_ref())
    }
}

/// Nothing where a page would be white.
fn transparent() -> emulation::SetDefaultBackgroundColorOverrideParams {
    let nothing = dom::Rgba { r: 0, g: 0, b: 0, a: Some(0.0) };
    emulation::SetDefaultBackgroundColorOverrideParams { color: Some(nothing) }
}

/// Every generic family but one is the default font: Chromium's own names for them have other meanings here.
fn generic_families() -> page::FontFamilies {
    let family = || Some(crate::fonts::DEFAULT.to_owned());
    page::FontFamilies {
        standard: family(),
        // Where a style sheet asks for it, planning puts Inter before it, as upstream does: what is left are the browser's own rules.
        fixed: Some(crate::fonts::MONOSPACED.to_owned()),
        serif: family(),
        sans_serif: family(),
        cursive: family(),
        fantasy: family(),
        math: family(),
    }
}

fn decode_base64(data: &str) -> Result<Vec<u8>> {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.decode(data).map_err(|error| Error::Refused {
        method: "HeadlessExperimental.beginFrame".to_owned(),
        message: format!("its screenshot is not base64: {error}"),
    })
}

/// Computed styles that texts are judged by.
const STYLES: [&str; 2] = ["font-family", "overflow-x"];

/// Nodes whose box is a pixel and hides what leaves it.
fn clipped<'a>(
    document: &dom_snapshot::DocumentSnapshot,
    string: impl Fn(&dom_snapshot::StringIndex) -> Option<&'a str>,
) -> HashSet<i64> {
    let layout = &document.layout;
    let hides = |styles: &dom_snapshot::ArrayOfStrings| {
        ["hidden", "clip"].map(Some).contains(&styles.inner().get(1).and_then(&string))
    };
    let is_a_pixel = |bounds: &dom_snapshot::Rectangle| matches!(bounds.inner()[..], [_, _, width, height] if width <= 1.0 && height <= 1.0);
    let boxes = layout.node_index.iter().zip(&layout.styles).zip(&layout.bounds);
    boxes.filter(|((_, styles), bounds)| hides(styles) && is_a_pixel(bounds)).map(|((node, _), _)| *node).collect()
}

/// Whether a node, or one that it lies in, is one of some.
fn lies_in(document: &dom_snapshot::DocumentSnapshot, node: i64, nodes: &HashSet<i64>) -> bool {
    let parents = document.nodes.parent_index.as_deref().unwrap_or_default();
    let parent = |node: &i64| parents.get(usize::try_from(*node).ok()?).copied();
    !nodes.is_empty() && std::iter::successors(Some(node), parent).any(|node| nodes.contains(&node))
}

/// Markers of lists that the browser draws as shapes, not as characters.
const SHAPES: [&str; 6] = ["•", "◦", "■", "▸", "▾", "◂"];

/// How long files a frame asked for may take to arrive, and to be decoded. They come from this machine.
pub(crate) const SETTLE: Duration = Duration::from_secs(10);

/// An error, if anything is late.
fn in_time(late: Vec<String>) -> Result<()> {
    const NAMED: usize = 5;
    if late.is_empty() {
        return Ok(());
    }
    let more = late.len().saturating_sub(NAMED);
    let mut what = late.into_iter().take(NAMED).collect::<Vec<_>>().join(", ");
    if more > 0 {
        what += &format!(" and {more} more");
    }
    Err(Error::Late { what, after: SETTLE })
}
