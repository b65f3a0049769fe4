//! Events in virtual time.
//!
//! No clock is read: time is whatever the next event says. Events of the same instant come in the
//! order in which they were added, so a run never depends on how a heap breaks ties.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;
use std::time::Duration;

/// Events to come, the earliest first, and the present moment.
///
/// # Examples
/// ```
/// use std::time::Duration;
///
/// let mut queue = simulator::EventQueue::new();
/// queue.after(Duration::from_secs(2), "second");
/// queue.after(Duration::from_secs(1), "first");
/// queue.after(Duration::from_secs(2), "third");
/// assert_eq!(queue.next(), Some("first"));
/// assert_eq!(queue.now(), Duration::from_secs(1));
/// queue.after(Duration::from_secs(1), "fourth");
/// assert_eq!(queue.by_ref().collect::<Vec<_>>(), ["second", "third", "fourth"]);
/// assert_eq!(queue.now(), Duration::from_secs(2));
/// ```
#[derive(Clone, Debug)]
pub struct EventQueue<E> {
    entries: BinaryHeap<Reverse<Entry<E>>>,
    now: Duration,
    /// How many events were ever added: the number of the next one.
    put: u64,
}

impl<E> EventQueue<E> {
    /// An empty queue at time zero.
    #[must_use]
    pub fn new() -> Self {
        Self { entries: BinaryHeap::new(), now: Duration::ZERO, put: 0 }
    }

    /// The time of the event that came last.
    #[must_use]
    pub fn now(&self) -> Duration {
        self.now
    }

    /// Adds an event at a time; a time that has passed already means now.
    pub fn at(&mut self, time: Duration, event: E) {
        let time = time.max(self.now);
        self.entries.push(Reverse(Entry { time, number: self.put, event }));
        self.put += 1;
    }

    /// Adds an event `delay` from now, or at the end of time if that comes before.
    pub fn after(&mut self, delay: Duration, event: E) {
        self.at(self.now.saturating_add(delay), event);
    }

    /// When the next event comes.
    #[must_use]
    pub fn next_time(&self) -> Option<Duration> {
        self.entries.peek().map(|Reverse(entry)| entry.time)
    }

    /// How many events are to come.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether nothing is to come.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Each event moves the present to its time; the iterator goes on when more are added.
impl<E> Iterator for EventQueue<E> {
    type Item = E;

    fn next(&mut self) -> Option<E> {
        let Reverse(entry) = self.entries.pop()?;
        self.now = entry.time;
        Some(entry.event)
    }
}

impl<E> Default for EventQueue<E> {
    fn default() -> Self {
        Self::new()
    }
}

#[derive(Clone, Debug)]
struct Entry<E> {
    time: Duration,
    number: u64,
    event: E,
}

impl<E> Entry<E> {
    fn key(&self) -> (Duration, u64) {
        (self.time, self.number)
    }
}

/// By time, then by number; the event itself does not matter.
impl<E> Ord for Entry<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }
}

impl<E> PartialOrd for Entry<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Entry<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl<E> Eq for Entry<E> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_by_time_and_then_by_the_order_in_which_they_were_put_down() {
        #[track_caller]
        fn check(times: &[u64], expected: &[usize]) {
            let mut queue = EventQueue::new();
            for (number, &nanos) in times.iter().enumerate() {
                queue.at(Duration::from_nanos(nanos), number);
            }
            assert_eq!(queue.len(), times.len());
            assert_eq!(queue.collect::<Vec<_>>(), expected);
        }
        check(&[], &[]);
        check(&[3, 1, 2], &[1, 2, 0]);
        check(&[0; 40], &(0..40).collect::<Vec<_>>());
        check(&[7, 7, 1, 7, 1], &[2, 4, 0, 1, 3]);
    }

    #[test]
    fn time_never_goes_backwards_nor_past_its_end() {
        let second = Duration::from_secs(1);
        let mut queue = EventQueue::new();
        queue.at(second, "a");
        assert_eq!((queue.next(), queue.now()), (Some("a"), second));
        queue.at(Duration::ZERO, "late");
        queue.after(Duration::MAX, "never");
        assert_eq!(queue.next_time(), Some(second));
        assert_eq!((queue.next(), queue.now()), (Some("late"), second));
        assert_eq!((queue.next(), queue.now()), (Some("never"), Duration::MAX));
        assert_eq!((queue.next(), queue.is_empty()), (None, true));
    }
}
