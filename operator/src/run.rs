//! From the command line of `hf-reconcile` to an exit code.

use std::{
    ffi::OsString,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    rc::Rc,
    time::Duration,
};

use clap::Parser as _;
use crds::{
    Render,
    condition::{CANCELLED, FINISHED, SUCCEEDED},
    render::{AttemptResult, RequestVerb},
};
use tokio::{
    signal::unix::{SignalKind, signal},
    task::LocalSet,
};

use crate::{
    args::{Cli, Command, FolderArgs, ReconcileArgs},
    conditions,
    dir_store::{
        DirStore, layout::Layout, lock::Lock, open_folder, requests, scan::Snapshot, watch::Changed, watch::Watch,
    },
    drive::{Progress, drive},
    error::Error,
    local::LocalBackend,
    ports::{DEFAULT_NAMESPACE, Kind, ObjectKey},
    reconcile::Context,
    settings::{Settings, log_filter, now},
    source::Digests,
    terminal::Terminal,
    view,
};

/// An error in the files, on this machine, or of ours.
const ERROR: u8 = 1;
/// A render failed.
const RENDER_FAILED: u8 = 3;
/// Wrong usage (BSD's `EX_USAGE`).
const USAGE: u8 = 64;

/// Runs `hf-reconcile` with these arguments.
pub fn run(arguments: impl Iterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
        }
    };
    match execute(cli) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            let _ = writeln!(std::io::stderr().lock(), "error: {error}");
            ExitCode::from(ERROR)
        }
    }
}

fn execute(cli: Cli) -> Result<u8, Error> {
    match cli.command {
        None => return reconcile(&cli.reconcile),
        Some(Command::Get { folder, name, output }) => {
            print(&view::get(&look(&folder)?, name.as_deref().map(render_key).as_ref(), output)?);
        }
        Some(Command::Describe { folder, name }) => print(&view::describe(&look(&folder)?, &render_key(&name))?),
        Some(Command::Events { folder, name, output }) => {
            print(&view::events(&layout(&folder)?, name.as_deref().map(render_key).as_ref(), output)?);
        }
        Some(Command::Cancel { folder, name }) => ask(&folder, &name, RequestVerb::Cancel)?,
        Some(Command::Retry { folder, name }) => ask(&folder, &name, RequestVerb::Retry)?,
    }
    Ok(0)
}

fn print(text: &str) {
    // A reader that has gone away needs nothing more.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn layout(folder: &FolderArgs) -> Result<Layout, Error> {
    Ok(Layout::new(open_folder(&folder.folder)?))
}

/// A folder's objects, for looking only.
fn look(folder: &FolderArgs) -> Result<DirStore, Error> {
    let layout = layout(folder)?;
    let snapshot = Snapshot::take(layout.root(), &[]);
    let store = DirStore::for_looking(layout, now);
    store.rescan(&snapshot)?;
    Ok(store)
}

/// `NAME` or `NAMESPACE/NAME`.
fn render_key(name: &str) -> ObjectKey {
    let (namespace, name) = name.split_once('/').unwrap_or((DEFAULT_NAMESPACE, name));
    ObjectKey { kind: Kind::Render, namespace: namespace.to_owned(), name: name.to_owned() }
}

fn ask(folder: &FolderArgs, name: &str, verb: RequestVerb) -> Result<(), Error> {
    let key = render_key(name);
    if !look(folder)?.keys().contains(&key) {
        return Err(Error::NotFound(key.to_string()));
    }
    requests::ask(&layout(folder)?, &key, verb, now())
}

fn reconcile(args: &ReconcileArgs) -> Result<u8, Error> {
    let settings = Settings::resolve(args);
    let (root, only, watch) = match (&args.watch, args.once.as_slice()) {
        (Some(folder), _) => (folder.clone(), Vec::new(), true),
        (None, [folder]) if folder.is_dir() => (folder.clone(), Vec::new(), false),
        (None, files @ [first, ..]) => match folder_of(first, files) {
            Some(root) if !args.prune && !files.iter().any(|file| file.is_dir()) => (root, files.to_vec(), false),
            _ => return Ok(usage("--once takes one folder, or files of one folder (and then no --prune)")),
        },
        (None, []) => return Ok(usage("say --once DIR, --watch DIR or a command")),
    };
    let root = open_folder(&root)?;
    let only = only.iter().map(|file| root.join(file.file_name().unwrap_or_default())).collect();
    let terminal = Terminal::new(args.output);
    terminal.log_to(log_filter());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime =
        runtime.map_err(|source| Error::File { action: "start a runtime for", path: root.clone(), source })?;
    // One thread starts every process: Linux ends them with the thread that started them.
    LocalSet::new().block_on(&runtime, session(Layout::new(root), only, watch, settings, terminal))
}

fn usage(message: &str) -> u8 {
    let _ = writeln!(std::io::stderr().lock(), "error: {message}\n\nFor more information, try '--help'.");
    USAGE
}

/// The folder that all files lie in directly.
fn folder_of(first: &Path, files: &[PathBuf]) -> Option<PathBuf> {
    let parent = |file: &Path| file.parent().map(|parent| Path::new(".").join(parent));
    let folder = parent(first)?;
    files.iter().all(|file| parent(file).as_ref() == Some(&folder)).then_some(folder)
}

/// Reconciles a folder until it has converged, or until interrupted.
async fn session(
    layout: Layout,
    only: Vec<PathBuf>,
    watch: bool,
    settings: Settings,
    terminal: Terminal,
) -> Result<u8, Error> {
    let _lock = Lock::take(&layout)?;
    let store = Rc::new(DirStore::new(layout.clone(), settings.prune, now));
    let backend = Rc::new(LocalBackend::new(settings.producer, layout.work(), settings.progress_timeout));
    let digests = Rc::new(Digests::default());
    let watcher = if watch { Some(Watch::start(&layout)?) } else { None };
    store.rescan(&Snapshot::take_stable(layout.root(), &only).await)?;
    terminal.problems(&store.problems());
    let context = Rc::new(Context {
        store: Rc::clone(&store) as _,
        backend: Rc::clone(&backend) as _,
        digests: Rc::clone(&digests),
        now,
        draining: false.into(),
    });
    let done = {
        let (store, backend, context) = (Rc::clone(&store), Rc::clone(&backend), Rc::clone(&context));
        move |progress: &Progress| {
            let settled = progress.settled() && store.keys().iter().all(|key| progress.has_seen(key));
            backend.is_idle() && settled && (!watch || context.draining.get())
        }
    };
    let driving = drive(Rc::clone(&context), done);
    let keeping = keep_up(watcher, &layout, &store, &digests, &terminal);
    let showing = show(&store, &terminal);
    let listening = listen(&context, &backend, &store, &terminal);
    let progress = tokio::select! {
        progress = driving => progress,
        error = keeping => return Err(error),
        () = showing => Progress::default(),
        () = listening => Progress::default(),
    };
    terminal.show(&store.all_renders());
    terminal.finish(&store.all_renders());
    Ok(exit_code(&store, &progress))
}

/// Rescans whenever something may have changed. Only ends with an error.
async fn keep_up(
    watcher: Option<Watch>,
    layout: &Layout,
    store: &DirStore,
    digests: &Digests,
    terminal: &Terminal,
) -> Error {
    let Some(mut watcher) = watcher else { return std::future::pending().await };
    let mut gone = false;
    loop {
        watcher.also(digests.folders());
        match watcher.changed().await {
            Changed::Paths(paths) => digests.forget(&paths),
            Changed::Anything => digests.doubt(),
        }
        let there = match store.rescan(&Snapshot::take_stable(layout.root(), &[]).await) {
            Ok(there) => there,
            Err(error) => return error,
        };
        match (std::mem::replace(&mut gone, !there), there) {
            (false, false) => terminal.say("the folder is gone or empty: nothing is deleted until it is back"),
            (true, true) => {
                terminal.say("the folder is back");
                // What was watched may have been another folder of that name.
                match Watch::start(layout) {
                    Ok(anew) => watcher = anew,
                    Err(error) => return error,
                }
            }
            _ => {}
        }
        if !there {
            continue;
        }
        terminal.problems(&store.problems());
        store.touch_renders();
    }
}

/// Shows how things are, ten times a second.
async fn show(store: &DirStore, terminal: &Terminal) {
    let mut tick = tokio::time::interval(Duration::from_millis(100));
    loop {
        tick.tick().await;
        terminal.show(&store.all_renders());
    }
}

/// Answers Ctrl-C and SIGTERM: first nothing new is started, then everything is ended.
async fn listen(context: &Context, backend: &LocalBackend, store: &DirStore, terminal: &Terminal) {
    let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
    else {
        return std::future::pending().await;
    };
    loop {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        if context.draining.replace(true) {
            backend.stop_all();
        } else {
            terminal.say("finishing the chunks that are being rendered; interrupt again to stop at once");
            backend.drain();
        }
        store.touch_renders();
    }
}

/// How things are at the end.
fn exit_code(store: &DirStore, progress: &Progress) -> u8 {
    let renders = store.all_renders();
    let outcomes: Vec<_> =
        renders.iter().filter(|(_, orphaned)| !orphaned).map(|(render, _)| outcome(render)).collect();
    if !store.problems().is_empty() || !progress.errors.is_empty() || outcomes.contains(&ERROR) {
        ERROR
    } else if outcomes.contains(&RENDER_FAILED) {
        RENDER_FAILED
    } else {
        0
    }
}

fn outcome(render: &Render) -> u8 {
    let Some(status) = &render.status else { return ERROR };
    let succeeded = conditions::find(&status.conditions, SUCCEEDED);
    let attempted = status.attempts.last().and_then(|attempt| attempt.result) == Some(AttemptResult::Failed);
    match succeeded.map(|condition| (condition.status.as_str(), condition.reason.as_str())) {
        Some(("True", _) | ("False", CANCELLED)) => 0,
        Some(("Unknown", crds::condition::SUSPENDED)) => 0,
        Some(("False", _)) if attempted && conditions::is_true(&status.conditions, FINISHED) => RENDER_FAILED,
        _ => ERROR,
    }
}
