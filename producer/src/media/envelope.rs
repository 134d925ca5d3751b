//! How loud a clip is at every moment.

use serde::Deserialize;

/// The loudest that anything becomes: +12 dB, upstream's limit.
const LOUDEST: f64 = 3.981_071_705_534_973;
/// Pieces that a curve becomes.
const PIECES: u32 = 32;

/// Volume by time.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Envelope {
    /// What multiplies: each is seconds of the video and volume, in order; straight between them, level outside.
    lines: Vec<Vec<(f64, f64)>>,
    /// Seconds of the video from which and until which there is anything to fade.
    span: (f64, f64),
    /// Seconds it takes to become loud and quiet.
    fades: (f64, f64),
}

/// `data-automation`, version 1.
#[derive(Deserialize)]
struct Automation {
    lanes: Vec<Lane>,
}

#[derive(Deserialize)]
struct Lane {
    target: String,
    points: Vec<Point>,
}

/// `t` counts seconds of the clip.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Point {
    t: f64,
    v: f64,
    #[serde(default)]
    curve: f64,
    via_x: Option<f64>,
}

/// What an element automates besides its effects.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Automated {
    /// Its volume: seconds of the clip, and volume.
    pub(super) volume: Option<Vec<(f64, f64)>>,
    /// It is not followed exactly.
    pub(super) bent: bool,
}

impl Automated {
    /// Of a `data-automation` attribute; like the runtime, nothing where it cannot be read.
    pub(super) fn read(written: Option<&str>) -> Self {
        let lanes = written.and_then(|written| serde_json::from_str::<Automation>(written).ok());
        let lanes = lanes.map(|automation| automation.lanes).unwrap_or_default();
        let mut automated = Self::default();
        for Lane { mut points, .. } in lanes.into_iter().filter(|lane| lane.target == "volume") {
            points.retain(|point| point.t.is_finite() && point.v.is_finite());
            points.sort_by(|a, b| a.t.total_cmp(&b.t));
            automated.bent |= points.iter().any(|point| point.via_x.is_some());
            automated.volume = Some(straight(&points)).filter(|points| !points.is_empty());
        }
        automated
    }
}

/// Points between which the line is straight. A curve is the runtime's power of the way from one point to the next.
fn straight(points: &[Point]) -> Vec<(f64, f64)> {
    let mut line = Vec::new();
    for pair in points.windows(2) {
        let (from, to) = (pair[0], pair[1]);
        let pieces = if from.curve == 0.0 { 1 } else { PIECES };
        let power = 2_f64.powf(2.0 * from.curve.clamp(-1.0, 1.0));
        line.extend((0..pieces).map(|piece| {
            let way = f64::from(piece) / f64::from(pieces);
            (from.t + (to.t - from.t) * way, from.v + (to.v - from.v) * way.powf(power))
        }));
    }
    line.extend(points.last().map(|last| (last.t, last.v)));
    line
}

impl Envelope {
    /// As loud as it is.
    pub(super) const fn level() -> Self {
        Self { lines: Vec::new(), span: (0.0, f64::INFINITY), fades: (0.0, 0.0) }
    }

    pub(super) fn new(mut lines: Vec<Vec<(f64, f64)>>, span: (f64, f64), (fade_in, fade_out): (f64, f64)) -> Self {
        lines.iter_mut().flatten().for_each(|point| point.1 = point.1.clamp(0.0, LOUDEST));
        // Fades that do not fit beside each other are shortened alike.
        let fit = ((span.1 - span.0) / (fade_in + fade_out)).min(1.0);
        let fit = if fit.is_finite() { fit.max(0.0) } else { 1.0 };
        Self { lines, span, fades: (fade_in * fit, fade_out * fit) }
    }

    /// As loud as another one says besides, whatever that fades.
    pub(super) fn within(mut self, outer: Self) -> Self {
        self.lines.extend(outer.lines);
        self
    }

    /// The volume at a second of the video.
    pub(super) fn at(&self, time: f64) -> f64 {
        let volume: f64 = self.lines.iter().map(|points| at(points, time)).product();
        let fade = |way: f64, lasts: f64| if lasts > 0.0 { (way / lasts).clamp(0.0, 1.0) } else { 1.0 };
        volume * fade(time - self.span.0, self.fades.0) * fade(self.span.1 - time, self.fades.1)
    }
}

/// The volume of a line at a second of the video.
fn at(points: &[(f64, f64)], time: f64) -> f64 {
    let after = points.partition_point(|point| point.0 <= time);
    match (after.checked_sub(1).and_then(|before| points.get(before)), points.get(after)) {
        (Some(from), Some(to)) => from.1 + (to.1 - from.1) * (time - from.0) / (to.0 - from.0),
        (Some(point), None) | (None, Some(point)) => point.1,
        (None, None) => 1.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn volumes_lie_on_straight_lines_and_fade() {
        let envelope = Envelope::new(vec![vec![(1.0, 0.0), (2.0, 1.0), (3.0, 9.0)]], (0.0, 10.0), (0.0, 2.0));
        let check = |envelope: &Envelope, time: f64, expected: f64| {
            assert!((envelope.at(time) - expected).abs() < 1e-3, "{} at {time}", envelope.at(time));
        };
        for (time, expected) in [(0.0, 0.0), (1.5, 0.5), (2.0, 1.0), (8.0, 3.981), (9.0, 1.991), (10.0, 0.0)] {
            check(&envelope, time, expected);
        }
        check(&Envelope::new(Vec::new(), (0.0, 1.0), (1.0, 1.0)), 0.25, 0.5);
        let within = Envelope::new(vec![vec![(0.0, 0.5)], vec![(0.0, 0.0), (1.0, 1.0)]], (0.0, 2.0), (0.0, 0.0));
        check(&within, 0.5, 0.25);
    }

    #[test]
    fn automation_is_read_as_the_runtime_reads_it() {
        let lanes = r#"{"version":1,"lanes":[{"target":"volume","points":[{"t":2,"v":1},{"t":0,"v":0}]},{"target":"rate","points":[{"t":0,"v":1}]}]}"#;
        let automated = Automated::read(Some(lanes));
        assert_eq!(automated, Automated { volume: Some(vec![(0.0, 0.0), (2.0, 1.0)]), bent: false });
        assert_eq!(Automated::read(Some("{")), Automated::default());
        let curved = straight(&[
            Point { t: 0.0, v: 0.0, curve: 0.5, via_x: None },
            Point { t: 1.0, v: 1.0, curve: 0.0, via_x: None },
        ]);
        assert_eq!((curved.len(), curved[16]), (33, (0.5, 0.25)));
    }
}
