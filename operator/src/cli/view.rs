//! A folder's objects in words: `get`, `describe`, `events`. Only looks; nobody is kept from working meanwhile.

use comfy_table::{Table, presets::NOTHING};
use crds::{
    Render, RenderStatus,
    condition::{QUEUED, READY, RUNNING},
    printable,
    render::ProgressStatus,
};
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::{Value, json};

use super::{
    args::{FolderArgs, Format},
    folder::{find, layout_of, look, render_key},
    numbers::{age, count},
    sentences::{reason, seen_from, video},
};
use crate::{
    error::Error,
    ports::{ObjectKey, Origin, Sourced},
    reconcile::conditions,
    settings::{here, now},
    store::dir::{
        DirStore,
        events::{self, Entry},
        layout::Layout,
        lock::Lock,
    },
};

/// `hf-reconcile get`.
pub(crate) fn get(folder: &FolderArgs, name: Option<&str>, format: Option<Format>) -> Result<String, Error> {
    let layout = layout_of(folder)?;
    let store = look(&layout)?;
    let renders = match name {
        Some(name) => vec![find(&store, &render_key(name))?],
        None => store.renders().collect(),
    };
    if !matches!(format, None | Some(Format::Wide)) {
        let mut items: Vec<_> = renders.iter().map(|render| json!(*render.object)).collect();
        if name.is_none() {
            items.extend(store.stacks().map(|stack| json!(*stack.object)));
        }
        return Ok(match (name, items.as_slice()) {
            (Some(_), [one]) => data(one, format),
            _ => data(&json!({ "apiVersion": "v1", "kind": "List", "items": items }), format),
        });
    }
    let mut text = if renders.is_empty() {
        "There is no Render here.\n".to_owned()
    } else {
        let works = Lock::is_taken(&layout);
        table(&renders, works, format.is_some()) + &problems(&store)
    };
    let stacks: Vec<_> = store.stacks().collect();
    if name.is_none() && !stacks.is_empty() {
        let mut rows = vec![row(["NAMESPACE", "STACK", "READY", "MESSAGE"])];
        for stack in stacks {
            let known = stack.object.status.clone().unwrap_or_default();
            let ready = conditions::find(&known.conditions, READY);
            let (status, message) = ready.map_or(("-", "-"), |ready| (&ready.status, &ready.message));
            rows.push(row([&stack.object.namespace().unwrap_or_default(), &stack.object.name_any(), status, message]));
        }
        text += &format!("\n{}", align(rows));
    }
    Ok(text)
}

fn problems(store: &DirStore) -> String {
    match store.problems().len() {
        0 => String::new(),
        number => format!("\n{} in files here: `hf-reconcile --once` names them.\n", count(number, "problem")),
    }
}

fn data(value: &impl Serialize, format: Option<Format>) -> String {
    let text = match format {
        Some(Format::Yaml) => serde_yaml::to_string(value).map_err(|error| error.to_string()),
        _ => serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string()),
    };
    text.unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

/// `works`: whether somebody works on the folder; what runs has been interrupted otherwise.
fn table(renders: &[Sourced<Render>], works: bool, wide: bool) -> String {
    let (here, now) = (here(), now());
    let mut rows = vec![row(["NAMESPACE", "NAME", "READY", "STATE", "PROGRESS", "AGE"])];
    let more = ["ATTEMPT", "STACK", "OUTPUT"];
    rows[0].extend(more.into_iter().filter(|_| wide).map(str::to_owned));
    for render in renders {
        let status = render.object.status.clone().unwrap_or_default();
        let ready = conditions::find(&status.conditions, READY).map(|ready| ready.status.clone());
        let progress = status.progress.as_ref().map(|progress| format!("{} %", progress.percent));
        let age = render.object.creation_timestamp().map(|time| age(time.0, now));
        let mut cells = vec![
            render.object.namespace().unwrap_or_default(),
            render.object.name_any(),
            dash(ready),
            dash(state(render, &status, works)),
            dash(progress),
            dash(age),
        ];
        if wide {
            let stack = status.attempts.last().and_then(|attempt| attempt.stack.clone());
            let output = status.output.map(|output| seen_from(&here, &video(&output.uri)));
            cells.extend([dash(status.attempt.map(|attempt| attempt.to_string())), dash(stack), dash(output)]);
        }
        rows.push(cells);
    }
    align(rows)
}

fn state(render: &Sourced<Render>, status: &RenderStatus, works: bool) -> Option<String> {
    if render.origin.is_orphaned() {
        return Some("Orphaned".to_owned());
    }
    match reason(status) {
        Some(RUNNING) if !works => Some("Interrupted".to_owned()),
        reason => reason.map(str::to_owned),
    }
}

fn dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "-".to_owned())
}

fn row<const N: usize>(cells: [&str; N]) -> Vec<String> {
    cells.map(str::to_owned).to_vec()
}

/// Columns as wide as their widest cell, and each row one line.
fn align(rows: Vec<Vec<String>>) -> String {
    let mut table = Table::new();
    table.load_preset(NOTHING);
    for cells in rows {
        table.add_row(cells.iter().map(|cell| printable(cell).replace('\n', " ")));
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.trim_fmt() + "\n"
}

/// `hf-reconcile describe`.
pub(crate) fn describe(folder: &FolderArgs, name: &str) -> Result<String, Error> {
    let layout = layout_of(folder)?;
    let store = look(&layout)?;
    let key = render_key(name);
    let render = find(&store, &key)?;
    let status = render.object.status.clone().unwrap_or_default();
    let mut page = Page::default();
    page.facts(&render, &status);
    page.waits(&render.object, &status, &store, Lock::is_taken(&layout));
    page.warnings(&status);
    let conditions = status.conditions.iter().map(|c| row([&c.type_, &c.status, &c.reason, &c.message]));
    page.section("Conditions", row(["TYPE", "STATUS", "REASON", "MESSAGE"]), conditions);
    let attempts = status.attempts.iter().map(|attempt| {
        let result = attempt.result.map_or_else(|| "-".to_owned(), |result| format!("{result:?}"));
        let stack = dash(attempt.stack.clone());
        let code = dash(attempt.failure_code.clone());
        row([&attempt.number.to_string(), &format!("{:.0}", attempt.start_time.0), &result, &code, &stack])
    });
    page.section("Attempts", row(["NUMBER", "STARTED", "RESULT", "CODE", "STACK"]), attempts);
    page.section("Events", event_header(), entries(&layout, Some(&key))?.iter().map(event_row));
    Ok(page.0)
}

/// A page about one object.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, name: &str, value: &str) {
        let label = if name.is_empty() { String::new() } else { format!("{name}:") };
        self.0 += &format!("{label:<14}{}\n", printable(value));
    }

    fn section(&mut self, title: &str, header: Vec<String>, rows: impl Iterator<Item = Vec<String>>) {
        let rows: Vec<_> = [header].into_iter().chain(rows).collect();
        if rows.len() > 1 {
            self.0 += &format!("{title}:\n");
            self.0.extend(align(rows).lines().map(|line| format!("  {line}\n")));
        }
    }

    fn facts(&mut self, render: &Sourced<Render>, status: &RenderStatus) {
        let (object, here) = (&render.object, here());
        self.line("Name", &object.name_any());
        self.line("Namespace", &object.namespace().unwrap_or_default());
        let file = match &render.origin {
            Origin::File { path, orphaned } => {
                let path = seen_from(&here, &path.display().to_string());
                if *orphaned { format!("{path} (gone)") } else { path }
            }
            Origin::BuiltIn | Origin::Cluster(_) => "-".to_owned(),
        };
        self.line("File", &file);
        self.line("Generation", &object.metadata.generation.unwrap_or_default().to_string());
        self.line("Source", object.spec.source.path.as_deref().unwrap_or("-"));
        if let Some(output) = &status.output {
            self.line("Output", &seen_from(&here, &video(&output.uri)));
            let size = format!("{}x{}, {} bytes", output.width, output.height, output.bytes);
            self.line("", &format!("{} frames, {size}, sha256 {}", output.frames, output.sha256));
        }
        if let Some(cost) = status.cost_usd {
            self.line("Cost", &format!("about {cost} USD"));
        }
        if let Some(progress) = &status.progress {
            let ProgressStatus { percent, stage, frames_rendered, frames_total, .. } = progress;
            self.line("Progress", &format!("{percent} %, {}, {frames_rendered}/{frames_total} frames", stage.as_str()));
        }
        if let Some(failure) = &status.failure {
            let place = match (&failure.path, failure.line) {
                (Some(path), Some(line)) => format!("{}:{line}: ", seen_from(&here, path)),
                (Some(path), None) => format!("{}: ", seen_from(&here, path)),
                (None, _) => String::new(),
            };
            self.line("Failure", &format!("{}: {place}{}", failure.code, failure.message));
        }
    }

    /// Why what has not begun has not.
    fn waits(&mut self, render: &Render, status: &RenderStatus, store: &DirStore, works: bool) {
        let stack = crate::ports::Store::stack_of(store, render).ok().and_then(|key| store.stack(&key));
        let Some(stack) = stack else { return };
        let name = stack.object.name_any();
        let most = stack.object.status.as_ref().and_then(|status| status.parallel_chunks).unwrap_or(1);
        let at_once = format!("stack {name} renders {most} at the same time");
        if !works && matches!(reason(status), Some(RUNNING | QUEUED)) {
            self.line("Waits", "no hf-reconcile works on this folder: it goes on with the next run");
            return;
        }
        if let Some(place) = status.queue_position {
            self.line("Waits", &format!("number {place} in the queue; {at_once}"));
        }
        if let Some(ProgressStatus { chunks_done, chunks_running, chunks_total, .. }) = status.progress {
            let waiting = (chunks_total - chunks_done - chunks_running).max(0);
            let why = match waiting {
                0 => String::new(),
                waiting => format!(", {waiting} wait for a place: {at_once}, of all its renders together"),
            };
            self.line("Chunks", &format!("{chunks_done} of {chunks_total} done, {chunks_running} running{why}"));
        }
    }

    fn warnings(&mut self, status: &RenderStatus) {
        let rows = status.warnings.iter().map(|warning| {
            let place = match (&warning.path, warning.line) {
                (Some(path), Some(line)) => format!("{path}:{line}"),
                (Some(path), None) => path.clone(),
                (None, _) => "-".to_owned(),
            };
            row([&warning.code, &place, &warning.message])
        });
        let more = status.omitted_warnings.map(|more| row(["-", "-", &format!("and {more} more")]));
        self.section("Warnings", row(["CODE", "PLACE", "MESSAGE"]), rows.chain(more));
    }
}

/// `hf-reconcile events`.
pub(crate) fn events(folder: &FolderArgs, name: Option<&str>, format: Option<Format>) -> Result<String, Error> {
    let layout = layout_of(folder)?;
    let key = name.map(render_key);
    let entries = entries(&layout, key.as_ref())?;
    if let (true, Some(key)) = (entries.is_empty(), &key) {
        find(&look(&layout)?, key)?;
    }
    Ok(match format {
        None | Some(Format::Wide) if entries.is_empty() => "Nothing has happened yet.\n".to_owned(),
        None | Some(Format::Wide) => align([event_header()].into_iter().chain(entries.iter().map(event_row)).collect()),
        format => data(&entries.iter().map(|entry| json!(entry)).collect::<Vec<Value>>(), format),
    })
}

fn entries(layout: &Layout, only: Option<&ObjectKey>) -> Result<Vec<Entry>, Error> {
    let name = only.map(ToString::to_string);
    let mut entries = events::all(layout)?;
    entries.retain(|entry| name.as_ref().is_none_or(|name| entry.object == *name));
    Ok(entries)
}

fn event_header() -> Vec<String> {
    row(["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"])
}

fn event_row(entry: &Entry) -> Vec<String> {
    row([&format!("{:.0}", entry.time), &entry.kind, &entry.reason, &entry.object, &entry.message])
}
