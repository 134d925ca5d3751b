//! How often mere progress is written: an API server keeps every version of every status.

use std::{collections::HashMap, time::Duration};

use crds::RenderStatus;
use jiff::Timestamp;

use crate::ports::ObjectKey;

/// Progress is written at most this often,
const PAUSE: Duration = Duration::from_secs(2);
/// or when it has come this far, in percent.
const STEP: i32 = 5;

/// What was written last of the progress of each Render under way.
#[derive(Debug, Default)]
pub(super) struct Throttle(HashMap<ObjectKey, (Timestamp, i32)>);

impl Throttle {
    /// How long a new status has to wait, if it differs from the old one only in progress and that was just written.
    pub(super) fn pause(
        &self,
        key: &ObjectKey,
        old: Option<&RenderStatus>,
        new: &RenderStatus,
        now: Timestamp,
    ) -> Option<Duration> {
        let (old, progress) = (old?, new.progress.as_ref()?);
        let (at, percent) = self.0.get(key)?;
        let only_progress = RenderStatus { progress: new.progress.clone(), ..old.clone() } == *new;
        if !only_progress || progress.percent - percent >= STEP {
            return None;
        }
        let passed = Duration::try_from(now.duration_since(*at)).unwrap_or_default();
        PAUSE.checked_sub(passed).filter(|left| !left.is_zero())
    }

    /// Notes that a status was written.
    pub(super) fn written(&mut self, key: &ObjectKey, new: &RenderStatus, now: Timestamp) {
        match &new.progress {
            Some(progress) => drop(self.0.insert(key.clone(), (now, progress.percent))),
            None => drop(self.0.remove(key)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ports::{Kind, planning};
    use crds::render::{ProgressStage, ProgressStatus};

    fn status(percent: i32, stage: ProgressStage) -> RenderStatus {
        let observed_generation = Some(i64::from(stage == ProgressStage::Assembling));
        RenderStatus {
            observed_generation,
            progress: Some(ProgressStatus { percent, stage, ..planning() }),
            ..RenderStatus::default()
        }
    }

    #[test]
    fn mere_progress_waits_two_seconds_or_five_percent() {
        use ProgressStage::{Assembling, Rendering};
        let key = ObjectKey { kind: Kind::Render, namespace: "n".into(), name: "a".into() };
        let at = |ms| Timestamp::from_millisecond(ms).unwrap();
        let mut throttle = Throttle::default();
        let old = status(10, Rendering);
        let pause = |throttle: &Throttle, new: &RenderStatus, ms| throttle.pause(&key, Some(&old), new, at(ms));
        assert_eq!(pause(&throttle, &status(11, Rendering), 0), None, "nothing was written yet");
        throttle.written(&key, &old, at(0));
        assert_eq!(pause(&throttle, &status(11, Rendering), 500), Some(Duration::from_millis(1500)));
        assert_eq!(pause(&throttle, &status(11, Rendering), 2000), None);
        assert_eq!(pause(&throttle, &status(15, Rendering), 1), None);
        assert_eq!(pause(&throttle, &status(11, Assembling), 1), None, "more than progress");
        throttle.written(&key, &RenderStatus::default(), at(0));
        assert!(throttle.0.is_empty());
    }
}
