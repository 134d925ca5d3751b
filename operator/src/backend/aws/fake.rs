//! AWS in memory, with its rules: what names are refused, what is the same request again, what is only known by its id.
//! Sources: the API references of CloudFormation, Step Functions and S3.

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{Arc, Mutex},
};

use async_trait::async_trait;
use crds::{Code, Failure};
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Notify;

use super::{
    cloud::{
        Change, ChangeSetFacts, Cloud, Clouds, ExecutionState, Happened, HistoryEvent, Identity, NewObject,
        ObjectFacts, StackFacts, StartedExecution,
    },
    lock, terminal,
};
use crate::error::{Class, Error};

pub(super) const ACCOUNT: &str = "123456789012";
pub(super) const REGION: &str = "eu-central-1";

/// AWS. Clones are the same.
#[derive(Clone, Default)]
pub(super) struct Fake(Arc<Shared>);

#[derive(Default)]
struct Shared {
    truth: Mutex<Truth>,
    died: Notify,
}

/// What is there, for tests to look at and to change.
#[derive(Default)]
pub(super) struct Truth {
    /// By name; what is deleted is kept by id.
    pub(super) stacks: BTreeMap<String, Stack>,
    pub(super) change_sets: BTreeMap<(String, String), ChangeSetFacts>,
    changes: BTreeMap<(String, String), Change>,
    pub(super) objects: BTreeMap<(String, String), (ObjectFacts, Vec<u8>)>,
    pub(super) buckets: Vec<String>,
    pub(super) executions: BTreeMap<String, Execution>,
    /// Every call, in order.
    pub(super) calls: Vec<&'static str>,
    /// The process ends with this call, whose effect there is.
    pub(super) dies_with: Option<usize>,
    /// The process ends with the next call of this name.
    pub(super) dies_at: Option<&'static str>,
    /// The next call of this name fails so.
    pub(super) fails: BTreeMap<&'static str, (Code, Class)>,
    /// Every call of this name fails so.
    pub(super) always_fails: Option<(&'static str, Code, Class)>,
    /// The next operation on a stack fails with this reason.
    pub(super) stack_fails: Option<String>,
    /// Resources that somebody else has changed.
    pub(super) drifted: i32,
    stacks_made: u32,
}

#[derive(Clone, Default)]
pub(super) struct Stack {
    pub(super) facts: StackFacts,
    /// What it becomes when it is looked at next.
    next: Option<&'static str>,
}

pub(super) struct Execution {
    pub(super) input: Value,
    pub(super) state: ExecutionState,
    pub(super) events: Vec<Happened>,
    /// Events that are still to happen, one for each look.
    pub(super) script: Vec<Happened>,
}

impl Fake {
    pub(super) fn truth(&self) -> std::sync::MutexGuard<'_, Truth> {
        lock(&self.0.truth)
    }

    /// Until the process has ended as [`Truth::dies_with`] says.
    pub(super) async fn died(&self) {
        self.0.died.notified().await;
    }

    /// One call: its effect, then perhaps the end of the process.
    async fn call<T>(
        &self,
        name: &'static str,
        effect: impl FnOnce(&mut Truth) -> Result<T, Error> + Send,
    ) -> Result<T, Error>
    where
        T: Send,
    {
        let (result, dies) = {
            let mut truth = self.truth();
            truth.calls.push(name);
            let dies = truth.dies_with == Some(truth.calls.len()) || truth.dies_at == Some(name);
            let always = truth.always_fails.filter(|(call, ..)| *call == name).map(|(_, code, class)| (code, class));
            let result = match truth.fails.remove(name).or(always) {
                Some((code, class)) => Err(Error::Backend { failure: Failure::new(code, "m"), class }),
                None => effect(&mut truth),
            };
            (result, dies)
        };
        if dies {
            self.0.died.notify_one();
            std::future::pending::<()>().await;
        }
        result
    }
}

impl Truth {
    pub(super) fn count(&self, call: &str) -> usize {
        self.calls.iter().filter(|name| **name == call).count()
    }

    fn stack(&mut self, name_or_id: &str) -> Option<&mut Stack> {
        let by_id = name_or_id.starts_with("arn:");
        let deleted = |stack: &Stack| stack.facts.status == "DELETE_COMPLETE";
        self.stacks.values_mut().find(|stack| {
            if by_id { stack.facts.id == name_or_id } else { name_of(&stack.facts.id) == name_or_id && !deleted(stack) }
        })
    }

    /// Lets time pass for a stack.
    fn advance(stack: &mut Stack) {
        if let Some(next) = stack.next.take() {
            next.clone_into(&mut stack.facts.status);
        }
    }

    fn outputs(name: &str) -> BTreeMap<String, String> {
        let arn = |service: &str, kind: &str| format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{kind}:{name}-render");
        BTreeMap::from([
            ("RenderBucketName".to_owned(), format!("{name}-bucket")),
            ("RenderFunctionArn".to_owned(), arn("lambda", "function")),
            ("RenderStateMachineArn".to_owned(), arn("states", "stateMachine")),
        ])
    }
}

fn name_of(id: &str) -> &str {
    id.split('/').nth(1).unwrap_or_default()
}

/// What the executions of a video of two chunks look like.
pub(super) fn two_chunks(bucket: &str, output: &str) -> Vec<Happened> {
    let payload = |answer: Value| json!({ "Payload": answer, "StatusCode": 200 }).to_string();
    let asked = |action: &str| Happened::InvocationScheduled(json!({ "Payload": { "Action": action } }).to_string());
    let plan = json!({
        "Action": "plan", "PlanProtocol": "v2", "PlanV2ManifestS3Uri": "s3://b/m", "PlanV2ArtifactS3Prefix": "s3://b/a",
        "PlanHash": "00", "ChunkCount": 2, "TotalFrames": 120, "Fps": 30, "Width": 640, "Height": 360, "Format": "mp4",
        "HasAudio": false, "AudioS3Uri": null, "FfmpegVersion": "f", "ProducerVersion": "p", "DurationMs": 2000,
    });
    let chunk = |index: u32| {
        json!({
            "Action": "renderChunk", "ChunkS3Uri": format!("s3://{bucket}/c{index}"), "ChunkIndex": index,
            "Sha256": "00", "FramesEncoded": 60, "DurationMs": 3000,
        })
    };
    let assembled = json!({
        "Action": "assemble", "OutputS3Uri": output, "FramesEncoded": 120, "FileSize": 5, "DurationMs": 1000,
    });
    let result = json!({
        "Plan": { "Width": 640, "Height": 360 },
        "Output": {
            "OutputS3Uri": output, "FramesEncoded": 120, "FileSize": 5,
            "Sha256": hex::encode(<sha2::Sha256 as sha2::Digest>::digest("video")),
        },
    });
    vec![
        Happened::StateEntered,
        asked("plan"),
        Happened::InvocationStarted,
        Happened::InvocationSucceeded(payload(plan)),
        Happened::StateEntered,
        asked("renderChunk"),
        Happened::InvocationStarted,
        Happened::InvocationSucceeded(payload(chunk(0))),
        asked("renderChunk"),
        Happened::InvocationStarted,
        Happened::InvocationSucceeded(payload(chunk(1))),
        Happened::StateEntered,
        asked("assemble"),
        Happened::InvocationStarted,
        Happened::InvocationSucceeded(payload(assembled)),
        Happened::ExecutionSucceeded(result.to_string()),
    ]
}

#[async_trait]
impl Clouds for Fake {
    async fn cloud(&self, identity: Identity) -> Result<Arc<dyn Cloud>, Error> {
        assert_eq!(identity.region, REGION);
        Ok(Arc::new(self.clone()))
    }
}

#[async_trait]
impl Cloud for Fake {
    async fn account(&self) -> Result<String, Error> {
        Ok(ACCOUNT.to_owned())
    }

    async fn stack(&self, name_or_id: &str) -> Result<Option<StackFacts>, Error> {
        self.call("DescribeStacks", |truth| {
            let Some(stack) = truth.stack(name_or_id) else { return Ok(None) };
            let seen = stack.facts.clone();
            Truth::advance(stack);
            Ok(Some(seen).filter(|seen| seen.status != "DELETE_COMPLETE" || name_or_id.starts_with("arn:")))
        })
        .await
    }

    async fn first_failure(&self, stack: &str) -> Result<Option<String>, Error> {
        self.call("DescribeStackEvents", |truth| Ok(truth.stack(stack).and_then(|stack| stack.facts.reason.clone())))
            .await
    }

    async fn create_change_set(&self, change: &Change) -> Result<(), Error> {
        self.call("CreateChangeSet", |truth| {
            let key = (change.stack.clone(), change.name.clone());
            if truth.change_sets.contains_key(&key) {
                return Ok(());
            }
            let there = truth.stack(&change.stack).map(|stack| stack.facts.status.clone());
            match (&there, change.creates) {
                (None, true) => {
                    truth.stacks_made += 1;
                    let id = format!(
                        "arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{}/{}",
                        change.stack, truth.stacks_made
                    );
                    let facts =
                        StackFacts { id: id.clone(), status: "REVIEW_IN_PROGRESS".into(), ..StackFacts::default() };
                    truth.stacks.insert(id, Stack { facts, next: None });
                }
                (Some(status), true) if status == "REVIEW_IN_PROGRESS" => {}
                (Some(status), false) if status.ends_with("_COMPLETE") && status != "ROLLBACK_COMPLETE" => {}
                _ => {
                    return Err(terminal(
                        Code::AwsRefused,
                        format!("a change set of this kind cannot be made now: {there:?}"),
                    ));
                }
            }
            let facts = ChangeSetFacts { status: "CREATE_IN_PROGRESS".into(), modify: 1, ..ChangeSetFacts::default() };
            truth.change_sets.insert(key.clone(), facts);
            truth.changes.insert(key, change.clone());
            Ok(())
        })
        .await
    }

    async fn change_set(&self, stack: &str, name: &str) -> Result<Option<ChangeSetFacts>, Error> {
        self.call("DescribeChangeSet", |truth| {
            let Some(facts) = truth.change_sets.get_mut(&(stack.to_owned(), name.to_owned())) else { return Ok(None) };
            let seen = facts.clone();
            if facts.status == "CREATE_IN_PROGRESS" {
                facts.status = "CREATE_COMPLETE".into();
            }
            Ok(Some(seen))
        })
        .await
    }

    async fn execute_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        self.call("ExecuteChangeSet", |truth| {
            let key = (stack.to_owned(), name.to_owned());
            let (Some(change), Some(_)) = (truth.changes.remove(&key), truth.change_sets.remove(&key)) else {
                return Ok(());
            };
            let fails = truth.stack_fails.take();
            if change.reverts_drift {
                truth.drifted = 0;
            }
            let found = truth.stack(stack).expect("it has a change set");
            let facts = &mut found.facts;
            facts.change_set = Some(name.to_owned());
            facts.reason.clone_from(&fails);
            let (now, next) = match (change.creates, fails.is_some()) {
                (true, false) => ("CREATE_IN_PROGRESS", "CREATE_COMPLETE"),
                (true, true) => ("CREATE_IN_PROGRESS", "ROLLBACK_COMPLETE"),
                (false, false) => ("UPDATE_IN_PROGRESS", "UPDATE_COMPLETE"),
                (false, true) => ("UPDATE_IN_PROGRESS", "UPDATE_ROLLBACK_COMPLETE"),
            };
            facts.status = now.into();
            facts.tags = change.tags;
            if fails.is_none() {
                facts.parameters = change.parameters;
                facts.outputs = Truth::outputs(stack);
                let line = change.template.lines().find_map(|line| line.strip_prefix("Description: "));
                facts.description = line.unwrap_or_default().trim_matches('"').to_owned();
            }
            found.next = Some(next);
            Ok(())
        })
        .await
    }

    async fn delete_change_set(&self, stack: &str, name: &str) -> Result<(), Error> {
        self.call("DeleteChangeSet", |truth| {
            truth.change_sets.remove(&(stack.to_owned(), name.to_owned()));
            Ok(())
        })
        .await
    }

    async fn delete_stack(&self, stack: &str, _: &str) -> Result<(), Error> {
        self.call("DeleteStack", |truth| {
            let fails = truth.stack_fails.take();
            if let Some(stack) = truth.stack(stack).filter(|stack| stack.facts.status != "DELETE_COMPLETE") {
                stack.facts.status = "DELETE_IN_PROGRESS".into();
                stack.facts.reason.clone_from(&fails);
                stack.next = Some(if fails.is_some() { "DELETE_FAILED" } else { "DELETE_COMPLETE" });
            }
            Ok(())
        })
        .await
    }

    async fn continue_rollback(&self, stack: &str) -> Result<(), Error> {
        self.call("ContinueUpdateRollback", |truth| {
            let stack = truth.stack(stack).expect("it was found");
            stack.facts.status = "UPDATE_ROLLBACK_IN_PROGRESS".into();
            stack.next = Some("UPDATE_ROLLBACK_COMPLETE");
            Ok(())
        })
        .await
    }

    async fn detect_drift(&self, _: &str) -> Result<String, Error> {
        self.call("DetectStackDrift", |_| Ok("search".to_owned())).await
    }

    async fn drift(&self, _: &str) -> Result<Option<i32>, Error> {
        self.call("DescribeStackDriftDetectionStatus", |truth| Ok(Some(truth.drifted))).await
    }

    async fn ensure_bucket(&self, bucket: &str) -> Result<(), Error> {
        self.call("CreateBucket", |truth| {
            if !truth.buckets.iter().any(|known| known == bucket) {
                truth.buckets.push(bucket.to_owned());
            }
            Ok(())
        })
        .await
    }

    async fn object(&self, bucket: &str, key: &str) -> Result<Option<ObjectFacts>, Error> {
        let place = (bucket.to_owned(), key.to_owned());
        self.call("HeadObject", |truth| Ok(truth.objects.get(&place).map(|(facts, _)| facts.clone()))).await
    }

    async fn put_file(&self, object: &NewObject<'_>, file: &Path) -> Result<(), Error> {
        let content = fs_err::read(file)?;
        let place = (object.bucket.to_owned(), object.key.to_owned());
        let metadata = object.metadata.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let facts = ObjectFacts { bytes: content.len() as u64, metadata };
        self.call("PutObject", |truth| {
            truth.objects.insert(place, (facts, content));
            Ok(())
        })
        .await
    }

    async fn get_file(&self, bucket: &str, key: &str, file: &Path) -> Result<(), Error> {
        let place = (bucket.to_owned(), key.to_owned());
        let content = self.call("GetObject", |truth| Ok(truth.objects.get(&place).map(|(_, content)| content.clone())));
        let content = content.await?.ok_or_else(|| terminal(Code::AwsNotFound, "there is no such object"))?;
        fs_err::create_dir_all(file.parent().unwrap())?;
        Ok(fs_err::write(file, content)?)
    }

    async fn start_execution(&self, machine: &str, name: &str, input: &str) -> Result<StartedExecution, Error> {
        assert!(name.len() <= 80, "{name}");
        let arn = format!("{}:{name}", machine.replace(":stateMachine:", ":execution:"));
        let input: Value = serde_json::from_str(input).unwrap();
        self.call("StartExecution", |truth| {
            let there = truth.stacks.values().any(|stack| {
                stack.facts.status != "DELETE_COMPLETE" && stack.facts.outputs.values().any(|output| output == machine)
            });
            if !there {
                return Err(terminal(Code::AwsNotFound, "StateMachineDoesNotExist"));
            }
            // The same name and input while it runs is the same execution; any other use of a name is refused.
            if let Some(known) = truth.executions.get(&arn) {
                let same = known.state == ExecutionState::Running && known.input == input;
                return Ok(if same { StartedExecution::Running(arn) } else { StartedExecution::NameTaken });
            }
            let output = input["OutputS3Uri"].as_str().unwrap().to_owned();
            let bucket = output.split('/').nth(2).unwrap().to_owned();
            let script = two_chunks(&bucket, &output);
            let state = ExecutionState::Running;
            truth.executions.insert(arn.clone(), Execution { input, state, events: Vec::new(), script });
            Ok(StartedExecution::Running(arn))
        })
        .await
    }

    async fn execution(&self, arn: &str) -> Result<Option<ExecutionState>, Error> {
        self.call("DescribeExecution", |truth| Ok(truth.executions.get(arn).map(|known| known.state))).await
    }

    async fn history(&self, arn: &str, after: i64) -> Result<Option<Vec<HistoryEvent>>, Error> {
        self.call("GetExecutionHistory", |truth| {
            let Some(known) = truth.executions.get_mut(arn) else { return Ok(None) };
            let count = if known.state == ExecutionState::Running { known.script.len().min(8) } else { 0 };
            let new: Vec<_> = known.script.drain(..count).collect();
            known.events.extend(new);
            if let Some(Happened::ExecutionSucceeded(output)) = known.events.last() {
                known.state = ExecutionState::Succeeded;
                let output: Value = serde_json::from_str(output).unwrap();
                let uri = output["Output"]["OutputS3Uri"].as_str().unwrap();
                let (bucket, key) = uri.strip_prefix("s3://").unwrap().split_once('/').unwrap();
                let facts = ObjectFacts { bytes: 5, ..ObjectFacts::default() };
                truth.objects.insert((bucket.to_owned(), key.to_owned()), (facts, b"video".to_vec()));
            }
            let known = &truth.executions[arn];
            let events = (1_i64..).zip(&known.events).map(|(id, what)| HistoryEvent {
                id,
                previous: id - 1,
                time: Timestamp::from_second(id).unwrap(),
                what: what.clone(),
            });
            Ok(Some(events.filter(|event| event.id > after).collect()))
        })
        .await
    }

    async fn stop_execution(&self, arn: &str, _: &str) -> Result<(), Error> {
        self.call("StopExecution", |truth| {
            if let Some(known) = truth.executions.get_mut(arn).filter(|known| known.state == ExecutionState::Running) {
                known.state = ExecutionState::Aborted;
                known.events.push(Happened::ExecutionAborted);
            }
            Ok(())
        })
        .await
    }

    async fn redrive_execution(&self, arn: &str) -> Result<(), Error> {
        self.call("RedriveExecution", |truth| {
            let known = truth.executions.get_mut(arn).expect("it was found");
            assert_ne!(known.state, ExecutionState::Running);
            known.state = ExecutionState::Running;
            known.events.push(Happened::ExecutionRedriven);
            Ok(())
        })
        .await
    }
}
