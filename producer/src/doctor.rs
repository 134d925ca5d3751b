//! `doctor`: what is there, what is missing, how to get it.

use std::{path::Path, sync::Arc};

use crds::{Diagnosis, FrameRate, diagnosis::Check, line::FrameSourceKind};
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use crate::{
    context::Context,
    draw::{
        browser::{
            self,
            page::{PageConfig, Size},
        },
        frames,
        script::{self, PageScript, Purpose},
        server::Frames,
    },
    encode::format::EncoderKind,
    jobs::Capacity,
    layout::{MediaFiles, canonical},
    libav,
    plan::assets,
    remote::Remote,
    settings::Settings,
};

/// Looks at this machine, and starts a browser once to see that it works.
///
/// Blocks the calling thread, which must live as long as the call. Jobs are for frames of 1920×1080.
#[must_use]
pub fn doctor(context: &Context) -> Diagnosis {
    let settings = &context.settings;
    let capacity = Capacity::of_this_machine();
    let jobs = u32::try_from(capacity.jobs(1920, 1080, u32::MAX).get()).unwrap_or(u32::MAX);
    let browser = try_browser(context);
    let libav = libav::version(EncoderKind::X264);
    let (cores, mebibytes) = (capacity.cores, capacity.memory >> 20);
    let renderer_digest = match (&browser, &libav) {
        (Ok((product, _)), Ok(libav)) => Some(renderer_digest(product, libav)),
        _ => None,
    };
    let frame_source = browser.as_ref().ok().map(|(_, kind)| *kind);
    let taken = match frame_source {
        Some(FrameSourceKind::CompositorBitmap) => "frames are read from the compositor's bitmap",
        Some(FrameSourceKind::SharedBitmap) => "frames are read from the compositor's bitmap, which the browser shares",
        Some(FrameSourceKind::Screenshot) => {
            "frames are PNG screenshots, ten times slower: the browser's memory can neither be read nor shared"
        }
        None => "not known without a browser",
    };
    let gsap = assets::versions_of("gsap").all(|version| assets::archive(&settings.assets, "gsap", version).is_some());
    let checks = vec![
        check("browser", true, browser.as_ref().map(|(product, _)| product.clone()).map_err(ToString::to_string)),
        check("libav", true, libav.map_err(|error| error.to_string())),
        check("encoders", false, encoders()),
        check(
            "frame source",
            false,
            match frame_source {
                Some(FrameSourceKind::CompositorBitmap | FrameSourceKind::SharedBitmap) => Ok(taken.to_owned()),
                Some(FrameSourceKind::Screenshot) | None => Err(taken.to_owned()),
            },
        ),
        check("runtime", true, Ok(format!("@hyperframes/core, sha256 {}", sha256(assets::runtime())))),
        check(
            "gsap",
            false,
            if gsap {
                Ok(format!("packages in {}", settings.assets.display()))
            } else {
                Err(format!("not in {}: run `make assets`, or planning fetches it", settings.assets.display()))
            },
        ),
        check(
            "capacity",
            true,
            Ok(format!("{cores} cores, {mebibytes} MiB free: {jobs} chunks of 1920×1080 at the same time")),
        ),
    ];
    let ready = checks.iter().all(|check| check.ok || !check.required);
    Diagnosis { ready, jobs, renderer_digest, frame_source, checks }
}

/// The encoders of all formats; what is missing is only missed by whoever asks for its format.
fn encoders() -> Result<String, String> {
    let (there, missing): (Vec<_>, Vec<_>) = EncoderKind::ALL.into_iter().partition(|encoder| libav::has(*encoder));
    let names = |encoders: Vec<EncoderKind>| encoders.into_iter().map(EncoderKind::name).collect::<Vec<_>>().join(", ");
    if missing.is_empty() {
        return Ok(names(there));
    }
    Err(format!("{}; not {}: install a libavcodec built with them", names(there), names(missing)))
}

fn check(name: &'static str, required: bool, result: Result<String, String>) -> Check {
    let ok = result.is_ok();
    Check { name: name.to_owned(), ok, required, detail: result.unwrap_or_else(|problem| problem) }
}

fn try_browser(context: &Context) -> browser::Result<(String, FrameSourceKind)> {
    const SIDE: u32 = 512;
    let (variables, media) = (&Map::new(), &MediaFiles::new());
    let script = PageScript { rate: FrameRate::default(), variables, media, transparent: false, timelines: false };
    let nothing = Path::new("/nonexistent");
    let remote = Arc::new(Remote::fetching(nothing, &Settings { offline: true, ..context.settings.clone() }));
    let config = PageConfig {
        folder: nothing,
        remote,
        size: Size { width: SIDE, height: SIDE, scale: 1 },
        transparent: false,
        script: script.text(Purpose::Draw),
        frames: Frames::default(),
    };
    let (page, source) = frames::start(context, &config, |_| Ok(()))?;
    Ok((page.product().to_owned(), source.kind()))
}

/// Versions of everything pixels and bytes depend on besides the project.
fn renderer_digest(browser: &str, libav: &str) -> String {
    let versions = json!({
        "producer": crate::VERSION,
        "browser": browser,
        "libav": libav,
        "runtime": sha256(assets::runtime()),
        "pageScript": script::digest(),
    });
    sha256(canonical(&versions).as_bytes())
}

fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}
