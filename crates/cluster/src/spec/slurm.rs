//! A cluster from the variables that Slurm gives every process of a job step.
//!
//! Slurm starts processes and knows nothing of roles: the first ranks are parameter servers, the
//! others workers. Invariant: every rank computes the same addresses, because all read the same
//! variables.

use super::{ClusterSpec, MAX_PROCESSES, Node, Role, SpecError, Task, nodelist};

/// The port of the first process of a host; the next ones have the ports after it.
pub const DEFAULT_PORT_BASE: u16 = 8888;

/// Slurm's data about a job step and this process in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlurmJob {
    /// The number of this process in the step.
    pub rank: u64,
    /// The host of each rank, and its place on that host.
    pub ranks: Vec<(String, u64)>,
}

const PER_NODE: &str = "SLURM_STEP_TASKS_PER_NODE";

impl SlurmJob {
    /// Reads the step's variables, or the job's where a step has none; `None` outside of Slurm.
    ///
    /// # Errors
    ///
    /// [`SpecError`] when a variable is missing, cannot be read or contradicts another.
    pub fn from_env(variable: impl Fn(&str) -> Option<String>) -> Result<Option<Self>, SpecError> {
        let Some(rank) = variable("SLURM_PROCID") else { return Ok(None) };
        let rank = whole("SLURM_PROCID", &rank)?;
        let (name, list) = ["SLURM_STEP_NODELIST", "SLURM_JOB_NODELIST"]
            .into_iter()
            .find_map(|name| Some((name, variable(name)?)))
            .ok_or(SpecError::Missing {
                variable: "SLURM_STEP_NODELIST",
                expected: "the step's host names; start the processes with srun",
            })?;
        let hosts = nodelist::expand(name, &list)?;
        let per_node = variable(PER_NODE).ok_or(SpecError::Missing {
            variable: PER_NODE,
            expected: "tasks of each host such as 2(x3),1; start the processes with srun",
        })?;
        let counts = expand_counts(&per_node)?;
        if counts.len() != hosts.len() {
            let expected = format!("one number for each of the {} hosts of {name}", hosts.len());
            return Err(SpecError::invalid(PER_NODE, expected, per_node));
        }
        let ranks: Vec<(String, u64)> = hosts
            .iter()
            .zip(&counts)
            .flat_map(|(host, count)| (0..*count).map(move |local| (host.clone(), local)))
            .collect();
        let job = Self { rank, ranks };
        job.agrees(&hosts, variable)?;
        Ok(Some(job))
    }

    /// This process, when the first `ps` ranks are parameter servers and the others workers.
    ///
    /// # Errors
    ///
    /// [`SpecError`] when no rank is left for a worker, or a port passes 65535.
    pub fn node(&self, ps: u64, port_base: u16) -> Result<Node, SpecError> {
        let total = self.ranks.len() as u64;
        if ps == 0 || ps >= total {
            let expected = format!("at least 1 and fewer than the {total} processes of the job");
            return Err(SpecError::invalid("--ps", expected, ps.to_string()));
        }
        let mut addresses = Vec::with_capacity(self.ranks.len());
        for (host, local) in &self.ranks {
            let port = u64::from(port_base) + local;
            addresses.push(format!("{host}:{port}"));
        }
        let workers = addresses.split_off(usize::try_from(ps).unwrap_or(usize::MAX));
        let cluster = ClusterSpec {
            ps: addresses,
            workers: (0..).zip(workers).collect(),
            ..ClusterSpec::default()
        };
        let task = match self.rank.checked_sub(ps) {
            None => Task { role: Role::Ps, index: self.rank },
            Some(index) => Task { role: Role::Worker, index },
        };
        Node::new(cluster, task, "SLURM_PROCID and the port base")
    }

    /// Ranks are laid out host after host here; a step laid out otherwise would have the wrong
    /// addresses everywhere.
    fn agrees(
        &self,
        hosts: &[String],
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<(), SpecError> {
        let total = self.ranks.len() as u64;
        let tasks = ["SLURM_STEP_NUM_TASKS", "SLURM_NTASKS"];
        let tasks = tasks.into_iter().find_map(|name| Some((name, variable(name)?)));
        if let Some((name, tasks)) = tasks
            && whole(name, &tasks)? != total
        {
            return Err(SpecError::invalid(name, format!("{total}, the sum of {PER_NODE}"), tasks));
        }
        let place = usize::try_from(self.rank).ok().and_then(|rank| self.ranks.get(rank));
        let Some((host, local)) = place else {
            let expected = format!("a rank below {total}");
            return Err(SpecError::invalid("SLURM_PROCID", expected, self.rank.to_string()));
        };
        let node = hosts.iter().position(|other| other == host).unwrap_or(hosts.len()) as u64;
        for (name, expected) in [("SLURM_NODEID", node), ("SLURM_LOCALID", *local)] {
            if let Some(got) = variable(name)
                && whole(name, &got)? != expected
            {
                let expected =
                    format!("{expected} for rank {}; use --distribution=block", self.rank);
                return Err(SpecError::invalid(name, expected, got));
            }
        }
        Ok(())
    }
}

/// `2(x3),1` is 2 2 2 1.
fn expand_counts(text: &str) -> Result<Vec<u64>, SpecError> {
    let refuse = || SpecError::invalid(PER_NODE, "tasks of each host such as 2(x3),1", text);
    let (mut counts, mut total) = (Vec::new(), 0_u64);
    for item in text.split(',') {
        let (count, times) = match item.split_once("(x") {
            None => (item, "1"),
            Some((count, times)) => (count, times.strip_suffix(')').ok_or_else(refuse)?),
        };
        let (count, times) = (whole(PER_NODE, count)?, whole(PER_NODE, times)?);
        let added = count.checked_mul(times).and_then(|added| added.checked_add(total));
        total = added.filter(|total| *total <= MAX_PROCESSES).ok_or_else(refuse)?;
        let room = MAX_PROCESSES - counts.len() as u64;
        if times > room {
            return Err(refuse());
        }
        counts.extend((0..times).map(|_| count));
    }
    Ok(counts)
}

fn whole(variable: &'static str, text: &str) -> Result<u64, SpecError> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    let number = if digits { text.parse().ok() } else { None };
    number.ok_or_else(|| SpecError::invalid(variable, "a whole number", text))
}
