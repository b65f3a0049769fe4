"""Trainings under Ray, with real processes and nodes that die."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launched import PROGRAMS, processes, ray_environment

pytestmark = [
    pytest.mark.ray,
    pytest.mark.skipif(sys.platform != "linux", reason="it finds processes in /proc"),
]

def under_ray(folder: Path, program: str, *options: str) -> dict[str, Any]:
    """What a program says at its end, as JSON; none of its processes is left."""
    command = [sys.executable, str(PROGRAMS / program), str(folder), *options]
    ended = subprocess.run(
        command,
        cwd=folder,
        env=ray_environment(folder),
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ended.returncode == 0, ended.stderr
    told: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    assert "error" not in told, told["error"] + ended.stderr
    assert [it for it in processes(folder) if "ray" in it[1]] == []
    return told


def check(folder: Path, way: str, fault: str, nodes: str, started: list[int]) -> None:
    """One fault: updates went on to the right end, and those that it hit were started again."""
    told = under_ray(folder, "ray_faults.py", way, fault, nodes)
    longest, median = told["longest"], told["median"]
    print(
        f"\n{way}, {fault}, {nodes}: {longest:.2f} s is the longest time without an update, "
        f"{longest / median:.1f} times the median of {median:.3f} s"
    )
    assert told["metrics"]["step"] == 500 and told["checkpoint"] == "checkpoint-000000500"
    # The chief's loop may have been started again after the end.
    assert told["metrics"].get("accuracy", 1) > 0.95
    assert all(now >= at_least for now, at_least in zip(told["processes"], started))
    if fault == "worker":
        assert told["processes"] == started, "the others were left alone"


def test_a_killed_worker_holds_nobody(tmp_path: Path) -> None:
    check(tmp_path.resolve(), "run", "worker", "one", [1, 2, 1])


@pytest.mark.nodes
@pytest.mark.parametrize("way", ["run", "train"])
@pytest.mark.parametrize(
    ("fault", "nodes", "started"),
    [
        ("worker", "default", [1, 2, 1]),
        ("node", "default", [2, 1, 1]),
        ("node", "tight", [2, 1, 1]),
        ("frozen", "tight", [2, 1, 1]),
    ],
)
def test_on_several_nodes(
    way: str, fault: str, nodes: str, started: list[int], tmp_path: Path
) -> None:
    check(tmp_path.resolve(), way, fault, nodes, started)


@pytest.mark.nodes
def test_how_it_ends_otherwise(tmp_path: Path) -> None:
    told = under_ray(tmp_path.resolve(), "ray_ends.py")
    # The second one has gone on where the first one had ended, and the third had nothing to do.
    assert told.pop("a run") == [30, 3, 31]
    assert told.pop("a restart") == [20, 2, 20]
    # Updates go on until the servers have heard of it.
    assert 15 <= told.pop("hooks")[0] < 1000
    assert told.pop("groups") == []
    assert told.pop("lines") == ['{"step":'] * 31, "the torn one is ended, and none is empty"
    assert told.pop("no config") == [20, 2, 20]
    assert told.pop("actors") == []
    for what, words in {
        "an exception": ".*LookupError,.*LookupError: a fault of the program's$",
        "not finite": ".*ClusterError,.*not finite .NaN or infinite.*checkpoint-000000000",
        "a wrong setting": ".*ArgumentError,.*lease: expected seconds",
        "a bucket": "ArgumentError,.* all nodes share.*got s3://bucket/runs; mount it",
        "a file": "ArgumentError,.*storage_path: .*ray_ends.py.* cannot be written in",
        "a name": "ArgumentError,.*name: expected the name of a folder, got '../other'",
        "none": "ArgumentError,.*workers: expected a number of at least 1, got 0",
        "a setting": "ArgumentError,.*agregate: .* no such setting; did you mean aggregate?",
        "an optimizer": "ArgumentError,.*optimizer: expected one, .* got 'adam'",
        "no steps": "ArgumentError,.*steps: expected a number of at least 1, or None, got -1",
        "resources": "ArgumentError,.*resources_per_worker: expected a dict .* got 2",
        "no patience": "ArgumentError,.*patience: expected seconds above 0, got -1",
        "failures": "ArgumentError,.*max_failures: expected a number.* got 'many'",
        "a version": ".*expected ray>=2.60,<2.62.*got 2.62.0; .* sync_replicas.ray.run",
    }.items():
        got = told.pop(what)
        assert re.match(words, got, re.DOTALL), f"{what}: {got}"
    assert told == {}


@pytest.mark.nodes
def test_what_ray_train_has_no_use_for_is_refused(tmp_path: Path) -> None:
    told = under_ray(tmp_path.resolve(), "ray_refusals.py")
    assert "num_workers: expected a number, got (1, 4)" in told["elastic"]
    assert "storage_path: expected a folder" in told["a bucket"]
    assert "storage_filesystem: expected none" in told["a file system"]
