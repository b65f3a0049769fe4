"""Trainings that `sync-replicas launch` or Ray start, with what they say."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture(scope="session")
def program() -> str:
    """The program `sync-replicas`: the one that `cargo xtask python` has built, or one on the
    path."""
    found = os.environ.get("SYNC_REPLICAS_PROGRAM") or shutil.which("sync-replicas")
    if found is None:
        pytest.skip("the program `sync-replicas` is not there; `cargo xtask python` builds it")
    return found


class Launched:
    """A training of `sync-replicas launch`, with what it says."""

    def __init__(self, program: str, folder: Path, sizes: str, words: list[str]) -> None:
        self.folder = folder
        options = f"--out a {sizes} --".split()
        command = [program, "launch", *options, sys.executable]
        command += [str(PROGRAMS / words[0]), *words[1:]]
        self.process = subprocess.Popen(
            command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        self.said = ""

    def until(self, begins: str) -> str:
        """The next line that begins so."""
        assert self.process.stderr is not None
        for line in self.process.stderr:
            self.said += line
            if line.startswith(begins):
                return line
        pytest.fail(f"no `{begins}`: {self.said}")

    def ended(self, status: int = 0) -> str:
        """What it printed, once it has ended with this status."""
        out, err = self.process.communicate(timeout=90)
        self.said += err
        assert self.process.returncode == status, self.said + self.logs()
        return out

    def logs(self) -> str:
        """All logs."""
        files = sorted(self.folder.glob("a/logs/*.log"))
        return "".join(f"\n{file.name}:\n{file.read_text()}" for file in files)

    def process_of(self, word: str) -> int:
        """The one of this run that has the word in its environment or command line."""
        (found,) = [it for it in processes(self.folder) if word in it[1]]
        return found[0]


def processes(folder: Path) -> list[tuple[int, str]]:
    """Those that work in this folder: number, and command line with environment."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").readlink() == folder:
                words = (entry / "cmdline").read_bytes() + (entry / "environ").read_bytes()
                found.append((int(entry.name), words.replace(b"\0", b" ").decode(errors="replace")))
        except OSError:
            continue  # It has ended meanwhile, or is another user's.
    return found


def until(condition: Callable[[], object], what: str) -> None:
    """Waits until something is so, for three minutes at most."""
    for _ in range(1800):
        if condition():
            return
        time.sleep(0.1)
    raise TimeoutError(what)


def ray_environment(folder: Path) -> dict[str, str]:
    """That of a program that starts Ray: it tells nobody of itself, and writes in this folder."""
    home = folder / "home"
    home.mkdir()
    settings = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
    paths = {"HOME": str(home), "PYTHONPATH": str(PROGRAMS.parent)}
    return os.environ | settings | paths


@pytest.fixture
def launch(program: str, tmp_path: Path) -> Iterator[Any]:
    """Starts trainings; afterwards none of their processes is left."""
    started: list[Launched] = []

    def start(sizes: str, *words: str, name: str = "run") -> Launched:
        folder = tmp_path.resolve() / name
        folder.mkdir()
        started.append(Launched(program, folder, sizes, list(words)))
        return started[-1]

    yield start
    for it in started:
        if it.process.poll() is None:
            it.process.send_signal(signal.SIGINT)
            it.process.communicate(timeout=60)
        if sys.platform == "linux":
            assert processes(it.folder) == []
