//! Groups of variables: each variable moves as if its formula were the only one.

use ndarray::{ArrayD, array};
use optim::{
    Adam, AdamW, BuiltIn, Groups, Momentum, Optimizer, OptimizerState, Schedule, Sgd,
    SparseGradient,
};

/// A variable after three steps with this formula.
fn moved(optimizer: impl Optimizer<f64> + 'static, name: &str, whole: &str) -> ArrayD<f64> {
    let mut state = OptimizerState::new(optimizer).expect("good numbers");
    let mut w = array![[1.0, -2.0], [0.5, 3.0]].into_dyn();
    state.add_part(name, whole, w.shape()).expect("is new");
    for _ in 0..3 {
        let gradient = w.mapv(|x| 2.0 * x + 1.0);
        state.apply_dense(name, w.view_mut(), &gradient).expect("it fits");
        let rows = array![[1.0, 1.0]].into_dyn();
        let sparse = SparseGradient { indices: &[1], rows: rows.view() };
        state.apply_sparse(name, w.view_mut(), sparse).expect("it fits");
        state.finish_step();
    }
    w
}

/// the numbers of a group are those of its variables, of whole ones and of their parts.
#[test]
fn a_variable_moves_by_its_own_formula() {
    #[track_caller]
    fn check(rest: impl Into<BuiltIn>, own: impl Into<BuiltIn>) {
        let (rest, own) = (rest.into(), own.into());
        let groups = Groups::new(rest.clone()).group(["a", "b"], own.clone());
        assert_eq!(moved(groups.clone(), "b", "b"), moved(own.clone(), "b", "b"));
        assert_eq!(moved(groups.clone(), "b[0..2]", "b"), moved(own, "b", "b"));
        assert_eq!(moved(groups.clone(), "b[0..2]", "b[0..2]"), moved(rest.clone(), "b", "b"));
        assert_eq!(moved(groups, "c", "c"), moved(rest, "c", "c"));
    }
    check(Sgd::new(0.1), Sgd::new(0.01));
    check(Momentum::new(0.1, 0.9), Momentum::new(0.1, 0.5).nesterov(true));
    let decayed: Schedule = "exponential:initial=0.3,decay=0.5,every=1".parse().expect("is valid");
    check(AdamW::new(0.1).weight_decay(0.1), AdamW::new(decayed).weight_decay(0.0));
    check(Adam::new(0.1), Adam::new(0.2).epsilon(1e-3));
}

#[test]
fn groups_that_do_not_fit_are_refused() {
    #[track_caller]
    fn check(groups: Groups, expected: &str) {
        let refused = OptimizerState::<f32>::new(groups).expect_err("they do not fit");
        assert!(refused.to_string().contains(expected), "{refused}");
    }
    let rest = || Groups::new(Adam::new(0.1));
    check(rest().group(["b"], Sgd::new(0.1)), "of the rest's formula");
    check(rest().group(["b"], Adam::new(0.1).beta1(0.5)), "of the rest's formula");
    check(rest().group(["b"], rest()), "of the rest's formula");
    check(rest().group(["b"], Adam::new(-0.1)), "learning rate");
    let twice = rest().group(["a", "b"], Adam::new(0.2)).group(["b"], Adam::new(0.3));
    check(twice, "in no other");
    check(rest().group(["b", "b"], Adam::new(f64::NAN)), "learning rate");
}
