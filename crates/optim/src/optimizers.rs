//! The formulas: hyper-parameters and one elementwise kernel each.
//!
//! Each is a plain value that can be cloned, compared and printed; none holds state. [`Groups`] has
//! several of one kind. Slots, names and defaults are those of TensorFlow.

mod adagrad;
mod adam;
mod adam_w;
mod built_in;
mod ftrl;
mod groups;
mod lazy_adam;
mod moments;
mod momentum;
mod rms_prop;
mod sgd;

pub use self::adagrad::Adagrad;
pub use self::adam::Adam;
pub use self::adam_w::AdamW;
pub use self::built_in::BuiltIn;
pub use self::ftrl::Ftrl;
pub use self::groups::Groups;
pub use self::lazy_adam::LazyAdam;
pub use self::momentum::Momentum;
pub use self::rms_prop::RmsProp;
pub use self::sgd::Sgd;
