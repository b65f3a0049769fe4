//! The keys of a plan file, and what they mean together.

use std::collections::BTreeMap;
use std::time::Duration;

use engine::{Admission, InitialTokens, Settings, StepTimeout, SummationOrder, TokenPolicy};
use serde::Deserialize;
use toml::Spanned;

use super::{Churn, Event, Mode, Plan, PlanError, What};
use crate::distribution::{Correlation, Distribution, Seconds, time};
use crate::episodes::Episodes;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    name: Option<String>,
    about: Option<String>,
    mode: Option<Mode>,
    seed: Option<u64>,
    steps: Option<Spanned<u64>>,
    replicas_to_aggregate: Spanned<usize>,
    total_num_replicas: Option<Spanned<usize>>,
    preset: Option<Preset>,
    token_policy: Option<Policy>,
    initial_tokens: Option<usize>,
    tell_superseded: Option<bool>,
    order: Option<Spanned<OrderName>>,
    lease: Option<Limit>,
    step_timeout: Option<Timeout>,
    step_deadline: Option<Limit>,
    compute: Distribution,
    machine: Option<Spanned<Distribution>>,
    batch: Option<Spanned<Distribution>>,
    #[serde(default)]
    correlation: Correlation,
    #[serde(default)]
    episodes: Vec<Spanned<Episodes>>,
    network: Option<Distribution>,
    network_per_replica: Option<Seconds>,
    update: Option<Distribution>,
    #[serde(default)]
    replica: Vec<Spanned<Own>>,
    #[serde(default)]
    event: Vec<Spanned<EventEntry>>,
    churn: Option<Spanned<Churn>>,
}

#[derive(Clone, Copy, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
enum Preset {
    FrontDoor,
    Reference,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Policy {
    Discard,
    Keep,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OrderName {
    Arrival,
    Replica,
}

/// A length of time, or `"none"`.
#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a number of seconds, or \"none\"")]
enum Limit {
    Seconds(Seconds),
    None(NoLimit),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum NoLimit {
    None,
}

impl Limit {
    fn time(self) -> Option<Duration> {
        match self {
            Self::Seconds(seconds) => Some(time(seconds.get())),
            Self::None(NoLimit::None) => None,
        }
    }
}

#[derive(Clone, Copy, Deserialize)]
#[serde(untagged, expecting = "expected a number of seconds, \"automatic\" or \"none\"")]
enum Timeout {
    Limit(Limit),
    Automatic(Automatic),
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Automatic {
    Automatic,
}

impl Timeout {
    fn get(self) -> StepTimeout {
        match self {
            Self::Limit(limit) => limit.time().map_or(StepTimeout::Never, StepTimeout::After),
            Self::Automatic(Automatic::Automatic) => StepTimeout::Automatic,
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Own {
    number: u64,
    compute: Distribution,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventEntry {
    at: Seconds,
    replica: u64,
    what: WhatName,
    seconds: Option<Seconds>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum WhatName {
    Dies,
    Leaves,
    Joins,
    Pauses,
}

pub(super) fn read(text: &str) -> Result<Plan, PlanError> {
    let file: File = toml::from_str(text).map_err(|error| {
        let message = error.message().trim_end().replace('\n', "; ");
        PlanError::new(text, error.span().map(|span| span.start), message)
    })?;
    let reader = Reader { text };
    let settings = reader.settings(&file)?;
    let place = file.replicas_to_aggregate.span().start;
    let config =
        settings.check().map_err(|error| PlanError::new(text, Some(place), error.to_string()))?;
    let total = config.total_num_replicas() as u64;
    let steps = reader.steps(file.steps)?;
    let replicas = reader.replicas(file.replica, total)?;
    let events = reader.events(file.event, total)?;
    let churn = reader.churn(file.churn)?;
    let machine = reader.factor("machine", file.machine)?;
    let batch = reader.factor("batch", file.batch)?;
    let episodes = reader.episodes(file.episodes)?;
    let mode = file.mode.unwrap_or(Mode::Tokens);
    if mode == Mode::Ideal && (!events.is_empty() || churn.is_some()) {
        let message = "expected no events and no churn with mode \"ideal\", in which all replicas \
                       start every step; use mode \"tokens\"";
        return Err(PlanError::new(text, None, message));
    }
    Ok(Plan {
        name: file.name.unwrap_or_default(),
        about: file.about.unwrap_or_default(),
        mode,
        seed: file.seed.unwrap_or(0),
        steps,
        config,
        compute: file.compute,
        replicas,
        machine,
        batch,
        correlation: file.correlation,
        episodes,
        network: file.network,
        network_per_replica: file.network_per_replica.unwrap_or_default(),
        update: file.update,
        events,
        churn,
    })
}

struct Reader<'t> {
    text: &'t str,
}

impl Reader<'_> {
    fn error<T>(&self, at: usize, message: String) -> Result<T, PlanError> {
        Err(PlanError::new(self.text, Some(at), message))
    }

    fn settings(&self, file: &File) -> Result<Settings, PlanError> {
        let counts = [Some(&file.replicas_to_aggregate), file.total_num_replicas.as_ref()];
        for count in counts.into_iter().flatten() {
            let most = Plan::MOST_REPLICAS;
            if *count.get_ref() > most {
                let message = format!("expected at most {most}, got {}", count.get_ref());
                return self.error(count.span().start, message);
            }
        }
        let mut settings = Settings::new(*file.replicas_to_aggregate.get_ref());
        settings.total_num_replicas = file.total_num_replicas.as_ref().map(|it| *it.get_ref());
        if file.preset == Some(Preset::Reference) {
            // A simulated run has one variable, for which both ways to admit are the same.
            settings = Settings { admission: Admission::Together, ..settings.reference() };
        }
        match file.token_policy {
            Some(Policy::Discard) => settings.token_policy = TokenPolicy::DiscardLeftovers,
            Some(Policy::Keep) => settings.token_policy = TokenPolicy::KeepLeftovers,
            None => {}
        }
        if let Some(tokens) = file.initial_tokens {
            settings.initial_tokens = InitialTokens::Exactly(tokens);
        }
        if let Some(tell) = file.tell_superseded {
            settings.tell_superseded = tell;
        }
        if let Some(OrderName::Replica) = file.order.as_ref().map(|order| *order.get_ref()) {
            settings.order = SummationOrder::Replica;
        }
        if let Some(lease) = file.lease {
            settings.lease = lease.time();
        }
        if let Some(timeout) = file.step_timeout {
            settings.step_timeout = timeout.get();
        }
        if let Some(deadline) = file.step_deadline {
            settings.step_deadline = deadline.time();
        }
        Ok(settings)
    }

    fn steps(&self, steps: Option<Spanned<u64>>) -> Result<u64, PlanError> {
        let Some(steps) = steps else { return Ok(1000) };
        let (most, got) = (Plan::MOST_STEPS, *steps.get_ref());
        if (1..=most).contains(&got) {
            return Ok(got);
        }
        self.error(steps.span().start, format!("expected 1 to {most} steps, got {got}"))
    }

    fn replica(&self, replica: u64, total: u64, at: usize) -> Result<u64, PlanError> {
        if replica < total {
            return Ok(replica);
        }
        self.error(at, format!("expected a replica from 0 to {}, got {replica}", total - 1))
    }

    fn replicas(
        &self,
        entries: Vec<Spanned<Own>>,
        total: u64,
    ) -> Result<BTreeMap<u64, Distribution>, PlanError> {
        let mut distributions = BTreeMap::new();
        for entry in entries {
            let (at, own) = (entry.span().start, entry.into_inner());
            let number = self.replica(own.number, total, at)?;
            if distributions.insert(number, own.compute).is_some() {
                return self.error(at, format!("replica {number} is given twice"));
            }
        }
        Ok(distributions)
    }

    fn factor(
        &self,
        name: &str,
        factor: Option<Spanned<Distribution>>,
    ) -> Result<Option<Distribution>, PlanError> {
        let Some(factor) = factor else { return Ok(None) };
        self.above_zero(name, factor.get_ref(), factor.span().start)?;
        Ok(Some(factor.into_inner()))
    }

    fn episodes(&self, entries: Vec<Spanned<Episodes>>) -> Result<Vec<Episodes>, PlanError> {
        for entry in &entries {
            let (at, Episodes { every, last, factor, .. }) = (entry.span().start, entry.get_ref());
            self.above_zero("every", every, at)?;
            self.above_zero("last", last, at)?;
            self.above_zero("factor", factor, at)?;
        }
        Ok(entries.into_iter().map(Spanned::into_inner).collect())
    }

    fn above_zero(
        &self,
        name: &str,
        distribution: &Distribution,
        at: usize,
    ) -> Result<(), PlanError> {
        if distribution.may_be_zero() {
            return self.error(at, format!("expected `{name}` to be above 0, got 0"));
        }
        Ok(())
    }

    fn events(
        &self,
        entries: Vec<Spanned<EventEntry>>,
        total: u64,
    ) -> Result<Vec<Event>, PlanError> {
        let mut events = Vec::new();
        for entry in entries {
            let (at, entry) = (entry.span().start, entry.into_inner());
            let replica = self.replica(entry.replica, total, at)?;
            let what = match (entry.what, entry.seconds) {
                (WhatName::Dies, None) => What::Dies,
                (WhatName::Leaves, None) => What::Leaves,
                (WhatName::Joins, None) => What::Joins,
                (WhatName::Pauses, Some(seconds)) => What::Pauses(time(seconds.get())),
                (WhatName::Pauses, None) => {
                    return self.error(at, "expected `seconds` for a pause, got none".to_owned());
                }
                (_, Some(_)) => {
                    return self.error(at, "expected `seconds` only for a pause".to_owned());
                }
            };
            events.push(Event { at: time(entry.at.get()), replica, what });
        }
        // Stable: of one instant in the order of the file.
        events.sort_by_key(|event| event.at);
        Ok(events)
    }

    fn churn(&self, churn: Option<Spanned<Churn>>) -> Result<Option<Churn>, PlanError> {
        let Some(churn) = churn else { return Ok(None) };
        let (at, churn) = (churn.span().start, churn.into_inner());
        if churn.pauses_after.is_some() != churn.pause.is_some() {
            return self.error(at, "expected `pauses_after` and `pause` together".to_owned());
        }
        if churn.back_after.is_some() && churn.dies_after.is_none() {
            return self.error(at, "expected `back_after` only with `dies_after`".to_owned());
        }
        Ok(Some(churn))
    }
}
