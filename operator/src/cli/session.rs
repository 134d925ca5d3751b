//! `--once` and `--watch`: the reconciler, the folder, the machine and a person brought together.

use std::{collections::BTreeSet, future::pending, io::Write as _, path::PathBuf, sync::Arc, time::Duration};

use crds::Networks;
use futures::{FutureExt as _, StreamExt as _, stream::BoxStream};
use tokio::{
    signal::unix::{SignalKind, signal},
    time::{interval, sleep},
};

use super::{
    INTERRUPTED, RENDER_FAILED,
    args::ReconcileArgs,
    folder,
    numbers::count,
    sentences::{Outcome, seen_from},
    terminal::Terminal,
};
use crate::{
    backend::{aws::AwsBackend, local::LocalBackend, router::Router},
    error::Error,
    files::blocking,
    ports::{Backend, Kind, NoDataObjects},
    program::{ERROR, USAGE},
    reconcile::{
        Context,
        driver::{Progress, Unobserved, drive},
    },
    settings::{handler, here, log_filter, now, producer},
    source::{DiskSources, Fetched, Sources},
    store::dir::{
        DirStore, Notice, Options,
        layout::Layout,
        lock::Lock,
        scan::{Scanner, Snapshot},
        watch::{Changed, Watch},
    },
};

/// Looks at an object that may fail before it counts as given up: some 10 s.
const PATIENCE: u32 = 5;
/// How often bars move.
const FRAME: Duration = Duration::from_millis(100);
/// How often `--once` looks for requests.
const REQUESTS: Duration = Duration::from_millis(250);
/// Threads that wait for the disk: more of them cost memory and gain nothing, fewer could all wait for one large project.
const DISK_THREADS: usize = 32;
/// How long a run that is told to stop at once may take.
const STOPPED: Duration = Duration::from_secs(10);

/// `--once` and `--watch`, as an exit code.
pub(crate) fn run(args: &ReconcileArgs) -> Result<u8, Error> {
    let paths: Vec<PathBuf> = args.watch.iter().chain(&args.once).cloned().collect();
    if paths.is_empty() {
        let _ = writeln!(
            std::io::stderr().lock(),
            "error: say --once DIR, --watch DIR or a command\n\nFor more information, try '--help'."
        );
        return Ok(USAGE);
    }
    let layout = folder::layout(&paths, &args.state)?;
    let terminal = Terminal::new(args.output);
    terminal.log_to(log_filter(args.verbose));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().max_blocking_threads(DISK_THREADS).build()?;
    // One thread starts every process: Linux ends them with the thread that started them.
    runtime.block_on(async { Session::begin(args, layout, terminal).await?.run().await })
}

struct Session<'a> {
    args: &'a ReconcileArgs,
    layout: Layout,
    store: DirStore,
    backend: Router,
    sources: Arc<DiskSources>,
    context: Arc<Context>,
    terminal: Terminal,
    scanner: Scanner,
    _lock: Lock,
}

impl<'a> Session<'a> {
    /// Takes the folder and reads it.
    async fn begin(args: &'a ReconcileArgs, layout: Layout, terminal: Terminal) -> Result<Self, Error> {
        let lock = Lock::take(&layout)?;
        let store = DirStore::open(layout.clone(), Options { prune: args.prune, read_only: false }, now)?;
        let (scanner, snapshot) = Scanner::default().take_stable(&layout).await;
        if !store.rescan(&snapshot) && args.watch.is_none() {
            terminal.say("the folder has no YAML files any more: it may have been taken away, so nothing is removed; leave one there, even an empty one, to have everything else removed");
        }
        store.take_requests();
        let outputs = layout.state().join("outputs");
        let program = producer(args.producer.as_deref());
        let local = LocalBackend::new(program, layout.work(), outputs, args.progress_timeout);
        let aws = AwsBackend::new(handler(args.handler.as_deref()), Arc::new(NoDataObjects), now);
        let backend = Router { local, aws };
        let networks = Networks::read(&args.source_networks.join(","));
        let networks = networks.map_err(|reason| Error::Setting { name: "--source-network", reason })?;
        let fetched = Fetched::new(layout.work().join("sources"), networks, Arc::new(NoDataObjects));
        let sources = Arc::new(DiskSources::fetching(fetched));
        let context = Context::new(
            Arc::new(store.clone()),
            Arc::new(backend.clone()) as Arc<dyn Backend>,
            Arc::new(Sources::Disk(Arc::clone(&sources))),
            now,
        );
        let context = Arc::new(context);
        let session = Self { args, layout, store, backend, sources, context, terminal, scanner, _lock: lock };
        session.introduce(&snapshot);
        Ok(session)
    }

    /// Says what was found, and what may surprise.
    fn introduce(&self, snapshot: &Snapshot) {
        let Self { args, layout, store, terminal, .. } = self;
        let here = here();
        let shown = |path: &std::path::Path| seen_from(&here, &path.display().to_string());
        if layout.entrances() != [layout.root()] && layout.is_self_contained() && args.state.state_dir.is_none() {
            let named = args.watch.iter().chain(&args.once).any(|path| path.is_dir());
            if named {
                terminal.say(&format!("state is kept in {}", shown(layout.status())));
            }
        }
        for nested in &snapshot.nested {
            let nested = shown(nested);
            terminal.say(&format!(
                "warning: {nested} has state of its own: its renders are known twice; remove {nested}/.status"
            ));
        }
        for file in &snapshot.misplaced {
            let file = shown(file);
            terminal.say(&format!("warning: {file} lies inside a composition and is not read: move it out of there"));
        }
        if args.verbose > 0 {
            for (file, documents) in snapshot.foreign() {
                terminal.say(&format!("{}: {} of another API skipped", shown(file), count(documents, "document")));
            }
        }
        terminal.problems(layout, &store.problems());
        if args.watch.is_some() {
            let (renders, folder) = (store.keys(Kind::Render).len(), args.watch.as_deref().unwrap_or(layout.root()));
            terminal.say(&format!("watching {}: {}", folder.display(), count(renders, "render")));
        }
    }

    /// Until the folder has converged, or until interrupted.
    async fn run(mut self) -> Result<u8, Error> {
        let (store, backend, context) = (self.store.clone(), self.backend.clone(), Arc::clone(&self.context));
        let watches = self.args.watch.is_some();
        let done = move |progress: &Progress| {
            let settled = progress.is_settled(PATIENCE) && progress.seen() >= store.count();
            settled && backend.local.is_idle() && (!watches || context.is_draining())
        };
        let driving = drive(Arc::clone(&self.context), &Unobserved, done);
        // Where there is nothing to do nobody else asks.
        self.context.nudge();
        let scanner = std::mem::take(&mut self.scanner);
        let mut notices = self.store.notices();
        let progress = tokio::select! {
            progress = driving => progress,
            () = self.keep_up(scanner) => Progress::default(),
            () = self.tell(&mut notices) => Progress::default(),
            () = self.listen() => Progress::default(),
        };
        while let Some(Some(notice)) = notices.next().now_or_never() {
            self.terminal.told(notice);
        }
        self.terminal.running(Vec::new());
        self.backend.local.remember_outputs().await;
        let renders = self.store.renders().filter(|render| !render.origin.is_orphaned());
        let endings: Vec<_> = renders.map(|render| self.terminal.ending(&render.object)).collect();
        let outcomes: BTreeSet<_> = endings.iter().map(|ending| ending.outcome).collect();
        let interrupted = self.context.is_draining() && outcomes.contains(&Outcome::Unfinished);
        if watches {
            self.terminal.leave(&endings, interrupted);
        } else {
            self.terminal.finish(&endings, interrupted);
        }
        let broken = !self.store.problems().is_empty() || !progress.errors.is_empty();
        Ok(if interrupted {
            INTERRUPTED
        } else if broken || outcomes.contains(&Outcome::NotMade) || outcomes.contains(&Outcome::Unfinished) {
            ERROR
        } else if outcomes.contains(&Outcome::Failed) {
            RENDER_FAILED
        } else {
            0
        })
    }

    /// Takes in whatever changes. Never ends.
    async fn keep_up(&self, scanner: Scanner) {
        if self.args.watch.is_some() { self.follow(scanner).await } else { self.take_requests().await }
    }

    async fn take_requests(&self) {
        let mut tick = interval(REQUESTS);
        loop {
            tick.tick().await;
            let store = self.store.clone();
            blocking(move || store.take_requests()).await;
        }
    }

    /// Rescans whenever something may have changed.
    async fn follow(&self, mut scanner: Scanner) {
        let noise = |name: &std::ffi::OsStr| name == "node_modules" || name == ".git";
        let mut watch = Watch::start(&self.layout, Arc::new(move |path| !path.iter().any(noise)));
        let mut present = true;
        loop {
            let stir = tokio::select! {
                stir = watch.stirs() => stir,
                () = self.sources.folders_changed() => {
                    watch.watch_extra(self.sources.folders());
                    // What has changed between the first look and now was not seen.
                    let sources = Arc::clone(&self.sources);
                    blocking(move || sources.revalidate()).await;
                    continue;
                }
            };
            let changed = watch.changed(stir).await;
            let (store, sources) = (self.store.clone(), Arc::clone(&self.sources));
            blocking(move || {
                match changed {
                    Changed::Paths(paths) => sources.touched(&paths),
                    Changed::Resync => sources.revalidate(),
                }
                store.take_requests();
            })
            .await;
            let snapshot;
            (scanner, snapshot) = scanner.take_stable(&self.layout).await;
            let store = self.store.clone();
            let there = blocking(move || store.rescan(&snapshot)).await;
            match (std::mem::replace(&mut present, there), there) {
                (true, false) => self.terminal.say("the folder is gone or empty: nothing is removed until it is back"),
                (false, true) => {
                    self.terminal.say("the folder is back");
                    watch = watch.restart();
                    let sources = Arc::clone(&self.sources);
                    blocking(move || sources.revalidate()).await;
                }
                _ => {}
            }
            self.terminal.problems(&self.layout, &self.store.problems());
            self.context.nudge();
        }
    }

    /// Tells of everything that happens, as it does.
    async fn tell(&self, notices: &mut BoxStream<'static, Notice>) {
        let mut tick = interval(FRAME);
        loop {
            tokio::select! {
                Some(notice) = notices.next() => self.terminal.told(notice),
                _ = tick.tick() => self.terminal.running(self.backend.running()),
            }
        }
    }

    /// Answers Ctrl-C and SIGTERM: first nothing new is started, then everything is ended, and then nothing is waited for.
    async fn listen(&self) {
        let (Ok(mut interrupt), Ok(mut terminate)) = (signal(SignalKind::interrupt()), signal(SignalKind::terminate()))
        else {
            return pending().await;
        };
        let mut asked = async || {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        asked().await;
        if !self.backend.local.is_idle() {
            self.terminal.say("finishing the chunks that are being rendered; interrupt again to stop at once");
        }
        if !self.backend.aws.running().is_empty() {
            self.terminal.say("what runs in AWS goes on there: run again to follow it, or `hf-reconcile cancel` and run again to end it");
        }
        self.context.drain();
        self.backend.local.drain();
        self.store.touch_all();
        asked().await;
        self.backend.local.stop_all();
        self.store.touch_all();
        tokio::select! {
            () = sleep(STOPPED) => {}
            () = asked() => {}
        }
    }
}
