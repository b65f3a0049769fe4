//! A cluster of threads on loopback, and a model whose every step can be computed by hand.

use std::net::TcpListener;

use ndarray::{Array1, ArrayD};
use optim::Sgd;
use sync_replicas::options::SummationOrder;
use sync_replicas::{
    BoxError, Computed, Gradients, Model, ReplicaId, SyncReplicas, Variables, Work,
};

/// The loss ½·|w - target|² + batch noise: gradients differ by batch, and their mean is known.
pub(crate) struct Pull;

impl Model<f32> for Pull {
    type Batch = u64;

    fn gradients(
        &self,
        variables: &Variables<f32>,
        batch: &u64,
        _: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        let noise = (*batch % 7) as f32 / 7.0;
        let mut gradients = Gradients::new();
        let mut loss = 0.0;
        for (name, w) in variables.iter() {
            let gradient: ArrayD<f32> = w.mapv(|w| w - 1.0 + noise);
            loss += f64::from(gradient.iter().map(|g| g * g).sum::<f32>());
            gradients = gradients.dense(name.to_owned(), gradient);
        }
        Ok(Some(Computed { loss, examples: 1, gradients }))
    }
}

pub(crate) fn variables() -> Variables<f32> {
    Variables::new()
        .with("w", ndarray::Array2::<f32>::zeros((40, 3)))
        .and_then(|it| it.with("b", Array1::<f32>::zeros(5)))
        .expect("distinct names")
}

pub(crate) fn replicas(aggregate: usize, total: usize) -> SyncReplicas<Sgd> {
    SyncReplicas::new(Sgd::new(0.1))
        .replicas_to_aggregate(aggregate)
        .total_num_replicas(total)
        .order(SummationOrder::Replica)
}

/// Every batch by its number.
pub(crate) fn numbers(_: ReplicaId) -> Numbers {
    Numbers
}

pub(crate) struct Numbers;

impl sync_replicas::BatchSource for Numbers {
    type Batch = u64;

    fn batch(&mut self, number: u64) -> Option<u64> {
        Some(number)
    }
}

/// Free ports, as `127.0.0.1:PORT,...`.
pub(crate) fn addresses(count: usize) -> String {
    let listeners: Vec<_> =
        (0..count).map(|_| TcpListener::bind("127.0.0.1:0").expect("a port is free")).collect();
    let addresses: Vec<_> = listeners
        .iter()
        .map(|listener| listener.local_addr().expect("it listens").to_string())
        .collect();
    addresses.join(",")
}
