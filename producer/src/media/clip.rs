//! Which moment of its file a clip shows at a moment of the video.

use super::speed::Speed;
use crate::layout::Video;

/// A part of a media file and where it lies in the video. All in seconds.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Clip {
    /// From when to when it is there.
    pub(crate) start: f64,
    pub(crate) end: f64,
    /// Where in the file it begins.
    pub(crate) media_start: f64,
    /// For how long it has been playing when it is there first, if it begins anew after the end of the file.
    pub(crate) before: f64,
    pub(crate) speed: Speed,
    /// Of the file, where it is known.
    pub(crate) duration: Option<f64>,
    /// It begins anew after the end of the file.
    pub(crate) repeat: bool,
}

/// Less than this, in seconds, is the rounding of a computation.
const ROUNDING: f64 = 1e-6;

impl Clip {
    /// Of a video in a plan, whose file lasts so long.
    pub(crate) fn of(video: &Video, duration: Option<f64>) -> Self {
        let Video { start, end, media_start, before, playback_rate, ref speed_ramp, repeat, .. } = *video;
        let speed = match &speed_ramp[..] {
            [] => Speed::Constant(playback_rate),
            points => Speed::Ramp(points.to_vec()),
        };
        Self { start, end, media_start, before, speed, duration, repeat }
    }

    /// What is left of the file at its own speed, in seconds of the video.
    pub(crate) fn natural(&self) -> Option<f64> {
        self.duration.map(|duration| self.speed.lasts((duration - self.media_start).max(0.0)))
    }

    /// The microsecond of the file that is shown at a time; `None` while it is not there (from its start until just before
    /// its end, as the runtime shows every element with times).
    pub(crate) fn moment(&self, time: f64) -> Option<i64> {
        if time < self.start - ROUNDING || time >= self.end - ROUNDING {
            return None;
        }
        let mut moment = self.media_start + self.speed.played((time - self.start).max(0.0) + self.before);
        if let Some(duration) = self.duration.filter(|duration| self.repeat && *duration > self.media_start)
            && moment >= duration - ROUNDING
        {
            moment = self.media_start + (moment + ROUNDING - self.media_start) % (duration - self.media_start);
        }
        #[expect(clippy::cast_possible_truncation, reason = "a video ends after hours")]
        Some((moment * 1e6).round() as i64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CLIP: Clip = Clip {
        start: 1.0,
        end: 5.0,
        media_start: 0.5,
        before: 0.0,
        speed: Speed::Constant(2.0),
        duration: Some(3.5),
        repeat: false,
    };

    #[test]
    fn a_clip_is_there_from_its_start_until_before_its_end() {
        let moments = [0.999, 1.0, 1.5, 4.9, 5.0].map(|time| CLIP.moment(time));
        assert_eq!(moments, [None, Some(500_000), Some(1_500_000), Some(8_300_000), None]);
        assert_eq!(CLIP.natural(), Some(1.5));
    }

    #[test]
    fn what_repeats_begins_again_where_it_began() {
        let clip = Clip { repeat: true, ..CLIP };
        let moments = [2.4, 2.5, 3.0, 4.0].map(|time| clip.moment(time));
        assert_eq!(moments, [Some(3_300_000), Some(500_001), Some(1_500_001), Some(500_001)]);
        let moments = [1.0, 1.5].map(|time| Clip { before: 1.0, ..clip.clone() }.moment(time));
        assert_eq!(moments, [Some(2_500_000), Some(500_001)]);
    }

    #[test]
    fn times_of_frames_do_not_fall_before_their_moment() {
        let speed = Speed::Constant(1.0);
        let clip = Clip { start: 0.1, end: 9.0, media_start: 0.0, before: 0.0, speed, duration: None, repeat: false };
        for frame in 0..200 {
            let moment = clip.moment(f64::from(frame + 3) / 30.0).unwrap();
            assert_eq!((moment + 2) * 30 / 1_000_000, i64::from(frame), "{moment}");
        }
    }

    #[test]
    fn a_ramp_shows_what_was_played_until_then() {
        let clip = Clip { speed: Speed::Ramp(vec![(0.0, 0.0), (2.0, 1.0), (9.0, 15.0)]), repeat: true, ..CLIP };
        assert_eq!(clip.natural(), Some(3.0));
        let moments = [1.0, 2.0, 3.5, 4.5].map(|time| clip.moment(time));
        assert_eq!(moments, [Some(500_000), Some(1_000_000), Some(2_500_000), Some(1_500_001)]);
    }
}
