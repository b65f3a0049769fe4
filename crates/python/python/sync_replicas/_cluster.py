"""One process of a cluster: a replica's part, or a server's, as the environment says."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from inspect import signature
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

from . import _native
from ._errors import ArgumentError, ClusterError, PlaceError
from ._fit import Every, Hook, named
from ._optimizers import Optimizer
from ._report import ClusterReport
from ._trainer import Replica, Step, settings_of

Place = _native.Place


@dataclass(frozen=True)
class Given:
    """What an engine such as Ray gives a process: its place, and what `join` need not be told."""

    place: Place
    settings: Mapping[str, Any]
    hooks: Sequence[Hook | Every] = ()


_given: Given | None = None


@contextmanager
def given(what: Given) -> Iterator[None]:
    """This process has this place; one a process at a time."""
    global _given
    if _given is not None:
        raise PlaceError(f"this process is {_given.place.task} already", exit_status=1)
    _given = what
    try:
        yield
    finally:
        _given = None


#: Statuses that Python itself ends with, or as good as those.
_ORDINARY = (1, 2)


def place(ps: int = 1) -> Place | None:
    """This process's place, of Ray, `TF_CONFIG` or Slurm's variables; None where there is no
    cluster.

    `sync-replicas launch` sets `TF_CONFIG`. Of a Slurm job the first `ps` processes are servers.
    """
    return Place._from_env(ps) if _given is None else _given.place


def join(
    variables: Mapping[str, Any] | None = None,
    *,
    optimizer: Optimizer | None = None,
    steps: int | None = None,
    aggregate: int | None = None,
    hooks: Sequence[Hook | Every] = (),
    wire: str | None = None,
    agree: Mapping[str, Any] | None = None,
    ps: int = 1,
    **settings: Any,
) -> ClusterReplica:
    """Takes part in a cluster as the replica that this process's place names; used in a `with`.

    `variables` are the arrays to begin with, by name; `attach` takes them from a model, and `begin`
    takes them later. The chief's (replica 0's) are those that training begins with, and all
    processes must have the same names, shapes and settings. A step averages the first `aggregate`
    gradients: when not given, as many as there are replicas without the backups that `launch` was
    told of. Training ends after `steps` updates, or when all replicas have left.

    `hooks` are called in the chief with the `Update`s that it sees. `wire="bf16"` halves what
    travels. `agree` has more that all must have alike, such as `{"seed": 1, "batch": 64}`. Other
    `settings` are `Trainer`'s: order, non_finite, moving_average, averaged, lease, step_timeout,
    step_deadline. `ps` is of use in Slurm: see `place`. Under Ray all of them come from the driver;
    what is given here goes first.
    """
    found = place(ps)
    if found is None:
        raise PlaceError(
            "there is no cluster here; start the program with `sync-replicas launch --ps 2 "
            "--workers 4 -- python train.py`, by sync_replicas.ray.run, as a job of Slurm, or with "
            "TF_CONFIG set",
            exit_status=2,
        )
    if found.role == "ps":
        raise PlaceError(
            f"{found.task} is a parameter server and computes nothing; call sync_replicas.serve() "
            "there, or start `sync-replicas node --role ps` in its place",
            exit_status=2,
        )
    if found.number is None:
        raise PlaceError(
            f"{found.task} has no part in training; evaluate the checkpoints, or in a hook",
            exit_status=2,
        )
    own: dict[str, Any] = {"optimizer": optimizer, "steps": steps, "aggregate": aggregate}
    own = {name: it for name, it in (own | {"wire": wire, "agree": agree}).items() if it is not None}
    known, more = ({}, ()) if _given is None else (_given.settings, _given.hooks)
    known = {**known, **own, **settings}
    check_settings(known)
    hooks = [*more, *known.pop("hooks", ()), *hooks]
    replica = _replica(found, hooks, **known)
    if variables is not None:
        replica.begin(variables)
    return replica


def check_settings(known: Mapping[str, Any]) -> None:
    """Looks at what `join` is given, as far as it can be without variables."""
    there = {*signature(_replica).parameters, *signature(settings_of).parameters}
    there -= {"found", "settings", "replicas", "failing_batch"}
    for name in known:
        if name not in there:
            near = get_close_matches(name, there, 1)
            meant = f"; did you mean {near[0]}?" if near else f"; there are {', '.join(sorted(there))}"
            raise ArgumentError(f"{name}: a cluster has no such setting{meant}")
    optimizer = known.get("optimizer")
    if not isinstance(optimizer, Optimizer):
        raise ArgumentError(
            f"optimizer: expected one, such as sync_replicas.Adam(1e-3), got {optimizer!r}"
        )
    for name in ("steps", "aggregate"):
        number = known.get(name)
        if number is not None and (not isinstance(number, int) or number < 1):
            raise ArgumentError(f"{name}: expected a number of at least 1, or None, got {number!r}")


def _replica(
    found: Place,
    hooks: Sequence[Hook | Every],
    optimizer: Optimizer,
    steps: int | None = None,
    aggregate: int | None = None,
    wire: str = "native",
    agree: Mapping[str, Any] | None = None,
    **settings: Any,
) -> ClusterReplica:
    described = settings_of(
        aggregate=found.aggregate if aggregate is None else aggregate,
        replicas=found.replicas,
        **settings,
    )
    options = {
        "wire": wire,
        "agree": [(name, str(value)) for name, value in (agree or {}).items()],
        "steps": steps,
        "hooks": [named(hook) for hook in hooks],
    }
    return ClusterReplica(found, optimizer, {**described, "min_replicas": None}, options)


def serve(
    out: str | Path | None = None, *, save_every: int = 100, keep: int = 3, ps: int = 1
) -> ClusterReport:
    """Serves as a parameter server whatever program the replicas run, until training is over.

    The first server writes checkpoints below `out`, every `save_every` updates, and goes on from
    them when it is started again; the others write the rows of their tables there, so all of them
    see that folder. When not given, `out` is the folder of `sync-replicas launch`.
    The program's optimizer, settings and variables come from its replicas.
    """
    found = place(ps)
    if found is None or found.role != "ps":
        task = "a process without a place" if found is None else found.task
        raise PlaceError(
            f"{task} is no parameter server, so it cannot serve; it has a part of "
            "sync_replicas.join()",
            exit_status=2,
        )
    folder = found.run_dir if out is None else Path(out)
    if folder is None and found.task == "ps 0":
        raise ArgumentError(
            "out: expected a folder, as the first parameter server writes checkpoints and must "
            "find them again"
        )
    with statuses(), _signals():
        checkpoints = None if folder is None else folder / "checkpoints"
        return ClusterReport(**found._serve(checkpoints, save_every, keep))


class ClusterReplica(Replica):
    """This process's replica of a cluster; `for step in replica` is its loop.

    At the end of the loop `report` says what it did, and `variables` are the last ones, which an
    attached model has too. Used in a `with`, it leaves at the end: for good after the loop, and for
    now after Ctrl-C and SIGTERM, which end the process with 130 and 143. An error that the scheduler
    acts on (others went away, start it again: 138; another has its place: 3) is printed and ends
    the process with that status.
    """

    def __init__(
        self, place: Place, optimizer: Optimizer, settings: dict[str, Any], options: dict[str, Any]
    ) -> None:
        super().__init__(None)
        #: Where this process is: `task`, `number`, `chief`, `replicas`, `run_dir`.
        self.place = place
        self._described = optimizer, settings, options
        self._report: ClusterReport | None = None
        self._handlers: Any = None

    @property
    def number(self) -> int:
        """Its number, from 0, which is the chief's."""
        number = self.place.number
        assert number is not None
        return number

    @property
    def chief(self) -> bool:
        """Whether it is the chief, whose variables training begins with, and who runs the hooks."""
        return self.place.chief

    def begin(self, variables: Mapping[str, Any]) -> None:
        """Takes part with these variables, arrays by name. It connects at the first step."""
        if self._joined is not None:
            raise ArgumentError("begin: the replica has its variables already")
        self._joined = self.place._join(dict(variables), *self._described)

    def attach(self, model: Any) -> None:
        """As in one process; a replica that has no variables yet begins with the model's."""
        super().attach(model)
        if self._joined is None and self._attached is not None:
            self.begin(self._attached.variables())

    def next_step(self) -> Step | None:
        """As in one process; at the end of training it finishes."""
        step = super().next_step()
        if step is None:
            self.finish()
        return step

    def finish(self) -> ClusterReport:
        """Ends its part and says what it did; where training goes on it leaves for good."""
        if self._report is None:
            told = self._native.finish()
            if told is None:
                raise ClusterError("the replica has left without a report", exit_status=1)
            self._report = ClusterReport(**told)
            if self._attached is not None and self._report.variables is not None:
                self._attached.fill(self._report)
        return self._report

    @property
    def report(self) -> ClusterReport:
        """What it did, once the loop is over."""
        if self._report is None:
            raise ClusterError("there is a report once the loop is over", exit_status=1)
        return self._report

    @property
    def variables(self) -> dict[str, Any]:
        """The last variables, once the loop is over: arrays by name."""
        found = self.report.variables
        if found is None:
            why = "it was asked to leave" if self.report.left else "no server was there any more"
            raise ClusterError(f"there are no last variables: {why}", exit_status=1)
        return found

    def leave(self, for_now: bool = False) -> None:
        """Leaves without a report; `for_now` if this process is going to be started again."""
        if self._joined is not None:
            self._joined.leave(for_now)

    def __enter__(self) -> ClusterReplica:
        self._handlers = _signals()
        self._handlers.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            with statuses():
                if isinstance(error, ClusterError):
                    raise error
                if error is None and self._joined is not None:
                    self.finish()
        finally:
            self._handlers.__exit__(None, None, None)
            self.leave(for_now=isinstance(error, (KeyboardInterrupt, SystemExit)))


@contextmanager
def statuses() -> Iterator[None]:
    """Ends the process with the status that its scheduler is to see, where that is no common one."""
    try:
        yield
    except ClusterError as error:
        # An engine that has given a place looks at the error itself.
        if error.exit_status in _ORDINARY or _given is not None:
            raise
        traceback.print_exception(error)
        raise SystemExit(error.exit_status) from error


@contextmanager
def _signals() -> Iterator[None]:
    """Has SIGTERM end the process as an exception does, and passes over SIGUSR1, by which the first
    server writes a checkpoint; unless the program handles them itself."""

    def end(number: int, _: FrameType | None) -> None:
        raise SystemExit(128 + number)

    wanted: dict[int, Any] = {signal.SIGTERM: end}
    if hasattr(signal, "SIGUSR1"):
        wanted[signal.SIGUSR1] = signal.SIG_IGN
    free = threading.current_thread() is threading.main_thread()
    ours = [it for it in wanted if free and signal.getsignal(it) is signal.SIG_DFL]
    for number in ours:
        signal.signal(number, wanted[number])
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)
