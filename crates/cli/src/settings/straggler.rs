//! Replicas that are made slow on purpose, so that backups can show their worth.
//!
//! Its invariant: a pause never outlasts its step, because superseded work is told so.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::args::StragglerArg;
use crate::error::UsageError;

/// The default slowness of the straggler.
const USUAL_DELAY: Duration = Duration::from_millis(20);

/// How long each slow replica pauses before a batch.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stragglers(BTreeMap<u64, Duration>);

impl Stragglers {
    /// All `--straggler` options together: the last of several replicas is slow if none is given.
    ///
    /// # Errors
    /// [`UsageError::Straggler`] when a replica does not exist or is given twice, or `none` is not
    /// alone.
    pub fn new(args: &[StragglerArg], total_num_replicas: u64) -> Result<Self, UsageError> {
        let mut slow = BTreeMap::new();
        if args.is_empty() && total_num_replicas > 1 {
            slow.insert(total_num_replicas - 1, USUAL_DELAY);
        }
        for arg in args {
            let problem = match *arg {
                StragglerArg::None if args.len() > 1 => "`none` stands alone".to_owned(),
                StragglerArg::None => continue,
                StragglerArg::Slow { replica, .. } if replica >= total_num_replicas => format!(
                    "expected a replica from 0 to {}, got {replica}",
                    total_num_replicas - 1
                ),
                StragglerArg::Slow { replica, delay } => match slow.insert(replica, delay) {
                    None => continue,
                    Some(_) => format!("replica {replica} is given twice"),
                },
            };
            return Err(UsageError::Straggler { problem });
        }
        Ok(Self(slow))
    }

    /// How long this replica pauses, if it is slow.
    #[must_use]
    pub fn delay(&self, replica: u64) -> Option<Duration> {
        self.0.get(&replica).copied()
    }

    /// The slow replicas and how slow they are, in order.
    pub fn iter(&self) -> impl Iterator<Item = (u64, Duration)> {
        self.0.iter().map(|(&replica, &delay)| (replica, delay))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(texts: &[&str], replicas: u64, expected: Result<&[(u64, u64)], &str>) {
        let parsed = texts.iter().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
        let got = parsed
            .and_then(|args| Stragglers::new(&args, replicas).map_err(|error| error.to_string()));
        match (got, expected) {
            (Ok(got), Ok(expected)) => {
                let got: Vec<_> = got.iter().map(|(r, d)| (r, d.as_millis() as u64)).collect();
                assert_eq!(got, expected);
            }
            (Err(got), Err(expected)) => assert!(got.contains(expected), "{got}"),
            (got, expected) => panic!("{got:?} is not {expected:?}"),
        }
    }

    #[test]
    fn stragglers_are_named_by_replica() {
        check(&[], 5, Ok(&[(4, 20)]));
        check(&[], 1, Ok(&[]));
        check(&["none"], 5, Ok(&[]));
        check(&["2=7", "0=9"], 5, Ok(&[(0, 9), (2, 7)]));
        check(&["5=7"], 5, Err("from 0 to 4, got 5"));
        check(&["1=7", "1=8"], 5, Err("given twice"));
        check(&["none", "1=8"], 5, Err("stands alone"));
        for text in ["", "1", "1=", "=1", "a=1", "1=-5", "1=2.5", "None"] {
            check(&[text], 5, Err("REPLICA=MILLISECONDS"));
        }
    }
}
