"""`fit` with gradients of NumPy."""

import json
import threading
from pathlib import Path

import numpy as np
import pytest

import sync_replicas as sr

F32 = np.float32
POINTS = {"x": np.linspace(-1, 1, 256, dtype=F32)}
POINTS["y"] = 3 * POINTS["x"]


def slope(variables, batch):
    error = variables["slope"] * batch["x"] - batch["y"]
    return np.mean(error**2), {"slope": np.mean(2 * error * batch["x"], keepdims=True)}


def start():
    return {"slope": np.zeros(1, F32)}


def train(model=slope, data=None, **changed):
    settings = {"optimizer": sr.Adam(0.1), "aggregate": 2, "replicas": 3, "steps": 60}
    data = sr.Batches(POINTS, size=16, seed=1) if data is None else data
    return sr.fit(model, start(), data=data, **(settings | changed))


def test_a_line_is_found_and_the_report_has_it_all():
    report = train(steps=200)
    assert abs(report.variables["slope"][0] - 3) < 0.05
    assert (report.updates, report.step, report.accepted) == (200, 200, 400)
    assert report.examples == 400 * 16
    assert [row["step"] for row in report.history] == list(range(1, 201))
    assert report.history[-1]["loss"] < report.history[0]["loss"]
    rows = report.rows()
    assert [row["replica"] for row in rows] == [0, 1, 2]
    assert {type(value) for row in rows for value in row.values()} <= {int, float, str, type(None)}
    assert "200 updates" in str(report) and not report.failed


def test_in_replica_order_runs_are_the_same_to_the_bit():
    runs = [train(order="replica") for _ in range(2)]
    assert runs[0].variables["slope"].tobytes() == runs[1].variables["slope"].tobytes()


def test_a_slow_replica_holds_up_nobody():
    release = threading.Event()

    def model(variables, batch):
        if threading.current_thread() in stuck:
            release.wait(20)
        elif len(stuck) < 1:
            stuck.add(threading.current_thread())
            release.wait(20)
        return slope(variables, batch)

    stuck: set[threading.Thread] = set()

    def done(update):
        if update.step == 60:
            release.set()

    report = train(model, hooks=[done])
    assert report.updates == 60


def test_a_replica_that_fails_is_told_of_and_training_goes_on():
    def data(number):
        return sr.Batches(POINTS, size=16)[number]

    failed = threading.Lock()

    def model(variables, batch):
        if failed.acquire(blocking=False):
            raise ZeroDivisionError("no luck")
        return slope(variables, batch)

    with pytest.warns(sr.ReplicaFailedWarning, match="no luck"):
        report = train(model, data)
    assert report.updates == 60
    assert [it.failure for it in report.failed][0].endswith("no luck")


def test_too_few_replicas_end_it_with_the_cause():
    def model(variables, batch):
        raise ZeroDivisionError("no luck")

    with pytest.raises(sr.TooFewReplicasError) as failure:
        train(model)
    assert failure.value.min_replicas == 2
    assert len(failure.value.failed) >= 2
    assert isinstance(failure.value.__cause__, ZeroDivisionError)
    assert failure.value.__cause__.__traceback__ is not None


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ((0.0, {"slope": np.zeros(2, F32)}), "does not fit"),
        ((0.0, {"slop": np.zeros(1, F32)}), "slop"),
        (0.0, "unpack"),
        (("much", {"slope": np.zeros(1, F32)}), "float"),
    ],
)
def test_what_a_model_gives_wrongly_is_said(given, words):
    with pytest.raises(sr.TooFewReplicasError, match=words):
        train(lambda variables, batch: given)


def test_a_loss_that_is_not_finite_ends_it():
    def model(variables, batch):
        _, gradients = slope(variables, batch)
        return float("nan"), gradients

    with pytest.raises(sr.NotFiniteError, match="(?i)nan"):
        train(model)


def test_hooks_see_each_update_and_may_stop():
    seen = []

    def hook(update):
        seen.append((update.step, float(update.variables["slope"][0])))
        if update.step == 7:
            update.stop("seven are enough")

    every = []
    report = train(hooks=[hook, sr.Every(3, lambda update: every.append(update.step))])
    assert [step for step, _ in seen] == list(range(1, 8))
    assert every == [3, 6]
    assert report.updates == 7 and "seven" in report.stopped
    assert seen[-1][1] == report.variables["slope"][0]


def test_a_hook_that_raises_ends_it_with_the_cause():
    def hook(update):
        raise LookupError("where")

    with pytest.raises(sr.TrainingError, match="where") as failure:
        train(hooks=[hook])
    assert isinstance(failure.value.__cause__, LookupError)


def test_data_that_ends_ends_the_training():
    report = train(data=sr.Stream(lambda replica: iter([POINTS] * 5)), steps=None)
    assert report.stopped == "every replica has left"
    assert {it.outcome for it in report.replicas} <= {"data ended", "finished"}
    limited = sr.Batches(POINTS, size=16, epochs=1)
    assert train(data=limited, steps=None, aggregate=1, replicas=1).batches == len(limited) == 16


def test_a_run_is_gone_on_from(tmp_path: Path):
    whole = train(order="replica", steps=60)
    first = train(order="replica", steps=25, out=tmp_path, resume="auto", save_every=10)
    assert first.updates == 25
    with pytest.raises(sr.ArgumentError, match="resume"):
        train(order="replica", out=tmp_path)
    second = train(order="replica", steps=60, out=tmp_path, resume="auto")
    assert (second.updates, second.step) == (35, 60)
    assert second.variables["slope"].tobytes() == whole.variables["slope"].tobytes()
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines] == list(range(1, 61))
    again = train(steps=70, order="replica", resume=tmp_path / "checkpoints")
    assert again.updates == 10


def test_the_best_checkpoint_is_kept(tmp_path: Path):
    values = iter([1.0, 5.0, 3.0, 2.0, 2.0])

    def evaluate(variables):
        return {"accuracy": next(values), "slope": variables["slope"][0]}

    report = train(
        steps=20,
        out=tmp_path,
        evaluate=evaluate,
        evaluate_every=5,
        keep_best="accuracy:max",
    )
    assert [row["step"] for row in report.evaluations] == [5, 10, 15, 20]
    assert report.best is not None and report.best.endswith("checkpoint-000000010")
    best = sr.Trainer(start(), sr.Adam(0.1))
    assert best.restore(report.best) == 10
    assert best.variables["slope"][0] == report.evaluations[1]["slope"]
    for keep_best in ["accuracy", "loss:max", "accuracy:up"]:
        with pytest.raises(sr.Error):
            train(keep_best=keep_best, evaluate=lambda v: 1.0, steps=1, evaluate_every=1)
