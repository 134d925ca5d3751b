//! `data-automation`, version 1: values that follow points, as upstream's published code has them.

use std::ops::RangeInclusive;

use serde_json::Value;

use super::envelope::LOUDEST;

/// Slowest and fastest playing, the runtime's limits.
pub(super) const RATES: RangeInclusive<f64> = 0.1..=10.0;

/// A value by the seconds of its clip. Before its first point and after its last one it stays.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Lane {
    /// At least one, in order, no two at the same time.
    points: Vec<Point>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Point {
    time: f64,
    value: f64,
    /// How the value goes to the next point's.
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Shape {
    /// The way there is the time on it to this power.
    Power(f64),
    /// A conic, half of which lies before this part of the time and of the way.
    Via(f64, f64),
}

/// What a lane moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Target {
    Volume,
    /// The playback rate, whose ratios are what is seen and heard.
    Rate,
}

/// More points than these are not followed.
const MOST_POINTS: usize = 512;
/// Lines that a bent one becomes.
const PIECES: u32 = 32;
/// What is nearer to the beginning or to the end is moved away from it.
const INSIDE: (f64, f64) = (0.001, 0.999);

impl Target {
    const fn name(self) -> &'static str {
        match self {
            Self::Volume => "volume",
            Self::Rate => "rate",
        }
    }

    const fn range(self) -> RangeInclusive<f64> {
        match self {
            Self::Volume => 0.0..=LOUDEST,
            Self::Rate => RATES,
        }
    }
}

impl Lane {
    /// Of a `data-automation` attribute; like the runtime, nothing where it cannot be read.
    pub(super) fn read(written: Option<&str>, target: Target) -> Option<Self> {
        let automation: Value = serde_json::from_str(written?).ok()?;
        let lanes = automation["lanes"].as_array().filter(|_| automation["version"] == 1)?;
        if !lanes.iter().all(|lane| lane["points"].is_array() && lane["target"].as_str().is_some_and(is_readable)) {
            return None;
        }
        let points = |lane: &Value| Self::of(lane["points"].as_array()?, target);
        lanes.iter().filter(|lane| lane["target"] == target.name()).find_map(points)
    }

    fn of(written: &[Value], target: Target) -> Option<Self> {
        let (least, most) = target.range().into_inner();
        let mut points: Vec<Point> = written
            .iter()
            .filter_map(|point| {
                let (time, value) = (number(&point["t"])?.max(0.0), number(&point["v"])?.clamp(least, most));
                Some(Point { time, value, shape: Shape::of(point) })
            })
            .collect();
        points.sort_by(|a, b| a.time.total_cmp(&b.time));
        // Of those at the same time the last one counts.
        points.reverse();
        points.dedup_by(|a, b| a.time.total_cmp(&b.time).is_eq());
        points.reverse();
        points.truncate(MOST_POINTS);
        Some(Self { points }).filter(|lane| !lane.points.is_empty())
    }

    /// The value after some seconds of the clip.
    fn at(&self, time: f64, target: Target) -> f64 {
        let after = self.points.partition_point(|point| point.time <= time);
        match (after.checked_sub(1).and_then(|before| self.points.get(before)), self.points.get(after)) {
            (Some(from), Some(to)) => {
                let way = from.shape.way((time - from.time) / (to.time - from.time));
                match target {
                    Target::Volume => from.value + (to.value - from.value) * way,
                    Target::Rate => from.value * (to.value / from.value).powf(way),
                }
            }
            (Some(point), None) | (None, Some(point)) => point.value,
            (None, None) => 1.0,
        }
    }

    /// Volume as straight lines between points of time and volume.
    pub(super) fn volumes(&self) -> Vec<(f64, f64)> {
        self.pieces(|from| if from.shape == Shape::Power(1.0) { 1 } else { PIECES })
            .map(|time| (time, self.at(time, Target::Volume)))
            .collect()
    }

    /// Seconds of the clip, and how many of its file have been played by then at the rates of this lane: straight between them.
    pub(super) fn played(&self) -> Vec<(f64, f64)> {
        /// As fine as upstream adds them up.
        const CELLS: u32 = 48;
        /// Longer than any video; the last rate stays until then.
        const END: f64 = 1e6;
        let (mut played, mut last, mut sum) = (vec![(0.0, 0.0)], (0.0, self.at(0.0, Target::Rate)), 0.0);
        for time in self.pieces(|_| CELLS).filter(|time| *time > 0.0).chain([END]) {
            let rate = self.at(time, Target::Rate);
            sum += f64::midpoint(last.1, rate) * (time - last.0);
            last = (time, rate);
            played.push((time, sum));
        }
        played
    }

    /// Seconds of the clip: each point, and as many pieces of what follows it as are asked for.
    fn pieces(&self, count: impl Fn(&Point) -> u32) -> impl Iterator<Item = f64> {
        let last = self.points.last().map(|point| point.time);
        self.points
            .windows(2)
            .flat_map(move |pair| {
                let (from, count) = (pair[0], count(&pair[0]));
                let lasts = pair[1].time - from.time;
                (0..count).map(move |piece| from.time + lasts * f64::from(piece) / f64::from(count))
            })
            .chain(last)
    }
}

impl Shape {
    fn of(point: &Value) -> Self {
        let inside = |name: &str| number(&point[name]).map(|part| part.clamp(INSIDE.0, INSIDE.1));
        match (inside("viaX"), inside("viaY")) {
            (Some(x), Some(y)) if (x - y).abs() >= 1e-6 => Self::Via(x, y),
            _ => Self::Power(4_f64.powf(number(&point["curve"]).unwrap_or(0.0).clamp(-1.0, 1.0))),
        }
    }

    /// The part of the way after a part of the time.
    fn way(self, time: f64) -> f64 {
        match self {
            Self::Power(power) => time.powf(power),
            Self::Via(x, y) => conic((x, y), time),
        }
    }
}

/// Where a conic from (0, 0) to (1, 1), whose middle lies at `middle`, is at `x`. Its control point has the least weight, from 1,
/// with which it lies inside.
fn conic(middle: (f64, f64), x: f64) -> f64 {
    const HEAVIEST: f64 = 1e6;
    /// A part of the curve is found this exactly.
    const HALVES: u32 = 40;
    let needed = |middle: f64| {
        let far = middle.max(1.0 - middle);
        ((far - 0.5) / (INSIDE.1 - far)).abs()
    };
    let weight = needed(middle.0).max(needed(middle.1)).clamp(1.0, HEAVIEST);
    let at = |middle: f64, part: f64| {
        let (control, rest) = (middle + (middle - 0.5) / weight, 1.0 - part);
        let (pulled, square) = (2.0 * weight * part * rest, part * part);
        (pulled * control + square) / (rest * rest + pulled + square)
    };
    let (mut low, mut high) = (0.0, 1.0);
    for _ in 0..HALVES {
        let part = f64::midpoint(low, high);
        *(if at(middle.0, part) < x { &mut low } else { &mut high }) = part;
    }
    at(middle.1, f64::midpoint(low, high))
}

/// Whether this is the name of something that can be automated.
fn is_readable(target: &str) -> bool {
    let parts: Vec<&str> = target.split('.').collect();
    [Target::Volume, Target::Rate].iter().any(|known| known.name() == target)
        || matches!(parts[..], ["fx", effect, parameter] if !effect.is_empty() && !parameter.is_empty())
}

/// A number, or what JavaScript reads as one.
fn number(value: &Value) -> Option<f64> {
    let written = || value.as_str()?.trim().parse().ok();
    value.as_f64().or_else(written).filter(|number: &f64| number.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Middle, and how far the way is after a part of the time, from upstream's published `sampleAutomationLane`.
    const BENDS: [(f64, f64, f64, f64); 7] = [
        (0.25, 0.75, 0.25, 0.750_000),
        (0.25, 0.75, 0.1, 0.532_270),
        (0.2, 0.6, 0.7, 0.891_157),
        (0.5, 0.9, 0.05, 0.099_731),
        (0.001, 0.999, 0.5, 0.999_500),
        (0.8, 0.3, 0.9, 0.436_627),
        (2.0, 0.5, 0.4, 0.200_200),
    ];

    fn lane(target: Target, points: &str) -> Option<Lane> {
        let name = target.name();
        let written = format!(r#"{{"version":1,"lanes":[{{"target":"{name}","points":[{points}]}}]}}"#);
        Lane::read(Some(&written), target)
    }

    fn volumes(points: &str) -> Option<Vec<(f64, f64)>> {
        lane(Target::Volume, points).map(|lane| lane.volumes())
    }

    fn near(found: f64, expected: f64) {
        assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
    }

    #[test]
    fn points_are_read_as_the_runtime_reads_them() {
        assert_eq!(volumes(r#"{"t":2,"v":"1"},{"t":-1,"v":0}"#), Some(vec![(0.0, 0.0), (2.0, 1.0)]));
        assert_eq!(volumes(r#"{"t":1,"v":0},{"t":1,"v":9},{"t":"x","v":1},{}"#), Some(vec![(1.0, LOUDEST)]));
        assert_eq!(volumes(""), None);
    }

    #[test]
    fn what_the_runtime_cannot_read_moves_nothing() {
        for written in [
            "{",
            r#"{"lanes":[{"target":"volume","points":[{"t":0,"v":0}]}]}"#,
            r#"{"version":2,"lanes":[{"target":"volume","points":[{"t":0,"v":0}]}]}"#,
            r#"{"version":1,"lanes":[{"target":"volume","points":[{"t":0,"v":0}]},{"target":"pan","points":[]}]}"#,
            r#"{"version":1,"lanes":[{"target":"fx.reverb.wet","points":[{"t":0,"v":0}]}]}"#,
        ] {
            assert_eq!(Lane::read(Some(written), Target::Volume), None, "{written}");
        }
    }

    #[test]
    fn curves_are_powers_of_the_way() {
        let curved = volumes(r#"{"t":0,"v":0,"curve":0.5},{"t":1,"v":1}"#).unwrap();
        assert_eq!((curved.len(), curved[16]), (33, (0.5, 0.25)));
    }

    #[test]
    fn bends_go_through_their_middle() {
        for (x, y, at, expected) in BENDS {
            let points = format!(r#"{{"t":0,"v":0,"viaX":{x},"viaY":{y}}},{{"t":1,"v":1}}"#);
            near(lane(Target::Volume, &points).unwrap().at(at, Target::Volume), expected);
        }
    }
}
