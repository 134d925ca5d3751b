//! A folder's objects in words: `get`, `describe`, `events`.

use std::sync::Arc;

use crds::{
    Render,
    condition::{READY, SUCCEEDED},
};
use jiff::{SpanRound, Timestamp, Unit};
use kube::ResourceExt as _;
use serde::Serialize;
use serde_json::{Value, json};

use crate::{
    args::Format,
    conditions,
    dir_store::{DirStore, events, layout::Layout},
    error::Error,
    ports::ObjectKey,
    settings::now,
    source,
};

/// All Renders, or a certain one, with whether their file is gone.
fn renders(store: &DirStore, only: Option<&ObjectKey>) -> Result<Vec<(Arc<Render>, bool)>, Error> {
    let mut renders = store.all_renders();
    renders.extend(store.orphans().into_iter().map(|orphan| (orphan, true)));
    if let Some(key) = only {
        renders.retain(|(render, _)| ObjectKey::render(render) == *key);
        if renders.is_empty() {
            return Err(Error::NotFound(key.to_string()));
        }
    }
    Ok(renders)
}

/// `hf-reconcile get`.
pub(crate) fn get(store: &DirStore, only: Option<&ObjectKey>, format: Option<Format>) -> Result<String, Error> {
    let renders = renders(store, only)?;
    match format {
        None | Some(Format::Wide) => Ok(table(&renders, store, format.is_some(), only.is_none())),
        Some(format) => {
            let mut items: Vec<_> = renders.iter().map(|(render, _)| json!(**render)).collect();
            if only.is_none() {
                items.extend(store.all_stacks().iter().map(|stack| json!(**stack)));
            }
            Ok(match (only, items.as_slice()) {
                (Some(_), [one]) => data(one, format),
                _ => data(&json!({ "apiVersion": "v1", "kind": "List", "items": items }), format),
            })
        }
    }
}

fn data(value: &impl Serialize, format: Format) -> String {
    let text = match format {
        Format::Yaml => serde_yaml::to_string(value).map_err(|error| error.to_string()),
        Format::Json | Format::Wide => {
            serde_json::to_string_pretty(value).map(|text| text + "\n").map_err(|error| error.to_string())
        }
    };
    text.unwrap_or_else(|error| unreachable!("plain data: {error}"))
}

type Renders = [(Arc<Render>, bool)];

fn table(renders: &Renders, store: &DirStore, wide: bool, with_stacks: bool) -> String {
    let mut rows =
        vec![row(["NAMESPACE", "NAME", "READY", "STATE", "PROGRESS", "AGE"], wide.then_some(["ATTEMPT", "OUTPUT"]))];
    for (render, orphaned) in renders {
        let status = render.status.clone().unwrap_or_default();
        let condition = |kind| conditions::find(&status.conditions, kind).cloned();
        let state = if *orphaned {
            Some("Orphaned".to_owned())
        } else {
            condition(SUCCEEDED).map(|condition| condition.reason)
        };
        let progress = status.progress.as_ref().map(|progress| format!("{} %", progress.percent));
        let dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
        let cells = [
            render.namespace().unwrap_or_default(),
            render.name_any(),
            dash(condition(READY).map(|condition| condition.status)),
            dash(state),
            dash(progress),
            dash(render.creation_timestamp().map(|time| age(time.0))),
        ];
        let more = wide.then(|| {
            [dash(status.attempt.map(|attempt| attempt.to_string())), dash(status.output.map(|output| output.uri))]
        });
        rows.push(row(cells, more));
    }
    let mut text = align(&rows);
    let stacks = store.all_stacks();
    if with_stacks && !stacks.is_empty() {
        let mut rows = vec![row(["NAMESPACE", "STACK", "READY", "STATUS"], None::<[&str; 0]>)];
        for stack in stacks {
            let status = stack.status.clone().unwrap_or_default();
            let ready = conditions::find(&status.conditions, READY);
            let word = |text: Option<&String>| text.cloned().unwrap_or_else(|| "-".to_owned());
            let (ready, message) = (word(ready.map(|ready| &ready.status)), word(ready.map(|ready| &ready.message)));
            rows.push(row(
                [stack.namespace().unwrap_or_default(), stack.name_any(), ready, message],
                None::<[&str; 0]>,
            ));
        }
        text += &format!("\n{}", align(&rows));
    }
    text
}

fn row<A: Into<String>, B: Into<String>, const N: usize, const M: usize>(
    cells: [A; N],
    more: Option<[B; M]>,
) -> Vec<String> {
    cells.into_iter().map(Into::into).chain(more.into_iter().flatten().map(Into::into)).collect()
}

/// Columns as wide as their widest cell.
fn align(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<_> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        cells.join("   ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

/// `12s`, `5m`, `3h`, `2d`: the largest unit is enough.
fn age(since: Timestamp) -> String {
    let span =
        now().since(since).and_then(|span| span.round(SpanRound::new().largest(Unit::Hour).smallest(Unit::Second)));
    let Ok(span) = span else { return "-".to_owned() };
    match (span.get_hours(), span.get_minutes(), span.get_seconds()) {
        (hours @ 48.., ..) => format!("{}d", hours / 24),
        (hours @ 1.., ..) => format!("{hours}h"),
        (_, minutes @ 1.., _) => format!("{minutes}m"),
        (_, _, seconds) => format!("{}s", seconds.max(0)),
    }
}

/// `hf-reconcile describe`.
pub(crate) fn describe(store: &DirStore, key: &ObjectKey) -> Result<String, Error> {
    let (render, _) = &renders(store, Some(key))?[0];
    let status = render.status.clone().unwrap_or_default();
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        let label = if name.is_empty() { String::new() } else { format!("{name}:") };
        text += &format!("{label:<14}{value}\n");
    };
    line("Name", &render.name_any());
    line("Namespace", &key.namespace);
    line("File", render.annotations().get(source::MANIFEST).map_or("gone", String::as_str));
    line("Generation", &render.metadata.generation.unwrap_or_default().to_string());
    line("Source", render.spec.source.path.as_deref().unwrap_or("-"));
    if let Some(output) = &status.output {
        line("Output", &output.uri);
        line(
            "",
            &format!(
                "{} frames, {}x{}, {} bytes, sha256 {}",
                output.frames, output.width, output.height, output.bytes, output.sha256
            ),
        );
    }
    if let Some(progress) = &status.progress {
        let (frames, chunks) =
            ((progress.frames_rendered, progress.frames_total), (progress.chunks_done, progress.chunks_total));
        line(
            "Progress",
            &format!(
                "{} %, {}, {}/{} frames, {}/{} chunks",
                progress.percent,
                progress.stage.as_str(),
                frames.0,
                frames.1,
                chunks.0,
                chunks.1
            ),
        );
    }
    if let Some(failure) = &status.failure {
        line("Failure", &format!("{}: {}", failure.code, failure.message));
    }
    let mut section = |title: &str, rows: Vec<Vec<String>>| {
        if rows.len() > 1 {
            text += &format!("{title}:\n");
            text.extend(align(&rows).lines().map(|line| format!("  {line}\n")));
        }
    };
    let none = None::<[&str; 0]>;
    let mut rows = vec![row(["TYPE", "STATUS", "REASON", "MESSAGE"], none)];
    rows.extend(status.conditions.iter().map(|c| row([&*c.type_, &*c.status, &*c.reason, &*c.message], none)));
    section("Conditions", rows);
    let mut rows = vec![row(["NUMBER", "STARTED", "RESULT", "CODE"], none)];
    rows.extend(status.attempts.iter().map(|attempt| {
        let result = attempt.result.map_or_else(|| "-".to_owned(), |result| format!("{result:?}"));
        let code = attempt.failure_code.as_deref().unwrap_or("-");
        row([&*attempt.number.to_string(), &*format!("{:.0}", attempt.start_time.0), &*result, code], none)
    }));
    section("Attempts", rows);
    section("Events", event_rows(&of(store.layout(), Some(key))?));
    Ok(text)
}

/// `hf-reconcile events`.
pub(crate) fn events(layout: &Layout, only: Option<&ObjectKey>, format: Option<Format>) -> Result<String, Error> {
    let entries = of(layout, only)?;
    Ok(match format {
        None | Some(Format::Wide) => align(&event_rows(&entries)),
        Some(format) => data(&entries.iter().map(|entry| json!(entry)).collect::<Vec<Value>>(), format),
    })
}

fn of(layout: &Layout, only: Option<&ObjectKey>) -> Result<Vec<events::Entry>, Error> {
    let name = only.map(ToString::to_string);
    let mut entries = events::all(layout)?;
    entries.retain(|entry| name.as_ref().is_none_or(|name| entry.object == *name));
    Ok(entries)
}

fn event_rows(entries: &[events::Entry]) -> Vec<Vec<String>> {
    let none = None::<[&str; 0]>;
    let mut rows = vec![row(["TIME", "TYPE", "REASON", "OBJECT", "MESSAGE"], none)];
    rows.extend(entries.iter().map(|entry| {
        let time = format!("{:.0}", entry.time);
        row([&*time, &*entry.kind, &*entry.reason, &*entry.object, &*entry.message], none)
    }));
    rows
}
