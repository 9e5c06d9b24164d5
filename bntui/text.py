"""Text that can be shown: without signs that a terminal lacks, and without what would do something to it."""

from __future__ import annotations

import re
from typing import Any

TEXT_LIMIT = 2_000

_CONTROLS = re.compile(
    r"(?P<dropped>(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI
    r"|(?:\x1b[]PX^_]|[\x90\x98\x9d\x9e\x9f])[^\x07\x1b\x9c\n]*(?:\x07|\x1b\\|\x9c)?"  # OSC, DCS, SOS, PM, APC
    r"|\x1b(?:[ -/]*[0-~])?|[\x80-\x9f]"
    r"|[\u061c\u200b\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff])"  # unseen marks; most turn the direction
    r"|(?P<newline>[\n\v\f\u2028\u2029])"
    r"|[\x00-\x08\x0e-\x1f\x7f\ud800-\udfff]"
)

_ASCII = str.maketrans(
    {"…": "...", "–": "-", "—": "-", "−": "-", "·": "-", "×": "x", "÷": "/", "½": "1/2", "²": "^2", "√": "sqrt",
     "≤": "<=", "Σ": "sum", "∂": "d", "Δ": "d", "μ": "mean", "σ": "s", "ε": "eps", "γ": "gamma", "β": "beta",
     "\u0302": "_hat", "●": "*", "■": "o", "○": "o", "▸": ">", "⚠": "!", "←": "<-", "→": "->", "↑": "^", "↓": "v",
     "⏎": "enter", "⇧": "shift+"}
)  # fmt: skip


def to_ascii(text: str) -> str:
    """Return the text in ASCII."""
    return text.translate(_ASCII)


def plain_text(text: str) -> str:
    """Return text as one line that is safe to show, as `one_line`, of at most `TEXT_LIMIT` characters."""
    line = one_line(text)
    return line if len(line) <= TEXT_LIMIT else line[: TEXT_LIMIT - 1] + "…"


def shortened(line: str, limit: int) -> str:
    """Return a line of at most so many characters; what a longer one lacks lies in its middle, where long paths are."""
    head = (limit - 3) // 2
    return line if len(line) <= limit else f"{line[:head]}...{line[head + 3 - limit :]}"


def one_line(text: str) -> str:
    """Return text as one line that is safe to show.

    Escape sequences are gone, line ends are spaces, tabs are expanded; of what carriage returns overwrite, as
    progress bars do, the last is left; other control characters and lone surrogates show as �.
    """
    shown = {"dropped": "", "newline": "\n", None: "�"}
    lines = _CONTROLS.sub(lambda match: shown[match.lastgroup], text).rstrip("\r\n").split("\n")
    return " ".join(line.rstrip("\r").rpartition("\r")[2].expandtabs() for line in lines)


def clean(value: Any) -> Any:
    """Return a JSON value in which every text, also as a key, is safe to show."""
    if isinstance(value, str):
        return plain_text(value)
    if isinstance(value, dict):
        return {plain_text(key): clean(item) for key, item in value.items()}
    return [clean(item) for item in value] if isinstance(value, list) else value
