"""Values of options as types: parsed once, from the text that a person writes, and written back as that text."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

NORMS = {
    "batch": "batch norm", "layer": "layer norm", "group:G": "group norm", "instance": "instance norm",
    "batch-renorm": "batch renorm", "none": "no norm",
}  # fmt: skip
"""The kinds of normalization, as `--arms` spells them, and in words."""
DATASETS = {
    "mnist": "torchvision.MNIST", "fashion-mnist": "torchvision.FashionMNIST", "kmnist": "torchvision.KMNIST",
    "synthetic": "bntui.data.digits",
}  # fmt: skip
"""Where each data set of `--data` comes from: a class of torchvision's, which says where its files are and after which
their folder is named, or a module with a function `generate`."""
SHIFTS = {"brightness": (-1, 1), "contrast": (-1, 4), "noise": (0, 2), "rotation": (-180, 180), "inversion": (0, 1)}
"""Ways to change images, and the lowest and the highest strength of each."""


@dataclass(frozen=True, slots=True)
class Norm:
    """A kind of normalization."""

    kind: str
    """`batch`, `layer`, `group`, `instance`, `batch-renorm` or `none`."""
    groups: int = 0
    """Of group norm: how many groups the features of a sample are divided into."""

    def __str__(self) -> str:
        return f"{self.kind}:{self.groups}" if self.groups else self.kind

    @property
    def words(self) -> str:
        """What it is called, such as `group norm 8`."""
        return f"{NORMS['group:G']} {self.groups}" if self.groups else NORMS[self.kind]


@dataclass(frozen=True, slots=True)
class Optimizer:
    """How gradients become updates."""

    name: str
    """`adam` or `sgd`."""
    momentum: float | None = None
    """Of SGD."""

    def __str__(self) -> str:
        return self.name if self.momentum is None else f"{self.name}:{self.momentum!r}"


@dataclass(frozen=True, slots=True)
class Init:
    """How weights are drawn."""

    name: str
    """`default` (PyTorch's own), `xavier`, `kaiming` or `normal`."""
    std: float | None = None
    """Of `normal`: its standard deviation."""

    def __str__(self) -> str:
        return self.name if self.std is None else f"{self.name}:{self.std!r}"


@dataclass(frozen=True, slots=True)
class Shift:
    """A change of images."""

    kind: str
    """`none`, or one of `SHIFTS`."""
    strength: float | None = None

    def __str__(self) -> str:
        return self.kind if self.strength is None else f"{self.kind}:{self.strength:g}"


def arm_names(norms: Sequence[Norm]) -> tuple[str, ...]:
    """Return a name for each arm: its kind of normalization, and from the second of a kind on a number too."""
    seen: Counter[str] = Counter()
    names = []
    for norm in map(str, norms):
        seen[norm] += 1
        names.append(norm if seen[norm] == 1 else f"{norm}-{seen[norm]}")
    return tuple(names)
