//! Any bytes as messages over one connection: refused or taken, and whoever else trains goes on.
//!
//! The first byte says who hears. Then comes message after message, each behind its length in two
//! bytes, the lower one first.

use cluster::test_util::{Ear, connection, hear, read};

pub fn check(data: &[u8]) {
    let Some((first, mut rest)) = data.split_first() else { return };
    let ear = Ear::ALL[usize::from(*first) % Ear::ALL.len()];
    let mut messages = Vec::new();
    while let Some((length, behind)) = rest.split_first_chunk() {
        let length = usize::from(u16::from_le_bytes(*length));
        let (message, next) = behind.split_at(behind.len().min(length));
        messages.push(message);
        rest = next;
    }
    let bytes = connection(&messages);
    let heard = hear(ear, &bytes);
    assert_eq!(heard.others, Ok(()), "{ear:?}");
    assert!(!heard.changed || read(ear, &bytes).may_change, "{ear:?}");
    assert!(heard.bad_messages <= 1, "{ear:?}");
}
