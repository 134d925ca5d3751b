//! Executions: started once for each attempt, followed by their history, and their videos brought here where that is asked for.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crds::{
    Code, Failure,
    render::{OutputStatus, ProgressStage, ProgressStatus},
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::{
    AwsBackend,
    cloud::{Cloud, ExecutionState, NewObject, StartedExecution},
    history::{End, Tally, Video},
    lock, place, site, terminal, waiting,
};
use crate::{
    error::{Class, Error},
    files::blocking,
    ports::{
        AttemptRef, AttemptReport, AttemptSpec, AwsPlace, Inputs, ObjectKey, OutputCheck, StackReport, StackSpec,
        Started,
    },
};

/// Chunks of a render where nothing says how many (upstream's default).
const CHUNKS: u32 = 16;
/// Step Functions takes 262,144 bytes of input, and carries it along with all results. Variables beyond this go to S3.
const LARGEST_VARIABLES: usize = 64 << 10;

/// An execution as far as this process knows it.
#[derive(Default)]
pub(super) struct Execution {
    /// The Render it is for, where this process has started it.
    owner: Option<ObjectKey>,
    tally: Tally,
    began: Option<Instant>,
    asked: Option<Instant>,
    brought: Brought,
}

/// What has become of a video that is to be brought here.
#[derive(Default)]
enum Brought {
    #[default]
    No,
    Underway,
    Yes,
    Failed(Error),
}

impl Execution {
    pub(super) fn running(&self) -> Option<(ObjectKey, ProgressStatus)> {
        let owner = self.owner.clone().filter(|_| self.tally.end().is_none())?;
        Some((owner, self.tally.progress()))
    }

    /// How long to leave it alone: short renders are followed closely, long ones cost little.
    fn pause(&self) -> Duration {
        match self.began.map_or(Duration::MAX, |began| began.elapsed()) {
            age if age < Duration::from_secs(6) => Duration::from_secs(2),
            age if age < Duration::from_mins(1) => Duration::from_secs(10),
            _ => Duration::from_secs(30),
        }
    }
}

/// The outputs of a stack that can render, and the version of its function.
struct Deployed {
    bucket: String,
    machine: String,
    code: String,
}

impl AwsBackend {
    async fn deployed(&self, stack: &StackSpec) -> Result<Deployed, Error> {
        let known = self.known(stack).await?;
        let ready = matches!(known.report, StackReport::Ready(_));
        let outputs = known.details.bucket_name.zip(known.details.state_machine_arn).filter(|_| ready);
        match outputs {
            Some((bucket, machine)) => Ok(Deployed { bucket, machine, code: known.code.unwrap_or_default() }),
            None => Err(waiting(Failure::new(Code::AwsNotFound, "the CloudFormation stack is not ready"))),
        }
    }

    pub(super) async fn start_execution(&self, spec: AttemptSpec) -> Result<Started, Error> {
        let stack = &spec.attempt.stack;
        let place = place(stack)?;
        let started = self.start_in(place, &spec).await;
        if let Err(Error::Backend { failure, class: Class::Terminal }) = &started
            && failure.code == Code::AwsNotFound
        {
            // Somebody has taken the stack away: it is made anew, and then this goes on.
            self.forget(stack);
            self.0.changes.send(stack.key.clone());
            return Err(waiting(failure.clone()));
        }
        let handle = started?;
        let mut executions = lock(&self.0.executions);
        // Of an owner's earlier attempts nothing is asked any more.
        executions.retain(|name, other| *name == spec.attempt.name || other.owner.as_ref() != Some(&spec.owner));
        let execution = executions.entry(spec.attempt.name).or_default();
        execution.owner = Some(spec.owner.clone());
        execution.began.get_or_insert_with(Instant::now);
        drop(executions);
        self.0.changes.send(spec.owner);
        Ok(Started { handle: Some(handle) })
    }

    async fn start_in(&self, place: &AwsPlace, spec: &AttemptSpec) -> Result<String, Error> {
        let format = spec.inputs.config.format;
        // The function makes a png-sequence too, as an archive, which nobody here unpacks.
        let Some(extension) = format.extension().filter(|_| format.distributed()) else {
            let message = format!(
                "spec.output.format: {} cannot be had from AWS: choose another, or a local stack",
                format.as_str()
            );
            let failure = Failure::new(Code::FormatNotDistributed, message);
            return Err(Error::Backend { failure, class: Class::Terminal });
        };
        let Deployed { bucket, machine, code } = self.deployed(&spec.attempt.stack).await?;
        let cloud = self.cloud(place).await?;
        let name = &spec.attempt.name;
        let project = site::ensure(&*cloud, &bucket, &spec.inputs.source).await?;
        let mut config = spec.inputs.config.clone();
        let parallel = u32::try_from(super::wanted::parallel_chunks(place)).unwrap_or(1);
        if config.chunk_size.is_none() {
            config.max_parallel_chunks.get_or_insert(CHUNKS.min(parallel));
        }
        let mut config = json!(config);
        config["runtimeCap"] = json!("lambda");
        let prefix = format!("renders/{}", work(&spec.inputs, &config, &code, self.period(place)));
        move_variables(&*cloud, &bucket, &prefix, &mut config).await?;
        let input = json!({
            "ProjectS3Uri": project,
            "PlanOutputS3Prefix": format!("s3://{bucket}/{prefix}/"),
            "OutputS3Uri": format!("s3://{bucket}/outputs/{name}/{}.{extension}", spec.owner.name),
            "PlanProtocol": "v2",
            "Config": config,
        });
        match cloud.start_execution(&machine, name, &input.to_string()).await? {
            StartedExecution::Running(arn) => Ok(arn),
            StartedExecution::NameTaken => {
                let arn = execution_arn(&machine, name);
                if cloud.execution(&arn).await? == Some(ExecutionState::Aborted) {
                    cloud.redrive_execution(&arn).await?;
                    lock(&self.0.executions).remove(name);
                }
                Ok(arn)
            }
        }
    }

    /// What is found again must not be about to expire: a plan of which a part is gone already cannot be rendered. Counts days, in
    /// steps of less than half of what the bucket keeps them for.
    fn period(&self, place: &AwsPlace) -> i64 {
        const DAY: i64 = 24 * 60 * 60;
        let kept = i64::from(place.spec.bucket.intermediates_expiration_days);
        (self.0.now)().as_second() / DAY / ((kept - 1) / 2).max(1)
    }

    async fn arn(&self, attempt: &AttemptRef) -> Result<String, Error> {
        match &attempt.handle {
            Some(arn) => Ok(arn.clone()),
            None => Ok(execution_arn(&self.deployed(&attempt.stack).await?.machine, &attempt.name)),
        }
    }

    pub(super) async fn observe_execution(&self, attempt: &AttemptRef) -> Result<AttemptReport, Error> {
        let place = place(&attempt.stack)?;
        let (last, ask) = {
            let mut executions = lock(&self.0.executions);
            let execution = executions.entry(attempt.name.clone()).or_default();
            execution.began.get_or_insert_with(Instant::now);
            let recently = execution.asked.is_some_and(|asked| asked.elapsed() < execution.pause() / 2);
            (execution.tally.last(), execution.tally.end().is_none() && !recently)
        };
        if ask {
            let cloud = self.cloud(place).await?;
            let arn = self.arn(attempt).await?;
            let Some(events) = cloud.history(&arn, last).await? else {
                lock(&self.0.executions).remove(&attempt.name);
                return Ok(AttemptReport::Unknown);
            };
            let mut executions = lock(&self.0.executions);
            let execution = executions.entry(attempt.name.clone()).or_default();
            execution.tally.take_in(events);
            execution.asked = Some(Instant::now());
        }
        self.report(attempt, place)
    }

    fn report(&self, attempt: &AttemptRef, place: &AwsPlace) -> Result<AttemptReport, Error> {
        let mut executions = lock(&self.0.executions);
        let Some(execution) = executions.get_mut(&attempt.name) else { return Ok(AttemptReport::NotYetKnown) };
        let cost = Some(execution.tally.cost(place.spec.lambda.memory_mb));
        let warnings = execution.tally.warnings().to_vec();
        let progress = execution.tally.progress();
        Ok(match execution.tally.end().cloned() {
            None => AttemptReport::Running { progress, cost, ask_again: Some(execution.pause()) },
            Some(End::Stopped) => AttemptReport::Stopped { cost },
            Some(End::Failed(failure)) => AttemptReport::Failed { failure, warnings, cost },
            Some(End::Succeeded(video)) => {
                let output = output(&video);
                match (&attempt.bring_to, std::mem::take(&mut execution.brought)) {
                    (None, _) => AttemptReport::Succeeded { output, warnings, cost },
                    (_, Brought::Yes) => {
                        execution.brought = Brought::Yes;
                        AttemptReport::Succeeded { output, warnings, cost }
                    }
                    (_, Brought::Failed(error)) if error.class() == Class::Terminal => {
                        AttemptReport::Failed { failure: not_brought(&video, &error), warnings, cost }
                    }
                    // The next look tries again.
                    (_, Brought::Failed(error)) => return Err(error),
                    (Some(file), before) => {
                        execution.brought = Brought::Underway;
                        if matches!(before, Brought::No) {
                            let backend = self.clone();
                            let bringing = backend.bring(attempt.clone(), place.clone(), video, file.clone());
                            tokio::spawn(bringing);
                        }
                        let progress = ProgressStatus { percent: 99, stage: ProgressStage::Assembling, ..progress };
                        AttemptReport::Running { progress, cost, ask_again: Some(BRINGING) }
                    }
                }
            }
        })
    }

    /// Brings a video here.
    async fn bring(self, attempt: AttemptRef, place: AwsPlace, video: Video, file: PathBuf) {
        let brought = match self.fetch(&place, &video, &file).await {
            Ok(()) => Brought::Yes,
            Err(error) => Brought::Failed(error),
        };
        let mut executions = lock(&self.0.executions);
        let Some(execution) = executions.get_mut(&attempt.name) else { return };
        execution.brought = brought;
        if let Some(owner) = execution.owner.clone() {
            self.0.changes.send(owner);
        }
    }

    async fn fetch(&self, place: &AwsPlace, video: &Video, file: &Path) -> Result<(), Error> {
        if self.is_copy(file, video.bytes, &video.sha256).await? {
            return Ok(());
        }
        let (bucket, key) = s3_place(&video.uri)
            .ok_or_else(|| terminal(Code::ExecutionFailed, format!("{:?} is no address in S3", video.uri)))?;
        self.cloud(place).await?.get_file(bucket, key, file).await?;
        if self.is_copy(file, video.bytes, &video.sha256).await? {
            return Ok(());
        }
        let message = format!("what was read from {} is not the video that was made", video.uri);
        Err(Error::Backend { failure: Failure::new(Code::ArtifactDigestMismatch, message), class: Class::Transient })
    }

    async fn is_copy(&self, file: &Path, bytes: u64, sha256: &str) -> Result<bool, Error> {
        let (shared, file, sha256) = (Arc::clone(&self.0), file.to_owned(), sha256.to_owned());
        blocking(move || Ok(shared.copies.is_copy(&file, bytes, &sha256)?)).await
    }

    pub(super) async fn stop_execution(&self, attempt: &AttemptRef) -> Result<(), Error> {
        let ended = lock(&self.0.executions).get(&attempt.name).is_some_and(|known| known.tally.end().is_some());
        if ended {
            return Ok(());
        }
        let cloud = self.cloud(place(&attempt.stack)?).await?;
        cloud.stop_execution(&self.arn(attempt).await?, "not wanted any more").await?;
        // Its end is looked for at once.
        if let Some(execution) = lock(&self.0.executions).get_mut(&attempt.name) {
            execution.asked = None;
        }
        Ok(())
    }

    pub(super) async fn check_video(
        &self,
        stack: Option<&StackSpec>,
        recorded: &OutputStatus,
        wanted: &Inputs,
    ) -> Result<OutputCheck, Error> {
        let lost = |how: &str| Ok(OutputCheck::Lost(how.to_owned()));
        let Some((bucket, key)) = s3_place(&recorded.uri) else { return lost("its video is wanted elsewhere") };
        let bytes = u64::try_from(recorded.bytes).unwrap_or(0);
        if wanted.target_named && !self.is_copy(&wanted.target, bytes, &recorded.sha256).await? {
            return lost("its video is not where it was brought to");
        }
        let Some(stack) = stack else { return Ok(OutputCheck::Intact) };
        match self.cloud(place(stack)?).await?.object(bucket, key).await? {
            None => lost("its video is gone from the bucket"),
            Some(object) if object.bytes != bytes => lost("its video in the bucket is another"),
            Some(_) => Ok(OutputCheck::Intact),
        }
    }
}

/// How soon a video is looked for that is being brought here, should nobody tell that it has come.
const BRINGING: Duration = Duration::from_secs(2);

/// Nobody but a human can make room for it.
fn not_brought(video: &Video, error: &Error) -> Failure {
    let (code, reason) = match error {
        Error::Backend { failure, .. } => (failure.code, failure.message.clone()),
        error => (Code::NotWritable, error.to_string()),
    };
    Failure::new(code, format!("{} was made and cannot be brought here: {reason}", video.uri))
}

fn output(video: &Video) -> OutputStatus {
    let number = |number: u32| i32::try_from(number).unwrap_or(i32::MAX);
    OutputStatus {
        uri: video.uri.clone(),
        bytes: i64::try_from(video.bytes).unwrap_or(i64::MAX),
        sha256: video.sha256.clone(),
        frames: number(video.frames),
        width: number(video.width),
        height: number(video.height),
    }
}

/// Where an attempt's plan and chunks lie: the same for all attempts at the same, by the same version of the function and in the
/// same period, so that the next finds what the last has finished.
fn work(inputs: &Inputs, config: &Value, code: &str, period: i64) -> String {
    let all = json!({ "inputs": inputs.hash, "config": config, "code": code, "period": period });
    hex::encode(&Sha256::digest(all.to_string())[..16])
}

/// Large variables travel beside the configuration: what Step Functions carries is small.
async fn move_variables(cloud: &dyn Cloud, bucket: &str, prefix: &str, config: &mut Value) -> Result<(), Error> {
    let text = config["variables"].to_string();
    if text.len() <= LARGEST_VARIABLES {
        return Ok(());
    }
    let key = format!("{prefix}/variables.json");
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("variables.json");
    let path = file.clone();
    blocking(move || fs_err::write(path, text)).await?;
    let object = NewObject { bucket, key: &key, content_type: "application/json", metadata: &[] };
    cloud.put_file(&object, &file).await?;
    if let Some(fields) = config.as_object_mut() {
        fields.remove("variables");
        fields.insert("variablesS3Uri".to_owned(), json!(format!("s3://{bucket}/{key}")));
    }
    Ok(())
}

/// The ARN that an execution of this name has.
fn execution_arn(machine: &str, name: &str) -> String {
    format!("{}:{name}", machine.replacen(":stateMachine:", ":execution:", 1))
}

fn s3_place(uri: &str) -> Option<(&str, &str)> {
    uri.strip_prefix("s3://")?.split_once('/')
}
