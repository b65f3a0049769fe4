//! Metrics of a parameter server in Prometheus's text format, on a port of loopback.
//!
//! Each scrape asks the server for its status as `sync-replicas status` does: nothing is counted
//! here. Invariant: a scrape that fails never holds up training.

use std::convert::Infallible;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use cluster::client::Connector;
use cluster::server::ServerStatus;
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;

use crate::error::Error;
use crate::ports;

/// What Prometheus and people with a browser take.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// A number that may be a fraction.
type Number = Gauge<f64, AtomicU64>;

/// Serves until the process ends.
///
/// # Errors
/// When the port is taken: a user who asked for metrics counts on them.
pub(super) fn serve(reach: Connector, server: usize, port: u16) -> Result<(), Error> {
    let listener = ports::bind_metrics(port)?;
    listener.set_nonblocking(true).map_err(Error::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::failed)?;
    std::thread::spawn(move || {
        if let Err(error) = runtime.block_on(listen(reach, server, listener)) {
            tracing::warn!(%error, port, "no metrics");
        }
    });
    Ok(())
}

async fn listen(
    reach: Connector,
    server: usize,
    listener: std::net::TcpListener,
) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is free, perhaps; the next scrape may find one.
                tracing::debug!(%error, "a scrape was not accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let reach = reach.clone();
        let page = service_fn(move |request| page(reach.clone(), server, request));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), page);
        // A scraper that went away in the middle comes back for the next scrape.
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a scrape broke off");
            }
        });
    }
}

/// The page for one request.
async fn page<B>(
    reach: Connector,
    server: usize,
    request: Request<B>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (code, text) = if request.uri().path() != "/metrics" {
        (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".to_owned())
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        (StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n".to_owned())
    } else {
        match cluster::status(&reach, server).await {
            Ok(status) => (StatusCode::OK, text(&status)),
            Err(error) => (StatusCode::SERVICE_UNAVAILABLE, format!("{error}\n")),
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    Ok(response)
}

/// A status as Prometheus reads it.
fn text(status: &ServerStatus) -> String {
    let mut registry = Registry::with_prefix("sync_replicas");
    let mut set = |name: &str, help: &str, value: f64| {
        let gauge = Number::default();
        gauge.set(value);
        registry.register(name, help, gauge);
    };
    set("generation", "Life of the shared state", status.generation as f64);
    set("global_step", "Updates of this server's variables", status.global_step as f64);
    set("elements", "Elements of the variables that it owns", status.elements as f64);
    set("staged_bytes", "Bytes of contributions not committed", status.staged_bytes as f64);
    set("connected_replicas", "Replicas that are connected", status.connected as f64);
    set("received_bytes", "Payload bytes received", status.received_bytes as f64);
    set("snapshots", "Snapshots of the variables sent", status.snapshots as f64);
    set("bad_messages", "Messages that made no sense", status.bad_messages as f64);
    set("checkpoints", "Checkpoints written", status.checkpoints as f64);
    let failed = status.failed_checkpoints as f64;
    set("failed_checkpoints", "Checkpoints that were not written", failed);
    if let Some(pace) = status.updates_per_second {
        set("updates_per_second", "Updates a second, lately", pace);
    }
    if let Some(it) = &status.coordinator {
        set("tokens", "Tokens in the queue", it.tokens as f64);
        set("gradients", "Gradients that the open step holds", it.gradients as f64);
        set("batches", "Batches pushed", it.totals.batches as f64);
        set("accepted", "Batches that became part of an update", it.totals.accepted as f64);
        set("stale", "Batches dropped as stale", it.totals.stale as f64);
        set("duplicates", "Batches whose share another had", it.totals.duplicates as f64);
        let alive = it.replicas.iter().filter(|it| it.silent_seconds.is_some()).count();
        set("live_replicas", "Replicas that are members", alive as f64);
        let waiting = it.waiting_for.iter().map(|(_, seconds)| *seconds).fold(0.0, f64::max);
        set("longest_wait_seconds", "How long the slowest holder has had its token", waiting);
    }
    if let Some(counts) = &status.refusals {
        let refused = Family::<Vec<(String, String)>, Gauge>::default();
        let reasons = [
            ("missing", counts.missing),
            ("malformed", counts.malformed),
            ("wrong_key", counts.wrong_key),
            ("expired", counts.expired),
            ("replayed", counts.replayed),
            ("flooded", counts.flooded),
        ];
        for (reason, count) in reasons {
            let label = vec![("reason".to_owned(), reason.to_owned())];
            refused.get_or_create(&label).set(i64::try_from(count).unwrap_or(i64::MAX));
        }
        registry.register("refused_calls", "Calls refused for want of the key", refused);
    }
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}
