//! The pictures that videos show in the frames of a chunk, decoded by a thread of its own while frames before are drawn.

use std::{
    ops::Range,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use bytes::Bytes;
use crds::{Code, FrameRate};

use super::Clip;
use crate::{
    Error,
    context::Context,
    draw::{browser, server},
    error::{composition, composition_at},
    files,
    layout::Videos,
    libav::Pictures,
};

/// What an element shows in a frame.
pub(crate) struct Shown {
    /// The element's name.
    pub(crate) id: String,
    /// Where the page finds the picture; it stays the same as long as the picture does.
    pub(crate) address: String,
    /// The picture as a file, if it is another than in the frame before.
    picture: Option<Bytes>,
}

/// What videos show in a frame and the one after it.
#[derive(Default)]
pub(crate) struct Screening {
    pub(crate) shown: Vec<Shown>,
    /// Addresses of the pictures that come with the frame after it.
    pub(crate) ahead: Vec<String>,
    /// Pictures that were not there before, as files, by their addresses.
    pub(crate) new: Vec<(String, Bytes)>,
}

/// Decodes ahead of the frames that are drawn. It ends when it is dropped.
pub(crate) struct Feed {
    frames: Option<Receiver<Result<Vec<Shown>, Error>>>,
    /// Frames that were not received yet.
    left: usize,
    /// What is shown in the next frame, if that was received.
    next: Option<Vec<Shown>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

/// While waiting, a request to stop is noticed this soon.
const STOP_NOTICED: Duration = Duration::from_millis(100);

impl Feed {
    /// For some frames of a plan, whose files lie in `folder`.
    pub(crate) fn start(
        videos: &Videos,
        folder: &Path,
        rate: FrameRate,
        frames: Range<u32>,
    ) -> Result<Self, files::Error> {
        let stop = Arc::new(AtomicBool::new(false));
        if videos.videos.is_empty() {
            return Ok(Self { frames: None, left: 0, next: None, stop, thread: None });
        }
        let screens = videos.videos.iter().zip(0..).map(|(video, index)| {
            let duration = videos.files.get(&video.src).and_then(|file| file.lasts(video.repeat));
            Screen {
                index,
                id: video.id.clone(),
                file: folder.join(&video.src),
                src: video.src.clone(),
                clip: Clip::of(video, duration),
                pictures: None,
                shown: None,
            }
        });
        let mut screens: Vec<Screen> = screens.collect();
        let (sender, receiver) = sync_channel(1);
        let left = frames.len();
        let stopped = Arc::clone(&stop);
        let work = move || decode(&mut screens, rate, frames, &stopped, &sender);
        let thread = thread::Builder::new().name("media".to_owned()).spawn(work).map_err(files::Error::Read)?;
        Ok(Self { frames: Some(receiver), left, next: None, stop, thread: Some(thread) })
    }

    /// What is shown in the next frame.
    pub(crate) fn next(&mut self, context: &Context) -> Result<Screening, Error> {
        let mut screening = Screening::default();
        screening.shown = match self.next.take() {
            Some(shown) => shown,
            None => self.receive(context, &mut screening.new)?,
        };
        let known = screening.new.len();
        if self.left > 0 {
            self.next = Some(self.receive(context, &mut screening.new)?);
        }
        screening.ahead = screening.new.iter().skip(known).map(|(address, _)| address.clone()).collect();
        Ok(screening)
    }

    /// What is shown in the frame after the last one received, its pictures put to the new ones.
    fn receive(&mut self, context: &Context, new: &mut Vec<(String, Bytes)>) -> Result<Vec<Shown>, Error> {
        let mut shown = self.wait(context)?;
        self.left = self.left.saturating_sub(1);
        new.extend(shown.iter_mut().filter_map(|shown| Some((shown.address.clone(), shown.picture.take()?))));
        Ok(shown)
    }

    fn wait(&self, context: &Context) -> Result<Vec<Shown>, Error> {
        let Some(frames) = &self.frames else { return Ok(Vec::new()) };
        let after = context.settings.progress_timeout;
        let give_up = Instant::now() + after;
        loop {
            match frames.recv_timeout(STOP_NOTICED) {
                Ok(shown) => return shown,
                Err(RecvTimeoutError::Disconnected) => {
                    let message = "no picture of a video was decoded for a frame: report this";
                    return Err(composition(Code::Internal, message));
                }
                Err(RecvTimeoutError::Timeout) if context.stop.is_cancelled() => {
                    return Err(browser::Error::Interrupted.into());
                }
                Err(RecvTimeoutError::Timeout) if Instant::now() >= give_up => {
                    let what = "a picture of a video".to_owned();
                    return Err(browser::Error::Late { what, after }.into());
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.frames = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// A video of the plan, and its file while it is read.
struct Screen {
    index: u32,
    id: String,
    file: PathBuf,
    src: String,
    clip: Clip,
    pictures: Option<Pictures>,
    /// The picture shown last, named by its time.
    shown: Option<i64>,
}

fn decode(
    screens: &mut [Screen],
    rate: FrameRate,
    frames: Range<u32>,
    stop: &Arc<AtomicBool>,
    sender: &SyncSender<Result<Vec<Shown>, Error>>,
) {
    for frame in frames {
        let time = rate.time_of(frame);
        let shown = screens.iter_mut().filter_map(|screen| screen.at(time, stop).transpose()).collect();
        let failed = Result::is_err(&shown);
        if sender.send(shown).is_err() || failed {
            return;
        }
    }
}

impl Screen {
    /// What it shows at a time; nothing where it is not there.
    fn at(&mut self, time: f64, stop: &Arc<AtomicBool>) -> Result<Option<Shown>, Error> {
        let Some(moment) = self.clip.moment(time) else {
            (self.pictures, self.shown) = (None, None);
            return Ok(None);
        };
        let picture = self.picture(moment, stop).map_err(|error| {
            composition_at(Code::MediaUnreadable, format!("it cannot be decoded: {error}"), &self.src, 0)
        })?;
        let address = server::frame_address(self.index, self.shown.unwrap_or_default());
        Ok(Some(Shown { id: self.id.clone(), address, picture }))
    }

    fn picture(&mut self, moment: i64, stop: &Arc<AtomicBool>) -> Result<Option<Bytes>, crate::libav::Error> {
        let pictures = match &mut self.pictures {
            Some(pictures) => pictures,
            none => none.insert(Pictures::open(&self.file, Arc::clone(stop))?),
        };
        let shown = Some(pictures.show(moment)?);
        if shown == self.shown {
            return Ok(None);
        }
        self.shown = shown;
        pictures.png().map(|file| Some(file.into()))
    }
}
