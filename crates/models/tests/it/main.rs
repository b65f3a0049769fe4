//! The models as others run them: each holds, and says how much it ran.

use models::{Size, all};

#[test]
fn every_model_holds_and_counts_its_cases() {
    let size = Size { cases: 8, transitions: 40 };
    for model in all() {
        let report = model.run(size);
        assert!(report.failure.is_none(), "{report}");
        assert!(report.cases >= u64::from(size.cases), "{report}");
        assert!(report.transitions >= report.cases, "{report}");
    }
}

#[test]
fn names_are_unique_and_say_the_crate() {
    let names: Vec<_> = all().iter().map(|model| model.name).collect();
    let mut unique = names.clone();
    unique.sort_unstable();
    unique.dedup();
    assert_eq!(unique.len(), names.len(), "{names:?}");
    assert!(names.iter().all(|name| name.split('/').count() == 2), "{names:?}");
}
