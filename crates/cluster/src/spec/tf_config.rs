//! `TF_CONFIG`: the JSON that Kubernetes operators and TensorFlow's launchers put into the
//! environment.
//!
//! Reads the two forms that exist, lists and maps by index; not the keys that this project has no
//! use for. Invariant: ignored keys cannot change which process this is.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::{ClusterSpec, Node, Role, SpecError, Task};

const TASK: &str = "TF_CONFIG task";

pub(super) fn parse(text: &str) -> Result<Node, SpecError> {
    let config: Value = serde_json::from_str(text)
        .map_err(|error| SpecError::invalid("TF_CONFIG", "JSON", beginning(text, &error)))?;
    let cluster = object(&config, "cluster")?;
    let task = parse_task(object(&config, "task")?)?;
    let spec = ClusterSpec {
        ps: servers(jobs(cluster, "ps")?)?,
        workers: jobs(cluster, "worker")?,
        chief: chief(cluster)?,
        evaluator: only("evaluator", jobs(cluster, "evaluator")?)?,
    };
    // With workers by index a server is told of no worker; in a list there must be one to serve.
    let by_index = matches!(cluster.get("worker"), Some(Value::Object(_)));
    if spec.num_replicas() == 0 && !by_index {
        return Err(SpecError::invalid("TF_CONFIG cluster", "a worker or a chief", "neither"));
    }
    Node::new(spec, task, "TF_CONFIG")
}

/// Enough of it to recognize it: the rest may hold secrets.
fn beginning(text: &str, error: &serde_json::Error) -> String {
    let begins: String = text.chars().take(40).collect();
    format!("what begins with {begins:?} ({error})")
}

fn object<'a>(config: &'a Value, key: &str) -> Result<&'a Map<String, Value>, SpecError> {
    let value = config.get(key).unwrap_or(&Value::Null);
    value.as_object().ok_or_else(|| {
        SpecError::invalid(format!("TF_CONFIG {key}"), "an object", value.to_string())
    })
}

fn parse_task(task: &Map<String, Value>) -> Result<Task, SpecError> {
    let role = task.get("type").and_then(Value::as_str).unwrap_or_default();
    let role: Role = role.parse().map_err(|_| {
        SpecError::invalid(format!("{TASK} type"), "chief, worker, ps or evaluator", role)
    })?;
    let index = match task.get("index") {
        None => Some(0),
        Some(Value::String(digits)) => digits.parse().ok(),
        Some(index) => index.as_u64(),
    };
    let index = index.ok_or_else(|| {
        let got = task.get("index").unwrap_or(&Value::Null).to_string();
        SpecError::invalid(format!("{TASK} index"), "a whole number, at least 0", got)
    })?;
    Ok(Task { role, index })
}

/// The addresses of one role by index; none if it is not listed.
fn jobs(cluster: &Map<String, Value>, role: &str) -> Result<BTreeMap<u64, String>, SpecError> {
    let refuse = |got: &Value| {
        let expected = "a list of addresses, or an object from an index to an address";
        SpecError::invalid(format!("TF_CONFIG cluster {role}"), expected, got.to_string())
    };
    let entry = |index: u64, address: &Value| match address {
        Value::String(address) => Ok((index, address.clone())),
        other => Err(refuse(other)),
    };
    match cluster.get(role) {
        None | Some(Value::Null) => Ok(BTreeMap::new()),
        Some(Value::Array(list)) => {
            (0..).zip(list).map(|(index, address)| entry(index, address)).collect()
        }
        Some(map @ Value::Object(object)) => {
            let mut jobs = BTreeMap::new();
            for (key, address) in object {
                let (index, address) = entry(key.parse().map_err(|_| refuse(map))?, address)?;
                // "1" and "01" are two keys of the object and one index.
                if jobs.insert(index, address).is_some() {
                    return Err(refuse(map));
                }
            }
            Ok(jobs)
        }
        Some(other) => Err(refuse(other)),
    }
}

fn servers(jobs: BTreeMap<u64, String>) -> Result<Vec<String>, SpecError> {
    if let Some((_, index)) = (0..).zip(jobs.keys()).find(|(place, index)| place != *index) {
        let expected = "every ps from 0 on: all of them hold variables";
        return Err(SpecError::invalid("TF_CONFIG cluster ps", expected, format!("ps {index}")));
    }
    Ok(jobs.into_values().collect())
}

fn chief(cluster: &Map<String, Value>) -> Result<Option<String>, SpecError> {
    let named = only("chief", jobs(cluster, "chief")?)?;
    match (named, only("master", jobs(cluster, "master")?)?) {
        (Some(chief), Some(master)) => {
            let got = format!("chief {chief} and master {master}");
            Err(SpecError::invalid("TF_CONFIG cluster", "one chief", got))
        }
        (chief, master) => Ok(chief.or(master)),
    }
}

fn only(role: &str, jobs: BTreeMap<u64, String>) -> Result<Option<String>, SpecError> {
    if jobs.keys().all(|index| *index == 0) {
        return Ok(jobs.into_values().next());
    }
    let got = format!("{} entries, the last of index {:?}", jobs.len(), jobs.keys().next_back());
    Err(SpecError::invalid(format!("TF_CONFIG cluster {role}"), "one entry of index 0", got))
}
