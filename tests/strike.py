"""Runs bntui, and sends it signals at the very moment at which it first imports a module.

python strike.py MODULE SIGNAL TIMES [ARGUMENT ...]
"""

from __future__ import annotations

import importlib.abc
import os
import signal
import sys
from importlib.machinery import ModuleSpec
from typing import Any


class Striker(importlib.abc.MetaPathFinder):
    """Finds nothing; strikes when it is asked for the module."""

    def __init__(self, module: str, number: signal.Signals, times: int) -> None:
        self._module, self._number, self._times = module, number, times

    def find_spec(self, fullname: str, *_: Any) -> ModuleSpec | None:
        """Send the signals if this is the module, once."""
        if fullname == self._module:
            self._module = ""
            try:
                for _i in range(self._times):
                    os.kill(os.getpid(), self._number)
            except BaseException:
                print(f"raised inside of the import of {fullname}", file=sys.stderr)
                raise
        return None


if __name__ == "__main__":
    module, number, times, *arguments = sys.argv[1:]
    sys.meta_path.insert(0, Striker(module, signal.Signals[number], int(times)))
    sys.argv = ["bntui", *arguments]
    from bntui.__main__ import run

    run()
