//! Whether a composition remembers: a frame that is another when the frames before it were gone through, such as particles
//! that a script moves on from where they were.

use crds::{Code, Failure};

use super::{PRE_ROLL_FRAMES, probe::Subject};
use crate::{
    Error,
    context::Context,
    draw::{browser::page::Page, ready},
};

/// The frame that is looked at, or an earlier one that is the last. What adds up shows by then.
const SAMPLE: u32 = 300;

/// What was found.
#[derive(Default)]
pub(super) struct Remembered {
    /// A chunk has to go through all frames before its own.
    pub(super) everything: bool,
    /// What is to be said of it.
    pub(super) remark: Option<Failure>,
}

impl Remembered {
    /// Where an animation of an element begins when something happens, which a page that goes to a frame at once does not know.
    pub(super) fn began_late(element: &str) -> Self {
        let message = format!(
            "an animation of {element} begins when a script says so: each chunk goes through all frames before its own first, which takes longer"
        );
        Self { everything: true, remark: Some(Failure::new(Code::NotSeekable, message)) }
    }
}

/// Draws one frame twice: gone to at once, and frame by frame. `last`: index of the composition's last frame.
///
/// The page is opened anew for it, and of no other use afterwards.
pub(super) fn look(page: &mut Page, subject: &Subject<'_>, last: u32, context: &Context) -> Result<Remembered, Error> {
    let frame = last.min(SAMPLE);
    let pre_roll = frame.saturating_sub(PRE_ROLL_FRAMES);
    if pre_roll == 0 {
        return Ok(Remembered::default());
    }
    let mut picture = |first| picture(page, subject, first..frame, context);
    let (jumped, stepped) = (picture(pre_roll)?, picture(0)?);
    if jumped == stepped {
        return Ok(Remembered::default());
    }
    let (code, message) = if picture(0)? == stepped {
        let message = "its scripts go on from frame to frame: each chunk goes through all frames before its own first, which takes longer";
        (Code::NotSeekable, message)
    } else {
        let message = "its scripts do not come to the same picture twice: they follow something other than the time that they are told, and so \
            chunks do not fit together";
        (Code::NotRepeatable, message)
    };
    Ok(Remembered { everything: true, remark: Some(Failure::new(code, message)) })
}

/// A PNG of a frame to which the page has gone from another one on.
fn picture(
    page: &mut Page,
    subject: &Subject<'_>,
    frames: std::ops::Range<u32>,
    context: &Context,
) -> Result<Option<Vec<u8>>, Error> {
    page.renew()?;
    page.navigate()?;
    ready::wait(page, subject.expected, context.settings.ready_timeout)?;
    page.prepare()?;
    page.settle(|page| Ok(page.draw(false)?.changed))?;
    for frame in frames.start..=frames.end {
        let seek = page.seek_later(subject.rate.time_of(frame), &[], &[])?;
        page.evaluated(seek)?;
        if frame + PRE_ROLL_FRAMES >= frames.end {
            page.draw(false)?;
        } else {
            page.pass()?;
        }
    }
    page.settle(|page| Ok(page.draw(false)?.changed))?;
    Ok(page.draw(true)?.screenshot)
}
