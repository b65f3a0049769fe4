//! The events of TensorBoard's files: what is written about a moment of a run.
//!
//! Numbers of fields are those of `event.proto`, `summary.proto`, `tensor.proto` and the
//! hyper-parameters' `plugin_data.proto`.

use std::time::{SystemTime, UNIX_EPOCH};

use super::histogram::Buckets;
use super::wire::Message;
use crate::{At, Param};

/// The first event of each file.
pub(super) fn version(time: SystemTime) -> Message {
    Message::default().double(1, seconds(time)).text(3, "brain.Event:2")
}

/// Events of this step and later ones, written before, no longer count.
pub(super) fn start(at: At) -> Message {
    const START: i64 = 1;
    moment(at).message(7, &Message::default().whole(1, START))
}

/// Numbers, which TensorBoard keeps in single precision.
pub(super) fn scalars(at: At, scalars: &[(&str, f64)]) -> Message {
    let value = |summary: Message, &(tag, value): &(&str, f64)| {
        summary.message(1, &Message::default().text(1, tag).float(2, value as f32))
    };
    moment(at).message(5, &scalars.iter().fold(Message::default(), value))
}

pub(super) fn histogram(at: At, tag: &str, buckets: &Buckets) -> Message {
    let Buckets { min, max, count, sum, sum_of_squares, limits, counts } = buckets;
    let histogram = Message::default()
        .double(1, *min)
        .double(2, *max)
        .double(3, *count)
        .double(4, *sum)
        .double(5, *sum_of_squares)
        .doubles(6, limits.iter().copied())
        .doubles(7, counts.iter().copied());
    summary(at, &Message::default().text(1, tag).message(5, &histogram))
}

pub(super) fn text(at: At, tag: &str, text: &str) -> Message {
    const STRING: i64 = 7;
    let tensor = Message::default().whole(1, STRING).message(2, &Message::default());
    let value = Message::default().text(1, tag).message(8, &tensor.text(8, text));
    summary(at, &value.message(9, &metadata(&Message::default().text(1, "text"))))
}

/// The settings that the run was started with.
pub(super) fn params(at: At, params: &[(&str, Param<'_>)]) -> Message {
    let entry = |start: Message, (name, value): &(&str, Param<'_>)| {
        let value = match *value {
            Param::Number(number) => Message::default().double(2, number),
            Param::Text(text) => Message::default().text(3, text),
            Param::Flag(flag) => Message::default().whole(4, flag.into()),
        };
        start.message(1, &Message::default().text(1, name).message(2, &value))
    };
    let start = params.iter().fold(Message::default(), entry).double(5, seconds(at.time));
    of_session(at, "_hparams_/session_start_info", &Message::default().message(3, &start))
}

/// The run has come to its end.
pub(super) fn end(at: At) -> Message {
    const SUCCESS: i64 = 1;
    let end = Message::default().whole(1, SUCCESS).double(2, seconds(at.time));
    of_session(at, "_hparams_/session_end_info", &Message::default().message(4, &end))
}

/// Values about the run as a whole carry a tensor without a number.
fn of_session(at: At, tag: &str, data: &Message) -> Message {
    const FLOAT: i64 = 1;
    let no_numbers = Message::default().message(2, &Message::default());
    let tensor = Message::default().whole(1, FLOAT).message(2, &no_numbers);
    let value = Message::default().text(1, tag).message(8, &tensor);
    let plugin = Message::default().text(1, "hparams").message(2, data);
    summary(at, &value.message(9, &metadata(&plugin)))
}

/// The part of TensorBoard that a value is for.
fn metadata(plugin: &Message) -> Message {
    const TENSOR: i64 = 2;
    Message::default().message(1, plugin).whole(4, TENSOR)
}

fn summary(at: At, value: &Message) -> Message {
    moment(at).message(5, &Message::default().message(1, value))
}

fn moment(at: At) -> Message {
    Message::default().double(1, seconds(at.time)).whole(2, at.step)
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
