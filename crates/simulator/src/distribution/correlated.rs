//! Draws of a distribution that resemble the one before.
//!
//! A Gaussian copula: a chain of standard normals, each `correlation` times the one before and the
//! rest by chance, of which every one is turned into the time that is exceeded as seldom. So each
//! single draw follows the distribution, whatever it is. Of a log-normal the logarithms have that
//! correlation from draw to draw; of others the ranks have nearly so much. A mixture's stragglers
//! are its slow end, so who straggled is likely to do so again.

use super::{Correlation, Distribution, Samples, normal};
use crate::stream::Stream;

/// A distribution, and where its chain is.
#[derive(Clone, Debug)]
pub(crate) struct Correlated {
    distribution: Distribution,
    correlation: f64,
    normal: Option<f64>,
}

impl Correlated {
    pub(crate) fn new(distribution: &Distribution, correlation: Correlation) -> Self {
        let distribution = ascending(distribution);
        Self { distribution, correlation: correlation.get(), normal: None }
    }

    /// Draws a time, in seconds.
    pub(crate) fn draw(&mut self, stream: &mut Stream) -> f64 {
        let by_chance = normal::quantile(stream.uniform());
        let rho = self.correlation;
        let chance = libm::sqrt(1.0 - rho * rho);
        let normal = self.normal.map_or(by_chance, |before| rho * before + chance * by_chance);
        self.normal = Some(normal);
        self.distribution.exceeded(normal::above(normal))
    }
}

/// The same with samples in order, by which they are found from a probability.
fn ascending(distribution: &Distribution) -> Distribution {
    match distribution {
        Distribution::Samples { seconds } => {
            let mut seconds = seconds.seconds().to_vec();
            seconds.sort_by(f64::total_cmp);
            Distribution::Samples { seconds: Samples(seconds) }
        }
        Distribution::Mixture { probability, body, straggler } => Distribution::Mixture {
            probability: *probability,
            body: Box::new(ascending(body)),
            straggler: Box::new(ascending(straggler)),
        },
        other => other.clone(),
    }
}
