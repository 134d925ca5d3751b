//! The sound of the whole video, mixed on the timeline of its samples, a tenth of a second at a time.

use std::{ops::Range, path::Path};

use crds::{Failure, FrameRate};

use super::found::Track;
use crate::{
    Error,
    context::Context,
    draw::browser,
    libav::{self, CHANNELS, Part, RATE, Sound, SoundEncoding, SoundWriter},
};

/// Samples that are mixed at once.
const BLOCK: u64 = 4800;

/// Writes the sound of some frames of a video into a new file. What cannot be decoded is left out, and returned.
pub(crate) fn mix(
    tracks: &[Track],
    (frames, rate): (Range<u32>, FrameRate),
    file: &Path,
    (container, encoding): (&str, SoundEncoding),
    context: &Context,
) -> Result<Vec<Failure>, Error> {
    let mut playing: Vec<_> = tracks.iter().map(Playing::new).collect();
    let mut failures = Vec::new();
    let mut writer = SoundWriter::create(file, container, encoding)?;
    // What comes before is gone through too: a track may have begun in it.
    let [first, total] = [frames.start, frames.end].map(|frame| samples_in(frame, rate));
    for at in (0..total).step_by(usize::try_from(BLOCK).unwrap_or(1)) {
        if context.stop.is_cancelled() {
            return Err(browser::Error::Interrupted.into());
        }
        let length = usize::try_from(BLOCK.min(total - at)).unwrap_or(0);
        let mut block = vec![0.0; length * CHANNELS];
        for track in &mut playing {
            if let Err(error) = track.add(&mut block, at) {
                track.ended = true;
                let mut failure = track.track.failure.clone();
                failure.message += &format!(" ({error})");
                failures.push(failure);
            }
        }
        let before = usize::try_from(first.saturating_sub(at)).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
        if let Some(rest) = block.get(before..).filter(|rest| !rest.is_empty()) {
            writer.write(rest)?;
        }
    }
    writer.finish()?;
    Ok(failures)
}

/// Samples of sound that last as long as some frames, rounded.
fn samples_in(frames: u32, rate: FrameRate) -> u64 {
    let (num, den) = (u64::from(rate.num()), u64::from(rate.den()));
    (u64::from(frames) * den * u64::from(RATE) * 2 + num) / (2 * num)
}

/// The sample that is heard at a second.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a video ends after hours")]
fn sample_at(seconds: f64) -> u64 {
    (seconds.max(0.0) * f64::from(RATE)).round() as u64
}

/// A track of the mix, and its file while it is heard.
struct Playing<'a> {
    track: &'a Track,
    sound: Option<Sound>,
    /// Decoded samples, of which the first so many were heard.
    decoded: Vec<f32>,
    heard: usize,
    /// The sample of the video that comes next of it.
    position: u64,
    /// How often it has come to the end of its file, and where it began last.
    passes: u32,
    began: u64,
    ended: bool,
}

impl<'a> Playing<'a> {
    fn new(track: &'a Track) -> Self {
        let position = sample_at(track.clip.start);
        Self { track, sound: None, decoded: Vec::new(), heard: 0, position, passes: 0, began: position, ended: false }
    }

    /// Adds what is heard of it in a block that begins at a sample of the video.
    fn add(&mut self, block: &mut [f32], at: u64) -> libav::Result<()> {
        let end = sample_at(self.track.clip.end);
        while !self.ended && self.position < end {
            let place = usize::try_from(self.position - at).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
            let Some(room) = block.get_mut(place..).filter(|room| !room.is_empty()) else { return Ok(()) };
            let left = usize::try_from(end - self.position).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
            let pairs = self.decoded[self.heard..].chunks_exact(CHANNELS).zip(room.chunks_exact_mut(CHANNELS));
            let mut count = 0;
            for (from, to) in pairs.take(left / CHANNELS) {
                let volume = self.track.envelope.at(seconds_at(self.position));
                #[expect(clippy::cast_possible_truncation, reason = "samples are no more exact than this")]
                let volume = volume as f32;
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from * volume);
                self.position += 1;
                count += CHANNELS;
            }
            self.heard += count;
            if count == 0 {
                self.decode()?;
            }
        }
        self.sound = None;
        Ok(())
    }

    /// Decodes some more; begins again after the end of what repeats.
    fn decode(&mut self) -> libav::Result<()> {
        let Track { file, clip, .. } = self.track;
        let sound = match &mut self.sound {
            Some(sound) => sound,
            none => {
                let lasts = (clip.end - clip.start) * clip.rate;
                let to = if clip.repeat { clip.duration } else { None }.unwrap_or(clip.media_start + lasts);
                match Sound::open(file, Part { from: clip.media_start, to, rate: clip.rate })? {
                    Some(sound) => none.insert(sound),
                    None => {
                        self.ended = true;
                        return Ok(());
                    }
                }
            }
        };
        if let Some(samples) = sound.next()? {
            (self.decoded, self.heard) = (samples, 0);
            return Ok(());
        }
        self.sound = None;
        (self.decoded, self.heard) = (Vec::new(), 0);
        self.passes += 1;
        // Of what gives nothing another pass would give nothing.
        let again = clip.natural().filter(|_| clip.repeat && self.position > self.began);
        match again {
            Some(pass) => {
                self.position = self.position.max(sample_at(clip.start + pass * f64::from(self.passes)));
                self.began = self.position;
            }
            None => self.ended = true,
        }
        Ok(())
    }
}

/// The second of the video at which a sample is heard.
#[expect(clippy::cast_precision_loss, reason = "fewer than 2^52 samples")]
fn seconds_at(sample: u64) -> f64 {
    sample as f64 / f64::from(RATE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_lasts_as_long_as_its_frames() {
        let samples = |frames, rate: &str| samples_in(frames, rate.parse().unwrap());
        assert_eq!(samples(30, "30"), 48_000);
        assert_eq!(samples(1, "30000/1001"), 1602);
        assert_eq!(samples(30_000, "30000/1001"), 48_048_000);
    }
}
