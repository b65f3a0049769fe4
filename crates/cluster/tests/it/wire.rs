//! Numbers that travel rounded: what is computed from, and what is shown.

use std::sync::{Arc, Mutex, PoisonError};

use cluster::spec::Node;
use cluster::{Cluster, ClusterReport, NumberFormat, OnCluster};
use half::bf16;
use sync_replicas::checkpoint::{self, TrainingState};
use sync_replicas::{BoxError, Computed, Hooks, Model, Variables, Work};

use crate::loopback::{Pull, addresses, numbers, replicas, variables};

/// Refuses to compute from anything that could not have travelled so.
struct Rounded;

impl Model<f32> for Rounded {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        match is_rounded(variables) {
            true => Pull.gradients(variables, batch, work),
            false => Err("it was to compute from what no other replica has".into()),
        }
    }
}

fn is_rounded(variables: &Variables<f32>) -> bool {
    let mut numbers = variables.iter().flat_map(|(_, array)| array);
    numbers.all(|number| bf16::from_f32(*number).to_f32() == *number)
}

/// P-14: which replica computes a gradient makes no difference, also where one shows variables.
#[test]
fn what_is_shown_has_all_bits_and_what_is_computed_from_has_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let (servers, workers) = (addresses(2), addresses(2));
    let seen: Arc<Mutex<Vec<(i64, String, bool)>>> = Arc::default();
    let part = |role: &str, index: u64| -> ClusterReport<f32> {
        let place = Node::from_flags(&servers, &workers, role, index).expect("it makes sense");
        let noted = Arc::clone(&seen);
        let hooks = Hooks::new().stop_at_step(5).checkpoints(folder.path(), 5, 10);
        let hooks = hooks.every(1, move |chief, _| {
            let snapshot = chief.snapshot();
            let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
            let variables = &snapshot.variables;
            noted.push((snapshot.global_step.get(), variables.sha256(), is_rounded(variables)));
            Ok(())
        });
        let cluster = Cluster::new(place).wire(NumberFormat::Bf16);
        let trainer = replicas(2, 2).on(&cluster).build(variables()).expect("it fits");
        trainer.fit(&Rounded, numbers, hooks).expect("it trains")
    };
    let reports: Vec<_> = std::thread::scope(|scope| {
        let places = [("ps", 0), ("ps", 1), ("worker", 0), ("worker", 1)];
        let part = &part;
        let parts = places.map(|(role, index)| scope.spawn(move || part(role, index)));
        parts.into_iter().map(|it| it.join().expect("it ends")).collect()
    });
    let path = folder.path().join("checkpoint-000000005");
    let state: TrainingState<f32> = checkpoint::read(&path).expect("it is there");
    let expected = state.variables.sha256();
    assert!(!is_rounded(&state.variables), "nothing would be shown");
    for report in &reports[2..] {
        let variables = report.variables.as_ref().expect("it fetched them");
        assert_eq!(variables.sha256(), expected, "{:?}", report.task);
    }
    let seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
    assert_eq!(seen.last(), Some(&(5, expected, false)));
}
