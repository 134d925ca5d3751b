//! Everything a decision about a Render is made from, gathered into one value.

use std::sync::Arc;

use crds::{Failure, HyperframesStack, Render, RenderStatus, Usd, render::AttemptStatus};
use jiff::Timestamp;
use tracing::instrument;

use super::{
    Context, flux,
    queue::{Admission, QueueView, attempt_stack},
};
use crate::{
    error::Error,
    ports::{
        AttemptRef, AttemptReport, Inputs, ObjectKey, OutputCheck, Sourced, StackCapacity, StackReport, StackSpec,
    },
    source::{self, SourceError},
};

/// What is known of a Render at one moment.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct Observed {
    /// Now.
    pub now: Timestamp,
    /// The object as it was read; its status is what we wrote last.
    pub render: Arc<Render>,
    /// Its file is gone: nothing new is started for it.
    pub orphaned: bool,
    /// It is deleted when `spec.ttl` has passed.
    pub may_be_deleted: bool,
    /// What is to be rendered, or why that cannot be said.
    pub inputs: Result<Inputs, SourceError>,
    /// Where.
    pub stack: StackView,
    /// Whether it may start.
    pub admission: Admission,
    /// It has an open attempt for these inputs on this stack, which has not come to a result.
    pub resumes: bool,
    /// What the backend knows of the last attempt; `Unknown` where there is none, or it has ended in the status.
    pub attempt: AttemptReport,
    /// Whether the video of the last success is still as it was made.
    pub output: OutputCheck,
    /// Nothing new may be started: the process is about to end.
    pub draining: bool,
}

/// Where a Render runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StackView {
    /// The stack it names does not exist, or it names none and there is not exactly one.
    NotFound(String),
    /// The stack is being made or changed.
    Pending(String),
    /// It cannot render.
    NotReady(Failure),
    /// It can.
    Ready {
        /// The stack.
        spec: StackSpec,
        /// Renders that may be under way at the same time.
        slots: usize,
    },
}

impl StackView {
    /// Renders that may be under way at the same time, as far as it is known.
    #[must_use]
    pub const fn slots(&self) -> usize {
        match self {
            Self::Ready { slots, .. } => *slots,
            Self::NotFound(_) | Self::Pending(_) | Self::NotReady(_) => 1,
        }
    }
}

impl Observed {
    /// The status we wrote last.
    #[must_use]
    pub fn status(&self) -> RenderStatus {
        self.render.status.clone().unwrap_or_default()
    }

    /// The last attempt we wrote down.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptStatus> {
        self.render.status.as_ref()?.attempts.last()
    }

    /// Estimate of what all attempts have cost.
    #[must_use]
    pub fn spent(&self) -> Usd {
        let written = self.render.status.as_ref().and_then(|status| status.cost_usd).unwrap_or_default();
        let Some(cost) = self.attempt.cost() else { return written };
        let known = self.last_attempt().and_then(|attempt| attempt.cost_usd).unwrap_or_default();
        // What was written is never taken back: a history may be read from its beginning again.
        written.plus(cost.minus(known))
    }

    /// Whether an attempt has a name and no end.
    #[must_use]
    pub fn has_open_attempt(&self) -> bool {
        self.last_attempt().is_some_and(|attempt| attempt.stop_time.is_none())
    }

    /// Whether the spec has a token that no attempt was made for.
    #[must_use]
    pub fn has_new_token(&self) -> bool {
        let known = self.render.status.as_ref().and_then(|status| status.run_token.as_ref());
        self.render.spec.run_token.is_some() && self.render.spec.run_token.as_ref() != known
    }

    /// Whether the spec was edited since the status was written.
    #[must_use]
    pub fn is_edited(&self) -> bool {
        self.render.status.as_ref().and_then(|status| status.observed_generation) != Some(self.generation())
    }

    /// The spec's generation.
    #[must_use]
    pub fn generation(&self) -> i64 {
        self.render.metadata.generation.unwrap_or(0)
    }

    /// The hash of what is to be rendered, if it can be said.
    #[must_use]
    pub fn input_hash(&self) -> Option<&str> {
        self.inputs.as_ref().ok().map(|inputs| inputs.hash.as_str())
    }
}

/// Looks at everything a Render depends on, and at its attempt.
#[instrument(level = "debug", skip_all)]
pub(super) async fn observe(render: &Sourced<Render>, context: &Context) -> Result<(Observed, Place), Error> {
    let place = Place::of(render, context);
    let handled = render.object.status.as_ref().and_then(|status| status.last_handled_reconcile_at.as_deref());
    if flux::asked(&render.object.metadata).is_some_and(|asked| Some(asked) != handled) {
        context.sources.look_anew(&ObjectKey::render(&render.object));
    }
    let inputs = context.sources.inputs(&render.object, &render.origin).await;
    let stack = match &place.wanted {
        Ok(key) => stack_view(key, context).await?,
        Err(reason) => StackView::NotFound(reason.clone()),
    };
    let mut named = attempt_ref(&render.object, &place, context).await?;
    if let (Some(attempt), Ok(inputs)) = (&mut named, &inputs) {
        attempt.bring_to = inputs.target_named.then(|| inputs.target.clone());
    }
    let attempt = match &named {
        Some(attempt) if place.held.is_some() => context.backend.observe(attempt).await?,
        _ => AttemptReport::Unknown,
    };
    let recorded = render.object.status.as_ref().and_then(|status| status.output.as_ref());
    let output = match (recorded, &inputs) {
        (Some(recorded), Ok(inputs)) => {
            let stack = named.as_ref().map(|attempt| &attempt.stack);
            context.backend.check_output(stack, recorded, inputs).await?
        }
        _ => OutputCheck::NotMade,
    };
    let resumes = !attempt.has_result() && place.resumes(&render.object, inputs.as_ref().ok());
    let admission = match place.wanted() {
        Some(queue) => {
            let view = context.store.queue(queue);
            context.slots.admission(queue, &render.object, resumes, &view, stack.slots())
        }
        None => Admission::Waiting(1),
    };
    let seen = Observed {
        now: (context.now)(),
        render: Arc::clone(&render.object),
        orphaned: render.origin.is_orphaned(),
        may_be_deleted: render.origin.may_be_deleted(),
        inputs,
        stack,
        admission,
        resumes,
        attempt,
        output,
        draining: context.is_draining(),
    };
    Ok((seen, place))
}

/// The stack a Render should run on, and the one that its open attempt was named for.
pub(super) struct Place {
    wanted: Result<ObjectKey, String>,
    held: Option<ObjectKey>,
}

impl Place {
    fn of(render: &Sourced<Render>, context: &Context) -> Self {
        let wanted = context.store.stack_of(&render.object);
        let last = render.object.status.as_ref().and_then(|status| status.attempts.last());
        let open = last.filter(|attempt| attempt.stop_time.is_none());
        Self { wanted, held: open.map(|attempt| attempt_stack(&render.object, attempt)) }
    }

    /// Whether an open attempt is still what is wanted.
    fn resumes(&self, render: &Render, inputs: Option<&Inputs>) -> bool {
        let last = render.status.as_ref().and_then(|status| status.attempts.last());
        let same_inputs = last.zip(inputs).is_some_and(|(last, inputs)| last.input_hash == inputs.hash);
        same_inputs && self.held.is_some() && self.held.as_ref() == self.wanted()
    }

    /// The queue in which it has to wait for a slot.
    pub(super) fn wanted(&self) -> Option<&ObjectKey> {
        self.wanted.as_ref().ok()
    }

    /// The queues it is in, as they are now.
    pub(super) fn views(&self, context: &Context) -> Vec<(ObjectKey, QueueView)> {
        let wanted = self.wanted().filter(|wanted| Some(*wanted) != self.held.as_ref());
        let queues = self.held.iter().chain(wanted);
        queues.map(|queue| (queue.clone(), context.store.queue(queue))).collect()
    }
}

/// The last attempt, as its backend knows it; none where its stack is gone, and with it the attempt.
pub(super) async fn attempt_ref(
    render: &Render,
    place: &Place,
    context: &Context,
) -> Result<Option<AttemptRef>, Error> {
    let Some(status) = &render.status else { return Ok(None) };
    let (Some(name), Some(last)) = (&status.execution_name, status.attempts.last()) else { return Ok(None) };
    let key = place.held.clone().unwrap_or_else(|| attempt_stack(render, last));
    let Some(stack) = context.store.get_stack(&key).await? else { return Ok(None) };
    let Ok(stack) = source::stack_spec(&stack.object, &stack.origin) else { return Ok(None) };
    Ok(Some(AttemptRef { stack, name: name.clone(), handle: last.handle.clone(), bring_to: None }))
}

/// What is known of a stack by whoever looked at it last.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct StackSeen {
    /// It is to be deleted.
    pub(super) deleting: bool,
    /// What the backend knows of it, or why its spec cannot be acted on.
    pub(super) report: Result<StackReport, Failure>,
}

impl StackSeen {
    #[instrument(name = "observe", level = "debug", skip_all)]
    pub(super) async fn look(
        stack: &Sourced<HyperframesStack>,
        spec: Result<&StackSpec, &Failure>,
        context: &Context,
    ) -> Result<Self, Error> {
        let report = match spec {
            Ok(spec) => match context.backend.observe_stack(spec).await {
                // Somebody has to act, and looks for the reason here.
                Err(Error::Backend { failure, .. }) if !failure.code.retryable() => Ok(StackReport::NotReady(failure)),
                report => Ok(report?),
            },
            Err(failure) => Err(failure.clone()),
        };
        Ok(Self { deleting: stack.object.metadata.deletion_timestamp.is_some(), report })
    }
}

async fn stack_view(key: &ObjectKey, context: &Context) -> Result<StackView, Error> {
    let Some(stack) = context.store.get_stack(key).await? else {
        return Ok(StackView::Pending("the stack is being made".to_owned()));
    };
    let spec = source::stack_spec(&stack.object, &stack.origin);
    let seen = StackSeen::look(&stack, spec.as_ref(), context).await?;
    context.forget_stack_unless(key, &seen);
    if seen.deleting {
        // Its deletion waits for those that are under way on it: nothing more may count on it.
        return Ok(StackView::NotFound(format!("the HyperframesStack {:?} is being deleted", key.name)));
    }
    Ok(match (seen.report, spec) {
        (Ok(StackReport::Absent), _) => StackView::Pending("the stack is not made yet".to_owned()),
        (Ok(StackReport::Outdated(what) | StackReport::Pending { what, .. }), _) => StackView::Pending(what),
        (Ok(StackReport::Ready(StackCapacity { slots, .. })), Ok(spec)) => StackView::Ready { spec, slots },
        (Ok(StackReport::NotReady(failure)) | Err(failure), _) | (_, Err(failure)) => StackView::NotReady(failure),
    })
}
