//! Slow replicas, in sentences: first what to do, then why.

use std::fmt::Write as _;

use simulator::advice::{Diagnosis, Episode, Gain, Remedy, Rest, Standing, Verdict};

use super::answer::MeasuredAnswer;
use super::words::{NONE, count, wrapped};
use crate::pages::slow_replicas::{MOST_LINES, sentence};
use crate::units::time;

/// A gain below this hardly counts.
const LEAST_GAIN: f64 = 1.02;

pub(super) fn told(out: &mut String, measured: &MeasuredAnswer) {
    let MeasuredAnswer { diagnosis, remedy, .. } = measured;
    out.push_str("\nWho is slow?\n\n");
    let all = diagnosis.replicas.len();
    let mut slow: Vec<&Standing> =
        diagnosis.replicas.iter().filter(|it| it.verdict != Verdict::Usual).collect();
    slow.sort_by(|a, b| b.factor.total_cmp(&a.factor));
    let are_kinds = slow.len() > 1 && 3 * slow.len() >= all;
    for one in slow.iter().take(MOST_LINES) {
        out.push_str(&wrapped(&sentence(one, all, are_kinds), ""));
    }
    more(out, slow.len(), "slow replicas");
    if are_kinds {
        let kinds = "So many are slow that these are machines of two kinds rather than a few bad \
                     ones.";
        out.push_str(&wrapped(kinds, ""));
    }
    if let Some(remedy) = remedy {
        out.push_str(&wrapped(&self::remedy(remedy, all, measured), ""));
    }
    episodes(out, diagnosis);
    out.push_str(&wrapped(&rest(diagnosis, slow.is_empty()), ""));
}

fn remedy(remedy: &Remedy, machines: usize, measured: &MeasuredAnswer) -> String {
    let Remedy { replicas_to_aggregate: now, replaced, backups, replicas } = remedy;
    let one = replicas.len() == 1;
    let (place, instead) =
        if one { ("its place", "a backup") } else { ("their places", "backups") };
    if replaced.times < LEAST_GAIN {
        return format!(
            "With usual machines in {place} each machine would do {:.2} times the work that it \
             does now: that gains hardly anything.",
            replaced.times
        );
    }
    let interval = |plus_minus: f64| match measured.has_intervals() {
        true => format!(" (± {plus_minus:.2})"),
        false => String::new(),
    };
    let mut text = format!(
        "With {} in {place} (A = {} of N = {machines}) each machine does {:.2} times{} the \
         work that it does now",
        if one { "a usual machine" } else { "usual machines" },
        replaced.replicas_to_aggregate,
        replaced.times,
        interval(replaced.plus_minus),
    );
    if backups.replicas_to_aggregate == *now {
        let _ = write!(
            text,
            "; as it is, steps do not wait for {} (A = {now}), but what {} is wasted.",
            if one { "it" } else { "them" },
            if one { "it computes" } else { "they compute" },
        );
    } else {
        let _ = write!(
            text,
            "; with {instead} instead (A = {} of N = {machines}) {:.2} times{}.",
            backups.replicas_to_aggregate,
            backups.times,
            interval(backups.plus_minus)
        );
    }
    if let Some(aggregate) = measured.recommended_once_replaced {
        let _ = write!(
            text,
            " After that use A = {aggregate} of N = {machines}: {}.",
            count(machines.saturating_sub(aggregate), "backup")
        );
    }
    text
}

fn episodes(out: &mut String, diagnosis: &Diagnosis) {
    for Episode { replica, from, to, steps, factor, at_least } in
        diagnosis.episodes.iter().take(MOST_LINES)
    {
        let least = if *at_least { "at least " } else { "" };
        let text = format!(
            "Replica {replica} was slow from step {from} to step {to} ({}): {least}{factor:.2} \
             times what it usually takes.",
            count(*steps, "step")
        );
        out.push_str(&wrapped(&text, ""));
    }
    more(out, diagnosis.episodes.len(), "such times");
    for group in diagnosis.groups.iter().take(MOST_LINES) {
        let text = format!(
            "Replicas {} were slow in the same steps: look for what they share, such as a host, a \
             switch or a disk.",
            names(group)
        );
        out.push_str(&wrapped(&text, ""));
    }
    more(out, diagnosis.groups.len(), "such groups");
}

fn more(out: &mut String, all: usize, what: &str) {
    if all > MOST_LINES {
        let _ = writeln!(out, "({all} {what}; --json has all)");
    }
}

/// `1, 2 and 3`
fn names(names: &[i64]) -> String {
    let names: Vec<String> = names.iter().map(i64::to_string).collect();
    match names.split_last() {
        Some((last, others)) if !others.is_empty() => format!("{} and {last}", others.join(", ")),
        _ => names.concat(),
    }
}

/// About the unnamed replicas.
fn rest(diagnosis: &Diagnosis, all: bool) -> String {
    let apart = if diagnosis.episodes.is_empty() { "" } else { "Apart from that " };
    let who = match (all, apart) {
        (true, "") => "Nobody",
        (true, _) => "nobody",
        (false, "") => "None of the others",
        (false, _) => "none of the others",
    };
    let nobody = format!("{apart}{who} is slow all the time");
    let slowest = format!("the slowest takes {:.2} times the median", diagnosis.spread);
    match diagnosis.rest {
        Rest::Even => format!("{nobody}: in the mean step {slowest}."),
        Rest::Wanders => format!(
            "{nobody}: now one is slow and now another, and in the mean step {slowest}. That is \
             chance, or goes with the batch; times alone do not tell which. If some batches are \
             longer than others, as with sequences, backups would drop the long ones for ever, and \
             what is learned is not of all data: make batches of equal length instead."
        ),
        Rest::Lasts => format!(
            "{nobody}, but slowness lasts: who is slow in a step is likely to be so in the next \
             (correlation {:.2}), and in the mean step {slowest}. That is the machines and not the \
             batches: see what else runs on them.",
            diagnosis.lag_1
        ),
    }
}

/// What each number of backups would have gained.
pub(super) fn replayed(out: &mut String, measured: &MeasuredAnswer) {
    let (replay, told) = (&measured.replay, measured.has_intervals());
    let steps = match replay.steps {
        1 => "this step".to_owned(),
        many => format!("these {many} steps"),
    };
    let _ = writeln!(out, "\nReplayed: what this fleet would have made of {steps}.\n");
    let _ = writeln!(out, "     A backups       step     faster  ± (95 %)  work each");
    for gain in replay.choices.iter().take(MOST_LINES) {
        let Gain { replicas_to_aggregate, backups, faster, plus_minus, work_each, .. } = gain;
        let bound = if gain.lower_bound { "≥ " } else { "" };
        let _ = writeln!(
            out,
            "  {replicas_to_aggregate:>4} {backups:>7} {:>10} {:>10} {:>9} {:>10}",
            format!("{bound}{}", time(gain.step_seconds)),
            format!("{faster:.2} ×"),
            if told { format!("{plus_minus:.2}") } else { NONE.to_owned() },
            format!("{work_each:.2} ×"),
        );
    }
}
