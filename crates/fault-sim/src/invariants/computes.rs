//! F-18: a replica computes from one whole step, not older than its token (P-11).
//!
//! Source: TensorFlow, where a worker may read variables of several steps; with all
//! variables admitted together it is promised that none does.

use std::collections::BTreeMap;
use std::time::Duration;

use cluster::driver::client::protocol::Version;

use super::{Fact, Invariant};

#[derive(Debug, Default)]
pub(super) struct Computes {
    /// What servers showed, by element.
    shown: BTreeMap<(Version, usize), f64>,
}

impl Invariant for Computes {
    fn name(&self) -> &'static str {
        "F-18 a replica computes from one whole step"
    }

    fn observe(&mut self, _: Duration, fact: &Fact<'_>) -> Result<(), String> {
        match *fact {
            Fact::Published { generation, global_step, elements, .. } => {
                let version = (generation, global_step);
                let shown = elements.iter().map(|&(element, value)| ((version, element), value));
                self.shown.extend(shown);
            }
            Fact::Computes { grant, versions, elements } => {
                let Some(&version) = versions.first() else {
                    return Err(format!("{grant:?} is computed from nothing"));
                };
                let mixed = versions.iter().any(|other| *other != version);
                if mixed || version.1.get() < grant.local_step.get() {
                    return Err(format!("{grant:?} is computed from {versions:?}"));
                }
                for &(element, got) in elements {
                    let shown = self.shown.get(&(version, element));
                    if shown != Some(&got) {
                        return Err(format!("element {element} is {got} there, not {shown:?}"));
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}
