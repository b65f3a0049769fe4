"""Loops of one's own over a trainer of this process."""

import gc
import pickle
import signal
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import sync_replicas as sr

F32 = np.float32


def trainer(**settings: object) -> sr.Trainer:
    return sr.Trainer({"w": np.full(3, 4, F32), "b": np.zeros((), F32)}, sr.Sgd(0.5), **settings)  # type: ignore[arg-type]


def gradients(value: float = 1) -> dict[str, object]:
    return {"w": np.full(3, value, F32), "b": np.zeros((), F32)}


def test_a_loop_pushes_and_sees_its_updates() -> None:
    training = trainer()
    with training.replica(0) as replica:
        for step in replica:
            w = step.variables["w"]
            assert step.step == step.number
            np.testing.assert_array_equal(w, np.full(3, 4 - step.step / 2))
            assert step.push(gradients(), loss=1.0, examples=2) == sr.Accepted(1)
            if step.step == 2:
                training.stop("enough")
    assert training.global_step == 3
    assert training.totals["examples"] == 6
    tally = training.tally(0)
    assert tally is not None and tally["accepted"] == 3


def test_a_late_push_is_told_so() -> None:
    training = trainer(aggregate=1, replicas=2)
    fast, slow = training.replica(0), training.replica(1)
    late, step = slow.next_step(), fast.next_step()
    assert late is not None and step is not None
    assert not late.superseded
    assert step.push(gradients()).accepted
    assert late.superseded
    outcome = late.push(gradients())
    assert outcome == sr.Stale(step=0, now=1) and not outcome
    assert repr(outcome) == "Stale(step=0, now=1)"
    with pytest.raises(sr.StepOverError):
        late.push(gradients())


def test_a_step_that_is_dropped_gives_its_token_back() -> None:
    training = trainer(aggregate=2, replicas=1, step_deadline=10.0)
    replica = training.replica(0)
    for give_up in [lambda step: step.give_up(), lambda step: None, lambda step: gc.collect()]:
        step = replica.next_step()
        assert step is not None and step.step == 0
        give_up(step)
        del step
    for _ in range(2):
        step = replica.next_step()
        assert step is not None and step.push(gradients())
    assert training.global_step == 1


def test_what_is_read_stays_and_is_aligned_and_read_only() -> None:
    training = trainer()
    replica, seen, expected = training.replica(0), [], []
    for number in range(6):
        step = replica.next_step()
        assert step is not None
        w = step.variables["w"]
        assert w.ctypes.data % 64 == 0 and not w.flags.writeable
        assert step.variables["w"] is w, "one copy a step"
        seen.append(w[1:])
        expected.append(4 - number / 2)
        step.push(gradients())
    for view, value in zip(seen, expected):
        np.testing.assert_array_equal(view, [value, value])
    places = set()
    del seen, view, w
    for _ in range(20):
        step = replica.next_step()
        assert step is not None
        places.add(step.variables["w"].ctypes.data)
        step.push(gradients())
    assert len(places) <= 8, "memory goes round"


def test_variables_are_copied_into_arrays_of_ones_own() -> None:
    training = trainer()
    w = np.zeros((2, 3), F32)
    training.copy_into({"w": w[1]})
    np.testing.assert_array_equal(w, [[0, 0, 0], [4, 4, 4]])
    for wrong in [np.zeros(2, F32), np.zeros(3), training.variables["w"]]:
        with pytest.raises(sr.VariableError) as refused:
            training.copy_into({"w": wrong})
        assert refused.value.variable == "w"
    with pytest.raises(sr.VariableError, match="the variables are: w, b"):
        training.copy_into({"v": w})


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({}, "no gradients"),
        ({"v": np.zeros(3, F32)}, "named `v`"),
        ({"w": np.zeros(4, F32), "b": np.zeros((), F32)}, "`w` does not fit"),
        ({"w": np.zeros(3), "b": None}, "float64"),
        ([1, 2], "dict"),
    ],
)
def test_a_refused_push_leaves_everything_as_it_was(given: object, words: str) -> None:
    training = trainer()
    replica = training.replica(0)
    step = replica.next_step()
    assert step is not None
    with pytest.raises((sr.GradientError, sr.ArgumentError), match=words):
        step.push(given)
    step = replica.next_step()
    assert step is not None and step.push(gradients())
    assert training.global_step == 1


def test_numbers_of_both_kinds_and_of_fewer_bits() -> None:
    double = sr.Trainer({"w": np.zeros(2)}, sr.Sgd(1.0))
    assert double.variables["w"].dtype == np.float64
    half = sr.Trainer({"w": np.ones(2, np.float16)}, sr.Sgd(1.0))
    assert half.variables["w"].dtype == F32
    with pytest.raises(sr.GradientError, match="float64"):
        sr.Trainer({"a": np.zeros(2, F32), "b": np.zeros(2)}, sr.Sgd(1.0))


def test_sparse_gradients_and_those_that_are_missing() -> None:
    start = {"table": np.zeros((4, 2), F32), "unused": np.ones(1, F32)}
    training = sr.Trainer(start, sr.Sgd(1.0))
    step = training.replica(0).next_step()
    assert step is not None
    rows = sr.IndexedSlices(np.array([2, 2]), np.ones((2, 2), F32))
    assert step.push({"table": rows, "unused": None})
    np.testing.assert_array_equal(training.variables["table"][2], [-2, -2])
    np.testing.assert_array_equal(training.variables["unused"], [1])


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"aggregate": 0}, "at least 1|zero"),
        ({"order": "random"}, "arrival"),
        ({"non_finite": "ignore"}, "skip"),
        ({"min_replicas": 2}, "1 to 1"),
        ({"lease": -1.0}, "seconds"),
        ({"averaged": ["v"], "moving_average": 0.9}, "`v`"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        trainer(**settings)


def test_who_joins_twice_or_too_late_is_told() -> None:
    training = trainer(replicas=2)
    replica = training.replica(0)
    for number in [0, 2]:
        with pytest.raises(sr.JoinError):
            training.replica(number)
    training.stop()
    assert list(replica) == []
    with pytest.raises(sr.EndedError):
        training.replica(1)


def test_a_second_thread_on_one_replica_is_told(beside: object) -> None:
    training = trainer(replicas=2)
    replica = training.replica(0)
    step = replica.next_step()
    assert step is not None and step.push(gradients())
    waits = beside(replica.next_step)  # type: ignore[operator]
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            replica.next_step()
        except sr.BusyError:
            break
        finally:
            training.stop()
    else:
        pytest.fail("two threads waited on one replica")
    while "result" not in waits and time.monotonic() < deadline:
        threading.Event().wait(0.01)


def test_checkpoints_are_gone_on_from(tmp_path: object) -> None:
    training = trainer(moving_average=0.5)
    replica = training.replica(0)
    for _ in range(3):
        step = replica.next_step()
        assert step is not None and step.push(gradients())
    path = training.save(tmp_path, keep=2)  # type: ignore[arg-type]
    other = trainer(moving_average=0.5)
    assert other.restore(path) == 3
    np.testing.assert_array_equal(other.variables["w"], training.variables["w"])
    averages, expected = other.averages, training.averages
    assert averages is not None and expected is not None
    np.testing.assert_array_equal(averages["w"], expected["w"])
    with pytest.raises(sr.NoCheckpointError):
        other.restore(str(tmp_path) + "/none")


def test_an_overdue_step_says_who_is_missing() -> None:
    training = trainer(replicas=2, step_deadline=0.05)
    first, second = training.replica(0), training.replica(1)
    held, step = second.next_step(), first.next_step()
    assert held is not None and step is not None and step.push(gradients())
    with pytest.raises(sr.OverdueError) as overdue:
        first.next_step()
    assert (overdue.value.missing, overdue.value.needed) == ([1], 2)
    again = pickle.loads(pickle.dumps(overdue.value))
    assert str(again) == str(overdue.value) and again.missing == [1]


WAITS = {
    "take": "sr.ConditionalAccumulator((1,)).take_grad(1)",
    "dequeue": "sr.TokenQueue().dequeue()",
    "enqueue": "sr.TokenQueue(1).enqueue(0, 2)",
    "step": "r = t.replica(0); r.next_step().push({'w': np.zeros(1, 'f4')}); r.next_step()",
    "fit": "sr.fit(lambda v, b: (0, v), {'w': np.zeros(1, 'f4')}, data=lambda n: n,"
    " optimizer=sr.Sgd(0.1), replicas=2, aggregate=2)",
}


@pytest.mark.parametrize("wait", WAITS)
def test_a_signal_ends_each_wait_within_a_second(wait: str) -> None:
    program = f"""
import signal, time, numpy as np, sync_replicas as sr
signal.signal(signal.SIGINT, signal.default_int_handler)
t = sr.Trainer({{"w": np.zeros(1, "f4")}}, sr.Sgd(0.1), aggregate=2, replicas=2)
try:
    print("ready", flush=True)
    {WAITS[wait]}
except KeyboardInterrupt:
    print("interrupted", time.monotonic(), flush=True)
"""
    command = [sys.executable, "-c", program]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "ready\n"
        threading.Event().wait(0.3)
        sent = time.monotonic()
        child.send_signal(signal.SIGINT)
        out, _ = child.communicate(timeout=20)
    word, at = out.split()
    assert word == "interrupted" and float(at) - sent < 1


FORK = """
import gc, os, warnings
import numpy as np
import sync_replicas as sr

def trainer():
    return sr.Trainer({"w": np.zeros(3, "f4")}, sr.Sgd(0.5))

gradients = {"w": np.zeros(3, "f4")}
training, acc, queue = trainer(), sr.ConditionalAccumulator((1,)), sr.TokenQueue()
replica = training.replica(0)
step = replica.next_step()
warnings.simplefilter("ignore", DeprecationWarning)
if child := os.fork():
    status = os.waitpid(child, 0)[1]
    assert step.push(gradients), "the parent goes on"
    raise SystemExit(os.waitstatus_to_exitcode(status))
told = 0
uses = [
    lambda: training.variables,
    lambda: step.push(gradients),
    replica.next_step,
    trainer,
    lambda: acc.take_grad(1),
    queue.dequeue,
    training.stop,
]
for use in uses:
    try:
        use()
    except sr.ForkError:
        told += 1
del training, replica, step, acc, queue, uses, use
gc.collect()
fresh = sr.ConditionalAccumulator((1,))
fresh.apply_grad(np.ones(1, "f4"), 0)
assert fresh.take_grad(1).count == 1
raise SystemExit(told)
"""


def test_after_a_fork_each_call_says_so_and_nothing_hangs() -> None:
    assert subprocess.run([sys.executable, "-c", FORK], timeout=30).returncode == 7
