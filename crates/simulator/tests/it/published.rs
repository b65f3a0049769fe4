//! The published numbers come out, each within its tolerance.

use simulator::checks;

#[test]
fn all_of_them_hold() {
    let checks = checks::Published::simulate().checks();
    for id in ["Q-1", "Q-2", "Q-3", "Q-4", "Q-5", "Q-6", "Q-7", "Q-8", "Q-9"] {
        assert!(checks.iter().any(|check| check.id == id), "{id} is missing");
    }
    let failed: Vec<_> = checks.iter().filter(|check| !check.holds).collect();
    assert!(failed.is_empty(), "{failed:#?}");
}
