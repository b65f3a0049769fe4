"""Processes of a cluster: real ones, started by the program where it is there."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import sync_replicas as sr

linux = pytest.mark.skipif(sys.platform != "linux", reason="it finds processes in /proc")


def worker(number: int) -> str:
    return f'"task":{{"index":{number},"type":"worker"}}'


@linux
def test_what_is_killed_changes_no_bit(launch: Any) -> None:
    calm = launch("--ps 2 --workers 3", "digits_worker.py", "150", "0", "numpy", name="calm")
    expected = calm.ended()
    found = re.match(r"step 150 of numpy: accuracy (0\.\d+), \w{64}\n$", expected)
    assert found is not None and float(found[1]) > 0.9, expected

    run = launch("--ps 2 --workers 3 --save-every 20", "digits_worker.py", "150", "0.02", "numpy")
    run.until("update ")
    os.kill(run.process_of(worker(1)), signal.SIGKILL)
    run.until("worker 1: was ended by signal 9")
    run.until("update ")
    os.kill(run.process_of("ps-1.log"), signal.SIGKILL)
    run.until("ps 1: was ended by signal 9")
    run.until("update ")
    assert run.ended() == expected, run.said


def test_jax_with_backups(launch: Any) -> None:
    run = launch("--ps 1 --workers 2 --backup 1", "digits_worker.py", "60", "0", "jax")
    found = re.match(r"step 60 of jax: accuracy (0\.\d+)", run.ended())
    assert found is not None and float(found[1]) > 0.8


@pytest.mark.torch
def test_torch(launch: Any) -> None:
    run = launch("--ps 1 --workers 2", "digits_worker.py", "60", "0", "torch")
    found = re.match(r"step 60 of torch: accuracy (0\.\d+)", run.ended())
    assert found is not None and float(found[1]) > 0.8


@pytest.mark.torch
def test_a_loop_that_exists_with_another_optimizer(launch: Any) -> None:
    run = launch("--ps 1 --workers 2", "digits_optimizer.py", "60")
    found = re.match(r"accuracy (0\.\d+)", run.ended())
    assert found is not None and float(found[1]) > 0.8


@linux
def test_ctrl_c_ends_all_of_it(launch: Any) -> None:
    run = launch("--ps 2 --workers 2", "digits_worker.py", "100000", "0", "numpy")
    run.until("update ")
    run.process.send_signal(signal.SIGINT)
    run.ended(130)
    assert "continue with: " in run.said


@pytest.mark.parametrize(
    ("wrong", "words", "statuses"),
    [
        ("shape", "GradientError: the gradient of `w` does not fit", {1}),
        # The chief ends the training; without the other worker it goes on.
        ("seed", "RefusedError: .* seed: the server has [0-9]+, the other [0-9]+", {0, 1}),
    ],
)
def test_a_program_that_does_not_fit_is_told(
    launch: Any, wrong: str, words: str, statuses: set[int]
) -> None:
    run = launch("--ps 1 --workers 2 --backup 1", "wrong_worker.py", wrong)
    _, run.said = run.process.communicate(timeout=60)
    assert run.process.returncode in statuses, run.said
    assert re.search(words, run.said + run.logs())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"order": "random"}, 'order: unknown variant `random`, expected `arrival` or `replica`'),
        ({"wire": "f8"}, 'wire: unknown variant `f8`, expected `native` or `bf16`'),
        ({"replicas": 2}, "replicas: a cluster has no such setting"),
        ({"aggregate": 0}, "at least 1|zero"),
        ({"lease": -1.0}, "lease: expected seconds"),
    ],
)
def test_wrong_settings_are_named(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], words: str
) -> None:
    monkeypatch.setenv("TF_CONFIG", placed("worker")["TF_CONFIG"])
    with pytest.raises(sr.ArgumentError, match=words):
        sr.join({"w": np.zeros(1, np.float32)}, optimizer=sr.Sgd(0.1), **settings)


def port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        number: int = free.getsockname()[1]
        return number


def placed(role: str, address: str = "127.0.0.1:9", **more: str) -> dict[str, str]:
    """The environment of a process of a cluster of one server and one worker."""
    cluster = {"ps": [address], "worker": ["127.0.0.1:1"]}
    config = {"cluster": cluster, "task": {"type": role, "index": 0}}
    return {**os.environ, "TF_CONFIG": json.dumps(config), **more}


START = """
import os, signal, sys, time
import numpy as np
import sync_replicas as sr
signal.signal(signal.SIGINT, signal.default_int_handler)
def join(**more):
    start = {"w": np.zeros(1, np.float32), "users": sr.Table(1)}
    return sr.join(start, optimizer=sr.Sgd(0.1), **more)
"""


def python(words: str, environment: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", START + words],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(process: subprocess.Popen[str], status: int) -> tuple[str, str]:
    out, err = process.communicate(timeout=30)
    assert process.returncode == status, err
    return out, err


def test_without_a_place_it_says_how_to_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert sr.place() is None
    with pytest.raises(sr.PlaceError, match="sync-replicas launch .* -- python train.py"):
        sr.join(optimizer=sr.Sgd(0.1))
    with pytest.raises(sr.PlaceError, match=r"sync_replicas.join\(\)"):
        sr.serve()


def test_each_place_has_its_part(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TF_CONFIG", placed("ps")["TF_CONFIG"])
    place = sr.place()
    assert place is not None and (place.task, place.number, place.chief) == ("ps 0", None, False)
    with pytest.raises(sr.PlaceError, match=r"sync_replicas.serve\(\)"):
        sr.join(optimizer=sr.Sgd(0.1))
    monkeypatch.delenv("SYNC_REPLICAS_RUN_DIR", raising=False)
    with pytest.raises(sr.ArgumentError, match="out: expected a folder"):
        sr.serve()
    monkeypatch.setenv("TF_CONFIG", placed("worker")["TF_CONFIG"])
    with pytest.raises(sr.PlaceError, match="worker 0 is no parameter server"):
        sr.serve(tmp_path)
    replica = sr.join(optimizer=sr.Sgd(0.1))
    assert replica.chief and (replica.number, replica.place.replicas) == (0, 1)
    with pytest.raises(sr.ArgumentError, match="no variables to begin with"):
        replica.next_step()
    monkeypatch.setenv("TF_CONFIG", "{")
    with pytest.raises(sr.ClusterError, match="TF_CONFIG") as wrong:
        sr.place()
    assert wrong.value.exit_status == 2


def test_servers_out_of_reach_end_it_with_the_status_of_a_restart() -> None:
    environment = placed("worker", SYNC_REPLICAS_PATIENCE="0.5")
    words = "with join() as replica:\n    list(replica)"
    _, err = said(python(words, environment), 138)
    assert "UnreachableError: ps 0 at 127.0.0.1:9" in err
    words = """
try:
    with join() as replica:
        try:
            list(replica)
        except sr.UnreachableError as error:
            print(error.exit_status)
finally:
    print("over")
"""
    out, _ = said(python(words, environment), 0)
    assert out == "138\nover\n"


@pytest.mark.parametrize(("number", "status"), [("SIGINT", -2), ("SIGTERM", 143)])
@pytest.mark.parametrize("wait", ["next_step", "push", "lookup"])
def test_a_signal_ends_each_wait_within_a_second(
    number: str, status: int, wait: str, tmp_path: Path
) -> None:
    address = f"127.0.0.1:{port()}"
    server = python(f"sr.serve({str(tmp_path)!r})", placed("ps", address))
    first = {
        "next_step": "",
        "push": "step.push({'w': np.ones(1, np.float32)}, loss=0.0)",
        "lookup": "step.lookup('users', [1])",
    }
    words = f"""
with join() as replica:
    step = replica.next_step()
    print("ready", flush=True)
    sys.stdin.readline()
    try:
        print("waits", flush=True)
        {first[wait]}
        replica.next_step()
    except BaseException as error:
        print(type(error).__name__, time.monotonic(), flush=True)
        raise
"""
    child = python(words, placed("worker", address))
    try:
        assert child.stdout is not None and child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        # It answers nothing from now on.
        server.send_signal(signal.SIGSTOP)
        # On a busy machine its other threads run on until one of them has taken the signal.
        os.waitpid(server.pid, os.WUNTRACED)
        child.stdin.write("\n")
        child.stdin.flush()
        assert child.stdout.readline() == "waits\n"
        threading.Event().wait(0.3)
        sent = time.monotonic()
        child.send_signal(getattr(signal, number))
        out, _ = said(child, status)
    finally:
        server.kill()
        server.communicate()
    raised, at = out.split()
    assert raised == {"SIGINT": "KeyboardInterrupt", "SIGTERM": "SystemExit"}[number]
    assert float(at) - sent < 1


def test_a_server_of_ones_own_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    address = f"127.0.0.1:{port()}"
    serve = f"report = sr.serve({str(tmp_path)!r}, save_every=10)\nprint(report.left, report.step)"
    worker = """
with join(steps=40) as replica:
    for step in replica:
        step.push({"w": -np.ones(1, np.float32)}, loss=0.0, examples=1)
        if step.step == 12:
            print("twelve", flush=True)
            sys.stdin.readline()
print(replica.report.step, round(float(replica.variables["w"][0]), 3))
"""
    server = python(serve, placed("ps", address))
    child = python(worker, placed("worker", address))
    assert child.stdout is not None and child.stdin is not None
    assert child.stdout.readline() == "twelve\n"
    # It has the servers write a checkpoint, and is nothing to others.
    child.send_signal(signal.SIGUSR1)
    server.send_signal(signal.SIGTERM)
    said(server, 143)
    assert list(tmp_path.glob("checkpoints/checkpoint-*"))
    server = python(serve, placed("ps", address))
    child.stdin.write("\n")
    child.stdin.flush()
    out, _ = said(child, 0)
    assert out == "40 4.0\n"
    assert said(server, 0)[0] == "False 40\n"


FORK = """
replica = join()
if child := os.fork():
    raise SystemExit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
told = 0
for use in [replica.next_step, replica.finish, join, sr.place]:
    try:
        use()
    except sr.ForkError:
        told += 1
os._exit(told)
"""


def test_after_a_fork_each_call_says_so_and_nothing_hangs() -> None:
    said(python(FORK, placed("worker")), 4)

