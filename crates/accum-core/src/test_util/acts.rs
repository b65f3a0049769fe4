//! What can be done to an accumulator, and how often each is drawn.
//!
//! Plain data and its generators; what must come of it is in the model. Invariant: an act says
//! everything in terms of the model's state when it is done, so that any part of a history is one.

use proptest::prelude::*;

/// The elements of a fitting dense gradient, and the rows of the variable of a sparse one.
pub const WIDTH: i64 = 4;

/// Dense or sparse.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Arrays of shape `[WIDTH]`.
    Dense,
    /// Indexed slices of a variable of shape `[WIDTH, 1]`.
    Sparse,
}

/// A gradient that is pushed: whole numbers, so that sums are exact.
#[derive(Clone, Debug, PartialEq)]
pub struct Pushed {
    /// Index and value. Dense: every index once, in order; sparse: as it comes, unsorted, repeated,
    /// out of range, or none at all.
    pub rows: Vec<(i64, f64)>,
    /// Numbers in a row; other than 1 fits no sparse gradient. Dense gradients have 1.
    pub columns: usize,
}

impl Pushed {
    /// Whether it fits the declared shape.
    //
    pub fn fits(&self, kind: Kind) -> bool {
        match kind {
            Kind::Dense => self.rows.len() as i64 == WIDTH,
            Kind::Sparse => {
                let in_range = |(index, _): &(i64, f64)| (0..WIDTH).contains(index);
                self.columns == 1 && self.rows.iter().all(in_range)
            }
        }
    }
}

/// One thing done to an accumulator.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Push a gradient whose local step is this much above (fresh, future) or below (stale) the
    /// accumulator's.
    Push {
        /// Local step minus global step.
        age: i64,
        /// The gradient.
        gradient: Pushed,
    },
    /// Begin to take, and poll once.
    Take {
        /// As asked for; below 1 is refused.
        required: i64,
    },
    /// Take if there is enough and no other take waits.
    TryTake {
        /// As asked for; below 1 is refused.
        required: i64,
    },
    /// Poll one of the takes that were pending.
    Poll {
        /// Which of them, modulo their number.
        nth: usize,
    },
    /// Drop one of the takes that were pending: waiting, or completed and not read.
    Drop {
        /// Which of them, modulo their number.
        nth: usize,
    },
    /// Set the step.
    SetStep {
        /// To this.
        step: i64,
    },
    /// Read the count.
    Count,
    /// Close the accumulator.
    Close,
}

/// Any act, in a mix that lets steps close and lines form.
pub fn act(kind: Kind) -> impl Strategy<Value = Act> {
    let age = prop_oneof![12 => Just(0_i64), 3 => -3_i64..0, 3 => 1_i64..4];
    let step = prop_oneof![20 => -3_i64..9, 1 => Just(i64::MAX), 1 => Just(i64::MIN)];
    let nth = 0_usize..8;
    let required = || prop_oneof![20 => 1_i64..4, 1 => -1_i64..1];
    prop_oneof![
        12 => (age, gradient(kind)).prop_map(|(age, gradient)| Act::Push { age, gradient }),
        6 => required().prop_map(|required| Act::Take { required }),
        2 => required().prop_map(|required| Act::TryTake { required }),
        4 => nth.clone().prop_map(|nth| Act::Poll { nth }),
        4 => nth.prop_map(|nth| Act::Drop { nth }),
        2 => step.prop_map(|step| Act::SetStep { step }),
        1 => Just(Act::Count),
        // Seldom: most of a history after it has no line.
        1 => prop_oneof![19 => Just(Act::Count), 1 => Just(Act::Close)],
    ]
}

fn gradient(kind: Kind) -> BoxedStrategy<Pushed> {
    let value = || (-100_i32..=100).prop_map(f64::from);
    match kind {
        Kind::Dense => {
            let len = prop_oneof![9 => Just(WIDTH as usize), 1 => 0_usize..8];
            len.prop_flat_map(move |len| prop::collection::vec(value(), len))
                .prop_map(|values| Pushed { rows: (0..).zip(values).collect(), columns: 1 })
                .boxed()
        }
        Kind::Sparse => {
            let index = prop_oneof![60 => 0..WIDTH, 1 => Just(-1), 1 => Just(WIDTH)];
            let rows = prop::collection::vec((index, value()), 0..6);
            let columns = prop_oneof![12 => Just(1_usize), 1 => Just(2)];
            (rows, columns).prop_map(|(rows, columns)| Pushed { rows, columns }).boxed()
        }
    }
}
