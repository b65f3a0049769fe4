"""Tables: variables without a number of rows, whose rows are found by key."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import KW_ONLY, dataclass, fields
from typing import Any

from . import _native
from ._native import IndexedSlices


@dataclass(frozen=True, repr=False)
class Table:
    """An embedding for each user, item or word: a row of `width` numbers for each 64-bit key.

    It stands among the initial variables, by its name: `{"w": array, "users": Table(64)}`.

    A row starts with numbers from `uniform=(low, high)`, or `uniform=0.1` for -0.1 to 0.1;
    `normal=(mean, deviation)`, or `normal=0.01` about 0; or `constant`. When none is given, evenly
    from -0.05 to 0.05. They are a function of `seed`, name and key.

    A key gets a row with its `admit_after`-th contribution. `evict_unused` gives up rows that none
    of the last so many steps has updated; `evict_beyond` keeps at most so many rows, and gives up
    those updated longest ago (`evict_by="last_use"`, as when not given) or those with the fewest
    contributions ("count").
    """

    width: int
    _: KW_ONLY
    uniform: float | tuple[float, float] | None = None
    normal: float | tuple[float, float] | None = None
    constant: float | None = None
    seed: int = 0
    admit_after: int = 1
    evict_unused: int | None = None
    evict_beyond: int | None = None
    evict_by: str | None = None

    def __post_init__(self) -> None:
        _native._check_table(self)

    def __repr__(self) -> str:
        said = {it.name: getattr(self, it.name) for it in fields(self) if it.kw_only}
        plain = {it.name: it.default for it in fields(self)}
        more = [f", {name}={value!r}" for name, value in said.items() if value != plain[name]]
        return f"Table({self.width}{''.join(more)})"


#: The keys of a batch, by table.
Keys = Callable[[Any], Mapping[str, Any]]


def sparse(gradients: Mapping[str, Any], ids: Mapping[str, Any]) -> dict[str, Any]:
    """Gradients in which those of the rows of keys are sparse."""
    found = dict(gradients)
    for name, keys in ids.items():
        rows = found.get(name)
        if rows is not None and not isinstance(rows, IndexedSlices):
            found[name] = IndexedSlices(keys, rows)
    return found
