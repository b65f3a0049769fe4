"""A replica's process: its place, and what the chief writes of the run."""

from __future__ import annotations

import inspect
import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from .._cluster import Given, given
from .._errors import ArgumentError
from .._fit import Update
from .._trainer import scalar
from ._plan import Plan

#: The chief writes what it has noted so often, in seconds.
PAUSE = 1.0

Loop = Callable[..., Any]


class Metrics:
    """The file of the run's metrics, a line a record, which every life of the chief goes on with."""

    def __init__(self, folder: Path) -> None:
        self._file, self._lines = folder / "metrics.jsonl", list[str]()
        self._written, self._step = time.monotonic(), newest(rows(folder)).get("step", 0)

    def hook(self, update: Update) -> None:
        """Notes an update; a hook of the chief's."""
        self._step = update.step
        self._note({"step": update.step, "loss": update.loss, **update.scalars})
        if time.monotonic() - self._written >= PAUSE:
            self.write()

    def report(self, metrics: Mapping[str, float]) -> None:
        """Notes numbers of the program's own."""
        self._note({**metrics, "step": self._step})
        self.write()

    def _note(self, record: Mapping[str, float | None]) -> None:
        # JSON has no NaN.
        finite = {
            name: None if it is None or not math.isfinite(it) else it for name, it in record.items()
        }
        self._lines.append(json.dumps(finite))

    def write(self) -> None:
        """Writes what was noted, whole lines at once: a chief that is killed tears none of the
        next one's."""
        if self._lines:
            with open(self._file, "ab+", buffering=0) as file:
                end = file.seek(0, os.SEEK_END)
                file.seek(max(0, end - 1))
                # A line that an earlier life has torn.
                torn = "" if file.read(1) in (b"", b"\n") else "\n"
                file.write((torn + "\n".join(self._lines) + "\n").encode())
        self._lines, self._written = [], time.monotonic()


def rows(folder: Path) -> list[dict[str, Any]]:
    """The run's metrics, in their order; a torn line is passed over."""
    found = []
    try:
        text = (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return [row for row in found if isinstance(row, dict)]


def newest(found: list[dict[str, Any]]) -> dict[str, Any]:
    """The newest value of each metric."""
    return {name: value for row in found for name, value in row.items() if value is not None}


def checkpoint(folder: Path) -> tuple[int, Path] | None:
    """The newest checkpoint of a run, with its step."""
    # Those that were set aside have longer names.
    named = [(re.fullmatch(r"checkpoint-(\d+)", it.name), it) for it in folder.glob("checkpoints/*")]
    return max(((int(name[1]), it) for name, it in named if name), default=None)


_metrics: Metrics | None = None


def report(metrics: Mapping[str, Any]) -> None:
    """Adds numbers to the run's metrics, such as `{"accuracy": 0.97}`; `Result.metrics` has the
    newest of each.

    The chief's count, also from its hooks; in other replicas this does nothing, and nobody is
    waited for.
    """
    numbers = {name: scalar(it) for name, it in metrics.items()}
    if _metrics is not None:
        _metrics.report(numbers)


def work(plan: Plan, number: int, loop: Loop, config: Any) -> Any:
    """Runs the user's loop as a replica; what it answers."""
    global _metrics
    if plan.is_over():
        # It was started again after the end.
        return None
    place, _ = plan.place("worker", number)
    metrics = Metrics(plan.folder) if place.chief else None
    hooks = [] if metrics is None else [metrics.hook]
    _metrics = metrics
    try:
        with given(Given(place, plan.settings, hooks)):
            return loop(config) if takes_config(loop) else loop()
    finally:
        if metrics is not None:
            metrics.write()
        _metrics = None


def takes_config(loop: Loop) -> bool:
    """Whether the loop has a parameter for the config."""
    try:
        return bool(inspect.signature(loop).parameters)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"loop: expected a function of none or one argument: {error}") from error
