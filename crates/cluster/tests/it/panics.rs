//! A worker's own code that panics: the worker says with what, and the others go on (P-5).

use cluster::spec::Node;
use cluster::{Cluster, ClusterError, ClusterReport, OnCluster};
use sync_replicas::{
    BatchSource, BoxError, Computed, Hooks, Keys, Model, ReplicaId, Variables, Work,
};

use crate::loopback::{Pull, addresses, replicas, variables};

const STEPS: i64 = 20;

/// What panics in the worker that has it, each time after its first batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fault {
    Gradients,
    Keys,
    Batch,
    Peek,
}

/// A model, and data for it.
#[derive(Clone, Copy)]
struct Faulty(Option<Fault>, u64);

impl Faulty {
    fn may_panic(&self, at: Fault) {
        assert!(self.1 < 2 || self.0 != Some(at), "{at:?} is out of order");
    }
}

impl Model<f32> for Faulty {
    /// The number, and the place in its worker's order.
    type Batch = (u64, u64);

    fn keys(&self, batch: &Self::Batch) -> Keys {
        Self(self.0, batch.1).may_panic(Fault::Keys);
        Keys::new()
    }

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &Self::Batch,
        work: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        Self(self.0, batch.1).may_panic(Fault::Gradients);
        Pull.gradients(variables, &batch.0, work)
    }
}

impl BatchSource for Faulty {
    type Batch = (u64, u64);

    fn batch(&mut self, number: u64) -> Option<Self::Batch> {
        self.1 += 1;
        self.may_panic(Fault::Batch);
        Some((number, self.1))
    }

    fn peek(&mut self) -> Option<&Self::Batch> {
        self.may_panic(Fault::Peek);
        None
    }
}

fn run(place: Node, faulty: Faulty) -> Result<ClusterReport<f32>, ClusterError> {
    let cluster = Cluster::new(place);
    let trainer = replicas(1, 2).on(&cluster).build(variables())?;
    trainer.fit(&faulty, |_: ReplicaId| faulty, Hooks::new().stop_at_step(STEPS))
}

#[track_caller]
fn check(fault: Fault, expected: Option<&str>) {
    let (servers, workers) = (addresses(1), addresses(2));
    let place = |role, index| Node::from_flags(&servers, &workers, role, index).expect("it fits");
    let (server, sound, faulty) = std::thread::scope(|scope| {
        let server = scope.spawn(|| run(place("ps", 0), Faulty(None, 0)));
        let faulty = scope.spawn(|| run(place("worker", 1), Faulty(Some(fault), 0)));
        // The other begins when it has ended, so that each makes some of the steps.
        let faulty = faulty.join();
        let sound = scope.spawn(|| run(place("worker", 0), Faulty(None, 0)));
        let [server, sound] = [server, sound].map(|it| it.join().expect("it ends"));
        (server, sound, faulty)
    });
    let faulty = faulty.expect("the panic stays inside");
    assert_eq!(server.expect("it trains").global_step.get(), STEPS, "{fault:?}");
    sound.expect("it trains");
    match expected {
        Some(expected) => {
            let error = faulty.expect_err("its code panics").to_string();
            assert!(error.contains(expected), "{fault:?}: {error}");
        }
        None => drop(faulty.expect("it goes on")),
    }
}

#[test]
fn a_worker_whose_own_code_panics_says_with_what_and_the_others_go_on() {
    check(Fault::Gradients, Some("Gradients is out of order"));
    check(Fault::Keys, Some("Keys is out of order"));
    check(Fault::Batch, Some("Batch is out of order"));
    // It asks only early for what is asked for anyway.
    check(Fault::Peek, None);
}
