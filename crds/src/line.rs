//! What `hf-producer --json` prints: one JSON object a line on standard output.

use serde::{Deserialize, Serialize};

use crate::code::Code;

/// One line of machine-readable output.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Line {
    /// `{"stage":"render","done":12,"total":150}`
    Progress(Progress),
    /// `{"error":{…}}`, `{"output":{…}}` and their like: the key names the kind.
    Report(Report),
}

/// How far the work is. `total` never changes within a stage; `done` never falls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// What is being done.
    pub stage: Stage,
    /// Units finished: steps of planning, encoded frames, assembled frames.
    pub done: u32,
    /// Units in all.
    pub total: u32,
}

/// A part of the work, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Stage {
    /// The project is read, compiled and probed.
    Plan,
    /// Frames are drawn and encoded.
    Render,
    /// Chunks are joined.
    Assemble,
}

/// A line that is not progress.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Report {
    /// The command failed: the last line. Of `lint`, something that would make rendering fail: one line for each.
    Error(Failure),
    /// Something is not as it should be, and the video is made all the same.
    Warning(Failure),
    /// A plan folder was written.
    Plan(PlanReport),
    /// A chunk was written.
    Chunk(Box<ChunkReport>),
    /// A video was written.
    Output(OutputReport),
}

/// A failure in one stable code and one human sentence that says what to do next.
///
/// A code that this version does not know is read as [`Code::Unrecognized`] with its name in front of the message: a line
/// of another version never gets lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "WrittenFailure")]
pub struct Failure {
    /// The stable code.
    pub code: Code,
    /// What happened and what to do.
    pub message: String,
    /// The file it is about, as the user knows it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The line in that file, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
}

/// A failure as it stands in a line or a status.
#[derive(Deserialize)]
struct WrittenFailure {
    code: String,
    message: String,
    path: Option<String>,
    line: Option<u32>,
}

impl From<WrittenFailure> for Failure {
    fn from(WrittenFailure { code, message, path, line }: WrittenFailure) -> Self {
        Self::read(&code, message, path, line)
    }
}

impl Failure {
    /// A failure as it was written by this version or another.
    #[must_use]
    pub fn read(code: &str, message: String, path: Option<String>, line: Option<u32>) -> Self {
        match Code::of(code) {
            Some(code) => Self { code, message, path, line },
            None => Self { code: Code::Unrecognized, message: format!("{code}: {message}"), path, line },
        }
    }

    /// A failure that no file is to blame for.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), path: None, line: None }
    }
}

impl std::fmt::Display for Failure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: ", self.code)?;
        match (&self.path, self.line) {
            (Some(path), Some(line)) => write!(f, "{path}:{line}: ")?,
            (Some(path), None) => write!(f, "{path}: ")?,
            (None, _) => {}
        }
        f.write_str(&self.message)
    }
}

/// What a plan came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanReport {
    /// 64 hexadecimal digits over everything the pixels depend on.
    pub plan_hash: String,
    /// Number of frames.
    pub total_frames: u32,
    /// The chunks, in order of index.
    pub chunks: Vec<ChunkRange>,
}

/// Which frames a chunk has: from `start_frame` up to but not including `end_frame`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkRange {
    /// Index in the plan, from 0.
    pub index: u32,
    /// First frame, from 0.
    pub start_frame: u32,
    /// The frame after its last.
    pub end_frame: u32,
}

impl ChunkRange {
    /// Number of frames.
    #[must_use]
    pub const fn frames(self) -> u32 {
        self.end_frame.saturating_sub(self.start_frame)
    }
}

/// What a chunk came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ChunkReport {
    /// Index in the plan, from 0.
    pub index: u32,
    /// Frames in the file.
    pub frames: u32,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// How the pixels were taken; all ways give the same pixels.
    pub frame_source: FrameSourceKind,
    /// Where the time went.
    pub timings: Timings,
}

/// How a frame's pixels leave the browser.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum FrameSourceKind {
    /// Read out of the display compositor's own bitmap, in the browser's memory.
    CompositorBitmap,
    /// The same bitmap, in memory that the browser shares.
    SharedBitmap,
    /// A PNG screenshot, decoded.
    Screenshot,
}

/// Where a chunk's time went. Milliseconds; the stages are CPU time of all frames together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Timings {
    /// Process start to first frame taken, wall time.
    pub first_frame_ms: f64,
    /// First frame taken to file written, wall time.
    pub frames_ms: f64,
    /// Browser processes while the page is moved to a frame's time.
    pub seek_cpu_ms: f64,
    /// Browser processes while a frame is drawn.
    pub draw_cpu_ms: f64,
    /// Our process copying pixels out of the browser.
    pub take_cpu_ms: f64,
    /// Our process converting RGB to YUV.
    pub convert_cpu_ms: f64,
    /// Frames that differed from the one before and so were taken.
    pub taken: u32,
    /// Highest resident memory of the browser's processes together and our own, bytes.
    pub peak_memory_bytes: u64,
}

/// What a video came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OutputReport {
    /// Where it is.
    pub path: String,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, hexadecimal.
    pub sha256: String,
    /// Frames in the video.
    pub frames: u32,
    /// Width in pixels, padded to even.
    pub width: u32,
    /// Height in pixels, padded to even.
    pub height: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_read_as_documented() {
        let check = |line: Line, text: &str| {
            assert_eq!(serde_json::to_string(&line).unwrap(), text);
            assert_eq!(serde_json::from_str::<Line>(text).unwrap(), line);
        };
        let progress = Progress { stage: Stage::Render, done: 12, total: 150 };
        check(Line::Progress(progress), r#"{"stage":"render","done":12,"total":150}"#);
        let mut failure = Failure::new(Code::ScriptError, "boom");
        failure.path = Some("index.html".into());
        failure.line = Some(7);
        assert_eq!(failure.to_string(), "SCRIPT_ERROR: index.html:7: boom");
        check(
            Line::Report(Report::Error(failure)),
            r#"{"error":{"code":"SCRIPT_ERROR","message":"boom","path":"index.html","line":7}}"#,
        );
        let newer = r#"{"error":{"code":"NOT_YET_INVENTED","message":"boom"}}"#;
        let failure = Failure::new(Code::Unrecognized, "NOT_YET_INVENTED: boom");
        assert_eq!(serde_json::from_str::<Line>(newer).unwrap(), Line::Report(Report::Error(failure)));
    }
}
