"""When a run is saved, and how an interrupted one goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import torch

from bntui.config.options import RunConfig
from bntui.errors import UsageError
from bntui.storage import resume
from bntui.training import checkpoint, devices
from bntui.training.checkpoint import DamagedError, OutdatedError, Store

SAVE_SHARE = 60
"""A checkpoint is only made so many times as long after the last as that took."""


class Part(Protocol):
    """A part of a run that has state."""

    def state_dict(self) -> dict[str, Any]:
        """Return tensors, numbers, texts, None, and lists and dicts of these, that nothing changes afterwards."""

    def load_state_dict(self, state: Any) -> None:
        """Take over what `state_dict` of such a part returned.

        Raises KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError or ArithmeticError for anything
        else.
        """


def put(parts: Mapping[str, Part], state: Mapping[str, Any]) -> None:
    """Have every part take over its state, in their order. Raises KeyError if one is missing, else as the parts do."""
    with torch.inference_mode(False), torch.no_grad():
        for name, part in parts.items():
            part.load_state_dict(state[name])


class Autosave:
    """Saves the parts of a run every so often.

    Parameters
    ----------
    config
        Of the run.
    store
        Where checkpoints are kept, if anywhere.
    parts
        Returns the parts by name, in the order in which they are restored.
    fingerprint
        Of the data.
    """

    def __init__(
        self, config: RunConfig, store: Store | None, parts: Callable[[], Mapping[str, Part]], fingerprint: str
    ) -> None:
        self._config, self._store, self._parts, self._fingerprint = config, store, parts, fingerprint
        self._saved = time.perf_counter()
        self._cost = 0.0
        self.unsaved = True
        """Whether something has happened since the last checkpoint."""

    def save_if_due(self, seconds: float) -> None:
        """Save if the last checkpoint is older than so many seconds, and old enough for what it takes to make one."""
        wanted = self._config.checkpoint_seconds
        seconds = max(seconds, SAVE_SHARE * self._cost) if wanted is None else float(wanted)
        if self.unsaved and time.perf_counter() - self._saved >= seconds:
            self.save()

    def save(self) -> None:
        """Save a checkpoint, if there is a place for it and something happened since the last."""
        if self._store is None or not self.unsaved:
            return
        begun = time.perf_counter()
        state: dict[str, Any] = {"config": self._config.to_dict(), "dataset": self._fingerprint}
        state.update((name, part.state_dict()) for name, part in self._parts().items())
        self._store.checkpoint(lambda kept: checkpoint.pack(state, kept))
        self._saved = time.perf_counter()
        self._cost, self.unsaved = self._saved - begun, False

    def resume(self, store: Store, begin: Callable[[], None], check: Callable[[], None]) -> str:
        """Put the parts where the newest checkpoint that is whole has them.

        Parameters
        ----------
        store
            Where the checkpoints are.
        begin
            Puts the parts back to before the first step.
        check
            Raises UsageError if the run can't go on from where its parts are.

        Returns
        -------
        str
            What was wrong with newer checkpoints; nothing if the newest one is whole.

        Raises
        ------
        UsageError
            There is none, or it is of another run.
        DeviceError
            Memory ran out.
        """
        named = f"--resume {self._config.resume}"
        damaged = ""
        for name, contents in store.checkpoints():
            if isinstance(contents, OSError):
                damaged += f"{name} can't be read ({contents.strerror or contents}); "
                continue
            try:
                state, kept = checkpoint.unpack(contents)
                self._restore(state)
                check()
                try:
                    self.unsaved = store.restore(kept)
                except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
                    raise DamagedError(f"it does not fit that run ({type(error).__name__})") from None
            except OutdatedError as error:
                raise UsageError(f"{named}: {name} {error}; start the run again") from None
            except DamagedError as error:
                damaged += f"{name} is damaged: {error}; "
                with torch.inference_mode(False):
                    begin()
                continue
            return damaged
        raise UsageError(f"{named}: {damaged or 'holds no checkpoint; '}start the run again")

    def _restore(self, state: Mapping[str, Any]) -> None:
        resume.check_same(self._config, state.get("config"))
        if state.get("dataset") != self._fingerprint:
            raise UsageError(
                "--resume: the data is not what that run was trained on; name the same --data and --data-dir"
            )
        try:
            put(self._parts(), state)
        except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, ArithmeticError,
                MemoryError) as error:  # fmt: skip
            if known := devices.out_of_memory(error, self._config, torch.device(str(self._config.device))):
                raise known from None
            raise DamagedError(f"it does not fit that run ({type(error).__name__})") from None
