//! What is wrong with a composition and a browser would pass over, and what that means for the render.

use crds::{Failure, Strictness};

use crate::Error;

/// Defects found at one look at a composition.
#[derive(Debug, Default)]
pub(crate) struct Defects {
    /// These make the picture another than was asked for.
    pub(crate) visible: Vec<Failure>,
    /// These deserve a word.
    pub(crate) minor: Vec<Failure>,
}

/// So many are told of in one error.
const NAMED: usize = 20;

impl Defects {
    /// The defects that are only warned of; an error if there is another. Without a strictness what is visible is an error.
    pub(crate) fn judge(self, strictness: Option<Strictness>) -> Result<Vec<Failure>, Error> {
        let Self { visible, minor } = self;
        let (errors, warnings) = match strictness {
            Some(Strictness::BestEffort) => (Vec::new(), [visible, minor].concat()),
            None => (visible, minor),
            Some(Strictness::Strict) => ([visible, minor].concat(), Vec::new()),
        };
        refuse(errors).map(|()| warnings)
    }
}

/// The first problem as an error that names the others, if there is one.
pub(crate) fn refuse(problems: Vec<Failure>) -> Result<(), Error> {
    let more = problems.len().saturating_sub(NAMED);
    let mut problems = problems.into_iter().take(NAMED);
    let Some(Failure { code, mut message, path, line }) = problems.next() else { return Ok(()) };
    for Failure { message: other, path, line, .. } in problems {
        let place = path.map_or_else(String::new, |path| match line {
            Some(line) => format!("{path}:{line}: "),
            None => format!("{path}: "),
        });
        message += &format!("\n{place}{other}");
    }
    if more > 0 {
        message += &format!("\nand {more} more");
    }
    Err(Error::Composition { code, message, path, line })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crds::Code;

    #[test]
    fn strictness_decides_what_is_an_error() {
        let found = |visible: usize, minor: usize| {
            let failures = |count| vec![Failure::new(Code::CompositionInvalid, "x"); count];
            Defects { visible: failures(visible), minor: failures(minor) }
        };
        let judged = |defects: Defects, strictness| defects.judge(strictness).map(|warnings| warnings.len()).ok();
        for (strictness, visible, minor) in [
            (None, None, Some(1)),
            (Some(Strictness::BestEffort), Some(1), Some(1)),
            (Some(Strictness::Strict), None, None),
        ] {
            assert_eq!(judged(found(1, 0), strictness), visible, "{strictness:?}");
            assert_eq!(judged(found(0, 1), strictness), minor, "{strictness:?}");
            assert_eq!(judged(found(0, 0), strictness), Some(0), "{strictness:?}");
        }
    }

    #[test]
    fn all_are_named_but_not_without_end() {
        let failures = (1..=25).map(|line| {
            let mut failure = Failure::new(Code::AssetMissing, "no such file");
            (failure.path, failure.line) = (Some("a.css".to_owned()), Some(line));
            failure
        });
        let message = refuse(failures.collect()).unwrap_err().to_string();
        assert!(message.contains("a.css:20: no such file") && message.ends_with("and 5 more"), "{message}");
    }
}
