"""The state of a run between two steps as bytes, and back: tensors as safetensors, all else as JSON in its metadata."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, TypeAlias

import safetensors.torch
import torch
from torch import Tensor

SCHEMA = "bntui.checkpoint/2"

_HEADER_LIMIT = 100_000_000
"""Bytes the header of a safetensors file may have, by its own definition."""
_TENSOR = "tensor"
"""Key of the JSON object that stands in the place of a tensor; its value is the tensor's name."""

Pack: TypeAlias = Callable[[dict[str, Any]], bytes]
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


class OutdatedError(DamagedError):
    """A checkpoint of version 1."""


def pack(state: Mapping[str, Any], kept: Mapping[str, Any]) -> bytes:
    """Return a checkpoint as one safetensors file.

    Parameters
    ----------
    state
        Tensors, numbers, texts, None, and lists and dicts of these.
    kept
        The same without tensors, of whoever keeps the checkpoint.
    """
    tensors: dict[str, Tensor] = {}
    text = json.dumps([_without_tensors(state, tensors), kept], separators=(",", ":"))
    metadata = {"schema": SCHEMA, "contents": text, "sha256": _digest(text, tensors)}
    packed: bytes = safetensors.torch.save(tensors, metadata)
    return packed


def unpack(data: bytes) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what `pack` was given. No code in the bytes is run, and nothing is made that is larger than they are.

    Raises
    ------
    DamagedError
        The bytes are not a checkpoint, or not whole.
    """
    # A zip file with a pickle inside, as torch.save makes it.
    if data[:4] == b"PK\x03\x04":
        raise OutdatedError("was made by an older bntui")
    metadata = _metadata(data)
    if not str(metadata.get("schema")).startswith("bntui.checkpoint/"):
        raise DamagedError("it is not a checkpoint of bntui")
    if metadata["schema"] != SCHEMA:
        raise DamagedError("it was made by a later bntui; update this one")
    try:
        tensors = safetensors.torch.load(data)
        text = str(metadata["contents"])
        if metadata["sha256"] != _digest(text, tensors):
            raise DamagedError("its checksum is wrong")
        state, kept = json.loads(text)
        state = _with_tensors(state, tensors)
        if not (isinstance(state, dict) and isinstance(kept, dict)):
            raise DamagedError("it is not a checkpoint of bntui")
    except DamagedError:
        raise
    except Exception as error:  # whatever the readers of JSON and tensors may find wrong with strange bytes
        raise DamagedError(f"it can't be read ({type(error).__name__})") from None
    return state, kept


def _metadata(data: bytes) -> dict[str, Any]:
    """Return the metadata in the header of a safetensors file. Raises DamagedError if there is none."""
    length = int.from_bytes(data[:8], "little")
    try:
        if not 0 < length <= min(_HEADER_LIMIT, len(data) - 8):
            raise ValueError
        metadata = json.loads(data[8 : 8 + length])["__metadata__"]
    except (ValueError, KeyError, TypeError, RecursionError):
        metadata = None
    if not isinstance(metadata, dict):
        raise DamagedError("it is not a checkpoint of bntui")
    return metadata


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    """Return a checksum over all that a checkpoint holds."""
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)};".encode())
        digest.update(tensor.contiguous().view(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _without_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return a value as JSON has it, with its tensors moved to `tensors`. Raises TypeError for what can't be kept."""
    match value:
        case Tensor():
            name = str(len(tensors))
            tensors[name] = value.detach().cpu().contiguous()
            return {_TENSOR: name}
        case dict():
            if _TENSOR in value or not all(isinstance(key, str) for key in value):
                raise TypeError("a checkpoint holds no such keys")
            return {key: _without_tensors(item, tensors) for key, item in value.items()}
        case list() | tuple():
            return [_without_tensors(item, tensors) for item in value]
        case None | bool() | int() | float() | str():
            return value
    raise TypeError(f"a checkpoint holds no {type(value).__name__}")


def _with_tensors(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Return what `_without_tensors` was given. Raises KeyError if a tensor is missing, or named twice."""
    match value:
        case dict() if list(value) == [_TENSOR]:
            return tensors.pop(value[_TENSOR])
        case dict():
            return {key: _with_tensors(item, tensors) for key, item in value.items()}
        case list():
            return [_with_tensors(item, tensors) for item in value]
    return value
