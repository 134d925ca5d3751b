//! What every verb works with besides its arguments: settings, somebody who listens, a way to end it.

use std::{
    collections::HashSet,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Instant,
};

use crds::{Failure, Stage, Strictness, line::Progress};
use tokio_util::sync::CancellationToken;

use crate::{
    Error,
    plan::defects::{Defects, refuse},
    settings::Settings,
};

/// Is told what a verb comes to while it works, from its threads, and must not take long.
pub trait Observer: Send + Sync {
    /// How far a stage is. Within a stage `total` stays the same, `done` never falls, and the last report is complete.
    fn progress(&self, progress: Progress);

    /// Something is not as it should be, and the video is made all the same.
    fn warning(&self, warning: &Failure);
}

/// Nobody listens.
impl Observer for () {
    fn progress(&self, _: Progress) {}

    fn warning(&self, _: &Failure) {}
}

/// What a verb works with.
#[derive(Clone)]
pub struct Context {
    /// Paths and deadlines.
    pub settings: Settings,
    /// Once cancelled, the verb ends within about 100 ms with `INTERRUPTED` and leaves nothing behind.
    pub stop: CancellationToken,
    /// Who is told.
    pub observer: Arc<dyn Observer>,
    /// When the work was asked for: what the time to the first frame counts from.
    pub asked: Instant,
    /// Warnings that were told: chunks come to the same ones.
    told: Arc<Mutex<HashSet<Failure>>>,
    /// Where errors of the composition go that the work can pass over, if it is there to find them all.
    found: Option<Arc<Mutex<Vec<Failure>>>>,
}

impl Context {
    /// Asked for now, and never cancelled.
    #[must_use]
    pub fn new(settings: Settings, observer: Arc<dyn Observer>) -> Self {
        Self {
            settings,
            stop: CancellationToken::new(),
            observer,
            asked: Instant::now(),
            told: Arc::default(),
            found: None,
        }
    }

    /// The same with a stop of its own, which the outer one sets off too.
    pub(crate) fn within(&self) -> Self {
        Self { stop: self.stop.child_token(), ..self.clone() }
    }

    /// Tells of each warning, once.
    pub(crate) fn warn(&self, warnings: &[Failure]) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        let new = warnings.iter().filter(|warning| told.insert((*warning).clone()));
        new.for_each(|warning| self.observer.warning(warning));
    }

    /// The same, to find all errors and not only the first.
    pub(crate) fn finding_all(&self) -> Self {
        Self { found: Some(Arc::default()), ..self.clone() }
    }

    /// The errors that were passed over, each once.
    pub(crate) fn found(&self) -> Vec<Failure> {
        let found = self.found.as_ref().map(|found| found.lock().unwrap_or_else(PoisonError::into_inner).clone());
        let (mut seen, mut found) = (HashSet::new(), found.unwrap_or_default());
        found.retain(|failure| seen.insert(failure.clone()));
        found
    }

    /// Warns of what is only to be warned of; anything else is an error.
    pub(crate) fn judge(&self, defects: Defects, strictness: Option<Strictness>) -> Result<(), Error> {
        let (errors, warnings) = defects.divided(strictness);
        self.warn(&warnings);
        self.refuse(errors)
    }

    /// An error of all problems, unless it is passed over.
    pub(crate) fn refuse(&self, problems: Vec<Failure>) -> Result<(), Error> {
        match &self.found {
            Some(found) => {
                found.lock().unwrap_or_else(PoisonError::into_inner).extend(problems);
                Ok(())
            }
            None => refuse(problems),
        }
    }

    /// Begins a stage of `total` units.
    pub(crate) fn stage(&self, stage: Stage, total: u32) -> Meter {
        let meter = Meter { observer: Arc::clone(&self.observer), stage, total, done: Mutex::new(0) };
        meter.add(0);
        meter
    }
}

impl fmt::Debug for Context {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Counts what is done of a stage, by all threads together.
pub(crate) struct Meter {
    observer: Arc<dyn Observer>,
    stage: Stage,
    total: u32,
    done: Mutex<u32>,
}

impl Meter {
    /// So many more units are done.
    pub(crate) fn add(&self, units: u32) {
        // Told under the lock: numbers arrive in order.
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        *done += units;
        self.observer.progress(Progress { stage: self.stage, done: *done, total: self.total });
    }
}
