//! The runs of `hf-producer` that an attempt is made of, as command lines.

use std::{ffi::OsString, path::PathBuf};

use crds::{FrameRate, Quality};

/// One run of the producer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Plan {
        project: PathBuf,
        out: PathBuf,
        fps: Option<FrameRate>,
        quality: Quality,
        variables: Option<PathBuf>,
        chunk_size: Option<i32>,
    },
    Chunk {
        plan: PathBuf,
        index: u32,
        out: PathBuf,
    },
    Assemble {
        plan: PathBuf,
        chunks: Vec<PathBuf>,
        out: PathBuf,
    },
}

impl Step {
    /// The name of the verb.
    pub(super) const fn verb(&self) -> &'static str {
        match self {
            Self::Plan { .. } => "plan",
            Self::Chunk { .. } => "chunk",
            Self::Assemble { .. } => "assemble",
        }
    }

    /// The command line, without the program.
    pub(super) fn arguments(&self) -> Vec<OsString> {
        let mut arguments: Vec<OsString> = vec![self.verb().into(), "--json".into()];
        let mut option = |name: &str, value: OsString| arguments.extend([OsString::from(name), value]);
        match self {
            Self::Plan { project, out, fps, quality, variables, chunk_size } => {
                option("--out", out.into());
                option("--quality", quality.as_str().into());
                if let Some(fps) = fps {
                    option("--fps", fps.to_string().into());
                }
                if let Some(variables) = variables {
                    option("--variables", variables.into());
                }
                if let Some(size) = chunk_size {
                    option("--chunk-size", size.to_string().into());
                }
                arguments.extend(["--".into(), project.into()]);
            }
            Self::Chunk { plan, index, out } => {
                option("--out", out.into());
                arguments.extend(["--".into(), plan.into(), index.to_string().into()]);
            }
            Self::Assemble { plan, chunks, out } => {
                option("--out", out.into());
                arguments.extend(["--".into(), plan.into()]);
                arguments.extend(chunks.iter().map(OsString::from));
            }
        }
        arguments
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_lines_are_those_of_the_producer() {
        let check = |step: Step, expected: &str| {
            let words: Vec<_> = step.arguments().into_iter().map(|word| word.into_string().unwrap()).collect();
            assert_eq!(words.join(" "), expected);
        };
        check(
            Step::Plan {
                project: "-odd name".into(),
                out: "w/plan".into(),
                fps: "30000/1001".parse().ok(),
                quality: Quality::Draft,
                variables: Some("v.json".into()),
                chunk_size: Some(60),
            },
            "plan --json --out w/plan --quality draft --fps 30000/1001 --variables v.json --chunk-size 60 -- -odd name",
        );
        let (plan, out) = (PathBuf::from("w/plan"), PathBuf::from("o.mp4"));
        check(Step::Chunk { plan: plan.clone(), index: 7, out: out.clone() }, "chunk --json --out o.mp4 -- w/plan 7");
        let chunks = vec!["c0".into(), "c1".into()];
        check(Step::Assemble { plan, chunks, out }, "assemble --json --out o.mp4 -- w/plan c0 c1");
    }
}
