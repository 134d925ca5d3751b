//! What is to be seen and heard in a composition, written into its plan.

use std::ops::Range;

use crds::{Code, Failure, FrameRate, Strictness};

use super::{compile::Compiled, probe::Probe};
use crate::{
    Error,
    context::Context,
    draw::browser::page::Page,
    encode::format::{FormatSpec, Output},
    files,
    layout::{PlanDir, Videos, pretty},
    media::{self, Found, Judge, Library},
};

/// How many of each there are.
pub(super) struct Played {
    pub(super) videos: u32,
    pub(super) sounds: u32,
}

/// What is played, and how.
pub(super) struct Subject<'a> {
    pub(super) dir: &'a PlanDir,
    pub(super) compiled: &'a Compiled,
    pub(super) library: Library,
    pub(super) probe: &'a Probe,
    /// Of the whole video, those that are rendered.
    pub(super) frames: Range<u32>,
    pub(super) rate: FrameRate,
    pub(super) format: &'static FormatSpec,
    /// Whether sound is of use.
    pub(super) hears: bool,
    pub(super) strictness: Option<Strictness>,
}

/// Writes the list of videos, and the sound if there is any; `page` has been looked at. What cannot be played is judged and told.
pub(super) fn write(subject: Subject<'_>, page: &mut Page, context: &Context) -> Result<Played, Error> {
    let Subject { dir, compiled, library, probe, frames, rate, format, hears, strictness } = subject;
    let folder = dir.compiled();
    let judge = Judge {
        library: &library,
        references: &compiled.references,
        folder: &folder,
        duration: rate.time_of(frames.end),
        volumes: &probe.volumes,
    };
    let Found { videos, tracks, mut defects, refused } = judge.judge(&probe.media);
    context.refuse(refused)?;
    let silent = !hears || matches!(format.output, Output::Pictures | Output::Gif);
    if silent && hears && !tracks.is_empty() {
        let message = format!("a {} has no sound: it is left out", format.format.as_str());
        defects.minor.push(Failure::new(Code::FeatureUnsupported, message));
    } else if !silent && !tracks.is_empty() {
        let audio = ("mp4", format.sound);
        defects.minor.extend(media::mix(&tracks, (frames, rate), &dir.sound(), audio, (page, context))?);
    }
    context.judge(defects, strictness)?;
    let count = |length: usize| u32::try_from(length).unwrap_or(u32::MAX);
    let played = Played { videos: count(videos.len()), sounds: if silent { 0 } else { count(tracks.len()) } };
    let videos = Videos { videos, extracted: [], files: library.files };
    files::write(&dir.videos(), pretty(&videos).trim_end())?;
    Ok(played)
}
