//! The headings under which the help shows the options of a training.

pub(super) const MODEL: &str = "Model and data";
pub(super) const OPTIMIZER: &str = "Optimizer";
pub(super) const REPLICAS: &str = "Replicas";
pub(super) const LENGTH: &str = "Length";
pub(super) const OUTPUT: &str = "Output";
