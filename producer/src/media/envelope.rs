//! How loud a clip is at every moment.

/// The loudest that anything becomes: +12 dB, upstream's limit.
pub(super) const LOUDEST: f64 = 3.981_071_705_534_973;

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
}
