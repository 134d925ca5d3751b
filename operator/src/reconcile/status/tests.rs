use crds::{Code, Failure};

use super::*;
use crate::{
    error::Class,
    ports::Started,
    reconcile::{
        conditions::oracle,
        decide::{
            decide,
            tests::{Scene, at, inputs, running, scene, succeeded},
        },
    },
};

fn after(scene: &Scene, started: Result<Option<Started>, Error>) -> RenderStatus {
    status(&scene.0, &decide(&scene.0), &Done { started })
}

fn written(scene: &Scene) -> RenderStatus {
    after(scene, Ok(None))
}

fn warnings(count: usize) -> Vec<Failure> {
    (0..count).map(|n| Failure::new(Code::ScriptError, format!("{n}: {}", "x".repeat(400)))).collect()
}

#[test]
fn an_attempts_name_holds_its_inputs_and_fits() {
    let hash = "0123456789abcdef".repeat(4);
    let uid = "6f0c1a52-5c1b-4d0e-9d3f-1f1b8f0c7f10";
    let named = scene().seen(|seen| {
        seen.inputs = Ok(inputs(&hash));
        std::sync::Arc::make_mut(&mut seen.render).metadata.uid = Some(uid.into());
    });
    let status = written(&named);
    let name = status.execution_name.unwrap();
    assert_eq!(name, format!("hf-{uid}-1-01234567"));
    assert!(name.len() + "2147483647".len() <= 80, "Step Functions takes 80 characters");
    let last = status.attempts.last().unwrap();
    assert_eq!((last.stack.as_deref(), last.generation), (Some("built-in"), Some(1)));
}

#[test]
fn a_backends_handle_is_written_down() {
    let starting = scene().attempt(1, "h1", None);
    let status = after(&starting, Ok(Some(Started { handle: Some("arn:x".into()) })));
    assert_eq!(status.attempts[0].handle.as_deref(), Some("arn:x"));
}

#[test]
fn an_attempt_that_cannot_be_started_says_why_and_fails_if_it_never_can() {
    let starting = scene().attempt(1, "h1", None);
    let refused = |class| {
        let failure = Failure::new(Code::SpecInvalid, "no such role");
        after(&starting, Err(Error::Backend { failure, class }))
    };
    let later = refused(Class::Throttled);
    assert!(conditions::find(&later.conditions, READY).unwrap().message.contains("no such role"));
    assert_eq!(later.attempts[0].stop_time, None);
    let never = refused(Class::Terminal);
    assert_eq!(
        (never.attempts[0].result, never.failure.unwrap().code),
        (Some(AttemptResult::Failed), "SPEC_INVALID".into())
    );
    assert!(conditions::is_true(&never.conditions, STALLED));
}

#[test]
fn warnings_stay_with_the_video_and_are_bounded() {
    let video = AttemptReport::Succeeded {
        output: crate::reconcile::decide::tests::video(),
        warnings: warnings(7),
        cost: None,
    };
    let status = written(&scene().attempt(1, "h1", None).reports(video));
    assert_eq!((status.warnings.len(), status.omitted_warnings), (5, Some(2)));
    assert!(status.warnings.iter().all(|warning| warning.message.len() == WARNING_MESSAGE));
    // A look at a video that is there keeps them; a new attempt begins without.
    let mut kept = scene();
    std::sync::Arc::make_mut(&mut kept.0.render).status = Some(status.clone());
    kept.0.output = crate::ports::OutputCheck::Intact;
    assert_eq!(written(&kept).warnings, status.warnings);
    kept.0.inputs = Ok(inputs("h2"));
    assert_eq!(written(&kept).warnings, []);
}

#[test]
fn the_largest_status_is_small() {
    let path = Some("p".repeat(5000));
    let all = warnings(50).into_iter().map(|warning| Failure { path: path.clone(), ..warning }).collect();
    let failed =
        AttemptReport::Failed { failure: Failure::new(Code::ScriptError, "m".repeat(5000)), warnings: all, cost: None };
    let mut attempts = scene();
    for number in 1..=5 {
        attempts = attempts.attempt(number, &"h".repeat(64), None);
    }
    let failed = attempts.reports(failed).seen(|seen| {
        seen.inputs = Ok(inputs(&"h".repeat(64)));
        let render = std::sync::Arc::make_mut(&mut seen.render);
        render.spec.run_token = Some("t".repeat(128));
        render.metadata.annotations = Some([(flux::ANNOTATION.to_owned(), "a".repeat(128))].into());
        for attempt in &mut render.status.as_mut().unwrap().attempts {
            attempt.stack_namespace = Some("n".repeat(63));
        }
    });
    let size = serde_json::to_string(&written(&failed)).unwrap().len();
    assert!(size <= 8 << 10, "{size} bytes");
}

#[test]
fn stack_conditions_keep_the_rules() {
    let mut object = HyperframesStack::new("s", crds::HyperframesStackSpec::default());
    object.metadata.generation = Some(3);
    let ready = StackState::Available(StackCapacity {
        parallel_chunks: 2,
        renderer_digest: Some("d".into()),
        ..StackCapacity::default()
    });
    let not_ready = StackState::NotReady(Failure::new(Code::BrowserNotFound, "m"));
    let pending = StackState::Pending("p".into());
    for state in [pending, ready, not_ready, StackState::Deleting(None), StackState::DeletionBlocked(2)] {
        let next = crate::reconcile::decide::Next::AwaitChange;
        let decision = StackDecision { state, effect: None, next };
        let status = stack_status(&object, &decision, None, at(5));
        assert_eq!(oracle::broken(3, status.observed_generation, &status.conditions), [""; 0], "{decision:?}");
    }
}

#[test]
fn a_look_that_is_asked_for_is_written_down_for_both_kinds() {
    let annotated = |text: &str| Some([(flux::ANNOTATION.to_owned(), text.to_owned())].into());
    let mut asked = scene();
    std::sync::Arc::make_mut(&mut asked.0.render).metadata.annotations = annotated("2026-01-01T00:00:00.5Z");
    let status = written(&asked);
    assert_eq!(status.last_handled_reconcile_at.as_deref(), Some("2026-01-01T00:00:00.5Z"));
    // What was handled stays handled, and what is too long is nothing.
    let render = std::sync::Arc::make_mut(&mut asked.0.render);
    (render.status, render.metadata.annotations) = (Some(status.clone()), annotated(&"x".repeat(129)));
    assert_eq!(written(&asked).last_handled_reconcile_at, status.last_handled_reconcile_at);
    let mut stack = HyperframesStack::new("s", crds::HyperframesStackSpec::default());
    stack.metadata.annotations = annotated("now");
    let next = crate::reconcile::decide::Next::AwaitChange;
    let decision = StackDecision { state: StackState::Deleting(None), effect: None, next };
    assert_eq!(stack_status(&stack, &decision, None, at(5)).last_handled_reconcile_at.as_deref(), Some("now"));
}

#[test]
fn a_series_begins_with_its_first_attempt_and_goes_on_with_its_retries() {
    let begun = |scene: Scene| written(&scene).start_time.map(|time| time.0.as_second());
    let since = |scene: Scene, second| {
        let mut scene = scene;
        std::sync::Arc::make_mut(&mut scene.0.render).status.get_or_insert_default().start_time =
            Some(Time(at(second)));
        scene
    };
    assert_eq!(begun(since(scene(), 5)), Some(1000));
    let again = scene().attempt(1, "h1", Some((AttemptResult::Failed, 990))).failed_with(Code::BrowserFailed);
    assert_eq!(begun(since(again, 5)), Some(5));
    let other = scene().attempt(1, "h0", Some((AttemptResult::Failed, 990)));
    assert_eq!(begun(since(other, 5)), Some(1000));
    // It waited for its turn in between, or somebody held it up.
    let waited = || since(scene().attempt(1, "h1", Some((AttemptResult::Failed, 990))), 5);
    assert_eq!(begun(waited()), Some(5));
    let busy = waited().seen(|seen| seen.admission = crate::reconcile::queue::Admission::Waiting(1));
    assert_eq!(begun(busy), Some(5));
    let held = waited().seen(|seen| std::sync::Arc::make_mut(&mut seen.render).spec.suspend = true);
    assert_eq!(begun(held), None);
}

#[test]
fn transition_times_change_only_with_the_status() {
    let mut world = scene();
    let mut ready_since = Vec::new();
    for (second, report) in [(1000, None), (1010, Some(running())), (1020, Some(running())), (1030, Some(succeeded()))]
    {
        world.0.now = at(second);
        world.0.attempt = report.unwrap_or(AttemptReport::Unknown);
        let status = written(&world);
        ready_since.push(conditions::find(&status.conditions, READY).unwrap().last_transition_time.0.as_second());
        std::sync::Arc::make_mut(&mut world.0.render).status = Some(status);
    }
    assert_eq!(ready_since, [1000, 1000, 1000, 1030]);
}
