"""The trainer: configuration in, events out. Nothing here is imported before it is needed, as torch takes seconds."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bntui.errors import BntuiError

if TYPE_CHECKING:
    from collections.abc import Callable

    from bntui.messages.events import Finished


def import_run() -> Callable[..., Finished]:
    """Import torch, and return `bntui.training.session.run`.

    Raises
    ------
    BntuiError
        Torch is there, but can't be imported.
    """
    try:
        import torch  # noqa: F401 (a failure here is torch's, not ours)
    except ModuleNotFoundError:
        raise  # said in the same words for every package
    except Exception as error:  # a library that is missing, a build for another machine, a mixture of two releases
        what = " ".join(str(error).split())
        raise BntuiError(f"torch can't be imported ({what}); install a torch that fits this machine") from None
    from bntui.training.session import run

    return run
