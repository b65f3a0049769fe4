//! The lock after a panic.

#![allow(clippy::disallowed_methods, reason = "tests may start threads")]

use super::*;

#[test]
fn a_lock_outlives_a_panic_of_its_holder() {
    let shared = Arc::new(Mutex::new(1));
    let holder = Arc::clone(&shared);
    let panicked = std::thread::spawn(move || {
        let _held = lock(&holder);
        panic!("on purpose, with the lock held");
    });
    assert!(panicked.join().is_err());
    assert_eq!(*lock(&shared), 1);
}
