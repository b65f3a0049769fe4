//! A variable has gradients of one kind in all batches, as the trainer wants it.

use candle_core::{Device, Module, Tensor};
use ndarray::ArrayD;
use optim::Sgd;
use sync_replicas::{Gradient, Hooks, SyncReplicas};
use sync_replicas_candle::{CandleModel, Embedding, embedding};

use crate::support::{computed, gradient, pass};

/// Which parts of the module a batch uses.
type Uses = (bool, bool);

fn scalar(number: f32) -> Tensor {
    Tensor::new(number, &Device::Cpu).expect("a number")
}

/// w² where it is used; and an embedding, by its rows or as a whole.
struct Net {
    w: Tensor,
    words: Embedding,
}

fn model() -> CandleModel<Net, (Tensor, Uses)> {
    CandleModel::new(
        |vb| Ok(Net { w: vb.get(3, "w")?, words: embedding(5, 2, vb.pp("words"))? }),
        |net, (words, (w, rows)): &(Tensor, Uses), _| {
            let mut loss = net.words.weight().sqr()?.mean_all()?.affine(0.0, 0.0)?;
            if *w {
                loss = (loss + (&net.w + 1.0)?.sqr()?.mean_all()?)?;
            }
            match rows {
                true => loss + net.words.forward(words)?.mean_all()?,
                false => loss + net.words.weight().sqr()?.mean_all()?,
            }
        },
    )
}

fn batch(uses: Uses) -> (Tensor, Uses) {
    (Tensor::new(&[3_u32, 1], &Device::Cpu).expect("a vector"), uses)
}

fn as_dense(gradient: &Gradient<f32>) -> ArrayD<f32> {
    match gradient {
        Gradient::Dense(dense) => dense.clone(),
        Gradient::Sparse(slices) => slices.to_dense(5).expect("they fit"),
        Gradient::Missing => panic!("expected a gradient"),
    }
}

#[test]
fn a_later_gradient_has_the_kind_of_the_first_and_its_own_numbers() {
    #[track_caller]
    fn check(first: Uses, later: Uses, sparse: bool) {
        let (model, other) = (model(), model());
        let variables = model.variables().expect("it builds");
        computed(&model, &variables, &batch(first));
        let got = computed(&model, &variables, &batch(later)).gradients;
        let own = computed(&other, &variables, &batch(later)).gradients;
        let (got, own) = (gradient(&got, "words.weight"), gradient(&own, "words.weight"));
        assert_eq!(matches!(got, Gradient::Sparse(_)), sparse, "{first:?}, then {later:?}");
        assert_eq!(as_dense(got), as_dense(own), "{first:?}, then {later:?}");
    }
    check((true, true), (true, true), true);
    check((true, true), (true, false), true);
    check((true, false), (true, true), false);
}

#[test]
fn a_variable_that_had_a_gradient_and_is_not_used_gets_zeros() {
    let model = model();
    let variables = model.variables().expect("it builds");
    computed(&model, &variables, &batch((true, true)));
    let later = computed(&model, &variables, &batch((false, true))).gradients;
    assert_eq!(*gradient(&later, "w"), Gradient::Dense(ArrayD::zeros([3].as_slice())));
}

#[test]
fn a_variable_that_had_none_may_get_one_only_where_that_was_said() {
    let model = model();
    let variables = model.variables().expect("it builds");
    let first = computed(&model, &variables, &batch((false, true))).gradients;
    assert_eq!(*gradient(&first, "w"), Gradient::Missing);
    let error =
        pass(&model, &variables, &batch((true, true))).expect_err("it had none").to_string();
    assert!(error.starts_with("variable `w` has a gradient now, and had none"), "{error}");
    assert!(error.ends_with("`CandleModel::zeros_for_unused`"), "{error}");

    let model = self::model().zeros_for_unused();
    let first = computed(&model, &variables, &batch((false, true))).gradients;
    assert_eq!(*gradient(&first, "w"), Gradient::Dense(ArrayD::zeros([3].as_slice())));
    let later = computed(&model, &variables, &batch((true, true))).gradients;
    assert_eq!(as_dense(gradient(&later, "w")), ArrayD::from_elem([3].as_slice(), 2.0 / 3.0));
}

/// As a loss that is a constant in its first batches.
#[test]
fn a_batch_that_is_refused_leaves_the_kinds_open() {
    let model = CandleModel::new(
        |vb| vb.get(3, "w"),
        |w: &Tensor, uses: &Tensor, _| match uses.to_scalar::<f32>()? > 0.0 {
            true => w.sqr()?.mean_all(),
            false => uses.sqr(),
        },
    );
    let variables = model.variables().expect("it builds");
    let error = pass(&model, &variables, &scalar(0.0)).expect_err("it has no gradient");
    assert!(error.to_string().contains("none of the variables (w)"), "{error}");
    let later = computed(&model, &variables, &scalar(1.0)).gradients;
    assert!(matches!(gradient(&later, "w"), Gradient::Dense(_)), "{later:?}");
}

/// As a mixture of experts does: each batch uses another part.
#[test]
fn branches_that_depend_on_the_batch_train() {
    let model = CandleModel::new(
        |vb| Ok([vb.get(1, "even")?, vb.get(1, "odd")?]),
        |net: &[Tensor; 2], target: &Tensor, pass| {
            let used = &net[usize::from(pass.number() % 2 == 1)];
            used.broadcast_sub(target)?.sqr()?.mean_all()
        },
    )
    .zeros_for_unused();
    let trainer = SyncReplicas::new(Sgd::new(0.1)).replicas_to_aggregate(2);
    let trainer = trainer.build(model.variables().expect("it builds")).expect("it fits");
    let data = |_| std::iter::repeat(scalar(4.0));
    trainer.fit(&model, data, Hooks::new().stop_at_step(200)).expect("it trains");
    for name in ["even", "odd"] {
        let value = trainer.snapshot().variables.vector(name).expect("is known")[0];
        assert!((value - 4.0).abs() < 0.1, "{name}: {value}");
    }
}
