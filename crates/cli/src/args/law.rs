//! The options `--compute` and `--stragglers` of `plan`: distributions in one line.

use std::fmt;
use std::str::FromStr;

use simulator::{Distribution, NumberError, Plan, Probability};

/// `NAME:key=value,...`, in the words of plan files.
#[derive(Clone, Debug)]
pub struct LawArg {
    text: String,
    /// The law.
    pub law: Distribution,
}

/// `PART=LAW`: batches that take another time, and how often.
#[derive(Clone, Debug)]
pub struct StragglersArg {
    text: String,
    /// How often.
    pub part: Probability,
    /// How long they take.
    pub law: Distribution,
}

impl FromStr for LawArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, keys) = text.split_once(':').unwrap_or((text, ""));
        let is_word = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
        if name.is_empty() || !name.chars().all(is_word) {
            return Err("expected a law such as exponential:mean=1".to_owned());
        }
        let toml = format!("replicas_to_aggregate = 1\ncompute.{name} = {{ {keys} }}\n");
        let plan = Plan::read(&toml).map_err(|error| error.message().to_string())?;
        Ok(Self { text: text.to_owned(), law: plan.compute })
    }
}

impl FromStr for StragglersArg {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some((part, law)) = text.split_once('=') else {
            return Err("expected PART=LAW, such as 0.02=exponential:mean=9".to_owned());
        };
        let number: f64 = part.trim().parse().map_err(|_| {
            format!("expected a probability from 0 to 1 before the `=`, got {part:?}")
        })?;
        let part = number.try_into().map_err(|error: NumberError| error.to_string())?;
        Ok(Self { text: text.to_owned(), part, law: law.parse::<LawArg>()?.law })
    }
}

impl fmt::Display for LawArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Display for StragglersArg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
