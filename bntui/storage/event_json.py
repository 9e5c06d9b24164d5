"""Events as JSON objects, and back.

A float that is not finite has no JSON; it is written as null and read back as NaN.
"""

from __future__ import annotations

import math
import types
import typing
from dataclasses import fields, is_dataclass
from typing import Any

from bntui.messages.events import Event

_KINDS: dict[str, type[Any]] = {kind.__name__: kind for kind in typing.get_args(Event)}


def finite(value: Any) -> Any:
    """Return a JSON value in which every float that is not finite has become None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    if is_dataclass(value):
        return {f.name: finite(getattr(value, f.name)) for f in fields(value)}
    return value


def to_dict(event: Event) -> dict[str, Any]:
    """Return the event as a JSON object, with its kind under `event`."""
    return {"event": type(event).__name__, **finite(event)}


def from_dict(data: dict[str, Any]) -> Event:
    """Return the event that `to_dict` made the object from.

    Raises
    ------
    ValueError
        The object is not an event: unknown kind, missing or unknown fields, or a value of another type.
    """
    kind = _KINDS.get(str(data.get("event")))
    if kind is None:
        raise ValueError(f"unknown event {data.get('event')!r}")
    event: Event = _build(kind, {key: value for key, value in data.items() if key != "event"})
    return event


def _build(kind: Any, value: Any) -> Any:
    """Turn a JSON value into a value of the annotated type `kind`."""
    origin, arguments = typing.get_origin(kind), typing.get_args(kind)
    if is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, dict):
            raise ValueError(f"{kind.__name__} wants an object")
        hints = typing.get_type_hints(kind)
        try:
            return kind(**{key: _build(hints[key], item) for key, item in value.items()})
        except (KeyError, TypeError) as error:
            raise ValueError(f"{kind.__name__}: {error}") from None
    if origin is tuple:
        if not isinstance(value, list):
            raise ValueError("a list is wanted")
        return tuple(_build(arguments[0], item) for item in value)
    if origin in (types.UnionType, typing.Union):
        if is_dataclass(arguments[0]) and value is not None:
            return _build(arguments[0], value)
        if value is None or isinstance(value, bool | int | float | str):
            return value
        raise ValueError("a plain value is wanted")
    if origin is dict:
        if not isinstance(value, dict):
            raise ValueError("an object is wanted")
        return {str(key): _build(arguments[1], item) for key, item in value.items()}
    if kind is float:
        if value is None:
            return math.nan
        if isinstance(value, int | float) and not isinstance(value, bool):
            try:
                return float(value)
            except OverflowError:
                raise ValueError("a smaller number is wanted") from None
        raise ValueError("a number is wanted")
    if kind is Any:
        return value
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ValueError(f"{kind.__name__} is wanted")
    return value
