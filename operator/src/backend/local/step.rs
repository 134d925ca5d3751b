//! The runs of `hf-producer` that an attempt is made of, as command lines.

use std::{ffi::OsString, path::PathBuf};

/// One run of the producer.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Plan { project: PathBuf, out: PathBuf, config: PathBuf },
    Chunk { plan: PathBuf, index: u32, out: PathBuf },
    Assemble { plan: PathBuf, chunks: PathBuf, out: PathBuf },
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
            Self::Plan { project, out, config } => {
                option("--out", out.into());
                option("--config", config.into());
                arguments.extend(["--".into(), project.into()]);
            }
            Self::Chunk { plan, index, out } => {
                option("--out", out.into());
                arguments.extend(["--".into(), plan.into(), index.to_string().into()]);
            }
            Self::Assemble { plan, chunks, out } => {
                option("--out", out.into());
                arguments.extend(["--".into(), plan.into(), chunks.into()]);
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
            Step::Plan { project: "-odd name".into(), out: "w/plan".into(), config: "w/c.json".into() },
            "plan --json --out w/plan --config w/c.json -- -odd name",
        );
        let (plan, out) = (PathBuf::from("w/plan"), PathBuf::from("o.mp4"));
        check(Step::Chunk { plan: plan.clone(), index: 7, out: out.clone() }, "chunk --json --out o.mp4 -- w/plan 7");
        let chunks = PathBuf::from("w/chunks");
        check(Step::Assemble { plan, chunks, out }, "assemble --json --out o.mp4 -- w/plan w/chunks");
    }
}
