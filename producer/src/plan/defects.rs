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
    /// The defects that are errors, and those that are only warned of. Without a strictness what is visible is an error.
    pub(crate) fn divided(self, strictness: Option<Strictness>) -> (Vec<Failure>, Vec<Failure>) {
        let Self { visible, minor } = self;
        match strictness {
            Some(Strictness::BestEffort) => (Vec::new(), [visible, minor].concat()),
            None => (visible, minor),
            Some(Strictness::Strict) => ([visible, minor].concat(), Vec::new()),
        }
    }
}

/// An error that names all problems, if there is one.
pub(crate) fn refuse(problems: Vec<Failure>) -> Result<(), Error> {
    if problems.is_empty() { Ok(()) } else { Err(Error::Defects(problems)) }
}

/// The first problem, with a message that names the others.
pub(crate) fn summary(problems: &[Failure]) -> Option<Failure> {
    let (first, others) = problems.split_first()?;
    let more = problems.len().saturating_sub(NAMED);
    let mut summary = first.clone();
    for Failure { message: other, path, line, .. } in others.iter().take(NAMED - 1) {
        let place = path.as_ref().map_or_else(String::new, |path| match line {
            Some(line) => format!("{path}:{line}: "),
            None => format!("{path}: "),
        });
        summary.message += &format!("\n{place}{other}");
    }
    if more > 0 {
        summary.message += &format!("\nand {more} more");
    }
    Some(summary)
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
        let judged = |defects: Defects, strictness| {
            let (errors, warnings) = defects.divided(strictness);
            errors.is_empty().then_some(warnings.len())
        };
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
