"""The chief's buffers, which are no variables: files of their own beside the checkpoints."""

from __future__ import annotations

from pathlib import Path

import torch

from .._fit import Update
from ._attachment import Module


class Buffers:
    """The chief's buffers, in a file beside each checkpoint."""

    def __init__(self, module: Module, keep: int) -> None:
        self._module, self._keep = module, max(2, keep)
        self.any = next(module.buffers(), None) is not None

    def now(self) -> dict[str, torch.Tensor]:
        """What is no parameter of the module's state."""
        parameters = {name for name, _ in self._module.named_parameters()}
        state = self._module.state_dict()
        return {name: it.clone() for name, it in state.items() if name not in parameters}

    def save(self, folder: Path, update: Update) -> None:
        """Writes those of an update, and removes old ones."""
        self.write(folder, update.step)

    def write(self, folder: Path, step: int) -> None:
        """Writes them whole, or not at all."""
        target = folder / f"buffers-{step}.pt"
        aside = target.with_suffix(".tmp")
        torch.save(self.now(), aside)
        aside.replace(target)
        files = sorted(folder.glob("buffers-*.pt"), key=lambda it: int(it.stem.split("-")[1]))
        for old in files[: -self._keep]:
            old.unlink(missing_ok=True)

    def load(self, folder: Path, step: int) -> None:
        """Reads those of a step from a folder of checkpoints, or of one of them."""
        for place in (folder, folder.parent):
            found = place / f"buffers-{step}.pt"
            if found.exists():
                self._module.load_state_dict(torch.load(found, weights_only=True), strict=False)
                return
