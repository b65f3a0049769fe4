//! One entry of a file, as the words of its option.
//!
//! A value has the type of its option: a number is not text. Invariant: ranges and names are the
//! option's own, which it checks itself.

use std::any::TypeId;
use std::error::Error;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Arg, ArgAction, Command};
use serde_json::Value;

/// The same on a command line, in words; none for a flag that is not set.
///
/// # Errors
/// What was expected.
pub(super) fn words(arg: &Arg, value: &Value) -> Result<Vec<String>, String> {
    let name = arg.get_long().unwrap_or_default();
    match (arg.get_action(), value) {
        (ArgAction::SetTrue, Value::Bool(true)) => Ok(vec![format!("--{name}")]),
        (ArgAction::SetTrue, Value::Bool(false)) => Ok(Vec::new()),
        (ArgAction::SetTrue, other) => Err(expected("true or false", other)),
        (ArgAction::Append, Value::Array(values)) => {
            values.iter().map(|value| Ok(format!("--{name}={}", scalar(arg, value)?))).collect()
        }
        (ArgAction::Append, other) => Err(expected("a list", other)),
        (_, value) => Ok(vec![format!("--{name}={}", scalar(arg, value)?)]),
    }
}

fn scalar(arg: &Arg, value: &Value) -> Result<String, String> {
    let wanted = arg.get_value_parser().type_id();
    let whole = [TypeId::of::<u64>(), TypeId::of::<u16>()].iter().any(|whole| wanted == *whole);
    match value {
        Value::Number(number) if wanted == TypeId::of::<f64>() => Ok(number.to_string()),
        Value::Number(number) if whole && !number.is_f64() => Ok(number.to_string()),
        Value::String(text) if !whole && wanted != TypeId::of::<f64>() => Ok(text.clone()),
        other if whole => Err(expected("a whole number", other)),
        other if wanted == TypeId::of::<f64>() => Err(expected("a number", other)),
        other => Err(expected("text", other)),
    }
}

fn expected(what: &str, got: &Value) -> String {
    let got = match got {
        Value::Null => "a number that is none",
        Value::Bool(_) => "true or false",
        Value::Number(number) if number.is_f64() => "a number with a point",
        Value::Number(_) => "a whole number",
        Value::String(_) => "text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a table or a date",
    };
    format!("expected {what}, got {got}")
}

/// Why the option itself refuses these words, when they are the only ones.
pub(super) fn refusal(command: &mut Command, before: &[&str], words: &[String]) -> Option<String> {
    let all = before.iter().copied().chain(words.iter().map(String::as_str));
    let error = command.try_get_matches_from_mut(all).err()?;
    match error.kind() {
        ErrorKind::ValueValidation => {
            Some(error.source().map_or_else(|| error.to_string(), ToString::to_string))
        }
        ErrorKind::InvalidValue => Some(match error.get(ContextKind::ValidValue) {
            Some(ContextValue::Strings(names)) if !names.is_empty() => {
                format!("expected one of {}", names.join(", "))
            }
            _ => "expected a value, got none".to_owned(),
        }),
        // What it lacks may be given elsewhere.
        _ => None,
    }
}
