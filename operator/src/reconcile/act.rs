//! Brings a decision's effect about.

use tracing::instrument;

use super::{
    Context,
    decide::{Decision, Effect},
    observe::{Observed, StackView},
    tell,
};
use crate::{
    error::Error,
    ports::{AttemptRef, AttemptSpec, ObjectKey, Started, Version},
};

/// What came of a decision's effect.
#[derive(Debug)]
pub struct Done {
    /// The attempt that was started, if one was to be; or why it could not be.
    pub started: Result<Option<Started>, Error>,
}

impl Done {
    /// Nothing was to be done, or it was done.
    pub(super) const NOTHING: Self = Self { started: Ok(None) };
}

/// Brings the effect about. A cancel that cannot be begun is an error of the look, which is repeated; an attempt that
/// cannot be started is told in the status first.
#[instrument(level = "debug", skip_all)]
pub(super) async fn act(
    seen: &Observed,
    decision: &Decision,
    attempt: Option<AttemptRef>,
    context: &Context,
) -> Result<Done, Error> {
    if decision.effect == Some(Effect::Delete) {
        let version = Version::of(ObjectKey::render(&seen.render), &*seen.render);
        context.store.delete(&version).await?;
        tell::outlived(&version, &seen.render.spec, &*context.store).await;
        return Ok(Done::NOTHING);
    }
    let Some(attempt) = attempt else { return Ok(Done::NOTHING) };
    match (decision.effect, &seen.inputs, &seen.stack) {
        (Some(Effect::Start), Ok(inputs), StackView::Ready { .. }) => {
            let owner = ObjectKey::render(&seen.render);
            // An old status may name an attempt that has ended since, and was let go of.
            context.store.confirm(&Version::of(owner.clone(), &*seen.render)).await?;
            let spec = AttemptSpec { attempt, owner, inputs: inputs.clone() };
            Ok(Done { started: context.backend.start(spec).await.map(Some) })
        }
        (Some(Effect::Cancel), ..) => {
            context.backend.cancel(&attempt).await?;
            Ok(Done::NOTHING)
        }
        (Some(Effect::Start), ..) => {
            unreachable!("an attempt is only started with inputs and on a stack that is ready")
        }
        (None | Some(Effect::Delete), ..) => Ok(Done::NOTHING),
    }
}
