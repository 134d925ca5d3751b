use std::sync::Arc;

use crds::{
    Code, Failure, Render,
    render::{DesiredState, OutputStatus, ProgressStatus},
};
use proptest::prelude::*;

use super::*;
use crate::{
    conditions::oracle,
    decide::{
        Effect, Next, decide,
        tests::{at, scene},
    },
    observe::StackView,
    ports::AttemptReport,
    queue::Admission,
    source::{Inputs, OutputCheck},
};

/// A world in which anything may happen between two looks of the controller.
struct World {
    seen: Observed,
    /// What really goes on under the current attempt's name.
    truth: AttemptReport,
    starts: u32,
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    /// The controller looks.
    Look,
    /// The controller is killed and forgets what runs.
    Restart,
    Progress,
    Succeed,
    Fail(Code),
    EditInputs(u8),
    BreakInputs,
    EditSpec,
    Suspend(bool),
    Cancel(bool),
    LoseOutput,
    Crowd(bool),
    Stack(bool),
    Wait(u16),
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    use Happening::*;
    let one = prop_oneof![
        12 => Just(Look),
        1 => Just(Restart),
        2 => Just(Progress),
        2 => Just(Succeed),
        2 => prop_oneof![Just(Code::ScriptError), Just(Code::BrowserFailed), Just(Code::BrowserNotFound)].prop_map(Fail),
        1 => (0..3_u8).prop_map(EditInputs),
        1 => Just(BreakInputs),
        1 => Just(EditSpec),
        1 => any::<bool>().prop_map(Suspend),
        1 => any::<bool>().prop_map(Cancel),
        1 => Just(LoseOutput),
        1 => any::<bool>().prop_map(Crowd),
        1 => any::<bool>().prop_map(Stack),
        2 => (1..500_u16).prop_map(Wait),
    ];
    proptest::collection::vec(one, 1..60)
}

fn progress() -> ProgressStatus {
    ProgressStatus {
        percent: 50,
        stage: crds::render::ProgressStage::Rendering,
        frames_rendered: 1,
        frames_total: 2,
        chunks_done: 0,
        chunks_total: 1,
    }
}

fn video() -> OutputStatus {
    OutputStatus { uri: "file:///o.mp4".into(), bytes: 1, sha256: "s".into(), frames: 1, width: 2, height: 2 }
}

fn inputs(version: u8) -> Inputs {
    Inputs { hash: format!("h{version}"), project: "/p".into(), output: "/o.mp4".into() }
}

impl World {
    fn new() -> Self {
        Self { seen: scene().0, truth: AttemptReport::Unknown, starts: 0 }
    }

    fn render(&mut self) -> &mut Render {
        Arc::make_mut(&mut self.seen.render)
    }

    fn edit(&mut self, edit: impl FnOnce(&mut Render)) {
        edit(self.render());
        let generation = self.render().metadata.generation.get_or_insert(1);
        *generation += 1;
    }

    fn happen(&mut self, happening: Happening) -> Result<(), TestCaseError> {
        let running = matches!(self.truth, AttemptReport::Running(_));
        match happening {
            Happening::Look => return self.look().map(drop),
            Happening::Restart => self.truth = AttemptReport::Unknown,
            Happening::Progress if running => self.truth = AttemptReport::Running(progress()),
            Happening::Succeed if running => {
                self.truth = AttemptReport::Succeeded(video());
                self.seen.output = OutputCheck::Intact;
            }
            Happening::Fail(code) if running => self.truth = AttemptReport::Failed(Failure::new(code, "m")),
            Happening::Progress | Happening::Succeed | Happening::Fail(_) => {}
            Happening::EditInputs(version) => self.seen.inputs = Ok(inputs(version)),
            Happening::BreakInputs => self.seen.inputs = Err(Failure::new(Code::ProjectNotFound, "m")),
            Happening::EditSpec => self.edit(|render| render.spec.priority += 1),
            Happening::Suspend(suspend) => self.edit(|render| render.spec.suspend = suspend),
            Happening::Cancel(true) => self.edit(|render| render.spec.desired_state = DesiredState::Cancelled),
            Happening::Cancel(false) => self.edit(|render| render.spec.desired_state = DesiredState::Running),
            Happening::LoseOutput => self.seen.output = OutputCheck::Lost("it is gone".into()),
            Happening::Crowd(crowded) => {
                self.seen.admission = if crowded { Admission::Waiting(2) } else { Admission::Admitted };
            }
            Happening::Stack(ready) => {
                if let StackView::Found(_, report) = &mut self.seen.stack {
                    *report = if ready {
                        StackReport::Ready { parallel_chunks: 1, renderer_digest: None }
                    } else {
                        StackReport::NotReady(Failure::new(Code::BrowserNotFound, "m"))
                    };
                }
            }
            Happening::Wait(seconds) => self.seen.now = at(self.seen.now.as_second() + i64::from(seconds)),
        }
        Ok(())
    }

    /// The controller's one step, with the backend's part played truthfully.
    fn look(&mut self) -> Result<Next, TestCaseError> {
        self.seen.attempt = self.truth.clone();
        let before = self.seen.status();
        let decision = decide(&self.seen);
        match decision.effect {
            Some(Effect::Start) => {
                prop_assert!(!matches!(self.truth, AttemptReport::Running(_)), "started what runs");
                prop_assert!(before.execution_name.is_some(), "started without a name in the books");
                self.truth = AttemptReport::Running(progress());
                self.starts += 1;
            }
            Some(Effect::Cancel) => self.truth = AttemptReport::Stopped,
            None => {}
        }
        let after = status(&self.seen, &decision);
        if after.execution_name != before.execution_name {
            prop_assert!(!matches!(self.truth, AttemptReport::Running(_)), "named another attempt while one runs");
            self.truth = AttemptReport::Unknown;
        }
        self.judge(&before, &after)?;
        self.render().status = Some(after);
        Ok(decision.next)
    }

    fn judge(&self, before: &RenderStatus, after: &RenderStatus) -> Result<(), TestCaseError> {
        let broken = oracle::broken(self.seen.generation(), after.observed_generation, &after.conditions);
        prop_assert!(broken.is_empty(), "{broken:?} in {after:#?}");
        prop_assert!(after.attempt >= before.attempt, "attempt numbers fall");
        prop_assert!(after.attempts.len() <= ATTEMPTS);
        let open = after.attempts.iter().rev().skip(1).filter(|attempt| attempt.stop_time.is_none()).count();
        prop_assert_eq!(open, 0, "an old attempt has no end");
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    /// Whatever happens, every status keeps GitOps tools' rules, no attempt is started twice, and numbers only grow.
    #[test]
    fn every_status_is_one_that_gitops_tools_understand(happenings in happenings()) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening)?;
        }
    }

    /// Left alone in a kind world, every Render ends with its video, and then nothing more is started or written.
    #[test]
    fn left_alone_everything_converges(happenings in happenings()) {
        let mut world = World::new();
        for happening in happenings {
            world.happen(happening)?;
        }
        for kind in [Happening::EditInputs(9), Happening::Suspend(false), Happening::Cancel(false), Happening::Crowd(false), Happening::Stack(true)] {
            world.happen(kind)?;
        }
        for _ in 0..8 {
            world.look()?;
            world.happen(Happening::Succeed)?;
        }
        let status = world.seen.status();
        prop_assert!(conditions::is_true(&status.conditions, READY), "{status:#?}");
        let starts = world.starts;
        prop_assert_eq!(world.look()?, Next::AwaitChange);
        prop_assert_eq!(world.starts, starts);
        prop_assert_eq!(world.seen.status(), status);
    }
}

#[test]
fn stack_conditions_keep_the_rules() {
    let mut stack = HyperframesStack::new("s", crds::HyperframesStackSpec::default());
    stack.metadata.generation = Some(3);
    let failure = Failure::new(Code::BrowserNotFound, "m");
    let ready = StackReport::Ready { parallel_chunks: 2, renderer_digest: Some("d".into()) };
    for report in [StackReport::Pending, ready, StackReport::NotReady(failure)] {
        let status = stack_status(&stack, &report, at(5));
        assert_eq!(oracle::broken(3, status.observed_generation, &status.conditions), [""; 0], "{report:?}");
    }
}

#[test]
fn transition_times_change_only_with_the_status() {
    let mut world = World::new();
    let mut ready_since = Vec::new();
    for happening in [
        Happening::Look,
        Happening::Wait(10),
        Happening::Look,
        Happening::Succeed,
        Happening::Wait(10),
        Happening::Look,
    ] {
        world.happen(happening).unwrap();
        let status = world.seen.status();
        ready_since.push(conditions::find(&status.conditions, READY).unwrap().last_transition_time.0.as_second());
    }
    assert_eq!(ready_since, [1000, 1000, 1000, 1000, 1000, 1020]);
}
