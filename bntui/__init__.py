"""bntui: a batch-norm laboratory in a terminal."""

from __future__ import annotations

import sys
import types
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from bntui.config.options import RunConfig
    from bntui.messages.control import Control
    from bntui.messages.history import History
    from bntui.training.session import run

__all__ = ["Control", "History", "RunConfig", "__version__", "run"]

_HOMES = {
    "Control": "bntui.messages.control",
    "History": "bntui.messages.history",
    "RunConfig": "bntui.config.options",
}


def __getattr__(name: str) -> Any:
    """Import the public names only when they are asked for: `run` brings torch with it (PEP 562)."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bntui' has no attribute {name!r}")


class _Package(types.ModuleType):
    """Has `run` be the function that trains, though a package of that name is imported, which would take its place."""

    @property
    def run(self) -> Any:
        import importlib

        return importlib.import_module("bntui.training.session").run

    @run.setter
    def run(self, package: types.ModuleType) -> None:
        """Leave the name to the function: `from bntui.messages import …` finds the package by its path."""


sys.modules[__name__].__class__ = _Package
