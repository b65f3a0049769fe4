//! Calls one after the other, some of which block until a later one releases them.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Outcome;

/// A call, what was seen right after it, and which earlier calls it released.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>", bound = "C: DeserializeOwned")]
pub(crate) struct Operation<C> {
    /// What it is called in the trace.
    pub(crate) name: String,
    pub(crate) call: C,
    pub(crate) expect: Outcome,
    /// In no particular order.
    pub(crate) completes: Vec<Completion>,
}

/// The end of a call that was blocked.
#[derive(Debug, Deserialize)]
#[serde(try_from = "Map<String, Value>")]
pub(crate) struct Completion {
    pub(crate) id: i64,
    pub(crate) outcome: Outcome,
}

impl<C: DeserializeOwned> TryFrom<Map<String, Value>> for Operation<C> {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        let expect = take(&mut fields, "expect")?;
        let completes = match fields.contains_key("completes") {
            true => take(&mut fields, "completes")?,
            false => Vec::new(),
        };
        let name = fields.get("op").and_then(Value::as_str).unwrap_or_default().to_owned();
        let call = read(fields)?;
        Ok(Self { name, call, expect, completes })
    }
}

impl TryFrom<Map<String, Value>> for Completion {
    type Error = String;

    fn try_from(mut fields: Map<String, Value>) -> Result<Self, String> {
        Ok(Self { id: take(&mut fields, "id")?, outcome: read(fields)? })
    }
}

fn take<T: DeserializeOwned>(fields: &mut Map<String, Value>, key: &str) -> Result<T, String> {
    let value = fields.remove(key).ok_or_else(|| format!("missing field `{key}`"))?;
    serde_json::from_value(value).map_err(|error| format!("`{key}`: {error}"))
}

fn read<T: DeserializeOwned>(fields: Map<String, Value>) -> Result<T, String> {
    serde_json::from_value(Value::Object(fields)).map_err(|error| error.to_string())
}
