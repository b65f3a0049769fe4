//! Attributes: how a span, and the program that sends it, describe themselves.
//!
//! OpenTelemetry's names are used as it defines them; all others begin with `sync_replicas`.

use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use sync_replicas::checkpoint::RunId;
use sync_replicas::record::Span;

use crate::system::host_time::host;

/// One attribute.
pub(super) fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, key_strindex: 0 }
}

/// A number, capped at OpenTelemetry's largest.
pub(super) fn number(key: &str, value: u64) -> KeyValue {
    integer(key, i64::try_from(value).unwrap_or(i64::MAX))
}

pub(super) fn integer(key: &str, value: i64) -> KeyValue {
    attribute(key, Value::IntValue(value))
}

fn text(key: &str, value: impl Into<String>) -> KeyValue {
    attribute(key, Value::StringValue(value.into()))
}

/// The description of a replica's span beside its step.
pub(super) fn of_span(span: &Span) -> Vec<KeyValue> {
    let mut attributes = vec![number("sync_replicas.replica", span.replica.get())];
    attributes.extend(span.batch.map(|batch| number("sync_replicas.batch", batch)));
    if span.kind.is_batch() {
        attributes.push(text("sync_replicas.outcome", span.kind.name()));
    }
    if span.bytes > 0 {
        attributes.push(number("sync_replicas.bytes", span.bytes));
    }
    if span.staleness > 0 {
        attributes.push(number("sync_replicas.staleness", span.staleness));
    }
    attributes
}

/// The sender: this process of this run.
pub(super) fn resource(run: RunId) -> Resource {
    let (host, process) = (host(), std::process::id());
    let mut attributes = vec![
        text("service.name", "sync-replicas"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        // Another one in each life of the process.
        text("service.instance.id", format!("{run}-{process}")),
        number("process.pid", process.into()),
        text("sync_replicas.run", run.to_string()),
    ];
    if !host.is_empty() {
        attributes.push(text("host.name", host));
    }
    Resource { attributes, ..Resource::default() }
}
