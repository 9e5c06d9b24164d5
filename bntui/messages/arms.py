"""The arms of a run: networks that differ in one thing, their normalization, and see the same batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bntui.config.kinds import Norm, arm_names
from bntui.config.parsers import norm

MOST = 6
"""Arms of a run."""


@dataclass(frozen=True, slots=True)
class Arm:
    """One network of a run."""

    name: str
    """Unique in its run; the key of all that is told of the arm."""
    label: str
    """What it is called on the screen."""
    norm: str
    """Its kind of normalization, as `--arms` spells it: `batch`, `group:8`, …, or `none`."""

    @property
    def normalized(self) -> bool:
        """Whether it has a normalization."""
        return self.norm != "none"

    @property
    def words(self) -> str:
        """Its normalization in words, such as `group norm 8`."""
        return norm(self.norm).words

    @property
    def short(self) -> str:
        """Its normalization in a short word."""
        return "BN" if self.norm == "batch" else self.words.capitalize()


def build_arms(norms: Sequence[Norm]) -> tuple[Arm, ...]:
    """Return the arms with these normalizations, in their order."""
    if sorted(map(str, norms)) == ["batch", "none"]:
        return tuple(Arm(str(n), "With BN" if str(n) == "batch" else "Without BN", str(n)) for n in norms)
    arms = []
    for name, kind in zip(arm_names(norms), norms, strict=True):
        label, number = kind.words.capitalize(), name[len(str(kind)) + 1 :]
        several = list(norms).count(kind) > 1
        arms.append(Arm(name, f"{label} ({number or 1})" if several else label, str(kind)))
    return tuple(arms)


def first_normalized(arms: Sequence[Arm]) -> Arm | None:
    """Return the arm of which the normalization can be switched: the first that has one."""
    return next((arm for arm in arms if arm.normalized), None)
