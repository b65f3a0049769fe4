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

use crate::args::CollectorUrl;

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
    pub(super) fn new(url: &CollectorUrl, resource: Resource) -> Self {
        let endpoint = Endpoint::from(url.uri().clone());
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

fn words(status: &Status) -> String {
    with_causes(format!("{}: {}", status.code(), status.message()), status)
}
