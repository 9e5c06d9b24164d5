"""bntui: a batch-norm laboratory in a terminal."""

from __future__ import annotations

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
    "run": "bntui.training.session",
}


def __getattr__(name: str) -> Any:
    """Import the public names only when they are asked for: `run` brings torch with it (PEP 562)."""
    if name in _HOMES:
        import importlib

        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module 'bntui' has no attribute {name!r}")
