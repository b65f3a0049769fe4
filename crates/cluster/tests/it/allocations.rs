//! What a message claims is not allocated: memory follows what has come, within the largest
//! message that is taken.

use std::alloc::System;
use std::cell::Cell;

use cluster::test_util::{Ear, connection, examples, hear};
use tracking_allocator::{AllocationGroupId, AllocationRegistry, AllocationTracker, Allocator};

#[global_allocator]
static ALLOCATOR: Allocator<System> = Allocator::system();

thread_local! {
    /// The largest allocation of this thread while it is looked at.
    static LARGEST: Cell<Option<usize>> = const { Cell::new(None) };
}

struct Largest;

impl AllocationTracker for Largest {
    fn allocated(&self, _: usize, size: usize, _: usize, _: AllocationGroupId) {
        // Fails only when the thread ends.
        let _ = LARGEST.try_with(|it| it.set(it.get().map(|largest| largest.max(size))));
    }

    fn deallocated(
        &self,
        _: usize,
        _: usize,
        _: usize,
        _: AllocationGroupId,
        _: AllocationGroupId,
    ) {
    }
}

/// The largest message that is taken.
const MESSAGE: usize = 4 << 20;

/// A field of bytes: its tag, their number, they.
fn field(tag: u8, bytes: &[u8]) -> Vec<u8> {
    let mut field = vec![tag];
    let mut length = bytes.len();
    while length > 0x7f {
        field.push(length as u8 | 0x80);
        length >>= 7;
    }
    field.push(length as u8);
    field.extend(bytes);
    field
}

#[test]
fn memory_follows_what_has_come() {
    AllocationRegistry::set_global_tracker(Largest).expect("it is the first");
    AllocationRegistry::enable_tracking();
    let examples = examples();
    let hello = |ear| examples.iter().find(|it| it.ear == ear && it.name == "Hello");
    #[track_caller]
    fn check(name: &str, ear: Ear, bytes: &[u8], most: usize) {
        LARGEST.set(Some(0));
        let heard = hear(ear, bytes);
        let largest = LARGEST.take().unwrap_or_default();
        println!("{name}: {largest} bytes at once");
        assert!(largest <= most, "{name}: {largest} bytes at once, expected at most {most}");
        assert_eq!(heard.others, Ok(()), "{name}");
    }
    let ticket = [0x0a, 4, 8, 1, 16, 1, 16, 1];
    for ear in [Ear::Coordinator, Ear::Server] {
        let hello = &hello(ear).expect("there is one").message;
        let message = |bytes: Vec<u8>| connection(&[hello, &bytes]);
        let rows = [&ticket[..], &field(0x1a, &[16, 2, 24, 0xff, 0xff, 0xff, 0xff, 0x7f])].concat();
        check("many rows", ear, &message(field(0x1a, &rows)), 1 << 16);
        let half = [&connection(&[hello])[..], &[0, 0, 0x3f, 0xff, 0xff], &[0x0a]].concat();
        check("a large message of which little came", ear, &half, MESSAGE + (1 << 14));
        let large = [&connection(&[hello])[..], &[0, 0x7f, 0xff, 0xff, 0xff], &[0x0a]].concat();
        check("a message that is too large", ear, &large, 1 << 16);
        // The smallest section takes two bytes, and sixteen once it is read.
        let sections = [0x1a, 0].repeat(MESSAGE / 2 - 100);
        let sections = message(field(0x1a, &[&ticket[..], &sections].concat()));
        check("many sections", ear, &sections, 16 * MESSAGE);
        let variables = field(0x22, &vec![1; MESSAGE - 100]);
        let commit = message(field(0x2a, &[&ticket[..], &variables].concat()));
        check("many variables", ear, &commit, 16 * MESSAGE);
    }
    AllocationRegistry::disable_tracking();
}
