//! Variables and gradients of every shape and layout through a whole `fit`.
//!
//! The numbers are small whole ones, so every sum is exact and can be told in advance.

use ndarray::{ArcArray, Array1, Array2, ArrayD, Axis, IxDyn, Slice, array};
use optim::Sgd;
use sync_replicas::engine::Refused;
use sync_replicas::error::PushError;
use sync_replicas::options::SummationOrder;
use sync_replicas::{
    BoxError, Computed, Gradient, Gradients, Hooks, IndexedSlices, Model, ReplicaId, SyncReplicas,
    Variables, Work,
};

/// Gives the same gradients for every batch.
struct Constant(Gradients<f32>);

impl Model<f32> for Constant {
    type Batch = u64;

    fn gradients(
        &self,
        _: &Variables<f32>,
        _: &u64,
        _: &Work<'_, f32>,
    ) -> Result<Option<Computed<f32>>, BoxError> {
        Ok(Some(Computed { loss: 0.0, examples: 1, gradients: self.0.clone() }))
    }
}

/// Three updates by two replicas: the variable must then be minus three times the gradient.
#[track_caller]
fn check(shape: &[usize], gradient: Gradient<f32>, expected: &ArrayD<f32>) {
    for reference in [false, true] {
        for order in [SummationOrder::Arrival, SummationOrder::Replica] {
            let variables = Variables::new().with("v", ArrayD::zeros(IxDyn(shape)));
            let mut builder =
                SyncReplicas::new(Sgd::new(1.0)).replicas_to_aggregate(2).order(order);
            if reference {
                if order == SummationOrder::Replica {
                    continue;
                }
                builder = builder.reference();
            }
            let trainer = builder.build(variables.expect("one name")).expect("it is valid");
            let model = Constant(Gradients::new().with("v", gradient.clone()));
            let report = trainer.fit(&model, |_| 0.., Hooks::new().stop_at_step(3));
            assert_eq!(report.expect("it trains").updates, 3);
            let snapshot = trainer.snapshot();
            let got = snapshot.variables.get("v").expect("it is there");
            assert_eq!(*got, expected.mapv(|element| -3.0 * element), "{reference} {order:?}");
        }
    }
}

fn dense<D: ndarray::Dimension>(gradient: ndarray::Array<f32, D>) {
    let gradient = gradient.into_dyn();
    check(gradient.shape(), Gradient::Dense(gradient.clone()), &gradient.clone());
}

fn slices(indices: Vec<i64>, values: ArrayD<f32>) -> Gradient<f32> {
    Gradient::Sparse(IndexedSlices::new(indices, values, None).expect("they fit each other"))
}

#[test]
fn dense_gradients_of_any_shape_and_layout() {
    //
    dense(ndarray::arr0(2.0));
    dense(Array1::zeros(0));
    dense(Array2::zeros((3, 0)));
    dense(array![1.0, 2.0, 3.0]);
    let matrix = Array2::from_shape_fn((70, 50), |(row, column)| (row * 50 + column) as f32);
    dense(matrix.clone());
    // Transposed, in column order, backwards, and every other column.
    dense(matrix.clone().reversed_axes());
    let mut backwards = matrix.clone();
    backwards.invert_axis(Axis(0));
    dense(backwards);
    let mut columns = matrix;
    columns.slice_axis_inplace(Axis(1), Slice::new(0, None, 2));
    dense(columns);
    // One number for all.
    let one = ArcArray::from_elem(IxDyn(&[1]), 4.0_f32);
    dense(one.broadcast(IxDyn(&[5])).expect("it stretches").to_owned());
}

#[test]
fn sparse_gradients_of_any_shape() {
    // an empty one is valid and counts
    let zeros = |shape: &[usize]| ArrayD::<f32>::zeros(IxDyn(shape));
    check(&[4, 2], slices(vec![], zeros(&[0, 2])), &zeros(&[4, 2]));
    check(&[4], slices(vec![], zeros(&[0])), &zeros(&[4]));
    check(&[0, 2], slices(vec![], zeros(&[0, 2])), &zeros(&[0, 2]));
    check(&[3, 0], slices(vec![2], zeros(&[1, 0])), &zeros(&[3, 0]));
    check(
        &[4],
        slices(vec![1, 3], array![5.0, 7.0].into_dyn()),
        &array![0.0, 5.0, 0.0, 7.0].into_dyn(),
    );
    let columns = array![[1.0, 3.0], [2.0, 4.0]].reversed_axes().into_dyn();
    let table = array![[0.0, 0.0], [1.0, 2.0], [0.0, 0.0], [3.0, 4.0]].into_dyn();
    check(&[4, 2], slices(vec![1, 3], columns), &table);
}

#[test]
fn a_single_number_has_no_rows() {
    // told to the replica that pushed it, instead of ending the training of all
    let variables = Variables::new().with("v", ndarray::arr0(0.0_f32)).expect("one name");
    let trainer = SyncReplicas::new(Sgd::new(1.0)).build(variables).expect("it is valid");
    let mut replica = trainer.replica(ReplicaId::new(0)).expect("it is free");
    for values in [array![1.0].into_dyn(), array![[1.0]].into_dyn()] {
        let step = replica.next_step().expect("no deadline").expect("it goes on");
        let refused = step.push(Gradients::new().with("v", slices(vec![0], values)));
        assert!(matches!(refused, Err(PushError::Gradient(_))), "{refused:?}");
    }
    let step = replica.next_step().expect("no deadline").expect("it goes on");
    let pushed = step.push(Gradients::new().dense("v", ndarray::arr0(1.0)));
    assert!(!matches!(pushed, Err(PushError::Refused(Refused::Ended))));
    assert_eq!(trainer.snapshot().global_step.get(), 1);
}
