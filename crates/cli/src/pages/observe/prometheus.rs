//! A process's page for Prometheus, in OpenMetrics text: counters end in `_total`, names contain
//! units, and values of one replica, server or outcome have that as their label.

use std::fmt;

use cluster::ServerStatus;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::{Registry, Unit};
use sync_replicas::record::{Activity, Histogram, ReplicaActivity};

/// The sources of the page.
#[derive(Debug)]
struct Page {
    status: Option<ServerStatus>,
    activity: Option<Activity>,
}

/// The page.
pub(super) fn page(status: Option<ServerStatus>, activity: Option<Activity>) -> String {
    let mut registry = Registry::with_prefix("sync_replicas");
    registry.register_collector(Box::new(Page { status, activity }));
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = encode(&mut text, &registry);
    text
}

impl Collector for Page {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Writer(encoder);
        if let Some(status) = &self.status {
            page.server(status)?;
            page.coordinator(status)?;
        }
        if let Some(activity) = &self.activity {
            page.training(activity)?;
            page.replicas(activity)?;
        }
        Ok(())
    }
}

/// The owner of the values: a label, and its value.
type Label = (&'static str, String);

struct Writer<'e>(DescriptorEncoder<'e>);

impl Writer<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&value)
    }

    fn gauge_of(&mut self, (name, unit): (&str, Unit), help: &str, value: f64) -> fmt::Result {
        self.0.encode_descriptor(name, help, Some(&unit), MetricType::Gauge)?.encode_gauge(&value)
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        count(&mut metric, value)
    }

    /// A metric with a value for each of several labels.
    fn family<V>(
        &mut self,
        (name, unit, kind): (&str, Option<Unit>, MetricType),
        help: &str,
        values: impl IntoIterator<Item = (Vec<Label>, V)>,
        write: impl Fn(&mut MetricEncoder<'_>, V) -> fmt::Result,
    ) -> fmt::Result {
        let mut metric = self.0.encode_descriptor(name, help, unit.as_ref(), kind)?;
        for (labels, value) in values {
            write(&mut metric.encode_family(&labels)?, value)?;
        }
        Ok(())
    }

    fn server(&mut self, it: &ServerStatus) -> fmt::Result {
        self.gauge("generation", "Life of the shared state", it.generation as f64)?;
        self.gauge("global_step", "Updates of this server's variables", it.global_step as f64)?;
        let memory = "Memory of this process that is in use";
        self.gauge_of(("resident_memory", Unit::Bytes), memory, it.usage.memory_bytes as f64)?;
        if it.parts == 0 {
            // In one process there is no server.
            return Ok(());
        }
        self.gauge("elements", "Elements of the variables that it owns", it.elements as f64)?;
        let staged = "Contributions that are not committed";
        self.gauge_of(("staged", Unit::Bytes), staged, it.staged_bytes as f64)?;
        let connected = "Replicas that are connected";
        self.gauge("connected_replicas", connected, it.connected as f64)?;
        self.counter("received_bytes", "Payload received", it.usage.received_bytes)?;
        self.counter("snapshots", "Snapshots of the variables sent", it.snapshots)?;
        self.counter("bad_messages", "Invalid messages", it.bad_messages)?;
        let Some(counts) = &it.refusals else { return Ok(()) };
        let reasons = [
            ("missing", counts.missing),
            ("malformed", counts.malformed),
            ("wrong_key", counts.wrong_key),
            ("expired", counts.expired),
            ("replayed", counts.replayed),
            ("flooded", counts.flooded),
        ];
        let reasons = reasons.map(|(reason, count)| (vec![("reason", reason.to_owned())], count));
        let help = "Calls refused for want of the key";
        self.family(("refused_calls", None, MetricType::Counter), help, reasons, count)
    }

    fn coordinator(&mut self, status: &ServerStatus) -> fmt::Result {
        let Some(it) = &status.coordinator else { return Ok(()) };
        let pace = status.updates_per_second.unwrap_or_default();
        self.gauge("updates_per_second", "Updates a second, lately", pace)?;
        if !status.servers.is_empty() {
            let up = status.servers.iter().filter(|it| it.up).count();
            self.gauge("servers_up", "Parameter servers that are connected", up as f64)?;
            self.gauge("servers", "Parameter servers that there are", status.servers.len() as f64)?;
        }
        let ended = f64::from(u8::from(it.ended.is_some()));
        self.gauge("training_ended", "1 once training has ended", ended)?;
        let needed = it.replicas_to_aggregate as f64;
        self.gauge("replicas_to_aggregate", "Gradients that make an update", needed)?;
        self.gauge("total_num_replicas", "Replicas that there are", it.total_num_replicas as f64)?;
        self.gauge("tokens", "Tokens in the queue", it.tokens as f64)?;
        self.gauge("gradients", "Gradients that the open step holds", it.gradients as f64)?;
        let gauge = |metric: &mut MetricEncoder<'_>, value: f64| metric.encode_gauge(&value);
        let label = |replica: u64| vec![("replica", replica.to_string())];
        let up = it
            .replicas
            .iter()
            .map(|it| (label(it.replica), f64::from(u8::from(it.silent_seconds.is_some()))));
        let help = "1 while the replica is a member";
        self.family(("replica_up", None, MetricType::Gauge), help, up, gauge)?;
        let held = it.waiting_for.iter().map(|(replica, seconds)| (label(*replica), *seconds));
        let help = "How long the replica has had the token that it holds";
        let held_name = ("replica_token_held", Some(Unit::Seconds), MetricType::Gauge);
        self.family(held_name, help, held, gauge)?;
        let expired = it.replicas.iter().map(|it| (label(it.replica), it.expired));
        let help = "Tokens that went to another, since a lease or the time for a step ran out";
        self.family(("replica_tokens_expired", None, MetricType::Counter), help, expired, count)
    }

    fn training(&mut self, it: &Activity) -> fmt::Result {
        self.counter("updates", "Updates made", it.updates)?;
        self.counter("examples", "Examples in updates", it.examples)?;
        let steps = "From one update to the next";
        self.histogram(("step", Some(Unit::Seconds)), steps, [(Vec::new(), &it.step_seconds)])?;
        let updates = it.update_seconds.iter();
        let updates = updates.map(|(server, it)| (vec![("server", server.to_string())], it));
        let help = "A server's part of an update";
        self.histogram(("update", Some(Unit::Seconds)), help, updates)?;
        let stale = "By how many steps gradients came too late; 0 for those that did not";
        self.histogram(("gradient_staleness_steps", None), stale, [(Vec::new(), &it.staleness)])?;
        let saves = "Writing a checkpoint";
        let seconds = Some(Unit::Seconds);
        self.histogram(("checkpoint", seconds), saves, [(Vec::new(), &it.save_seconds)])?;
        let outcomes = [("written", it.save_seconds.count()), ("failed", it.failed_saves)];
        let outcomes = outcomes.map(|(name, count)| (vec![("outcome", name.to_owned())], count));
        let help = "Checkpoints, by what became of them";
        self.family(("checkpoints", None, MetricType::Counter), help, outcomes, count)?;
        let sizes = [(Vec::new(), &it.save_bytes)];
        self.histogram(("checkpoint_size", Some(Unit::Bytes)), "Size of a checkpoint", sizes)
    }

    fn replicas(&mut self, it: &Activity) -> fmt::Result {
        let each = || it.replicas.iter().map(|(id, it)| (("replica", id.get().to_string()), it));
        let outcomes = each().flat_map(|(replica, it)| {
            outcomes(it).map(|(outcome, count)| {
                (vec![replica.clone(), ("outcome", outcome.to_owned())], count)
            })
        });
        let help = "Batches, by what came of them";
        self.family(("replica_batches", None, MetricType::Counter), help, outcomes, count)?;
        type Times = fn(&ReplicaActivity) -> &Histogram;
        let times: [(&str, &str, Times); 4] = [
            ("replica_compute", "Computing a batch, also one that was given up", |it| {
                &it.compute_seconds
            }),
            ("replica_wait", "Waiting for a token", |it| &it.wait_seconds),
            ("replica_send", "Sending gradients to the servers", |it| &it.send_seconds),
            ("replica_lookup", "Looking up the rows of a batch", |it| &it.lookup_seconds),
        ];
        for (name, help, of) in times {
            let values = each().map(|(replica, it)| (vec![replica], of(it)));
            self.histogram((name, Some(Unit::Seconds)), help, values)?;
        }
        type Count = fn(&ReplicaActivity) -> u64;
        let counts: [(&str, &str, Count); 3] = [
            ("replica_sent_bytes", "Gradients sent to servers", |it| it.sent_bytes),
            ("replica_received_bytes", "Variables and rows received", |it| it.received_bytes),
            ("replica_failures", "How often it failed", |it| it.failures),
        ];
        for (name, help, of) in counts {
            let values = each().map(|(replica, it)| (vec![replica], of(it)));
            self.family((name, None, MetricType::Counter), help, values, count)?;
        }
        Ok(())
    }

    fn histogram<'h>(
        &mut self,
        (name, unit): (&str, Option<Unit>),
        help: &str,
        values: impl IntoIterator<Item = (Vec<Label>, &'h Histogram)>,
    ) -> fmt::Result {
        self.family((name, unit, MetricType::Histogram), help, values, |metric, it| {
            let buckets: Vec<_> = it.buckets().collect();
            metric.encode_histogram::<NoLabelSet>(it.sum(), it.count(), &buckets, None)
        })
    }
}

fn count(metric: &mut MetricEncoder<'_>, value: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, u64, f64>(&value, None)
}

fn outcomes(it: &ReplicaActivity) -> [(&'static str, u64); 5] {
    [
        ("accepted", it.accepted),
        ("stale", it.stale),
        ("duplicate", it.duplicates),
        ("not_finite", it.not_finite),
        ("superseded", it.superseded),
    ]
}

#[cfg(test)]
mod tests;
