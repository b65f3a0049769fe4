//! Slow replicas, a sentence each, as the live page, `status` and `plan` tell of them.

use simulator::advice::{Diagnosis, Standing, Verdict};

/// How many are named in words.
pub(crate) const MOST_LINES: usize = 8;

/// A sentence for each replica that is always slow.
pub(crate) fn sentences(diagnosis: &Diagnosis) -> Vec<String> {
    let all = diagnosis.replicas.len();
    let slow = diagnosis.slow().into_iter().take(MOST_LINES);
    slow.map(|place| sentence(&diagnosis.replicas[place], all, false)).collect()
}

/// `Replace replica 7: ...`
pub(crate) fn sentence(it: &Standing, machines: usize, are_kinds: bool) -> String {
    let what = match (it.verdict, are_kinds) {
        (Verdict::Last, _) => format!("Look at replica {}", it.replica),
        (_, false) => format!("Replace replica {}", it.replica),
        (_, true) => format!("Replica {} is slow", it.replica),
    };
    let place = format!(
        "in {:.0} % of the steps (by chance {:.0} %)",
        100.0 * it.slowest,
        100.0 * it.by_chance
    );
    if it.verdict == Verdict::Last {
        return format!(
            "{what}: it is given up as the last {place}. How slow it is cannot be seen, since its \
             batches do not end; train once with -a {machines} -n {machines} to see it."
        );
    }
    // Beside others that are slower it is seldom the slowest.
    let place = match (it.slowest > it.by_chance, it.at_least) {
        (false, _) => String::new(),
        (true, false) => format!("it is the slowest {place}, and "),
        (true, true) => format!("it is the slowest or given up {place}, and "),
    };
    let least = if it.at_least { "at least " } else { "" };
    format!("{what}: {place}it takes {least}{:.2} times as long as the others.", it.factor)
}
