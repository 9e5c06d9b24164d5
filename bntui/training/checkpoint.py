"""The state of a run between two steps as bytes, and back: all that the rest of its numbers depends on."""

from __future__ import annotations

import hashlib
import io
import math
import pickletools
import re
import time
import zipfile
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Protocol

import torch

from bntui.config.interventions import from_rows, to_rows
from bntui.errors import UsageError
from bntui.storage.schedule import planned
from bntui.training import devices

if TYPE_CHECKING:
    from bntui.training.session import Session

SCHEMA = "bntui.checkpoint/1"

_CALLED = re.compile(r"torch \w+Storage|torch\._utils _rebuild_tensor_v2|collections OrderedDict")
"""What the pickle of a checkpoint names; torch takes more for safe, such as a bytearray of any length."""

_MOST = 10**15
"""Steps, epochs or seconds."""

Pack = Callable[[dict[str, Any]], bytes]
"""Makes a checkpoint that holds, beside the state of the training, what it is given."""


class Store(Protocol):
    """Where checkpoints are kept."""

    def checkpoints(self) -> Iterable[tuple[str, bytes | OSError]]:
        """Return name and contents of those there are, the newest first, or why one can't be read."""

    def checkpoint(self, pack: Pack) -> None:
        """Keep a checkpoint, with what is needed to go on from there."""

    def restore(self, kept: dict[str, Any]) -> bool:
        """Go back to what was kept in a checkpoint; return whether a new one is due because that one fits no more.

        Raises KeyError, TypeError, ValueError, AttributeError or OverflowError, and changes nothing, if it is not that.
        """


class DamagedError(ValueError):
    """Bytes that are not a whole checkpoint; says why."""


def pack(state: dict[str, Any], kept: dict[str, Any]) -> bytes:
    """Return a checkpoint as `torch.load(weights_only=True)` reads it.

    Parameters
    ----------
    state
        Tensors, numbers, texts, None, and lists and dicts of these.
    kept
        The same, of whoever keeps the checkpoint.
    """
    buffer = io.BytesIO()
    contents = {"state": state, "kept": kept}
    torch.save({"schema": SCHEMA, "sha256": _digest(contents), **contents}, buffer)
    return buffer.getvalue()


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `pack` was given. No code in the bytes is run, and nothing is unpacked beyond their own size.

    Raises
    ------
    DamagedError
        The bytes are not a checkpoint, or not whole.
    """
    # Of what does not begin as a zip file, though it is one, torch would read another part.
    if data[:4] != b"PK\x03\x04":
        raise DamagedError("it is not a checkpoint of bntui")
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            # torch compresses nothing, so what claims to is not from here, and may be a bomb.
            rows = archive.infolist()
            if any(row.compress_type != zipfile.ZIP_STORED for row in rows) or sum(r.file_size for r in rows) > len(
                data
            ):
                raise DamagedError("it is compressed")
            for row in rows:
                if row.filename.endswith(".pkl"):
                    _check_names(archive.read(row))
        loaded = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except DamagedError:
        raise
    except Exception as error:  # whatever the readers of zip, pickle and tensors may find wrong with strange bytes
        raise DamagedError(f"it can't be read ({type(error).__name__})") from None
    if not isinstance(loaded, dict) or not str(loaded.get("schema")).startswith("bntui.checkpoint/"):
        raise DamagedError("it is not a checkpoint of bntui")
    if loaded["schema"] != SCHEMA:
        raise DamagedError("it was made by a later bntui; update this one")
    contents = {name: loaded.get(name) for name in ("state", "kept")}
    try:
        digest = _digest(contents, 4 * len(data))
        whole = loaded.get("sha256") == digest and all(isinstance(part, dict) for part in contents.values())
    except (TypeError, ValueError, RuntimeError):
        whole = False
    if not whole:
        raise DamagedError("its checksum is wrong")
    return loaded["state"], loaded["kept"]


def _check_names(pickled: bytes) -> None:
    """Raise DamagedError if a pickle names anything that `pack` does not."""
    for code, argument, _ in pickletools.genops(pickled):
        names = "GLOBAL" in code.name or code.name in ("INST", "EXT1", "EXT2", "EXT4")
        if names and (code.name != "GLOBAL" or not _CALLED.fullmatch(str(argument))):
            raise DamagedError("it holds what no checkpoint does")


def _digest(value: Any, limit: float = math.inf) -> str:
    """Return a checksum. Raises ValueError for more parts and bytes than `limit`, as where a part is named often."""
    digest = hashlib.sha256()
    seen = 0

    def add(part: Any) -> None:
        nonlocal seen
        seen += 1 + (part.numel() * part.element_size() if isinstance(part, torch.Tensor) else 0)
        if seen > limit:
            raise ValueError("larger than its file")
        if isinstance(part, dict):
            digest.update(b"{")
            for key, item in part.items():
                add(key)
                add(item)
            digest.update(b"}")
        elif isinstance(part, list | tuple):
            digest.update(b"[")
            for item in part:
                add(item)
            digest.update(b"]")
        elif isinstance(part, torch.Tensor):
            digest.update(f"{part.dtype}{tuple(part.shape)}".encode())
            digest.update(part.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().data)
        elif part is None or isinstance(part, bool | int | float | str):
            digest.update(f"{type(part).__name__}{part!r};".encode())
        else:
            raise TypeError(f"a checkpoint holds no {type(part).__name__}")

    add(value)
    return digest.hexdigest()


def gather(session: Session) -> dict[str, Any]:
    """Return the state of a session between two steps."""
    trainer, pair = session.trainer, session.pair
    return {
        "config": session.config.to_dict(),
        "dataset": session.dataset.sha256,
        "step": session.step,
        "epoch": session.epoch,
        "position": session.position,
        "evaluated": session.evaluated,
        "obeyed": session.control.obeyed,
        "schedule": to_rows(session.control.planned),
        "settings": dict(session.settings),
        "alarms": session.alarms.to_dict(),
        "seconds": {"train": session.watch.seconds(), "epoch": session.epoch_seconds, "wall": session.wall_seconds()},
        "models": {arm: {k: v.cpu() for k, v in model.state_dict().items()} for arm, model in pair.arms.items()},
        "optimizer": {
            "state": [tensor.cpu() for tensor in trainer.optimizer.state],
            "counts": trainer.optimizer.counts,
        },
        # Of the last batch, which the reading after an evaluation that is still to come tells of.
        "inputs": [layer.input if session.evaluated < session.step else None for layer in trainer.norm_layers],
        "order": session.epoch_generator,
        "generators": [generator.get_state() for generator in pair.generators],
    }


def restore(session: Session, state: dict[str, Any]) -> None:
    """Put a session that has just begun where another one was.

    Raises
    ------
    UsageError
        The data is not what that run was trained on.
    DamagedError
        The state is not one of such a run.
    DeviceError
        Memory ran out.
    """
    if state.get("dataset") != session.dataset.sha256:
        raise UsageError("--resume: the data is not what that run was trained on; name the same --data and --data-dir")
    try:
        with torch.inference_mode(False), torch.no_grad():
            _restore(session, state)
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError, ArithmeticError) as error:
        if known := devices.out_of_memory(error, session.config, session.device):
            raise known from None
        raise DamagedError(f"it does not fit that run ({type(error).__name__})") from None


def _restore(session: Session, state: dict[str, Any]) -> None:
    trainer, pair = session.trainer, session.pair
    for arm, model in pair.arms.items():
        model.load_state_dict(state["models"][arm])
    trainer.recount()
    optimizer = trainer.optimizer
    for ours, kept in zip(optimizer.state, state["optimizer"]["state"], strict=True):
        if ours.shape != kept.shape:
            raise ValueError
        ours.copy_(kept)
    optimizer.counts = [int(count) for count in state["optimizer"]["counts"]]
    if len(optimizer.counts) != len(optimizer.active) or min(optimizer.counts, default=0) < 0:
        raise ValueError
    for generator, kept in zip(pair.generators, state["generators"], strict=True):
        generator.set_state(kept)
    session.order.generator.set_state(state["order"])
    session.epoch_generator = state["order"]
    session.step, session.epoch, session.position = (int(state[name]) for name in ("step", "epoch", "position"))
    session.evaluated = int(state["evaluated"])
    layers = trainer.norm_layers
    widths = session.config.hidden[: len(layers)]  # without a normalization in either arm there are no layers
    for layer, width, kept in zip(layers, widths, state["inputs"], strict=True):
        if kept is not None and (kept.dim(), kept.shape[1:], kept.dtype) != (2, (width,), torch.float32):
            raise ValueError
        layer.input = None if kept is None else kept.to(session.device)
    samples, obeyed = len(session.dataset.train), int(state["obeyed"])
    # A place beyond the data, or a batch larger than it, would never come to the end of the epoch.
    if (
        not 0 <= session.step <= _MOST
        or not 0 <= session.evaluated <= session.step
        or not 1 <= session.epoch <= _MOST
        or not 0 <= session.position <= samples
        or not 0 <= obeyed <= _MOST
        or int(state["settings"]["batch_size"]) > samples
    ):
        raise ValueError
    schedule = session.control.planned
    if not schedule:
        # A checkpoint of an older bntui does not keep what is planned.
        schedule = from_rows(state["schedule"]) if "schedule" in state else planned(session.config)
    session.control.go_on(schedule, obeyed)
    session.alarms.restore(state["alarms"])
    seconds = {name: float(state["seconds"][name]) for name in ("train", "epoch", "wall")}
    if not all(0 <= value < _MOST for value in seconds.values()):
        raise ValueError
    session.watch.add(seconds["train"])
    session.epoch_seconds = seconds["epoch"]
    session.begun = time.perf_counter() - seconds["wall"]
    for name in list(session.settings):
        value = session.parse(name, state["settings"][name])
        if value != session.settings[name]:
            session.put_into_force(name, value)
