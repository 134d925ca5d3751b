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
/// So many frames up to it are looked at.
const LOOKS: u32 = 4;

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
        Self::all(&format!("an animation of {element} begins when a script says so"))
    }

    /// Where a tween scrambles an element's text: letters stay for a while once they were shown.
    pub(super) fn scrambles(element: &str) -> Self {
        Self::all(&format!("the text of {element} is scrambled"))
    }

    fn all(why: &str) -> Self {
        let message = format!("{why}: each chunk goes through all frames before its own first, which takes longer");
        Self { everything: true, remark: Some(Failure::new(Code::NotSeekable, message)) }
    }
}

/// Draws some frames twice: gone to at once, and frame by frame. `last`: index of the composition's last frame.
///
/// The page is opened anew for it, and of no other use afterwards.
pub(super) fn look(page: &mut Page, subject: &Subject<'_>, last: u32, context: &Context) -> Result<Remembered, Error> {
    let sample = last.min(SAMPLE);
    // By the later ones what began late may have ended.
    let frames: Vec<u32> =
        (1..=LOOKS).map(|look| sample * look / LOOKS).filter(|frame| *frame > PRE_ROLL_FRAMES).collect();
    if frames.is_empty() {
        return Ok(Remembered::default());
    }
    let mut go_through = |first, frames: &[u32]| pictures(page, subject, first, frames, context);
    let stepped = go_through(0, &frames)?;
    let mut differs = false;
    for (frame, stepped) in frames.iter().zip(&stepped) {
        differs = differs || go_through(frame - PRE_ROLL_FRAMES, &[*frame])? != [stepped.clone()];
    }
    if !differs {
        return Ok(Remembered::default());
    }
    if go_through(0, &frames)? == stepped {
        return Ok(Remembered::all("its scripts go on from frame to frame"));
    }
    let message = "its scripts do not come to the same picture twice: they follow something other than the time that they are told, and so \
        chunks do not fit together";
    Ok(Remembered { everything: true, remark: Some(Failure::new(Code::NotRepeatable, message)) })
}

/// PNGs of frames, the last of which the page goes to from `first` on.
fn pictures(
    page: &mut Page,
    subject: &Subject<'_>,
    first: u32,
    frames: &[u32],
    context: &Context,
) -> Result<Vec<Option<Vec<u8>>>, Error> {
    page.renew()?;
    page.navigate()?;
    ready::wait(page, subject.expected, context.settings.ready_timeout)?;
    page.prepare()?;
    page.settle(|page| Ok(page.draw(false)?.changed))?;
    page.go_through_moments(first, subject.rate)?;
    let mut pictures = Vec::new();
    for frame in first..=frames.iter().copied().max().unwrap_or(first) {
        let seek = page.seek_later(subject.rate.time_of(frame), &[], &[])?;
        page.evaluated(seek)?;
        if frames.iter().any(|wanted| (frame..=frame + PRE_ROLL_FRAMES).contains(wanted)) {
            page.draw(false)?;
        } else {
            page.pass()?;
        }
        if frames.contains(&frame) {
            page.settle(|page| Ok(page.draw(false)?.changed))?;
            pictures.push(page.draw(true)?.screenshot);
        }
    }
    Ok(pictures)
}
