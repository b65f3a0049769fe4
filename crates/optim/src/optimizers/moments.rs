//! The moments of Adam and its relatives, and what comes of them: setters, slots, checks, the step.

use crate::finite::Seen;
use crate::hyper::Checks;
use crate::simd::widest;
use crate::{HyperParameterError, Real, ScalarSpec, Schedule, SlotSpec, Step, Tile};

/// The two moments with their powers, shared by the whole family.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub(super) struct Moments {
    pub(super) beta1: f64,
    pub(super) beta2: f64,
    pub(super) epsilon: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 }
    }
}

impl Moments {
    pub(super) fn slots() -> Vec<SlotSpec> {
        vec![SlotSpec::new("m", 0.0), SlotSpec::new("v", 0.0)]
    }

    /// The betas as the moments see them. Near one, any other would be far from one minus it, and
    /// the correction would not be that of the moments.
    fn betas<T: Real>(&self) -> [f64; 2] {
        [self.beta1, self.beta2].map(|beta| T::of(beta).wide())
    }

    /// The powers start at the betas: they are those of the step under way.
    pub(super) fn scalars<T: Real>(&self) -> Vec<ScalarSpec> {
        let [first, second] = self.betas::<T>();
        // A power of one would be a moment that nothing ever enters.
        let power = |name, beta| ScalarSpec::new(name, beta).within(0.0, 1.0_f64.next_down());
        vec![power("beta1_power", first), power("beta2_power", second)]
    }

    pub(super) fn finish<T: Real>(&self, scalars: &mut [f64]) {
        let betas = self.betas::<T>();
        scalars.iter_mut().zip(betas).for_each(|(power, beta)| *power *= beta);
    }

    pub(super) fn validate<T: Real>(
        &self,
        owner: &'static str,
        learning_rate: &Schedule,
    ) -> Result<(), HyperParameterError> {
        let checks = Checks::<T>::of(owner);
        checks.fraction_below_one("beta1", self.beta1)?;
        checks.fraction_below_one("beta2", self.beta2)?;
        // With zero, an element that never had a gradient would become 0 / 0.
        checks.positive("epsilon", self.epsilon)?;
        // The largest bias correction there can be.
        let [beta1, _] = self.betas::<T>();
        learning_rate.validate_for::<T>(1.0 / (1.0 - beta1))
    }

    /// Adam's step after `x ← x − shrinkage · x`; whether all of it is finite.
    #[inline]
    pub(super) fn update<T: Real>(
        &self,
        step: &Step<'_>,
        tile: Tile<'_, T>,
        shrinkage: f64,
    ) -> bool {
        let correction = (1.0 - step.scalars[1]).sqrt() / (1.0 - step.scalars[0]);
        let rate = T::of(step.learning_rate * correction);
        let (beta1, beta2) = (T::of(self.beta1), T::of(self.beta2));
        // Of the betas as they are in T, so that the two weights of a moment sum to one.
        let (rest1, rest2) = (T::one() - beta1, T::one() - beta2);
        let (epsilon, shrinkage) = (T::of(self.epsilon), T::of(shrinkage));
        let [first, second, ..] = tile.slots;
        let elements = tile.variable.iter_mut().zip(first).zip(second).zip(tile.gradient);
        widest(|| {
            let mut seen = Seen::nothing();
            for (((x, m), v), &g) in elements {
                *m = beta1 * *m + rest1 * g;
                *v = beta2 * *v + rest2 * g * g;
                *x -= shrinkage * *x + rate * *m / (v.sqrt() + epsilon);
                // An infinite second moment leaves a finite variable where it is.
                seen.see(*v);
                seen.see(*x);
            }
            seen.all_finite()
        })
    }
}

/// What the whole family has: the setters of its moments, and the methods of `Optimizer` in which
/// no member differs.
macro_rules! moments {
    (setters of $optimizer:ty) => {
        impl $optimizer {
            /// The decay of the first moment, in [0, 1), also once rounded to the variables'
            /// number type.
            #[must_use]
            pub fn beta1(mut self, beta1: f64) -> Self {
                self.moments.beta1 = beta1;
                self
            }

            /// The decay of the second moment, in [0, 1), also once rounded to the variables'
            /// number type.
            #[must_use]
            pub fn beta2(mut self, beta2: f64) -> Self {
                self.moments.beta2 = beta2;
                self
            }

            /// What is added to *√v*, above zero.
            #[must_use]
            pub fn epsilon(mut self, epsilon: f64) -> Self {
                self.moments.epsilon = epsilon;
                self
            }
        }
    };
    (methods) => {
        fn learning_rate(&self) -> &Schedule {
            &self.learning_rate
        }

        fn slots(&self) -> Vec<SlotSpec> {
            Moments::slots()
        }

        fn scalars(&self) -> Vec<ScalarSpec> {
            self.moments.scalars::<T>()
        }

        fn finish(&self, scalars: &mut [f64]) {
            self.moments.finish::<T>(scalars);
        }
    };
}
pub(super) use moments;
