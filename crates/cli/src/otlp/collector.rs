//! The connection to a collector: spans out, and whether they were taken.
//!
//! It is made when there is something to send, and again after it broke.

use std::iter::once;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::InstrumentationScope;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use sync_replicas::driver::with_causes;
use tonic::Status;
use tonic::transport::{Channel, Endpoint};

use crate::error::{Error, UsageError};

/// Spans in one message; some 300 bytes each, and a collector takes 4 MiB by default.
const MOST: usize = 4096;

/// Where spans go.
#[derive(Debug)]
pub(super) struct Collector {
    client: TraceServiceClient<Channel>,
    resource: Resource,
}

impl Collector {
    /// Call it in a tokio runtime, which will carry the connection.
    pub(super) fn new(endpoint: &Endpoint, resource: Resource) -> Self {
        Self { client: TraceServiceClient::new(endpoint.connect_lazy()), resource }
    }

    /// Sends spans; if a message is not taken, its spans and those after it are lost.
    ///
    /// # Errors
    /// In words.
    pub(super) async fn send(&mut self, spans: Vec<Span>) -> Result<(), String> {
        let mut spans = spans.into_iter().peekable();
        while spans.peek().is_some() {
            let message = self.message(spans.by_ref().take(MOST).collect());
            let answer = self.client.export(message).await.map_err(|status| words(&status))?;
            let refused = answer.into_inner().partial_success;
            if let Some(refused) = refused.filter(|it| it.rejected_spans > 0) {
                let (count, why) = (refused.rejected_spans, refused.error_message);
                return Err(format!("it took all but {count} of them: {why}"));
            }
        }
        Ok(())
    }

    fn message(&self, spans: Vec<Span>) -> ExportTraceServiceRequest {
        let scope = InstrumentationScope {
            name: "sync-replicas".to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ..InstrumentationScope::default()
        };
        let spans = ScopeSpans { scope: Some(scope), spans, schema_url: String::new() };
        let resource_spans = ResourceSpans {
            resource: Some(self.resource.clone()),
            scope_spans: vec![spans],
            schema_url: String::new(),
        };
        ExportTraceServiceRequest { resource_spans: once(resource_spans).collect() }
    }
}

/// Where a collector is.
///
/// # Errors
/// When it is not `http://HOST:PORT`.
pub(super) fn endpoint(url: &str) -> Result<Endpoint, Error> {
    let refused = || {
        let expected = "http://HOST:PORT of a collector that takes OTLP over gRPC, usually on port \
                        4317 (one with TLS is reached by way of a collector on this machine)";
        Error::from(UsageError::number("--otlp", expected, url))
    };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|_| refused())?;
    let uri = endpoint.uri();
    let has_place = uri.host().is_some_and(|host| !host.is_empty()) && uri.port_u16().is_some();
    let is_whole = uri.scheme_str() == Some("http") && has_place;
    // What it would be told besides is not of gRPC.
    let is_bare = ["", "/"].contains(&uri.path()) && uri.query().is_none();
    let has_no_user = uri.authority().is_some_and(|it| !it.as_str().contains('@'));
    (is_whole && is_bare && has_no_user).then_some(endpoint).ok_or_else(refused)
}

fn words(status: &Status) -> String {
    with_causes(format!("{}: {}", status.code(), status.message()), status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_collector_is_at_a_host_and_a_port() {
        #[track_caller]
        fn check(url: &str, is_taken: bool) {
            let told = endpoint(url).map(drop).map_err(|error| error.to_string());
            assert_eq!(told.is_ok(), is_taken, "{url}: {told:?}");
            let words = "--otlp: expected http://HOST:PORT of a collector that";
            assert!(told.err().is_none_or(|it| it.starts_with(words) && it.ends_with(url)));
        }
        check("http://collector:4317", true);
        check("http://127.0.0.1:4317/", true);
        check("http://[::1]:4317", true);
        for url in ["", "collector", "collector:4317", ":4317", "http://", "http://:4317"] {
            check(url, false);
        }
        // HTTP's own port is no collector's, and so is no default.
        check("http://collector", false);
        check("https://collector:4317", false);
        check("http://collector:65536", false);
        check("http://collector:4318/v1/traces", false);
        check("http://collector:4317?key=1", false);
        check("http://name:word@collector:4317", false);
        check("http://coll ector:4317", false);
    }
}
