"""What the tests share: the digits, and skips by name."""

from __future__ import annotations

import importlib.util
import threading
from collections.abc import Callable
from typing import Any

import pytest
from digits import read
from launched import launch, program

__all__ = ["launch", "program"]

#: Which packages the tests of a mark are for.
NEEDS = [("torch", "torch"), ("ray", "ray"), ("trackers", "wandb"), ("trackers", "mlflow")]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests for a package that is not here are skipped, and say so."""
    for item in items:
        for mark, package in NEEDS:
            if item.get_closest_marker(mark) and importlib.util.find_spec(package) is None:
                item.add_marker(pytest.mark.skip(reason=f"{package} is not installed"))


@pytest.fixture(scope="session")
def digits() -> dict[str, dict[str, Any]]:
    """The digits, four fifths to train on: "x" of shape (n, 64) in 0 to 1, "y" of shape (n,)."""
    return read()


@pytest.fixture
def beside() -> Any:
    """Runs a function in a thread; its result, or its exception, is waited for at the end."""
    threads: list[tuple[threading.Thread, dict[str, Any]]] = []

    def start(function: Callable[..., Any], *args: Any) -> dict[str, Any]:
        told: dict[str, Any] = {}

        def run() -> None:
            try:
                told["result"] = function(*args)
            except BaseException as error:
                told["error"] = error

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        threads.append((thread, told))
        return told

    yield start
    for thread, told in threads:
        thread.join(20)
        assert not thread.is_alive(), "a thread does not end"
        if "error" in told:
            raise told["error"]
