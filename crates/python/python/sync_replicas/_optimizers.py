"""Optimizers and schedules, as descriptions: the numbers are those of the crate `optim`.

A learning rate is a number, a schedule, or a schedule's text, such as
"cosine:initial=0.1,steps=1000".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import ClassVar, Union

from ._errors import ArgumentError
from ._native import _learning_rate


class Schedule:
    """A learning rate over the steps; its `str` is its text."""

    def at(self, step: int) -> float:
        """The rate once `step` updates were made."""
        return _learning_rate(self, step)


@dataclass(frozen=True)
class Exponential(Schedule):
    """*initial* times *decay* to the power of (step / *every*); of whole steps with `staircase`."""

    initial: float
    decay: float
    every: int
    staircase: bool = False

    def __str__(self) -> str:
        return (
            f"exponential:initial={self.initial},decay={self.decay},every={self.every},"
            f"staircase={str(self.staircase).lower()}"
        )


@dataclass(frozen=True)
class InverseTime(Schedule):
    """*initial* / (1 + *decay* (step / *every*)); of whole steps with `staircase`."""

    initial: float
    decay: float
    every: int
    staircase: bool = False

    def __str__(self) -> str:
        return (
            f"inverse-time:initial={self.initial},decay={self.decay},every={self.every},"
            f"staircase={str(self.staircase).lower()}"
        )


@dataclass(frozen=True)
class Polynomial(Schedule):
    """From *initial* to *end* in *steps*, as a polynomial of this power."""

    initial: float
    end: float
    steps: int
    power: float = 1.0

    def __str__(self) -> str:
        return (
            f"polynomial:initial={self.initial},end={self.end},steps={self.steps},"
            f"power={self.power}"
        )


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a wave from *initial* to *alpha* times that, in *steps*."""

    initial: float
    steps: int
    alpha: float = 0.0

    def __str__(self) -> str:
        return f"cosine:initial={self.initial},steps={self.steps},alpha={self.alpha}"


@dataclass(frozen=True)
class Piecewise(Schedule):
    """Constant between boundaries; one value more than boundaries."""

    values: tuple[float, ...]
    boundaries: tuple[int, ...]

    def __str__(self) -> str:
        values = "/".join(map(str, self.values))
        return f"piecewise:values={values},boundaries={'/'.join(map(str, self.boundaries))}"


@dataclass(frozen=True)
class WarmUp(Schedule):
    """From zero to *then*'s rate in *steps*, and after that as *then*."""

    steps: int
    then: Rate

    def __str__(self) -> str:
        return f"warm-up:steps={self.steps},then={self.then}"


Rate = Union[float, str, Schedule]


class Optimizer:
    """What all of them are."""

    rule: ClassVar[str]


@dataclass(frozen=True)
class Sgd(Optimizer):
    """Gradient descent."""

    rule: ClassVar[str] = "sgd"
    learning_rate: Rate


@dataclass(frozen=True)
class Momentum(Optimizer):
    """Gradient descent with momentum, on demand Nesterov's."""

    rule: ClassVar[str] = "momentum"
    learning_rate: Rate
    momentum: float = 0.9
    nesterov: bool = False


@dataclass(frozen=True)
class Adam(Optimizer):
    """Adam; slots "m" and "v"."""

    rule: ClassVar[str] = "adam"
    learning_rate: Rate
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class LazyAdam(Optimizer):
    """Adam that leaves rows alone which a sparse gradient does not name."""

    rule: ClassVar[str] = "lazy_adam"
    learning_rate: Rate
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class AdamW(Optimizer):
    """Adam with decoupled weight decay."""

    rule: ClassVar[str] = "adamw"
    learning_rate: Rate
    weight_decay: float = 0.01
    beta1: float = 0.9
    beta2: float = 0.999
    epsilon: float = 1e-8


@dataclass(frozen=True)
class Adagrad(Optimizer):
    """Adagrad."""

    rule: ClassVar[str] = "adagrad"
    learning_rate: Rate
    initial_accumulator_value: float = 0.1


@dataclass(frozen=True)
class RmsProp(Optimizer):
    """RMSProp, on demand centred and with momentum."""

    rule: ClassVar[str] = "rmsprop"
    learning_rate: Rate
    decay: float = 0.9
    momentum: float = 0.0
    epsilon: float = 1e-10
    centered: bool = False


@dataclass(frozen=True)
class Ftrl(Optimizer):
    """Follow the regularised leader, for sparse linear models."""

    rule: ClassVar[str] = "ftrl"
    learning_rate: Rate
    learning_rate_power: float = -0.5
    initial_accumulator_value: float = 0.1
    l1: float = 0.0
    l2: float = 0.0
    l2_shrinkage: float = 0.0


Which = Union[str, tuple[str, ...], Callable[[str], bool]]


@dataclass(frozen=True)
class Groups(Optimizer):
    """One formula with other numbers (rate, weight decay, epsilon) for some variables.

    `rest` holds for all variables that no group has. A group is said by a name, a pattern as of
    file names ("*.bias"), a tuple of these, or a function that answers whether a name is in it:
    `Groups(AdamW(1e-3), {("*.bias", "norm.*"): AdamW(1e-3, weight_decay=0.0)})`.
    A variable is in one group at most, and a group without variables is refused.
    """

    rule: ClassVar[str] = "groups"
    rest: Optimizer
    groups: Mapping[Which, Optimizer]

    def __post_init__(self) -> None:
        for rule in (self.rest, *self.groups.values()):
            if isinstance(rule, Groups) or not isinstance(rule, Optimizer):
                got = type(rule).__name__
                raise ArgumentError(f"groups: expected optimizers as AdamW(3e-4) in it, got {got}")

    def _of(self, names: Sequence[str]) -> list[tuple[list[str], Optimizer]]:
        """The variables of each group, by their names."""
        owners: dict[str, Which] = {}
        found = []
        for which, rule in self.groups.items():
            mine = [name for name in names if _is_in(which, name)]
            if not mine:
                known = ", ".join(names)
                raise ArgumentError(f"groups: {which!r} is none of the variables: {known}")
            for name in mine:
                if (other := owners.setdefault(name, which)) is not which:
                    raise ArgumentError(f"groups: `{name}` is in two, {other!r} and {which!r}")
            found.append((mine, rule))
        return found


def _is_in(which: Which, name: str) -> bool:
    if callable(which):
        return which(name)
    patterns = (which,) if isinstance(which, str) else which
    return any(name == pattern or fnmatchcase(name, pattern) for pattern in patterns)
