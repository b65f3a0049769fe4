//! What a process shows to a browser or to Prometheus: three pages.
//!
//! They are made from what this very process knows, at most once a second: a viewer needs no key,
//! makes no call in another's name, and costs little (P-27). Nothing here changes anything.
//! Invariant: a failed view never holds up training.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{ACCEPT, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HOST};
use hyper::http::uri::Authority;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::events::{self, Live};
use super::{Observed, prometheus};
use crate::error::Error;
use crate::lock::lock;

/// What Prometheus asks for, and what a browser shows.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const EVENTS: &str = "text/event-stream";

/// The page may run its own script, and ask its own server.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'";

/// The page, with the style of a run's report.
static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
    let style = include_str!("../html_report/style.css");
    include_str!("live.html").replace("/*STYLE*/", style).into()
});

/// How long the same metrics are shown.
const FRESH: Duration = Duration::from_secs(1);

/// How long a caller may take to ask and to read, and how many there may be: more wait, for less
/// than a scrape does.
const PATIENCE: Duration = Duration::from_secs(4);
const CALLERS: usize = 32;
/// How many of them may watch, and for how long; a browser comes again by itself.
const WATCHERS: usize = 8;
const WATCH: Duration = Duration::from_secs(600);

type Body = BoxBody<Bytes, Infallible>;

/// The sources of the answers.
struct Pages {
    observed: Observed,
    is_local: bool,
    /// The metrics, and when they were made.
    metrics: Mutex<Option<(Instant, Bytes)>>,
    live: Arc<Live>,
    watchers: Arc<Semaphore>,
}

/// Serves until the process ends; returns the address.
///
/// # Errors
/// When the system gives no thread or no socket.
pub(crate) fn serve(
    observed: Observed,
    listener: std::net::TcpListener,
) -> Result<SocketAddr, Error> {
    let address = listener.local_addr().map_err(Error::failed)?;
    listener.set_nonblocking(true).map_err(Error::failed)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(Error::failed)?;
    let pages = Arc::new(Pages {
        live: Live::of(observed.clone()),
        observed,
        is_local: address.ip().is_loopback(),
        metrics: Mutex::new(None),
        watchers: Arc::new(Semaphore::new(WATCHERS)),
    });
    std::thread::spawn(move || {
        if let Err(error) = runtime.block_on(listen(pages, listener)) {
            tracing::warn!(%error, %address, "no metrics");
        }
    });
    Ok(address)
}

async fn listen(pages: Arc<Pages>, listener: std::net::TcpListener) -> std::io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let callers = Arc::new(Semaphore::new(CALLERS));
    loop {
        // Fails only when the semaphore is closed, which never happens.
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
        let pages = Arc::clone(&pages);
        tokio::spawn(serve_one(pages, stream, caller));
    }
}

/// One question and its answer. A viewer has its own place, and time.
async fn serve_one(pages: Arc<Pages>, stream: TcpStream, caller: OwnedSemaphorePermit) {
    let watches = Arc::new(AtomicBool::new(false));
    let told = Arc::clone(&watches);
    let answer = service_fn(move |request| {
        let answer = pages.answer(&request, &told);
        std::future::ready(Ok::<_, Infallible>(answer))
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(PATIENCE)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let mut ended = tokio::time::timeout(PATIENCE, &mut connection).await;
    drop(caller);
    if ended.is_err() && watches.load(Ordering::Relaxed) {
        ended = tokio::time::timeout(WATCH, connection).await;
    }
    // A scraper that went away in the middle, or says nothing, comes back for the next one.
    if let Ok(Err(error)) = ended {
        tracing::debug!(%error, "a scrape broke off");
    }
}

impl Pages {
    fn answer<B>(&self, request: &Request<B>, watches: &AtomicBool) -> Response<Body> {
        if self.is_local && !names_this_machine(request) {
            let text = "ask by localhost or a loopback address, or give --dashboard its address\n";
            return said(StatusCode::MISDIRECTED_REQUEST, TEXT, text);
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return said(StatusCode::METHOD_NOT_ALLOWED, TEXT, "GET is all there is\n");
        }
        match request.uri().path() {
            "/" => said(StatusCode::OK, HTML, PAGE.clone()),
            "/metrics" => self.metrics(request),
            "/events" => self.events(watches),
            _ => said(
                StatusCode::NOT_FOUND,
                TEXT,
                "the live page is at /, and metrics for Prometheus are at /metrics\n",
            ),
        }
    }

    fn metrics<B>(&self, request: &Request<B>) -> Response<Body> {
        let mut shown = lock(&self.metrics);
        let text = match shown.as_ref().filter(|(made, _)| made.elapsed() < FRESH) {
            Some((_, text)) => text.clone(),
            None => {
                let status = self.observed.status();
                let activity = self.observed.record.as_ref().map(|it| it.activity());
                if status.is_none() && activity.is_none() {
                    let text = "it does not serve yet\n";
                    return said(StatusCode::SERVICE_UNAVAILABLE, TEXT, text);
                }
                let text = Bytes::from(prometheus::page(status, activity));
                *shown = Some((Instant::now(), text.clone()));
                text
            }
        };
        let accepts = request.headers().get(ACCEPT).and_then(|it| it.to_str().ok());
        let is_asked = accepts.is_some_and(|it| it.contains("application/openmetrics-text"));
        said(StatusCode::OK, if is_asked { OPEN_METRICS } else { TEXT }, text)
    }

    /// The training as of now, and again each second.
    fn events(&self, watches: &AtomicBool) -> Response<Body> {
        let Ok(place) = Arc::clone(&self.watchers).try_acquire_owned() else {
            // A browser does not come again after another answer.
            return said(StatusCode::OK, EVENTS, "retry: 5000\nevent: full\ndata:\n\n");
        };
        watches.store(true, Ordering::Relaxed);
        let body = events::stream(Arc::clone(&self.live), place);
        response(StatusCode::OK, EVENTS, BodyExt::boxed(body))
    }
}

fn said(code: StatusCode, kind: &'static str, text: impl Into<Bytes>) -> Response<Body> {
    response(code, kind, Full::from(text.into()).boxed())
}

fn response(code: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = code;
    let headers = response.headers_mut();
    for (name, value) in
        [(CONTENT_TYPE, kind), (CACHE_CONTROL, "no-store"), (CONTENT_SECURITY_POLICY, POLICY)]
    {
        headers.insert(name, hyper::header::HeaderValue::from_static(value));
    }
    response
}

/// Whether a request is addressed to this machine. A web page whose name was made to mean a
/// loopback address asks by that name (DNS rebinding), and must not read this page.
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

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use cluster::ServerStatus;

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

    /// A page in this process; returns its address.
    fn served() -> SocketAddr {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let observed = Observed::new(|| Some(ServerStatus { parts: 1, ..Default::default() }));
        serve(observed, listener).expect("it serves")
    }

    fn asks(page: SocketAddr, path: &str) -> std::net::TcpStream {
        let mut stream = std::net::TcpStream::connect(page).expect("it listens");
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("it is heard");
        stream
    }

    // P-27: strangers who are silent hold no scrape for longer than one is waited for, and those
    // who watch hold none at all.
    #[test]
    fn a_scrape_is_answered_whoever_else_calls() {
        let page = served();
        let silent = || std::net::TcpStream::connect(page).expect("it listens");
        let silent: Vec<_> = (0..CALLERS + 8).map(|_| silent()).collect();
        let begun = Instant::now();
        let mut answer = String::new();
        asks(page, "/metrics").read_to_string(&mut answer).expect("it answers, and ends");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        let seconds = begun.elapsed().as_secs();
        assert!(seconds < 10, "it took {seconds} s");
        drop(silent);
    }

    // A browser comes again only after an answer of this kind.
    #[test]
    fn one_who_may_not_watch_is_told_to_come_again() {
        let page = served();
        let mut watchers: Vec<_> = (0..WATCHERS).map(|_| asks(page, "/events")).collect();
        for watcher in &mut watchers {
            // Until it has its place.
            watcher.read_exact(&mut [0]).expect("it is told");
        }
        let mut answer = String::new();
        asks(page, "/events").read_to_string(&mut answer).expect("it answers, and ends");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
        assert!(answer.contains("retry: 5000\nevent: full\n"), "{answer}");
        let mut answer = String::new();
        asks(page, "/metrics").read_to_string(&mut answer).expect("it answers, and ends");
        assert!(answer.contains("sync_replicas_generation"), "{answer}");
    }
}
