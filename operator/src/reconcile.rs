//! The reconciler: one straight line for each kind, the same in both homes.
//!
//! ```text
//! observe (IO) → decide (pure) → act (IO) → status (pure) → write (IO)
//! ```

use std::{cell::Cell, rc::Rc, sync::Arc};

use crds::{HyperframesStack, Render, RenderStatus, condition::SUCCEEDED, stack::LocalStack};
use jiff::Timestamp;
use kube::ResourceExt as _;

use crate::{
    conditions,
    decide::{Decision, Effect, Next, RECHECK, Verdict, decide},
    error::Error,
    observe::{Observed, StackView},
    ports::{AttemptReport, AttemptSpec, Backend, Event, Kind, ObjectKey, StackReport, StackSpec, Store},
    queue, source,
    source::Digests,
    status::{stack_status, status},
};

/// Keeps a Render in sight until what runs for it has ended.
pub const FINALIZER: &str = "hyperframes.io/render";

/// What the reconciler works with.
pub struct Context {
    /// Where objects live.
    pub store: Rc<dyn Store>,
    /// What renders.
    pub backend: Rc<dyn Backend>,
    /// Digests of projects and videos.
    pub digests: Rc<Digests>,
    /// Tells the time.
    pub now: fn() -> Timestamp,
    /// Set when nothing new may be started.
    pub draining: Cell<bool>,
}

/// What a look at an object came to.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// When to look again.
    pub next: Next,
    /// A Render has left its place in the queue, or a stack has changed: others may go on.
    pub wake_others: bool,
}

/// Looks at one object and does what follows.
///
/// # Errors
/// What the store could not do; the object is looked at again.
pub async fn reconcile(key: &ObjectKey, context: &Context) -> Result<Outcome, Error> {
    match key.kind {
        Kind::Render => match context.store.render(key).await? {
            Some(render) => reconcile_render(key, &render, context).await,
            None => Ok(Outcome { next: Next::AwaitChange, wake_others: true }),
        },
        Kind::Stack => match context.store.stack(key).await? {
            Some(stack) => reconcile_stack(key, &stack, context).await,
            None => Ok(Outcome { next: Next::AwaitChange, wake_others: true }),
        },
    }
}

async fn reconcile_render(key: &ObjectKey, render: &Arc<Render>, context: &Context) -> Result<Outcome, Error> {
    let seen = observe(render, context).await?; // IO
    let decision = decide(&seen); // pure
    if decision.verdict == Verdict::Gone {
        context.store.set_finalizers(render, &[]).await?; // IO
        return Ok(Outcome { next: Next::AwaitChange, wake_others: true });
    }
    if !render.finalizers().iter().any(|finalizer| finalizer == FINALIZER) {
        context.store.set_finalizers(render, &[FINALIZER]).await?; // IO
        return Ok(Outcome { next: Next::After(std::time::Duration::ZERO), wake_others: false });
    }
    act(&seen, &decision, context); // IO
    let status = status(&seen, &decision); // pure
    write(key, render, status, context).await?; // IO
    let wake_others = matches!(decision.next, Next::AwaitChange);
    Ok(Outcome { next: decision.next, wake_others })
}

/// Gathers everything a decision is made from.
async fn observe(render: &Arc<Render>, context: &Context) -> Result<Observed, Error> {
    let namespace = ObjectKey::render(render).namespace;
    let stacks = context.store.stacks(&namespace).await?;
    let stack = match which_stack(render, &stacks) {
        Ok(spec) => {
            let report = context.backend.stack(&spec);
            StackView::Found(spec, report)
        }
        Err(message) => StackView::NotFound(message),
    };
    let slots = match &stack {
        StackView::Found(_, StackReport::Ready { parallel_chunks, .. }) => {
            usize::try_from(*parallel_chunks).unwrap_or(1)
        }
        _ => 1,
    };
    let all = context.store.renders(&namespace).await?;
    let same_stack: Vec<_> = match &stack {
        StackView::Found(spec, _) => {
            let runs_here = |other: &&Render| which_stack(other, &stacks).is_ok_and(|other| other == *spec);
            all.iter().map(|other| &**other).filter(runs_here).collect()
        }
        StackView::NotFound(_) => Vec::new(),
    };
    let status = render.status.as_ref();
    let name = status.and_then(|status| status.execution_name.as_deref());
    let inputs = source::inputs(render, &context.digests);
    let recorded = status.and_then(|status| status.output.as_ref());
    let output = match &inputs {
        Ok(inputs) => source::check_output(recorded, &inputs.output, &context.digests),
        Err(_) => source::OutputCheck::NotMade,
    };
    Ok(Observed {
        now: (context.now)(),
        render: Arc::clone(render),
        inputs,
        stack,
        admission: queue::admission(render, &same_stack, slots),
        attempt: name.map_or(AttemptReport::Unknown, |name| context.backend.observe(name)),
        output,
        draining: context.draining.get(),
    })
}

/// The stack a Render runs on: the one it names, else the only one of its namespace, else the built-in one.
fn which_stack(render: &Render, stacks: &[Arc<HyperframesStack>]) -> Result<StackSpec, String> {
    let found = match (&render.spec.stack_ref, stacks) {
        (Some(reference), _) => {
            let named = stacks.iter().find(|stack| stack.name_any() == reference.name);
            Some(named.ok_or_else(|| format!("there is no HyperframesStack {:?} in this namespace", reference.name))?)
        }
        (None, []) => None,
        (None, [only]) => Some(only),
        (None, _) => return Err(format!("this namespace has {} stacks: name one in spec.stackRef", stacks.len())),
    };
    let local = found.and_then(|stack| local_spec(stack)).unwrap_or_default();
    Ok(StackSpec { key: found.map(|stack| ObjectKey::stack(stack)), local })
}

/// A stack's worker pool, with its folder made absolute.
fn local_spec(stack: &HyperframesStack) -> Option<LocalStack> {
    let mut local = stack.spec.local.clone()?;
    let folder = stack.annotations().get(source::MANIFEST).map(std::path::Path::new).and_then(std::path::Path::parent);
    if let (Some(work), Some(folder)) = (&mut local.work_dir, folder) {
        *work = folder.join(&*work).display().to_string();
    }
    Some(local)
}

/// Brings the decision's effect about.
fn act(seen: &Observed, decision: &Decision, context: &Context) {
    let name = seen.render.status.as_ref().and_then(|status| status.execution_name.clone());
    match (decision.effect, name, &seen.inputs, &seen.stack) {
        (Some(Effect::Start), Some(name), Ok(inputs), StackView::Found(stack, _)) => {
            let spec = &seen.render.spec;
            context.backend.start(AttemptSpec {
                name,
                stack: stack.clone(),
                project: inputs.project.clone(),
                output: inputs.output.clone(),
                fps: spec.output.fps,
                quality: spec.output.quality,
                chunk_size: spec.chunking.chunk_size,
                variables: spec.variables.clone(),
            });
        }
        (Some(Effect::Cancel), Some(name), _, _) => context.backend.cancel(&name),
        _ => {}
    }
}

/// Writes the status if it differs, and tells users of a new state.
async fn write(key: &ObjectKey, render: &Render, new: RenderStatus, context: &Context) -> Result<(), Error> {
    if render.status.as_ref() == Some(&new) {
        return Ok(());
    }
    let state = |status: Option<&RenderStatus>| {
        let succeeded = conditions::find(&status?.conditions, SUCCEEDED)?;
        Some((succeeded.reason.clone(), succeeded.status.clone(), succeeded.message.clone()))
    };
    let (before, after) = (state(render.status.as_ref()), state(Some(&new)));
    context.store.write_render_status(render, new).await?;
    if let Some((reason, status, message)) = after
        && before.is_none_or(|(before, ..)| before != reason)
    {
        context.store.event(key, Event { warning: status == "False", reason, message }).await?;
    }
    Ok(())
}

async fn reconcile_stack(key: &ObjectKey, stack: &HyperframesStack, context: &Context) -> Result<Outcome, Error> {
    let spec = StackSpec { key: Some(key.clone()), local: local_spec(stack).unwrap_or_default() };
    let report = context.backend.stack(&spec); // IO
    let new = stack_status(stack, &report, (context.now)()); // pure
    let changed = stack.status.as_ref() != Some(&new);
    if changed {
        context.store.write_stack_status(stack, new).await?; // IO
    }
    let next = match report {
        StackReport::Pending => Next::After(STACK_POLL),
        StackReport::NotReady(_) => Next::Recheck(RECHECK),
        StackReport::Ready { .. } => Next::AwaitChange,
    };
    Ok(Outcome { next, wake_others: changed && report != StackReport::Pending })
}

/// How often a stack that is being looked at is asked about.
const STACK_POLL: std::time::Duration = std::time::Duration::from_millis(50);
