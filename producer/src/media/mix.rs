//! The sound of the whole video, mixed on the timeline of its samples, a tenth of a second at a time.

use std::{collections::BTreeMap, ops::Range, path::Path};

use crds::{Failure, FrameRate};

use super::{
    Clip,
    effects::{self, Effects},
    envelope::Envelope,
    found::{Bus, Track},
    samples::Samples,
    speed::Speed,
};
use crate::{
    Error,
    context::Context,
    draw::browser::{self, page::Page},
    files::parent_of,
    libav::{self, CHANNELS, Part, RATE, Sound, SoundEncoding, SoundWriter},
};

/// Samples that are mixed at once.
const BLOCK: u64 = 4800;

/// Writes the sound of some frames of a video into a new file. What cannot be decoded is left out, and what effects cannot be applied
/// to is heard without; both are returned. `page`: one that planning has looked at.
pub(crate) fn mix(
    tracks: &[Track],
    (frames, rate): (Range<u32>, FrameRate),
    file: &Path,
    (container, encoding): (&str, SoundEncoding),
    (page, context): (&mut Page, &Context),
) -> Result<Vec<Failure>, Error> {
    let mut mixer = Mixer { page, context, folder: parent_of(file), failures: Vec::new() };
    // What comes before is gone through too: a track may have begun in it.
    let [first, total] = [frames.start, frames.end].map(|frame| samples_in(frame, rate));
    let mut playing = mixer.arrange(tracks, total)?;
    let mut writer = SoundWriter::create(file, container, encoding)?;
    mixer.gather(&mut playing, 0..total, |at, block| {
        let before = usize::try_from(first.saturating_sub(at)).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
        match block.get(before..).filter(|rest| !rest.is_empty()) {
            Some(rest) => writer.write(rest),
            None => Ok(()),
        }
    })?;
    writer.finish()?;
    Ok(mixer.failures)
}

struct Mixer<'a> {
    page: &'a mut Page,
    context: &'a Context,
    /// Where what came out of effects is kept.
    folder: &'a Path,
    failures: Vec<Failure>,
}

impl Mixer<'_> {
    /// What is added up in the end: files, and what came out of effects.
    fn arrange<'t>(&mut self, tracks: &'t [Track], total: u64) -> Result<Vec<Playing<'t>>, Error> {
        let mut playing = Vec::new();
        let mut groups: BTreeMap<&str, (&Bus, Vec<Playing<'t>>)> = BTreeMap::new();
        for track in tracks {
            let heard = self.heard(track)?;
            match &track.group {
                Some(group) => groups.entry(&group.place).or_insert_with(|| (group, Vec::new())).1.push(heard),
                None => playing.push(heard),
            }
        }
        for (group, members) in groups.into_values() {
            playing.extend(self.through(group, members, total)?);
        }
        match tracks.iter().find_map(|track| track.master.as_ref()) {
            Some(master) => self.through(master, playing, total),
            None => Ok(playing),
        }
    }

    /// A track after its own effects.
    fn heard<'t>(&mut self, track: &'t Track) -> Result<Playing<'t>, Error> {
        let Some(effects) = &track.effects else { return Ok(Playing::of(track, track.envelope.clone())) };
        let [start, end] = [track.clip.start, track.clip.end].map(sample_at);
        if self.is_too_long(end.saturating_sub(start), &track.dry) {
            return Ok(Playing::of(track, track.envelope.clone()));
        }
        let dry = vec![Playing::of(track, Envelope::level())];
        let samples = self.affected(dry, start..end, (effects, track.dry.clone()))?;
        Ok(Playing::made(samples, start, track.envelope.clone()))
    }

    /// What comes out of a bus.
    fn through<'t>(&mut self, bus: &Bus, members: Vec<Playing<'t>>, total: u64) -> Result<Vec<Playing<'t>>, Error> {
        let envelope = bus.envelope();
        match &bus.effects {
            Some(effects) if !self.is_too_long(total, &bus.dry()) => {
                let samples = self.affected(members, 0..total, (effects, bus.dry()))?;
                Ok(vec![Playing::made(samples, 0, envelope)])
            }
            _ => Ok(members.into_iter().map(|member| member.within(envelope.clone())).collect()),
        }
    }

    /// Whether there are too many samples for effects, which is told.
    fn is_too_long(&mut self, samples: u64, dry: &Failure) -> bool {
        let too_long = samples > u64::from(effects::LONGEST) * u64::from(RATE);
        if too_long {
            let mut failure = dry.clone();
            failure.message += &format!(", for it lasts longer than {} minutes", effects::LONGEST / 60);
            self.failures.push(failure);
        }
        too_long
    }

    /// What comes out of effects; what went in, which is told, where they cannot be applied.
    fn affected(
        &mut self,
        playing: Vec<Playing<'_>>,
        samples: Range<u64>,
        (effects, mut failure): (&Effects, Failure),
    ) -> Result<Samples, Error> {
        let dry = self.sum(playing, samples)?;
        let heard = match effects.apply(&dry, self.page) {
            Ok(made) => made,
            Err(effects::Error::Browser(error)) if !matches!(error, browser::Error::Script { .. }) => {
                return Err(error.into());
            }
            Err(reason) => {
                // What a script throws has its stack below.
                let reason = reason.to_string();
                failure.message += &format!(" ({})", reason.lines().next().unwrap_or_default());
                self.failures.push(failure);
                dry
            }
        };
        Ok(Samples::keep(&heard, self.folder)?)
    }

    fn sum(&mut self, mut playing: Vec<Playing<'_>>, samples: Range<u64>) -> Result<Vec<f32>, Error> {
        let mut all = Vec::new();
        self.gather(&mut playing, samples, |_, block| {
            all.extend_from_slice(block);
            Ok(())
        })?;
        Ok(all)
    }

    /// Gives what is heard between two samples of the video to `take`, a block at a time.
    fn gather(
        &mut self,
        playing: &mut [Playing<'_>],
        samples: Range<u64>,
        mut take: impl FnMut(u64, &[f32]) -> libav::Result<()>,
    ) -> Result<(), Error> {
        for at in samples.clone().step_by(usize::try_from(BLOCK).unwrap_or(1)) {
            if self.context.stop.is_cancelled() {
                return Err(browser::Error::Interrupted.into());
            }
            let length = usize::try_from(BLOCK.min(samples.end - at)).unwrap_or(0);
            let mut block = vec![0.0; length * CHANNELS];
            for source in &mut *playing {
                match (source.add(&mut block, at), &source.origin) {
                    (Err(Error::Libav(error)), Origin::Track(track)) => {
                        source.ended = true;
                        let mut failure = track.failure.clone();
                        failure.message += &format!(" ({error})");
                        self.failures.push(failure);
                    }
                    (added, _) => added?,
                }
            }
            take(at, &block)?;
        }
        Ok(())
    }
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

/// Where samples come from.
enum Origin<'a> {
    Track(&'a Track),
    /// Effects.
    Made(Samples),
}

/// Something that is heard.
struct Playing<'a> {
    origin: Origin<'a>,
    envelope: Envelope,
    /// The sample of the video before which it ends.
    end: u64,
    sound: Option<Sound>,
    /// Decoded samples, of which the first so many were heard.
    decoded: Vec<f32>,
    heard: usize,
    /// The sample of the video that comes next of it.
    position: u64,
    /// How many parts of its file have come to an end, and the samples of the video that the present one is heard between.
    parts: u32,
    part: Range<u64>,
    ended: bool,
}

impl<'a> Playing<'a> {
    /// A track, as loud as an envelope says.
    fn of(track: &'a Track, envelope: Envelope) -> Self {
        let [start, end] = [track.clip.start, track.clip.end].map(sample_at);
        Self::new(Origin::Track(track), envelope, start..end)
    }

    /// Samples that are there already.
    fn made(samples: Samples, position: u64, envelope: Envelope) -> Self {
        let end = position + samples.pairs();
        Self::new(Origin::Made(samples), envelope, position..end)
    }

    fn new(origin: Origin<'a>, envelope: Envelope, Range { start, end }: Range<u64>) -> Self {
        let (sound, decoded, part) = (None, Vec::new(), start..end);
        Self { origin, envelope, end, sound, decoded, heard: 0, position: start, parts: 0, part, ended: false }
    }

    /// As loud as an envelope says besides.
    fn within(self, outer: Envelope) -> Self {
        Self { envelope: self.envelope.within(outer), ..self }
    }

    /// Adds what is heard of it in a block that begins at a sample of the video.
    fn add(&mut self, block: &mut [f32], at: u64) -> Result<(), Error> {
        while !self.ended && self.position < self.end {
            let place = usize::try_from(self.position - at).unwrap_or(usize::MAX).saturating_mul(CHANNELS);
            let Some(room) = block.get_mut(place..).filter(|room| !room.is_empty()) else { return Ok(()) };
            let end = self.end.min(self.part.end);
            let left = usize::try_from(end.saturating_sub(self.position)).unwrap_or(usize::MAX);
            let pairs = self.decoded[self.heard..].chunks_exact(CHANNELS).zip(room.chunks_exact_mut(CHANNELS));
            let mut count = 0;
            for (from, to) in pairs.take(left) {
                let volume = self.envelope.at(seconds_at(self.position));
                #[expect(clippy::cast_possible_truncation, reason = "samples are no more exact than this")]
                let volume = volume as f32;
                to.iter_mut().zip(from).for_each(|(to, from)| *to += from * volume);
                self.position += 1;
                count += CHANNELS;
            }
            self.heard += count;
            if count == 0 {
                self.refill()?;
            }
        }
        self.sound = None;
        Ok(())
    }

    /// Brings some more samples.
    fn refill(&mut self) -> Result<(), Error> {
        match &mut self.origin {
            &mut Origin::Track(track) => self.decode(track)?,
            Origin::Made(samples) => {
                (self.decoded, self.heard) = (samples.next()?, 0);
                self.ended = self.decoded.is_empty();
            }
        }
        Ok(())
    }

    /// Decodes some more of the present part, or goes on to the next one.
    fn decode(&mut self, track: &Track) -> libav::Result<()> {
        (self.decoded, self.heard) = (Vec::new(), 0);
        let Some(sound) = &mut self.sound else { return self.begin(track) };
        if self.position < self.part.end
            && let Some(samples) = sound.next()?
        {
            self.decoded = samples;
            return Ok(());
        }
        self.sound = None;
        self.parts += 1;
        // Of a file that gave nothing a repetition would give nothing.
        self.ended = matches!(track.clip.speed, Speed::Constant(_)) && self.position == self.part.start;
        Ok(())
    }

    fn begin(&mut self, track: &Track) -> libav::Result<()> {
        if let Some((heard, part)) = part(&track.clip, self.parts) {
            self.position = self.position.max(sample_at(heard.start));
            self.part = self.position..sample_at(heard.end);
            self.sound = Sound::open(&track.file, part)?;
        }
        self.ended = self.sound.is_none();
        Ok(())
    }
}

/// The part of its file that a clip plays as one of several, and between which seconds of the video. A repetition is a part; and a
/// speed ramp goes in steps, upstream's.
fn part(clip: &Clip, index: u32) -> Option<(Range<f64>, Part)> {
    const STEP: f64 = 0.25;
    const MOST_STEPS: f64 = 240.0;
    let Clip { start, end, media_start, before, repeat, .. } = *clip;
    let lasts = end - start;
    match &clip.speed {
        Speed::Constant(rate) => {
            let Some(pass) = clip.natural().filter(|pass| repeat && *pass > 0.0) else {
                let part = Part { from: media_start, to: media_start + lasts * rate, rate: *rate };
                return Some((start..end, part)).filter(|_| index == 0);
            };
            let missed = before % pass;
            let (later, missed) = if index == 0 { (0.0, missed) } else { (f64::from(index) * pass - missed, 0.0) };
            let to = clip.duration.unwrap_or(f64::INFINITY);
            Some((start + later..end, Part { from: media_start + missed * rate, to, rate: *rate }))
        }
        Speed::Ramp(_) => {
            let steps = (lasts / STEP).ceil().clamp(1.0, MOST_STEPS);
            let [from, to] = [index, index + 1].map(|step| lasts / steps * f64::from(step));
            let [played, then] = [from, to].map(|seconds| media_start + clip.speed.played(before + seconds));
            let part = Part { from: played, to: then, rate: (then - played) / (to - from) };
            Some((start + from..start + to, part)).filter(|_| f64::from(index) < steps)
        }
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
