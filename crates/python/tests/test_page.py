"""The programs of the package's pages: each is run as it stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from launched import ray_environment

ROOT, HERE = Path(__file__).parents[3], Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *(DOCS / it for it in ("python.md", "ray.md")), HERE / "README.md"]
BLOCK = re.compile(r"^```python *([a-z -]*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def programs() -> list[Any]:
    """Each with its marks: "launch" for one of a cluster, and what is to be installed."""
    kinds = {"torch": [pytest.mark.torch], "ray": [pytest.mark.ray]}
    kinds["ray-train"] = [pytest.mark.ray, pytest.mark.nodes]
    found = []
    for page in PAGES:
        text = page.read_text()
        for block in BLOCK.finditer(text):
            marks, words = block[1].split(), block[2]
            line = text[: block.start()].count("\n") + 1
            needs = [mark for kind in marks for mark in kinds.get(kind, [])]
            found.append(pytest.param(marks, words, id=f"{page.name}:{line}", marks=needs))
    return found


@pytest.mark.parametrize(("marks", "words"), programs())
def test_it_runs_as_it_stands(
    marks: list[str], words: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if "jax" in words:
        pytest.importorskip("jax")
    file = tmp_path / "train.py"
    file.write_text(words)
    if "launch" in marks:
        launch = request.getfixturevalue("launch")
        assert launch("--ps 2 --workers 3 --backup 1", str(file)).ended()
    elif {"ray", "ray-train"} & set(marks):
        subprocess.run(
            [sys.executable, str(file)],
            cwd=tmp_path,
            env=ray_environment(tmp_path),
            check=True,
            timeout=120,
        )
    else:
        command = [sys.executable, "-W", "error", str(file)]
        subprocess.run(command, cwd=tmp_path, check=True, timeout=60)


def test_there_are_some() -> None:
    kinds = [set(it.values[0]) for it in programs()]
    assert all(it in kinds for it in (set(), {"launch"}, {"launch", "torch"}, {"ray"}))
