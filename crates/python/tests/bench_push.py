"""The cost of a push against `numpy.add` in place, in one run: `python tests/bench_push.py`.

Exits with 1 where a push costs more than it may.
"""

from __future__ import annotations

import sys
import timeit
from collections.abc import Callable

import numpy as np

import sync_replicas as sr

#: How many floats, how many calls in a measurement, how many times `numpy.add` a push may cost.
SIZES = [(1, 200_000, None), (1_000_000, 200, 1.15), (25_000_000, 8, 1.25)]
#: Seconds that a push of one float may cost.
ONE = 1e-6


def best(call: Callable[[], object], calls: int) -> float:
    """Seconds a call, of the best of several measurements."""
    return min(timeit.repeat(call, number=calls, repeat=9)) / calls


def main() -> int:
    """Measures each size, and says how many cost too much."""
    dear = 0
    for floats, calls, factor in SIZES:
        total, gradient = np.zeros(floats, np.float32), np.ones(floats, np.float32)
        acc = sr.ConditionalAccumulator((floats,))
        acc.apply_grad(gradient, 0)
        added = pushed = float("inf")
        # By turns, so that both meet the same machine.
        for _ in range(3):
            added = min(added, best(lambda: np.add(total, gradient, out=total), calls))
            pushed = min(pushed, best(lambda: acc.apply_grad(gradient, 0), calls))
        limit = ONE if factor is None else factor * added
        dear += pushed > limit
        print(
            f"{floats:>10} floats: numpy.add {added * 1e6:10.2f} us, push {pushed * 1e6:10.2f} us, "
            f"at most {limit * 1e6:10.2f} us"
        )
    return int(dear > 0)


if __name__ == "__main__":
    sys.exit(main())
