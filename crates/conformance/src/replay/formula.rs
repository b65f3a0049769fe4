//! The optimizers that traces name, as this project's.

use optim::{Adagrad, Adam, Ftrl, Momentum, Optimizer, Real, RmsProp, Sgd};

use crate::trace::Formula;

pub(super) fn optimizer<T: Real>(formula: &Formula) -> Box<dyn Optimizer<T>> {
    match *formula {
        Formula::Sgd { learning_rate } => Box::new(Sgd::new(learning_rate)),
        Formula::Momentum { learning_rate, momentum, nesterov } => {
            Box::new(Momentum::new(learning_rate, momentum).nesterov(nesterov))
        }
        Formula::Adam { learning_rate, beta1, beta2, epsilon } => {
            Box::new(Adam::new(learning_rate).beta1(beta1).beta2(beta2).epsilon(epsilon))
        }
        Formula::Adagrad { learning_rate, initial_accumulator_value } => Box::new(
            Adagrad::new(learning_rate).initial_accumulator_value(initial_accumulator_value),
        ),
        Formula::RmsProp { learning_rate, decay, momentum, epsilon, centered } => Box::new(
            RmsProp::new(learning_rate)
                .decay(decay)
                .momentum(momentum)
                .epsilon(epsilon)
                .centered(centered),
        ),
        Formula::Ftrl {
            learning_rate,
            learning_rate_power,
            initial_accumulator_value,
            l1,
            l2,
            l2_shrinkage,
        } => Box::new(
            Ftrl::new(learning_rate)
                .learning_rate_power(learning_rate_power)
                .initial_accumulator_value(initial_accumulator_value)
                .l1(l1)
                .l2(l2)
                .l2_shrinkage(l2_shrinkage),
        ),
    }
}
