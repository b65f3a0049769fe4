//! Metrics of a parameter server in Prometheus's text format.
//!
//! The page is made from what the server says in this very process, at most once a second: whoever
//! asks needs no key, makes no call in anybody's name, and costs little (P-27). Invariant: a scrape
//! that fails never holds up training.

use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use cluster::{ServerStatus, StatusHandle};
use http_body_util::Full;
use hyper::body::Bytes;
use hyper::header::{CONTENT_TYPE, HOST, HeaderValue};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::error::Error;
use crate::ports;

/// What Prometheus and people with a browser take.
const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");

/// How long a page is shown again.
const FRESH: Duration = Duration::from_secs(1);

/// How long a caller may take to say what it wants, and how many there may be: more wait.
const PATIENCE: Duration = Duration::from_secs(10);
const CALLERS: usize = 16;

/// A number that may be a fraction.
type Number = Gauge<f64, AtomicU64>;

/// The page, and when it was made.
type Shown = Arc<Mutex<Option<(Instant, Bytes)>>>;

/// Serves until the process ends.
///
/// # Errors
/// When the port is taken: a user who asked for metrics counts on them.
pub(super) fn serve(status: StatusHandle, address: IpAddr, port: u16) -> Result<(), Error> {
    let listener = ports::bind_metrics(address, port)?;
    listener.set_nonblocking(true).map_err(Error::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::failed)?;
    std::thread::spawn(move || {
        if let Err(error) = runtime.block_on(listen(status, listener)) {
            tracing::warn!(%error, port, "no metrics");
        }
    });
    Ok(())
}

async fn listen(status: StatusHandle, listener: std::net::TcpListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let is_local = listener.local_addr()?.ip().is_loopback();
    let (shown, callers) = (Shown::default(), Arc::new(Semaphore::new(CALLERS)));
    loop {
        // Fails only where the semaphore is closed, which nobody does.
        let Ok(caller) = Arc::clone(&callers).acquire_owned().await else { return Ok(()) };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No descriptor is free, perhaps; the next scrape may find one.
                tracing::debug!(%error, "a scrape was not accepted");
                tokio::time::sleep(Duration::from_secs(1)).await;
                continue;
            }
        };
        let (status, shown) = (status.clone(), Arc::clone(&shown));
        let page = service_fn(move |request| {
            std::future::ready(Ok::<_, Infallible>(page(&status, &shown, is_local, &request)))
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(PATIENCE)
            .serve_connection(TokioIo::new(stream), page);
        tokio::spawn(async move {
            // A scraper that went away in the middle, or says nothing, comes back for the next one.
            if let Ok(Err(error)) = tokio::time::timeout(6 * PATIENCE, connection).await {
                tracing::debug!(%error, "a scrape broke off");
            }
            drop(caller);
        });
    }
}

/// Whether a request is addressed to this machine. A web page whose name was made to mean a
/// loopback address asks by that name (DNS rebinding), and must not read what is here.
fn names_this_machine<B>(request: &Request<B>) -> bool {
    // HTTP/1.0 needs no such header, and no browser speaks it.
    let Some(host) = request.headers().get(HOST) else { return true };
    let Some(authority) = host.to_str().ok().and_then(|it| it.parse::<Authority>().ok()) else {
        return false;
    };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// The page for one request.
fn page<B>(
    status: &StatusHandle,
    shown: &Shown,
    is_local: bool,
    request: &Request<B>,
) -> Response<Full<Bytes>> {
    let (code, text) = if is_local && !names_this_machine(request) {
        let text = "ask by localhost or a loopback address, or give --metrics-listen\n";
        (StatusCode::MISDIRECTED_REQUEST, text.into())
    } else if request.uri().path() != "/metrics" {
        (StatusCode::NOT_FOUND, "the metrics are at /metrics\n".into())
    } else if request.method() != Method::GET && request.method() != Method::HEAD {
        (StatusCode::METHOD_NOT_ALLOWED, "GET is all there is\n".into())
    } else {
        let mut shown = shown.lock().unwrap_or_else(PoisonError::into_inner);
        match shown.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            Some((_, text)) => (StatusCode::OK, text.clone()),
            None => match status.get() {
                Some(status) => {
                    let text = Bytes::from(text(&status));
                    *shown = Some((Instant::now(), text.clone()));
                    (StatusCode::OK, text)
                }
                None => (StatusCode::SERVICE_UNAVAILABLE, "it does not serve yet\n".into()),
            },
        }
    };
    let mut response = Response::new(Full::from(text));
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, TEXT);
    response
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
    if status.coordinator.is_some() {
        let up = status.servers.iter().filter(|it| it.up).count();
        set("servers_up", "Parameter servers that are connected", up as f64);
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

#[cfg(test)]
mod tests {
    use super::*;

    // P-27
    #[test]
    fn a_page_on_this_machine_is_asked_for_by_its_own_names() {
        #[track_caller]
        fn check(host: Option<&str>, expected: bool) {
            let mut request = Request::builder().uri("/metrics");
            if let Some(host) = host {
                request = request.header(HOST, host);
            }
            let request = request.body(()).expect("a request");
            assert_eq!(names_this_machine(&request), expected, "{host:?}");
        }
        check(None, true);
        check(Some("localhost:9000"), true);
        check(Some("LOCALHOST"), true);
        check(Some("127.0.0.1:9000"), true);
        check(Some("127.8.0.1"), true);
        check(Some("[::1]:9000"), true);
        check(Some("evil.example:9000"), false);
        check(Some("localhost.evil.example"), false);
        check(Some("10.0.0.1:9000"), false);
        check(Some(""), false);
        check(Some("not a host"), false);
    }
}
