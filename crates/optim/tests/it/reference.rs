//! Every formula once more, element by element in `f64`: slow, plain, without tiles or layouts, and
//! with the error that the real one may have.
//!
//! An element is rounded fewer than 16 times a step, and each error lives on in all later steps.
//! After *t* steps the error is thus at most *16 t ε S*, where *S* sums the magnitudes of all that
//! was ever added into the element, with those of cancelled terms counted in full.
//!
//! The decay of an average is the one that the number type holds, also in the correction of Adam,
//! and its powers are products, one factor a step: near one, *1 − β* and *1 − βᵗ* make any rounding
//! of *β* or *βᵗ* many times larger, and that is not the formula's.

use optim::{
    Adagrad, Adam, AdamW, Ftrl, LazyAdam, Momentum, Optimizer, Real, RmsProp, Sgd, SparseReach,
};

/// An optimizer with its hyper-parameters.
#[derive(Clone, Copy, Debug)]
pub enum Formula {
    Sgd,
    Momentum { momentum: f64, nesterov: bool },
    Adam { beta1: f64, beta2: f64, lazy: bool, weight_decay: Option<f64> },
    Adagrad { initial: f64 },
    RmsProp { decay: f64, momentum: f64, centered: bool },
    Ftrl { power: f64, l1: f64, l2: f64, shrinkage: f64 },
}

/// Of Adam and RMSProp; so large that the root of a centred second moment is well conditioned.
pub const EPSILON: f64 = 0.01;

/// Of FTRL.
pub const INITIAL: f64 = 0.1;

impl Formula {
    pub fn real<T: Real>(self, rate: f64) -> Box<dyn Optimizer<T>> {
        match self {
            Self::Sgd => Box::new(Sgd::new(rate)),
            Self::Momentum { momentum, nesterov } => {
                Box::new(Momentum::new(rate, momentum).nesterov(nesterov))
            }
            Self::Adam { beta1, beta2, weight_decay: Some(decay), .. } => Box::new(
                AdamW::new(rate).beta1(beta1).beta2(beta2).epsilon(EPSILON).weight_decay(decay),
            ),
            Self::Adam { beta1, beta2, lazy: true, .. } => {
                Box::new(LazyAdam::new(rate).beta1(beta1).beta2(beta2).epsilon(EPSILON))
            }
            Self::Adam { beta1, beta2, .. } => {
                Box::new(Adam::new(rate).beta1(beta1).beta2(beta2).epsilon(EPSILON))
            }
            Self::Adagrad { initial } => {
                Box::new(Adagrad::new(rate).initial_accumulator_value(initial))
            }
            Self::RmsProp { decay, momentum, centered } => {
                let optimizer = RmsProp::new(rate).decay(decay).momentum(momentum);
                Box::new(optimizer.epsilon(EPSILON).centered(centered))
            }
            Self::Ftrl { power, l1, l2, shrinkage } => {
                let optimizer = Ftrl::new(rate).learning_rate_power(-power).l1(l1).l2(l2);
                Box::new(optimizer.l2_shrinkage(shrinkage).initial_accumulator_value(INITIAL))
            }
        }
    }

    /// Whether an element that a sparse gradient does not name still moves.
    pub fn moves_all(self) -> bool {
        Optimizer::<f64>::sparse_reach(&*self.real::<f64>(0.1)) == SparseReach::AllRows
    }
}

/// One element of a variable with its slots, and *S*.
#[derive(Clone, Copy, Debug)]
pub struct Element {
    pub x: f64,
    pub magnitude: f64,
    /// Slots, and beside each signed one the same sum over magnitudes.
    a: f64,
    a_magnitude: f64,
    b: f64,
    c: f64,
    /// What the number type makes of a number.
    narrow: fn(f64) -> f64,
}

impl Element {
    pub fn new<T: Real>(formula: Formula, x: T) -> Self {
        let x = x.wide();
        let (a, b) = match formula {
            Formula::Adagrad { initial } => (0.0, initial),
            Formula::RmsProp { .. } => (0.0, 1.0),
            Formula::Ftrl { .. } => (0.0, INITIAL),
            _ => (0.0, 0.0),
        };
        let narrow = |number| T::of(number).wide();
        Self { x, magnitude: x.abs(), a, a_magnitude: 0.0, b, c: 0.0, narrow }
    }

    /// Step `t`, from 1.
    pub fn step(&mut self, formula: Formula, rate: f64, t: i32, g: f64) {
        let (change, magnitude) = match formula {
            Formula::Sgd => (rate * g, rate * g.abs()),
            Formula::Momentum { momentum, nesterov } => {
                self.a = momentum * self.a + g;
                self.a_magnitude = momentum * self.a_magnitude + g.abs();
                let ahead = |a: f64, g: f64| if nesterov { g + momentum * a } else { a };
                (rate * ahead(self.a, g), rate * ahead(self.a_magnitude, g.abs()))
            }
            Formula::Adam { beta1, beta2, weight_decay, .. } => {
                let (beta1, beta2) = ((self.narrow)(beta1), (self.narrow)(beta2));
                self.a = beta1 * self.a + (1.0 - beta1) * g;
                self.a_magnitude = beta1 * self.a_magnitude + (1.0 - beta1) * g.abs();
                self.b = beta2 * self.b + (1.0 - beta2) * g * g;
                let left = |beta: f64| 1.0 - std::iter::repeat_n(beta, t as usize).product::<f64>();
                let rate_now = rate * left(beta2).sqrt() / left(beta1);
                let scale = rate_now / (self.b.sqrt() + EPSILON);
                let shrunk = weight_decay.map_or(0.0, |decay| rate * decay * self.x);
                (shrunk + scale * self.a, shrunk.abs() + scale * self.a_magnitude)
            }
            Formula::Adagrad { .. } => {
                self.b += g * g;
                (rate * g / self.b.sqrt(), rate * g.abs() / self.b.sqrt())
            }
            Formula::RmsProp { decay, momentum, centered } => {
                let decay = (self.narrow)(decay);
                self.b = decay * self.b + (1.0 - decay) * g * g;
                self.c = decay * self.c + (1.0 - decay) * g;
                let square = if centered { self.c * self.c } else { 0.0 };
                let under = (self.b - square).max(0.0) + EPSILON;
                let lost = (self.b + square + EPSILON) / under;
                self.a = momentum * self.a + rate * g / under.sqrt();
                self.a_magnitude =
                    momentum * self.a_magnitude + lost * rate * g.abs() / under.sqrt();
                (self.a, self.a_magnitude)
            }
            Formula::Ftrl { .. } => return self.ftrl(formula, rate, g),
        };
        self.x -= change;
        self.magnitude += magnitude;
    }

    /// The variable is made anew from *z* and *n*, so *S* is that of *z* over the denominator.
    fn ftrl(&mut self, formula: Formula, rate: f64, g: f64) {
        let Formula::Ftrl { power, l1, l2, shrinkage } = formula else { return };
        let (old, new) = (self.b.powf(power), (self.b + g * g).powf(power));
        let sigma = (new - old) / rate;
        self.a += g + 2.0 * shrinkage * self.x - sigma * self.x;
        self.a_magnitude += g.abs() + (2.0 * shrinkage + (new + old) / rate) * self.magnitude;
        self.b += g * g;
        let under = new / rate + 2.0 * l2;
        self.x = if self.a.abs() <= l1 { 0.0 } else { (self.a.signum() * l1 - self.a) / under };
        self.magnitude = (self.a_magnitude + l1) / under;
    }

    /// How far the real one may be from `x` after `t` steps.
    pub fn tolerance(&self, t: i32, epsilon: f64) -> f64 {
        16.0 * f64::from(t) * epsilon * self.magnitude
    }
}
