//! What the elements of a page say is to be heard and seen, judged.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crds::{Code, Failure};
use serde::Deserialize;

use super::{
    Clip,
    automation::{Lane, Target},
    effects::Effects,
    envelope::{Envelope, LOUDEST},
    speed::Speed,
};
use crate::{
    draw::server::ORIGIN,
    files,
    layout::{MediaFile, MediaFiles, Video},
    libav::{self, MediaInfo},
    plan::{defects::Defects, references::References},
    remote,
};

/// Extensions of media files.
const EXTENSIONS: [&str; 24] = [
    "mp4", "m4v", "mov", "webm", "mkv", "avi", "mpg", "mpeg", "ts", "3gp", "ogv", "mp3", "wav", "m4a", "aac", "ogg",
    "oga", "opus", "flac", "aif", "aiff", "weba", "m4b", "caf",
];

/// Extensions of images that may be animated.
const IMAGES: [&str; 4] = ["gif", "png", "apng", "webp"];

/// Whether a file is an image of more than one frame.
pub(crate) fn is_animated(path: &Path) -> bool {
    files::head(path, 64).is_ok_and(|head| libav::is_animated(path, &head))
}

/// The media files of a composition.
#[derive(Debug, Default)]
pub(crate) struct Library {
    /// By what the page calls them, and by their paths.
    pub(crate) files: MediaFiles,
    /// The paths of those that lie elsewhere, or why they cannot be had, by their addresses.
    fetched: BTreeMap<String, Result<String, Failure>>,
    /// Those that cannot be read, and why.
    unreadable: BTreeMap<String, String>,
}

/// What was fetched, or not.
pub(crate) struct Fetched {
    /// Without a fragment.
    pub(crate) address: String,
    /// Path and media type.
    pub(crate) found: Result<(String, String), Failure>,
}

impl Library {
    /// Looks into every media file among some paths of a folder, and among what was fetched into it.
    pub(crate) fn of<'a>(
        folder: &Path,
        paths: impl Iterator<Item = &'a str>,
        fetched: impl Iterator<Item = Fetched>,
    ) -> Self {
        let mut library = Self::default();
        let animated = |path: &str| has_extension(path, &IMAGES) && is_animated(&folder.join(path));
        let moving = MediaFile { animated: true, ..MediaFile::default() };
        for path in paths {
            if animated(path) {
                library.files.insert(path.to_owned(), moving);
            }
            if has_extension(path, &EXTENSIONS) {
                library.look(folder, path);
            }
        }
        for Fetched { address, found } in fetched {
            let (path, kind) = match found {
                Ok(found) => found,
                Err(failure) => {
                    library.fetched.insert(address, Err(failure));
                    continue;
                }
            };
            if animated(&path) {
                library.files.insert(address.clone(), moving);
            }
            let is_media = ["video/", "audio/"].iter().any(|media| kind.starts_with(media));
            if is_media || has_extension(&path, &EXTENSIONS) {
                library.look(folder, &path);
                library.files.extend(library.files.get(&path).map(|file| (address.clone(), *file)));
                library.fetched.insert(address, Ok(path));
            }
        }
        library
    }

    fn look(&mut self, folder: &Path, path: &str) {
        match libav::media_info(&folder.join(path)) {
            Ok(MediaInfo { duration, pictures_end, picture, sound }) => {
                let (width, height) = picture.unzip();
                let file = MediaFile { duration, pictures_end, width, height, sound, animated: false };
                self.files.insert(path.to_owned(), file);
            }
            Err(error) => drop(self.unreadable.insert(path.to_owned(), why_unreadable(&folder.join(path), &error))),
        }
    }
}

/// Why a media file cannot be read, without its place in the plan.
fn why_unreadable(file: &Path, error: &libav::Error) -> String {
    match error {
        _ if files::head(file, 1).is_ok_and(|head| head.is_empty()) => "it is empty".to_owned(),
        libav::Error::File { source, .. } => match source.to_string() {
            why if why.is_empty() => "it is cut short, or another kind of file".to_owned(),
            why => why,
        },
        error => error.to_string(),
    }
}

fn has_extension(path: &str, known: &[&str]) -> bool {
    let extension = Path::new(path).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|name| known.iter().any(|known| known.eq_ignore_ascii_case(name)))
}

/// What an element of the page says of itself. Times are in seconds of the video.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_excessive_bools, reason = "what an element says, word by word")]
pub(crate) struct Told {
    /// Its name, the same whenever the page is opened.
    pub(crate) id: String,
    /// Whether it has a picture; else it has only sound.
    video: bool,
    /// As a message calls it.
    place: String,
    /// The file it names, relative to the project, or an address elsewhere.
    path: Option<String>,
    /// From when to when it is there.
    slot: (f64, Option<f64>),
    /// The same of the clips it lies in.
    hosts: Vec<(f64, Option<f64>)>,
    media_start: f64,
    rate: f64,
    repeat: bool,
    /// Its author has muted it.
    muted: bool,
    /// It is not to be heard for another reason.
    silent: bool,
    /// It is not there at all.
    hidden: bool,
    volume: f64,
    automation: Option<String>,
    fades: (f64, f64),
    effects: Option<Effects>,
    /// What it goes through with others, and then with all.
    group: Option<Bus>,
    master: Bus,
}

impl Told {
    /// Has it begin at another time, in seconds, and last as long as before.
    pub(crate) fn begin_at(&mut self, seconds: f64) {
        let later = seconds - self.slot.0;
        self.slot = (seconds, self.slot.1.map(|end| end + later));
    }
}

/// What sounds go through together.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Bus {
    /// As a message calls it.
    pub(super) place: String,
    volume: f64,
    /// In seconds of the video.
    automation: Option<String>,
    pub(super) effects: Option<Effects>,
}

/// Something that is heard.
#[derive(Clone, Debug)]
pub(crate) struct Track {
    pub(super) file: PathBuf,
    pub(super) clip: Clip,
    pub(super) envelope: Envelope,
    pub(super) effects: Option<Effects>,
    /// Its group, if that has effects.
    pub(super) group: Option<Bus>,
    /// Everything, if that has effects.
    pub(super) master: Option<Bus>,
    /// What is told when it cannot be heard; the reason is added.
    pub(super) failure: Failure,
    /// And when its effects cannot be applied.
    pub(super) dry: Failure,
}

const DRY: &str = "its sound is heard without effects";

/// What there is to see and to hear, and what is wrong with it.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) videos: Vec<Video>,
    pub(crate) tracks: Vec<Track>,
    pub(crate) defects: Defects,
    /// What cannot be rendered.
    pub(crate) refused: Vec<Failure>,
}

/// Characters of an address that are told.
const QUOTED: usize = 100;

/// Whether an address is none of the project's.
fn is_elsewhere(address: &str) -> bool {
    address.split_once(':').is_some_and(|(scheme, _)| !scheme.contains('/'))
}

impl Bus {
    /// How loud it is: seconds of the video, and volume.
    fn line(&self) -> Vec<(f64, f64)> {
        let automated = Lane::read(self.automation.as_deref(), Target::Volume);
        automated.map_or_else(|| vec![(0.0, self.volume)], |lane| lane.volumes())
    }

    /// What is told when its effects cannot be applied.
    pub(super) fn dry(&self) -> Failure {
        Failure::new(Code::FeatureUnsupported, format!("{}: {DRY}", self.place))
    }

    /// How loud what comes out of its effects is.
    pub(super) fn envelope(&self) -> Envelope {
        Envelope::new(vec![self.line()], (0.0, f64::INFINITY), (0.0, 0.0))
    }
}

/// What elements are judged by.
pub(crate) struct Judge<'a> {
    pub(crate) library: &'a Library,
    pub(crate) references: &'a References,
    /// Where the files are.
    pub(crate) folder: &'a Path,
    /// Seconds of the whole video.
    pub(crate) duration: f64,
    /// Volumes that scripts give to elements: seconds of the video, and volume.
    pub(crate) volumes: &'a BTreeMap<String, Vec<(f64, f64)>>,
}

impl Judge<'_> {
    /// Takes what elements say.
    pub(crate) fn judge(&self, told: &[Told]) -> Found {
        let mut found = Found::default();
        for element in told.iter().filter(|element| !element.hidden) {
            self.take(element, &mut found);
        }
        found
    }

    /// A failure about what an element names.
    fn failure(&self, element: &Told, code: Code, words: &str) -> Failure {
        let named = element.path.as_deref().unwrap_or_default();
        let elsewhere = is_elsewhere(named);
        let address = if elsewhere { named.to_owned() } else { format!("{ORIGIN}{named}") };
        self.references.failure(code, &address, |path| {
            let shown = if elsewhere { remote::shown(path) } else { path.to_owned() };
            let shown: String = shown.chars().take(QUOTED).collect();
            format!("{shown} of {}: {words}", element.place)
        })
    }

    /// The path and the file that an element names, if it can be played.
    fn file<'t>(&'t self, element: &'t Told, found: &mut Found) -> Option<(&'t str, MediaFile)> {
        let named = element.path.as_deref()?;
        let fail = |code, words: &str| self.failure(element, code, words);
        let path = match self.library.fetched.get(named) {
            Some(Ok(path)) => path,
            Some(Err(failure)) => {
                found.refused.push(fail(failure.code, &failure.message));
                return None;
            }
            None if is_elsewhere(named) => {
                let words =
                    "no video or sound of this address was fetched: name it in index.html, or copy it into the project";
                found.refused.push(fail(Code::RemoteAssetUnsupported, words));
                return None;
            }
            None => named,
        };
        let Some(file) = self.library.files.get(path) else {
            found.defects.minor.push(match self.library.unreadable.get(path) {
                Some(reason) => fail(Code::MediaUnreadable, &format!("left out, for it cannot be read ({reason})")),
                None if self.folder.join(path).is_file() => fail(
                    Code::MediaUnreadable,
                    "left out, for its name is that of no media file: give it its extension",
                ),
                None => fail(Code::AssetMissing, "left out, for there is no such file in the project"),
            });
            return None;
        };
        Some((path, *file))
    }

    fn take(&self, element: &Told, found: &mut Found) {
        let Some((path, file)) = self.file(element, found) else { return };
        let clip = self.clip(element, file);
        if clip.end <= clip.start {
            return;
        }
        let fail = |code, words: &str| self.failure(element, code, words);
        let heard = file.sound && !element.silent && !element.muted;
        if element.video && file.width.is_some() {
            let (playback_rate, speed_ramp) = match &clip.speed {
                Speed::Constant(rate) => (*rate, Vec::new()),
                Speed::Ramp(points) => (1.0, points.clone()),
            };
            found.videos.push(Video {
                id: element.id.clone(),
                src: path.to_owned(),
                start: clip.start,
                end: clip.end,
                media_start: clip.media_start,
                before: clip.before,
                playback_rate,
                speed_ramp,
                repeat: clip.repeat,
                has_audio: heard,
            });
        } else if element.video {
            found.defects.minor.push(fail(Code::MediaUnreadable, "it has no pictures"));
        }
        if heard && element.volume > LOUDEST {
            let volume = element.volume;
            let words = format!(
                "its volume is {volume}, of which {LOUDEST:.3} is heard, the loudest there is: 1 leaves it as it is"
            );
            found.defects.minor.push(fail(Code::CompositionInvalid, &words));
        }
        if heard {
            let mut lines = vec![self.points(element)];
            let line = element.group.as_ref().map(Bus::line);
            let has_effects = |bus: &&Bus| bus.effects.is_some();
            let group = element.group.as_ref().filter(has_effects).cloned();
            // What has effects is as loud as it is told to be after them.
            lines.extend(line.filter(|_| group.is_none()));
            found.tracks.push(Track {
                file: self.folder.join(path),
                envelope: Envelope::new(lines, (element.slot.0, clip.end), element.fades),
                clip,
                effects: element.effects.clone(),
                group,
                master: Some(&element.master).filter(has_effects).cloned(),
                failure: fail(Code::MediaUnreadable, "its sound is left out"),
                dry: fail(Code::FeatureUnsupported, DRY),
            });
        } else if element.muted && !element.video && !element.silent {
            let words = "it is silent, for it says muted: remove that for it to be heard";
            found.defects.minor.push(fail(Code::MediaUnreadable, words));
        } else if !element.video && !file.sound {
            found.defects.minor.push(fail(Code::MediaUnreadable, "it has no sound"));
        }
    }

    /// When an element is there: until what it says, else the end of its file; never beyond what it lies in. What repeats
    /// has no end of its own.
    fn clip(&self, element: &Told, file: MediaFile) -> Clip {
        let (start, end) = element.slot;
        let mut clip = Clip {
            start,
            end: f64::INFINITY,
            media_start: element.media_start,
            before: 0.0,
            speed: Speed::told(element.rate, element.automation.as_deref()),
            duration: file.lasts(element.repeat),
            repeat: element.repeat,
        };
        let natural = clip.natural().map(|lasts| start + lasts);
        clip.end = end.or(natural).unwrap_or(f64::INFINITY).min(self.duration);
        for (host_start, host_end) in &element.hosts {
            clip.end = clip.end.min(host_end.unwrap_or(f64::INFINITY));
            let missed = host_start - clip.start;
            if missed <= 0.0 {
                continue;
            }
            clip.start = *host_start;
            if clip.repeat {
                clip.before += missed;
            } else {
                clip.media_start += clip.speed.played(missed);
                clip.speed = clip.speed.after(missed);
            }
        }
        clip
    }

    /// Its volume by the first that there is: what it automates, what scripts do, what it says.
    fn points(&self, element: &Told) -> Vec<(f64, f64)> {
        let (start, _) = element.slot;
        let automated = Lane::read(element.automation.as_deref(), Target::Volume);
        match (automated, self.volumes.get(&element.id)) {
            (Some(lane), _) => lane.volumes().into_iter().map(|(time, volume)| (start + time, volume)).collect(),
            (None, Some(points)) => points.clone(),
            (None, None) => vec![(0.0, element.volume)],
        }
    }
}
