//! What a tracker is told of a run, as words.

use std::sync::{Arc, Mutex};

use sync_replicas::ReplicaId;
use sync_replicas::checkpoint::RunId;
use sync_replicas::record::SpanKind;
use tabular::scores::Scores;

use super::*;
use crate::config::Config;
use crate::lock::lock;

/// Writes down what it is told, without times.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<String>>>);

impl Told {
    fn tell(&self, words: String) -> Result<(), BoxError> {
        lock(&self.0).push(words);
        // A failing tracker is still told.
        Err("the disk is full".into())
    }

    fn take(&self) -> Vec<String> {
        std::mem::take(&mut *lock(&self.0))
    }
}

impl Tracker for Told {
    fn params(&mut self, params: &[(&str, Param<'_>)]) -> Result<(), BoxError> {
        self.tell(format!("{params:?}"))
    }

    fn scalars(&mut self, at: At, scalars: &[(&str, f64)]) -> Result<(), BoxError> {
        let words = scalars.iter().map(|(name, value)| format!(" {name} {value}"));
        self.tell(format!("{}:{}", at.step, words.collect::<String>()))
    }

    fn histogram(&mut self, at: At, name: &str, values: &[f64]) -> Result<(), BoxError> {
        self.tell(format!("{}: {name} {values:?}", at.step))
    }

    fn text(&mut self, _: At, name: &str, text: &str) -> Result<(), BoxError> {
        self.tell(format!("{name}: {text}"))
    }

    fn restored(&mut self, step: i64) -> Result<(), BoxError> {
        self.tell(format!("from {step}"))
    }

    fn finish(&mut self) -> Result<(), BoxError> {
        self.tell("end".to_owned())
    }
}

fn update(step: i64, seconds: f64) -> Update {
    let (scores, averages_test_accuracy) = (Scores::default(), None);
    Update { step, loss: Some(0.5), seconds, examples: 32, scores, averages_test_accuracy }
}

fn scores(test_accuracy: f64) -> Scores {
    Scores { test_accuracy: Some(test_accuracy), ..Scores::default() }
}

fn board() -> (Board, Told) {
    let told = Told::default();
    (Board::of(told.clone()), told)
}

// P-29
#[test]
fn each_update_is_told_and_what_is_made_again_taken_back() {
    let (mut board, told) = board();
    board.update(&update(21, 0.1));
    assert_eq!(told.take(), ["from 20", "21: loss 0.5"]);
    let tested =
        Update { scores: scores(0.25), averages_test_accuracy: Some(0.5), ..update(22, 0.2) };
    board.update(&tested);
    let test = "22: test_accuracy 0.25 averages_test_accuracy 0.5";
    assert_eq!(told.take(), ["22: loss 0.5", test]);
    board.update(&Update { loss: None, ..update(22, 0.3) });
    assert_eq!(told.take(), ["from 21"]);
    let (generation, averages_test_accuracy) = (1, None);
    board.test(&Evaluation { step: 25, generation, scores: scores(0.5), averages_test_accuracy });
    assert_eq!(told.take(), ["25: test_accuracy 0.5"]);
}

#[test]
fn stretches_have_rates_and_the_times_of_batches() {
    let (mut board, told) = board();
    board.update(&update(1, 0.5));
    let span = |replica, kind, seconds| {
        let times = (Duration::ZERO, Duration::from_secs(seconds));
        Span::new(ReplicaId::new(replica), 1, kind, times)
    };
    board.spans(&[
        span(0, SpanKind::Accepted, 1),
        span(1, SpanKind::Stale, 2),
        span(1, SpanKind::Superseded, 3),
        span(99, SpanKind::Accepted, 4),
        span(0, SpanKind::Waited, 5),
        span(0, SpanKind::Sent, 6),
        span(0, SpanKind::LookedUp, 7),
    ]);
    told.take();
    board.update(&update(2, 2.0));
    let rates = "2: updates_per_second 1 examples_per_second 32 stale 1 superseded 1";
    let expected = [
        "2: loss 0.5",
        rates,
        "2: compute_seconds/all [1.0, 2.0, 3.0, 4.0]",
        "2: compute_seconds/replica_0 [1.0]",
        "2: compute_seconds/replica_1 [2.0, 3.0]",
    ];
    assert_eq!(told.take(), expected);
    // A later stretch is longer, and the last one ends with training.
    board.update(&update(3, 1000.0));
    told.take();
    board.update(&update(4, 1004.0));
    assert_eq!(told.take(), ["4: loss 0.5"]);
    board.result(&Summary { updates: 4, scores: scores(0.75), ..Summary::default() });
    let rates = "4: updates_per_second 0.25 examples_per_second 8 stale 1 superseded 1";
    assert_eq!(told.take(), [rates, "4: test_accuracy 0.75", "end"]);
}

#[test]
fn the_last_test_is_told_once_and_by_who_has_trained() {
    let summary = Summary { updates: 1, scores: scores(0.75), ..Summary::default() };
    let (mut board, told) = board();
    board.result(&summary);
    assert_eq!(told.take(), ["end"]);
    board.update(&Update { scores: scores(0.75), ..update(1, 0.0) });
    told.take();
    board.result(&summary);
    assert_eq!(told.take(), ["end"]);
}

#[test]
fn a_long_run_shows_losses_now_and_then() {
    let (mut board, told) = board();
    (1..=1_000_000).for_each(|step| board.update(&update(step, 0.0)));
    let shown = told.take().len();
    assert!((20_000..160_000).contains(&shown), "{shown}");
}

#[test]
fn settings_are_hyper_parameters() {
    let (mut board, told) = board();
    let mut settings = Config::default();
    settings.set("rate", 0.5);
    settings.set("on", true);
    settings.set("model", "mlp");
    settings.set("straggler", vec!["1=7", "4=20"]);
    board.run(&Run {
        version: "1.2.3",
        command: vec!["sync-replicas".to_owned(), "train".to_owned()],
        host: "here".to_owned(),
        started: "now".to_owned(),
        run: RunId::draw(),
        settings,
    });
    let expected = "[(\"model\", Text(\"mlp\")), (\"on\", Flag(true)), (\"rate\", Number(0.5)), \
                    (\"straggler\", Text(\"1=7, 4=20\"))]";
    let told = told.take();
    assert_eq!(told[0], expected);
    assert!(told[1].starts_with("run: `sync-replicas train`\n\nrun "), "{}", told[1]);
}
