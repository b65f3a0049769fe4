//! The published numbers come out, each within its tolerance (Q1 to Q9).

use simulator::checks;

#[test]
fn all_of_them_hold() {
    let checks = checks::Published::simulate().checks();
    for id in ["Q1", "Q2", "Q3", "Q4", "Q5", "Q6", "Q7", "Q8", "Q9"] {
        assert!(checks.iter().any(|check| check.id == id), "{id} is missing");
    }
    let failed: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
