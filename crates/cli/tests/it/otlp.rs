//! `--otlp URL`: what a collector receives, and what becomes of a training whose collector is not
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::net::TcpListener;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::Value as Json;
use tokio::sync::oneshot;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::program::{folder, json, run, train};

/// A collector on this machine, which keeps all that it is sent.
struct Collector {
    url: String,
    received: Receiver<ExportTraceServiceRequest>,
    goes_on: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

struct Keeper(Sender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Keeper {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.send(request.into_inner()).map_err(|_| Status::aborted("the test is over"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

impl Collector {
    fn start() -> Self {
        let (listener, url) = listen();
        let (sender, received) = channel();
        let (goes_on, end) = oneshot::channel();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("there are threads").block_on(async {
                listener.set_nonblocking(true).expect("it is a socket");
                let listener = tokio::net::TcpListener::from_std(listener).expect("it listens");
                let serving = Server::builder().serve_with_incoming_shutdown(
                    TraceServiceServer::new(Keeper(sender)),
                    TcpIncoming::from(listener),
                    async { drop(end.await) },
                );
                serving.await.expect("it serves");
            });
        });
        Self { url, received, goes_on, thread }
    }

    /// All that was received.
    #[track_caller]
    fn end(self) -> Traces {
        drop(self.goes_on);
        self.thread.join().expect("it ends");
        let mut traces = Traces::default();
        for request in self.received {
            for spans in request.resource_spans {
                let resource = spans.resource.expect("it says who it is").attributes;
                traces.senders.insert(text(&resource, "service.instance.id"));
                traces.runs.insert(text(&resource, "sync_replicas.run"));
                assert_eq!(text(&resource, "service.name"), "sync-replicas");
                traces.spans.extend(spans.scope_spans.into_iter().flat_map(|it| it.spans));
            }
        }
        traces.check();
        traces
    }
}

/// A port of this machine that somebody listens on, as an address of a collector.
fn listen() -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    (listener, url)
}

#[track_caller]
fn value<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a Value> {
    attributes.iter().find(|it| it.key == key)?.value.as_ref()?.value.as_ref()
}

#[track_caller]
fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(Value::StringValue(it)) => it.clone(),
        other => panic!("{key}: {other:?}"),
    }
}

fn number(span: &Span, key: &str) -> Option<i64> {
    match value(&span.attributes, &format!("sync_replicas.{key}"))? {
        Value::IntValue(it) => Some(*it),
        other => panic!("{key}: {other:?}"),
    }
}

/// What a collector has received.
#[derive(Default)]
struct Traces {
    senders: BTreeSet<String>,
    runs: BTreeSet<String>,
    spans: Vec<Span>,
}

impl Traces {
    /// A trace is a step, and what counted in it lies in its own span.
    #[track_caller]
    fn check(&self) {
        let mut steps: BTreeMap<&[u8], i64> = BTreeMap::new();
        let mut own: BTreeMap<&[u8], &Span> = BTreeMap::new();
        for span in &self.spans {
            assert_eq!((span.trace_id.len(), span.span_id.len()), (16, 8));
            let step = number(span, "step").expect("each is of a step");
            assert_eq!(*steps.entry(&span.trace_id).or_insert(step), step);
            assert!(span.start_time_unix_nano <= span.end_time_unix_nano);
            if span.name == "step" {
                assert!(own.insert(&span.span_id, span).is_none(), "step {step} is there twice");
            }
        }
        assert_eq!(steps.len(), steps.values().collect::<BTreeSet<_>>().len());
        let ids: BTreeSet<_> = self.spans.iter().map(|it| &it.span_id).collect();
        assert_eq!(ids.len(), self.spans.len());
        for span in self.spans.iter().filter(|span| span.name != "step") {
            let step = own.get(span.parent_span_id.as_slice()).expect("its step has a span");
            assert_eq!(step.trace_id, span.trace_id);
            let counts = value(&span.attributes, "sync_replicas.outcome")
                .is_some_and(|it| *it == Value::StringValue("accepted".to_owned()));
            if counts || span.name == "update" {
                assert!(span.start_time_unix_nano >= step.start_time_unix_nano, "{span:?}");
                assert!(span.end_time_unix_nano <= step.end_time_unix_nano, "{span:?}");
            }
        }
    }

    fn named(&self, name: &str) -> impl Iterator<Item = &Span> {
        self.spans.iter().filter(move |span| span.name == name)
    }

    fn outcomes(&self, outcome: &str) -> usize {
        let outcome = Value::StringValue(outcome.to_owned());
        let of = |span: &&Span| value(&span.attributes, "sync_replicas.outcome") == Some(&outcome);
        self.named("compute").filter(of).count()
    }

    /// Which of these ids spans of this name have.
    fn ids(&self, name: &str, key: &str) -> BTreeSet<i64> {
        self.named(name).filter_map(|span| number(span, key)).collect()
    }

    /// Which updates steps have made, and that each made one.
    fn updates(&self) -> Vec<i64> {
        let mut updates: Vec<_> =
            self.named("step").filter_map(|span| number(span, "update")).collect();
        updates.sort_unstable();
        updates
    }
}

fn run_of(folder: &Path) -> String {
    let file = std::fs::read_to_string(folder.join("run.json")).expect("is written");
    let file: Json = serde_json::from_str(&file).expect("is JSON");
    file["run"].as_str().expect("is text").to_owned()
}

// P-7: what became of each batch can be seen, step by step.
#[test]
fn a_training_in_one_process_is_a_trace_for_each_step() {
    let (folder, collector) = (folder(), Collector::start());
    let options = ["--updates", "200", "--straggler", "4=5", "--save-every", "50"];
    let files = ["--out", "run", "--otlp", &collector.url];
    let before = std::time::SystemTime::now();
    let summary = train(folder.path(), &[&options[..], &files].concat());
    let traces = collector.end();
    assert!(traces.runs.iter().eq([&run_of(&folder.path().join("run"))]));
    assert_eq!(traces.senders.len(), 1);
    assert!(traces.updates().into_iter().eq(1..=200), "{:?}", traces.updates());
    assert!(traces.ids("compute", "replica").into_iter().eq(0..5));
    assert_eq!(traces.named("update").count(), 200);
    let count = |key: &str| summary[key].as_u64().expect("is a count") as usize;
    assert_eq!(traces.outcomes("accepted"), count("accepted") + count("unused"));
    assert_eq!(traces.outcomes("superseded"), count("superseded"));
    assert_eq!(traces.outcomes("stale"), count("stale"));
    // Before the first update, after every fiftieth; the last of them is the end.
    assert_eq!(traces.named("checkpoint").count(), 5);
    let nanos = |time: std::time::SystemTime| {
        time.duration_since(std::time::UNIX_EPOCH).expect("is later").as_nanos() as u64
    };
    let times = nanos(before)..=nanos(std::time::SystemTime::now());
    let steps: Vec<_> = traces.named("step").collect();
    let is_now = |span: &&Span| times.contains(&span.start_time_unix_nano);
    assert!(steps.iter().all(is_now), "the clock is everybody's");
}

/// Two servers and two workers, whatever they train.
#[track_caller]
fn check_cluster(options: &[&str], program: &[&str]) {
    let (folder, collector) = (folder(), Collector::start());
    let sizes = ["launch", "--ps", "2", "--workers", "2"];
    let files = ["--out", "a", "--quiet", "--otlp", &collector.url];
    let said = run(folder.path(), &[&sizes[..], &files, options, program].concat());
    assert_eq!(said.status, 0, "{}", said.err);
    let traces = collector.end();
    assert!(traces.runs.iter().eq([&run_of(&folder.path().join("a"))]));
    assert_eq!(traces.senders.len(), 1, "one process tells of all");
    assert!(traces.updates().into_iter().eq(1..=60), "{:?}", traces.updates());
    let mut of_step: BTreeMap<&[u8], BTreeSet<String>> = BTreeMap::new();
    for span in &traces.spans {
        let who = [("replica", number(span, "replica")), ("server", number(span, "server"))];
        for (kind, id) in who.iter().filter_map(|(kind, id)| Some((kind, (*id)?))) {
            of_step.entry(&span.trace_id).or_default().insert(format!("{kind} {id}"));
        }
    }
    let all = ["replica 0", "replica 1", "server 0", "server 1"];
    for span in traces.named("step").filter(|span| number(span, "update").is_some()) {
        assert!(of_step[span.trace_id.as_slice()].iter().eq(all), "{of_step:?}");
    }
    assert!(traces.ids("send", "replica").into_iter().eq(0..2));
}

#[test]
fn one_trace_spans_the_processes_of_a_cluster() {
    check_cluster(&["--updates", "60"], &[]);
}

#[cfg(target_os = "linux")]
#[test]
fn one_trace_spans_the_processes_of_any_program() {
    let program = crate::own_program::own_model().display().to_string();
    check_cluster(&[], &["--", &program, "--updates", "60"]);
}

// P-29: a view that fails ends no training, and is told of once.
#[test]
fn a_collector_that_is_away_or_hangs_costs_a_warning() {
    #[track_caller]
    fn check(url: &str, expected: &str) {
        let folder = folder();
        let options = ["train", "--updates", "300", "--straggler", "4=5", "--out", "a"];
        let begun = Instant::now();
        let said = run(folder.path(), &[&options[..], &["--json", "--otlp", url]].concat());
        let took = begun.elapsed();
        assert_eq!(said.status, 0, "{}", said.err);
        let seconds = json(&said.out)["seconds"].as_f64().expect("a number");
        // Two seconds, and the machine's own time.
        assert!(took < Duration::from_secs_f64(seconds + 12.0), "{took:?} for {seconds} s");
        let warnings = said.err.lines().filter(|line| line.contains("for the collector are lost"));
        let warnings: Vec<_> = warnings.collect();
        assert_eq!(warnings.len(), 1, "{}", said.err);
        assert!(warnings[0].contains(expected), "{}", said.err);
    }
    let (listener, url) = listen();
    // It is connected to, and never answers.
    check(&url, "within 1 s");
    drop(listener);
    check(&url, "onnect");
}

// P-4: nothing is begun.
#[test]
fn an_address_that_is_none_is_refused() {
    for command in [&["train", "--quiet"][..], &["launch", "--workers", "2"]] {
        let folder = folder();
        let args = ["--updates", "3", "--out", "run", "--otlp", "collector:4317"];
        let said = run(folder.path(), &[command, &args].concat());
        assert_eq!(said.status, 2, "{}", said.err);
        let expected = "expected http://HOST:PORT of a collector that takes OTLP";
        for words in ["'collector:4317'", "--otlp", expected] {
            assert!(said.err.contains(words), "{}", said.err);
        }
        assert_eq!(std::fs::read_dir(&folder).expect("is there").count(), 0);
    }
}
