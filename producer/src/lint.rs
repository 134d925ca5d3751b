//! `lint`: what is wrong with a project, found without rendering it.

use crds::{Failure, Fault};

use crate::{
    Error,
    context::Context,
    files::{self, Scratch},
    plan::{self, Request},
};

/// Looks for everything that would make rendering a project fail, and tells `context` of everything that it would be warned
/// of. What keeps a later step from looking is itself found; what that step would find then is not.
///
/// Blocks the calling thread, which starts a browser and must live as long as the call.
///
/// # Errors
/// What is not the composition's fault: there is no browser, no disk, no patience. Nothing is left behind.
pub fn lint(request: &Request, context: &Context) -> Result<Vec<Failure>, Error> {
    files::private_dir(&context.settings.scratch)?;
    let scratch = Scratch::new(&context.settings.scratch, "lint-")?;
    let context = context.finding_all();
    let planned = plan::write(request, &scratch.path().join("plan"), &mut plan::Alone, &context);
    let mut found = context.found();
    match planned {
        Ok(_) => {}
        Err(error) if error.code().fault() == Fault::Composition => {
            let new = error.failures().into_iter().filter(|failure| !found.contains(failure));
            found.extend(new.collect::<Vec<_>>());
        }
        Err(error) => return Err(error),
    }
    found.sort_by(|a, b| (&a.path, a.line).cmp(&(&b.path, b.line)));
    Ok(found)
}
