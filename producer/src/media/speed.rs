//! How fast a clip plays its file: at one rate, or as a speed ramp says, the `rate` that its `data-automation` moves.

use super::automation::{Lane, RATES, Target};

/// Seconds of a file by seconds of its clip.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Speed {
    /// Seconds of the file in a second.
    Constant(f64),
    /// A speed ramp: seconds of the clip, and of the file played by then, both growing; straight between them.
    Ramp(Vec<(f64, f64)>),
}

impl Speed {
    /// By what an element says: a rate, brought into the limits, and what it automates.
    pub(super) fn told(rate: f64, automation: Option<&str>) -> Self {
        match Lane::read(automation, Target::Rate) {
            Some(lane) => Self::Ramp(lane.played()),
            None if rate.is_finite() && rate > 0.0 => Self::Constant(rate.clamp(*RATES.start(), *RATES.end())),
            None => Self::Constant(1.0),
        }
    }

    /// Seconds of the file that are played in so many seconds of the clip.
    pub(super) fn played(&self, seconds: f64) -> f64 {
        match self {
            Self::Constant(rate) => seconds * rate,
            Self::Ramp(points) => between(points, seconds, |point| point),
        }
    }

    /// Seconds of the clip in which so many seconds of the file are played.
    pub(super) fn lasts(&self, played: f64) -> f64 {
        match self {
            Self::Constant(rate) => played / rate,
            Self::Ramp(points) => between(points, played, |(seconds, played)| (played, seconds)),
        }
    }

    /// That of what is left of the clip after some seconds.
    pub(super) fn after(&self, seconds: f64) -> Self {
        match self {
            Self::Constant(rate) => Self::Constant(*rate),
            Self::Ramp(points) => {
                let played = self.played(seconds);
                let later = points.iter().filter(|point| point.0 > seconds);
                let later = later.map(|point| (point.0 - seconds, point.1 - played));
                Self::Ramp(std::iter::once((0.0, 0.0)).chain(later).collect())
            }
        }
    }
}

/// The second of a pair, by the first, on straight lines between pairs.
fn between(points: &[(f64, f64)], at: f64, pair: impl Fn((f64, f64)) -> (f64, f64)) -> f64 {
    let after = points.partition_point(|point| pair(*point).0 <= at);
    let [from, to] = [after.checked_sub(1), Some(after)].map(|index| points.get(index?).copied().map(&pair));
    match (from, to) {
        (Some(from), Some(to)) => from.1 + (to.1 - from.1) * (at - from.0) / (to.0 - from.0),
        (Some(point), None) | (None, Some(point)) => point.1,
        (None, None) => at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Points of rates, and how many seconds of the file after how many of the clip, from upstream's published `sourceTimeAt`.
    const PLAYED: [(&str, f64, f64); 5] = [
        (r#"{"t":0,"v":1},{"t":2,"v":4}"#, 1.0, 1.442_795),
        (r#"{"t":0,"v":1},{"t":2,"v":4}"#, 3.0, 8.328_386),
        (r#"{"t":1,"v":0.5},{"t":3,"v":2,"curve":0.5},{"t":4,"v":1}"#, 3.5, 3.609_272),
        (r#"{"t":1,"v":0.5,"viaX":0.2,"viaY":0.7},{"t":3,"v":2}"#, 2.0, 1.835_695),
        (r#"{"t":1,"v":99}"#, 1.5, 15.0),
    ];

    #[test]
    fn played_seconds_are_added_up() {
        for (points, at, expected) in PLAYED {
            let automation = format!(r#"{{"version":1,"lanes":[{{"target":"rate","points":[{points}]}}]}}"#);
            let found = Speed::told(1.0, Some(&automation)).played(at);
            assert!((found - expected).abs() < 1e-4, "{found} instead of {expected}");
        }
    }

    /// Two seconds at half the speed, then at twice the speed.
    fn ramp() -> Speed {
        Speed::Ramp(vec![(0.0, 0.0), (2.0, 1.0), (10.0, 17.0)])
    }

    #[test]
    fn a_ramp_goes_both_ways() {
        for (seconds, played) in [(0.0, 0.0), (1.0, 0.5), (2.0, 1.0), (2.5, 2.0), (4.0, 5.0)] {
            assert!((ramp().played(seconds) - played).abs() < 1e-9, "{seconds}");
            assert!((ramp().lasts(played) - seconds).abs() < 1e-9, "{played}");
        }
    }

    #[test]
    fn what_is_left_goes_on_as_it_would_have() {
        let left = ramp().after(1.0);
        for seconds in [0.0, 0.5, 1.0, 3.0, 8.0] {
            assert!((left.played(seconds) + 0.5 - ramp().played(seconds + 1.0)).abs() < 1e-9, "{seconds}");
        }
        assert_eq!(Speed::Constant(2.0).after(1.0), Speed::Constant(2.0));
    }

    #[test]
    fn rates_stay_in_their_limits() {
        for (told, expected) in [0.0, f64::NAN, 0.01, 2.5, 99.0].into_iter().zip([1.0, 1.0, 0.1, 2.5, 10.0]) {
            assert_eq!(Speed::told(told, Some("{}")), Speed::Constant(expected), "{told}");
        }
    }
}
