"""Where runs are followed; TensorBoard's files are read with its own reader."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

import sync_replicas as sr
from sync_replicas import tracking


class Shown:
    """What TensorBoard shows of a folder."""

    def __init__(self, folder: Path) -> None:
        # All of it, and not the thousand points of a page.
        everything = {"scalars": 0, "histograms": 0, "tensors": 0}
        self.events = EventAccumulator(str(folder), size_guidance=everything).Reload()
        self.tags = self.events.Tags()

    def curve(self, tag: str) -> dict[int, float]:
        points = self.events.Scalars(tag)
        assert len({it.step for it in points}) == len(points), "a step is there twice"
        return {it.step: it.value for it in points}

    def steps(self, tag: str) -> list[int]:
        return list(self.curve(tag))

    def histograms(self, tag: str) -> list[Any]:
        return [it.histogram_value for it in self.events.Histograms(tag)]

    def counted(self, tag: str) -> int:
        return int(sum(it.num for it in self.histograms(tag)))

    def text(self, tag: str) -> str:
        (text,) = self.events.Tensors(tag)[-1].tensor_proto.string_val
        assert self.events.SummaryMetadata(tag).plugin_data.plugin_name == "text"
        return text.decode()

    def session(self, which: str) -> Any:
        content = self.events.PluginTagToContent("hparams")[f"_hparams_/session_{which}_info"]
        return getattr(HParamsPluginData.FromString(content), f"session_{which}_info")

    def params(self) -> dict[str, Any]:
        values = self.session("start").hparams.items()
        return {name: getattr(it, str(it.WhichOneof("kind"))) for name, it in values}


def run(program: str, folder: Path, words: str) -> dict[str, Any]:
    command = [program, *words.split(), "--json", "--quiet"]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert said.returncode == 0, said.stderr
    told: dict[str, Any] = json.loads(said.stdout)
    return told


# P-29
def test_tensorboard_shows_a_run_of_the_program(program: str, tmp_path: Path) -> None:
    train = "train --tensorboard --model softmax --ema 0.9 --save-every 20 --out a"
    told = run(program, tmp_path, f"{train} --updates 50")
    shown = Shown(tmp_path / "a/tensorboard")
    assert shown.steps("loss") == list(range(1, 51))
    lines = [json.loads(it) for it in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    losses = [it["loss"] for it in lines if it["kind"] == "update"]
    assert np.allclose(list(shown.curve("loss").values()), losses, rtol=1e-6)
    for tag in ("test_accuracy", "averages_test_accuracy"):
        assert shown.curve(tag)[50] == pytest.approx(told[tag], rel=1e-6)
    assert shown.curve("updates_per_second")[50] > 0
    assert shown.curve("examples_per_second")[50] > 0
    for times in shown.histograms("compute_seconds/all"):
        assert sum(times.bucket) == times.num
    parts = [shown.counted(f"compute_seconds/replica_{it}") for it in range(5)]
    assert shown.counted("compute_seconds/all") == sum(parts) >= 200
    assert min(parts) > 0
    params = shown.params()
    assert (params["updates"], params["model"], params["deterministic"]) == (50, "softmax", False)
    assert params["ema"] == 0.9 and params["straggler"] == "4=20"
    assert shown.session("end").status == 1
    assert "train --tensorboard" in shown.text("run")

    # It goes on from update 40: those after it are made again, and shown once.
    newest = max((tmp_path / "a/checkpoint").glob("checkpoint-*"))
    assert newest.name.endswith("50")
    newest.rename(tmp_path / "aside")
    run(program, tmp_path, f"{train} --updates 70 --resume a --straggler none")
    shown = Shown(tmp_path / "a/tensorboard")
    assert shown.steps("loss") == list(range(1, 71))
    lines = [json.loads(it) for it in (tmp_path / "a/metrics.jsonl").read_text().splitlines()]
    losses = {it["step"]: it["loss"] for it in lines if it["kind"] == "update"}
    assert np.allclose([shown.curve("loss")[it] for it in losses], list(losses.values()), rtol=1e-6)


def test_tensorboard_shows_a_cluster(program: str, tmp_path: Path) -> None:
    cluster = "launch --ps 2 --workers 3 --backup 1 --model softmax --straggler none"
    told = run(program, tmp_path, f"{cluster} --tensorboard --updates 60 --eval-every 20 --out a")
    shown, chief = (Shown(tmp_path / "a" / it) for it in ("tensorboard", "tensorboard/chief"))
    assert shown.steps("loss") == list(range(1, 61))
    assert shown.curve("test_accuracy") == {60: pytest.approx(told["test_accuracy"], rel=1e-6)}
    assert shown.counted("compute_seconds/all") >= 120
    assert shown.params()["workers"] == 3
    # It tests the newest variables, which may be later than the ones that it wanted.
    assert chief.curve("test_accuracy") and not chief.tags["histograms"]


def test_tensorboard_shows_a_program_of_ones_own(launch: Any) -> None:
    ran = launch("--ps 1 --workers 2 --tensorboard", "digits_worker.py", "40", "0", "numpy")
    assert ran.ended()
    shown = Shown(ran.folder / "a/tensorboard")
    assert shown.steps("loss") == list(range(1, 41))
    assert shown.params()["workers"] == 2


def test_a_board_of_ones_own(tmp_path: Path) -> None:
    board = tracking.TensorBoard(tmp_path)
    board.params({"rate": np.float32(0.5), "deep": True, "seed": 7, "layers": [3, 4]})
    board.scalars(1, {"loss": float("nan"), "accuracy": 0.5})
    board.scalars(2, {"loss": 2})
    board.histogram(2, "weights", np.array([[1, 2], [4, np.inf]], np.float32))
    board.text(2, "words", "two *words*")
    board.flush()
    shown = Shown(tmp_path)
    assert shown.params() == {"rate": 0.5, "deep": True, "seed": 7, "layers": "[3, 4]"}
    assert np.isnan(shown.curve("loss")[1]) and shown.curve("loss")[2] == 2
    assert shown.curve("accuracy") == {1: 0.5}
    (weights,) = shown.histograms("weights")
    assert (weights.min, weights.max, weights.num, weights.sum) == (1, 4, 3, 7)
    assert weights.sum_squares == 21
    assert shown.text("words") == "two *words*"
    board.finish(failed=True)
    assert "_hparams_/session_end_info" not in Shown(tmp_path).tags["tensors"]
    with pytest.raises(OSError):
        tracking.TensorBoard(next(tmp_path.iterdir()))


POINTS = {"x": np.linspace(-1, 1, 256, dtype=np.float32)}


def slope(variables: Any, batch: Any) -> Any:
    error = variables["slope"] * batch["x"] - 3 * batch["x"]
    return np.mean(error**2), {"slope": np.mean(2 * error * batch["x"], keepdims=True)}


def train(trackers: list[tracking.Tracker], model: Any = slope, **changed: Any) -> sr.Report:
    settings: dict[str, Any] = {"aggregate": 2, "replicas": 3, "steps": 20} | changed
    start = {"slope": np.zeros(1, np.float32)}
    data, optimizer = sr.Batches(POINTS, size=16, seed=1), sr.Adam(sr.Cosine(0.1, 90))
    return sr.fit(model, start, data=data, optimizer=optimizer, trackers=trackers, **settings)


class Notes:
    """A tracker that notes its calls, and fails where it is told to."""

    def __init__(self, fails: bool = False) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.fails = fails

    def note(self, *call: Any) -> None:
        self.calls.append(call)
        if self.fails:
            raise OSError("the disk is full")

    def params(self, params: Any) -> None:
        self.note("params", dict(params))

    def scalars(self, step: int, scalars: Any) -> None:
        self.note(step, dict(scalars))

    def restored(self, step: int) -> None:
        self.note("from", step)

    def finish(self, failed: bool = False) -> None:
        self.note("failed" if failed else "done")


def test_a_fit_tells_its_trackers(tmp_path: Path) -> None:
    notes = Notes()
    evaluate: dict[str, Any] = {"evaluate": lambda _: {"far": 0.5}, "evaluate_every": 10}
    board = tracking.TensorBoard(tmp_path / "board")
    report = train([notes, board], out=tmp_path / "out", save_every=5, **evaluate)
    (first, params), start, *calls = notes.calls
    assert (first, start, calls[-1]) == ("params", ("from", 0), ("done",))
    assert (params["optimizer"], params["beta1"], params["replicas"]) == ("adam", 0.9, 3)
    numbers = [{name: it for name, it in row.items() if name != "step"} for row in report.history]
    assert [it for it in calls if "loss" in it[-1]] == list(zip(range(1, 21), numbers))
    assert [it for it in calls if "far" in it[-1]] == [(10, {"far": 0.5}), (20, {"far": 0.5})]
    shown = Shown(tmp_path / "board")
    assert shown.steps("loss") == list(range(1, 21)) and shown.steps("far") == [10, 20]
    assert shown.params()["learning_rate"].startswith("cosine:initial=0.1")
    again = Notes()
    train([again], out=tmp_path / "out", resume="auto", steps=25)
    assert again.calls[1:3] == [("from", 20), (21, again.calls[2][1])]


# P-29
def test_a_tracker_that_fails_ends_nothing() -> None:
    bad, good = Notes(fails=True), Notes()
    with pytest.warns(tracking.TrackerWarning, match="Notes .*the disk is full") as warned:
        assert train([bad, good]).step == 20
    assert len(warned) == 1
    assert len(bad.calls) == len(good.calls) == 23


def test_a_training_that_fails_is_told_as_such() -> None:
    def model(variables: Any, batch: Any) -> Any:
        return float("nan"), {"slope": np.zeros(1, np.float32)}

    notes = Notes()
    with pytest.raises(sr.NotFiniteError):
        train([notes], model)
    assert notes.calls[-1] == ("failed",)


@pytest.mark.parametrize("name", ["wandb", "mlflow"])
def test_what_is_not_installed_says_how_to(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> Any:
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(ModuleNotFoundError, match=rf"pip install 'sync-replicas\[{name}\]'"):
        tracking.wandb() if name == "wandb" else tracking.mlflow(experiment="a")


WITH_WANDB = """
import sys
sys.path.insert(0, sys.argv[1])
from test_tracking import train, tracking
run = tracking.wandb(project="lines", mode="offline", config={"own": 1})
run.restored(0)
train([run])
"""


def records(file: Path) -> list[Any]:
    """What a file of W&B has: after seven bytes, records in the framing of LevelDB's log."""
    from wandb.proto.wandb_internal_pb2 import Record

    text, at, found, record = file.read_bytes(), 7, [], b""
    while at + 7 <= len(text):
        if 32768 - at % 32768 < 7:
            at += 32768 - at % 32768
            continue
        size, kind = int.from_bytes(text[at + 4 : at + 6], "little"), text[at + 6]
        record += text[at + 7 : at + 7 + size]
        at += 7 + size
        whole, last = 1, 4
        if kind in (whole, last):
            found.append(Record.FromString(record))
            record = b""
    return found


@pytest.mark.trackers
def test_weights_and_biases_has_a_run_offline(tmp_path: Path) -> None:
    # Its file is whole once the process has ended.
    program = [sys.executable, "-c", WITH_WANDB, str(Path(__file__).parent)]
    quiet = os.environ | {"WANDB_SILENT": "true", "WANDB_ERROR_REPORTING": "false"}
    subprocess.run(program, cwd=tmp_path, env=quiet, check=True, timeout=120)
    (file,) = tmp_path.glob("wandb/offline-run-*/run-*.wandb")
    found = records(file)
    items = [it.history.item for it in found if it.WhichOneof("record_type") == "history"]
    rows = [
        {"".join(it.nested_key) or it.key: json.loads(it.value_json) for it in row} for row in items
    ]
    assert [row["global_step"] for row in rows] == list(range(1, 21))
    assert rows[-1]["loss"] < rows[0]["loss"]
    updates = [it.config.update for it in found if it.WhichOneof("record_type") == "config"]
    updates += [it.run.config.update for it in found if it.WhichOneof("record_type") == "run"]
    config = {it.key or it.nested_key[0]: it.value_json for one in updates for it in one}
    assert (config["own"], config["replicas"], config["optimizer"]) == ("1", "3", '"adam"')
    assert [it.exit.exit_code for it in found if it.WhichOneof("record_type") == "exit"] == [0]


# What MLflow warns of is its own affair.
@pytest.mark.filterwarnings("ignore")
@pytest.mark.trackers
def test_mlflow_has_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.tracking import MlflowClient

    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    uri = f"sqlite:///{tmp_path}/runs.db"
    report = train([tracking.mlflow(experiment="lines", run="first", uri=uri)])
    client = MlflowClient(tracking_uri=uri)
    place = client.get_experiment_by_name("lines")
    assert place is not None
    (run,) = client.search_runs([place.experiment_id])
    assert (run.info.run_name, run.info.status) == ("first", "FINISHED")
    assert run.data.params["replicas"] == "3"
    told = client.get_metric_history(run.info.run_id, "loss")
    assert [(it.step, it.value) for it in told] == [(it["step"], it["loss"]) for it in report.history]
    with pytest.raises(sr.NotFiniteError):
        train(
            [tracking.mlflow(experiment="lines", uri=uri)],
            lambda variables, batch: (float("nan"), {"slope": np.zeros(1, np.float32)}),
        )
    assert {it.info.status for it in client.search_runs([place.experiment_id])} >= {"FAILED"}
