//! What the machine can do: streams over memory, and threads that wake each other, with nothing
//! else about them.
//!
//! These use no crate of the project. The loops are compiled for the best instructions that the
//! machine has, as a fair ceiling must be.

use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use pulp::Arch;

use crate::{Work, together};

/// What a thread does with its part of memory.
#[derive(Clone, Copy)]
enum Stream {
    Read,
    Add,
    Copy,
}

/// One stream over memory, on one thread or more, each with its share of the elements.
pub(crate) struct Memory {
    stream: Stream,
    /// Of each thread: what is written, and what is read.
    parts: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Memory {
    /// Reads so many elements: 4 bytes each.
    pub(crate) fn read(elements: usize, threads: usize) -> Self {
        Self::new(Stream::Read, elements, threads)
    }

    /// `a += b` over so many elements: 12 bytes each.
    pub(crate) fn add(elements: usize, threads: usize) -> Self {
        Self::new(Stream::Add, elements, threads)
    }

    /// Copies so many elements: 8 bytes each.
    pub(crate) fn copy(elements: usize, threads: usize) -> Self {
        Self::new(Stream::Copy, elements, threads)
    }

    fn new(stream: Stream, elements: usize, threads: usize) -> Self {
        let share = elements / threads;
        let written = if matches!(stream, Stream::Read) { 0 } else { share };
        let parts = (0..threads).map(|_| (vec![1.0; written], vec![1e-3; share])).collect();
        Self { stream, parts }
    }
}

impl Work for Memory {
    fn run(&mut self, times: u64) -> Duration {
        let stream = self.stream;
        together(&mut self.parts, |(to, from)| {
            for _ in 0..times {
                match stream {
                    Stream::Read => _ = black_box(read(black_box(from))),
                    Stream::Add => add(to, black_box(from)),
                    Stream::Copy => to.copy_from_slice(black_box(from)),
                }
                black_box(&mut *to);
            }
        })
    }
}

/// Folds bits, since the order of float additions would keep the loop from being vectorised.
fn read(from: &[f32]) -> u32 {
    Arch::new().dispatch(|| from.iter().fold(0, |folded, element| folded ^ element.to_bits()))
}

pub(crate) fn add(to: &mut [f32], from: &[f32]) {
    Arch::new().dispatch(|| {
        for (to, from) in to.iter_mut().zip(from) {
            *to += *from;
        }
    });
}

/// A barrier with nothing about it: the last to come unparks the others.
pub(crate) struct Barrier {
    threads: usize,
}

impl Barrier {
    pub(crate) fn new(threads: usize) -> Self {
        Self { threads }
    }
}

impl Work for Barrier {
    fn run(&mut self, times: u64) -> Duration {
        let (arrived, round) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let all: Mutex<Vec<Thread>> = Mutex::new(Vec::new());
        let threads = self.threads;
        together(&mut vec![(); threads], |()| {
            let everybody = meet(&all, threads);
            for now in 0..times as usize {
                if arrived.fetch_add(1, Ordering::AcqRel) + 1 == threads {
                    arrived.store(0, Ordering::Relaxed);
                    round.store(now + 1, Ordering::Release);
                    everybody.iter().for_each(Thread::unpark);
                } else {
                    while round.load(Ordering::Acquire) == now {
                        thread::park();
                    }
                }
            }
        })
    }
}

/// Everybody else's handle, once all have come.
fn meet(all: &Mutex<Vec<Thread>>, threads: usize) -> Vec<Thread> {
    all.lock().expect("nobody panics").push(thread::current());
    loop {
        let here = all.lock().expect("nobody panics");
        if here.len() == threads {
            let own = thread::current().id();
            return here.iter().filter(|thread| thread.id() != own).cloned().collect();
        }
        drop(here);
        thread::yield_now();
    }
}

/// A flag that goes there and back between two threads, under a mutex and a condvar.
pub(crate) struct PingPong;

impl Work for PingPong {
    fn run(&mut self, times: u64) -> Duration {
        let (is_mine, changed) = (Mutex::new(true), Condvar::new());
        let hand_over = |mine: bool| {
            let mut turn = is_mine.lock().expect("nobody panics");
            while *turn != mine {
                turn = changed.wait(turn).expect("nobody panics");
            }
            *turn = !mine;
            changed.notify_one();
        };
        thread::scope(|scope| {
            scope.spawn(|| (0..times).for_each(|_| hand_over(false)));
            let begun = Instant::now();
            (0..times).for_each(|_| hand_over(true));
            begun.elapsed()
        })
    }
}
