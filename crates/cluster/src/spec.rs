//! The processes of a cluster, and which of them this one is.
//!
//! Only names and numbers: nothing is looked up, opened or waited for, and the environment is
//! handed in as a function. Invariant: the task of a [`Node`] is one of its cluster, so `address`
//! and `replica_id` never point outside it.

mod error;
mod flags;
mod nodelist;
mod slurm;
#[cfg(test)]
mod tests;
mod tf_config;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;

pub use error::{SpecError, check_address};
pub use slurm::{DEFAULT_PORT_BASE, SlurmJob};

/// One process of a cluster.
///
/// # Examples
///
/// ```
/// use cluster::spec::Node;
///
/// let config = r#"{"cluster": {"chief": ["a:1"], "worker": ["b:1"], "ps": ["c:1"]},
///                  "task": {"type": "worker", "index": 0}}"#;
/// let node = Node::from_tf_config(config)?;
/// assert_eq!((node.replica_id(), node.num_replicas()), (Some(1), 2));
/// # Ok::<(), cluster::spec::SpecError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// All processes.
    pub cluster: ClusterSpec,
    /// This process.
    pub task: Task,
}

/// The addresses of a cluster's processes, each `host:port`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ClusterSpec {
    /// The parameter servers in their order; the first coordinates.
    pub ps: Vec<String>,
    /// The workers by index. With gaps when workers are added while training runs.
    pub workers: BTreeMap<u64, String>,
    /// The chief, if it is named apart from the workers.
    pub chief: Option<String>,
    /// The process that only evaluates, if it is listed.
    pub evaluator: Option<String>,
}

/// A role and the place among those that have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Task {
    /// What the process does.
    pub role: Role,
    /// Its place among those of the same role, from 0.
    pub index: u64,
}

/// What a process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// A replica that also runs the hooks.
    Chief,
    /// A replica.
    Worker,
    /// Holds a share of the variables.
    Ps,
    /// Computes no gradients: reads the variables and measures them.
    Evaluator,
}

impl Node {
    /// From `TF_CONFIG` if it is set, else from Slurm's variables if they are, else `None`.
    ///
    /// `variable` is the environment, most often `|name| std::env::var(name).ok()`. The first `ps`
    /// ranks of a Slurm job become parameter servers.
    ///
    /// # Errors
    ///
    /// [`SpecError`] when a variable that is set has an unexpected value.
    pub fn from_env(
        variable: impl Fn(&str) -> Option<String>,
        ps: u64,
        port_base: u16,
    ) -> Result<Option<Self>, SpecError> {
        if let Some(config) = variable("TF_CONFIG").filter(|config| !config.trim().is_empty()) {
            return Self::from_tf_config(&config).map(Some);
        }
        let job = SlurmJob::from_env(variable)?;
        job.map(|job| job.node(ps, port_base)).transpose()
    }

    /// From the text of a `TF_CONFIG`.
    ///
    /// Lists of addresses, or maps from an index to an address, of the roles `chief` (also called
    /// `master`), `worker`, `ps` and `evaluator`; other keys are ignored. An evaluator need not be
    /// listed.
    ///
    /// # Errors
    ///
    /// [`SpecError`] naming the key, what was expected and what came.
    pub fn from_tf_config(text: &str) -> Result<Self, SpecError> {
        tf_config::parse(text)
    }

    /// From `--ps`, `--worker-hosts`, `--role` and `--index`: addresses are separated by commas.
    ///
    /// # Errors
    ///
    /// [`SpecError`] naming the option, what was expected and what came.
    pub fn from_flags(
        ps: &str,
        worker_hosts: &str,
        role: &str,
        index: u64,
    ) -> Result<Self, SpecError> {
        flags::parse(ps, worker_hosts, role, index)
    }

    /// The number of this replica: the chief is 0 and worker `i` is `i + 1` when a chief is named,
    /// otherwise worker `i` is `i`. `None` for a process that is not a replica.
    #[must_use]
    pub fn replica_id(&self) -> Option<u64> {
        match self.task.role {
            Role::Chief => Some(0),
            Role::Worker => Some(self.task.index + self.cluster.first_worker()),
            Role::Ps | Role::Evaluator => None,
        }
    }

    /// Whether this process runs the hooks: the named chief, otherwise worker 0.
    #[must_use]
    pub fn is_chief(&self) -> bool {
        self.replica_id() == Some(0)
    }

    /// The address of this process; `None` for an evaluator that is not listed.
    #[must_use]
    pub fn address(&self) -> Option<&str> {
        self.cluster.address(self.task)
    }

    /// See [`ClusterSpec::num_replicas`].
    #[must_use]
    pub fn num_replicas(&self) -> u64 {
        self.cluster.num_replicas()
    }

    /// Checks the rules that hold for every source of a cluster.
    fn new(cluster: ClusterSpec, task: Task, source: &'static str) -> Result<Self, SpecError> {
        if cluster.ps.is_empty() {
            return Err(SpecError::invalid(source, "at least one ps", "none"));
        }
        let last = cluster.workers.last_key_value().map_or(0, |(index, _)| *index);
        if last >= MAX_PROCESSES {
            let expected = format!("worker numbers below {MAX_PROCESSES}");
            return Err(SpecError::invalid(source, expected, last.to_string()));
        }
        for address in cluster.addresses() {
            error::check_address(source, address)?;
        }
        // Workers do not listen, and may have any.
        let mut taken = BTreeSet::new();
        if let Some(twice) = cluster.ps.iter().find(|address| !taken.insert(*address)) {
            let expected = "an address of its own for each ps";
            return Err(SpecError::invalid(source, expected, format!("{twice} twice")));
        }
        let unlisted = task == Task { role: Role::Evaluator, index: 0 };
        if cluster.address(task).is_none() && !unlisted {
            let expected = format!("a task that the cluster lists ({cluster})");
            return Err(SpecError::invalid(source, expected, task.to_string()));
        }
        Ok(Self { cluster, task })
    }
}

/// More processes than this are certainly a typo, refused before memory is filled with their names.
const MAX_PROCESSES: u64 = 1 << 16;

impl ClusterSpec {
    /// How many replicas there are: one more than the highest number of a listed replica.
    ///
    /// While workers may be added, a process is told only about itself, so this is what it knows
    /// and not a total.
    #[must_use]
    pub fn num_replicas(&self) -> u64 {
        let workers = self.workers.last_key_value().map_or(0, |(index, _)| index + 1);
        self.first_worker() + workers
    }

    /// The address of `task`, if it is listed.
    #[must_use]
    pub fn address(&self, task: Task) -> Option<&str> {
        match (task.role, task.index) {
            (Role::Chief, 0) => self.chief.as_deref(),
            (Role::Evaluator, 0) => self.evaluator.as_deref(),
            (Role::Chief | Role::Evaluator, _) => None,
            (Role::Worker, index) => self.workers.get(&index).map(String::as_str),
            (Role::Ps, index) => {
                usize::try_from(index).ok().and_then(|index| self.ps.get(index)).map(String::as_str)
            }
        }
    }

    fn first_worker(&self) -> u64 {
        u64::from(self.chief.is_some())
    }

    fn addresses(&self) -> impl Iterator<Item = &String> {
        self.ps.iter().chain(self.workers.values()).chain(&self.chief).chain(&self.evaluator)
    }
}

impl fmt::Display for ClusterSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let workers: Vec<_> = self.workers.keys().take(8).map(u64::to_string).collect();
        write!(f, "{} ps, workers {}", self.ps.len(), workers.join(" "))?;
        if self.workers.len() > workers.len() {
            f.write_str(" ...")?;
        }
        if self.chief.is_some() { f.write_str(", a chief") } else { f.write_str(", no chief") }
    }
}

impl fmt::Display for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.role, self.index)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Chief => "chief",
            Self::Worker => "worker",
            Self::Ps => "ps",
            Self::Evaluator => "evaluator",
        })
    }
}

impl FromStr for Role {
    type Err = SpecError;

    fn from_str(name: &str) -> Result<Self, SpecError> {
        match name {
            // The old name of the chief.
            "chief" | "master" => Ok(Self::Chief),
            "worker" => Ok(Self::Worker),
            "ps" => Ok(Self::Ps),
            "evaluator" => Ok(Self::Evaluator),
            _ => Err(SpecError::invalid("role", "chief, worker, ps or evaluator", name)),
        }
    }
}
