"""Accumulators, the queue of tokens and optimizers by themselves."""

import threading
import time

import numpy as np
import pytest

import sync_replicas as sr

F32 = np.float32


def ones(*shape: int, dtype: object = F32) -> np.ndarray:
    return np.ones(shape, dtype)


@pytest.mark.parametrize("dtype", ["float32", np.float64])
def test_an_accumulator_averages_what_is_fresh_and_drops_what_is_stale(dtype: object) -> None:
    acc = sr.ConditionalAccumulator((2, None), dtype)
    assert acc.apply_grad(ones(2, 3, dtype=dtype), 0) == sr.Accepted(1)
    assert acc.apply_grad(3 * ones(2, 3, dtype=dtype), 7) == sr.Accepted(2)
    taken = acc.take_grad(2)
    assert (taken.count, taken.step, taken.value.dtype) == (2, 0, np.dtype(dtype))
    np.testing.assert_array_equal(taken.value, 2 * ones(2, 3))
    assert acc.apply_grad(ones(9, dtype=dtype), 0) == sr.Stale(0, 1)
    assert acc.try_take_grad(1) is None
    assert acc.set_global_step(0) == 1
    assert acc.apply_grad(ones(2, 3, dtype=dtype), 0)


@pytest.mark.parametrize(
    ("gradient", "words"),
    [
        (ones(3), ["[3]", "[2]"]),
        (ones(2, dtype=np.float64), ["float32", "float64", ".astype"]),
        (ones(2, dtype=np.int64), ["float32", "int64"]),
        (None, ["expected an array"]),
        (ones(2).astype(">f4"), ["float32", ">f4"]),
    ],
)
def test_a_gradient_that_does_not_fit_is_refused(gradient: object, words: list[str]) -> None:
    acc = sr.ConditionalAccumulator([2])
    with pytest.raises(sr.GradientError) as refused:
        acc.apply_grad(gradient, 0)
    assert all(word in str(refused.value) for word in words), refused.value
    assert acc.num_accumulated == 0


def test_what_lies_in_any_way_is_read() -> None:
    whole = np.arange(12, dtype=F32).reshape(3, 4)
    unaligned = np.frombuffer(b"x" + whole.tobytes(), np.uint8)[1:].view(F32).reshape(3, 4)
    frozen = whole.copy()
    frozen.setflags(write=False)
    half = whole.astype(np.float16)
    bits = (whole.view(np.uint32) >> 16).astype(np.uint16)
    for given in [whole, np.asfortranarray(whole), whole[::-1][::-1], unaligned, frozen, half, bits]:
        acc = sr.ConditionalAccumulator((3, 4))
        assert acc.apply_grad(given, 0)
        np.testing.assert_array_equal(acc.take_grad(1).value, whole)


def test_rows_are_averaged_each_by_its_own_count() -> None:
    acc = sr.SparseConditionalAccumulator((4, 2))
    rows = sr.IndexedSlices(np.array([3, 0]), np.array([[1, 2], [5, 6]], F32))
    assert acc.apply_grad(rows, 0)
    assert acc.apply_grad(sr.IndexedSlices(np.array([3], np.int32), ones(1, 2)), 0)
    taken = acc.take_grad(2).value
    np.testing.assert_array_equal(taken.indices, [0, 3])
    np.testing.assert_array_equal(taken.values, [[5, 6], [1, 1.5]])
    with pytest.raises(sr.GradientError, match="4"):
        acc.apply_grad(sr.IndexedSlices(np.array([4]), ones(1, 2)), 1)


def test_a_take_waits_without_the_interpreter(beside: object) -> None:
    acc = sr.ConditionalAccumulator((1,))
    taken = beside(acc.take_grad, 2)  # type: ignore[operator]
    assert acc.apply_grad(ones(1), 0)
    assert acc.apply_grad(ones(1), 0)
    deadline = time.monotonic() + 10
    while "result" not in taken and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert taken["result"].count == 2


def test_a_closed_accumulator_ends_waits() -> None:
    acc = sr.ConditionalAccumulator()
    acc.close()
    with pytest.raises(sr.TakeError, match="closed"):
        acc.take_grad(1)
    with pytest.raises(sr.TakeError, match="at least 1"):
        acc.try_take_grad(0)


def test_tokens_come_in_order_and_the_end_is_told(beside: object) -> None:
    queue = sr.TokenQueue()
    got = beside(lambda: [queue.dequeue() for _ in range(3)])  # type: ignore[operator]
    queue.enqueue(1, 2)
    queue.enqueue(2)
    deadline = time.monotonic() + 10
    while "result" not in got and time.monotonic() < deadline:
        threading.Event().wait(0.01)
    assert got["result"] == [1, 1, 2]
    queue.close()
    queue.close()
    with pytest.raises(sr.QueueClosedError):
        queue.dequeue()
    assert len(queue) == 0
    with pytest.raises(sr.ArgumentError, match="at least 1"):
        sr.TokenQueue(0)


OPTIMIZERS = [
    sr.Sgd(0.1),
    sr.Momentum(0.1, 0.9, nesterov=True),
    sr.Adam(0.1),
    sr.LazyAdam(0.1),
    sr.AdamW(0.1, weight_decay=0.1),
    sr.Adagrad(0.5),
    sr.RmsProp(0.1, momentum=0.1, centered=True),
    sr.Ftrl(0.5, l1=0.001),
]


@pytest.mark.parametrize("rule", OPTIMIZERS, ids=lambda rule: rule.rule)
@pytest.mark.parametrize("dtype", [F32, np.float64])
def test_each_optimizer_makes_a_square_smaller_and_can_be_restored(
    rule: sr.Optimizer, dtype: type
) -> None:
    w = {"w": np.array([2.0, -1.0], dtype)}
    state = sr.OptimizerState(rule, w)
    for _ in range(100):
        state.apply(w, {"w": 2 * w["w"]})
    assert np.abs(w["w"]).max() < 0.7, w
    assert state.finished_steps == 100
    again, copy = sr.OptimizerState(rule, w), {"w": w["w"].copy()}
    again.restore(state.state())
    for optimizer, variables in [(state, w), (again, copy)]:
        optimizer.apply(variables, {"w": sr.IndexedSlices([1], np.array([1.0], dtype))})
    np.testing.assert_array_equal(copy["w"], w["w"])


SCHEDULES = [
    (0.5, [0.5, 0.5]),
    ("polynomial:initial=1,end=0,steps=10", [1.0, 0.5]),
    (sr.Polynomial(1, 0, 10), [1.0, 0.5]),
    (sr.Exponential(1, 0.5, 5), [1.0, 0.5]),
    (sr.InverseTime(1, 1, 5, staircase=True), [1.0, 0.5]),
    (sr.Cosine(1, 10), [1.0, 0.5]),
    (sr.Piecewise((1, 0.5), (4,)), [1.0, 0.5]),
    (sr.WarmUp(10, sr.Piecewise((1.0,), ())), [0.1, 0.6]),
]


@pytest.mark.parametrize(("rate", "expected"), SCHEDULES, ids=str)
def test_schedules_are_those_of_the_program(rate: object, expected: list[float]) -> None:
    if isinstance(rate, sr.Schedule):
        assert [rate.at(0), rate.at(5)] == pytest.approx(expected)
    state = sr.OptimizerState(sr.Sgd(rate), {"w": ones(1)})  # type: ignore[arg-type]
    assert state.learning_rate == pytest.approx(expected[0])


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: sr.OptimizerState(sr.Adam(-1), {"w": ones(1)}), "learning rate"),
        (lambda: sr.OptimizerState(sr.Adam("fast"), {"w": ones(1)}), "no schedule"),
        (lambda: sr.OptimizerState("adam", {"w": ones(1)}), "sr.Adam"),
        (lambda: sr.ConditionalAccumulator((1,), reduction="max"), "mean"),
        (lambda: sr.ConditionalAccumulator((1,), np.int32), "float32"),
    ],
)
def test_a_wrong_argument_says_what_is_expected(make: object, words: str) -> None:
    with pytest.raises(sr.ArgumentError, match=words):
        make()  # type: ignore[operator]
