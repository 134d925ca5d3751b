//! A backend of which only the leader asks anything.
//!
//! A look that has begun may go on after the Lease was lost: its writes are refused, and here whatever it would have had done
//! elsewhere. Who leads by now has these calls to itself.

use async_trait::async_trait;
use crds::{render::OutputStatus, stack::aws::AwsStackStatus};
use futures::stream::BoxStream;

use crate::{
    error::Error,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, Backend, Inputs, ObjectKey, OutputCheck, StackEffect, StackReport,
        StackSpec, Started,
    },
    store::kube::MayWrite,
};

/// A backend, asked only while this process leads.
pub(super) struct Led<B> {
    inner: B,
    leads: MayWrite,
}

impl<B: Backend> Led<B> {
    pub(super) fn new(inner: B, leads: MayWrite) -> Self {
        Self { inner, leads }
    }

    /// The backend, if it may be asked.
    fn asked(&self) -> Result<&B, Error> {
        if (self.leads)() { Ok(&self.inner) } else { Err(Error::NotLeading) }
    }
}

#[async_trait]
impl<B: Backend> Backend for Led<B> {
    fn changes(&self) -> BoxStream<'static, ObjectKey> {
        self.inner.changes()
    }

    async fn observe_stack(&self, stack: &StackSpec) -> Result<StackReport, Error> {
        self.asked()?.observe_stack(stack).await
    }

    fn stack_details(&self, stack: &StackSpec) -> Option<AwsStackStatus> {
        self.inner.stack_details(stack)
    }

    async fn apply_stack(&self, stack: &StackSpec, effect: StackEffect) -> Result<(), Error> {
        self.asked()?.apply_stack(stack, effect).await
    }

    async fn start(&self, attempt: AttemptSpec) -> Result<Started, Error> {
        self.asked()?.start(attempt).await
    }

    async fn observe(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        self.asked()?.observe(attempt).await
    }

    async fn cancel(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.asked()?.cancel(attempt).await
    }

    async fn check_output(
        &self,
        stack: Option<&StackSpec>,
        recorded: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error> {
        self.asked()?.check_output(stack, recorded, wanted).await
    }

    async fn release(&self, attempt: &AttemptRef) -> Result<(), Error> {
        self.asked()?.release(attempt).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    use crds::RenderConfig;

    use super::*;
    use crate::{
        backend::scripted::{Home, ScriptedBackend},
        ports::{Kind, Place, Source},
        store::memory::Chaos,
    };

    struct Calm;

    #[async_trait]
    impl Chaos for Calm {
        async fn before(&self, _: &'static str) -> Result<(), Error> {
            Ok(())
        }

        async fn after(&self, _: &'static str) -> Result<(), Error> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn once_the_lease_is_lost_nothing_more_is_asked_for() {
        let leading = Arc::new(AtomicBool::new(true));
        let leads = {
            let leading = Arc::clone(&leading);
            Arc::new(move || leading.load(Ordering::Relaxed))
        };
        let backend = Led::new(ScriptedBackend::new(Arc::new(Calm), Home::Elsewhere), leads);
        let key = |kind| ObjectKey { kind, namespace: "n".into(), name: "a".into() };
        let place = Place::Local { max_parallel_chunks: None, work_dir: None };
        let stack = StackSpec { key: key(Kind::Stack), place };
        let attempt = AttemptRef { stack: stack.clone(), name: "hf-u-1-h".into(), handle: None, bring_to: None };
        let inputs = Inputs {
            hash: "h".into(),
            source: Source::Folder { path: "/p".into(), digest: "d".into() },
            config: RenderConfig::default(),
            target: "/o.mp4".into(),
            target_named: false,
        };
        let spec = AttemptSpec { attempt: attempt.clone(), owner: key(Kind::Render), inputs };
        backend.apply_stack(&stack, StackEffect::Ensure).await.unwrap();
        backend.start(spec.clone()).await.unwrap();
        leading.store(false, Ordering::Relaxed);
        let results = [
            backend.observe_stack(&stack).await.map(drop),
            backend.apply_stack(&stack, StackEffect::Delete).await,
            backend.start(spec).await.map(drop),
            backend.observe(&attempt).await.map(drop),
            backend.cancel(&attempt).await,
            backend.release(&attempt).await,
        ];
        assert!(results.iter().all(|result| matches!(result, Err(Error::NotLeading))), "{results:?}");
        assert_eq!(backend.inner.running_on(&stack.key), 1, "it goes on for the next");
    }
}
