//! A cluster from options of the command line.
//!
//! Not the options themselves, which are the program's. Invariant: an error names the option.

use super::{ClusterSpec, Node, SpecError, Task};

pub(super) fn parse(
    ps: &str,
    worker_hosts: &str,
    role: &str,
    index: u64,
) -> Result<Node, SpecError> {
    let workers = list("--worker-hosts", worker_hosts)?;
    let cluster = ClusterSpec {
        ps: list("--ps", ps)?,
        workers: (0..).zip(workers).collect(),
        ..ClusterSpec::default()
    };
    let role = role.parse().map_err(|_| {
        SpecError::invalid("--role", "worker, ps or evaluator (worker 0 is the chief)", role)
    })?;
    Node::new(cluster, Task { role, index }, "--role and --index")
}

fn list(option: &'static str, text: &str) -> Result<Vec<String>, SpecError> {
    let addresses = text.split(',').map(|address| {
        let address = address.trim();
        super::error::check_address(option, address).map(|()| address.to_owned())
    });
    addresses.collect()
}
