//! Any bytes as a plan: refused with a reason, or a plan whose settings the engine takes.

use simulator::Plan;

pub fn check(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Plan::read(text) {
        Ok(plan) => {
            assert!(plan.aggregate() > 0 && plan.total() > 0);
            assert!(plan.with(|_| ()).is_ok(), "what was checked once holds");
        }
        Err(error) => {
            assert!(!error.message().is_empty());
            assert!(error.line().is_none_or(|line| line <= text.lines().count() + 1), "{error}");
        }
    }
}
