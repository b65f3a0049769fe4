//! Embeddings: rows in place of whole matrices, and rows of tables (P-17).

use candle_core::{Device, Module, Tensor};
use candle_nn::VarBuilder;
use ndarray::{Array2, array};
use proptest::prelude::*;
use sync_replicas::driver::CancellationSource;
use sync_replicas::{GlobalStep, Gradient, IndexedSlices, Keys, Rows, Table};
use sync_replicas_candle::{CandleModel, Embedding, embedding};

use crate::support::{computed, gradient, noise, pass_with};

const VOCABULARY: usize = 12;

/// The mean of the words' rows, each number by another weight.
fn mean(words: &Tensor, net: &impl Module) -> candle_core::Result<Tensor> {
    let rows = net.forward(words)?;
    (&rows * noise(rows.dims(), 5))?.mean_all()
}

fn ours() -> CandleModel<Embedding, Tensor> {
    CandleModel::new(|vb| embedding(VOCABULARY, 3, vb.pp("e")), |net, words, _| mean(words, net))
}

fn of_candle() -> CandleModel<candle_nn::Embedding, Tensor> {
    let build = |vb: VarBuilder<'static>| candle_nn::embedding(VOCABULARY, 3, vb.pp("e"));
    CandleModel::new(build, |net, words, _| mean(words, net))
}

fn words(numbers: Vec<u32>, shape: &[usize]) -> Tensor {
    Tensor::from_vec(numbers, shape, &Device::Cpu).expect("as many")
}

#[test]
fn the_gradient_is_the_rows_that_the_batch_used_each_once() {
    let words = words(vec![7, 2, 7, 7, 0, 2], &[2, 3]);
    let variables = ours().variables().expect("it builds");
    let computed = computed(&ours(), &variables, &words);
    let Gradient::Sparse(slices) = gradient(&computed.gradients, "e.weight") else {
        panic!("expected slices");
    };
    assert_eq!(slices.indices, [0, 2, 7]);
    assert_eq!(slices.values.shape(), [3, 3]);
    assert_eq!(slices.dense_shape.as_deref(), Some([VOCABULARY as i64, 3].as_slice()));
}

proptest! {
    /// The sum of the slices is the matrix that candle computes.
    #[test]
    fn slices_sum_up_to_candles_own_gradient(
        numbers in prop::collection::vec(0..VOCABULARY as u32, 1..30)
    ) {
        let count = numbers.len();
        let words = words(numbers, &[1, count]);
        let variables = ours().variables().expect("it builds");
        let (ours, candles) =
            (computed(&ours(), &variables, &words), computed(&of_candle(), &variables, &words));
        prop_assert_eq!(ours.loss, candles.loss);
        let Gradient::Sparse(slices) = gradient(&ours.gradients, "e.weight") else {
            panic!("expected slices");
        };
        let Gradient::Dense(dense) = gradient(&candles.gradients, "e.weight") else {
            panic!("expected a matrix");
        };
        let sum = slices.to_dense(VOCABULARY).expect("they fit");
        prop_assert!((&sum - dense).iter().all(|it| it.abs() < 1e-6));
    }
}

#[test]
fn an_embedding_used_twice_has_the_rows_of_both() {
    let twice: CandleModel<Embedding, (Tensor, Tensor)> = CandleModel::new(
        |vb| embedding(VOCABULARY, 3, vb.pp("e")),
        |net, (one, other), _| mean(one, net)? + mean(other, net)?,
    );
    let (one, other) = (words(vec![1, 2], &[2]), words(vec![2, 5, 5], &[3]));
    let variables = twice.variables().expect("it builds");
    let sum = [&one, &other].map(|it| computed(&ours(), &variables, it).gradients);
    let both = computed(&twice, &variables, &(one, other)).gradients;
    let dense = |gradients| match gradient(gradients, "e.weight") {
        Gradient::Sparse(slices) => slices.to_dense(VOCABULARY).expect("they fit"),
        other => panic!("expected slices, got {other:?}"),
    };
    let difference = dense(&both) - dense(&sum[0]) - dense(&sum[1]);
    assert!(difference.iter().all(|it| it.abs() < 1e-6), "{difference}");
}

/// As where the same matrix makes the scores of a language model.
#[test]
fn a_matrix_that_is_shared_with_a_dense_layer_has_a_dense_gradient() {
    let scores = |rows: &Tensor, weight: &Tensor| rows.matmul(&weight.t()?)?.sqr()?.mean_all();
    let tied = CandleModel::new(
        |vb| embedding(VOCABULARY, 3, vb.pp("e")),
        move |net: &Embedding, words: &Tensor, _| scores(&net.forward(words)?, net.weight()),
    );
    let plain = CandleModel::new(
        |vb| candle_nn::embedding(VOCABULARY, 3, vb.pp("e")),
        move |net: &candle_nn::Embedding, words: &Tensor, _| {
            scores(&net.forward(words)?, net.embeddings())
        },
    );
    let words = words(vec![3, 3, 9], &[3]);
    let variables = tied.variables().expect("it builds");
    let (ours, candles) =
        (computed(&tied, &variables, &words), computed(&plain, &variables, &words));
    let (Gradient::Dense(ours), Gradient::Dense(candles)) =
        (gradient(&ours.gradients, "e.weight"), gradient(&candles.gradients, "e.weight"))
    else {
        panic!("expected matrices");
    };
    assert!((ours - candles).iter().all(|it| it.abs() < 1e-5), "{ours} {candles}");
}

/// Outside of a model's pass it is an embedding like any other.
#[test]
fn an_embedding_evaluates_and_refuses_as_candles_own() {
    let variables = ours().variables().expect("it builds");
    let ours = ours().module(&variables).expect("they are its own");
    let candles = of_candle().module(&variables).expect("they are its own");
    let some = words(vec![4, 0, 4, 11], &[2, 2]);
    let rows = |net: &dyn Module| net.forward(&some).and_then(|it| it.to_vec3::<f32>());
    assert_eq!(rows(&ours).expect("they are there"), rows(&candles).expect("they are there"));
    let beyond = words(vec![0, VOCABULARY as u32], &[2]);
    assert!(ours.forward(&beyond).is_err());
    let model = self::ours();
    let error = crate::support::pass(&model, &variables, &beyond).expect_err("it is beyond");
    assert!(error.to_string().contains("12"), "{error}");
}

/// y = the rows of two keys, by a weight.
fn table_model() -> CandleModel<Tensor, Tensor> {
    CandleModel::new(
        |vb| vb.get(2, "w"),
        |w, keys: &Tensor, pass| {
            assert_eq!(pass.rows("items")?.dim(0)?, keys.dim(0)?);
            pass.rows("items")?.broadcast_mul(w)?.sum_all()
        },
    )
    .keys(|keys: &Tensor| Keys::new().of("items", keys.to_vec1().unwrap_or_default()))
}

#[test]
fn rows_of_a_table_have_gradients_by_key() {
    let model = table_model();
    let variables = model.variables().expect("it builds");
    let variables = variables.with_table(Table::new("items", 2)).expect("one name");
    let keys = Tensor::new(&[-5_i64, 8, -5], &Device::Cpu).expect("a vector");
    let rows = Rows::new().with("items", array![[1.0_f32, 2.0], [3.0, 4.0], [1.0, 2.0]]);
    let source = CancellationSource::new(GlobalStep::new(0));
    let computed = pass_with(&model, &variables, &keys, &rows, &source);
    let computed = computed.expect("it computes").expect("it is not late");
    let expected = IndexedSlices::by_key(vec![-5, 8, -5], Array2::<f32>::zeros((3, 2)));
    assert_eq!(*gradient(&computed.gradients, "items"), Gradient::Sparse(expected.expect("fits")));
    let sums = array![5.0_f32, 8.0].into_dyn();
    assert_eq!(*gradient(&computed.gradients, "w"), Gradient::Dense(sums));
}

#[test]
fn rows_that_were_not_looked_up_are_named() {
    let model: CandleModel<Tensor, Tensor> =
        CandleModel::new(|vb| vb.get(2, "w"), |_, _: &Tensor, pass| pass.rows("users")?.sum_all());
    let variables = model.variables().expect("it builds");
    let keys = noise(&[2], 1);
    let error = crate::support::pass(&model, &variables, &keys).expect_err("there are none");
    let error = error.to_string();
    assert!(error.starts_with("no rows of `users` were looked up for this batch"), "{error}");
    assert!(error.ends_with("now: none"), "{error}");
}

/// Candle's mark of padding is a row of zeros without a gradient, and floats are no indices.
#[test]
fn padding_and_indices_that_are_none_are_as_in_candle() {
    let variables = ours().variables().expect("it builds");
    let padded = words(vec![4, u32::MAX, 4], &[3]);
    let (ours, candles) =
        (computed(&ours(), &variables, &padded), computed(&of_candle(), &variables, &padded));
    assert_eq!(ours.loss, candles.loss);
    assert_eq!(
        gradient(&ours.gradients, "e.weight"),
        gradient(&candles.gradients, "e.weight"),
        "the gradient of the whole matrix"
    );
    let floats = noise(&[3], 1);
    assert!(crate::support::pass(&self::ours(), &variables, &floats).is_err());
}

/// A model of tables alone names them where its loss uses none.
#[test]
fn a_loss_that_uses_no_row_names_the_tables() {
    let model: CandleModel<(), Tensor> =
        CandleModel::new(|_| Ok(()), |(), keys: &Tensor, _| keys.mean_all())
            .keys(|_: &Tensor| Keys::new().of("items", vec![1]));
    let variables = model.variables().expect("it needs none");
    let variables = variables.with_table(Table::new("items", 1)).expect("one name");
    let rows = Rows::new().with("items", array![[1.0_f32]]);
    let source = CancellationSource::new(GlobalStep::new(0));
    let error = pass_with(&model, &variables, &noise(&[2], 1), &rows, &source);
    let error = error.expect_err("it uses none").to_string();
    assert!(error.contains("depends on none of the variables (items)"), "{error}");
}
