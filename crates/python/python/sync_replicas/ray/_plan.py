"""What all processes of a run under Ray are told, and how they find each other."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import ray

from .._cluster import Place, check_settings
from .._errors import ArgumentError

#: How long a server's actor may take to say where it is, in seconds.
ANSWER = 3.0

#: There is no such actor, or it is being moved, or it takes too long.
NO_ANSWER = (ray.exceptions.RayError, ValueError)


@dataclass(frozen=True)
class Plan:
    """A run, as every process of it is told."""

    #: The run's folder, on a file system that all nodes share.
    folder: Path
    workers: int
    servers: int
    save_every: int
    keep: int
    #: For how many seconds replicas look for servers that are being moved.
    patience: float
    #: What `join` need not be told.
    settings: Mapping[str, Any]
    #: Tells the actors of this run from those of others.
    run: str = field(default_factory=lambda: secrets.token_hex(8))
    #: What protects the connections: Ray brings it to the processes.
    key: bytes = field(default_factory=lambda: secrets.token_hex(32).encode(), repr=False)

    def __post_init__(self) -> None:
        for name in ("workers", "servers", "save_every", "keep"):
            number = getattr(self, name)
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise ArgumentError(f"{name}: expected a number of at least 1, got {number!r}")
        if not isinstance(self.patience, (int, float)) or not 0 < self.patience < 1e9:
            raise ArgumentError(f"patience: expected seconds above 0, got {self.patience!r}")
        check_settings(self.settings)

    @property
    def ended(self) -> Path:
        """A file that is there once training is over, for servers that are started again."""
        return self.folder / f".ended-{self.run}"

    def server(self, index: int) -> str:
        """The name of a server's actor."""
        return f"sync-replicas-{self.run}-ps-{index}"

    def place(
        self, role: str, index: int, listen: str | None = None
    ) -> tuple[Place, str | None]:
        """The place of one process; a server listens at once, and is told where."""
        servers = [f"ps-{number}.ray:1" for number in range(self.servers)]
        # Nobody calls workers.
        workers = [f"worker-{number}.ray:1" for number in range(self.workers)]
        config = {
            "cluster": {"ps": servers, "worker": workers},
            "task": {"type": role, "index": index},
        }
        patience = timedelta(seconds=self.patience)
        return Place._given(json.dumps(config), self.key, self.address, listen, patience)

    def address(self, name: str) -> str:
        """Where a server is now, by its name in the cluster; actors move."""
        number = int(name.partition(".")[0].removeprefix("ps-"))
        try:
            found: str = self._asked(number, "address")
        except NO_ANSWER as error:
            raise OSError(f"Ray does not say where ps {number} is: {error}") from error
        return found

    def is_over(self) -> bool:
        """Whether the first server says that training is over."""
        try:
            over: bool = self._asked(0, "is_over")
        except NO_ANSWER:
            return False
        return over

    def _asked(self, number: int, what: str) -> Any:
        """What a server's actor answers."""
        answer: Any = getattr(ray.get_actor(self.server(number)), what).remote()
        return ray.get(answer, timeout=ANSWER)


def shared_folder(storage_path: Any, name: str) -> Path:
    """The folder of a run.

    It must be one that all nodes see: a server that moves finds its checkpoints in it.
    """
    if not isinstance(storage_path, (str, os.PathLike)):
        raise ArgumentError(f"storage_path: expected a folder, got {storage_path!r}")
    # A `Path` has one slash where there were two.
    if re.match("[a-z0-9]{2,}:/", str(storage_path)):
        raise ArgumentError(
            f"storage_path: expected a folder of a file system that all nodes share (NFS, EFS, "
            f"Lustre, a mounted bucket), got {storage_path}; mount it on every node and give the "
            "folder"
        )
    if not isinstance(name, str) or name in ("", "..") or Path(name).name != name:
        raise ArgumentError(f"name: expected the name of a folder, got {name!r}")
    return Path(storage_path).expanduser().absolute() / name
