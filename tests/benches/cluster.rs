//! How `hf-operator` does with many Renders at a real API server, beside a producer that answers at once: what is measured is
//! the reconciler and what it asks. Run it with `make bench`.
//!
//! So many Renders of one composition are made while the operator runs; then nothing happens for a minute; then another
//! operator begins with everything finished. Targets are reported, not asserted. `HF_CLUSTER_SCALE` names other numbers, as in
//! `100,1000`.

use std::{
    fs, thread,
    time::{Duration, Instant},
};

use futures::StreamExt as _;
use kube::{Api, api::PostParams};
use tests::{
    cluster::{Cluster, Operator, Stage},
    fixture::{Folder, SECOND},
    objects::client,
    processes::resident_memory,
};

/// Milliseconds a Render, from nothing to all videos.
const CONVERGE_MS: f64 = 50.0;
/// Calls a Render that are no watch: the finalizer, each state it goes through, each event, and a look before it starts.
const CALLS: f64 = 16.0;
const MEMORY_MIB: f64 = 100.0;
/// Calls in a minute in which nothing happens. Two watches end by themselves every five minutes.
const IDLE_CALLS: f64 = 4.0;
/// Seconds of a processor in that minute.
const IDLE_CPU_S: f64 = 1.0;
const IDLE: Duration = Duration::from_mins(1);
/// Nothing takes as long for each Render.
const MOST: Duration = Duration::from_millis(500);
/// How often the operator is asked how it is.
const LOOK: Duration = Duration::from_millis(250);

fn main() {
    let wanted = std::env::var("HF_CLUSTER_SCALE").unwrap_or_else(|_| "1000,10000".to_owned());
    println!(
        "{:>8}{:>14}{:>14}{:>12}{:>14}{:>12}{:>14}{:>12}",
        "renders", "ms a render", "calls each", "CPU ms each", "memory, MiB", "idle calls", "idle CPU, s", "restart, s"
    );
    for count in wanted.split(',').map(|count| count.trim().parse().expect("HF_CLUSTER_SCALE holds numbers")) {
        measure(count);
    }
    println!(
        "{:>8}{CONVERGE_MS:>14.1}{CALLS:>14.1}{:>12}{MEMORY_MIB:>14.0}{IDLE_CALLS:>12.0}{IDLE_CPU_S:>14.1}{:>12}",
        "at most", "", ""
    );
}

fn measure(count: usize) {
    let cluster: &'static Cluster = Box::leak(Box::new(Cluster::start()));
    cluster.install();
    let stage = Stage { cluster, namespace: "default", folder: Folder::new() };
    stage.folder.project("sources/site", SECOND, "<p>Text</p>");
    stage.apply("HyperframesStack", "local", "{local: {maxParallelChunks: 2}}");
    let operator = start(&stage);
    let begin = Instant::now();
    create(&stage, count);
    let mut memory = finished(&operator, count);
    let (took, calls, cpu) = (begin.elapsed(), calls(&operator), processor_time(&operator));
    thread::sleep(IDLE);
    let (idle_calls, idle_cpu) = (self::calls(&operator) - calls, processor_time(&operator) - cpu);
    memory = memory.max(resident_memory(operator.process.pid()));
    drop(operator);
    let begin = Instant::now();
    let operator = start(&stage);
    memory = memory.max(finished(&operator, count));
    while number(&operator, "hyperframes_queue_depth") > 0.0 {
        thread::sleep(LOOK);
    }
    let restart = begin.elapsed().as_secs_f64();
    let each = |total: f64| total / count as f64;
    println!(
        "{count:>8}{:>14.1}{:>14.1}{:>12.1}{:>14.0}{idle_calls:>12.0}{idle_cpu:>14.2}{restart:>12.1}",
        each(took.as_secs_f64() * 1000.0),
        each(calls),
        each(cpu * 1000.0),
        memory as f64 / f64::from(1 << 20),
    );
}

fn start(stage: &Stage) -> Operator {
    // Without an election, whose calls do not depend on the number of objects.
    stage.operator("instant-producer").env("HF_LEADER_ELECTION", "false").env("HF_LOG", "warn").start()
}

/// Makes so many Renders, as fast as the API server takes them.
fn create(stage: &Stage, count: usize) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let renders: Api<crds::Render> = Api::namespaced(client(&stage.cluster.kubeconfig()).await, stage.namespace);
        let made = (0..count).map(|number| {
            let text = format!(
                "{{apiVersion: hyperframes.io/v1alpha1, kind: Render, metadata: {{name: r{number}}}, \
                 spec: {{source: {{path: site}}, variables: {{number: {number}}}}}}}"
            );
            let (render, renders) = (serde_yaml::from_str(&text).unwrap(), renders.clone());
            async move { renders.create(&PostParams::default(), &render).await.map(drop) }
        });
        futures::stream::iter(made).buffer_unordered(16).for_each(async |made| made.unwrap()).await;
    });
}

/// Waits until so many Renders are finished; the most memory that the operator had.
fn finished(operator: &Operator, count: usize) -> u64 {
    let (begin, mut memory) = (Instant::now(), 0);
    while number(operator, "hyperframes_renders{state=\"Completed\"}") < count as f64 {
        assert!(begin.elapsed() < MOST * u32::try_from(count).unwrap(), "it does not get there");
        memory = memory.max(resident_memory(operator.process.pid()));
        thread::sleep(LOOK);
    }
    memory
}

/// Requests to the API server but for watches.
fn calls(operator: &Operator) -> f64 {
    let all = numbers(operator, "hyperframes_api_requests_total{");
    all.iter().filter(|(name, _)| !name.contains("\"watch\"")).map(|(_, number)| number).sum()
}

fn number(operator: &Operator, name: &str) -> f64 {
    numbers(operator, name).first().map_or(0.0, |(_, number)| *number)
}

/// What the operator counts under names that begin so.
fn numbers(operator: &Operator, name: &str) -> Vec<(String, f64)> {
    let Some((_, text)) = operator.ask("/metrics") else { return Vec::new() };
    let lines = text.lines().filter(|line| line.starts_with(name));
    let numbers = lines.filter_map(|line| line.rsplit_once(' '));
    numbers.map(|(name, number)| (name.to_owned(), number.parse().unwrap())).collect()
}

/// Seconds of a processor that a process has had.
fn processor_time(operator: &Operator) -> f64 {
    const TICKS_A_SECOND: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{}/stat", operator.process.pid())).unwrap();
    let (_, fields) = stat.rsplit_once(')').unwrap();
    let ticks = fields.split_whitespace().skip(11).take(2).map(|field| field.parse::<f64>().unwrap());
    ticks.sum::<f64>() / TICKS_A_SECOND
}
