//! The formulas: hyper-parameters and one elementwise kernel each.
//!
//! Each is a plain value that can be cloned, compared and printed; none holds state. Slots, names
//! and defaults are those of the described system.

mod sgd;

pub use self::sgd::Sgd;
