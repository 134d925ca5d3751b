//! One invocation after another: understood, allowed, run in a folder of its own and in time, told of.

use std::{
    panic::AssertUnwindSafe,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crds::{
    Code, Failure,
    event::{Answer, Event},
};
use futures::FutureExt as _;
use serde_json::Value;
use tokio::time::timeout;

use crate::{
    browser::Browser,
    dispatch::dispatch,
    error::{Error, Told},
    files,
    guard::{self, Places},
    log::{Subject, Warnings, millis},
    objects::{Objects, transfer::Pace, transfer::Transfer},
    renderer::Renderer,
    settings::Settings,
    verbs::{self, Job},
    work::Work,
};

/// Before Lambda ends the invocation by force: time to stop the browser, to tidy up and to answer.
const MARGIN: Duration = Duration::from_secs(20);
/// Of the margin, how much work that was asked to stop gets.
const GRACE: Duration = Duration::from_secs(10);

/// The function: everything that outlives an invocation.
pub struct Function {
    settings: Settings,
    browser: Arc<Browser>,
    transfer: Transfer,
    spent: AtomicBool,
}

/// What an invocation is given besides its event.
#[derive(Clone, Debug)]
pub struct Call {
    /// Lambda's id of it.
    pub request_id: String,
    /// Until Lambda ends it.
    pub remaining: Duration,
}

impl Function {
    /// A function over a store. Begins to unpack its browser, if it has one packed.
    #[must_use]
    pub fn new(settings: Settings, objects: Arc<dyn Objects>) -> Self {
        let (browser, transfer) = (Arc::new(Browser::prepare(&settings)), Transfer::new(objects, Pace::default()));
        Self { settings, browser, transfer, spent: AtomicBool::new(false) }
    }

    /// Whether this environment must take no further event: something in it hangs or broke.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent.load(Ordering::Relaxed)
    }

    /// Does what an event asks for.
    ///
    /// # Errors
    /// The failure, under its stable code.
    pub async fn handle(&self, event: Value, call: &Call) -> Result<Answer, Told> {
        let started = Instant::now();
        let mut subject = Subject::unknown(&call.request_id);
        let outcome = match self.understand(event) {
            Ok((event, places)) => {
                subject = Subject::of(&call.request_id, &event);
                subject.started();
                self.run(&event, &places, call.remaining, &subject).await
            }
            Err(failure) => Err(failure),
        };
        match outcome {
            Ok(answer) => {
                let answer = timed(answer, started.elapsed());
                subject.ended(&answer, started.elapsed());
                Ok(answer)
            }
            Err(failure) => {
                subject.failed(&failure, started.elapsed());
                Err(Told(failure))
            }
        }
    }

    fn understand(&self, event: Value) -> Result<(Event, Places), Failure> {
        let event = dispatch(event)?;
        let places = guard::places(&event, self.settings.bucket.as_deref())?;
        Ok((event, places))
    }

    async fn run(
        &self,
        event: &Event,
        places: &Places,
        remaining: Duration,
        subject: &Subject,
    ) -> Result<Answer, Failure> {
        files::sweep(&self.settings.scratch);
        let folder = files::work_folder(&self.settings.scratch).map_err(|error| Error::from(error).failure())?;
        let (work, warnings) = (Work::default(), Arc::new(Warnings::new(subject.clone())));
        let job = Job {
            transfer: &self.transfer,
            renderer: Renderer::new(
                &self.settings,
                &self.browser,
                folder.path(),
                work.stopped(),
                Arc::clone(&warnings),
            ),
            work: &work,
            folder: folder.path().to_owned(),
        };
        // Of a short time, as people set for a try, most is for the work.
        let allowed = remaining.saturating_sub(MARGIN.min(remaining / 4));
        let verb = AssertUnwindSafe(verbs::run(&job, event, places)).catch_unwind();
        let outcome = match timeout(allowed, verb).await {
            Ok(Ok(outcome)) => outcome.map_err(|error: Error| error.failure()),
            Ok(Err(panic)) => Err(panicked(&*panic)),
            Err(_) => Err(out_of_time(event, allowed)),
        };
        // Uploads may fail while nothing runs; then this returns at once.
        let ended = work.stop(GRACE.min(remaining / 8)).await;
        let broken = outcome
            .as_ref()
            .is_err_and(|failure| matches!(failure.code, Code::NoProgress | Code::BrowserFailed | Code::Internal));
        if !ended || broken {
            self.spent.store(true, Ordering::Relaxed);
        }
        drop(folder);
        outcome.map(|answer| warned(answer, warnings.kept()))
    }
}

fn timed(mut answer: Answer, took: Duration) -> Answer {
    let duration = match &mut answer {
        Answer::Plan(answer) => &mut answer.duration_ms,
        Answer::RenderChunk(answer) => &mut answer.duration_ms,
        Answer::Assemble(answer) => &mut answer.duration_ms,
    };
    *duration = millis(took);
    answer
}

fn warned(mut answer: Answer, warnings: Vec<Failure>) -> Answer {
    match &mut answer {
        Answer::Plan(answer) => answer.warnings = warnings,
        Answer::RenderChunk(answer) => answer.warnings = warnings,
        Answer::Assemble(_) => {}
    }
    answer
}

fn panicked(panic: &(dyn std::any::Any + Send)) -> Failure {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    Failure::new(Code::Internal, format!("this is a bug of ours: {}", said.unwrap_or("it panicked")))
}

fn out_of_time(event: &Event, allowed: Duration) -> Failure {
    let advice = match event {
        Event::Plan(_) => "give the function more time or memory",
        Event::RenderChunk(_) => "use a smaller chunkSize, or more maxParallelChunks, or give the function more memory",
        Event::Assemble(_) => "give the function more time or memory",
    };
    let seconds = allowed.as_secs();
    Failure::new(Code::InvocationTimeLimit, format!("not done after {seconds} s, all the time there is: {advice}"))
}

#[cfg(test)]
mod tests;
