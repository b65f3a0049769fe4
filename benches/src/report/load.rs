//! Who else used the processors during a run; known on Linux only.
//!
//! Read from `/proc`, in ticks. Where that is not there, nothing is said.

use std::fmt;
use std::fs;

/// Ticks of all processors since they were started.
#[derive(Clone, Copy, Default)]
pub(crate) struct Load {
    /// All there were.
    total: u64,
    /// Those in which something ran, or the hypervisor gave the processor to another machine.
    busy: u64,
    /// Those of this process and of those it started.
    own: u64,
    processors: u64,
}

impl Load {
    /// As of now.
    pub(crate) fn now() -> Self {
        let machine = fs::read_to_string("/proc/stat").unwrap_or_default();
        let process = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        Self::read(&machine, &process)
    }

    fn read(machine: &str, process: &str) -> Self {
        let numbers = |text: &str| -> Vec<u64> {
            text.split_whitespace().filter_map(|word| word.parse().ok()).collect()
        };
        let processors = machine.lines().filter(|line| line.starts_with("cpu")).count();
        // user, nice, system, idle, iowait, irq, softirq, steal; the guests' are in user.
        let ticks = numbers(machine.lines().next().unwrap_or_default());
        let total: u64 = ticks.iter().take(8).sum();
        let idle: u64 = ticks.iter().skip(3).take(2).sum();
        // Behind the name, which may hold anything: utime, stime, cutime, cstime are 12th to 15th.
        let behind = process.rsplit(')').next().unwrap_or_default();
        let words = behind.split_whitespace().skip(11).take(4);
        let own = words.filter_map(|word| word.parse::<u64>().ok()).sum();
        let processors = processors.saturating_sub(1) as u64;
        Self { total, busy: total - idle, own, processors }
    }

    /// What happened since.
    pub(crate) fn since(self, before: &Self) -> Self {
        Self {
            total: self.total - before.total,
            busy: self.busy - before.busy,
            own: self.own - before.own,
            processors: self.processors,
        }
    }

    /// How many processors others kept busy.
    fn others(&self) -> Option<f64> {
        let others = self.busy.saturating_sub(self.own);
        (self.total > 0).then(|| (others * self.processors) as f64 / self.total as f64)
    }
}

impl fmt::Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(others) = self.others() else { return Ok(()) };
        write!(f, "; others kept {others:.2} of {} processors busy", self.processors)?;
        // A tenth of a processor is what an idle system's own services take at most.
        let verdict = if others > 0.1 { ", too busy to be trusted" } else { ", idle enough" };
        f.write_str(verdict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_are_what_is_busy_and_not_ours() {
        #[track_caller]
        fn check(machine: [&str; 2], process: [&str; 2], others: Option<f64>) {
            let before = Load::read(machine[0], process[0]);
            assert_eq!(Load::read(machine[1], process[1]).since(&before).others(), others);
        }
        let before = "cpu  10 0 10 100 0 0 0 0 0 0\ncpu0 5\ncpu1 5\nintr 1";
        let after = "cpu  50 0 20 135 5 0 0 10 0 0\ncpu0 5\ncpu1 5\nintr 1";
        // Of 60 busy ticks 30 are its own; the other 30 of 100 are 0.6 of two processors.
        let idle = "7 (a b) 1) R 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1";
        let spent = "7 (a) R 1 1 1 1 1 1 1 1 1 9 16 6 6 6 9";
        check([before, after], [idle, spent], Some(0.6));
        check(["", ""], ["", ""], None);
    }
}
