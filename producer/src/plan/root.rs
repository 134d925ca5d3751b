//! What the composition root says, as numbers.

use crds::{Code, Failure, FrameRate};

use crate::{
    Error,
    encode::yuv::{Layout, PixelFormat},
    error::composition_at,
    plan::{defects::Defects, html::Root, project::ENTRY},
};

/// Size, rate and duration as authored.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Shape {
    /// Pixels.
    pub(crate) width: u32,
    pub(crate) height: u32,
    /// `data-fps`.
    pub(crate) rate: Option<FrameRate>,
    /// Seconds; `None` leaves it to the timelines.
    pub(crate) duration: Option<f64>,
}

/// Upstream's size where the root does not say one.
const DEFAULT_SIZE: (u32, u32) = (1080, 1920);
/// Limits of upstream's configuration.
pub(super) const SIZES: std::ops::RangeInclusive<u32> = 16..=7680;
/// Upstream's longest composition, in seconds.
pub(super) const LONGEST: f64 = 24.0 * 3600.0;

/// What is added to pictures of so many pixels, where a format has none of odd sizes.
pub(crate) fn padding(root: &Root, (width, height): (u32, u32), pixels: PixelFormat) -> Option<Failure> {
    let layout = Layout::of(pixels, width, height);
    let message = format!(
        "{width}×{height} pixels are odd, which the format cannot be: black ones make them {}×{}",
        layout.width, layout.height
    );
    let told = Failure {
        path: Some(ENTRY.to_owned()),
        line: Some(root.line),
        ..Failure::new(Code::CompositionInvalid, message)
    };
    ((layout.width, layout.height) != (width, height)).then_some(told)
}

/// Reads the root's attributes. Minor defects are values that are ignored or taken for others, as upstream does.
pub(crate) fn shape(root: &Root, defects: &mut Defects) -> Result<Shape, Error> {
    let invalid = |message: String| composition_at(Code::CompositionInvalid, message, ENTRY, root.line);
    let mut minor = |message: String| {
        let mut defect = Failure::new(Code::CompositionInvalid, message);
        (defect.path, defect.line) = (Some(ENTRY.to_owned()), Some(root.line));
        defects.minor.push(defect);
    };
    let mut size = |name: &str, written: &Option<String>, default: u32| -> Result<u32, Error> {
        match written {
            None => {
                minor(format!("the root has no {name}: {default} is used"));
                Ok(default)
            }
            Some(text) => {
                let pixels: Option<u32> = text.trim().parse().ok().filter(|pixels| SIZES.contains(pixels));
                pixels.ok_or_else(|| {
                    invalid(format!("{name}={text:?}: write whole pixels from {} to {}", SIZES.start(), SIZES.end()))
                })
            }
        }
    };
    let width = size("data-width", &root.width, DEFAULT_SIZE.0)?;
    let height = size("data-height", &root.height, DEFAULT_SIZE.1)?;
    let rate = root.fps.as_deref().map(|text| text.trim().parse::<FrameRate>()).transpose();
    let rate = rate.map_err(|error| invalid(format!("data-fps: {error}")))?;
    let duration = match root.duration.as_deref().map(|text| (text, text.trim().parse::<f64>())) {
        None => None,
        Some((_, Ok(seconds))) if seconds > 0.0 => Some(in_range(seconds, root.line)?),
        Some((text, _)) => {
            let message =
                format!("data-duration={text:?} is not a positive number of seconds: the timelines' length is used");
            minor(message);
            None
        }
    };
    Ok(Shape { width, height, rate, duration })
}

/// A duration in seconds, wherever it came from, against the longest there may be.
pub(crate) fn in_range(seconds: f64, line: u32) -> Result<f64, Error> {
    if seconds > 0.0 && seconds <= LONGEST {
        return Ok(seconds);
    }
    let message = format!("a duration of {seconds} s: it must be above 0 and at most {LONGEST} s (24 hours)");
    Err(composition_at(Code::DurationOutOfRange, message, ENTRY, line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_padded_is_told_of() {
        let told = |size, pixels| padding(&Root::default(), size, pixels).map(|failure| failure.message);
        assert_eq!(told((640, 360), PixelFormat::Yuv420p), None);
        assert_eq!(told((641, 361), PixelFormat::Yuva420p), None);
        assert!(told((641, 360), PixelFormat::Yuv420p).unwrap().ends_with("642×360"));
    }

    fn read(width: &str, duration: &str, fps: &str) -> (Result<Shape, Code>, usize) {
        let some = |text: &str| Some(text.to_owned()).filter(|text| text != "-");
        let root = Root {
            line: 7,
            width: some(width),
            height: Some("1920".to_owned()),
            duration: some(duration),
            fps: some(fps),
        };
        let mut defects = Defects::default();
        let shape = shape(&root, &mut defects).map_err(|error| {
            assert_eq!(error.failure().line, Some(7));
            error.code()
        });
        (shape, defects.minor.len())
    }

    #[test]
    fn sizes_rates_and_durations() {
        let rate = "30000/1001".parse().ok();
        let whole = Shape { width: 1920, height: 1920, rate, duration: Some(2.5) };
        assert_eq!(read("1920", "2.5", "30000/1001"), (Ok(whole), 0));
        let default = Shape { width: 1080, height: 1920, rate: None, duration: None };
        assert_eq!(read("-", "-", "-"), (Ok(default), 1), "a size nobody wrote");
        for (width, duration, fps, code) in [
            ("8", "1", "-", Code::CompositionInvalid),
            ("7681", "1", "-", Code::CompositionInvalid),
            ("1920px", "1", "-", Code::CompositionInvalid),
            ("640", "1", "29.97", Code::CompositionInvalid),
            ("640", "1e9", "-", Code::DurationOutOfRange),
            ("640", "inf", "-", Code::DurationOutOfRange),
        ] {
            assert_eq!(read(width, duration, fps).0, Err(code), "{width} {duration} {fps}");
        }
        for ignored in ["0", "-1", "3s", "NaN", ""] {
            assert_eq!(read("1080", ignored, "-"), (Ok(default), 1), "{ignored}");
        }
    }
}
