//! One model, a few short histories, and the report.

#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use models::{Size, all};

fn main() {
    let model = all().into_iter().find(|model| model.name == "accum-core/dense");
    let report = model.expect("it is in the list").run(Size { cases: 16, transitions: 30 });
    println!("{report}");
    assert!(report.failure.is_none());
}
