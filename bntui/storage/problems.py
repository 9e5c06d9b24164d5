"""What could not be written, and why: told of, and tried again, while training goes on."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from bntui.errors import ExportError
from bntui.storage.files import why


class Problems:
    """Keeps the last problem of each thing that is written, until the same goes well.

    Parameters
    ----------
    cause
        Called when something fails; returns what explains it and its description, or None.
    """

    def __init__(self, cause: Callable[[], tuple[str, str] | None]) -> None:
        self._cause = cause
        self._told: dict[str, str] = {}

    @property
    def latest(self) -> str:
        """The newest problem; empty while all is well."""
        return "".join(list(self._told.values())[-1:])

    @contextlib.contextmanager
    def guard(self, what: str) -> Iterator[None]:
        """Let nothing that goes wrong stop the training."""
        try:
            yield
        except (OSError, ExportError) as error:
            text = f"{what}: {error}" if isinstance(error, ExportError) else f"{what} can't be written ({why(error)})"
            what, text = self._cause() or (what, text)
            self.tell(what, text)
        except Exception as error:
            self.tell(what, f"{what}: unexpected {type(error).__name__}: {error}")
        else:
            self.forget(what)

    def tell(self, what: str, text: str) -> None:
        """Keep a problem."""
        self._told[what] = f"{text}; training goes on"

    def forget(self, what: str) -> None:
        """Forget the problem of something that has gone well."""
        self._told.pop(what, None)
