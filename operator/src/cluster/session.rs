//! One process of the operator, from its beginning to its end.

use std::{future::pending, sync::Arc, time::Duration};

use futures::future::Either;
use kube::{Client, Config, client::ClientBuilder, config::KubeConfigOptions};
use tokio::{
    net::TcpListener,
    runtime::Handle,
    signal::unix::{Signal, SignalKind, signal},
    time::{interval, sleep, timeout},
};
use tracing::{error, info};
use tracing_subscriber::{EnvFilter, Layer as _, layer::SubscriberExt as _, util::SubscriberInitExt as _};

use super::{
    folders,
    http::{self, Answers},
    lease::Candidate,
    led::Led,
    settings::{KUBECONFIG, Settings, wrong},
    traces::Traces,
    traffic::TrafficLayer,
    vitals::Vitals,
};
use crate::{
    backend::{aws::AwsBackend, local::LocalBackend, router::Router},
    error::{Class, Error},
    files::blocking,
    ports::{Backend, DataObjects},
    program::ERROR,
    reconcile::{
        Context,
        driver::{Progress, drive},
    },
    settings::{handler, now, producer},
    source::{DiskSources, Fetched, Sources},
    store::kube::{KubeStore, MANAGER, MayWrite, data::KubeData, reason},
};

/// Looks at an object that may fail before it counts as given up.
const PATIENCE: u32 = 5;
/// How long nothing may move before a step of a render is given up.
const PROGRESS_TIMEOUT: Duration = Duration::from_mins(2);
/// How often files of compositions and videos are looked at: on network file systems nothing tells of changes.
const REVALIDATE: Duration = Duration::from_secs(15);
/// How often the driver is asked whether it still turns.
const NUDGE: Duration = Duration::from_secs(5);
/// How long finding the API server may take.
const FIND: Duration = Duration::from_secs(30);
const FINDING: &str = "find an API server";
/// How long chunks that are being rendered may take once we are to end,
const FINISH: Duration = Duration::from_secs(12);
/// and then whatever is left, to be stopped and written down.
const STOP: Duration = Duration::from_secs(8);
/// How long a disk may keep the process from ending.
const DISK: Duration = Duration::from_secs(1);

const EARLY: &str = "asked to end before leading";

/// Runs the operator, as an exit code.
pub(super) fn run(settings: Settings) -> Result<u8, Error> {
    // One thread starts every process: Linux ends them with the thread that started them.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(observed(settings));
    // Whoever still waits for a disk keeps nobody.
    runtime.shutdown_timeout(DISK);
    code
}

/// Begins, with what is to be seen of it from outside: the log, and traces.
async fn observed(settings: Settings) -> Result<u8, Error> {
    let log = tracing_subscriber::fmt::layer().json().flatten_event(true).with_span_list(false);
    let log = log.with_writer(std::io::stdout).with_filter(EnvFilter::new(&settings.log));
    let traces = settings.collector.as_ref().map(Traces::start).transpose()?;
    // A second log in one process changes nothing.
    let _ = tracing_subscriber::registry().with(log).with(traces.as_ref().map(Traces::layer)).try_init();
    let code = begin(settings).await;
    if let Some(traces) = traces {
        traces.end().await;
    }
    code
}

/// A client for the API server of `KUBECONFIG`, or else of this pod.
///
/// # Errors
/// When there is none, or when finding out takes too long: a file that is named may be a pipe, and a program that it names
/// for credentials may wait for somebody.
pub(super) async fn client(kubeconfig: bool, vitals: Option<Arc<Vitals>>) -> Result<Client, Error> {
    let runtime = Handle::current();
    let connected = blocking(move || runtime.block_on(connect(kubeconfig, vitals)));
    timeout(FIND, connected).await.unwrap_or_else(|_| {
        let reason = format!("what KUBECONFIG names does not answer within {} s", FIND.as_secs());
        Err(refused(FINDING.to_owned(), reason))
    })
}

async fn connect(kubeconfig: bool, vitals: Option<Arc<Vitals>>) -> Result<Client, Error> {
    let doing = || FINDING.to_owned();
    let mut config = if kubeconfig {
        // Where it is of no use, no other is what was meant.
        let named = Config::from_kubeconfig(&KubeConfigOptions::default()).await;
        // Further lines of the message would show what is in the file, which holds credentials.
        named.map_err(|error| wrong(KUBECONFIG, error.to_string().lines().next().unwrap_or_default().to_owned()))?
    } else {
        Config::infer().await.map_err(|error| refused(doing(), error.to_string()))?
    };
    // The reconciler has its own pauses.
    config.default_retry = false;
    config.connect_timeout = Some(Duration::from_secs(10));
    let builder = ClientBuilder::try_from(config).map_err(|error| refused(doing(), reason(&error)))?;
    Ok(match vitals {
        Some(vitals) => builder.with_layer(&TrafficLayer(vitals)).build(),
        None => builder.build(),
    })
}

/// What is told of a call that concerns no single object.
pub(super) fn refused(doing: String, reason: String) -> Error {
    Error::Api { doing, reason, class: Class::Terminal }
}

/// SIGTERM and SIGINT.
struct Signals(Signal, Signal);

impl Signals {
    fn new() -> Result<Self, Error> {
        Ok(Self(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn asked(&mut self) {
        tokio::select! {
            _ = self.0.recv() => {}
            _ = self.1.recv() => {}
        }
    }
}

async fn begin(settings: Settings) -> Result<u8, Error> {
    let mut signals = Signals::new()?;
    let listener = TcpListener::bind(settings.listen).await;
    let listener = listener
        .map_err(|error| Error::Setting { name: "HF_LISTEN", reason: format!("{}: {error}", settings.listen) })?;
    let vitals = Arc::new(Vitals::new());
    let found = async {
        folders::check(&settings.folders).await?;
        client(settings.kubeconfig, Some(Arc::clone(&vitals))).await
    };
    let client = tokio::select! {
        client = found => client?,
        () = signals.asked() => {
            info!("{EARLY}");
            return Ok(0);
        }
    };
    let identity = format!("{}_{}", settings.pod_name, uuid::Uuid::new_v4());
    let namespace = settings.pod_namespace.clone().unwrap_or_else(|| client.default_namespace().to_owned());
    let candidate = settings.leader_election.then(|| Candidate::new(client.clone(), &namespace, identity, now));
    let may_write: MayWrite = match candidate.as_ref().map(Candidate::tenure) {
        Some(tenure) => Arc::new(move || tenure.holds()),
        None => Arc::new(|| true),
    };
    let folders = Arc::new(settings.folders.clone());
    let (leads, data) = (Arc::clone(&may_write), Arc::new(KubeData::new(client.clone())));
    let store = KubeStore::new(client, folders, settings.pod_name.clone(), may_write, &settings.namespaces);
    let answers = Answers { vitals: Arc::clone(&vitals), store: store.clone() };
    let session = Session::new(&settings, store.clone(), data, leads, vitals);
    info!(version = env!("CARGO_PKG_VERSION"), "{MANAGER} begins");
    tokio::select! {
        code = session.run(candidate, signals) => Ok(code),
        () = store.watch() => unreachable!("watches do not end"),
        answered = http::serve(listener, answers) => answered.map(|()| ERROR).map_err(Error::from),
    }
}

struct Session {
    store: KubeStore,
    backend: Router,
    sources: Arc<DiskSources>,
    fetched: Fetched,
    context: Arc<Context>,
    vitals: Arc<Vitals>,
}

/// Why it ends.
enum Ending {
    /// It was asked to, and everything is written down.
    Drained,
    /// It was asked to, and could not write down everything in time.
    TimedOut,
    /// It leads no more, for this reason.
    Deposed(String),
}

impl Session {
    fn new(
        settings: &Settings,
        store: KubeStore,
        data: Arc<dyn DataObjects>,
        leads: MayWrite,
        vitals: Arc<Vitals>,
    ) -> Self {
        let (work, program) = (&settings.folders.work, producer(settings.producer.as_deref()));
        let local = LocalBackend::new(program, work.join("work"), work.join("known-outputs"), PROGRESS_TIMEOUT);
        let aws = AwsBackend::new(handler(settings.handler.as_deref()), Arc::clone(&data), now);
        let backend = Router { local, aws };
        let fetched = Fetched::new(work.join("sources"), settings.networks.clone(), data);
        let sources = Arc::new(DiskSources::fetching(fetched.clone()));
        let context = Context::new(
            Arc::new(store.clone()),
            Arc::new(Led::new(backend.clone(), leads)) as Arc<dyn Backend>,
            Arc::new(Sources::Disk(Arc::clone(&sources))),
            now,
        );
        Self { store, backend, sources, fetched, context: Arc::new(context), vitals }
    }

    /// Waits until everything is known and it is this process's turn, and reconciles until it is asked to end.
    async fn run(&self, mut candidate: Option<Candidate>, mut signals: Signals) -> u8 {
        tokio::select! {
            () = self.turn_comes(candidate.as_mut()) => {}
            () = signals.asked() => {
                info!("{EARLY}");
                return 0;
            }
        }
        self.vitals.leads();
        let ending = self.reconcile(candidate.as_mut(), &mut signals).await;
        self.backend.local.remember_outputs().await;
        if let Some(candidate) = &mut candidate {
            candidate.release().await;
        }
        match ending {
            Ending::Drained => {
                info!("ended");
                0
            }
            Ending::TimedOut => {
                error!("ended although not everything could be written down: the next process goes on from there");
                ERROR
            }
            Ending::Deposed(why) => {
                error!(why, "ended: this process leads no more");
                ERROR
            }
        }
    }

    async fn turn_comes(&self, candidate: Option<&mut Candidate>) {
        self.store.filled().await;
        if let Some(candidate) = candidate {
            candidate.elected().await;
        }
    }

    async fn reconcile(&self, candidate: Option<&mut Candidate>, signals: &mut Signals) -> Ending {
        let (context, local) = (Arc::clone(&self.context), self.backend.local.clone());
        let done = move |progress: &Progress| context.is_draining() && progress.is_settled(PATIENCE) && local.is_idle();
        let deposed = candidate.map_or_else(|| Either::Right(pending()), |candidate| Either::Left(candidate.deposed()));
        tokio::select! {
            _ = drive(Arc::clone(&self.context), &*self.vitals, done) => Ending::Drained,
            why = deposed => Ending::Deposed(why),
            () = self.shut_down(signals) => Ending::TimedOut,
            () = self.fetched.keep_reading() => unreachable!("it does not end"),
            () = self.keep_moving() => unreachable!("it does not end"),
        }
    }

    /// Once asked to: first nothing new is started, then everything is ended, and then nothing is waited for.
    async fn shut_down(&self, signals: &mut Signals) {
        signals.asked().await;
        info!("asked to end: nothing new is started");
        self.context.drain();
        self.backend.local.drain();
        self.store.touch_all();
        tokio::select! {
            () = sleep(FINISH) => {}
            () = signals.asked() => {}
        }
        info!("what still runs on this machine is stopped");
        self.backend.local.stop_all();
        self.store.touch_all();
        sleep(STOP).await;
    }

    /// Looks for changed files, and shows that the driver turns. Never ends.
    async fn keep_moving(&self) {
        let (mut files, mut nudge) = (interval(REVALIDATE), interval(NUDGE));
        loop {
            tokio::select! {
                _ = files.tick() => {
                    let sources = Arc::clone(&self.sources);
                    blocking(move || sources.revalidate()).await;
                }
                _ = nudge.tick() => self.context.nudge(),
            }
        }
    }
}
