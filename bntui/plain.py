"""What stands for the signs that are used where nothing but ASCII can be shown."""

from __future__ import annotations

_ASCII = str.maketrans(
    {"…": "...", "–": "-", "—": "-", "−": "-", "·": "-", "×": "x", "÷": "/", "½": "1/2", "²": "^2", "√": "sqrt",
     "Σ": "sum", "∂": "d", "Δ": "d", "μ": "mean", "σ": "s", "ε": "eps", "γ": "gamma", "β": "beta", "\u0302": "_hat",
     "●": "*", "■": "o", "←": "<-", "→": "->"}
)  # fmt: skip


def to_ascii(text: str) -> str:
    """Return the text in ASCII."""
    return text.translate(_ASCII)
