use std::sync::Arc;

use crds::{Code, Render, RenderConfig, RenderStatus, render::StackRef};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::*;
use crate::ports::{Kind, ObjectKey, Place, Source, StackSpec};

/// What is seen of a Render, told in sentences. Time is counted in seconds; now is 1000.
pub(crate) struct Scene(pub(crate) Observed);

const NOW: i64 = 1000;

pub(crate) fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

pub(crate) fn inputs(hash: &str) -> Inputs {
    Inputs {
        hash: hash.into(),
        source: Source::Folder { path: "/p".into(), digest: "d".into() },
        config: RenderConfig::default(),
        target: "/o.mp4".into(),
        target_named: false,
    }
}

/// A Render that was never looked at, on a stack that is ready, with inputs "h1".
pub(crate) fn scene() -> Scene {
    let text = "{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {name: a}, spec: {source: {path: .}}}";
    let mut render: Render = serde_yaml::from_str(text).unwrap();
    render.metadata.uid = Some("u".into());
    render.metadata.generation = Some(1);
    let key = ObjectKey { kind: Kind::Stack, namespace: "default".into(), name: "built-in".into() };
    let spec = StackSpec { key, place: Place::Local { max_parallel_chunks: None, work_dir: None } };
    Scene(Observed {
        now: at(NOW),
        render: Arc::new(render),
        orphaned: false,
        may_be_deleted: true,
        inputs: Ok(inputs("h1")),
        stack: StackView::Ready { spec, slots: 2 },
        admission: Admission::Admitted,
        resumes: true,
        attempt: AttemptReport::Unknown,
        output: OutputCheck::NotMade,
        draining: false,
    })
}

impl Scene {
    fn edit(mut self, edit: impl FnOnce(&mut Render)) -> Self {
        edit(Arc::make_mut(&mut self.0.render));
        self
    }

    fn status(self, edit: impl FnOnce(&mut RenderStatus)) -> Self {
        self.edit(|render| edit(render.status.get_or_insert_default()))
    }

    /// An attempt we wrote down: its number, inputs, and how it ended at which second (`None`: it has not).
    pub(crate) fn attempt(self, number: i32, hash: &str, end: Option<(AttemptResult, i64)>) -> Self {
        self.status(|status| {
            status.attempt = Some(number);
            status.execution_name = Some(format!("hf-u-{number}-{hash}"));
            status.attempts.push(AttemptStatus {
                number,
                input_hash: hash.into(),
                start_time: Time(at(NOW - 100 + i64::from(number))),
                stop_time: end.map(|(_, second)| Time(at(second))),
                result: end.map(|(result, _)| result),
                generation: Some(1),
                stack: None,
                stack_namespace: None,
                handle: None,
                failure_code: None,
                cost_usd: None,
            });
            let finished = end.is_some_and(|(result, _)| result == AttemptResult::Succeeded);
            let status_of = if finished { "True" } else { "False" };
            let condition = conditions::new(FINISHED, status_of, "R", "m", 1, at(0));
            status.conditions = vec![condition];
        })
    }

    fn deadlines(self, queue: Option<&str>, active: Option<&str>) -> Self {
        self.edit(|render| {
            render.spec.queue_deadline = queue.map(|period| period.parse().unwrap());
            render.spec.active_deadline = active.map(|period| period.parse().unwrap());
        })
    }

    /// It waits for its turn with inputs "h1".
    fn waits_since(self, second: i64) -> Self {
        self.status(|status| {
            status.queued_time = Some(Time(at(second)));
            status.input_hash = Some("h1".into());
        })
    }

    pub(crate) fn failed_with(self, code: Code) -> Self {
        self.status(|status| {
            status.failure = Some(FailureStatus {
                code: code.to_string(),
                message: "m".into(),
                retryable: code.retryable(),
                path: None,
                line: None,
            });
        })
    }

    pub(crate) fn reports(mut self, report: AttemptReport) -> Self {
        self.0.attempt = report;
        self
    }

    fn output(mut self, check: OutputCheck) -> Self {
        self.0.output = check;
        self.status(|status| status.output = Some(video()))
    }

    fn asked(self, verb: RequestVerb, second: i64) -> Self {
        self.asked_for(verb, &at(second).to_string())
    }

    fn asked_for(self, verb: RequestVerb, text: &str) -> Self {
        self.edit(|render| {
            let annotations = render.metadata.annotations.get_or_insert_default();
            annotations.insert(requests::annotation(verb).into(), text.into());
        })
    }

    fn taken(self, verb: RequestVerb, second: i64, hash: Option<&str>) -> Self {
        self.status(|status| {
            let requested_time = Time(at(second));
            let input_hash = hash.map(str::to_owned);
            status.request = Some(RequestStatus { verb, requested_time, input_hash, obsolete: false });
        })
    }

    pub(crate) fn seen(mut self, edit: impl FnOnce(&mut Observed)) -> Self {
        edit(&mut self.0);
        self
    }

    /// The decision, in words.
    #[track_caller]
    fn check(self, expected: &str) {
        let Decision { state, effect, next, .. } = decide(&self.0);
        let state = match state {
            State::Running(progress) => format!("Running {}%", progress.percent),
            State::Completed(output) => format!("Completed {}", output.uri),
            State::Invalid(failure) => format!("Invalid {}", failure.code),
            State::SourceNotReady(failure) => format!("SourceNotReady {}", failure.code),
            State::SourcePending(what) => format!("SourcePending {what}"),
            State::StackNotReady(failure) => format!("StackNotReady {}", failure.code),
            State::Failed(failure, _) => format!("Failed {}", failure.code),
            State::Retrying(failure, due) => format!("Retrying {} at {}", failure.code, due.as_second()),
            State::StackNotFound(message) => format!("StackNotFound {message}"),
            State::StackPending(what) => format!("StackPending {what}"),
            State::Queued(place) => format!("Queued {place}"),
            State::Starting(number, cause) => format!("Starting {number}: {cause}"),
            State::Deleted
            | State::Deleting
            | State::Orphaned
            | State::Cancelled
            | State::Suspended
            | State::Draining
            | State::Cancelling => format!("{state:?}"),
        };
        let effect = effect.map_or(String::new(), |effect| format!(", {effect:?}"));
        let next = match next {
            Next::AwaitChange => "await change".to_owned(),
            Next::AwaitProgress => "await progress".to_owned(),
            Next::RequeueAfter(pause) => format!("after {pause:?}"),
            Next::Recheck(pause) => format!("recheck {pause:?}"),
            Next::Gone => "gone".to_owned(),
        };
        assert_eq!(format!("{state}{effect}, {next}"), expected);
    }
}

pub(crate) fn running() -> AttemptReport {
    AttemptReport::Running { progress: ProgressStatus { percent: 42, ..planning() }, cost: None, ask_again: None }
}

fn elsewhere() -> AttemptReport {
    let AttemptReport::Running { progress, .. } = running() else { unreachable!() };
    AttemptReport::Running { progress, cost: None, ask_again: Some(Duration::from_secs(5)) }
}

pub(crate) fn video() -> OutputStatus {
    OutputStatus { uri: "file:///o.mp4".into(), bytes: 1, sha256: "s".into(), frames: 1, width: 2, height: 2 }
}

pub(crate) fn succeeded() -> AttemptReport {
    AttemptReport::Succeeded { output: video(), warnings: Vec::new(), cost: None }
}

fn failure(code: Code) -> AttemptReport {
    AttemptReport::Failed { failure: Failure::new(code, "m"), warnings: Vec::new(), cost: None }
}

const SUCCEEDED: AttemptResult = AttemptResult::Succeeded;
const FAILED: AttemptResult = AttemptResult::Failed;
const CANCELLED: AttemptResult = AttemptResult::Cancelled;

#[test]
fn an_attempt_is_named_before_it_is_started_and_then_observed() {
    scene().check("Starting 1: it is new, after 0ns");
    scene().attempt(1, "h1", None).check("Running 0%, Start, await progress");
    scene().attempt(1, "h1", None).reports(running()).check("Running 42%, await progress");
    scene().attempt(1, "h1", None).reports(elsewhere()).check("Running 42%, after 5s");
    scene().attempt(1, "h1", None).reports(AttemptReport::NotYetKnown).check("Running 0%, after 1s");
    scene().attempt(1, "h1", None).reports(succeeded()).check("Completed file:///o.mp4, await change");
}

#[test]
fn what_was_interrupted_is_started_again_under_the_same_name_unless_another_stack_is_wanted() {
    scene()
        .attempt(3, "h1", None)
        .reports(AttemptReport::Stopped { cost: None })
        .check("Running 0%, Start, await progress");
    let other = scene().attempt(3, "h1", None).seen(|seen| seen.resumes = false);
    other.check("Starting 4: it has another stack now, after 0ns");
}

#[test]
fn same_inputs_nothing_runs() {
    let done = || scene().attempt(1, "h1", Some((SUCCEEDED, 900)));
    done().output(OutputCheck::Intact).check("Completed file:///o.mp4, await change");
    done().output(OutputCheck::Lost("it is gone".into())).check("Starting 2: it is gone, after 0ns");
}

#[test]
fn other_inputs_end_the_running_attempt_and_start_another() {
    scene().attempt(1, "h0", None).reports(running()).check("Cancelling, Cancel, after 1s");
    scene().attempt(1, "h0", None).reports(AttemptReport::NotYetKnown).check("Cancelling, Cancel, after 1s");
    scene()
        .attempt(1, "h0", None)
        .reports(AttemptReport::Stopped { cost: None })
        .check("Starting 2: its composition has changed, after 0ns");
    scene()
        .attempt(1, "h0", Some((SUCCEEDED, 900)))
        .output(OutputCheck::Intact)
        .check("Starting 2: its composition has changed, after 0ns");
    scene()
        .attempt(4, "h0", Some((FAILED, 900)))
        .failed_with(Code::ScriptError)
        .check("Starting 5: its composition has changed, after 0ns");
}

#[test]
fn a_compositions_fault_is_final_and_a_machines_fault_is_retried_with_growing_pauses() {
    scene().attempt(1, "h1", None).reports(failure(Code::ScriptError)).check("Failed SCRIPT_ERROR, await change");
    let crashed = scene().attempt(1, "h1", None).reports(failure(Code::BrowserFailed));
    crashed.check("Retrying BROWSER_FAILED at 1001, after 1s");
    let once = || scene().attempt(1, "h1", Some((FAILED, 990))).failed_with(Code::BrowserFailed);
    once().check("Starting 2: the last one failed, after 0ns");
    once().attempt(2, "h1", Some((FAILED, 999))).check("Retrying BROWSER_FAILED at 1001, after 1s");
    let exhausted = once().attempt(2, "h1", Some((FAILED, 900))).attempt(3, "h1", Some((FAILED, 901)));
    exhausted.check("Failed BROWSER_FAILED, await change");
    let never = once().edit(|render| render.spec.retry.limit = 0);
    never.check("Failed BROWSER_FAILED, await change");
}

#[test]
fn what_somebody_has_to_put_right_is_tried_again_when_the_spec_was_edited() {
    let failed = || scene().attempt(1, "h1", Some((FAILED, 990))).failed_with(Code::NotWritable);
    failed().check("Failed NOT_WRITABLE, await change");
    failed().edit(|render| render.metadata.generation = Some(2)).check("Starting 2: its spec has changed, after 0ns");
    let composition = scene().attempt(1, "h1", Some((FAILED, 990))).failed_with(Code::ScriptError);
    composition.edit(|render| render.metadata.generation = Some(2)).check("Failed SCRIPT_ERROR, await change");
}

/// A status of another version may hold a code this one does not know: whether it can be retried stands beside it.
#[test]
fn an_unknown_code_keeps_its_name_and_its_class() {
    for (retryable, expected) in
        [(true, "Retrying UNRECOGNIZED at 1001, after 1s"), (false, "Failed UNRECOGNIZED, await change")]
    {
        let failed = scene().attempt(1, "h1", Some((FAILED, 1000))).failed_with(Code::BrowserFailed);
        let failed = failed.status(|status| {
            let failure = status.failure.as_mut().unwrap();
            (failure.code, failure.retryable) = ("NOT_YET_INVENTED".into(), retryable);
        });
        failed.check(expected);
    }
}

#[test]
fn cancelling_ends_what_runs_and_starts_nothing_until_asked() {
    let cancelled = |scene: Scene| scene.edit(|render| render.spec.desired_state = DesiredState::Cancelled);
    cancelled(scene()).check("Cancelled, await change");
    cancelled(scene().attempt(1, "h1", None).reports(running())).check("Cancelling, Cancel, after 1s");
    cancelled(scene().attempt(1, "h1", None).reports(AttemptReport::Stopped { cost: None }))
        .check("Cancelled, await change");
    cancelled(scene().attempt(1, "h1", Some((FAILED, 999))).failed_with(Code::BrowserFailed))
        .check("Cancelled, await change");
    scene().asked(RequestVerb::Cancel, 999).check("Cancelled, await change");
    let asked = || scene().attempt(1, "h1", Some((CANCELLED, 950))).taken(RequestVerb::Cancel, 940, Some("h1"));
    asked().check("Cancelled, await change");
    asked().asked(RequestVerb::Cancel, 960).check("Cancelled, await change");
    asked().asked(RequestVerb::Retry, 960).check("Starting 2: a retry was asked for, after 0ns");
    asked().seen(|seen| seen.inputs = Ok(inputs("h2"))).check("Starting 2: its composition has changed, after 0ns");
    scene()
        .taken(RequestVerb::Cancel, 940, Some("h1"))
        .asked(RequestVerb::Retry, 960)
        .check("Starting 1: it is new, after 0ns");
}

#[test]
fn a_request_counts_once() {
    let done = || scene().attempt(1, "h1", Some((SUCCEEDED, 950))).output(OutputCheck::Intact);
    done().asked(RequestVerb::Retry, 960).check("Starting 2: a retry was asked for, after 0ns");
    done().asked(RequestVerb::Retry, 940).check("Completed file:///o.mp4, await change");
    let again = done().attempt(2, "h1", Some((SUCCEEDED, 970))).taken(RequestVerb::Retry, 960, Some("h1"));
    again.asked(RequestVerb::Retry, 960).check("Completed file:///o.mp4, await change");
}

#[test]
fn a_request_that_comes_too_late_is_taken_without_effect() {
    let obsolete = |scene: Scene| decide(&scene.0).request.map(|request| request.obsolete);
    let done = || scene().attempt(1, "h1", Some((SUCCEEDED, 950))).output(OutputCheck::Intact);
    assert_eq!(obsolete(done().asked(RequestVerb::Cancel, 960)), Some(true));
    done().asked(RequestVerb::Cancel, 960).check("Completed file:///o.mp4, await change");
    assert_eq!(obsolete(scene().asked(RequestVerb::Retry, 960)), Some(true));
    assert_eq!(obsolete(scene().asked(RequestVerb::Cancel, 960)), Some(false));
    assert_eq!(obsolete(scene().attempt(1, "h1", None).reports(running()).asked(RequestVerb::Retry, 960)), Some(true));
    // Somebody who saw other inputs did not mean these.
    let other = scene().asked_for(RequestVerb::Cancel, &format!("{} h0", at(960)));
    assert_eq!(obsolete(other), Some(true));
}

/// The project may be away for a moment when a request is seen.
#[test]
fn a_request_survives_inputs_that_cannot_be_read() {
    let invalid = |scene: Scene| {
        scene.seen(|seen| seen.inputs = Err(SourceError::Invalid(Failure::new(Code::ProjectNotFound, "m"))))
    };
    let kept = |scene: Scene| decide(&scene.0).request.map(|request| (request.verb, request.input_hash));
    let taken = || scene().taken(RequestVerb::Cancel, 940, Some("h1"));
    assert_eq!(kept(invalid(taken())), Some((RequestVerb::Cancel, Some("h1".into()))));
    assert_eq!(kept(invalid(scene().asked(RequestVerb::Cancel, 940))), Some((RequestVerb::Cancel, None)));
    let unbound = scene().taken(RequestVerb::Cancel, 940, None);
    assert_eq!(kept(Scene(unbound.0.clone())), Some((RequestVerb::Cancel, Some("h1".into()))));
    unbound.check("Cancelled, await change");
}

#[test]
fn a_retry_asked_for_brings_all_retries_back() {
    let failed = scene().attempt(1, "h1", Some((FAILED, 901))).attempt(2, "h1", Some((FAILED, 902)));
    let failed = failed.attempt(3, "h1", Some((FAILED, 903))).failed_with(Code::BrowserFailed);
    let again = failed.taken(RequestVerb::Retry, 904, Some("h1")).attempt(4, "h1", None);
    again.reports(failure(Code::BrowserFailed)).check("Retrying BROWSER_FAILED at 1001, after 1s");
}

#[test]
fn nothing_is_started_while_something_stands_in_the_way() {
    scene().edit(|render| render.spec.suspend = true).check("Suspended, await change");
    scene().seen(|seen| seen.admission = Admission::Waiting(3)).check("Queued 3, await progress");
    let stack = |view: StackView| scene().seen(|seen| seen.stack = view);
    stack(StackView::NotFound("none".into())).check("StackNotFound none, await change");
    stack(StackView::Pending("p".into())).check("StackPending p, await progress");
    let not_ready = || stack(StackView::NotReady(Failure::new(Code::BrowserNotFound, "m")));
    not_ready().check("StackNotReady BROWSER_NOT_FOUND, await change");
    not_ready()
        .seen(|seen| seen.admission = Admission::Waiting(3))
        .check("StackNotReady BROWSER_NOT_FOUND, await change");
    let running = scene().edit(|render| render.spec.suspend = true).attempt(1, "h1", None).reports(running());
    running.check("Running 42%, await progress");
}

#[test]
fn who_waits_too_long_for_a_turn_has_failed_until_somebody_acts() {
    let waits = |scene: Scene| scene.seen(|seen| seen.admission = Admission::Waiting(3));
    let since = |second| waits(scene().deadlines(Some("1m"), None).waits_since(second));
    waits(scene().deadlines(Some("1m"), None)).check("Queued 3, after 60s");
    since(950).check("Queued 3, after 10s");
    since(940).check("Failed QUEUE_DEADLINE_EXCEEDED, await change");
    let free = scene().deadlines(Some("1m"), None).waits_since(900);
    free.check("Failed QUEUE_DEADLINE_EXCEEDED, await change");
    waits(scene().deadlines(Some("2m"), None).waits_since(900)).check("Queued 3, after 20s");
    since(900).seen(|seen| seen.inputs = Ok(inputs("h2"))).check("Queued 3, after 60s");
    let failed = || since(900).failed_with(Code::QueueDeadlineExceeded);
    failed().asked(RequestVerb::Retry, 980).check("Queued 3, after 40s");
    failed().taken(RequestVerb::Retry, 930, Some("h1")).check("Failed QUEUE_DEADLINE_EXCEEDED, await change");
    since(900).edit(|render| render.spec.suspend = true).check("Suspended, await change");
    since(900).seen(|seen| seen.draining = true).check("Failed QUEUE_DEADLINE_EXCEEDED, await change");
    let nowhere = since(950).seen(|seen| seen.stack = StackView::NotFound("none".into()));
    nowhere.check("StackNotFound none, recheck 10s");
    // What was interrupted has had its turn.
    since(900).attempt(1, "h1", None).check("Queued 3, await progress");
}

#[test]
fn the_time_of_waiting_is_written_down_while_it_waits() {
    let since = |scene: Scene| decide(&scene.0).waits_since.map(Timestamp::as_second);
    let waits = |scene: Scene| scene.seen(|seen| seen.admission = Admission::Waiting(3));
    assert_eq!(since(waits(scene())), Some(NOW));
    assert_eq!(since(waits(scene().waits_since(900))), Some(900));
    assert_eq!(since(scene().waits_since(900)), None, "it starts");
    assert_eq!(since(scene().waits_since(900).seen(|seen| seen.draining = true)), Some(900));
    assert_eq!(since(waits(scene().waits_since(900).attempt(1, "h1", None))), None, "it was started");
}

#[test]
fn a_series_of_attempts_ends_at_its_deadline() {
    let begun = |scene: Scene, second| scene.status(|status| status.start_time = Some(Time(at(second))));
    let limited = || scene().deadlines(None, Some("1m"));
    begun(limited().attempt(1, "h1", None).reports(running()), 950).check("Running 42%, after 10s");
    begun(limited().attempt(1, "h1", None).reports(elsewhere()), 941).check("Running 42%, after 1s");
    begun(limited().attempt(1, "h1", None).reports(running()), 940).check("Cancelling, Cancel, after 1s");
    let stopped = || limited().attempt(1, "h1", None).reports(AttemptReport::Stopped { cost: None });
    begun(stopped(), 940).check("Failed ACTIVE_DEADLINE_EXCEEDED, await change");
    begun(stopped(), 950).check("Running 0%, Start, after 10s");
    begun(limited().attempt(1, "h1", None).reports(succeeded()), 900).check("Completed file:///o.mp4, await change");
    // Between two attempts.
    let failed = || limited().attempt(1, "h1", Some((FAILED, 1000))).failed_with(Code::BrowserFailed);
    begun(failed(), 950).check("Retrying BROWSER_FAILED at 1001, after 1s");
    begun(failed(), 940).check("Failed ACTIVE_DEADLINE_EXCEEDED, await change");
    // A source that cannot be read is no excuse.
    let failure = || Failure::new(Code::IoFailed, "m");
    begun(limited().attempt(1, "h1", None).reports(running()), 940)
        .seen(|seen| seen.inputs = Err(SourceError::Unreadable(failure())))
        .check("Cancelling, Cancel, after 1s");
}

#[test]
fn what_has_finished_is_deleted_after_its_ttl() {
    let limited = |scene: Scene| scene.edit(|render| render.spec.ttl = Some("1m".parse().unwrap()));
    let finished = |scene: Scene, second| {
        limited(scene).status(|status| {
            let condition = conditions::new(FINISHED, "True", "R", "m", 1, at(second));
            (status.conditions, status.observed_generation) = (vec![condition], Some(1));
        })
    };
    let done = || scene().attempt(1, "h1", Some((SUCCEEDED, 900))).output(OutputCheck::Intact);
    limited(scene().attempt(1, "h1", None).reports(succeeded())).check("Completed file:///o.mp4, recheck 60s");
    finished(done(), 950).check("Completed file:///o.mp4, recheck 10s");
    finished(done(), 940).check("Completed file:///o.mp4, Delete, await change");
    let failed = || scene().attempt(1, "h1", Some((FAILED, 900))).failed_with(Code::ScriptError);
    finished(failed(), 940).check("Failed SCRIPT_ERROR, Delete, await change");
    // The status speaks of another spec: first it is written.
    let edited = finished(done(), 940).edit(|render| render.metadata.generation = Some(2));
    edited.check("Completed file:///o.mp4, after 0ns");
    finished(done(), 900).seen(|seen| seen.may_be_deleted = false).check("Completed file:///o.mp4, await change");
    finished(done(), 900)
        .seen(|seen| seen.inputs = Ok(inputs("h2")))
        .check("Starting 2: its composition has changed, after 0ns");
}

#[test]
fn another_run_token_has_the_same_inputs_run_once_more() {
    let token = |scene: Scene| scene.edit(|render| render.spec.run_token = Some("2".into()));
    let made_for = |scene: Scene, token: &str| scene.status(|status| status.run_token = Some(token.into()));
    let done = || scene().attempt(1, "h1", Some((SUCCEEDED, 900))).output(OutputCheck::Intact);
    token(done()).check("Starting 2: its run token has changed, after 0ns");
    token(made_for(done(), "1")).check("Starting 2: its run token has changed, after 0ns");
    token(made_for(done(), "2")).check("Completed file:///o.mp4, await change");
    made_for(done(), "2").check("Completed file:///o.mp4, await change");
    let failed = scene().attempt(1, "h1", Some((FAILED, 900))).failed_with(Code::ScriptError);
    token(failed).check("Starting 2: its run token has changed, after 0ns");
    token(scene().attempt(1, "h1", None).reports(running())).check("Running 42%, await progress");
    let cancelled =
        || token(scene().attempt(1, "h1", Some((CANCELLED, 950))).taken(RequestVerb::Cancel, 940, Some("h1")));
    cancelled().check("Starting 2: its run token has changed, after 0ns");
    let later = cancelled().status(|status| status.observed_generation = Some(1));
    later.check("Cancelled, await change");
    let waited = scene().deadlines(Some("1m"), None).waits_since(900);
    token(waited).seen(|seen| seen.admission = Admission::Waiting(1)).check("Queued 1, after 60s");
}

#[test]
fn retries_are_counted_in_a_series() {
    let failed = scene().attempt(1, "h1", Some((FAILED, 901))).attempt(2, "h1", Some((FAILED, 902)));
    let failed = failed.attempt(3, "h1", None).reports(failure(Code::BrowserFailed));
    let series = failed.status(|status| status.start_time = Some(status.attempts[2].start_time.clone()));
    series.check("Retrying BROWSER_FAILED at 1001, after 1s");
}

/// A status that says that it waits in the queue names no failure.
#[test]
fn a_retry_that_had_to_wait_for_its_turn_is_still_one_of_its_series() {
    let waited = || {
        let failed = scene().deadlines(None, Some("1m")).attempt(1, "h1", Some((FAILED, 960)));
        failed.status(|status| status.start_time = Some(Time(at(950))))
    };
    let busy = |scene: Scene| scene.seen(|seen| seen.admission = Admission::Waiting(1));
    busy(waited()).check("Queued 1, after 10s");
    waited().check("Starting 2: it is wanted again, after 0ns");
    let late = || waited().seen(|seen| seen.now = at(1010));
    busy(late()).check("Failed ACTIVE_DEADLINE_EXCEEDED, await change");
    late().edit(|render| render.spec.desired_state = DesiredState::Cancelled).check("Cancelled, await change");
    // After a final failure time is counted anew.
    let finished = |scene: Scene| {
        scene.status(|status| status.conditions = vec![conditions::new(FINISHED, "True", "R", "m", 1, at(0))])
    };
    finished(late()).check("Starting 2: it is wanted again, after 0ns");
}

#[test]
fn a_passed_deadline_is_final_until_the_spec_is_edited_or_a_retry_is_asked_for() {
    let failed = || {
        let failed = scene().deadlines(None, Some("1m")).attempt(1, "h1", Some((FAILED, 990)));
        failed.failed_with(Code::ActiveDeadlineExceeded).status(|status| {
            status.start_time = Some(Time(at(900)));
            status.observed_generation = Some(2);
        })
    };
    let generation = |scene: Scene, number| scene.edit(|render| render.metadata.generation = Some(number));
    generation(failed(), 2).check("Failed ACTIVE_DEADLINE_EXCEEDED, await change");
    generation(failed(), 3).check("Starting 2: its spec has changed, after 0ns");
    generation(failed(), 2).asked(RequestVerb::Retry, 995).check("Starting 2: a retry was asked for, after 0ns");
}

/// A process that is about to end waits for nothing but what runs in it.
#[test]
fn a_drain_is_asked_before_the_queue_and_leaves_alone_what_runs_elsewhere() {
    let draining = |scene: Scene| scene.seen(|seen| seen.draining = true);
    draining(scene()).check("Draining, await change");
    draining(scene().seen(|seen| seen.admission = Admission::Waiting(3))).check("Draining, await change");
    draining(scene().attempt(1, "h1", None).reports(AttemptReport::Stopped { cost: None }))
        .check("Draining, await change");
    draining(scene().attempt(1, "h1", None).reports(running())).check("Running 42%, await progress");
    draining(scene().attempt(1, "h1", None).reports(elsewhere())).check("Running 42%, recheck 5s");
}

#[test]
fn inputs_that_cannot_be_used_end_what_runs_and_those_that_cannot_be_read_do_not() {
    let failure = || Failure::new(Code::ProjectNotFound, "m");
    let invalid = |scene: Scene| scene.seen(|seen| seen.inputs = Err(SourceError::Invalid(failure())));
    invalid(scene()).check("Invalid PROJECT_NOT_FOUND, await change");
    invalid(scene().attempt(1, "h1", None).reports(running())).check("Cancelling, Cancel, after 1s");
    let unreadable = |scene: Scene| scene.seen(|seen| seen.inputs = Err(SourceError::Unreadable(failure())));
    unreadable(scene()).check("SourceNotReady PROJECT_NOT_FOUND, recheck 10s");
    unreadable(scene().attempt(1, "h1", None).reports(running())).check("Running 42%, await progress");
    let coming = |scene: Scene| scene.seen(|seen| seen.inputs = Err(SourceError::Coming("c".into())));
    coming(scene()).check("SourcePending c, await progress");
    coming(scene()).seen(|seen| seen.draining = true).check("SourcePending c, await change");
    coming(scene().attempt(1, "h1", None).reports(running())).check("Running 42%, await progress");
}

#[test]
fn a_deleted_render_is_gone_once_nothing_of_it_runs() {
    let deleted = |scene: Scene| scene.edit(|render| render.metadata.deletion_timestamp = Some(Time(at(NOW))));
    deleted(scene().attempt(1, "h1", None).reports(running())).check("Deleting, Cancel, after 1s");
    deleted(scene().attempt(1, "h1", None).reports(AttemptReport::Stopped { cost: None }))
        .check("Deleted, await change");
}

#[test]
fn an_orphan_is_observed_to_its_end_and_never_started() {
    let orphan = |scene: Scene| scene.seen(|seen| seen.orphaned = true);
    orphan(scene()).check("Orphaned, await change");
    orphan(scene().attempt(1, "h1", None).reports(running())).check("Running 42%, await progress");
    orphan(scene().attempt(1, "h1", None).reports(succeeded())).check("Completed file:///o.mp4, await change");
    let crashed = scene().attempt(1, "h1", None).reports(failure(Code::BrowserFailed));
    orphan(crashed).check("Failed BROWSER_FAILED, await change");
    let lost = scene().attempt(1, "h1", Some((SUCCEEDED, 900))).output(OutputCheck::Lost("it is gone".into()));
    orphan(lost).check("Orphaned, await change");
}

#[test]
fn a_stack_must_exist_for_a_render_that_names_one() {
    let named = scene().edit(|render| render.spec.stack_ref = Some(StackRef { name: "x".into(), namespace: None }));
    named.seen(|seen| seen.stack = StackView::NotFound("no x".into())).check("StackNotFound no x, await change");
}
