"""PyTorch: a module for each replica, its parameters filled from the variables.

Parameters that are trained travel, by their names in the module; frozen ones and buffers do not.
An `Embedding` is a table by its name in the module, whose rows are looked up for each batch.
Buffers, as BatchNorm's, are those of replica 0, the chief: `fit` saves them, and in a cluster the
program does, with the chief's `state_dict`.
"""

from ._attachment import Attachment, Module
from ._embedding import Embedding
from ._fit import Loss, TorchReport, fit
from ._groups import groups
from ._optimizer import Optimizer

__all__ = [
    "Attachment",
    "Embedding",
    "Loss",
    "Module",
    "Optimizer",
    "TorchReport",
    "fit",
    "groups",
]
