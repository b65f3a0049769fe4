//! What several tests need: variables and gradients, and shards driven as a coordinator does.

use cluster::driver::coordinator::Contribution;
use cluster::driver::index::VariableIndex;
use cluster::driver::placement::{Part, Placement, cut_dense, cut_sparse};
use cluster::driver::shard::{Section, Shard, ShardSettings, StageError};
use ndarray::ArrayD;
use optim::{Adam, Momentum, Optimizer, OptimizerState, Sgd};
use sync_replicas::driver::{Generation, Incarnation};
use sync_replicas::store::GradientKind;
use sync_replicas::{Gradient, Gradients, IndexedSlices, ReplicaId, Scalar, Variables};

pub type Boxed<T> = Box<dyn Optimizer<T>>;

pub fn optimizers() -> Vec<Boxed<f32>> {
    vec![
        Box::new(Sgd::new(0.1)),
        Box::new(Momentum::new(0.1, 0.9)),
        Box::new(Adam::new(0.1).epsilon(0.1)),
    ]
}

/// A matrix that is split, a sparse table that is split, a vector, a scalar and an empty one.
pub fn variables() -> Variables<f32> {
    let filled = |shape: &[usize], seed: u64| array(shape, seed);
    Variables::new()
        .with("w", filled(&[7, 3], 1))
        .and_then(|it| it.with("table", filled(&[11, 2], 2)))
        .and_then(|it| it.with("b", filled(&[4], 3)))
        .and_then(|it| it.with("scale", filled(&[], 4)))
        .and_then(|it| it.with("nothing", filled(&[0, 5], 5)))
        .and_then(|it| it.with("b/fixed", filled(&[2], 6)))
        .expect("names of their own")
}

/// Numbers that depend on the seed and are no round ones.
pub fn array<T: Scalar>(shape: &[usize], seed: u64) -> ArrayD<T> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    ArrayD::from_shape_simple_fn(shape, || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        T::of((state >> 33) as f64 / f64::from(1_u32 << 31) - 0.5)
    })
}

/// The gradients of batch `number`; `b/fixed` has none, and the table's rows repeat.
pub fn gradients(number: u64) -> Gradients<f32> {
    let rows: Vec<i64> = (0..5).map(|k| ((number * 5 + k * k) % 11) as i64).collect();
    let values = array(&[rows.len(), 2], 50 + number);
    let table = IndexedSlices::new(rows, values, None).expect("they fit");
    Gradients::new()
        .dense("w", array(&[7, 3], 100 + number))
        .sparse("table", table)
        .dense("b", array(&[4], 200 + number))
        .dense("scale", array(&[], 300 + number))
        .dense("nothing", array(&[0, 5], 0))
        .missing("b/fixed")
}

pub fn contribution(replica: u64, sequence: u64) -> Contribution {
    Contribution { replica: ReplicaId::new(replica), incarnation: Incarnation::new(1), sequence }
}

pub fn shapes(variables: &Variables<f32>) -> Vec<(String, Vec<usize>)> {
    variables.iter().map(|(name, it)| (name.to_owned(), it.shape().to_vec())).collect()
}

/// All shards of a placement, with these initial values.
pub fn shards(
    placement: &Placement,
    initial: &Variables<f32>,
    optimizer: impl Fn() -> Boxed<f32>,
    settings: &ShardSettings,
) -> Vec<Shard<f32>> {
    let values: Vec<_> = initial.iter().map(|(_, it)| it).collect();
    let one = |shard| {
        let parts = placement.parts(shard);
        let cut = |part: &Part| cut_dense(part, values[part.variable.get()].view()).to_owned();
        let initial = parts.iter().map(cut).collect();
        let optimizer = OptimizerState::new(optimizer()).expect("good parameters");
        let sections = placement.sections(shard);
        let mut shard =
            Shard::new(&sections, initial, optimizer, settings.clone()).expect("it fits");
        shard.begin_generation(Generation::new(1), 0.into());
        shard
    };
    (0..placement.shards()).map(one).collect()
}

/// A part's gradient as an announced section and its bytes.
pub fn section(
    position: usize,
    part: &Part,
    gradient: &Gradient<f32>,
    settings: &ShardSettings,
) -> (Section, Vec<u8>) {
    let mut bytes = Vec::new();
    let numbers = |it: ndarray::ArrayViewD<'_, f32>| it.iter().copied().collect::<Vec<_>>();
    let (kind, rows) = match gradient {
        Gradient::Missing => (GradientKind::Missing, 0),
        Gradient::Dense(whole) => {
            settings.wire.put(&numbers(cut_dense(part, whole.view())), &mut bytes);
            (GradientKind::Dense, 0)
        }
        Gradient::Sparse(whole) => {
            let cut = cut_sparse(part, whole);
            cut.indices.iter().for_each(|index| bytes.extend(index.to_le_bytes()));
            settings.wire.put(&numbers(cut.values.view()), &mut bytes);
            (GradientKind::Sparse, cut.indices.len() as u64)
        }
    };
    (Section { part: position, kind, rows }, bytes)
}

/// Stages a contribution wholly, in pieces of so many bytes.
pub fn stage(
    shard: &mut Shard<f32>,
    contribution: Contribution,
    gradients: &Gradients<f32>,
    piece: usize,
) {
    let gradients: Vec<_> = gradients.iter().map(|(_, gradient)| gradient).collect();
    let settings = shard.settings().clone();
    let sections = shard.sections().iter().enumerate();
    let (sections, bytes): (Vec<_>, Vec<_>) = sections
        .map(|(n, part)| section(n, part, gradients[part.variable.get()], &settings))
        .unzip();
    let mut whole = shard.begin(contribution, &sections).expect("a good announcement");
    for (n, bytes) in bytes.iter().enumerate() {
        for piece in bytes.chunks(piece) {
            assert!(!whole, "it was whole before all of it came");
            whole = receive(shard, contribution, n, piece).expect("good data");
        }
    }
    assert!(whole && shard.is_staged(contribution));
}

/// Hands the next bytes of a section to a shard.
pub fn receive(
    shard: &Shard<f32>,
    contribution: Contribution,
    section: usize,
    bytes: &[u8],
) -> Result<bool, StageError> {
    shard.open(contribution)?.receive(section, bytes)
}

/// The whole variables from the shards' snapshots.
pub fn joined(placement: &Placement, shards: &[Shard<f32>]) -> Variables<f32> {
    let snapshots: Vec<_> = shards.iter().map(Shard::snapshot).collect();
    let mut joined = Variables::new();
    for (index, (name, _)) in placement.variables().iter().enumerate() {
        let array = placement.join(VariableIndex::new(index), |place| {
            snapshots[place.shard].variables.arrays()[place.position].view()
        });
        joined = joined.with(name.as_str(), array).expect("a name of its own");
    }
    joined
}
