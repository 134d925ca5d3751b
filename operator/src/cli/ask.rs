//! `cancel` and `retry`: what is asked of a running `hf-reconcile`, or of the next one.

use std::{thread, time::Duration};

use crds::{
    Render,
    condition::{CANCELLED, FINISHED},
    render::RequestVerb,
};
use jiff::Timestamp;

use super::{
    args::FolderArgs,
    folder::{find, layout_of, look, render_key},
    sentences::{self, reason},
};
use crate::{
    error::Error,
    ports::ObjectKey,
    reconcile::{conditions, requests::whole_second},
    settings::now,
    store::dir::{self, layout::Layout, lock::Lock, requests},
};

/// How long a running process may take to take a request.
const PATIENCE: Duration = Duration::from_secs(10);
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// `hf-reconcile cancel`.
pub(crate) fn cancel(folder: &FolderArgs, name: &str) -> Result<String, Error> {
    let (layout, key, render) = asked(folder, name)?;
    let shown = sentences::name(&key);
    if is_finished(&render) {
        return Ok(format!("{shown}: has ended already, nothing to cancel\n"));
    }
    if !Lock::is_taken(&layout) {
        let folder = layout.root().display();
        return Err(Error::NothingRuns(format!(
            "no hf-reconcile works on {folder}, so nothing of {shown} runs: to keep it from being started, set spec.suspend: true"
        )));
    }
    ask(&layout, &key, &render, RequestVerb::Cancel, "being cancelled")
}

/// `hf-reconcile retry`.
pub(crate) fn retry(folder: &FolderArgs, name: &str) -> Result<String, Error> {
    let (layout, key, render) = asked(folder, name)?;
    let shown = sentences::name(&key);
    if !is_finished(&render) {
        let state = render.status.as_ref().and_then(reason).unwrap_or("new");
        return Ok(format!("{shown}: has not ended ({state}), nothing to try again\n"));
    }
    let said = if Lock::is_taken(&layout) { "being tried again" } else { "will be tried again by the next run" };
    ask(&layout, &key, &render, RequestVerb::Retry, said)
}

fn asked(folder: &FolderArgs, name: &str) -> Result<(Layout, ObjectKey, Render), Error> {
    let layout = layout_of(folder)?;
    let key = render_key(name);
    let render = find(&look(&layout)?, &key)?;
    Ok((layout, key, (*render.object).clone()))
}

fn is_finished(render: &Render) -> bool {
    render.status.as_ref().is_some_and(|status| conditions::is_true(&status.conditions, FINISHED))
}

/// Asks, and waits until whoever works on the folder has taken it; `said` is what comes of it then.
fn ask(layout: &Layout, key: &ObjectKey, render: &Render, verb: RequestVerb, said: &str) -> Result<String, Error> {
    let hash = render.status.as_ref().and_then(|status| status.input_hash.as_deref());
    // Later than what was asked for before, also within one second.
    let before = render.status.as_ref().and_then(|status| status.request.as_ref());
    let after = before.map(|request| request.requested_time.0 + Duration::from_secs(1));
    let at = after.into_iter().fold(whole_second(now()), Timestamp::max);
    requests::ask(layout, key, verb, at, hash)?;
    let shown = sentences::name(key);
    for _ in 0..PATIENCE.as_millis() / LOOK_AGAIN.as_millis() {
        // Asked first: what the last holder has written is there then.
        let nobody_works = !Lock::is_taken(layout);
        let status = dir::render_status(layout, key).unwrap_or_default();
        let taken = status.request.as_ref().filter(|request| request.requested_time.0 >= at);
        match (taken, reason(&status)) {
            (Some(request), state) if request.obsolete => {
                return Ok(format!("{shown}: too late, it is {}\n", state.unwrap_or("new")));
            }
            (Some(_), Some(CANCELLED)) => return Ok(format!("{shown}: cancelled\n")),
            (Some(_), _) if verb == RequestVerb::Retry => break,
            _ if nobody_works => break,
            _ => thread::sleep(LOOK_AGAIN),
        }
    }
    Ok(format!("{shown}: {said}\n"))
}
