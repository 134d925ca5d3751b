//! `doctor`: what is there, what is missing, how to get it.

use std::{num::NonZeroUsize, path::Path};

use crds::{FrameRate, line::FrameSourceKind};
use serde::Serialize;
use serde_json::{Map, json};
use sha2::{Digest as _, Sha256};

use crate::{
    draw::{
        browser::{
            self,
            page::{Page, PageConfig},
        },
        frames, script,
    },
    files,
    jobs::Capacity,
    layout::canonical,
    libav,
    plan::assets::{self, Replacement},
    settings::Settings,
};

/// The state of this machine.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Diagnosis {
    /// Whether everything that rendering needs is there.
    pub ready: bool,
    /// Chunks that can be rendered at the same time.
    pub jobs: NonZeroUsize,
    /// SHA-256 over the versions pixels and bytes depend on; absent while something is missing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renderer_digest: Option<String>,
    /// How frames would be taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame_source: Option<FrameSourceKind>,
    /// Everything looked at.
    pub checks: Vec<Check>,
}

/// One thing looked at.
#[derive(Debug, Serialize)]
pub struct Check {
    /// What it is.
    pub name: &'static str,
    /// Whether it is as it should be.
    pub ok: bool,
    /// Whether rendering is impossible without it.
    pub required: bool,
    /// Its version, or what is wrong and how to mend it.
    pub detail: String,
}

/// Looks at this machine, and starts a browser once to see that it works.
#[must_use]
pub fn diagnose(settings: &Settings) -> Diagnosis {
    let capacity = Capacity::of_this_machine();
    let browser = try_browser(settings);
    let libav = libav::version();
    let (cores, mebibytes) = (capacity.cores, capacity.memory >> 20);
    let renderer_digest = match (&browser, &libav) {
        (Ok((product, _)), Ok(libav)) => Some(renderer_digest(product, libav)),
        _ => None,
    };
    let frame_source = browser.as_ref().ok().map(|(_, kind)| *kind);
    let taken = match frame_source {
        Some(FrameSourceKind::CompositorBitmap) => "frames are read from the compositor's bitmap",
        Some(FrameSourceKind::Screenshot) => {
            "frames are PNG screenshots, ten times slower: this process may not read its browser's memory"
        }
        None => "not known without a browser",
    };
    let gsap = Replacement::of("https://cdn.jsdelivr.net/npm/gsap@3.14.2/dist/gsap.min.js");
    let gsap = gsap.map_or(Ok(0), |gsap| gsap.content(&settings.assets).map(|content| content.len()));
    let checks = vec![
        check("browser", true, browser.as_ref().map(|(product, _)| product.clone()).map_err(ToString::to_string)),
        check("libav", true, libav.map_err(|error| error.to_string())),
        check(
            "frame source",
            false,
            if frame_source == Some(FrameSourceKind::CompositorBitmap) {
                Ok(taken.to_owned())
            } else {
                Err(taken.to_owned())
            },
        ),
        check("runtime", true, Ok(format!("@hyperframes/core, sha256 {}", sha256(assets::runtime())))),
        check(
            "gsap",
            false,
            gsap.map(|_| format!("packages in {}", settings.assets.display())).map_err(|error| error.to_string()),
        ),
        check(
            "capacity",
            true,
            Ok(format!("{cores} cores, {mebibytes} MiB free: {} chunks at the same time", capacity.jobs())),
        ),
    ];
    let ready = checks.iter().all(|check| check.ok || !check.required);
    Diagnosis { ready, jobs: capacity.jobs(), renderer_digest, frame_source, checks }
}

fn check(name: &'static str, required: bool, result: Result<String, String>) -> Check {
    let ok = result.is_ok();
    Check { name, ok, required, detail: result.unwrap_or_else(|problem| problem) }
}

fn try_browser(settings: &Settings) -> browser::Result<(String, FrameSourceKind)> {
    const SIDE: u32 = 512;
    let script = script::page_script(FrameRate::default(), &Map::new(), script::Purpose::Draw);
    let nothing = Path::new("/nonexistent");
    let mut page = Page::open(settings, PageConfig { folder: nothing, width: SIDE, height: SIDE, script })?;
    let kind = frames::best(&mut page, SIDE, SIDE)?.kind();
    Ok((page.product().to_owned(), kind))
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
    files::hex(&Sha256::digest(bytes))
}

impl Diagnosis {
    /// For people: a line for each thing.
    #[must_use]
    pub fn lines(&self) -> String {
        let mark = |check: &Check| match (check.ok, check.required) {
            (true, _) => "ok",
            (false, true) => "MISSING",
            (false, false) => "warning",
        };
        self.checks.iter().map(|check| format!("{:<8} {:<13} {}\n", mark(check), check.name, check.detail)).collect()
    }
}
